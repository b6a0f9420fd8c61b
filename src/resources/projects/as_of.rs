//! The settings as they were: those of now, with the changes since then taken back as the audit log has them.

use serde_json::{Map, Value};

use super::commands::state;
use super::settings;
use super::wire::Loaded;
use crate::api::Call;
use crate::clock::Time;
use crate::error::{Result, invalid};
use crate::resources::audit::{Of, page_of, scope};
use crate::store::{Order, Tx};

/// The fields that are wanted, all where none is named, with their values at the time.
pub(super) fn settings_as_of(call: &Call, tx: &Tx) -> Result<Map<String, Value>> {
    let time = call.query("at").filter(|text| !text.is_empty());
    let time =
        time.ok_or_else(|| invalid("at", "invalid_input", "Query parameter 'at' is required (ISO8601)."))?;
    let time = Time::parse(time).ok_or_else(|| {
        let detail = "Invalid datetime format. Use ISO8601 (e.g., 2025-11-24T12:34:56Z).";
        invalid("at", "invalid_input", detail)
    })?;
    let found = Loaded::find(tx, call.place.in_project()?)?;
    let mut values = state(&found)?;
    // What the log never holds cannot be taken back.
    for secret in settings::SECRETS {
        values.remove(*secret);
    }
    let wanted: Vec<&str> =
        call.query.iter().filter(|(name, _)| name == "scope").map(|(_, field)| field.as_str()).collect();
    if !wanted.is_empty() {
        values.retain(|name, _| wanted.contains(&name.as_str()));
    }
    take_back(tx, &found, time, &mut values)?;
    Ok(values)
}

/// Walks the log from now to the time, in pages.
fn take_back(tx: &Tx, found: &Loaded, time: Time, values: &mut Map<String, Value>) -> Result<()> {
    const PAGE: u64 = 100;
    let item = found.id.to_string();
    let of = Of::Item(scope::TEAM, &item);
    for offset in (0..).step_by(PAGE as usize) {
        let (_, page) = page_of(tx, found.organization, of, Order::Descending, (offset, PAGE))?;
        if page.is_empty() {
            return Ok(());
        }
        for (_, entry) in page {
            if entry.created_at <= time {
                return Ok(());
            }
            let detail = entry.detail.value();
            for change in detail["changes"].as_array().into_iter().flatten() {
                let value = change["field"].as_str().and_then(|field| values.get_mut(field));
                if let Some(value) = value {
                    *value = change["before"].clone();
                }
            }
        }
    }
    Ok(())
}
