//! Settings of an organization beside its name, and what they restrict.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::find;
use crate::api::caller::Caller;
use crate::api::fields::Checked;
use crate::api::{Ctx, Field, Form, InOrganization, Level, Via};
use crate::error::{Error, Result, denied, forbidden, invalid, invalid_body};
use crate::ids::{OrganizationId, RoleId, UserId};
use crate::resources::{domains, members, roles, users};
use crate::store::{Cacheable, Tx, WriteTx};

/// What admins decide about an organization.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    /// Whether plain members may invite; null counts as no.
    pub members_can_invite: Option<bool>,
    /// Whether plain members may make projects; null counts as no.
    pub members_can_create_projects: Option<bool>,
    pub members_can_use_personal_api_keys: bool,
    /// Without it plain members see those only with whom they share a project.
    pub members_can_see_org_members: bool,
    /// Whether only addresses under the organization's verified domains get in.
    pub enforce_verified_domains: bool,
    /// Stored and shown, as all below that say nothing else.
    pub allow_publicly_shared_resources: bool,
    /// The role that new members are put into.
    pub default_role_id: Option<RoleId>,
    /// What new projects begin with.
    pub default_anonymize_ips: bool,
    pub is_ai_data_processing_approved: Option<bool>,
    pub is_ai_training_opted_in: Option<bool>,
    pub read_only_mcp_access: bool,
    pub default_experiment_stats_method: Option<String>,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            members_can_invite: Some(true),
            members_can_create_projects: Some(false),
            members_can_use_personal_api_keys: true,
            members_can_see_org_members: true,
            enforce_verified_domains: false,
            allow_publicly_shared_resources: true,
            default_role_id: None,
            default_anonymize_ips: false,
            is_ai_data_processing_approved: None,
            is_ai_training_opted_in: None,
            read_only_mcp_access: false,
            default_experiment_stats_method: Some("bayesian".into()),
        }
    }
}

pub(super) const MEMBERS_CAN_INVITE: Field<Option<bool>> =
    Field::boolean("members_can_invite").nullable().described("Whether plain members may invite.");
pub(super) const MEMBERS_CAN_CREATE_PROJECTS: Field<Option<bool>> =
    Field::boolean("members_can_create_projects")
        .nullable()
        .described("Whether plain members may make projects.");
pub(super) const MEMBERS_CAN_USE_PERSONAL_API_KEYS: Field<bool> =
    Field::boolean("members_can_use_personal_api_keys")
        .described("False: keys of plain members get 403 here.");
pub(super) const MEMBERS_CAN_SEE_ORG_MEMBERS: Field<bool> = Field::boolean("members_can_see_org_members")
    .described("False: plain members see those only who have been given a project that they can reach too.");
pub(super) const ENFORCE_VERIFIED_DOMAINS: Field<bool> = Field::boolean("enforce_verified_domains")
    .described("True: members whose address is under no verified domain of the organization get 403.");
pub(super) const ALLOW_PUBLICLY_SHARED_RESOURCES: Field<bool> =
    Field::boolean("allow_publicly_shared_resources").described("Stored and shown; nothing here is shared.");
pub(super) const DEFAULT_ROLE_ID: Field<Option<RoleId>> =
    Field::id("default_role_id").nullable().described("The role that new members are put into.");
pub(super) const DEFAULT_ANONYMIZE_IPS: Field<bool> =
    Field::boolean("default_anonymize_ips").described("`anonymize_ips` of new projects, unless given.");
pub(super) const IS_AI_DATA_PROCESSING_APPROVED: Field<Option<bool>> =
    Field::boolean("is_ai_data_processing_approved").nullable().described("Stored and shown.");
pub(super) const IS_AI_TRAINING_OPTED_IN: Field<Option<bool>> =
    Field::boolean("is_ai_training_opted_in").nullable().described("Stored and shown.");
pub(super) const READ_ONLY_MCP_ACCESS: Field<bool> =
    Field::boolean("read_only_mcp_access").described("Stored and shown.");
pub(super) const DEFAULT_EXPERIMENT_STATS_METHOD: Field<Option<String>> =
    Field::text_choice("default_experiment_stats_method", |text| {
        ["bayesian", "frequentist", ""].contains(&text)
    })
    .nullable()
    .described("`bayesian`, `frequentist` or empty. Stored and shown.");
