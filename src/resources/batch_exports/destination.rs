//! Where an export delivers to: the types, the settings of each, and what is wrong with a configuration.
//! Invariant: settings that are secret are stored sealed and are never shown.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::api::fields::{FREE_BYTES_MAX, FieldInfo, FieldKind, bytes_of, python_type_name};
use crate::api::input::field;
use crate::api::{Ctx, Input};
use crate::error::{Error, Result, invalid, invalid_choice};
use crate::ids::BatchExportId;
use crate::store::Json;
use crate::vault::{Sealed, Vault};

/// The type of a destination. Records hold the place in this list: add at the end only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Kind {
    S3,
    Snowflake,
    Postgres,
    Redshift,
    BigQuery,
    Http,
    NoOp,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Holds {
    Text,
    Integer,
    Boolean,
    /// A list of texts.
    Texts,
    /// Anything; it is not looked at.
    Anything,
}

/// Whether a setting is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shown {
    Always,
    /// It says who somebody is, and is nobody's business.
    Never,
    /// It opens something: it is never shown, and follows no change of who receives it.
    Secret,
}

/// One key of a configuration.
struct Setting {
    name: &'static str,
    holds: Holds,
    required: bool,
    nullable: bool,
    shown: Shown,
    /// Whether it decides who receives the secrets.
    receiver: bool,
    /// The number that is meant where none is given.
    otherwise: u64,
    limit: Limit,
}

/// What a value may be, beyond its type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Limit {
    None,
    /// A text that is not empty.
    Filled,
    /// A name of at most so many bytes, which servers cut where it is longer; whether it may be empty.
    Name {
        bytes_max: usize,
        may_be_empty: bool,
    },
    /// The number of a port.
    Port,
}

const fn setting(name: &'static str, holds: Holds) -> Setting {
    Setting {
        name,
        holds,
        required: false,
        nullable: false,
        shown: Shown::Always,
        receiver: false,
        otherwise: 0,
        limit: Limit::None,
    }
}

const fn text(name: &'static str) -> Setting {
    setting(name, Holds::Text)
}

impl Setting {
    const fn required(mut self) -> Setting {
        self.required = true;
        self
    }

    const fn nullable(mut self) -> Setting {
        self.nullable = true;
        self
    }

    const fn hidden(mut self) -> Setting {
        self.shown = Shown::Never;
        self
    }

    const fn secret(mut self) -> Setting {
        self.shown = Shown::Secret;
        self
    }

    const fn receiver(mut self) -> Setting {
        self.receiver = true;
        self
    }

    const fn otherwise(mut self, number: u64) -> Setting {
        self.otherwise = number;
        self
    }

    const fn limited(mut self, limit: Limit) -> Setting {
        self.limit = limit;
        self
    }

    const fn filled(self) -> Setting {
        self.limited(Limit::Filled)
    }

    /// The same as a field of a form. Texts that may be empty may be left out there.
    fn field(&self) -> FieldInfo {
        const SECRET_CHARS_MAX: usize = 10_000;
        let kind = match self.holds {
            Holds::Text if self.shown == Shown::Secret => FieldKind::Secret { chars_max: SECRET_CHARS_MAX },
            Holds::Text | Holds::Anything => FieldKind::Text { chars_max: None },
            Holds::Integer => FieldKind::Integer { min: 0, max: i64::MAX },
            Holds::Boolean => FieldKind::Boolean,
            Holds::Texts => FieldKind::Texts { chars_max: None, nullable_items: false },
        };
        let may_be_empty = matches!(self.limit, Limit::None | Limit::Name { may_be_empty: true, .. });
        let required = self.required && (self.shown == Shown::Secret || !may_be_empty);
        FieldInfo { required, nullable: self.nullable, blank: !required, ..FieldInfo::new(self.name, kind) }
    }

    /// What a configuration means by this setting, where it may say it in several ways or not at all.
    fn meant(&self, config: &Map<String, Value>) -> Value {
        let value = config.get(self.name);
        match self.holds {
            Holds::Text => value.and_then(Value::as_str).unwrap_or_default().into(),
            Holds::Integer => {
                let number = value.and_then(Value::as_u64).filter(|number| *number > 0);
                number.unwrap_or(self.otherwise).into()
            }
            Holds::Boolean => value.and_then(Value::as_bool).unwrap_or(false).into(),
            Holds::Texts | Holds::Anything => value.cloned().unwrap_or_default(),
        }
    }
}

