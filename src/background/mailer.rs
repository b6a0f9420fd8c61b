//! Sends the mails of the outbox; those that could not be sent are tried again later.

use std::sync::Arc;
use std::time::Duration;

use lettre::message::header::{Header, HeaderName, HeaderValue};
use lettre::message::{Mailbox, MultiPart};
use lettre::{AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor};
use sha2::{Digest, Sha256};
use tracing::{info, warn};

use super::task::Task;
use crate::api::idn::ascii_address;
use crate::app::App;
use crate::clock::Time;
use crate::config::{self, Config, Mode};
use crate::error::Result;
use crate::ids::{InviteId, MailId};
use crate::resources::invites;
use crate::resources::outbox::{self, Mail, Outgoing, Tried};
use crate::store::{TableInfo, Tx};
use crate::test_server::TestServer;
use crate::test_server::faults::{Action, CannedBody};
use crate::test_server::mailbox::SentMail;

type SmtpTransport = AsyncSmtpTransport<Tokio1Executor>;

/// Mails that one run sends.
const BATCH: usize = 20;
/// How long the mail server may take for each step.
const SMTP_TIMEOUT: Duration = Duration::from_secs(20);

/// Checks the mail settings, so that a mistake shows at the start and not with the first invite.
pub fn check(smtp_url: Option<&str>, from: &str) -> std::result::Result<(), String> {
    smtp_url.map_or(Ok(()), |url| transport(url).map(drop))?;
    let address = from.parse::<Mailbox>().map(drop);
    address.map_err(|_| {
        let used = config::used("--mail-from", "ORGD_MAIL_FROM", from);
        format!("{used}: an address is wanted, such as `orgd <orgd@example.com>`")
    })
}

fn transport(url: &str) -> std::result::Result<SmtpTransport, String> {
    let tls = url
        .split_once('?')
        .and_then(|(_, query)| query.split('&').find_map(|pair| pair.strip_prefix("tls=")));
    if tls.is_some_and(|tls| !["required", "opportunistic"].contains(&tls)) {
        return Err("ORGD_SMTP_URL: `tls` is `required` or `opportunistic`".into());
    }
    let builder = SmtpTransport::from_url(url)
        .map_err(|cause| format!("ORGD_SMTP_URL is not the address of a mail server: {cause}"))?;
    Ok(builder.timeout(Some(SMTP_TIMEOUT)).build())
}

/// The task.
pub(super) struct Mailer {
    transport: Transport,
    from: Mailbox,
}

/// Where mails go.
enum Transport {
    Smtp(Box<SmtpTransport>),
    /// No further: a test server keeps them for whoever reads them there.
    Kept,
}

impl Mailer {
    /// `None` where no mail is sent.
    pub(super) fn of(app: &App) -> Option<Mailer> {
        let config: &Config = &app.config;
        let transport = match config.smtp_url.as_deref() {
            // Whatever is set, no mail leaves a test server.
            _ if config.mode() == Some(Mode::Test) => Transport::Kept,
            Some(url) => Transport::Smtp(Box::new(transport(url).ok()?)),
            None => return None,
        };
        Some(Mailer { transport, from: config.mail_from.parse().ok()? })
    }
}

impl Task for Mailer {
    const NAME: &'static str = "mailer";
    const EVERY_SECONDS: i64 = 30;

    fn wakes_on() -> Vec<TableInfo> {
        vec![outbox::OUTBOX.info()]
    }

    /// Sends what is due, a batch at most.
    async fn turn(&mut self, app: &Arc<App>) -> Result<()> {
        let now = app.clock.now();
        let (due, _) = app.store.read(|tx| outbox::due(tx, now, BATCH))?;
        for (id, mail) in due {
            self.send(app, id, mail).await?;
        }
        Ok(())
    }

    fn next_due(&self, app: &App, tx: &Tx) -> Result<Option<Time>> {
        let now = app.clock.now();
        let (due, next) = outbox::due(tx, now, 1)?;
        Ok(if due.is_empty() { next } else { Some(now) })
    }
}

impl Mailer {
    async fn send(&self, app: &App, id: MailId, mail: Mail) -> Result<()> {
        // It may have been queued anew since it was seen to be due.
        let mut queued_at = mail.created_at;
        let outcome = match app.store.read(|tx| outbox::outgoing(tx, &app.vault, id))? {
            Outgoing::Gone => return Ok(()),
            Outgoing::Unreadable => Err((true, "its link was sealed with another secret key".to_owned())),
            Outgoing::Ready(mail) => {
                queued_at = mail.created_at;
                self.deliver(app, id, &mail).await
            }
        };
        let tried = match outcome {
            Ok(()) => {
                info!(mail = %id, attempt = mail.attempts + 1, "a mail was sent");
                Tried::Sent
            }
            Err((for_good, cause)) => {
                warn!(mail = %id, attempt = mail.attempts + 1, for_good, %cause, "a mail could not be sent");
                if for_good { Tried::Refused(cause) } else { Tried::Failed(cause) }
            }
        };
        let now = app.clock.now();
        let settled = app.store.write(move |tx| outbox::settle(tx, id, queued_at, &tried, now)).await;
        if let Some(server) = &app.test_server {
            server.mailbox.tried();
        }
        settled
    }

