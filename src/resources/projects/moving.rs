//! Moving a project to another organization, with its events, tokens and exports.

use serde_json::json;

use super::PROJECTS;
use super::wire::Loaded;
use crate::api::call::parse_uuid;
use crate::api::caller::{SecondStep, Via};
use crate::api::{Actor, Ctx, Field, FieldInfo, InProject, Input, Level};
use crate::error::{Error, Result, denied, invalid, invalid_body};
use crate::ids::OrganizationId;
use crate::resources::audit::{self, Change, scope};
use crate::resources::{access_controls, batch_exports, members, organizations, two_factor};
use crate::store::{Tx, WriteTx};

const ORGANIZATION_ID: Field<String> =
    Field::text("organization_id", 200).required().described("The UUID of the organization to move to.");
pub(super) const FIELDS: &[FieldInfo] = &[ORGANIZATION_ID.info()];

/// Moves the project. For admins of both organizations. Rules that name members and roles of the old organization end;
/// its identifier, tokens, events and exports stay.
///
/// # Errors
/// 400 for whoever is not admin of both, and where it is there already; 403 for a key that does not reach the other
/// organization, and for a session without the second factor that it demands.
pub fn change_organization(ctx: &Ctx, tx: &WriteTx, at: InProject, input: Input<'_>) -> Result<Loaded> {
    let wanted = input.form(FIELDS)?.only(ORGANIZATION_ID);
    let wanted = wanted.ok_or_else(|| invalid("organization_id", "required", "This field is required."))?;
    let (target, level) = target(ctx, tx, at.organization, &wanted)?;
    admit(ctx, tx, target)?;
    let from = (at.organization, at.id);
    let before = Loaded::find(tx, at)?;
    tx.rekey(&PROJECTS, &from, &(target, at.id), &before.project)?;
    access_controls::move_project(tx, at.id, at.organization, target)?;
    batch_exports::move_project(tx, at.id, at.organization, target)?;
    batch_exports::authors::pause_all_lost(ctx, tx, target)?;
    for organization in [at.organization, target] {
        let change = audit::field_change(
            scope::PROJECT,
            "organization_id",
            json!(at.organization),
            json!(target),
            "changed",
        );
        let change = Change::updated(scope::PROJECT, at.id, "moved to another organization", vec![change])
            .in_project(at.id)
            .with_context(json!({"project_name": before.project.name}));
        audit::record(ctx, tx, organization, change)?;
    }
    Loaded::find(tx, InProject { organization: target, id: at.id, level })
}

/// The organization that is named and the caller's level there, for admins of both.
fn target(ctx: &Ctx, tx: &Tx, source: OrganizationId, wanted: &str) -> Result<(OrganizationId, Level)> {
    let refuse = |detail: &'static str| invalid_body("invalid_input", detail);
    let user = ctx.user()?;
    let unknown = || {
        refuse("You must be an admin or owner of both the source and target organizations to move a project.")
    };
    let target = parse_uuid(wanted).map(OrganizationId).ok_or_else(unknown)?;
    let there = members::level_of(tx, target, user)?.ok_or_else(unknown)?;
    let here = members::level_of(tx, source, user)?.ok_or_else(unknown)?;
    if here.min(there) < Level::Admin {
        return Err(refuse(
            "You must be an admin of both the source and target organizations to move a project.",
        ));
    }
    if source == target {
        return Err(refuse("Project is already in the target organization."));
    }
    Ok((target, there))
}

/// The path names the old organization only, so what the new one demands of its callers is checked here.
fn admit(ctx: &Ctx, tx: &Tx, target: OrganizationId) -> Result<()> {
    if matches!(ctx.actor, Actor::Operator(_)) {
        return Ok(());
    }
    match &ctx.caller()?.via {
        Via::Key(key) if key.projects.is_empty() && key.organizations.is_empty() => Ok(()),
        Via::Key(key) if key.projects.is_empty() && key.organizations.contains(&target) => Ok(()),
        Via::Key(_) => Err(no_key(target)),
        Via::Session { second_step: SecondStep::Done, .. } => Ok(()),
        Via::Session { .. } if organizations::find(tx, target)?.enforce_2fa == Some(true) => {
            Err(two_factor::setup_required())
        }
        Via::Session { .. } => Ok(()),
    }
}

fn no_key(organization: OrganizationId) -> Error {
    denied(format!("API key does not have access to the requested organization: ID {organization}."))
}