// The name of a bucket is no receiver: it stays below the host of its endpoint (see `s3.rs`).
const S3: &[Setting] = &[
    text("bucket_name").required().filled(),
    text("region").required().receiver(),
    text("prefix").required(),
    text("aws_access_key_id").nullable().hidden(),
    text("aws_secret_access_key").nullable().secret(),
    text("compression").nullable(),
    text("encryption").nullable(),
    text("kms_key_id").nullable(),
    text("endpoint_url").nullable().receiver(),
    text("file_format"),
    setting("max_file_size_mb", Holds::Integer).nullable(),
    setting("use_virtual_style_addressing", Holds::Boolean).receiver(),
];

const SNOWFLAKE: &[Setting] = &[
    text("account").required().receiver().filled(),
    text("user").required().hidden(),
    text("database").required(),
    text("warehouse").required(),
    text("schema").required(),
    text("table_name"),
    text("authentication_type"),
    text("password").nullable().secret(),
    text("private_key").nullable().secret(),
    text("private_key_passphrase").nullable().secret(),
    text("role").nullable(),
];

/// The longest names in bytes: longer ones are cut without a word, so that two exports would share a table.
const POSTGRES_NAME_BYTES: usize = 63;
const REDSHIFT_NAME_BYTES: usize = 127;

/// What stands in between may choose the server by the name of the database or of the user.
const fn postgres(port: u64, bytes_max: usize) -> [Setting; 8] {
    let name = Limit::Name { bytes_max, may_be_empty: false };
    // An empty one is the default.
    let optional_name = Limit::Name { bytes_max, may_be_empty: true };
    [
        text("user").required().hidden().receiver().limited(name),
        text("password").required().secret(),
        text("host").required().receiver().filled(),
        text("database").required().receiver().limited(name),
        text("schema").limited(optional_name),
        text("table_name").limited(optional_name),
        setting("port", Holds::Integer).otherwise(port).receiver().limited(Limit::Port),
        setting("has_self_signed_cert", Holds::Boolean).receiver(),
    ]
}

const POSTGRES: &[Setting] = &postgres(5432, POSTGRES_NAME_BYTES);
const REDSHIFT: &[Setting] = &postgres(5439, REDSHIFT_NAME_BYTES);
/// What Redshift takes besides.
const REDSHIFT_MORE: &[Setting] = &[text("properties_data_type")];

const BIG_QUERY: &[Setting] = &[
    text("project_id").required().receiver().filled(),
    text("dataset_id").required().filled(),
    text("table_id"),
    text("private_key").required().secret(),
    text("private_key_id").required().hidden(),
    text("token_uri").required().hidden().receiver().filled(),
    text("client_email").required().hidden(),
    setting("use_json_type", Holds::Boolean),
];

const HTTP: &[Setting] = &[text("url").required().receiver().filled(), text("token").required().secret()];

const NO_OP: &[Setting] = &[text("arg")];

/// What every type takes besides: filters, and names of PostHog's own that say nothing here.
const COMMON: &[Setting] = &[
    setting("include_events", Holds::Texts).nullable(),
    setting("exclude_events", Holds::Texts).nullable(),
    setting("batch_export_id", Holds::Anything),
    setting("team_id", Holds::Anything),
    setting("interval", Holds::Anything),
    setting("data_interval_end", Holds::Anything),
    setting("is_backfill", Holds::Anything),
    setting("batch_export_model", Holds::Anything),
    setting("batch_export_schema", Holds::Anything),
];

impl Kind {
    pub const ALL: [Kind; 7] =
        [Kind::S3, Kind::Snowflake, Kind::Postgres, Kind::Redshift, Kind::BigQuery, Kind::Http, Kind::NoOp];

