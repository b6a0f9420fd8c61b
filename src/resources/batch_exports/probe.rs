//! The steps of the tests, one function each: it connects, and says what is wrong or what else there is to know.
//! What servers of private networks answer is not shown, and no secret is.

use std::time::Duration;

use bytes::Bytes;
use postgres_protocol::escape::{escape_identifier, escape_literal};
use rusty_s3::{Bucket, Credentials, S3Action};
use serde_json::{Map, Value};
use tokio::sync::watch;
use tokio_postgres::{Error, SimpleQueryMessage};
use url::Url;
use uuid::Uuid;

use super::bucket::bucket;
use super::destination::{Kind, lacking};
use crate::app::App;
use crate::outbound::postgres::{ConnectError, Database, Session};
use crate::outbound::{SendError, SendRequest, SendResponse, reason, shown};

/// What a step that has passed says besides, or why it has failed.
type Found = Result<Option<String>, String>;

const SIGNATURE_LIFETIME: Duration = Duration::from_secs(5 * 60);
const REQUEST_TIMEOUT: Duration = Duration::from_secs(120);
const ANSWER_BYTES_MAX: usize = 16 * 1024;

/// The configuration of a destination, secrets included.
pub(super) struct Settings(Map<String, Value>);

impl Settings {
    pub(super) fn new(all: Map<String, Value>) -> Settings {
        Settings(all)
    }

    fn text(&self, name: &str) -> &str {
        self.0.get(name).and_then(Value::as_str).unwrap_or_default()
    }

    fn text_or<'a>(&'a self, name: &str, otherwise: &'a str) -> &'a str {
        Some(self.text(name)).filter(|text| !text.is_empty()).unwrap_or(otherwise)
    }

    fn flag(&self, name: &str) -> bool {
        self.0.get(name).and_then(Value::as_bool).unwrap_or(false)
    }
}

/// Runs a step of the test of this type of destination.
pub(super) async fn run(app: &App, kind: Kind, settings: &Settings, step: usize) -> Found {
    if let Some(name) = lacking(kind, &settings.0) {
        return Err(format!("The configuration lacks '{name}'."));
    }
    match (kind, step) {
        (Kind::S3, 0) => find_bucket(app, settings).await,
        (Kind::S3, _) => write_file(app, settings).await,
        (Kind::Postgres | Kind::Redshift, 0) => {
            open_session(app, kind, settings).await?.close().await;
            Ok(None)
        }
        (Kind::Postgres | Kind::Redshift, _) => write_table(app, kind, settings).await,
        (Kind::Http, _) => find_host(app, settings).await,
        (Kind::Snowflake | Kind::BigQuery | Kind::NoOp, _) => Err("There is no test of this type.".into()),
    }
}

async fn send(app: &App, request: SendRequest) -> Result<SendResponse, String> {
    let (progress, _signs) = watch::channel(());
    app.outbound.send(request, progress).await.map_err(|cause| match cause {
        SendError::Refused(refused) => format!("{refused}."),
        SendError::Unusable(reason)
        | SendError::Unreachable(reason)
        | SendError::Broken(reason)
        | SendError::Late(reason) => {
            format!("{reason}.")
        }
    })
}

async fn find_host(app: &App, settings: &Settings) -> Found {
    let url = Url::parse(settings.text("url")).ok();
    let url = url.filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    let url = url.ok_or("The url must begin with http:// or https://.")?;
    let request = SendRequest {
        method: "GET",
        url,
        headers: Vec::new(),
        body: Bytes::new(),
        time_max: REQUEST_TIMEOUT,
        bytes_max: ANSWER_BYTES_MAX,
    };
    let host = shown(&request.url);
    let status = send(app, request).await?.status;
    if status >= 500 { Err(format!("{host} answered {status}.")) } else { Ok(None) }
}

/// A bucket, and who writes to it.
struct Target {
    bucket: Bucket,
    credentials: Option<Credentials>,
}

impl Target {
    fn of(settings: &Settings) -> Result<Target, String> {
        let text = |name| settings.text(name);
        let by_host = settings.flag("use_virtual_style_addressing");
        let bucket = bucket(text("endpoint_url"), text("region"), text("bucket_name"), by_host)
            .map_err(|reason| format!("{reason}."))?;
        let keys = [text("aws_access_key_id"), text("aws_secret_access_key")];
        let has_keys = keys.iter().all(|key| !key.is_empty());
        Ok(Target { bucket, credentials: has_keys.then(|| Credentials::new(keys[0], keys[1])) })
    }

    /// Sends a signed request; anything but success is an error.
    async fn send<'a>(
        &'a self,
        app: &App,
        method: &'static str,
        mut action: impl S3Action<'a>,
        headers: Vec<(&'static str, String)>,
        body: &'static str,
    ) -> Result<(), String> {
        for (name, value) in &headers {
            action.headers_mut().insert(*name, value.clone());
        }
        let now = jiff::Timestamp::from_microsecond(app.clock.now().0).unwrap_or_default();
        let request = SendRequest {
            method,
            url: action.sign_with_time(SIGNATURE_LIFETIME, &now),
            headers,
            body: Bytes::from_static(body.as_bytes()),
            time_max: REQUEST_TIMEOUT,
            bytes_max: ANSWER_BYTES_MAX,
        };
        match send(app, request).await?.status {
            200..=299 => Ok(()),
            status @ (401 | 403) => Err(format!("Access is denied (status: {status}).")),
            404 => Err("There is no such bucket (status: 404).".into()),
            status @ (301 | 307 | 308) => Err(format!("The bucket is elsewhere (status: {status}).")),
            status => Err(format!("The request is refused (status: {status}).")),
        }
    }
}