    /// Hands the mail over; or why not, and whether that is for good.
    async fn deliver(&self, app: &App, id: MailId, mail: &Mail) -> std::result::Result<(), (bool, String)> {
        let message = message(&self.from, id, mail).map_err(|cause| (true, cause))?;
        if let Some(server) = &app.test_server {
            staged(server, &mail.to).await?;
        }
        if let Transport::Smtp(transport) = &self.transport {
            transport.send(message).await.map_err(|cause| {
                let for_good = cause.is_permanent() && !is_about_the_sender(&cause);
                (for_good, cause.to_string())
            })?;
        }
        if let Some(server) = &app.test_server {
            let invite = InviteId(id.0);
            let is_invite = app.store.read(|tx| invites::of_mail(tx, &mail.to, invite));
            let invite = is_invite.ok().flatten().map(|_| invite);
            let parts = [mail.text.as_str(), &mail.html];
            server.mailbox.keep(SentMail::new(app.clock.now(), &mail.to, &mail.subject, parts, invite));
        }
        Ok(())
    }
}

/// What goes wrong with a mail on a test server, where a rule says so.
async fn staged(server: &TestServer, to: &str) -> std::result::Result<(), (bool, String)> {
    let Some(fired) = server.faults.meet_mail(to) else { return Ok(()) };
    server.pause(fired.plan.delay).await;
    match fired.plan.action {
        None | Some(Action::Cut(_)) => Ok(()),
        Some(Action::Answer(answer)) => {
            let said = match &answer.body {
                Some(CannedBody::Json(text) | CannedBody::Text(text)) => text.as_str(),
                None => "as a rule says",
            };
            Err((answer.status >= 500, format!("{} {said}", answer.status)))
        }
        Some(Action::Reset) => Err((false, "the connection was reset".to_owned())),
        Some(Action::Silence(time)) => {
            server.pause(time.min(SMTP_TIMEOUT)).await;
            Err((false, "the mail server did not answer".to_owned()))
        }
    }
}

/// Whether the server refuses this program and not the mail: the operator can mend that while the mail waits.
fn is_about_the_sender(cause: &lettre::transport::smtp::Error) -> bool {
    // Authentication, encryption, and being let in at all.
    const CODES: [u16; 6] = [521, 523, 530, 534, 535, 538];
    cause.status().is_some_and(|code| CODES.contains(&code.into()))
}

/// A mail that is tried again keeps its `Message-ID`, so that one that came twice is known as one. An invite that is
/// mailed again on demand is another mail.
fn message_id(from: &Mailbox, id: MailId, queued_at: Time) -> String {
    // The identifier of an invite's mail is that of the invite, and nobody's business.
    let digest =
        Sha256::digest([b"message-id".as_slice(), id.0.as_bytes(), &queued_at.0.to_be_bytes()].concat());
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest[..16]);
    format!("<{}@{}>", uuid::Builder::from_custom_bytes(bytes).into_uuid(), domain(from))
}

/// Says that no person wrote the mail, so that no program answers it (RFC 3834).
#[derive(Clone)]
struct AutoSubmitted;

impl Header for AutoSubmitted {
    fn name() -> HeaderName {
        HeaderName::new_from_ascii_str("Auto-Submitted")
    }

    fn parse(_: &str) -> std::result::Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        Ok(AutoSubmitted)
    }

    fn display(&self) -> HeaderValue {
        HeaderValue::new(Self::name(), "auto-generated".to_owned())
    }
}

fn message(from: &Mailbox, id: MailId, mail: &Mail) -> std::result::Result<Message, String> {
    let to: Mailbox =
        ascii_address(&mail.to).parse().map_err(|cause| format!("the address is unusable: {cause}"))?;
    Message::builder()
        .message_id(Some(message_id(from, id, mail.created_at)))
        .from(from.clone())
        .to(to)
        .subject(&mail.subject)
        .header(AutoSubmitted)
        .multipart(MultiPart::alternative_plain_html(mail.text.clone(), mail.html.clone()))
        .map_err(|cause| format!("the mail could not be put together: {cause}"))
}

/// The sender's domain in plain letters.
fn domain(from: &Mailbox) -> String {
    let domain = from.email.domain();
    let plain = url::Host::parse(domain).map(|host| host.to_string());
    plain.unwrap_or_else(|_| domain.to_owned())
}