    /// The name on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Kind::S3 => "S3",
            Kind::Snowflake => "Snowflake",
            Kind::Postgres => "Postgres",
            Kind::Redshift => "Redshift",
            Kind::BigQuery => "BigQuery",
            Kind::Http => "HTTP",
            Kind::NoOp => "NoOp",
        }
    }

    pub fn named(name: &str) -> Option<Kind> {
        Kind::ALL.into_iter().find(|kind| kind.name() == name)
    }

    fn own_settings(self) -> impl Iterator<Item = &'static Setting> {
        let (settings, besides): (_, &[Setting]) = match self {
            Kind::S3 => (S3, &[]),
            Kind::Snowflake => (SNOWFLAKE, &[]),
            Kind::Postgres => (POSTGRES, &[]),
            Kind::Redshift => (REDSHIFT, REDSHIFT_MORE),
            Kind::BigQuery => (BIG_QUERY, &[]),
            Kind::Http => (HTTP, &[]),
            Kind::NoOp => (NO_OP, &[]),
        };
        settings.iter().chain(besides)
    }

    /// The settings of this type as fields of a form, and those that choose events.
    pub fn fields(self) -> Vec<FieldInfo> {
        let choosing = COMMON.iter().filter(|setting| setting.holds == Holds::Texts);
        self.own_settings().chain(choosing).map(Setting::field).collect()
    }

    /// Whether what is stored under this name is never shown.
    pub fn hides(self, name: &str) -> bool {
        self.setting(name).is_some_and(|setting| setting.shown != Shown::Always)
    }

    /// Whether what is stored under this name opens something.
    pub fn is_secret(self, name: &str) -> bool {
        self.setting(name).is_some_and(|setting| setting.shown == Shown::Secret)
    }

    fn setting(self, name: &str) -> Option<&'static Setting> {
        self.own_settings().chain(COMMON).find(|setting| setting.name == name)
    }
}

/// A type with its configuration, as records hold it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Destination {
    pub kind: Kind,
    /// All that may be shown, as it was sent.
    pub config: Json,
    /// The rest, sealed for its export.
    sealed: Sealed,
}

impl Destination {
    /// The whole configuration. What was sealed with another key is left out.
    pub fn open(&self, vault: &Vault, export: BatchExportId) -> Map<String, Value> {
        let secrets = vault.open(export.0.as_bytes(), &self.sealed).unwrap_or_default();
        let mut all = object(self.config.value());
        all.extend(object(serde_json::from_str(&secrets).unwrap_or_default()));
        all
    }

    /// Whether both are configured alike.
    pub fn is_same(&self, other: &Destination, vault: &Vault, export: BatchExportId) -> bool {
        self.kind == other.kind && self.open(vault, export) == other.open(vault, export)
    }

    /// Whether what is not shown differs.
    pub(super) fn has_other_secrets(
        &self,
        other: &Destination,
        vault: &Vault,
        export: BatchExportId,
    ) -> bool {
        let opened = |destination: &Destination| vault.open(export.0.as_bytes(), &destination.sealed);
        opened(self) != opened(other)
    }

    /// The names under which something is stored that is not shown.
    pub fn hidden_names(&self, vault: &Vault, export: BatchExportId) -> Vec<String> {
        let is_hidden = |name: &String| self.kind.hides(name);
        self.open(vault, export).into_iter().map(|(name, _)| name).filter(is_hidden).collect()
    }

    /// The texts that must never be shown.
    pub fn secrets(&self, vault: &Vault, export: BatchExportId) -> Vec<String> {
        let secrets = vault.open(export.0.as_bytes(), &self.sealed).unwrap_or_default();
        let secrets = object(serde_json::from_str(&secrets).unwrap_or_default());
        secrets.into_iter().filter_map(|(_, value)| value.as_str().map(str::to_owned)).collect()
    }

    /// What is sealed for its export.
    pub(super) fn sealed(&self) -> &Sealed {
        &self.sealed
    }

    fn of(ctx: &Ctx, export: BatchExportId, kind: Kind, all: Map<String, Value>) -> Result<Destination> {
        let is_hidden = |name: &str| kind.setting(name).is_some_and(|found| found.shown != Shown::Always);
        let (secrets, shown): (Map<_, _>, Map<_, _>) = all.into_iter().partition(|(name, _)| is_hidden(name));
        let secrets = Value::Object(secrets).to_string();
        let sealed = ctx.vault.seal(&ctx.ids, export.0.as_bytes(), &secrets)?;
        Ok(Destination { kind, config: Json::of(&shown), sealed })
    }
}

