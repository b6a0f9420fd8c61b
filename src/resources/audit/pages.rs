//! The pages of the audit log that clients of 2024 read: of one project, and of all plugins.

use serde::Serialize;
use uuid::Uuid;

use super::super::users;
use super::of::{Of, page_of};
use super::{ENTRIES, Entry};
use crate::api::page::{LIMIT_MAX, link};
use crate::api::{Call, InOrganization, Level, Reply};
use crate::clock::Time;
use crate::error::{Result, invalid};
use crate::ids::OrganizationId;
use crate::store::{Json, Order, Tx};

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
    reply(call, tx, organization, Of::Item(scope, item))
}

/// 200 with the entries of all items of a scope, newest first.
pub fn page_of_scope(call: &Call, tx: &Tx, organization: OrganizationId, scope: &str) -> Result<Reply> {
    reply(call, tx, organization, Of::Scope(scope))
}

fn reply(call: &Call, tx: &Tx, organization: OrganizationId, of: Of<'_>) -> Result<Reply> {
    let paging = Paging::of(call)?;
    let part = (paging.offset(), paging.limit);
    let (total, entries) = page_of(tx, organization, of, Order::Descending, part)?;
    let entries = entries.into_iter().map(|(id, entry)| wire(tx, id, entry));
    paging.reply(call, total, entries.collect::<Result<_>>()?)
}

/// One entry in brief.
pub struct Line {
    /// Who did it; `None` for the operator and for whoever is gone.
    pub who: Option<String>,
    pub activity: String,
    pub scope: String,
    /// What people call the item.
    pub name: Option<String>,
    pub created_at: Time,
}

/// The newest entries of an organization. From admin level on.
///
/// # Errors
/// 403 below admin.
pub fn newest(tx: &Tx, at: InOrganization, limit: u64) -> Result<Vec<Line>> {
    let organization = at.require(Level::Admin)?;
    let (_, page) = tx.page(&ENTRIES, &organization, Order::Descending, 0, limit)?;
    page.into_iter().map(|(_, entry)| line(tx, entry)).collect()
}

fn line(tx: &Tx, entry: Entry) -> Result<Line> {
    let user = entry.user.map(|user| users::get(tx, user)).transpose()?.flatten();
    Ok(Line {
        who: user.map(|user| user.full_name()),
        name: entry.detail.value()["name"].as_str().map(str::to_owned),
        activity: entry.activity,
        scope: entry.scope,
        created_at: entry.created_at,
    })
}

fn wire(tx: &Tx, id: Uuid, entry: Entry) -> Result<Wire> {
    // A deleted user has no name any more; what they did stays in the log.
    let user = entry.user.map(|user| users::get(tx, user)).transpose()?.flatten();
    let (first_name, email) = user.map(|user| (user.first_name, user.email)).unwrap_or_default();
    Ok(Wire {
        id,
        user: Actor { first_name, email },
        activity: entry.activity,
        scope: entry.scope,
        item_id: entry.item,
        detail: entry.detail,
        created_at: entry.created_at,
    })
}
