//! The activity log: who changed what, before and after.
//! Holds always: an entry is written in the same transaction as the change that it tells of.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

use super::users;
use crate::api::page::link;
use crate::api::{Call, Reply};
use crate::clock::Time;
use crate::error::Result;
use crate::store::{Json, Order, Table, Tx, WriteTx, by_all_but_uuid};

/// The scope under which changes of projects are told; PostHog calls them teams there.
pub const PROJECT: &str = "Team";

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Entry {
    pub user: Uuid,
    pub activity: String,
    pub detail: Json,
    pub created_at: Time,
}

type ItemKey = (Uuid, (String, String), Uuid);

/// By organization, scope and item, and by time.
pub(super) const ENTRIES: Table<ItemKey, Entry> = Table::new("activity").counted(by_all_but_uuid);

/// A change to be told.
pub struct Change {
    scope: &'static str,
    item: String,
    activity: &'static str,
    name: String,
    /// `None` where something was made or removed as a whole.
    changes: Option<Vec<Value>>,
}

impl Change {
    pub fn created(item: impl ToString, name: &str) -> Change {
        Change {
            scope: PROJECT,
            item: item.to_string(),
            activity: "created",
            name: name.into(),
            changes: None,
        }
    }

    pub fn updated(item: impl ToString, name: &str, changes: Vec<Value>) -> Change {
        let changes = Some(changes);
        Change { scope: PROJECT, item: item.to_string(), activity: "updated", name: name.into(), changes }
    }

    pub fn deleted(item: impl ToString, name: &str) -> Change {
        Change {
            scope: PROJECT,
            item: item.to_string(),
            activity: "deleted",
            name: name.into(),
            changes: None,
        }
    }
}

/// One field's change.
pub fn field_change(kind: &str, field: &str, before: Value, after: Value, action: &str) -> Value {
    json!({"type": kind, "action": action, "field": field, "before": before, "after": after})
}

/// The fields in which two objects differ.
pub fn differences(kind: &str, before: &Value, after: &Value) -> Vec<Value> {
    let (Value::Object(before), Value::Object(after)) = (before, after) else { return Vec::new() };
    let mut changes = Vec::new();
    for (name, new) in after {
        let old = before.get(name).unwrap_or(&Value::Null);
        if old == new {
            continue;
        }
        let action = match (old, new) {
            (Value::Null, _) => "created",
            (_, Value::Null) => "deleted",
            _ => "changed",
        };
        changes.push(field_change(kind, name, old.clone(), new.clone(), action));
    }
    changes
}

/// Writes an entry.
pub fn record(tx: &WriteTx, call: &Call, organization: Uuid, change: Change) -> Result<()> {
    let detail = json!({
        "changes": change.changes,
        "name": change.name,
        "short_id": null,
        "trigger": null,
        "type": null,
    });
    let entry = Entry {
        user: call.user()?,
        activity: change.activity.into(),
        detail: Json::of(&detail),
        created_at: call.now,
    };
    let key = (organization, (change.scope.to_owned(), change.item), call.new_uuid());
    Ok(tx.put(&ENTRIES, &key, &entry)?)
}

/// Removes all entries, together with the organization.
pub fn delete_all_of(tx: &WriteTx, organization: Uuid) -> Result<()> {
    for (key, _) in tx.scan(&ENTRIES, &organization, Order::Ascending)? {
        tx.delete(&ENTRIES, &key)?;
    }
    Ok(())
}

#[derive(Serialize)]
struct Actor {
    first_name: String,
    email: Option<String>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    is_system: bool,
}

#[derive(Serialize)]
struct Wire<'a> {
    id: Uuid,
    user: Actor,
    activity: &'a str,
    scope: &'a str,
    item_id: &'a str,
    detail: &'a Json,
    created_at: Time,
}

#[derive(Serialize)]
struct Page<'a> {
    results: Vec<Wire<'a>>,
    next: Option<String>,
    previous: Option<String>,
    total_count: u64,
}

const LIMIT_DEFAULT: u64 = 10;

/// 200 with the entries of one item, newest first; `?limit=` and `?page=`, from 1.
pub fn page(call: &Call, tx: &Tx, organization: Uuid, scope: &str, item: &str) -> Result<Reply> {
    let number =
        |name| call.query(name).and_then(|text| text.parse::<u64>().ok()).filter(|number| *number > 0);
    let limit = number("limit").unwrap_or(LIMIT_DEFAULT);
    let page = number("page").unwrap_or(1);
    let front = (organization, (scope.to_owned(), item.to_owned()));
    let offset = (page - 1).saturating_mul(limit);
    let (total, entries) = tx.page(&ENTRIES, &front, Order::Descending, offset, limit)?;
    let at = |page: u64| link(call, [("limit", Some(limit.to_string())), ("page", Some(page.to_string()))]);
    let mut results = Vec::with_capacity(entries.len());
    for ((_, (_, _), id), entry) in &entries {
        let user = match users::get(tx, entry.user)? {
            Some(user) => Actor { first_name: user.first_name, email: Some(user.email), is_system: false },
            None => Actor { first_name: "System".into(), email: None, is_system: true },
        };
        results.push(Wire {
            id: *id,
            user,
            activity: &entry.activity,
            scope,
            item_id: item,
            detail: &entry.detail,
            created_at: entry.created_at,
        });
    }
    Reply::ok(&Page {
        results,
        next: (offset.saturating_add(limit) < total).then(|| at(page + 1)),
        previous: (page > 1).then(|| at(page - 1)),
        total_count: total,
    })
}
