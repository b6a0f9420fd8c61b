//! What is shown of invites, and what makes an invite good again.

use super::make::{Wanted, make, may_send};
use super::{INVITES, Invite, project_access, there};
use crate::api::{Ctx, InOrganization, Level, Paging};
use crate::error::{Error, Result, invalid_body, not_found};
use crate::ids::{InviteId, OrganizationId};
use crate::resources::members::Visible;
use crate::resources::outbox::{self, Occasion};
use crate::resources::projects::{self, Short};
use crate::resources::users;
use crate::store::{Order, Tx, WriteTx};

/// An invite, with whoever sent it where they may be seen.
pub struct Row {
    pub id: InviteId,
    pub invite: Invite,
    pub sender: Option<users::Profile>,
}

/// How many invites the actor sees whose address has the text in it, and a page of them, the newest first: members see
/// those up to their own level.
///
/// # Errors
/// None but of the data file.
pub fn find_page(
    ctx: &Ctx,
    tx: &Tx,
    at: InOrganization,
    text: &str,
    paging: Paging,
) -> Result<(u64, Vec<Row>)> {
    let text = text.trim().to_lowercase();
    let (total, page) = if at.level >= Level::Admin && text.is_empty() {
        tx.page(&INVITES, &at.id, Order::Descending, paging.offset, paging.limit)?
    } else {
        let mut all = tx.scan(&INVITES, &at.id, Order::Descending)?;
        let is_seen = |invite: &Invite| at.level >= Level::Admin || invite.level <= at.level;
        all.retain(|(_, invite)| is_seen(invite) && invite.target_email.to_lowercase().contains(&text));
        (all.len() as u64, paging.cut(all))
    };
    let visible = Visible::of(tx, at, ctx.user()?)?;
    let rows = page.into_iter().map(|((_, id), invite)| row(tx, &visible, id, invite));
    Ok((total, rows.collect::<Result<_>>()?))
}

fn row(tx: &Tx, visible: &Visible, id: InviteId, invite: Invite) -> Result<Row> {
    let sender =
        if visible.has(invite.created_by) { users::Profile::load(tx, invite.created_by)? } else { None };
    Ok(Row { id, invite, sender })
}

/// An invite that the actor sees.
///
/// # Errors
/// 404 where there is none.
pub fn load(ctx: &Ctx, tx: &Tx, at: InOrganization, id: InviteId) -> Result<Row> {
    let invite = find(tx, at.id, id)?;
    if at.level < Level::Admin && invite.level > at.level {
        return Err(not_found());
    }
    row(tx, &Visible::of(tx, at, ctx.user()?)?, id, invite)
}

fn find(tx: &Tx, organization: OrganizationId, id: InviteId) -> Result<Invite> {
    tx.get(&INVITES, &(organization, id))?.ok_or_else(not_found)
}

/// The link of an invite, for those who could send the invite themselves. Each look is logged.
///
/// # Errors
/// 404 where there is no such invite; 403 for those who could not send it; 400 where it was sealed with another key.
pub fn link_of(ctx: &Ctx, tx: &Tx, at: InOrganization, id: InviteId) -> Result<String> {
    let invite = find(tx, at.id, id)?;
    check(ctx, tx, at, &invite)?;
    let Some(token) = invite.open_token(&ctx.vault, id) else {
        let detail = "The link of this invite was sealed with another secret key. Send the invite again.";
        return Err(invalid_body("invalid_input", detail));
    };
    tracing::info!(organization = %at.id, invite = %id, user = %ctx.user()?, "the link of an invite was shown");
    Ok(outbox::invite_link(ctx, &token))
}

/// Passes whoever could send the invite themselves.
fn check(ctx: &Ctx, tx: &Tx, at: InOrganization, invite: &Invite) -> Result<()> {
    may_send(ctx, tx, at, invite.level)?;
    project_access::check(tx, at, ctx.user()?, &there(tx, at.id, invite)?)
}

/// Whether the actor could send the invite themselves, and so sees its link and sends it again.
///
/// # Errors
/// None but of the data file.
pub fn may_send_again(ctx: &Ctx, tx: &Tx, at: InOrganization, invite: &Invite) -> Result<bool> {
    allowed(check(ctx, tx, at, invite))
}

/// Whether a check lets somebody through; what is no refusal stays an error.
fn allowed(checked: Result<()>) -> Result<bool> {
    match checked {
        Ok(()) => Ok(true),
        Err(Error::Denied { .. } | Error::Invalid { .. }) => Ok(false),
        Err(other) => Err(other),
    }
}

/// Whether the actor may take the invite back: admins any, others their own.
///
/// # Errors
/// 401 for a stranger.
pub fn may_remove(ctx: &Ctx, at: InOrganization, invite: &Invite) -> Result<bool> {
    Ok(at.level >= Level::Admin || invite.created_by == ctx.user()?)
}

/// Queues the mail of an open invite once more, for those who could send it themselves.
///
/// # Errors
/// 404 where there is no such invite; 403 for those who could not send it; 400 for one that has expired, and without a
/// mail server.
pub fn send_again(ctx: &Ctx, tx: &WriteTx, at: InOrganization, id: InviteId) -> Result<()> {
    let mut invite = find(tx, at.id, id)?;
    check(ctx, tx, at, &invite)?;
    if invite.is_expired(ctx.now) {
        return Err(invalid_body("invalid_input", "This invite has expired. Renew it."));
    }
    if invite.open_token(&ctx.vault, id).is_none() {
        let detail = "The link of this invite was sealed with another secret key. Renew the invite.";
        return Err(invalid_body("invalid_input", detail));
    }
    if !outbox::push_invite(ctx, tx, at.id, id, &invite, Occasion::Invite)? {
        let detail = "This server sends no e-mails. Pass the link on yourself.";
        return Err(invalid_body("invalid_input", detail));
    }
    if !invite.emailing_attempt_made {
        invite.emailing_attempt_made = true;
        tx.put(&INVITES, &(at.id, id), &invite)?;
    }
    Ok(())
}

/// Puts a new invite, with a link of its own and its whole time, in the place of one. Access to projects that are gone
/// is left out.
///
/// # Errors
/// 404 where there is no such invite; else as for `create`.
pub fn renew(ctx: &Ctx, tx: &WriteTx, at: InOrganization, id: InviteId) -> Result<InviteId> {
    let invite = find(tx, at.id, id)?;
    let wanted = Wanted {
        private_project_access: there(tx, at.id, &invite)?,
        target_email: invite.target_email,
        first_name: invite.first_name,
        level: invite.level,
        message: invite.message,
        combines: false,
        sends_mail: true,
        occasion: Occasion::Invite,
    };
    Ok(make(ctx, tx, at, wanted)?.0)
}

/// The private projects that the actor may give access to with an invite.
///
/// # Errors
/// None but of the data file.
pub fn giveable_projects(ctx: &Ctx, tx: &Tx, at: InOrganization) -> Result<Vec<Short>> {
    let user = ctx.user()?;
    let mut all = projects::visible_in(tx, at.id, user, at.level)?;
    all.retain(|project| project.access_control);
    let mut giveable = Vec::new();
    for project in all {
        let access =
            project_access::ProjectAccess { project: project.id, level: Level::Member, is_word: true };
        if allowed(project_access::check(tx, at, user, &[access]))? {
            giveable.push(project);
        }
    }
    Ok(giveable)
}
