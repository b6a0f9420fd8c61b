//! The audit log: who changed what, when, from where and with which key, before and after.
//! Invariant: an entry is written in the same transaction as the change that it describes.

mod advanced;
mod differences;
pub mod export;
mod filter;
mod of;
mod pages;
mod walk;

use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Value, json};
use uuid::Uuid;

pub use advanced::{Choices, Found, choices, find_page};
pub use differences::{differences, field_change, hide_values, secret_change};
pub use of::{Of, page_of};
pub use pages::{Line, newest, page, page_of_scope};

use super::{Resource, organizations};
use crate::api::{Actor, Ctx};
use crate::clock::Time;
use crate::error::Result;
use crate::ids::{OrganizationId, ProjectId, UserId};
use crate::store::{Index, Json, Parent, Table, WriteTx, by_all_but_uuid};

/// Kinds of things that change, as clients name them.
pub mod scope {
    /// Who may do what in a project; the item is the project.
    pub const ACCESS_CONTROL: &str = "AccessControl";
    pub const BATCH_EXPORT: &str = "BatchExport";
    pub const DOMAIN: &str = "OrganizationDomain";
    pub const INVITE: &str = "OrganizationInvite";
    pub const KEY: &str = "PersonalAPIKey";
    pub const MEMBERSHIP: &str = "OrganizationMembership";
    pub const ORGANIZATION: &str = "Organization";
    pub const PLUGIN: &str = "Plugin";
    /// The settings and the code of a plugin.
    pub const PLUGIN_CONFIG: &str = "PluginConfig";
    /// A project that moves between organizations.
    pub const PROJECT: &str = "Project";
    pub const PROXY_RECORD: &str = "ProxyRecord";
    pub const ROLE: &str = "Role";
    /// A project and its settings, which clients call a team.
    pub const TEAM: &str = "Team";
    /// Log-ins, and what a user changes of their account.
    pub const USER: &str = "User";
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Entry {
    /// `None`: the operator at the machine, or nobody in particular.
    pub user: Option<UserId>,
    /// The personal API key, where one was used.
    pub key: Option<UsedKey>,
    /// `None` for what belongs to the organization itself.
    pub project: Option<ProjectId>,
    pub scope: String,
    /// The identifier of what changed, as text; empty where it has none.
    pub item: String,
    pub activity: String,
    pub detail: Json,
    /// The caller's address.
    pub address: Option<IpAddr>,
    /// What the caller's program says that it is.
    pub client: Option<String>,
    /// The identifier of the request, as its answer and the server's log have it.
    pub request_id: Option<String>,
    pub created_at: Time,
}

/// A personal API key, as it can be recognized after it is gone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UsedKey {
    pub id: String,
    /// Its first and last letters.
    pub mask: String,
}

type EntryKey = (OrganizationId, Uuid);
/// Organization, scope and item, and time.
type ItemKey = (OrganizationId, (String, String), Uuid);

/// Of an organization with so many entries each page walks them all. Most stay below, and every change has an entry.
const ENTRIES_WALKED: u64 = 64;

/// By organization and time.
static ENTRIES: Table<EntryKey, Entry> = Table::new("audit")
    .busy()
    .counted(by_all_but_uuid)
    .indexed(&[&BY_PROJECT, &BY_SCOPE, &BY_ITEM])
    .indexed_beyond(ENTRIES_WALKED)
    .belongs_to(&[&Parent::of(&organizations::ORGANIZATIONS, |organization| *organization)]);

/// The entries of a project.
static BY_PROJECT: Index<EntryKey, Entry, (OrganizationId, ProjectId, Uuid), ()> =
    Index::new("audit_by_project", |(organization, id): &EntryKey, entry: &Entry| {
        entry.project.map(|project| ((*organization, project, *id), ()))
    })
    .counted(by_all_but_uuid);

/// The entries of a scope.
static BY_SCOPE: Index<EntryKey, Entry, (OrganizationId, String, Uuid), ()> =
    Index::new("audit_by_scope", |(organization, id): &EntryKey, entry: &Entry| {
        Some(((*organization, entry.scope.clone(), *id), ()))
    })
    .counted(by_all_but_uuid);

/// The entries of one item of a scope.
static BY_ITEM: Index<EntryKey, Entry, ItemKey, ()> =
    Index::new("audit_by_item", |(organization, id): &EntryKey, entry: &Entry| {
        Some(((*organization, (entry.scope.clone(), entry.item.clone()), *id), ()))
    })
    .counted(by_all_but_uuid);

