//! When each user last logged in, which outlives their sessions.

use super::{Resource, users};
use crate::clock::Time;
use crate::error::Result;
use crate::ids::UserId;
use crate::store::{Parent, Table, Tx, WriteTx};

pub static RESOURCE: Resource = Resource::inner().tables(&[&LAST_LOGINS]).samples(samples);

/// By user.
static LAST_LOGINS: Table<UserId, Time> =
    Table::new("last_logins").belongs_to(&[&Parent::of(&users::USERS, |user| *user)]);

/// A user has logged in, or signed up.
pub fn note(tx: &WriteTx, user: UserId, now: Time) -> Result<()> {
    Ok(tx.put(&LAST_LOGINS, &user, &now)?)
}

/// When the user last logged in; `None` where they never did, or before this was noted.
pub fn of(tx: &Tx, user: UserId) -> Result<Option<Time>> {
    Ok(tx.get(&LAST_LOGINS, &user)?)
}

fn samples(all: &mut super::samples::Samples) {
    use super::samples::{NOW, ONE};
    all.add(&LAST_LOGINS, ONE.into(), NOW);
}
