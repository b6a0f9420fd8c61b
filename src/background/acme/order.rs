//! One order, from top to bottom: the account, the names that are proved, the certificate.

use std::sync::Arc;
use std::time::Duration;

use instant_acme::{
    Account, AuthorizationStatus, ChallengeType, Error, Identifier, NewAccount, NewOrder, Order, OrderStatus,
    Problem, RetryPolicy,
};

use crate::app::App;
use crate::certificates::Certificates;
use crate::error;
use crate::outbound::acme::AcmeClient;
use crate::resources::acme::{self, Failure, Kept, Opened, Wanted};

/// How long all of it may take.
const TIME_MAX: Duration = Duration::from_secs(5 * 60);
/// How long the authority may take to look at the names, and to issue.
const POLL_TIME_MAX: Duration = Duration::from_secs(90);
/// What is shown of an authority's own words.
const WORDS_MAX: usize = 300;

/// What problems of authorities are called (RFC 8555, 6.7).
const PROBLEM: &str = "urn:ietf:params:acme:error:";

/// What went wrong on the way.
enum Trouble {
    Library(Error),
    /// A name was not proved.
    Unproved {
        name: String,
        problem: Option<Problem>,
    },
    /// In our own words.
    Words(String),
    /// The data file, or its vault.
    Own(error::Error),
}

impl From<Error> for Trouble {
    fn from(cause: Error) -> Trouble {
        Trouble::Library(cause)
    }
}

impl From<error::Error> for Trouble {
    fn from(cause: error::Error) -> Trouble {
        Trouble::Own(cause)
    }
}

type Outcome<T> = Result<T, Trouble>;

/// Asks the authority for a certificate.
pub(super) async fn issue(
    app: &Arc<App>,
    wanted: &Wanted,
    certificates: &Certificates,
) -> Result<Kept, Failure> {
    let settings = &app.config.tls.acme;
    let client = AcmeClient::new(&app.config.outbound_allow, &settings.directory, &settings.roots);
    let host = client.host();
    let run = Run { app, wanted, certificates, client };
    let late = || Err(Trouble::Words(format!("{host} took longer than {} seconds", TIME_MAX.as_secs())));
    let outcome = tokio::time::timeout(TIME_MAX, run.issue()).await.unwrap_or_else(|_| late());
    outcome.map_err(|trouble| failure(&host, trouble, run.client.retry_after(app.clock.now())))
}

struct Run<'a> {
    app: &'a Arc<App>,
    wanted: &'a Wanted,
    certificates: &'a Certificates,
    client: AcmeClient,
}

/// Challenges that can be found here, for as long as this lives.
struct Shown<'a> {
    certificates: &'a Certificates,
    tokens: Vec<String>,
}

impl Drop for Shown<'_> {
    fn drop(&mut self) {
        self.tokens.iter().for_each(|token| self.certificates.set_challenge(token, None));
    }
}

impl Run<'_> {
    async fn issue(&self) -> Outcome<Kept> {
        // Before anything is asked that could not be kept.
        self.app.vault.may_seal()?;
        let mut order = match self.order(&self.account().await?).await {
            // Somebody has deleted the account, or it is one of another authority at the same address.
            Err(Trouble::Library(Error::Api(problem))) if is(&problem, "accountDoesNotExist") => {
                let directory = self.wanted.directory.clone();
                self.app.store.write(move |tx| acme::forget_account(tx, &directory)).await?;
                self.order(&self.account().await?).await?
            }
            order => order?,
        };
        let mut shown = Shown { certificates: self.certificates, tokens: Vec::new() };
        self.show(&mut order, &mut shown).await?;
        let patience = RetryPolicy::default().timeout(POLL_TIME_MAX);
        let seen = match order.poll_ready(&patience).await {
            // Of an order that is over, the names say which of them was not proved.
            Err(Error::Api(_)) if order.state().status == OrderStatus::Invalid => OrderStatus::Invalid,
            seen => seen?,
        };
        match seen {
            OrderStatus::Ready | OrderStatus::Valid => {}
            OrderStatus::Invalid => return Err(unproved(&mut order).await?),
            _ => {
                return Err(Trouble::Words(format!(
                    "{} did not look at the names in time",
                    self.client.host()
                )));
            }
        }
        let key = order.finalize().await?;
        let chain = order.poll_certificate(&patience).await?;
        Ok(Kept { wanted: self.wanted.clone(), chain, key })
    }

    /// The account at the authority, made where there is none.
    async fn account(&self) -> Outcome<Account> {
        let (directory, contact) = (&self.wanted.directory, &self.app.config.tls.acme.contact);
        let uri = contact.as_ref().map(|contact| format!("mailto:{contact}"));
        let contacts: Vec<&str> = uri.iter().map(String::as_str).collect();
        let known = self.app.store.read(|tx| acme::account(tx, &self.app.vault, directory))?;
        let credentials = known.as_ref().and_then(|known| serde_json::from_str(&known.credentials).ok());
        let builder = Account::builder_with_http(Box::new(self.client.clone()));
        if let (Some(known), Some(credentials)) = (known, credentials) {
            let account = builder.from_credentials(credentials).await?;
            if known.contact != *contact {
                account.update_contacts(&contacts).await?;
                self.keep(Opened { contact: contact.clone(), ..known }).await?;
            }
            return Ok(account);
        }
        let new =
            NewAccount { contact: &contacts, terms_of_service_agreed: true, only_return_existing: false };
        let (account, credentials) = builder.create(&new, directory.clone(), None).await?;
        let credentials = serde_json::to_string(&credentials)
            .map_err(|cause| Trouble::Words(format!("the account cannot be kept: {cause}")))?;
        self.keep(Opened { credentials, contact: contact.clone() }).await?;
        Ok(account)
    }

    async fn keep(&self, account: Opened) -> Outcome<()> {
        let (vault, ids) = (Arc::clone(&self.app.vault), Arc::clone(&self.app.ids));
        let directory = self.wanted.directory.clone();
        let write =
            move |tx: &crate::store::WriteTx| acme::keep_account(tx, &vault, &ids, &directory, &account);
        Ok(self.app.store.write(write).await?)
    }

    async fn order(&self, account: &Account) -> Outcome<Order> {
        let names: Vec<Identifier> = self.wanted.names.iter().cloned().map(Identifier::Dns).collect();
        Ok(account.new_order(&NewOrder::new(&names)).await?)
    }

    /// Has everything found here that the authority looks for, and lets it look.
    async fn show(&self, order: &mut Order, shown: &mut Shown<'_>) -> Outcome<()> {
        let mut authorizations = order.authorizations();
        while let Some(authorization) = authorizations.next().await {
            let mut authorization = authorization?;
            match authorization.status {
                AuthorizationStatus::Pending => {}
                AuthorizationStatus::Valid => continue,
                _ => {
                    let name = authorization.identifier().to_string();
                    return Err(Trouble::Unproved { name, problem: None });
                }
            }
            let none = || Trouble::Words(format!("{} does not look by HTTP (http-01)", self.client.host()));
            let mut challenge = authorization.challenge(ChallengeType::Http01).ok_or_else(none)?;
            let answer = challenge.key_authorization().as_str().to_owned();
            shown.tokens.push(challenge.token.clone());
            self.certificates.set_challenge(&challenge.token, Some(answer));
            challenge.set_ready().await?;
        }
        Ok(())
    }
}