impl Destination {
    /// One for the test of the stored bytes.
    pub fn sample(config: Json) -> Destination {
        Destination { kind: Kind::Http, config, sealed: Sealed::sample() }
    }
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(object) => object,
        _ => Map::new(),
    }
}

fn fault(detail: String) -> Error {
    invalid("destination", "invalid_input", detail)
}

/// The destination that an input asks for. What was stored stays where the body says nothing, as long as the
/// type stays: that is how secrets survive a client that sends back what it was shown.
pub fn read(
    ctx: &Ctx,
    export: BatchExportId,
    before: Option<&Destination>,
    input: Input<'_>,
) -> Result<Option<Destination>> {
    const NAME: &str = "destination";
    let Input { value, is_text, is_partial: partial } = input;
    let Some(sent) = field(value?, is_text, NAME) else {
        return if partial { Ok(None) } else { Err(invalid(NAME, "required", "This field is required.")) };
    };
    let sent = match sent {
        Value::Object(sent) => sent.clone(),
        Value::Null => return Err(invalid(NAME, "null", "This field may not be null.")),
        // A form can only hold it as text.
        Value::String(text) if is_text => match serde_json::from_str(text) {
            Ok(Value::Object(sent)) => sent,
            _ => return Err(fault("Value must be valid JSON.".into())),
        },
        other => {
            let detail = format!("Invalid data. Expected a dictionary, but got {}.", python_type_name(other));
            return Err(fault(detail));
        }
    };
    let kind = match (sent.get("type"), before) {
        (Some(value), _) => kind_of(value)?,
        (None, Some(before)) if partial => before.kind,
        (None, _) => return Err(invalid("destination__type", "required", "This field is required.")),
    };
    let config = match sent.get("config") {
        Some(Value::Object(config)) => config.clone(),
        None if partial => Map::new(),
        None => return Err(invalid("destination__config", "required", "This field is required.")),
        Some(Value::Null) => {
            return Err(invalid("destination__config", "null", "This field may not be null."));
        }
        Some(other) => {
            let detail = format!("Invalid data. Expected a dictionary, but got {}.", python_type_name(other));
            return Err(invalid("destination__config", "invalid_input", detail));
        }
    };
    check_integration(&sent)?;
    check_names(kind, &config)?;
    if config.values().map(bytes_of).sum::<usize>() > FREE_BYTES_MAX {
        return Err(fault(format!("Configuration has more than {FREE_BYTES_MAX} bytes")));
    }
    let stored = before.map(|before| before.open(&ctx.vault, export)).unwrap_or_default();
    if let Some(before) = before.filter(|before| before.kind != kind) {
        let (old, new) = (before.kind.name(), kind.name());
        return Err(fault(format!(
            "Cannot change destination type from '{old}' to '{new}'. Delete this batch export and create a new one with the new destination type."
        )));
    }
    let mut all = stored.clone();
    if before.is_none() || !partial {
        let mut merged = all.clone();
        merged.extend(config.clone());
        check_required(kind, &merged)?;
    }
    let config = converted(kind, config)?;
    check_limits(kind, &config)?;
    check_receiver(kind, &stored, &config)?;
    merge(&mut all, config);
    check_values(kind, &all)?;
    Destination::of(ctx, export, kind, all).map(Some)
}

fn kind_of(value: &Value) -> Result<Kind> {
    const NAME: &str = "destination__type";
    if value.is_null() {
        return Err(invalid(NAME, "null", "This field may not be null."));
    }
    value.as_str().and_then(Kind::named).ok_or_else(|| {
        let shown = crate::api::fields::python_str(value);
        invalid_choice(NAME, &shown)
    })
}

fn check_names(kind: Kind, config: &Map<String, Value>) -> Result<()> {
    let mut unknown: Vec<&str> =
        config.keys().map(String::as_str).filter(|name| kind.setting(name).is_none()).collect();
    if unknown.is_empty() {
        return Ok(());
    }
    unknown.sort_unstable();
    let quoted: Vec<String> = unknown.iter().map(|name| format!("'{name}'")).collect();
    Err(fault(format!("Configuration has unknown field/s: {}", quoted.join(", "))))
}

