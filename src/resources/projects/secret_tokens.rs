//! Secret tokens: what servers show instead of a person's key to read a project's flags. The one before stays valid
//! until somebody deletes it, so that no server has to change at the same moment.
//! Invariant: a project has at most one of each kind; they lie sealed, and are looked up by their hash.

use serde::{Deserialize, Serialize};

use super::wire::Loaded;
use super::{PROJECTS, commands};
use crate::api::{Ctx, InProject, Level};
use crate::auth::hash;
use crate::clock::Time;
use crate::error::Result;
use crate::ids::ProjectId;
use crate::resources::audit::{self, Change, scope};
use crate::resources::secrets::Look;
use crate::store::{Index, Order, Parent, Table, Tx, WriteTx};
use crate::vault::{Sealed, Vault};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Kind {
    Current,
    Backup,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct SecretToken {
    pub(super) kind: Kind,
    pub(super) sealed: Sealed,
    pub(super) created_at: Time,
}

type TokenKey = (ProjectId, [u8; 32]);

/// By project, and by the SHA-256 of the token.
pub(super) static TOKENS: Table<TokenKey, SecretToken> = Table::new("project_secret_tokens")
    .indexed(&[&BY_HASH])
    .belongs_to(&[&Parent::of(&PROJECTS, |(_, id)| *id)]);
/// The project of each.
static BY_HASH: Index<TokenKey, SecretToken, [u8; 32], ProjectId> =
    Index::unique("projects_by_secret_token", |(project, hash), _| Some((*hash, *project)));

/// A token opens for its own project only.
fn purpose(project: ProjectId) -> Vec<u8> {
    [b"project_secret_token ".as_slice(), &project.0.to_be_bytes()].concat()
}

/// Makes a new token; the one that was there becomes the backup, in place of an older one. For admins of the project.
///
/// # Errors
/// 403 below admin; 503 where the instance's key is missing.
pub fn rotate_secret_token(ctx: &Ctx, tx: &WriteTx, at: InProject) -> Result<Loaded> {
    at.require(Level::Admin)?;
    let before = tx.scan(&TOKENS, &at.id, Order::Ascending)?;
    let had_one = before.iter().any(|(_, token)| token.kind == Kind::Current);
    for (key, token) in before {
        match token.kind {
            Kind::Backup => tx.delete(&TOKENS, &key)?,
            Kind::Current => tx.put(&TOKENS, &key, &SecretToken { kind: Kind::Backup, ..token })?,
        }
    }
    let token = format!("phs_{}", ctx.ids.base62::<32>());
    let sealed = ctx.vault.seal(&ctx.ids, &purpose(at.id), &token)?;
    let record = SecretToken { kind: Kind::Current, sealed, created_at: ctx.now };
    tx.insert(&TOKENS, &(at.id, hash(&token)), &record)?;
    changed(ctx, tx, at, "secret_api_token", [had_one, true])
}

/// Ends the token from before. For admins of the project.
///
/// # Errors
/// 403 below admin.
pub fn delete_secret_token_backup(ctx: &Ctx, tx: &WriteTx, at: InProject) -> Result<Loaded> {
    at.require(Level::Admin)?;
    let mut backups = tx.scan(&TOKENS, &at.id, Order::Ascending)?;
    backups.retain(|(_, token)| token.kind == Kind::Backup);
    if backups.is_empty() {
        return Loaded::find(tx, at);
    }
    for (key, _) in backups {
        tx.delete(&TOKENS, &key)?;
    }
    changed(ctx, tx, at, "secret_api_token_backup", [true, false])
}

/// Notes that a token is another one; what it is stands nowhere.
fn changed(ctx: &Ctx, tx: &WriteTx, at: InProject, field: &str, is_there: [bool; 2]) -> Result<Loaded> {
    let mut found = Loaded::find(tx, at)?;
    found.details.updated_at = ctx.now;
    commands::store(tx, &found)?;
    let change = audit::secret_change(scope::TEAM, field, is_there);
    let change = Change::updated(scope::TEAM, at.id, &found.project.name, vec![change]).in_project(at.id);
    audit::record(ctx, tx, at.organization, change)?;
    Ok(found)
}

/// The project's token and the one before, as far as the vault opens them.
#[derive(Default)]
pub(super) struct Opened {
    pub(super) current: Option<String>,
    pub(super) backup: Option<String>,
}

pub(super) fn open(tx: &Tx, vault: &Vault, project: ProjectId) -> Result<Opened> {
    let mut opened = Opened::default();
    for (_, token) in tx.scan(&TOKENS, &project, Order::Ascending)? {
        let text = vault.open(&purpose(project), &token.sealed);
        match token.kind {
            Kind::Current => opened.current = text,
            Kind::Backup => opened.backup = text,
        }
    }
    Ok(opened)
}

/// The project whose secret token this is, or was before the last change.
pub fn by_secret_token(tx: &Tx, token: &str) -> Result<Option<ProjectId>> {
    Ok(tx.get(&BY_HASH, &hash(token))?)
}

pub(super) fn show_sealed(tx: &Tx, look: Look<'_>) -> Result<()> {
    for ((project, _), token) in tx.all(&TOKENS)? {
        look(&purpose(project), &token.sealed);
    }
    Ok(())
}
