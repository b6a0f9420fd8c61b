//! Making an invite, whichever route wants it.

use serde_json::{Value, json};

use super::{
    COMBINE_PENDING_INVITES, FIRST_NAME, INVITES, Invite, LEVEL, Loaded, MESSAGE, PRIVATE_PROJECT_ACCESS,
    SEND_EMAIL, TARGET_EMAIL, of_address, project_access, tokens,
};
use crate::api::{Ctx, Form, InOrganization, Level};
use crate::error::{Result, denied, invalid, invalid_body};
use crate::ids::{InviteId, OrganizationId, UserId};
use crate::resources::audit::{self, Change, scope};
use crate::resources::outbox::Occasion;
use crate::resources::{members, organizations, outbox, users};
use crate::store::{Tx, WriteTx};

use super::project_access::ProjectAccess;

/// The invite that is wanted.
pub(super) struct Wanted {
    pub target_email: String,
    pub first_name: String,
    pub level: Level,
    pub message: Option<String>,
    pub private_project_access: Vec<ProjectAccess>,
    pub combines: bool,
    pub sends_mail: bool,
    pub occasion: Occasion,
}

impl Wanted {
    pub(super) fn of(mut form: Form) -> Result<Wanted> {
        let list: Option<Option<Value>> = form.take(PRIVATE_PROJECT_ACCESS);
        let wanted = Wanted {
            target_email: form.take(TARGET_EMAIL).unwrap_or_default(),
            first_name: form.take(FIRST_NAME).unwrap_or_default(),
            level: form.take(LEVEL).and_then(|number| Level::of(number.into())).unwrap_or(Level::Member),
            message: form.take(MESSAGE).flatten(),
            private_project_access: project_access::read(&list.flatten().unwrap_or_default())?,
            combines: form.take(COMBINE_PENDING_INVITES).unwrap_or(false),
            sends_mail: form.take(SEND_EMAIL).unwrap_or(true),
            occasion: Occasion::Invite,
        };
        form.finish();
        Ok(wanted)
    }
}

/// Lets the actor let somebody in at this level.
///
/// # Errors
/// 403 where they may not.
pub(super) fn may_send(ctx: &Ctx, tx: &Tx, at: InOrganization, level: Level) -> Result<()> {
    organizations::may_invite(tx, at)?;
    if level > at.level {
        let detail = "You cannot invite a user with a higher permission level than your own.";
        return Err(denied(detail));
    }
    members::key_may_give(ctx, level)
}

pub(super) fn make(
    ctx: &Ctx,
    tx: &WriteTx,
    at: InOrganization,
    wanted: Wanted,
) -> Result<(InviteId, Invite)> {
    let organization = at.id;
    let user = ctx.user()?;
    let id = ctx.new_id();
    let mut invite = Invite {
        target_email: lower_domain(wanted.target_email),
        first_name: wanted.first_name,
        level: wanted.level,
        message: wanted.message,
        emailing_attempt_made: false,
        created_by: user,
        created_at: ctx.now,
        updated_at: ctx.now,
        token: Some(tokens::new_token(&ctx.ids, &ctx.vault, id)?),
        private_project_access: wanted.private_project_access,
    };
    let older = of_address(tx, organization, &invite.target_email)?;
    let mut combined = (invite.level, invite.private_project_access.clone());
    for (_, old) in older.iter().filter(|(_, old)| !old.is_expired(ctx.now)) {
        combined.0 = combined.0.max(old.level);
        for access in &old.private_project_access {
            if crate::resources::projects::is_of(tx, organization, access.project)? {
                project_access::add(&mut combined.1, *access);
            }
        }
    }
    // Nobody replaces what they could not send, whether its level is kept or not.
    may_send(ctx, tx, at, combined.0)?;
    project_access::check(tx, at, user, &combined.1)?;
    if wanted.combines {
        (invite.level, invite.private_project_access) = combined;
    }
    check_address(tx, organization, &invite.target_email)?;
    for (old_id, old) in older {
        tx.delete(&INVITES, &(organization, old_id))?;
        log(ctx, tx, organization, old_id, &old, End::Replaced)?;
    }
    if wanted.sends_mail {
        invite.emailing_attempt_made =
            outbox::push_invite(ctx, tx, organization, id, &invite, wanted.occasion)?;
    }
    tx.insert(&INVITES, &(organization, id), &invite)?;
    log_made(ctx, tx, organization, id, &invite)?;
    Ok((id, invite))
}

