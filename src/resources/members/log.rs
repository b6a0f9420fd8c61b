//! What the audit log keeps of memberships.

use serde::Serialize;
use serde_json::Value;

use super::Member;
use crate::api::{Actor, Ctx, Level};
use crate::error::Result;
use crate::ids::{OrganizationId, UserId};
use crate::resources::audit::{self, Change, scope};
use crate::resources::organizations;
use crate::resources::users::{self, User};
use crate::store::WriteTx;

/// What happened to a membership.
pub(super) enum Logged {
    Joined,
    /// It had this level before.
    Level(Level),
    Left,
}

/// What an entry says besides.
#[derive(Serialize)]
struct Context<'a> {
    organization_id: OrganizationId,
    organization_name: &'a str,
    user_id: UserId,
    user_email: &'a str,
    user_name: &'a str,
    level: &'static str,
}

/// Writes a change of a membership down.
pub(super) fn log(
    ctx: &Ctx,
    tx: &WriteTx,
    organization: OrganizationId,
    user: UserId,
    member: &Member,
    what: Logged,
) -> Result<()> {
    let person = users::find(tx, user)?;
    let name = organizations::find(tx, organization)?.name;
    log_of(ctx, tx, (organization, &name), (user, &person), member, what)
}

/// The same for whoever knows the organization's name and the person.
pub(super) fn log_of(
    ctx: &Ctx,
    tx: &WriteTx,
    (organization, name): (OrganizationId, &str),
    (user, person): (UserId, &User),
    member: &Member,
    what: Logged,
) -> Result<()> {
    let whole = format!("{} {}", person.first_name, person.last_name);
    let whole = whole.trim();
    let (change, verb) = match what {
        Logged::Joined => (Change::of(scope::MEMBERSHIP, "created", member.id), "joined"),
        Logged::Left => (Change::of(scope::MEMBERSHIP, "deleted", member.id), "left"),
        Logged::Level(before) => {
            let shown = |level: Level| -> Value { label(level).into() };
            let change = audit::field_change(
                scope::MEMBERSHIP,
                "level",
                shown(before),
                shown(member.level),
                "changed",
            );
            let changes = if before == member.level { Vec::new() } else { vec![change] };
            let change = Change::updated(scope::MEMBERSHIP, member.id, "", changes);
            (change, "membership updated in")
        }
    };
    let change = change.named(format!("{whole} ({}) {verb} {name}", person.email)).with_context(Context {
        organization_id: organization,
        organization_name: name,
        user_id: user,
        user_email: &person.email,
        user_name: whole,
        level: label(member.level),
    });
    audit::record_by(ctx, tx, actor_or(ctx, user), organization, change)
}

/// Who acts: whoever calls, or else the newcomer, who is no caller before they have signed up.
pub fn actor_or(ctx: &Ctx, newcomer: UserId) -> Option<UserId> {
    match &ctx.actor {
        Actor::Nobody => Some(newcomer),
        other => other.caller().map(|caller| caller.user),
    }
}

/// A level in words.
pub fn label(level: Level) -> &'static str {
    match level {
        Level::Member => "member",
        Level::Admin => "administrator",
        Level::Owner => "owner",
    }
}
