//! What the audit logs say of accounts: each organization reads of the log-ins of its members, and of changes of what
//! opens their accounts. Addresses and passwords stand in no entry as changes.

use serde_json::{Value, json};

use super::User;
use crate::api::Ctx;
use crate::error::Result;
use crate::ids::UserId;
use crate::resources::audit::{self, Change, scope};
use crate::resources::{members, users};
use crate::store::WriteTx;

/// What happened to an account.
pub enum Happening {
    LoggedIn {
        method: &'static str,
        has_second_factor: bool,
    },
    /// So many of the user's sessions were ended.
    LoggedOut {
        sessions: usize,
    },
    SecondFactor {
        is_enabled: bool,
    },
    /// Recovery codes were made anew.
    RecoveryCodes,
    /// They have proved that their address is theirs.
    AddressVerified,
    /// They want another address, or gave that up.
    AddressWanted,
    /// The operator made a link to a new password.
    ResetLink,
    /// They became an operator, or are none any more.
    Staff {
        is_staff: bool,
    },
    /// Their account is deleted.
    Deleted,
    /// Their account was closed, or opened again.
    Active {
        is_active: bool,
    },
}

/// Writes down what happened to the account in each organization of the user. A stranger who logs in is the user
/// themselves.
///
/// # Errors
/// None but of the data file.
pub fn record(ctx: &Ctx, tx: &WriteTx, uuid: UserId, what: &Happening) -> Result<()> {
    let by = match what {
        Happening::LoggedIn { .. } | Happening::AddressVerified => Some(uuid),
        _ => ctx.actor.caller().map(|caller| caller.user),
    };
    let user = users::find(tx, uuid)?;
    in_each(ctx, tx, by, uuid, || what.change(uuid, &user.email))
}

/// The address or the password of the account may have changed.
pub(super) fn credentials(
    ctx: &Ctx,
    tx: &WriteTx,
    by: Option<UserId>,
    uuid: UserId,
    (before, user): (&User, &User),
) -> Result<()> {
    let state = |user: &User| json!({"email": user.email, "password": user.password_hash});
    let changes = audit::differences(scope::USER, &state(before), &state(user))?;
    in_each(ctx, tx, by, uuid, || Change::updated(scope::USER, uuid, &user.email, changes.clone()))
}

fn in_each(
    ctx: &Ctx,
    tx: &WriteTx,
    by: Option<UserId>,
    uuid: UserId,
    change: impl Fn() -> Change,
) -> Result<()> {
    for at in members::organizations_of(tx, uuid)? {
        audit::record_by(ctx, tx, by, at.id, change())?;
    }
    Ok(())
}

impl Happening {
    fn change(&self, uuid: UserId, email: &str) -> Change {
        let whole = |activity, context: Value| {
            Change::of(scope::USER, activity, uuid).named(email).with_context(context)
        };
        let updated = |field, before: Value, after: Value| {
            let change = audit::field_change(scope::USER, field, before, after, "changed");
            Change::updated(scope::USER, uuid, email, vec![change])
        };
        match self {
            Happening::LoggedIn { method, has_second_factor } => {
                whole("logged_in", json!({"method": method, "has_second_factor": has_second_factor}))
            }
            Happening::LoggedOut { sessions } => whole("logged_out", json!({"sessions": sessions})),
            Happening::SecondFactor { is_enabled } => {
                updated("is_2fa_enabled", json!(!is_enabled), json!(is_enabled))
            }
            Happening::RecoveryCodes => updated("backup_codes", Value::Null, Value::Null),
            Happening::AddressVerified => updated("is_email_verified", json!(false), json!(true)),
            Happening::AddressWanted => updated("pending_email", Value::Null, Value::Null),
            Happening::Deleted => whole("deleted", Value::Null),
            Happening::ResetLink => whole("reset_link_made", Value::Null),
            Happening::Staff { is_staff } => updated("is_staff", json!(!is_staff), json!(is_staff)),
            Happening::Active { is_active } => updated("is_active", json!(!is_active), json!(is_active)),
        }
    }
}
