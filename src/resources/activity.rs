//! The activity log: who changed what, before and after.
//! Invariant: an entry is written in the same transaction as the change that it describes.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{Resource, organizations, users};
use crate::api::page::{LIMIT_MAX, link};
use crate::api::{Call, Ctx, Reply};
use crate::clock::Time;
use crate::error::{Result, invalid, not_found};
use crate::ids::{OrganizationId, UserId};
use crate::store::{Index, Json, Order, Parent, Table, Tx, WriteTx, by_all_but_uuid};

/// The scope of changes of projects; PostHog calls them teams there.
pub const PROJECT: &str = "Team";
/// The scope under which plugins come and go.
pub const PLUGIN: &str = "Plugin";

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Entry {
    pub user: UserId,
    pub activity: String,
    pub detail: Json,
    pub created_at: Time,
}

type ItemKey = (OrganizationId, (String, String), Uuid);

/// By organization, scope and item, and by time.
pub(super) static ENTRIES: Table<ItemKey, Entry> = Table::new("activity")
    .counted(by_all_but_uuid)
    .indexed(&[&BY_SCOPE])
    .belongs_to(&[&Parent::of(&organizations::ORGANIZATIONS, |organization| *organization)]);

/// The items of a scope by time: what a list of the whole scope walks.
static BY_SCOPE: Index<ItemKey, Entry, (OrganizationId, String, Uuid), String> =
    Index::new("activity_by_scope", |(organization, (scope, item), id): &ItemKey, _: &Entry| {
        Some(((*organization, scope.clone(), *id), item.clone()))
    })
    .counted(by_all_but_uuid);

pub static RESOURCE: Resource = Resource::inner().tables(&[&ENTRIES]).samples(samples);

/// A change to be logged.
pub struct Change {
    scope: &'static str,
    item: String,
    activity: &'static str,
    name: Option<String>,
    /// `None` where something was made or removed as a whole.
    changes: Option<Vec<Value>>,
}

impl Change {
    /// Something came or went as a whole.
    pub fn whole(
        scope: &'static str,
        activity: &'static str,
        item: impl ToString,
        name: Option<&str>,
    ) -> Change {
        Change { scope, item: item.to_string(), activity, name: name.map(str::to_owned), changes: None }
    }

    pub fn created(item: impl ToString, name: &str) -> Change {
        Change::whole(PROJECT, "created", item, Some(name))
    }

    pub fn updated(item: impl ToString, name: &str, changes: Vec<Value>) -> Change {
        Change { changes: Some(changes), ..Change::whole(PROJECT, "updated", item, Some(name)) }
    }

    pub fn deleted(item: impl ToString, name: &str) -> Change {
        Change::whole(PROJECT, "deleted", item, Some(name))
    }
}

/// One field's change.
pub fn field_change(kind: &str, field: &str, before: Value, after: Value, action: &str) -> Value {
    json!({"type": kind, "action": action, "field": field, "before": before, "after": after})
}