pub(super) const LOGO_MEDIA_ID: Field<Option<uuid::Uuid>> = Field::uuid("logo_media_id")
    .nullable()
    .rule(is_no_media)
    .described("Only null: nothing is uploaded here.");

/// There are no uploads that could be named.
fn is_no_media(attr: &'static str, value: &Checked) -> Result<()> {
    match value {
        Checked::Uuid(id) => Err(no_object(attr, &id.to_string())),
        _ => Ok(()),
    }
}

fn no_object(attr: &'static str, id: &str) -> Error {
    invalid(attr, "does_not_exist", format!("Invalid pk \"{id}\" - object does not exist."))
}

impl Settings {
    pub(super) fn fill(&mut self, form: &mut Form) {
        form.set(MEMBERS_CAN_INVITE, &mut self.members_can_invite);
        form.set(MEMBERS_CAN_CREATE_PROJECTS, &mut self.members_can_create_projects);
        form.set(MEMBERS_CAN_USE_PERSONAL_API_KEYS, &mut self.members_can_use_personal_api_keys);
        form.set(MEMBERS_CAN_SEE_ORG_MEMBERS, &mut self.members_can_see_org_members);
        form.set(ENFORCE_VERIFIED_DOMAINS, &mut self.enforce_verified_domains);
        form.set(ALLOW_PUBLICLY_SHARED_RESOURCES, &mut self.allow_publicly_shared_resources);
        form.set(DEFAULT_ROLE_ID, &mut self.default_role_id);
        form.set(DEFAULT_ANONYMIZE_IPS, &mut self.default_anonymize_ips);
        form.set(IS_AI_DATA_PROCESSING_APPROVED, &mut self.is_ai_data_processing_approved);
        form.set(IS_AI_TRAINING_OPTED_IN, &mut self.is_ai_training_opted_in);
        form.set(READ_ONLY_MCP_ACCESS, &mut self.read_only_mcp_access);
        form.set(DEFAULT_EXPERIMENT_STATS_METHOD, &mut self.default_experiment_stats_method);
        // Null is all that it may be.
        form.ignore(LOGO_MEDIA_ID);
    }

    /// Refuses settings that name a role which is not there, or that shut out whoever sets them. `id` is `None` for
    /// an organization that is new, which has neither roles nor domains.
    pub(super) fn check(
        &self,
        ctx: &Ctx,
        tx: &Tx,
        id: Option<OrganizationId>,
        before: &Settings,
    ) -> Result<()> {
        if let Some(role) = self.default_role_id
            && !id.map_or(Ok(false), |id| roles::exists(tx, id, role))?
        {
            return Err(invalid(DEFAULT_ROLE_ID.name(), "invalid_input", "Role does not exist."));
        }
        if !self.enforce_verified_domains || before.enforce_verified_domains {
            return Ok(());
        }
        let Some(caller) = ctx.actor.caller() else { return Ok(()) };
        if id.map_or(Ok(false), |id| is_admitted(tx, id, caller.user))? {
            return Ok(());
        }
        let detail = "You can't restrict membership to verified email domains, because your own email address is \
                      under none of them.";
        Err(invalid(ENFORCE_VERIFIED_DOMAINS.name(), "would_block_self", detail))
    }
}

/// What every request to an organization is judged by.
struct Gate {
    demands_second_factor: bool,
    refuses_keys_of_members: bool,
    is_for_verified_domains: bool,
}

impl Cacheable for Gate {
    fn bytes(&self) -> usize {
        size_of::<Gate>()
    }
}

fn gate(tx: &Tx, id: OrganizationId) -> Result<Arc<Gate>> {
    tx.cached("gate", id.0.as_bytes(), || {
        let organization = find(tx, id)?;
        Ok(Gate {
            demands_second_factor: organization.enforce_2fa == Some(true),
            refuses_keys_of_members: !organization.settings.members_can_use_personal_api_keys,
            is_for_verified_domains: organization.settings.enforce_verified_domains,
        })
    })
}

