//! Where organizations are that a file is about: a data file, by its server or by itself, or a server somewhere.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use orgd::config;
use orgd::control::{Failure, Request};
use orgd::org_file::export::Wish;
use orgd::org_file::plan::{Options, Plan};
use orgd::outbound::{AddressPolicy, Outbound, SendError, SendRequest};
use serde_json::{Value, json};
use tokio::sync::watch;
use url::{Host, Url};

use super::data::ask_lines;

/// How long a server may take.
const TIME_MAX: Duration = Duration::from_secs(120);
/// Largest answer, in bytes.
const BYTES_MAX: usize = 64 * 1024 * 1024;

/// A place with organizations.
pub(super) enum Target {
    Data(PathBuf),
    Url { base: Url, key: String },
}

/// What a target refuses: a sentence, and what of the file it is about.
pub(super) struct Trouble {
    pub(super) sentence: String,
    pub(super) field: Option<String>,
}

impl From<String> for Trouble {
    fn from(sentence: String) -> Trouble {
        Trouble { sentence, field: None }
    }
}

impl From<Failure> for Trouble {
    fn from(Failure { sentence, field }: Failure) -> Trouble {
        Trouble { sentence, field }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Target::Data(path) => write!(out, "{}", path.display()),
            Target::Url { base, .. } => out.write_str(base.as_str().trim_end_matches('/')),
        }
    }
}

impl Target {
    /// A server, with the key of the environment. The key and secrets travel in the open to this machine only.
    pub(super) fn url(text: &str) -> Result<Target, String> {
        let odd = || format!("{text}: an address is wanted, such as https://orgd.example.com");
        let base = Url::parse(text).map_err(|_| odd())?;
        let is_here = match base.host().ok_or_else(odd)? {
            Host::Ipv4(ip) => ip.is_loopback(),
            Host::Ipv6(ip) => ip.is_loopback(),
            Host::Domain(name) => name == "localhost",
        };
        if base.scheme() != "https" && !(base.scheme() == "http" && is_here) {
            return Err(format!("{text}: keys and secrets travel over https only, but to this machine"));
        }
        if base.query().is_some() || !base.username().is_empty() || base.password().is_some() {
            return Err(odd());
        }
        let key = config::client_key()?;
        let key = key.ok_or("ORGD_KEY (or ORGD_KEY_FILE) is wanted: a key of an owner with scope `*`")?;
        Ok(Target::Url { base, key })
    }

    /// Plans the file, or applies it.
    pub(super) async fn apply(
        &self,
        file: &Value,
        options: &Options,
        base: Option<&str>,
        dry_run: bool,
    ) -> Result<Plan, Trouble> {
        let answer = match self {
            Target::Data(data) => {
                let request = Request::ApplyFile {
                    file: file.clone(),
                    options: options.clone(),
                    base: base.map(str::to_owned),
                    dry_run,
                };
                self.ask(data, request).await?
            }
            Target::Url { .. } => {
                let mut body = json!(options);
                body["file"] = file.clone();
                body["base"] = base.into();
                let tail = if dry_run { "api/orgd/apply/?dry_run=true" } else { "api/orgd/apply/" };
                self.send("POST", tail, Some(&body)).await?
            }
        };
        serde_json::from_value(answer).map_err(|cause| format!("the plan is odd: {cause}").into())
    }

    /// Organizations as a file.
    pub(super) async fn export(&self, wish: &Wish) -> Result<String, Trouble> {
        let answer = match self {
            Target::Data(data) => {
                let Wish { organizations, without_ids } = wish.clone();
                self.ask(data, Request::ExportFile { organizations, without_ids }).await?
            }
            Target::Url { .. } => {
                let mut query = form_urlencoded::Serializer::new(String::new());
                for name in &wish.organizations {
                    query.append_pair("organization", name);
                }
                if wish.without_ids {
                    query.append_pair("without_ids", "true");
                }
                self.send("GET", &format!("api/orgd/export/?{}", query.finish()), None).await?
            }
        };
        let text = answer["file"].as_str().map(str::to_owned);
        text.ok_or_else(|| "the answer holds no file".to_owned().into())
    }

    async fn ask(&self, data: &std::path::Path, request: Request) -> Result<Value, Trouble> {
        let mut answer = Value::Null;
        ask_lines(data, request, |line| {
            answer = line;
            Ok(())
        })
        .await?;
        Ok(answer)
    }

    async fn send(&self, method: &'static str, tail: &str, body: Option<&Value>) -> Result<Value, Trouble> {
        let Target::Url { base, key } = self else { return Ok(Value::Null) };
        let whole = format!("{}/{tail}", base.as_str().trim_end_matches('/'));
        let url = Url::parse(&whole).map_err(|cause| format!("{self}: {cause}"))?;
        let mut headers =
            vec![("authorization", format!("Bearer {key}")), ("accept", "application/json".into())];
        headers.extend(body.map(|_| ("content-type", "application/json".to_owned())));
        let body = body.map(|body| body.to_string()).unwrap_or_default();
        let request =
            SendRequest { method, url, headers, body: body.into(), time_max: TIME_MAX, bytes_max: BYTES_MAX };
        let policy = AddressPolicy::parse("0.0.0.0/0,::/0")?;
        let (progress, _steps) = watch::channel(());
        let answer = Outbound::new(policy).send(request, progress).await.map_err(|cause| match cause {
            SendError::Refused(refused) => refused.to_string(),
            SendError::Unusable(text)
            | SendError::Unreachable(text)
            | SendError::Broken(text)
            | SendError::Late(text) => text,
        })?;
        let value: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        if answer.status == 200 && answer.is_whole {
            return Ok(value);
        }
        let detail = value["detail"].as_str().map(str::to_owned);
        let detail = detail.unwrap_or_else(|| format!("{self} answers {}", answer.status));
        Err(Trouble { sentence: detail, field: value["attr"].as_str().map(str::to_owned) })
    }
}
