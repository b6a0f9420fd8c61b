//! What the operator does to memberships.

use super::{Logged, MEMBERS, count, end, find, join, levels, log, organizations_of};
use crate::api::{Ctx, InOrganization, Level};
use crate::error::{Result, invalid_body};
use crate::ids::{OrganizationId, UserId};
use crate::resources::{organizations, users};
use crate::store::WriteTx;

/// Makes a user an owner of an organization, a member of it or not, where nobody else can.
///
/// # Errors
/// 403 for whoever is not the operator; 404 for what is not there; 400 for a deactivated user.
pub fn make_owner(ctx: &Ctx, tx: &WriteTx, organization: OrganizationId, user: UserId) -> Result<()> {
    users::require_operator(ctx, tx)?;
    organizations::find(tx, organization)?;
    users::find(tx, user)?;
    if !users::is_active(tx, user)? {
        return Err(invalid_body("invalid_input", "This user is deactivated."));
    }
    let Some(mut member) = tx.get(&MEMBERS, &(user, organization))? else {
        return join(ctx, tx, organization, user, Level::Owner).map(|_| ());
    };
    let before = std::mem::replace(&mut member.level, Level::Owner);
    if before == Level::Owner {
        return Ok(());
    }
    member.updated_at = ctx.now;
    tx.put(&MEMBERS, &(user, organization), &member)?;
    log(ctx, tx, organization, user, &member, Logged::Level(before))
}

/// Ends all memberships of a user who is to be deleted. Organizations that they are alone in are deleted with
/// everything in them, if `with_organizations` says so. Gives the names of those, and of those that they left.
///
/// # Errors
/// 403 for whoever is not the operator; 400 where an organization would be left without an owner.
pub fn leave_all(
    ctx: &Ctx,
    tx: &WriteTx,
    user: UserId,
    with_organizations: bool,
) -> Result<(Vec<String>, Vec<String>)> {
    users::require_operator(ctx, tx)?;
    let (mut deleted, mut left) = (Vec::new(), Vec::new());
    for InOrganization { id, .. } in organizations_of(tx, user)? {
        let name = organizations::find(tx, id)?.name;
        if count(tx, id)? == 1 {
            if !with_organizations {
                return Err(refused(format!(
                    "\"{name}\" has no other member: make somebody else its owner, or delete it as well \
                     (--with-organizations)."
                )));
            }
            organizations::remove(tx, InOrganization { id, level: Level::Owner })?;
            deleted.push(name);
            continue;
        }
        let mut others = levels(tx, id)?.into_iter().filter(|(other, _)| *other != user);
        if !others.any(|(_, level)| level == Level::Owner) {
            return Err(refused(format!("\"{name}\" has no other owner: make somebody else one first.")));
        }
        end(ctx, tx, id, user, &find(tx, id, user)?)?;
        left.push(name);
    }
    Ok((deleted, left))
}

fn refused(detail: String) -> crate::error::Error {
    invalid_body("invalid_input", detail)
}