/// Whether the organization demands a second factor of sessions.
pub fn demands_second_factor(tx: &Tx, id: OrganizationId) -> Result<bool> {
    Ok(gate(tx, id)?.demands_second_factor)
}

/// Lets a member's request into the organization or one of its projects.
///
/// # Errors
/// 403 for the key of a plain member where those are not allowed, and for an address under no verified domain where
/// one is demanded.
pub fn let_in(tx: &Tx, id: OrganizationId, caller: &Caller) -> Result<()> {
    let gate = gate(tx, id)?;
    if gate.refuses_keys_of_members
        && matches!(caller.via, Via::Key(_))
        && members::level_of(tx, id, caller.user)? < Some(Level::Admin)
    {
        return Err(denied(format!(
            "Organization '{}' does not allow using personal API keys. Contact an admin to enable personal API keys \
             for this organization.",
            find(tx, id)?.name
        )));
    }
    if gate.is_for_verified_domains && !is_admitted(tx, id, caller.user)? {
        return Err(denied(ONLY_VERIFIED));
    }
    Ok(())
}

const ONLY_VERIFIED: &str =
    "This organization only allows members with an email address on a verified domain.";

fn is_admitted(tx: &Tx, id: OrganizationId, user: UserId) -> Result<bool> {
    domains::admits(tx, id, &users::find(tx, user)?.email)
}

/// Whether somebody with this address may become a member; the error says why not.
pub fn admits_address(
    tx: &Tx,
    id: OrganizationId,
    email: &str,
) -> Result<std::result::Result<(), &'static str>> {
    let is_open = !find(tx, id)?.settings.enforce_verified_domains || domains::admits(tx, id, email)?;
    Ok(if is_open { Ok(()) } else { Err(ONLY_VERIFIED) })
}

/// Lets a verified domain be given up.
///
/// # Errors
/// 400 for the one that admits the actor, while membership is restricted to verified domains.
pub fn may_give_up_domain(ctx: &Ctx, tx: &Tx, id: OrganizationId, name: &str) -> Result<()> {
    let Some(caller) = ctx.actor.caller() else { return Ok(()) };
    if !find(tx, id)?.settings.enforce_verified_domains {
        return Ok(());
    }
    let email = users::find(tx, caller.user)?.email;
    if domains::domain_of(&email).as_deref() != Some(name) {
        return Ok(());
    }
    let detail = "You can't delete this domain while membership is restricted to verified email domains, because your \
                  own email address would no longer be allowed. Turn off that setting first.";
    Err(invalid_body("would_block_self", detail))
}

/// Lets somebody invite others at all.
///
/// # Errors
/// 403 for plain members where they may not.
pub fn may_invite(tx: &Tx, at: InOrganization) -> Result<()> {
    if can_invite(tx, at)? { Ok(()) } else { Err(forbidden()) }
}

/// Whether a member of this level may invite.
pub fn can_invite(tx: &Tx, at: InOrganization) -> Result<bool> {
    Ok(at.level >= Level::Admin || find(tx, at.id)?.settings.members_can_invite == Some(true))
}

/// Lets somebody make projects.
///
/// # Errors
/// 403 for plain members where they may not.
pub fn may_create_projects(tx: &Tx, at: InOrganization) -> Result<()> {
    if at.level >= Level::Admin || find(tx, at.id)?.settings.members_can_create_projects == Some(true) {
        return Ok(());
    }
    at.level.require(Level::Admin)
}

/// Whether plain members see all members.
pub fn shows_all_members(tx: &Tx, id: OrganizationId) -> Result<bool> {
    Ok(find(tx, id)?.settings.members_can_see_org_members)
}

/// The role that new members are put into.
pub fn default_role(tx: &Tx, id: OrganizationId) -> Result<Option<RoleId>> {
    Ok(find(tx, id)?.settings.default_role_id)
}

/// A role is gone: new members are put into it no more.
pub fn on_role_removed(ctx: &Ctx, tx: &WriteTx, id: OrganizationId, role: RoleId) -> Result<()> {
    let before = find(tx, id)?;
    if before.settings.default_role_id != Some(role) {
        return Ok(());
    }
    let mut organization = before.clone();
    organization.settings.default_role_id = None;
    super::store(ctx, tx, id, &before, organization)
}