fn check_required(kind: Kind, config: &Map<String, Value>) -> Result<()> {
    match lacking(kind, config) {
        Some(name) => Err(fault(format!("Configuration missing required field: '{name}'"))),
        None => Ok(()),
    }
}

/// A stored secret is sent to nobody else: whoever changes who receives it gives it again.
fn check_receiver(kind: Kind, stored: &Map<String, Value>, sent: &Map<String, Value>) -> Result<()> {
    let is_changed = |setting: &&Setting| {
        // Whether somebody has guessed what is hidden is not said.
        let is_new = setting.shown != Shown::Always || setting.meant(sent) != setting.meant(stored);
        setting.receiver && sent.contains_key(setting.name) && is_new
    };
    let Some(changed) = kind.own_settings().find(is_changed) else { return Ok(()) };
    // What is merely hidden is sent to nobody else either; the secrets are named first.
    let is_wanted = |shown: Shown| {
        move |setting: &&Setting| {
            setting.shown == shown && has_text(setting, stored) && !sent.contains_key(setting.name)
        }
    };
    let mut wanted = [Shown::Secret, Shown::Never].into_iter();
    match wanted.find_map(|shown| kind.own_settings().find(is_wanted(shown))) {
        Some(secret) => Err(wanted_again(secret.name, changed.name)),
        None => Ok(()),
    }
}

/// Writes what was sent over what is stored, down to the keys of objects in it.
fn merge(stored: &mut Map<String, Value>, sent: Map<String, Value>) {
    for (name, value) in sent {
        match (stored.get_mut(&name), value) {
            (Some(Value::Object(old)), Value::Object(new)) => merge(old, new),
            (_, value) => {
                stored.insert(name, value);
            }
        }
    }
}

/// Credentials stand in the configuration: nothing here could look elsewhere for them.
fn check_integration(sent: &Map<String, Value>) -> Result<()> {
    let named = ["integration", "integration_id"]
        .into_iter()
        .find(|name| sent.get(*name).is_some_and(|value| !value.is_null()));
    match named {
        Some(name) => Err(fault(format!(
            "There are no integrations here: leave out '{name}', and give the credentials in the config."
        ))),
        None => Ok(()),
    }
}

fn has_text(setting: &Setting, stored: &Map<String, Value>) -> bool {
    stored.get(setting.name).and_then(Value::as_str).is_some_and(|value| !value.is_empty())
}

fn wanted_again(secret: &'static str, changed: &str) -> Error {
    let detail = format!(
        "Give '{secret}' again: '{changed}' decides who receives it, and what is stored is sent to nobody else."
    );
    invalid(secret, "required", detail)
}

/// The first required key that a configuration lacks. One that was stored lacks some when its secrets were
/// sealed with a key that is lost.
pub fn lacking(kind: Kind, config: &Map<String, Value>) -> Option<&'static str> {
    let missing = kind.own_settings().find(|setting| setting.required && !config.contains_key(setting.name));
    missing.map(|setting| setting.name)
}

/// The values with the types that their keys have, numbers and truth words read out of texts.
fn converted(kind: Kind, config: Map<String, Value>) -> Result<Map<String, Value>> {
    let value = |(name, value): (String, Value)| {
        let Some(setting) = kind.setting(&name) else { return Ok((name, value)) };
        Ok((name, convert(setting, value)?))
    };
    config.into_iter().map(value).collect()
}

