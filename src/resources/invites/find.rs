//! Finding invites: by the token of a link, by an address, by the identifier of a mail.

use super::{BY_EMAIL, BY_TOKEN, INVITES, Invite};
use crate::api::InOrganization;
use crate::auth::hash;
use crate::clock::Time;
use crate::error::Result;
use crate::ids::{InviteId, OrganizationId};
use crate::resources::{members, organizations, users};
use crate::store::{Order, Tx};

/// The invites of an address in one organization.
pub(super) fn of_address(
    tx: &Tx,
    organization: OrganizationId,
    email: &str,
) -> Result<Vec<(InviteId, Invite)>> {
    let mut found = Vec::new();
    for ((_, id), home) in tx.scan(&BY_EMAIL, &email.to_lowercase(), Order::Ascending)? {
        if home == organization
            && let Some(invite) = tx.get(&INVITES, &(organization, id))?
        {
            found.push((id, invite));
        }
    }
    Ok(found)
}

/// An invite, found by the token of its link.
pub struct Loaded {
    pub organization: OrganizationId,
    pub id: InviteId,
    pub invite: Invite,
}

/// The invite that the token opens, if whoever sent it could send it still.
pub fn by_token(tx: &Tx, token: &str) -> Result<Option<Loaded>> {
    let Some((organization, id)) = tx.get(&BY_TOKEN, &hash(token))? else { return Ok(None) };
    let Some(invite) = tx.get(&INVITES, &(organization, id))? else { return Ok(None) };
    Ok(stands(tx, organization, &invite)?.then_some(Loaded { organization, id, invite }))
}

/// Whether whoever sent the invite could send it still.
pub(super) fn stands(tx: &Tx, organization: OrganizationId, invite: &Invite) -> Result<bool> {
    let Some(level) = members::level_of(tx, organization, invite.created_by)? else { return Ok(false) };
    let sender = InOrganization { id: organization, level };
    Ok(level >= invite.level
        && organizations::can_invite(tx, sender)?
        && users::is_active(tx, invite.created_by)?)
}

/// The invite whose mail to this address this is, where it is an invite's.
pub fn of_mail(tx: &Tx, email: &str, id: InviteId) -> Result<Option<Invite>> {
    let Some(organization) = tx.get(&BY_EMAIL, &(email.to_lowercase(), id))? else { return Ok(None) };
    Ok(tx.get(&INVITES, &(organization, id))?)
}

/// Whether somebody is awaited under this address, in whichever organization.
pub fn is_awaited(tx: &Tx, email: &str, now: Time) -> Result<bool> {
    Ok(!open_to(tx, email, now)?.is_empty())
}

/// The open invites of an address in all organizations.
pub(super) fn open_to(tx: &Tx, email: &str, now: Time) -> Result<Vec<Loaded>> {
    let mut found = Vec::new();
    for ((_, id), organization) in tx.scan(&BY_EMAIL, &email.to_lowercase(), Order::Ascending)? {
        if let Some(invite) = tx.get(&INVITES, &(organization, id))?
            && !invite.is_expired(now)
        {
            found.push(Loaded { organization, id, invite });
        }
    }
    Ok(found)
}
