//! Whom and what there is on the instance, as the operator sees it.

use serde::Serialize;

use crate::api::Level;
use crate::app::App;
use crate::clock::Time;
use crate::error::Result;
use crate::ids::{OrganizationId, UserId};
use crate::resources::{members, organizations, two_factor, users};

/// A user, as the operator sees them.
#[derive(Serialize)]
pub struct UserSummary {
    pub user_id: UserId,
    pub email: String,
    pub first_name: String,
    pub date_joined: Time,
    /// Whether they are an operator.
    pub is_staff: bool,
    pub is_active: bool,
    pub is_2fa_enabled: bool,
    pub organizations: Vec<organizations::Basic>,
}

/// Hands over all users, oldest first, until `take` says that it has enough.
pub fn each_user(app: &App, mut take: impl FnMut(UserSummary) -> bool) -> Result<()> {
    app.store.read(|tx| {
        for row in users::every(tx)? {
            let (user_id, user) = row?;
            let summary = UserSummary {
                user_id,
                email: user.email,
                first_name: user.first_name,
                date_joined: user.date_joined,
                is_staff: user.is_staff,
                is_active: users::is_active(tx, user_id)?,
                is_2fa_enabled: two_factor::is_enabled(tx, user_id)?,
                organizations: organizations::basics_of(tx, user_id)?,
            };
            if !take(summary) {
                break;
            }
        }
        Ok(())
    })
}

/// How many owners of an organization are listed.
const OWNERS_MAX: usize = 20;

/// An organization, as the operator sees it.
#[derive(Serialize)]
pub struct OrganizationSummary {
    pub organization_id: OrganizationId,
    pub name: String,
    pub slug: String,
    pub created_at: Time,
    pub members: u64,
    /// Addresses of its owners, of twenty at most.
    pub owners: Vec<String>,
}

/// Hands over all organizations, oldest first, until `take` says that it has enough.
pub fn each_organization(app: &App, mut take: impl FnMut(OrganizationSummary) -> bool) -> Result<()> {
    app.store.read(|tx| {
        for row in organizations::every(tx)? {
            let (organization_id, organization) = row?;
            let levels = members::levels(tx, organization_id)?;
            let owners = levels.iter().filter(|(_, level)| *level == Level::Owner).take(OWNERS_MAX);
            let owners = owners.map(|(user, _)| Ok(users::find(tx, *user)?.email));
            let summary = OrganizationSummary {
                organization_id,
                name: organization.name,
                slug: organization.slug,
                created_at: organization.created_at,
                members: levels.len() as u64,
                owners: owners.collect::<Result<_>>()?,
            };
            if !take(summary) {
                break;
            }
        }
        Ok(())
    })
}
