//! Setting and removing rules.

use serde_json::{Value, json};

use super::kinds::{self, PROJECT, Scale};
use super::{
    ACCESS_LEVEL, AccessControl, ENTRIES, EntryKey, FIELDS, ORGANIZATION_MEMBER, Object, Of, RESOURCE_ID,
    RESOURCE_KIND, ROLE, Subject,
};
use crate::api::call::parse_uuid;
use crate::api::{Ctx, Form, InProject, Input, Level};
use crate::error::{Error, Result, denied, invalid, invalid_body};
use crate::ids::{MembershipId, OrganizationId, ProjectId, UserId};
use crate::resources::audit::{self, Change, scope};
use crate::resources::{batch_exports, members, projects, roles, users};
use crate::store::{Order, Tx, WriteTx};

/// Sets the rule that the input names, or removes it where its level is null: then there is none to give back. For
/// admins of the project.
///
/// What is wrong with the words of a rule is said before who may set it, as PostHog does; whether a member or a
/// role exists is looked up for those only who may.
///
/// # Errors
/// 400 for wrong fields; 403 below admin, and for one object of a kind: there are none here.
pub fn set(
    ctx: &Ctx,
    tx: &WriteTx,
    at: InProject,
    of: Of,
    input: Input<'_>,
) -> Result<Option<(EntryKey, AccessControl)>> {
    let mut form = input.form(FIELDS)?;
    let access_level = form.take(ACCESS_LEVEL).flatten();
    let (kind, object) = thing(&mut form, at.id, of, access_level.as_deref())?;
    let refusal = refusal(at, &kind, &object, access_level.is_none());
    let subject = subject(tx, at.organization, form, refusal.is_none())?;
    if let Some(refusal) = refusal {
        return Err(refusal);
    }
    let key = (at.organization, at.id, ((kind, object), subject.key()));
    let before = tx.get(&ENTRIES, &key)?;
    let after = match access_level {
        Some(access_level) => Some(match &before {
            Some(before) => AccessControl { access_level, updated_at: ctx.now, ..before.clone() },
            None => AccessControl {
                subject,
                access_level,
                created_by: ctx.user()?,
                created_at: ctx.now,
                updated_at: ctx.now,
            },
        }),
        None => None,
    };
    match &after {
        Some(entry) => tx.put(&ENTRIES, &key, entry)?,
        None => tx.delete(&ENTRIES, &key)?,
    }
    let level = |entry: &Option<AccessControl>| entry.as_ref().map(|entry| entry.access_level.clone());
    write_down(ctx, tx, at, (&key, subject), [level(&before), level(&after)])?;
    batch_exports::authors::pause_all_lost(ctx, tx, at.organization)?;
    Ok(after.map(|entry| (key, entry)))
}

/// Gives a new member a level in a project, in the name of whoever let them in.
///
/// # Errors
/// 404 where there is no such project.
pub fn grant(
    ctx: &Ctx,
    tx: &WriteTx,
    at: InProject,
    membership: MembershipId,
    created_by: UserId,
) -> Result<()> {
    let subject = Subject::Member(membership);
    let access_level = if at.level < Level::Admin { "member" } else { "admin" }.to_owned();
    let key = (at.organization, at.id, ((PROJECT.to_owned(), at.id.to_string()), subject.key()));
    let entry = AccessControl {
        subject,
        access_level: access_level.clone(),
        created_by,
        created_at: ctx.now,
        updated_at: ctx.now,
    };
    tx.put(&ENTRIES, &key, &entry)?;
    write_down(ctx, tx, at, (&key, subject), [None, Some(access_level)])
}

/// Notes in the audit log that a rule is another one, as a field `<resource>[/<member or role>]` of the project.
fn write_down(
    ctx: &Ctx,
    tx: &WriteTx,
    at: InProject,
    (key, whom): (&EntryKey, Subject),
    [before, after]: [Option<String>; 2],
) -> Result<()> {
    if before == after {
        return Ok(());
    }
    let ((kind, _), subject) = &key.2;
    let field = if subject.is_nil() { kind.clone() } else { format!("{kind}/{subject}") };
    let action = match (&before, &after) {
        (None, _) => "created",
        (_, None) => "deleted",
        _ => "changed",
    };
    let change = audit::field_change(scope::ACCESS_CONTROL, &field, before.into(), after.into(), action);
    let name = projects::name(tx, at.organization, at.id)?;
    let change = Change::updated(scope::ACCESS_CONTROL, at.id, &name, vec![change])
        .in_project(at.id)
        .with_context(json!({"resource": kind, "subject": described(tx, at.organization, whom)?}));
    audit::record(ctx, tx, at.organization, change)
}

/// Whom a rule is about, as people call them: identifiers alone say nothing once a member or a role is gone.
fn described(tx: &Tx, organization: OrganizationId, whom: Subject) -> Result<Value> {
    Ok(match whom {
        Subject::Everybody => "everybody".into(),
        Subject::Member(id) => match members::by_id(tx, organization, id)? {
            Some(user) => users::find(tx, user)?.email.into(),
            None => Value::Null,
        },
        Subject::Role(id) => roles::name(tx, organization, id)?.into(),
    })
}

