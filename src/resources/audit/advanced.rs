//! The audit log as an organization's administrators and a project's members read it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use serde::Serialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::super::{access_controls, projects, users};
use super::filter::{Filter, order};
use super::of::{Of, page_of};
use super::walk::{LOOKED_AT_MAX, View, rows, span, walk};
use super::{ENTRIES, Entry, UsedKey, export};
use crate::api::cursor::Cursor;
use crate::api::page::{LIMIT_MAX, link};
use crate::api::{Call, Field, FieldInfo, Level, Place, Reply, Within};
use crate::app::{App, Route, Tag, async_, read, scope, tagged};
use crate::clock::{Ids, Time};
use crate::error::{Error, Result, denied, invalid, invalid_body};
use crate::ids::{OrganizationId, ProjectId, UserId};
use crate::store::{Json, Order, Tx};

const TAG: Tag = Tag {
    name: "activity-logs",
    noun: "entry of the audit log",
    about: "Who changed what, when, from where and with which key.",
};

const CURSOR: (&str, &str) = ("cursor", "Where the page begins, as `next` and `previous` have it.");
const QUERIES: &[(&str, &str)] = &[
    ("start_date", "Only from this time on."),
    ("end_date", "Only up to this time; of a day, up to its end."),
    ("users", "UUIDs of users; like all lists repeated, with commas between, or a JSON array."),
    ("scopes", "Kinds of things that changed."),
    ("item_ids", "Identifiers of what changed."),
    ("activities", "What was done, such as `updated`."),
    ("clients", "Programs, by the header `X-PostHog-Client`."),
    ("ip_addresses", "Addresses, or their beginnings and `*`."),
    ("team_ids", "Numbers of projects."),
    ("search_text", "Text in `detail`."),
    (
        "detail_filters",
        "A JSON object of paths in `detail`, each with an `operation` (exact, contains, in) and a `value`.",
    ),
    ("is_system", "Whether nobody who is signed in did it."),
    ("was_impersonated", "Nobody acts as somebody else here, so `true` finds nothing."),
    ("ordering", "`-created_at`, the newest first, or `created_at`."),
    ("page_size", "At most 1000; 100 where nothing is said."),
    CURSOR,
    ("page", "A numbered page instead, with the count of all entries."),
    ("format", "`csv` or `jsonl` for all entries as one stream."),
];
const PROJECT_LOG_QUERIES: &[(&str, &str)] = &[
    ("user", "The UUID of a user."),
    ("scope", "A kind of things that changed."),
    ("scopes", "Several kinds, with commas between."),
    ("item_id", "The identifier of what changed."),
    ("ordering", "`-created_at`, the newest first, or `created_at`."),
    ("page_size", "At most 1000; 100 where nothing is said."),
    CURSOR,
    ("page", "A numbered page instead, with the count of all entries."),
];

const FIELDS: &[FieldInfo] = &[
    Field::uuid("id").read_only(),
    Field::object("user", users::BASIC).nullable().read_only(),
    Field::boolean("unread").read_only(),
    Field::integer("team_id", 0, i64::MAX).nullable().read_only(),
    Field::uuid("organization_id").read_only(),
    Field::boolean("was_impersonated").read_only(),
    Field::boolean("is_system")
        .read_only()
        .described("Nobody who is signed in did it: the operator, or a task."),
    Field::text("client", 32).nullable().read_only(),
    Field::text("ip_address", 45).nullable().read_only(),
    Field::json("key").read_only().described("The personal API key that was used: its `id` and its `mask`."),
    Field::text("request_id", 128).nullable().read_only(),
    Field::text("activity", 79).read_only(),
    Field::text("item_id", 72).read_only(),
    Field::text("scope", 79).read_only(),
    Field::json("detail").read_only(),
    Field::time("created_at").read_only(),
];

