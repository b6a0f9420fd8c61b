//! The configuration of a destination, as it was opened for an attempt.

use serde_json::{Map, Value};
use url::Url;

use crate::resources::batch_exports::destination::Kind;

/// The settings of a destination by name, secrets included.
pub(super) struct DestinationSettings {
    kind: Kind,
    all: Map<String, Value>,
}

impl DestinationSettings {
    pub(super) fn new(kind: Kind, all: Map<String, Value>) -> DestinationSettings {
        DestinationSettings { kind, all }
    }

    pub(super) fn all(&self) -> &Map<String, Value> {
        &self.all
    }

    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.all.get(name).and_then(Value::as_str)
    }

    /// A number that is greater than zero.
    pub(super) fn number(&self, name: &str) -> Option<u64> {
        self.all.get(name).and_then(Value::as_u64).filter(|number| *number > 0)
    }

    /// Missing flags are off.
    pub(super) fn flag(&self, name: &str) -> bool {
        self.all.get(name).and_then(Value::as_bool).unwrap_or(false)
    }

    /// A list that is not empty.
    pub(super) fn list(&self, name: &str) -> Option<&[Value]> {
        self.all.get(name).and_then(Value::as_array).map(Vec::as_slice).filter(|list| !list.is_empty())
    }

    /// Schema and name of the table in a database.
    pub(super) fn schema_and_table(&self) -> (&str, &str) {
        let text = |name: &str| self.text(name).filter(|text| !text.is_empty());
        (text("schema").unwrap_or("public"), text("table_name").unwrap_or("events"))
    }

    /// Where the data is sent, for the log; nothing secret.
    pub(super) fn described(&self) -> String {
        let text = |name: &str| self.text(name).unwrap_or_default();
        match self.kind {
            Kind::Http => format!(" to HTTP endpoint: {}", without_credentials(text("url"))),
            Kind::NoOp => String::new(),
            Kind::S3 => format!(" to S3: {}/{}", text("bucket_name"), text("prefix")),
            Kind::Postgres | Kind::Redshift => {
                let name = if self.kind == Kind::Postgres { "PostgreSQL" } else { self.kind.name() };
                let (schema, table) = self.schema_and_table();
                format!(" to {name}: {}.{schema}.{table}", text("database"))
            }
            kind => format!(" to {}", kind.name()),
        }
    }
}

/// The URL without a user name and password.
fn without_credentials(url: &str) -> String {
    let Ok(mut url) = Url::parse(url) else { return "(not an address)".into() };
    let is_plain = url.set_username("").is_ok() && url.set_password(None).is_ok();
    if is_plain { url.to_string() } else { url.scheme().to_owned() }
}