fn convert(setting: &Setting, value: Value) -> Result<Value> {
    let expected = match setting.holds {
        Holds::Text => "str",
        Holds::Integer => "int",
        Holds::Boolean => "bool",
        Holds::Texts => "list",
        Holds::Anything => return Ok(value),
    };
    if value.is_null() && setting.nullable {
        return Ok(value);
    }
    let wrong = |got: &Value| {
        fault(format!(
            "Configuration has invalid type: got '{}', expected '{expected}'",
            python_type_name(got)
        ))
    };
    match (setting.holds, &value) {
        (Holds::Text, Value::String(_)) | (Holds::Boolean, Value::Bool(_)) => Ok(value),
        // As in Python, where a truth value is a number.
        (Holds::Integer, Value::Bool(_)) => Ok(value),
        (Holds::Integer, Value::Number(number)) if !number.is_f64() => Ok(value),
        (Holds::Integer, Value::String(text)) => {
            text.trim().parse::<i64>().map(Value::from).map_err(|_| wrong(&value))
        }
        (Holds::Boolean, Value::String(text)) => match text.trim().to_ascii_lowercase().as_str() {
            "true" | "t" | "yes" | "y" | "on" | "1" => Ok(true.into()),
            "false" | "f" | "no" | "n" | "off" | "0" => Ok(false.into()),
            _ => Err(wrong(&value)),
        },
        (Holds::Texts, Value::Array(items)) => match items.iter().find(|item| !item.is_string()) {
            None => Ok(value),
            Some(item) => Err(fault(format!(
                "Configuration has invalid type: got '{}', expected 'str'",
                python_type_name(item)
            ))),
        },
        _ => Err(wrong(&value)),
    }
}

/// Limits of single values. Those that were stored before there was a limit stay.
fn check_limits(kind: Kind, sent: &Map<String, Value>) -> Result<()> {
    for setting in kind.own_settings() {
        let Some(value) = sent.get(setting.name) else { continue };
        if let Some(reason) = beyond(setting.limit, value) {
            return Err(invalid(setting.name, "invalid_input", format!("'{}' {reason}.", setting.name)));
        }
    }
    Ok(())
}

/// What is wrong with a value, if anything is.
fn beyond(limit: Limit, value: &Value) -> Option<String> {
    let text = value.as_str().unwrap_or_default();
    let is_empty = text.trim().is_empty();
    match limit {
        Limit::Filled | Limit::Name { may_be_empty: false, .. } if is_empty => {
            Some("must not be empty".into())
        }
        Limit::Name { bytes_max, .. } if text.len() > bytes_max => {
            Some(format!("must not have more than {bytes_max} bytes: the server would cut it"))
        }
        Limit::Port if value.as_i64().is_some_and(|port| !(1..=i64::from(u16::MAX)).contains(&port)) => {
            Some(format!("must be a number from 1 to {}", u16::MAX))
        }
        // Larger than 64 bits.
        Limit::Port if value.is_u64() && value.as_i64().is_none() => {
            Some(format!("must be a number from 1 to {}", u16::MAX))
        }
        _ => None,
    }
}

/// The file formats of S3, with the compressions of each.
const FORMATS: [(&str, &[&str]); 2] =
    [("Parquet", &["zstd", "lz4", "snappy", "gzip", "brotli"]), ("JSONLines", &["gzip", "brotli"])];

/// Rules on values that belong together.
fn check_values(kind: Kind, config: &Map<String, Value>) -> Result<()> {
    let text = |name: &str| config.get(name).and_then(Value::as_str);
    let list = |items: &[&str]| {
        let quoted: Vec<String> = items.iter().map(|item| format!("'{item}'")).collect();
        format!("[{}]", quoted.join(", "))
    };
    if kind == Kind::S3 {
        let format = text("file_format").unwrap_or("JSONLines");
        let Some((_, compressions)) = FORMATS.into_iter().find(|(name, _)| *name == format) else {
            let formats = list(&FORMATS.map(|(name, _)| name));
            return Err(fault(format!(
                "File format {format} is not supported. Supported file formats are {formats}"
            )));
        };
        if let Some(compression) = text("compression").filter(|name| !compressions.contains(name)) {
            let supported = list(compressions);
            return Err(fault(format!(
                "Compression {compression} is not supported for file format {format}. Supported compressions are {supported}"
            )));
        }
    }
    if kind == Kind::Snowflake {
        match text("authentication_type") {
            Some("password") if text("password").is_none() => {
                return Err(fault("Password is required if authentication type is password".into()));
            }
            Some("keypair") if text("private_key").is_none() => {
                return Err(fault("Private key is required if authentication type is key pair".into()));
            }
            _ => {}
        }
    }
    Ok(())
}