/// A page by cursor; a numbered one has `count` besides.
const PAGE: &[FieldInfo] = &[
    Field::integer("count", 0, i64::MAX).read_only().optional().described("Of numbered pages only."),
    Field::text("next", 2000).nullable().read_only(),
    Field::text("previous", 2000).nullable().read_only(),
    Field::objects("results", FIELDS).read_only(),
];

const FORMAT: Field<String> = Field::text("format", 20).described("`csv` or `xlsx`.");
const FILTERS: Field<Json> = Field::json("filters");
const EXPORT: &[FieldInfo] = &[FORMAT.info(), FILTERS.info()];

pub(super) fn routes() -> Vec<Route> {
    let organization = Within::Organization("organization_id");
    let mut routes = routes_of("/api/organizations/{organization_id}/", organization);
    for project in ["/api/projects/{id}/", "/api/environments/{id}/"] {
        let place = Within::Project("id");
        routes.extend(routes_of(project, place));
        routes.push(
            Route::get(
                format!("{project}activity_log/"),
                scope("activity_log:read"),
                place,
                read(project_log),
            )
            .responds(200, PAGE)
            .about("List the entries of a project", "With fewer filters than `advanced_activity_logs`.")
            .queries(PROJECT_LOG_QUERIES),
        );
    }
    tagged(TAG, routes)
}

fn routes_of(place_path: &str, place: Within) -> Vec<Route> {
    let all = format!("{place_path}advanced_activity_logs/");
    vec![
        Route::get(all.clone(), scope("activity_log:read"), place, async_(list))
            .responds(200, PAGE)
            .or_formats(&["csv", "jsonl"])
            .about(
                "List entries of the audit log",
                "Of an organization, for its admins and owners; of a project, for its members. At most 10000 entries are looked at for one page; `next` goes on from there.",
            )
            .queries(QUERIES),
        Route::get(format!("{all}available_filters/"), scope("activity_log:read"), place, read(available_filters))
            .about("Retrieve what there is to filter by", "Of the newest 10000 entries."),
        Route::post(format!("{all}export/"), scope("activity_log:write"), place, read(post_export))
            .accepts(EXPORT)
            .about("Export entries of the audit log", "400: `?format=csv` of the list streams them at once."),
    ]
}

/// What the caller may see: all of an organization from admin level on, and of a project what they see, unless a rule of
/// access closes its log.
fn view(tx: &Tx, call: &Call, place: Place) -> Result<View> {
    match place {
        Place::Project(project) => {
            access_controls::require_viewer(tx, project, call.user()?, "activity_log")?;
            Ok(View {
                organization: project.organization,
                project: Some(project.id),
                with_organization: projects::receives_organization_entries(tx, project)?,
            })
        }
        _ => {
            let at = place.in_organization()?;
            if at.level < Level::Admin {
                let detail = "Only organization admins and owners can view organization-wide activity logs.";
                return Err(denied(detail));
            }
            Ok(View { organization: at.id, project: None, with_organization: true })
        }
    }
}

#[derive(Serialize)]
pub(super) struct Wire {
    id: Uuid,
    user: Value,
    unread: bool,
    team_id: Option<ProjectId>,
    organization_id: OrganizationId,
    was_impersonated: bool,
    is_system: bool,
    client: Option<String>,
    ip_address: Option<IpAddr>,
    key: Option<UsedKey>,
    request_id: Option<String>,
    activity: String,
    item_id: String,
    scope: String,
    detail: Json,
    created_at: Time,
}

pub(super) fn wire(tx: &Tx, organization: OrganizationId, id: Uuid, entry: Entry) -> Result<Wire> {
    // What a user did stays in the log when they are gone.
    let user = match entry.user {
        Some(uuid) => match users::Profile::load(tx, uuid)? {
            Some(user) => serde_json::to_value(user.basic())?,
            None => Value::Null,
        },
        None => Value::Null,
    };
    Ok(Wire {
        id,
        user,
        unread: false,
        team_id: entry.project,
        organization_id: organization,
        was_impersonated: false,
        is_system: entry.user.is_none(),
        client: entry.client,
        ip_address: entry.address,
        key: entry.key,
        request_id: entry.request_id,
        activity: entry.activity,
        item_id: entry.item,
        scope: entry.scope,
        detail: entry.detail,
        created_at: entry.created_at,
    })
}