/// Leaves out what a field held and holds: that it changed is all that is said of a secret.
pub fn hide_values(change: &mut Value) {
    change["before"] = Value::Null;
    change["after"] = Value::Null;
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
pub fn record(tx: &WriteTx, ctx: &Ctx, organization: OrganizationId, change: Change) -> Result<()> {
    let detail = json!({
        "changes": change.changes,
        "name": change.name,
        "short_id": null,
        "trigger": null,
        "type": null,
    });
    let entry = Entry {
        user: ctx.user()?,
        activity: change.activity.into(),
        detail: Json::of(&detail),
        created_at: ctx.now,
    };
    let id = ctx.new_id();
    let scope = change.scope.to_owned();
    Ok(tx.insert(&ENTRIES, &(organization, (scope, change.item), id), &entry)?)
}

#[derive(Serialize)]
struct Actor {
    first_name: String,
    email: String,
}

#[derive(Serialize)]
struct Wire {
    id: Uuid,
    user: Actor,
    activity: String,
    scope: String,
    item_id: String,
    detail: Json,
    created_at: Time,
}

#[derive(Serialize)]
struct Page {
    results: Vec<Wire>,
    next: Option<String>,
    previous: Option<String>,
    total_count: u64,
}

/// Which page is requested, from 1 on, and how long pages are.
struct Paging {
    page: u64,
    limit: u64,
}

const LIMIT_DEFAULT: u64 = 10;

impl Paging {
    /// Unlike with other lists, unusable values are refused.
    fn of(call: &Call) -> Result<Paging> {
        let number = |name: &'static str, default| match call.query(name) {
            None => Ok(default),
            Some(text) => {
                // A number beyond all pages is a number still.
                let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
                let number = is_number.then(|| text.parse().unwrap_or(u64::MAX)).filter(|number| *number > 0);
                number.ok_or_else(|| invalid(name, "invalid_input", "A whole number from 1 on is required."))
            }
        };
        Ok(Paging { page: number("page", 1)?, limit: number("limit", LIMIT_DEFAULT)?.min(LIMIT_MAX) })
    }

    fn offset(&self) -> u64 {
        (self.page - 1).saturating_mul(self.limit)
    }

    fn reply(&self, call: &Call, total: u64, results: Vec<Wire>) -> Result<Reply> {
        let Paging { page, limit } = *self;
        let at =
            |page: u64| link(call, [("limit", Some(limit.to_string())), ("page", Some(page.to_string()))]);
        Reply::ok(&Page {
            results,
            next: (self.offset().saturating_add(limit) < total).then(|| at(page + 1)),
            previous: (page > 1).then(|| at(page - 1)),
            total_count: total,
        })
    }
}

/// 200 with the entries of one item, newest first.
pub fn page(call: &Call, tx: &Tx, organization: OrganizationId, scope: &str, item: &str) -> Result<Reply> {
    let paging = Paging::of(call)?;
    let front = (organization, (scope.to_owned(), item.to_owned()));
    let (total, entries) = tx.page(&ENTRIES, &front, Order::Descending, paging.offset(), paging.limit)?;
    let results = entries.into_iter().map(|(key, entry)| wire(tx, key, entry)).collect::<Result<_>>()?;
    paging.reply(call, total, results)
}

/// 200 with the entries of all items of a scope, newest first.
pub fn page_of_scope(call: &Call, tx: &Tx, organization: OrganizationId, scope: &str) -> Result<Reply> {
    let paging = Paging::of(call)?;
    let front = (organization, scope.to_owned());
    let (total, rows) = tx.page(&BY_SCOPE, &front, Order::Descending, paging.offset(), paging.limit)?;
    let results = rows.into_iter().map(|((_, scope, id), item)| {
        let key = (organization, (scope, item), id);
        let entry = tx.get(&ENTRIES, &key)?.ok_or_else(not_found)?;
        wire(tx, key, entry)
    });
    paging.reply(call, total, results.collect::<Result<_>>()?)
}

fn wire(tx: &Tx, (_, (scope, item_id), id): ItemKey, entry: Entry) -> Result<Wire> {
    // A deleted user has no name any more; what they did stays in the log.
    let user = users::get(tx, entry.user)?;
    let (first_name, email) = user.map(|user| (user.first_name, user.email)).unwrap_or_default();
    Ok(Wire {
        id,
        user: Actor { first_name, email },
        activity: entry.activity,
        scope,
        item_id,
        detail: entry.detail,
        created_at: entry.created_at,
    })
}

fn samples(all: &mut super::samples::Samples) {
    use super::samples::{NOW, ONE, TWO, text};
    let json = Json::of(&serde_json::json!({"a": [1, null]}));
    all.add(
        &ENTRIES,
        (ONE.into(), (text("Team"), text("1")), TWO),
        Entry { user: TWO.into(), activity: text("updated"), detail: json.clone(), created_at: NOW },
    );
}