/// For the test of the stored bytes.
pub(super) fn samples(all: &mut crate::resources::samples::Samples) {
    all.variants(
        "destination",
        &crate::every!(Kind { S3, Snowflake, Postgres, Redshift, BigQuery, Http, NoOp }),
    );
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// The error for a whole new configuration.
    fn error_of(kind: Kind, config: Value) -> String {
        let config = object(config);
        let judged = check_names(kind, &config)
            .and_then(|()| check_required(kind, &config))
            .and_then(|()| converted(kind, config))
            .and_then(|config| check_values(kind, &config));
        judged.err().map(|error| error.to_string()).unwrap_or_default()
    }

    fn s3(more: Value) -> Value {
        let mut config = json!({"bucket_name": "b", "region": "r", "prefix": ""});
        config.as_object_mut().unwrap().extend(object(more));
        config
    }

    #[test]
    fn every_fault_of_a_configuration_is_told() {
        for (kind, config, wanted) in [
            (
                Kind::S3,
                s3(json!({"hello2": 1, "hello": 1})),
                "Configuration has unknown field/s: 'hello', 'hello2'",
            ),
            (Kind::S3, json!({"region": "r"}), "Configuration missing required field: 'bucket_name'"),
            (Kind::S3, s3(json!({"prefix": 1})), "Configuration has invalid type: got 'int', expected 'str'"),
            (
                Kind::S3,
                s3(json!({"prefix": null})),
                "Configuration has invalid type: got 'NoneType', expected 'str'",
            ),
            (
                Kind::S3,
                s3(json!({"compression": 1.5})),
                "Configuration has invalid type: got 'float', expected 'str'",
            ),
            (
                Kind::S3,
                s3(json!({"max_file_size_mb": "x"})),
                "Configuration has invalid type: got 'str', expected 'int'",
            ),
            (
                Kind::S3,
                s3(json!({"use_virtual_style_addressing": "maybe"})),
                "Configuration has invalid type: got 'str', expected 'bool'",
            ),
            (
                Kind::S3,
                s3(json!({"exclude_events": "x"})),
                "Configuration has invalid type: got 'str', expected 'list'",
            ),
            (
                Kind::S3,
                s3(json!({"exclude_events": [{}]})),
                "Configuration has invalid type: got 'dict', expected 'str'",
            ),
            (
                Kind::S3,
                s3(json!({"file_format": "unknown"})),
                "File format unknown is not supported. Supported file formats are ['Parquet', 'JSONLines']",
            ),
            (
                Kind::S3,
                s3(json!({"compression": "zstd"})),
                "Compression zstd is not supported for file format JSONLines. Supported compressions are ['gzip', 'brotli']",
            ),
            (
                Kind::S3,
                s3(json!({"compression": "zip", "file_format": "Parquet"})),
                "Compression zip is not supported for file format Parquet. Supported compressions are ['zstd', 'lz4', 'snappy', 'gzip', 'brotli']",
            ),
            (
                Kind::S3,
                s3(
                    json!({"compression": null, "exclude_events": null, "max_file_size_mb": "7", "team_id": {}}),
                ),
                "",
            ),
            (Kind::Http, json!({"url": "u"}), "Configuration missing required field: 'token'"),
            (
                Kind::Postgres,
                json!({"user": "u", "password": "p", "host": "h", "database": "d", "port": true, "has_self_signed_cert": "yes"}),
                "",
            ),
            (
                Kind::Redshift,
                json!({"user": "u", "password": "p", "host": "h", "database": "d", "mode": "COPY"}),
                "Configuration has unknown field/s: 'mode'",
            ),
            (Kind::NoOp, json!({}), ""),
        ] {
            assert_eq!(error_of(kind, config.clone()), wanted, "{config}");
        }
    }

    #[test]
    fn snowflake_needs_what_its_authentication_uses() {
        let config = |more: Value| {
            let mut config =
                json!({"account": "a", "user": "u", "database": "d", "warehouse": "w", "schema": "s"});
            config.as_object_mut().unwrap().extend(object(more));
            config
        };
        for (more, wanted) in [
            (json!({}), ""),
            (json!({"authentication_type": "password", "password": "p"}), ""),
            (
                json!({"authentication_type": "password"}),
                "Password is required if authentication type is password",
            ),
            (
                json!({"authentication_type": "keypair", "password": "p"}),
                "Private key is required if authentication type is key pair",
            ),
        ] {
            assert_eq!(error_of(Kind::Snowflake, config(more.clone())), wanted, "{more}");
        }
    }
}