async fn find_bucket(app: &App, settings: &Settings) -> Found {
    let target = Target::of(settings)?;
    let action = target.bucket.head_bucket(target.credentials.as_ref());
    target.send(app, "HEAD", action, Vec::new(), "").await.map(|()| None)
}

async fn write_file(app: &App, settings: &Settings) -> Found {
    let target = Target::of(settings)?;
    let key = probe_key(settings.text("prefix"), app.ids.uuid(app.clock.now()));
    let header = |name, setting| Some((name, Some(settings.text(setting)).filter(|text| !text.is_empty())?));
    let headers = [
        header("x-amz-server-side-encryption", "encryption"),
        header("x-amz-server-side-encryption-aws-kms-key-id", "kms_key_id"),
    ];
    let headers = headers.into_iter().flatten().map(|(name, value)| (name, value.to_owned())).collect();
    let action = target.bucket.put_object(target.credentials.as_ref(), &key);
    target.send(app, "PUT", action, headers, "A test of a batch export. It may be deleted.\n").await?;
    let action = target.bucket.delete_object(target.credentials.as_ref(), &key);
    match target.send(app, "DELETE", action, Vec::new(), "").await {
        Ok(()) => Ok(None),
        Err(reason) => Ok(Some(format!("The file '{key}' was written, but not deleted again: {reason}"))),
    }
}

/// A name in the folder that the prefix begins with, as far as it is no template.
fn probe_key(prefix: &str, id: Uuid) -> String {
    let plain = prefix.split('{').next().unwrap_or_default();
    let folder = plain.rsplit_once('/').map_or("", |(folder, _)| folder);
    let folder = if plain.len() == prefix.len() { plain } else { folder };
    format!("{}/orgd-test-{id}.txt", folder.trim_matches('/')).trim_start_matches('/').to_owned()
}

async fn open_session(app: &App, kind: Kind, settings: &Settings) -> Result<Session, String> {
    let host = settings.text("host");
    if host.is_empty() || host.contains(['/', '\\', '\0', '@']) {
        return Err("The host must be the name or the address of a server.".into());
    }
    let default_port = if kind == Kind::Redshift { 5439 } else { 5432 };
    let port = settings.0.get("port").and_then(Value::as_u64).filter(|port| *port > 0);
    let port = port.map_or(Ok(default_port), u16::try_from);
    let database = Database {
        host,
        port: port.map_err(|_| "The port is no number of a port.")?,
        name: settings.text("database"),
        user: settings.text("user"),
        password: settings.text("password"),
        roots: (!settings.flag("has_self_signed_cert")).then(|| app.config.exports.export_root_certs.clone()),
    };
    app.outbound.session(&database).await.map_err(|cause| match cause {
        ConnectError::Forbidden(refused) => format!("{refused}."),
        ConnectError::Failed(cause) | ConnectError::Insecure(cause) => {
            format!("{host} could not be reached: {cause}.")
        }
        ConnectError::Refused { error, is_public } => described(&error, is_public),
    })
}

async fn write_table(app: &App, kind: Kind, settings: &Settings) -> Found {
    let session = open_session(app, kind, settings).await?;
    let found = write_table_in(app, &session, settings).await;
    session.close().await;
    found
}

async fn write_table_in(app: &App, session: &Session, settings: &Settings) -> Found {
    let (schema, table) = (settings.text_or("schema", "public"), settings.text_or("table_name", "events"));
    if [schema, table].iter().any(|name| name.contains('\0')) {
        return Err("A name holds a character that no name can have.".into());
    }
    let failed = |error: Error| described(&error, session.is_public);
    let find = format!(
        "SELECT has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(c.oid, 'INSERT') FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace WHERE n.nspname = {} AND c.relname = {}",
        escape_literal(schema),
        escape_literal(table)
    );
    let answer = session.client.simple_query(&find).await.map_err(failed)?;
    let may_insert = answer.iter().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => Some(row.get(0) == Some("t")),
        _ => None,
    });
    match may_insert {
        Some(true) => return Ok(None),
        Some(false) => return Err("The user may not insert rows into the table.".into()),
        None => {}
    }
    // Nothing of it stays.
    let name = format!("orgd_test_{}", app.ids.uuid(app.clock.now()).simple());
    let made = format!("{}.{}", escape_identifier(schema), escape_identifier(&name));
    let statements = format!("BEGIN; CREATE TABLE {made} (number INTEGER); ROLLBACK");
    session.client.batch_execute(&statements).await.map(|()| None).map_err(failed)
}

/// What is shown of an error: of a server in a private network, nothing but its code.
fn described(error: &Error, is_public: bool) -> String {
    match (error.as_db_error(), error.code()) {
        (Some(answer), _) if is_public => format!("The server answered: {}.", answer.message()),
        (_, Some(code)) if is_code(code.code()) => {
            format!("The server answered with SQLSTATE {}.", code.code())
        }
        (_, Some(_)) => "The server refused.".into(),
        (_, None) => format!("{}.", reason(error)),
    }
}

/// Five letters and digits, as the protocol has it.
fn is_code(code: &str) -> bool {
    code.len() == 5 && code.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_of_a_test_lies_where_those_of_the_export_do() {
        let id = Uuid::nil();
        for (prefix, folder) in [
            ("", ""),
            ("/", ""),
            ("events", "events/"),
            ("/a/b/", "a/b/"),
            ("a/{year}-{month}", "a/"),
            ("a/b{year}", "a/"),
            ("{table}", ""),
        ] {
            assert_eq!(probe_key(prefix, id), format!("{folder}orgd-test-{id}.txt"), "{prefix}");
        }
    }
}
