//! What the operator does to accounts and owners, each found by their e-mail address.

use std::sync::Arc;

use serde::Serialize;

use super::{by_address, ctx};
use crate::app::App;
use crate::error::{Result, invalid_body};
use crate::ids::UserId;
use crate::resources::{members, organizations, users};

/// A user who was deleted.
#[derive(Serialize)]
pub struct Deleted {
    pub deleted: UserId,
    pub email: String,
    /// The names of the organizations that went with them.
    pub deleted_organizations: Vec<String>,
    pub left_organizations: Vec<String>,
}

/// Deletes a user, with the organizations that they are alone in if `with_organizations` says so.
///
/// # Errors
/// Nobody has the address; they are the last operator; an organization would be left without an owner.
pub async fn delete_user(app: &Arc<App>, email: String, with_organizations: bool) -> Result<Deleted> {
    let ctx = ctx(app);
    let write = app.store.write(move |tx| {
        let deleted = by_address(tx, &email)?;
        let email = users::find(tx, deleted)?.email;
        let done = users::delete(&ctx, tx, deleted, with_organizations)?;
        let users::Deletion { deleted_organizations, left_organizations } = done;
        Ok(Deleted { deleted, email, deleted_organizations, left_organizations })
    });
    write.await
}

/// Makes a user an owner of the organization with this identifier or slug, a member of it or not.
///
/// # Errors
/// Nobody has the address, or they are deactivated; there is no such organization.
pub async fn make_owner(app: &Arc<App>, email: String, organization: String) -> Result<()> {
    let ctx = ctx(app);
    let write = app.store.write(move |tx| {
        let user = by_address(tx, &email)?;
        let unknown = || invalid_body("invalid_input", "No organization has this identifier or slug.");
        let id = organizations::by_text(tx, &organization)?.ok_or_else(unknown)?;
        members::make_owner(&ctx, tx, id, user)
    });
    write.await
}

/// Makes a user an operator, or takes that from them.
///
/// # Errors
/// Nobody has the address; they are the last operator.
pub async fn set_operator(app: &Arc<App>, email: String, is_one: bool) -> Result<()> {
    let ctx = ctx(app);
    app.store.write(move |tx| users::set_staff(&ctx, tx, by_address(tx, &email)?, is_one)).await
}

/// Closes a user's account, or opens it again.
///
/// # Errors
/// Nobody has the address; they are the last operator.
pub async fn set_active(app: &Arc<App>, email: String, is_active: bool) -> Result<()> {
    let ctx = ctx(app);
    let write = app.store.write(move |tx| {
        let user = by_address(tx, &email)?;
        if is_active { users::activate(&ctx, tx, user) } else { users::deactivate(&ctx, tx, user) }
    });
    write.await
}