/// The first name that was not proved, and why it was not.
async fn unproved(order: &mut Order) -> Outcome<Trouble> {
    let mut authorizations = order.authorizations();
    while let Some(authorization) = authorizations.next().await {
        let mut authorization = authorization?;
        authorization.refresh().await?;
        if !matches!(authorization.status, AuthorizationStatus::Valid) {
            let name = authorization.identifier().to_string();
            let problem = authorization.challenges.iter().find_map(|challenge| challenge.error.clone());
            return Ok(Trouble::Unproved { name, problem });
        }
    }
    Ok(Trouble::Words("the order was refused, and nothing says why".into()))
}

fn is(problem: &Problem, name: &str) -> bool {
    problem.r#type.as_deref().and_then(|kind| kind.strip_prefix(PROBLEM)) == Some(name)
}

/// What of it the operator reads, and what follows for the next try.
fn failure(host: &str, trouble: Trouble, retry_after: Option<i64>) -> Failure {
    let seen = |sentence: String| Failure { sentence, was_seen: true, wait_seconds: retry_after };
    let unseen = |sentence: String| Failure { sentence, was_seen: false, wait_seconds: None };
    match trouble {
        Trouble::Library(Error::Api(problem)) => seen(in_words(host, &problem)),
        // What others have sent is not repeated.
        Trouble::Library(Error::Json(_)) => Failure {
            wait_seconds: retry_after,
            ..unseen(format!("{host} does not answer as an authority with ACME does"))
        },
        Trouble::Library(cause) => Failure { wait_seconds: retry_after, ..unseen(cause.to_string()) },
        Trouble::Unproved { name, problem } => {
            let words = problem.map_or_else(String::new, |problem| format!(": {}", in_words(host, &problem)));
            seen(format!("{host} could not make sure that {name} leads to this server{words}"))
        }
        Trouble::Words(words) => unseen(words),
        Trouble::Own(cause) => unseen(cause.to_string()),
    }
}

/// What the authority says, and what is to be done about it.
fn in_words(host: &str, problem: &Problem) -> String {
    let detail: String = problem.detail.iter().flat_map(|text| text.chars()).collect();
    let plain = detail.chars().map(|letter| if letter.is_control() { ' ' } else { letter });
    let detail: String = plain.take(WORDS_MAX).collect();
    let kind = problem.r#type.as_deref().unwrap_or_default();
    let to_do = match kind.strip_prefix(PROBLEM).unwrap_or_default() {
        "rateLimited" => format!("{host} limits how often it is asked"),
        "dns" => "the name is not found in the DNS".into(),
        "connection" => {
            "port 80 of the name must lead to --http-redirect-listen, through every firewall".into()
        }
        "unauthorized" | "incorrectResponse" => {
            "something else answers at port 80 of the name, which must lead to --http-redirect-listen".into()
        }
        "rejectedIdentifier" => format!("{host} issues no certificate for one of the names in --acme-domain"),
        "caa" => format!("the CAA record of a name does not let {host} issue certificates for it"),
        "invalidContact" | "unsupportedContact" => {
            format!("{host} does not take the address in --acme-contact")
        }
        "externalAccountRequired" => {
            format!("{host} wants an account that is made elsewhere, which orgd can't use")
        }
        "userActionRequired" => format!("{host} wants its new terms of service to be agreed to"),
        _ => format!("{host} refused"),
    };
    if detail.is_empty() { to_do } else { format!("{to_do} (\u{201c}{detail}\u{201d})") }
}