async fn list(app: Arc<App>, call: Arc<Call>) -> Result<Reply> {
    app.store.read(|tx| {
        let view = view_again(tx, &call)?;
        let (filter, order) = (Filter::of(&call)?, order(&call)?);
        let again = || (Arc::clone(&app), Arc::clone(&call));
        match call.query("format") {
            Some("csv") => Ok(export::csv(again(), filter, order)),
            Some("jsonl") => Ok(export::json_lines(again(), filter, order)),
            _ => page(&call, tx, view, &filter, order),
        }
    })
}

/// What a later piece of a stream may show: the caller may have lost the right meanwhile.
pub(super) fn view_again(tx: &Tx, call: &Call) -> Result<View> {
    view(tx, call, super::super::places::again(tx, call)?)
}

fn project_log(call: &Call, tx: &Tx) -> Result<Reply> {
    page(call, tx, view(tx, call, call.place)?, &Filter::of_project_log(call)?, order(call)?)
}

fn post_export(call: &Call, tx: &Tx) -> Result<Reply> {
    view(tx, call, call.place)?;
    let mut form = call.form(EXPORT)?;
    form.ignore(FORMAT);
    form.ignore(FILTERS);
    form.finish();
    Err(invalid_body(
        "invalid_input",
        "Nothing is made in the background: read the list with ?format=csv or ?format=jsonl.",
    ))
}

/// Which entries a page holds.
fn page(call: &Call, tx: &Tx, view: View, filter: &Filter, order: Order) -> Result<Reply> {
    let size = number(call, "page_size", LIMIT_MAX)?.unwrap_or(100);
    match number(call, "page", u64::MAX)? {
        Some(page) => numbered(call, tx, view, filter, order, (page, size)),
        None => from_cursor(call, tx, view, filter, order, size),
    }
}

fn number(call: &Call, name: &'static str, max: u64) -> Result<Option<u64>> {
    let Some(text) = call.query(name).filter(|text| !text.is_empty()) else { return Ok(None) };
    let number = text.parse().map_err(|_| invalid(name, "invalid", "A valid integer is required."))?;
    match number {
        0 => Err(invalid(name, "min_value", "Ensure this value is greater than or equal to 1.")),
        number if number > max => {
            let detail = format!("Ensure this value is less than or equal to {max}.");
            Err(invalid(name, "max_value", detail))
        }
        number => Ok(Some(number)),
    }
}

#[derive(Serialize)]
struct CursorPage {
    next: Option<String>,
    previous: Option<String>,
    results: Vec<Wire>,
}

/// Entries of the audit log that follow each other, in the order of the request.
pub struct Found {
    pub entries: Vec<(Uuid, Entry)>,
    /// Where the following ones begin.
    pub next: Option<Cursor>,
    pub previous: Option<Cursor>,
}

/// The entries that the query of a request asks for, as the list of the API has them.
///
/// # Errors
/// 403 where the caller may not see the log of the place; 400 for wrong filters; 404 for no cursor.
pub fn find_page(call: &Call, tx: &Tx, place: Place, size: u64) -> Result<Found> {
    let view = view(tx, call, place)?;
    found(call, tx, view, &Filter::of(call)?, order(call)?, size)
}

