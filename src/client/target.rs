//! Where requests go: to a server, or to a data file of this machine.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;
use tokio::sync::watch;

use super::{Failure, Host, Profiles};
use crate::api::Method;
use crate::config::{self, Config};
use crate::control::{self, ApiAnswer, ApiCall, Request};
use crate::outbound::{AddressPolicy, Outbound, SendError, SendRequest, SendResponse, shown};

/// How long a server may take.
const TIME_MAX: Duration = Duration::from_secs(120);
/// Largest answer, in bytes.
const BYTES_MAX: usize = 32 * 1024 * 1024;

/// A place with an API.
pub enum Target {
    /// The API of a data file, by the server that holds it or in this process.
    Data {
        path: PathBuf,
        user: Option<String>,
    },
    Server(Server),
}

/// A server, and the key that it gets.
pub struct Server {
    pub host: Host,
    key: String,
    outbound: Box<Outbound>,
    /// The profile that both are from.
    pub profile: Option<String>,
    /// The organization that is meant where none is named.
    pub organization: Option<String>,
}

/// What was typed of where to go.
#[derive(Default)]
pub struct Choice {
    pub data: Option<PathBuf>,
    /// In whose name, on a data file.
    pub user: Option<String>,
    pub url: Option<String>,
    pub profile: Option<String>,
    pub allow_http: bool,
}

/// One request.
pub struct Ask {
    pub method: Method,
    /// The path, with its query.
    pub target: String,
    pub body: Option<Value>,
}

/// What was answered.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    /// The body, where it is JSON.
    pub json: Option<Value>,
    /// The body, where it is another text.
    pub text: Option<String>,
    /// The host of a redirect, which is not followed.
    pub leads_to: Option<String>,
}

/// The settings with which a data file is opened: those of the environment.
///
/// # Errors
/// A sentence for the operator.
pub fn settings_of(data: PathBuf) -> Result<Config, String> {
    let config = Config::from_env().map_err(|cause| cause.to_string())?.with_secrets()?;
    Ok(Config { data, ..config })
}

impl Choice {
    /// The target: what was typed, else what the environment names, else the profile that is meant where none is named.
    ///
    /// # Errors
    /// Two were typed, there is none, or its key can't be had.
    pub fn target(self) -> Result<Target, Failure> {
        let of_environment = |name| config::value(name).filter(|_| self.profile.is_none());
        match (&self.data, &self.url, &self.profile) {
            (Some(_), Some(_), _) | (Some(_), _, Some(_)) | (_, Some(_), Some(_)) => {
                return Err(Failure::usage("of --data, --url and --profile, one is enough"));
            }
            (Some(path), ..) => {
                return Ok(Target::Data { path: path.clone(), user: self.user });
            }
            _ if self.user.is_some() => return Err(Failure::usage("--as is for --data only")),
            _ => {}
        }
        let allow_http = self.allow_http;
        if let Some(url) = self.url.or_else(|| of_environment("ORGD_URL")) {
            return Ok(Target::Server(Server::of_environment(&url, allow_http)?));
        }
        let profile = self.profile.or_else(|| config::value("ORGD_PROFILE"));
        Ok(Target::Server(Server::of_profile(profile.as_deref(), allow_http)?))
    }
}

impl Server {
    /// A server with the key of the environment.
    ///
    /// # Errors
    /// The address is none, or the key is missing or for another server.
    pub fn of_environment(url: &str, allow_http: bool) -> Result<Server, Failure> {
        let host = Host::parse(url, allow_http).map_err(|said| with_advice(said, allow_http))?;
        let own = config::value("ORGD_URL").and_then(|own| Host::parse(&own, true).ok());
        if let Some(own) = own.filter(|own| !own.is_of(&host)) {
            return Err(Failure::no_key(format!(
                "ORGD_KEY is for {own}, which ORGD_URL names, and not for {host}"
            ))
            .advise("unset ORGD_URL, or use a profile"));
        }
        let key = config::client_key()?;
        let key = key.ok_or_else(|| {
            Failure::no_key(format!("there is no key for {host}")).advise(
                "put one into ORGD_KEY, or its file into ORGD_KEY_FILE, or use a profile: orgd auth login",
            )
        })?;
        Server::new(host, key)
    }

    /// The server of a profile; of the one that is meant, where none is named.
    ///
    /// # Errors
    /// There is no such profile, or its key can't be had.
    pub fn of_profile(name: Option<&str>, allow_http: bool) -> Result<Server, Failure> {
        let profiles = Profiles::read(Profiles::path()?)?;
        let Some((name, profile)) = profiles.find(name)? else {
            return Err(Failure::no_key("no server is known")
                .advise("orgd auth login --url https://…, or ORGD_URL and ORGD_KEY, or --data FILE"));
        };
        let allow_http = allow_http || profile.allow_http;
        let host = Host::parse(&profile.url, allow_http).map_err(|said| with_advice(said, allow_http))?;
        let server = Server::new(host, profile.key(name)?)?;
        Ok(Server { profile: Some(name.to_owned()), organization: profile.organization.clone(), ..server })
    }