fn check_address(tx: &Tx, organization: OrganizationId, email: &str) -> Result<()> {
    if let Some(user) = users::by_email(tx, email)?
        && members::level_of(tx, organization, user)?.is_some()
    {
        let detail = "A user with this email address already belongs to the organization.";
        return Err(invalid_body("invalid_input", detail));
    }
    organizations::admits_address(tx, organization, email)?
        .map_err(|detail| invalid(TARGET_EMAIL.name(), "invalid_input", detail))
}

fn lower_domain(address: String) -> String {
    match address.rsplit_once('@') {
        Some((local, domain)) => format!("{local}@{}", domain.to_lowercase()),
        None => address,
    }
}

/// Why an invite is there no more.
#[derive(Clone, Copy)]
pub(super) enum End {
    Replaced,
    /// By somebody who may, or by what became of its sender.
    TakenBack,
    /// By its address.
    Used(UserId),
}

fn log_made(
    ctx: &Ctx,
    tx: &WriteTx,
    organization: OrganizationId,
    id: InviteId,
    invite: &Invite,
) -> Result<()> {
    let Described { sender, target, organization: name, context } = describe(tx, organization, invite)?;
    let change = Change::of(scope::INVITE, "created", id)
        .named(format!("User {sender} invited user {target} into organization {name}"))
        .with_context(context);
    audit::record(ctx, tx, organization, change)
}

/// Writes down that an invite is there no more.
pub(super) fn log(
    ctx: &Ctx,
    tx: &WriteTx,
    organization: OrganizationId,
    id: InviteId,
    invite: &Invite,
    end: End,
) -> Result<()> {
    let Described { sender, target, organization: name, context } = describe(tx, organization, invite)?;
    let sentence = match end {
        End::Replaced => format!("The invite of user {target} into organization {name} was replaced"),
        End::TakenBack => {
            format!(
                "The invite that user {sender} sent user {target} into organization {name} was taken back"
            )
        }
        End::Used(_) => {
            format!("User {target} accepted the invite of user {sender} into organization {name}")
        }
    };
    let actor = match end {
        End::Used(user) => members::actor_or(ctx, user),
        _ => ctx.actor.caller().map(|caller| caller.user),
    };
    let change = Change::of(scope::INVITE, "deleted", id).named(sentence).with_context(context);
    audit::record_by(ctx, tx, actor, organization, change)
}

/// An invite in words.
struct Described {
    sender: String,
    target: String,
    organization: String,
    context: Value,
}

fn describe(tx: &Tx, organization: OrganizationId, invite: &Invite) -> Result<Described> {
    let sender = users::find(tx, invite.created_by)?;
    let name = organizations::find(tx, organization)?.name;
    let context = json!({
        "organization_id": organization,
        "organization_name": name,
        "target_email": invite.target_email,
        "inviter_user_id": invite.created_by,
        "inviter_user_email": sender.email,
        "inviter_user_name": sender.first_name,
        "level": members::label(invite.level),
    });
    let sender = format!("{} ({})", sender.first_name, sender.email);
    Ok(Described { sender, target: invite.target_email.clone(), organization: name, context })
}

/// Takes an invite away, and writes down why.
pub(super) fn end(
    ctx: &Ctx,
    tx: &WriteTx,
    Loaded { organization, id, invite }: &Loaded,
    why: End,
) -> Result<()> {
    tx.delete(&INVITES, &(*organization, *id))?;
    log(ctx, tx, *organization, *id, invite, why)
}