fn found(call: &Call, tx: &Tx, view: View, filter: &Filter, order: Order, size: u64) -> Result<Found> {
    let cursor = Cursor::of(call)?;
    let is_backward = cursor.as_ref().is_some_and(|cursor| cursor.is_backward);
    let walk_order = if is_backward { order.reverse() } else { order };
    let (mut from, mut to) = span(filter);
    match (&cursor, walk_order) {
        (Some(Cursor { position: (_, id), .. }), Order::Ascending) => from = from.max(Ids::after(*id)),
        (Some(Cursor { position: (_, id), .. }), Order::Descending) => to = to.min(*id),
        (None, _) => {}
    }
    let limit = usize::try_from(size).unwrap_or(usize::MAX);
    let mut walked = walk(tx, view, filter, (from, to.max(from)), walk_order, limit)?;
    let ends = (walked.entries.first().map(|(id, _)| *id), walked.last);
    if is_backward {
        walked.entries.reverse();
    }
    let (first, last) = ends;
    let further = walked.is_more.then_some(last).flatten();
    let (next, previous) = match (is_backward, &cursor) {
        (false, None) => (further, None),
        (false, Some(cursor)) => (further, Some(first.unwrap_or(cursor.position.1))),
        (true, Some(cursor)) => (Some(first.unwrap_or(cursor.position.1)), further),
        (true, None) => (None, None),
    };
    // Identifiers are in the order of time, so they alone are the position.
    let to = |is_backward| move |id| Cursor { is_backward, position: (0, id) };
    Ok(Found { entries: walked.entries, next: next.map(to(false)), previous: previous.map(to(true)) })
}

fn from_cursor(call: &Call, tx: &Tx, view: View, filter: &Filter, order: Order, size: u64) -> Result<Reply> {
    let Found { entries, next, previous } = found(call, tx, view, filter, order, size)?;
    let results = entries.into_iter().map(|(id, entry)| wire(tx, view.organization, id, entry));
    Reply::ok(&CursorPage {
        next: next.map(|cursor| cursor.link(call)),
        previous: previous.map(|cursor| cursor.link(call)),
        results: results.collect::<Result<_>>()?,
    })
}

#[derive(Serialize)]
struct NumberedPage {
    count: u64,
    next: Option<String>,
    previous: Option<String>,
    results: Vec<Wire>,
}

fn numbered(
    call: &Call,
    tx: &Tx,
    view: View,
    filter: &Filter,
    order: Order,
    (page, size): (u64, u64),
) -> Result<Reply> {
    let offset = (page - 1).saturating_mul(size);
    let (count, entries) = match (filter.is_open(), view.project) {
        (true, None) => {
            let (count, rows) = tx.page(&ENTRIES, &view.organization, order, offset, size)?;
            (count, rows.into_iter().map(|((_, id), entry)| (id, entry)).collect())
        }
        (true, Some(project)) if !view.with_organization => {
            page_of(tx, view.organization, Of::Project(project), order, (offset, size))?
        }
        _ => counted(tx, view, filter, order, (offset, size))?,
    };
    if page > 1 && offset >= count {
        return Err(Error::NotFound("Invalid page.".into()));
    }
    let at =
        |page: u64| link(call, [("page", Some(page.to_string())), ("page_size", Some(size.to_string()))]);
    let results = entries.into_iter().map(|(id, entry)| wire(tx, view.organization, id, entry));
    Reply::ok(&NumberedPage {
        count,
        next: (offset.saturating_add(size) < count).then(|| at(page + 1)),
        previous: (page > 1).then(|| at(page - 1)),
        results: results.collect::<Result<_>>()?,
    })
}

/// How many of the first entries the filter admits, and those of the page.
fn counted(
    tx: &Tx,
    view: View,
    filter: &Filter,
    order: Order,
    (offset, size): (u64, u64),
) -> Result<(u64, Vec<(Uuid, Entry)>)> {
    let (mut count, mut entries) = (0, Vec::new());
    for row in rows(tx, view, filter, span(filter), order)?.take(LOOKED_AT_MAX) {
        let (id, entry) = row?;
        if view.admits(&entry) && filter.admits(&entry) {
            if (offset..offset.saturating_add(size)).contains(&count) {
                entries.push((id, entry));
            }
            count += 1;
        }
    }
    Ok((count, entries))
}