pub static RESOURCE: Resource = Resource::of(advanced::routes).tables(&[&ENTRIES]).samples(samples);

/// A change to be written down.
pub struct Change {
    scope: &'static str,
    activity: &'static str,
    item: String,
    name: Option<String>,
    project: Option<ProjectId>,
    /// `None` where something was made or removed as a whole.
    changes: Option<Vec<Value>>,
    context: Option<Box<RawValue>>,
}

impl Change {
    /// Something that happened to an item as a whole.
    pub fn of(scope: &'static str, activity: &'static str, item: impl ToString) -> Change {
        Change {
            scope,
            activity,
            item: item.to_string(),
            name: None,
            project: None,
            changes: None,
            context: None,
        }
    }

    pub fn created(scope: &'static str, item: impl ToString, name: &str) -> Change {
        Change::of(scope, "created", item).named(name)
    }

    pub fn deleted(scope: &'static str, item: impl ToString, name: &str) -> Change {
        Change::of(scope, "deleted", item).named(name)
    }

    /// Fields of the item changed: what `differences` found. Without any there is no entry.
    pub fn updated(scope: &'static str, item: impl ToString, name: &str, changes: Vec<Value>) -> Change {
        Change { changes: Some(changes), ..Change::of(scope, "updated", item).named(name) }
    }

    /// What people call the item.
    pub fn named(mut self, name: impl Into<String>) -> Change {
        self.name = Some(name.into());
        self
    }

    /// It belongs to a project.
    pub fn in_project(mut self, project: ProjectId) -> Change {
        self.project = Some(project);
        self
    }

    /// What explains the change besides. No secret may be in it.
    pub fn with_context(mut self, context: impl Serialize) -> Change {
        self.context = to_raw_value(&context).ok();
        self
    }

    fn is_empty(&self) -> bool {
        self.changes.as_ref().is_some_and(Vec::is_empty)
    }
}

/// Writes down that whoever the command runs for made the change.
pub fn record(ctx: &Ctx, tx: &WriteTx, organization: OrganizationId, change: Change) -> Result<()> {
    let user = ctx.actor.caller().map(|caller| caller.user);
    record_by(ctx, tx, user, organization, change)
}

/// The same for somebody who is no caller yet: who signs up, or logs in.
pub fn record_by(
    ctx: &Ctx,
    tx: &WriteTx,
    user: Option<UserId>,
    organization: OrganizationId,
    change: Change,
) -> Result<()> {
    if change.is_empty() {
        return Ok(());
    }
    let detail = Detail {
        changes: change.changes,
        context: change.context,
        name: change.name,
        short_id: (),
        trigger: (),
        kind: (),
    };
    let entry = Entry {
        user,
        key: used_key(&ctx.actor),
        project: change.project,
        scope: change.scope.into(),
        item: change.item,
        activity: change.activity.into(),
        detail: Json::of(&detail),
        address: ctx.source.address,
        client: ctx.source.client.clone(),
        request_id: ctx.source.request_id.clone(),
        created_at: ctx.now,
    };
    Ok(tx.insert(&ENTRIES, &(organization, ctx.new_id()), &entry)?)
}

/// What is kept of a change, in the order of the names.
#[derive(Serialize)]
struct Detail {
    changes: Option<Vec<Value>>,
    context: Option<Box<RawValue>>,
    name: Option<String>,
    short_id: (),
    trigger: (),
    #[serde(rename = "type")]
    kind: (),
}

fn used_key(actor: &Actor) -> Option<UsedKey> {
    actor.key().map(|key| UsedKey { id: key.id.clone(), mask: key.mask.clone() })
}

fn samples(all: &mut super::samples::Samples) {
    use super::samples::{NOW, ONE, TWO, text};
    let detail = Json::of(&json!({"a": [1, null]}));
    let entry = Entry {
        user: Some(TWO.into()),
        key: Some(UsedKey { id: text("key"), mask: text("phx_...abcd") }),
        project: Some(ProjectId(7)),
        scope: text("Team"),
        item: text("7"),
        activity: text("updated"),
        detail,
        address: Some(IpAddr::from([127, 0, 0, 1])),
        client: Some(text("cli")),
        request_id: Some(text("r")),
        created_at: NOW,
    };
    all.add(&ENTRIES, (ONE.into(), TWO), entry);
}
