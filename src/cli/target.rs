//! Where organizations are that a file is about: a data file, by its server or opened here, or a server somewhere.

use std::fmt;
use std::path::PathBuf;

use orgd::api::Method;
use orgd::client::{self, Ask};
use orgd::control::{Failure, Request};
use orgd::org_file::export::Wish;
use orgd::org_file::plan::{Options, Plan};
use serde_json::{Value, json};

use super::data::ask_line;

/// A place with organizations.
pub(super) enum Target {
    Data(PathBuf),
    Server(client::Target),
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

impl From<client::Failure> for Trouble {
    fn from(failure: client::Failure) -> Trouble {
        one_sentence(failure).into()
    }
}

/// The sentence, with what to do.
pub(super) fn one_sentence(failure: client::Failure) -> String {
    let client::Failure { sentence, advice, .. } = failure;
    advice.map_or_else(|| sentence.clone(), |advice| format!("{sentence}: {advice}"))
}

impl fmt::Display for Target {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Target::Data(path) => write!(out, "{}", path.display()),
            Target::Server(server) => write!(out, "{server}"),
        }
    }
}

impl Target {
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
                ask_line(data, request).await?
            }
            Target::Server(server) => {
                let mut body = json!(options);
                body["file"] = file.clone();
                body["base"] = base.into();
                let tail = if dry_run { "/api/orgd/apply/?dry_run=true" } else { "/api/orgd/apply/" };
                send(server, Method::Post, tail.to_owned(), Some(body)).await?
            }
        };
        serde_json::from_value(answer).map_err(|cause| format!("the plan is odd: {cause}").into())
    }

    /// Organizations as a file.
    pub(super) async fn export(&self, wish: &Wish) -> Result<String, Trouble> {
        let answer = match self {
            Target::Data(data) => {
                let Wish { organizations, without_ids } = wish.clone();
                ask_line(data, Request::ExportFile { organizations, without_ids }).await?
            }
            Target::Server(server) => {
                let mut query = form_urlencoded::Serializer::new(String::new());
                for name in &wish.organizations {
                    query.append_pair("organization", name);
                }
                if wish.without_ids {
                    query.append_pair("without_ids", "true");
                }
                let target = format!("/api/orgd/export/?{}", query.finish());
                send(server, Method::Get, target, None).await?
            }
        };
        let text = answer["file"].as_str().map(str::to_owned);
        text.ok_or_else(|| "the answer holds no file".to_owned().into())
    }
}

async fn send(
    server: &client::Target,
    method: Method,
    target: String,
    body: Option<Value>,
) -> Result<Value, Trouble> {
    let answer = server.send(Ask { method, target, body }).await?;
    let json = answer.json.as_ref();
    if answer.status == 200 {
        return Ok(json.cloned().unwrap_or_default());
    }
    let text = |name: &str| json.and_then(|json| json[name].as_str()).map(str::to_owned);
    let sentence = text("detail").unwrap_or_else(|| server.refusal(&answer).sentence);
    Err(Trouble { sentence, field: text("attr") })
}
