//! The source files of a plugin: a map of names to texts.

use std::collections::BTreeMap;

use serde_json::Value;

use super::package::INDEX;
use super::views::View;
use super::{commands, find_own, handlers, refused};
use crate::api::{Call, Reply};
use crate::error::{Error, Result};
use crate::ids::PluginId;
use crate::store::{Order, Parent, Table, Tx, WriteTx};

/// By plugin and file name.
pub(super) static FILES: Table<(PluginId, String), String> =
    Table::new("plugin_files").belongs_to(&[&Parent::of(&super::PLUGINS, |(_, plugin)| *plugin)]);

/// All files of a plugin together, in bytes of JSON.
const BYTES_MAX: usize = 10 * 1024 * 1024;
/// The files as they are stored, before and after a change, and as JSON, in bytes.
pub(super) const WORK_BYTES: usize = 4 * BYTES_MAX;
const NAME_CHARS_MAX: usize = 200;

/// File names and texts.
pub(super) type Files = BTreeMap<String, String>;

pub(super) fn show(call: &Call, tx: &Tx, view: &View) -> Result<Reply> {
    let otherwise = "Plugin source editing is not available for the current organization!";
    let organization = handlers::as_installer(tx, call.place.in_organization()?, otherwise)?;
    let found = find_own(tx, organization, handlers::id(call)?, view)?;
    Reply::ok(&all_of(tx, found.id)?)
}

pub(super) fn patch(call: &Call, tx: &WriteTx, view: &View) -> Result<Reply> {
    let at = call.place.in_organization()?;
    Reply::ok(&commands::update_source(call, tx, at, (handlers::id(call)?, view), call.input())?)
}

/// The files after a change: those that are not named stay, one that is given as null is deleted.
pub(super) fn changed(before: &Files, changes: &Value) -> Result<Files> {
    let mut files = before.clone();
    apply(&mut files, changes)?;
    if files.values().map(|text| json_bytes(text)).sum::<usize>() > BYTES_MAX && files != *before {
        return Err(Error::TooLarge { bytes_max: BYTES_MAX });
    }
    Ok(files)
}

/// The names of the files that differ, as many as an entry of the audit log should hold.
pub(super) fn differing<'a>(before: &'a Files, after: &'a Files) -> Vec<&'a str> {
    const NAMES_MAX: usize = 100;
    let gone = before.keys().filter(|name| !after.contains_key(*name));
    let new = after.iter().filter(|(name, text)| before.get(*name) != Some(text)).map(|(name, _)| name);
    gone.chain(new).map(String::as_str).take(NAMES_MAX).collect()
}

/// The key that a caller shows in the body, and the token against forged forms, are no files.
const CREDENTIALS: &[&str] = &["personal_api_key", "csrfmiddlewaretoken"];

fn apply(files: &mut Files, body: &Value) -> Result<()> {
    let Value::Object(changes) = body else {
        return Err(refused("Send an object of file names and texts."));
    };
    for (name, text) in changes.iter().filter(|(name, _)| !CREDENTIALS.contains(&name.as_str())) {
        if name.is_empty() || name.chars().count() > NAME_CHARS_MAX {
            return Err(refused(format!("A file's name must have 1 to {NAME_CHARS_MAX} characters.")));
        }
        match text {
            Value::String(text) => files.insert(name.clone(), text.clone()),
            Value::Null => files.remove(name),
            _ => return Err(refused(format!("The file {name} must be text, or null to delete it."))),
        };
    }
    Ok(())
}

/// How long the text is in an answer.
fn json_bytes(text: &str) -> usize {
    let bytes = |byte: u8| match byte {
        b'"' | b'\\' | b'\n' | b'\r' | b'\t' => 2,
        0..0x20 => 6,
        _ => 1,
    };
    text.bytes().map(bytes).sum()
}

/// All files of a plugin.
pub(super) fn all_of(tx: &Tx, plugin: PluginId) -> Result<Files> {
    let rows = tx.scan(&FILES, &plugin, Order::Ascending)?;
    Ok(rows.into_iter().map(|((_, name), text)| (name, text)).collect())
}

/// The code among the files.
pub(super) fn code(files: &Files) -> Option<&str> {
    files.get(INDEX).map(String::as_str)
}

/// The text of a plugin's code.
pub(super) fn index(tx: &Tx, plugin: PluginId) -> Result<Option<String>> {
    Ok(tx.get(&FILES, &(plugin, INDEX.to_owned()))?)
}

/// Makes these the files of a plugin; those that it had besides go.
pub(super) fn replace_all(tx: &WriteTx, plugin: PluginId, files: &Files) -> Result<()> {
    let before = all_of(tx, plugin)?;
    for name in before.keys().filter(|name| !files.contains_key(*name)) {
        tx.delete(&FILES, &(plugin, name.clone()))?;
    }
    for (name, text) in files.iter().filter(|(name, text)| before.get(*name) != Some(text)) {
        tx.put(&FILES, &(plugin, name.clone()), text)?;
    }
    Ok(())
}