    /// A server with this key.
    ///
    /// # Errors
    /// The key is none that a header can hold.
    pub fn new(host: Host, key: String) -> Result<Server, Failure> {
        if key.is_empty() || !key.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(Failure::no_key("the key is no key: it has letters that no key has, or none"));
        }
        // Whoever types the address may reach it.
        let outbound = Box::new(Outbound::new(AddressPolicy::parse("any")?));
        Ok(Server { host, key, outbound, profile: None, organization: None })
    }

    async fn send(&self, ask: &Ask) -> Result<Answer, Failure> {
        let url = self.host.url(&ask.target).map_err(Failure::usage)?;
        let mut headers = vec![
            ("authorization", format!("Bearer {}", self.key)),
            ("accept", "application/json, */*;q=0.1".to_owned()),
        ];
        headers.extend(ask.body.as_ref().map(|_| ("content-type", "application/json".to_owned())));
        let body = ask.body.as_ref().map(Value::to_string).unwrap_or_default();
        let request = SendRequest {
            method: ask.method.name(),
            url,
            headers,
            body: body.into(),
            time_max: TIME_MAX,
            bytes_max: BYTES_MAX,
        };
        let (progress, _steps) = watch::channel(());
        let answer = self.outbound.send(request, progress).await.map_err(|cause| match cause {
            SendError::Refused(refused) => refused.to_string(),
            SendError::Unusable(text)
            | SendError::Unreachable(text)
            | SendError::Broken(text)
            | SendError::Late(text) => text,
        })?;
        self.read(answer)
    }

    fn read(&self, answer: SendResponse) -> Result<Answer, Failure> {
        if !answer.is_whole {
            let most = BYTES_MAX / 1024 / 1024;
            return Err(format!("the answer of {} broke off, or is longer than {most} MiB", self.host).into());
        }
        let leads_to = answer.header("location").and_then(|to| url::Url::parse(to).ok()).map(|to| shown(&to));
        let json = serde_json::from_slice(&answer.body).ok();
        let text = (json.is_none() && !answer.body.is_empty()).then(|| answer.text());
        Ok(Answer { status: answer.status, json, text, leads_to })
    }
}

fn with_advice(sentence: String, allow_http: bool) -> Failure {
    let failure = Failure::usage(sentence);
    let is_about_http = !allow_http && failure.sentence.contains("https only");
    if is_about_http { failure.advise("--allow-http sends them over http all the same") } else { failure }
}

impl Target {
    /// Sends a request.
    ///
    /// # Errors
    /// There is no answer. A refusal is one.
    pub async fn send(&self, ask: Ask) -> Result<Answer, Failure> {
        match self {
            Target::Server(server) => server.send(&ask).await,
            Target::Data { path, user } => {
                let Ask { method, target, body } = ask;
                let call = ApiCall { method: method.name().to_owned(), target, body, user: user.clone() };
                at_the_machine(path, call).await
            }
        }
    }

    /// The same, for whom a refusal is no answer.
    ///
    /// # Errors
    /// There is no answer, or a refusal.
    pub async fn demand(&self, ask: Ask) -> Result<Answer, Failure> {
        let answer = self.send(ask).await?;
        match answer.status {
            200..=299 => Ok(answer),
            _ => Err(self.refusal(&answer)),
        }
    }

    /// What a refusal says, and what to do.
    pub fn refusal(&self, answer: &Answer) -> Failure {
        let status = answer.status;
        let detail = answer.json.as_ref().and_then(|json| json["detail"].as_str()).map(str::to_owned);
        let attr = answer.json.as_ref().and_then(|json| json["attr"].as_str());
        let sentence = match (detail, &answer.leads_to) {
            (Some(detail), _) => attr.map_or_else(|| detail.clone(), |attr| format!("{attr}: {detail}")),
            (None, Some(to)) => format!("{self} redirects to {to}, where the key is not sent"),
            (None, None) => format!("{self} answers {status}"),
        };
        let code = if status == 401 { Failure::NO_KEY } else { Failure::FAILED };
        let advice = self.advice(status, &sentence);
        Failure { code, sentence, advice }
    }

    fn advice(&self, status: u16, sentence: &str) -> Option<String> {
        let scope = sentence.split_once("required scope '").and_then(|(_, rest)| rest.split('\'').next());
        let is_at_machine = matches!(self, Target::Data { .. });
        match status {
            300..=399 => Some("give the address that it redirects to, if that is the right one".into()),
            401 if is_at_machine => None,
            401 => Some("orgd auth login stores another key".into()),
            403 if let Some(scope) = scope => {
                Some(format!("the key lacks `{scope}`: use one that has it, or give it to this one"))
            }
            403 if sentence.contains("does not support Personal API Key access") => {
                Some("no key does this: the pages of the server do, and at its machine --data FILE".into())
            }
            400 if is_at_machine && sentence.contains("in whose name") => {
                Some("--org names the organization, --as the user".into())
            }
            _ => None,
        }
    }
}

async fn at_the_machine(data: &Path, call: ApiCall) -> Result<Answer, Failure> {
    let settings = || settings_of(data.to_owned());
    let line = control::ask(data, Request::Api(call), settings).await?.line().await?;
    let ApiAnswer { status, json, text } =
        serde_json::from_value(line).map_err(|cause| format!("the answer is odd: {cause}"))?;
    Ok(Answer { status, json, text, leads_to: None })
}

impl std::fmt::Display for Target {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Target::Data { path, .. } => write!(out, "{}", path.display()),
            Target::Server(server) => write!(out, "{}", server.host),
        }
    }
}