/// What the rule is about. The level is judged first: its words depend on the kind.
fn thing(form: &mut Form, project: ProjectId, of: Of, access_level: Option<&str>) -> Result<Object> {
    let (kind, object) = (form.take(RESOURCE_KIND), form.take(RESOURCE_ID).flatten().unwrap_or_default());
    // What the body says of the resource is not read where the address says it.
    let kind = if of == Of::Project { Some(PROJECT.to_owned()) } else { kind };
    if let Some(level) = access_level {
        judge_level(kind.as_deref().unwrap_or_default(), level)?;
    }
    let Some(kind) = kind else { return Err(invalid("resource", "required", "This field is required.")) };
    if !kinds::is_kind(&kind) {
        let detail = format!("Invalid resource. Must be one of: {}", kinds::all_kinds());
        return Err(invalid("resource", "invalid_input", detail));
    }
    // The only project whose rules can be set here is that of the path.
    let is_own = of == Of::Project || (kind == PROJECT && object.is_empty());
    Ok(if is_own { (kind, project.to_string()) } else { (kind, object) })
}

fn judge_level(kind: &str, level: &str) -> Result<()> {
    let scale = Scale::of(kind);
    let wrong = |detail: String| Err(invalid("access_level", "invalid_input", detail));
    if !scale.levels.contains(&level) {
        return wrong(format!("Invalid access level. Must be one of: {}", scale.levels.join(", ")));
    }
    if scale.rank(level) < scale.rank(scale.minimum) {
        return wrong(format!(
            "Access level cannot be set below the minimum '{}' for {kind}.",
            scale.minimum
        ));
    }
    if scale.rank(level) > scale.rank(scale.maximum) {
        return wrong(format!(
            "Access level cannot be set above the maximum '{}' for {kind}.",
            scale.maximum
        ));
    }
    Ok(())
}

/// Why the caller may not set the rule.
fn refusal(at: InProject, kind: &str, object: &str, removes: bool) -> Option<Error> {
    let is_admin = at.level >= Level::Admin;
    if kind == PROJECT && object == at.id.to_string() {
        return (!is_admin).then(|| denied("Must be admin to modify project permissions."));
    }
    // Rules of single objects that were set before are still removed.
    let may_remove = removes && is_admin;
    if !object.is_empty() && !may_remove {
        let detail = "Cannot modify access controls for a resource different from the URL target.";
        return Some(denied(detail));
    }
    (!is_admin).then(|| denied("Must be an Organization admin to modify project-wide permissions."))
}

/// Whom the rule is for.
fn subject(tx: &Tx, organization: OrganizationId, mut form: Form, looks_up: bool) -> Result<Subject> {
    let missing = |attr: &'static str, id: &dyn std::fmt::Display| {
        Err(invalid(attr, "does_not_exist", format!("Invalid pk \"{id}\" - object does not exist.")))
    };
    let member = form.take(ORGANIZATION_MEMBER).flatten().filter(|text| !text.is_empty());
    let member = member.map(|text| membership(&text)).transpose()?;
    let role = form.take(ROLE).flatten();
    form.finish();
    if let Some(id) = member
        && looks_up
        && members::by_id(tx, organization, id)?.is_none()
    {
        return missing("organization_member", &id);
    }
    match (member, role) {
        (None, None) => Ok(Subject::Everybody),
        (Some(id), None) => Ok(Subject::Member(id)),
        (None, Some(id)) if looks_up && !roles::exists(tx, organization, id)? => missing("role", &id),
        (None, Some(id)) => Ok(Subject::Role(id)),
        (Some(_), Some(_)) => {
            let detail = "You can not scope an access control to both a member and a role.";
            Err(invalid_body("invalid_input", detail))
        }
    }
}

fn membership(text: &str) -> Result<MembershipId> {
    parse_uuid(text).map(MembershipId).ok_or_else(|| {
        let detail = "Invalid organization member id. Use the 'id' field from the /api/organizations/<organization_id>/members/ endpoint.";
        invalid("organization_member", "invalid_input", detail)
    })
}

/// Removes the entries of a membership that ends.
pub fn on_member_left(tx: &WriteTx, organization: OrganizationId, membership: MembershipId) -> Result<()> {
    if tx.count(&ENTRIES, &organization)? == 0 {
        return Ok(());
    }
    for (key, _) in tx.scan(&ENTRIES, &organization, Order::Ascending)? {
        if key.2.1 == membership.0 {
            tx.delete(&ENTRIES, &key)?;
        }
    }
    Ok(())
}

/// Takes the rules of a project to another organization. Those that name its members and roles end.
pub fn move_project(
    tx: &WriteTx,
    project: ProjectId,
    from: OrganizationId,
    to: OrganizationId,
) -> Result<()> {
    for (key, entry) in tx.scan(&ENTRIES, &(from, project), Order::Ascending)? {
        match entry.subject {
            Subject::Everybody => tx.rekey(&ENTRIES, &key, &(to, project, key.2.clone()), &entry)?,
            Subject::Member(_) | Subject::Role(_) => tx.delete(&ENTRIES, &key)?,
        }
    }
    Ok(())
}
