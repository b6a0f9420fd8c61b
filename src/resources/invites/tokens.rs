//! The token that opens an invite: in its link, stored as a hash and, sealed, to be shown again.

use serde::{Deserialize, Serialize};

use super::{BY_TOKEN, INVITES, Invite};
use crate::auth::hash;
use crate::clock::Ids;
use crate::error::Result;
use crate::ids::InviteId;
use crate::resources::secrets::Look;
use crate::store::{Tx, WriteTx};
use crate::vault::{Sealed, Vault};

/// What opens an invite.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Token {
    pub hash: [u8; 32],
    /// The token itself, to show the link again.
    pub sealed: Sealed,
}

impl Invite {
    /// The token, to be shown; `None` where it was sealed with another key. `id` is the invite's own.
    pub fn open_token(&self, vault: &Vault, id: InviteId) -> Option<String> {
        vault.open(&purpose(id), &self.token.as_ref()?.sealed)
    }
}

pub(super) fn new_token(ids: &Ids, vault: &Vault, id: InviteId) -> Result<Token> {
    let token = ids.base62::<32>();
    Ok(Token { hash: hash(&token), sealed: vault.seal(ids, &purpose(id), &token)? })
}

/// A sealed token opens for its own invite only.
fn purpose(id: InviteId) -> Vec<u8> {
    [b"invite".as_slice(), id.0.as_bytes()].concat()
}

/// Gives a token to each invite of a file from before there were any; with `is_new_key` also to those whose
/// token was sealed with the key that is given up.
pub fn prepare(tx: &WriteTx, ids: &Ids, vault: &Vault, is_new_key: bool) -> Result<()> {
    // All get theirs at once, so one token says that all have one.
    let all_have_one = !tx.first(&BY_TOKEN, 1)?.is_empty();
    if vault.is_locked() || (all_have_one && !is_new_key) {
        return Ok(());
    }
    for ((organization, id), mut invite) in tx.all(&INVITES)? {
        if invite.open_token(vault, id).is_some() {
            continue;
        }
        invite.token = Some(new_token(ids, vault, id)?);
        tx.put(&INVITES, &(organization, id), &invite)?;
    }
    Ok(())
}

/// Shows the token of every invite.
pub(super) fn show_sealed(tx: &Tx, look: Look<'_>) -> Result<()> {
    for ((_, id), invite) in tx.all(&INVITES)? {
        if let Some(token) = &invite.token {
            look(&purpose(id), &token.sealed);
        }
    }
    Ok(())
}
