//! The links that prove who somebody is: to a new password, and to an address of theirs.
//! Invariant: a user has one link of each kind at most, the newest, and it opens once. Only the hash of its token is
//! stored, with the hash of what it hangs on: where that changes, the link opens nothing any more.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{Resource, users};
use crate::api::Ctx;
use crate::auth::hash;
use crate::clock::Time;
use crate::error::Result;
use crate::ids::UserId;
use crate::store::{Parent, Table, Tx, WriteTx};

pub static RESOURCE: Resource = Resource::inner().tables(&[&RESETS, &VERIFICATIONS]).samples(samples);

/// A link, by what is known of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountLink {
    /// Of its token.
    hash: [u8; 32],
    made_at: Time,
    /// What it hangs on, hashed.
    hangs_on: [u8; 32],
    /// Whether it was sent to the user's address, and so proves that they have it.
    pub is_mailed: bool,
}

/// By user: the way to a new password.
static RESETS: Table<UserId, AccountLink> =
    Table::new("reset_links").belongs_to(&[&Parent::of(&users::USERS, |user| *user)]).harmless();
/// By user: the proof of an address.
static VERIFICATIONS: Table<UserId, AccountLink> =
    Table::new("verification_links").belongs_to(&[&Parent::of(&users::USERS, |user| *user)]).harmless();

/// What a link is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    Reset,
    Verification,
}

impl Purpose {
    fn table(self) -> &'static Table<UserId, AccountLink> {
        match self {
            Purpose::Reset => &RESETS,
            Purpose::Verification => &VERIFICATIONS,
        }
    }

    /// How long a link opens something.
    fn seconds(self) -> i64 {
        match self {
            Purpose::Reset => 60 * 60,
            Purpose::Verification => 3 * 24 * 60 * 60,
        }
    }
}

/// Makes a link in place of an older one, and gives its token, which is stored nowhere. `hangs_on` is what may not
/// change until it is followed.
///
/// # Errors
/// None but of the data file.
pub fn make(
    ctx: &Ctx,
    tx: &WriteTx,
    purpose: Purpose,
    user: UserId,
    hangs_on: &[&[u8]],
    is_mailed: bool,
) -> Result<String> {
    let token = URL_SAFE_NO_PAD.encode(ctx.ids.bytes::<32>());
    let link =
        AccountLink { hash: hash(&token), made_at: ctx.now, hangs_on: fingerprint(hangs_on), is_mailed };
    tx.put(purpose.table(), &user, &link)?;
    Ok(token)
}

/// The link of the user that the token opens, while it is good and nothing has changed that it hangs on.
///
/// # Errors
/// None but of the data file.
pub fn open(
    ctx: &Ctx,
    tx: &Tx,
    purpose: Purpose,
    user: UserId,
    token: &str,
    hangs_on: &[&[u8]],
) -> Result<Option<AccountLink>> {
    let link = tx.get(purpose.table(), &user)?;
    // Hashes are compared, so that the time taken says nothing of the token.
    Ok(link.filter(|link| {
        link.hash == hash(token)
            && link.hangs_on == fingerprint(hangs_on)
            && link.made_at.plus_seconds(purpose.seconds()) > ctx.now
    }))
}

/// When the user's link was made, good or not.
///
/// # Errors
/// None but of the data file.
pub fn made_at(tx: &Tx, purpose: Purpose, user: UserId) -> Result<Option<Time>> {
    Ok(tx.get(purpose.table(), &user)?.map(|link| link.made_at))
}

/// Ends the user's link, where there is one.
///
/// # Errors
/// None but of the data file.
pub fn end(tx: &WriteTx, purpose: Purpose, user: UserId) -> Result<()> {
    Ok(tx.delete(purpose.table(), &user)?)
}

/// One hash of all, none of which can be mistaken for a part of the next.
fn fingerprint(hangs_on: &[&[u8]]) -> [u8; 32] {
    let mut hasher = Sha256::new();
    for part in hangs_on {
        hasher.update(part.len().to_be_bytes());
        hasher.update(part);
    }
    hasher.finalize().into()
}

fn samples(all: &mut super::samples::Samples) {
    use super::samples::{HASH, NOW, ONE};
    let link = AccountLink { hash: HASH, made_at: NOW, hangs_on: [8; 32], is_mailed: true };
    all.add(&RESETS, ONE.into(), link.clone());
    all.add(&VERIFICATIONS, ONE.into(), link);
}

#[cfg(test)]
mod tests {
    use super::fingerprint;

    #[test]
    fn parts_are_not_mistaken_for_each_other() {
        assert_eq!(fingerprint(&[b"a", b"bc"]), fingerprint(&[b"a", b"bc"]));
        assert_ne!(fingerprint(&[b"a", b"bc"]), fingerprint(&[b"ab", b"c"]));
        assert_ne!(fingerprint(&[b"a"]), fingerprint(&[b"a", b""]));
    }
}