/// Values, by the paths at which they stand, with their types.
#[derive(Default)]
struct Paths(BTreeMap<String, BTreeSet<&'static str>>);

impl Paths {
    /// Deeper values have no path of their own.
    const DEPTH_MAX: usize = 6;
    const PATHS_MAX: usize = 500;

    fn note(&mut self, path: &str, value: &Value, depth: usize) {
        if depth > Paths::DEPTH_MAX || self.0.len() > Paths::PATHS_MAX {
            return;
        }
        match value {
            Value::Object(fields) => {
                for (name, inner) in fields {
                    let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                    self.note(&path, inner, depth + 1);
                }
            }
            Value::Array(items) => {
                let path = format!("{path}[]");
                items.iter().for_each(|item| self.note(&path, item, depth + 1));
            }
            Value::String(_) => self.add(path, "string"),
            Value::Number(_) => self.add(path, "number"),
            Value::Bool(_) => self.add(path, "boolean"),
            Value::Null => self.add(path, "null"),
        }
    }

    fn add(&mut self, path: &str, kind: &'static str) {
        self.0.entry(path.to_owned()).or_default().insert(kind);
    }

    fn wire(&self) -> Value {
        let field = |(name, types): (&String, &BTreeSet<&str>)| json!({"name": name, "types": types});
        json!({"fields": self.0.iter().map(field).collect::<Vec<_>>()})
    }
}

/// What the newest entries of a place have to filter by.
#[derive(Default)]
pub struct Choices {
    /// With their names, as far as they are still there.
    pub people: Vec<(UserId, String)>,
    pub scopes: BTreeSet<String>,
    pub activities: BTreeSet<String>,
    pub clients: BTreeSet<String>,
}

/// What there is to filter by in the log of a place.
///
/// # Errors
/// 403 where the caller may not see it.
pub fn choices(call: &Call, tx: &Tx, place: Place) -> Result<Choices> {
    gather(tx, view(tx, call, place)?, |_| {})
}

/// Looks at the newest entries, and shows each to `note`.
fn gather(tx: &Tx, view: View, mut note: impl FnMut(&Entry)) -> Result<Choices> {
    let filter = Filter::default();
    let (mut people, mut found) = (BTreeSet::new(), Choices::default());
    for row in rows(tx, view, &filter, span(&filter), Order::Descending)?.take(LOOKED_AT_MAX) {
        let (_, entry) = row?;
        if !view.admits(&entry) {
            continue;
        }
        note(&entry);
        people.extend(entry.user);
        found.scopes.insert(entry.scope);
        found.activities.insert(entry.activity);
        found.clients.extend(entry.client);
    }
    for uuid in people {
        let Some(user) = users::get(tx, uuid)? else { continue };
        let name = format!("{} {}", user.first_name, user.last_name);
        let label = if name.trim().is_empty() { user.email } else { name.trim().to_owned() };
        found.people.push((uuid, label));
    }
    Ok(found)
}

fn available_filters(call: &Call, tx: &Tx) -> Result<Reply> {
    let mut paths: BTreeMap<String, Paths> = BTreeMap::new();
    let found = gather(tx, view(tx, call, call.place)?, |entry| {
        paths.entry(entry.scope.clone()).or_default().note("", &entry.detail.value(), 0);
    })?;
    let label = |(uuid, label): &(UserId, String)| json!({"value": uuid, "label": label});
    let people: Vec<Value> = found.people.iter().map(label).collect();
    let values = |names: &BTreeSet<String>| -> Vec<Value> {
        names.iter().map(|name| json!({"value": name})).collect()
    };
    let mut fields = serde_json::Map::new();
    let general = ["type", "action", "field", "before", "after"];
    let general = general.map(|name| json!({"name": format!("changes[].{name}"), "types": ["any"]}));
    fields.insert("General".into(), json!({"fields": general}));
    fields.extend(paths.iter().map(|(scope, paths)| (scope.clone(), paths.wire())));
    Reply::ok(&json!({
        "static_filters": {
            "users": people,
            "scopes": values(&found.scopes),
            "activities": values(&found.activities),
            "clients": values(&found.clients),
        },
        "detail_fields": fields,
    }))
}
