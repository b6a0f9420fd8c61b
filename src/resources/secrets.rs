//! Whether the vault's key is the one that the secrets in the file were sealed with.

use super::{plugins, registry, status, two_factor};
use crate::clock::Ids;
use crate::error::Result;
use crate::store::{Problems, Tx, WriteTx, decode, encode};
use crate::vault::{Sealed, Vault};

/// Is shown each sealed secret with its purpose.
pub type Look<'a> = &'a mut dyn FnMut(&[u8], &Sealed);

const NAME: &str = "vault_check";
/// What the probe is sealed for.
pub const PURPOSE: &[u8] = b"vault check";
/// What the probe says.
pub const TEXT: &str = "orgd";

/// How a key and a file go together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fit {
    /// The file's secrets were sealed with this key.
    Fits,
    /// The file has no secrets yet: any key will do.
    Free,
    /// There are secrets that this key does not open, or there is no key.
    Differs,
}

/// How many secrets there are, and how many of them the vault opens.
fn count(tx: &Tx, vault: Option<&Vault>) -> Result<(usize, usize)> {
    let (mut sealed, mut opened) = (0, 0);
    for show in registry::all().flat_map(|resource| resource.seals) {
        show(tx, &mut |purpose, secret| {
            sealed += 1;
            opened += usize::from(vault.is_some_and(|vault| vault.open(purpose, secret).is_some()));
        })?;
    }
    Ok((sealed, opened))
}

/// How this key, if there is one, and the file go together.
pub fn fit(tx: &Tx, vault: Option<&Vault>) -> Result<Fit> {
    let probe = tx.get(&status::INSTANCE, &NAME.to_owned())?;
    let probe: Option<Sealed> = probe.map(|bytes| decode(&bytes)).transpose()?;
    if let (Some(probe), Some(vault)) = (&probe, vault)
        && vault.open(PURPOSE, probe).is_some()
    {
        return Ok(Fit::Fits);
    }
    match count(tx, vault)? {
        (0, _) => Ok(Fit::Free),
        // A file of before there were probes.
        (_, opened) if opened > 0 && probe.is_none() => Ok(Fit::Fits),
        _ => Ok(Fit::Differs),
    }
}

/// Whether it is written down which key the file's secrets are sealed with.
pub fn is_marked(tx: &Tx) -> Result<bool> {
    Ok(tx.has(&status::INSTANCE, &NAME.to_owned())?)
}

/// Writes down which key the file's secrets are sealed with from now on: `probe` is `TEXT`, sealed with it.
pub fn mark(tx: &WriteTx, probe: &Sealed) -> Result<()> {
    Ok(tx.put(&status::INSTANCE, &NAME.to_owned(), &encode(probe)?)?)
}

/// Seals what files of before schema 3 hold open, once.
///
/// # Errors
/// The storage failed.
pub fn seal_open(tx: &WriteTx, vault: &Vault, ids: &Ids) -> Result<()> {
    const SEALED: &str = "all_sealed";
    if vault.is_locked() || tx.has(&status::INSTANCE, &SEALED.to_owned())? {
        return Ok(());
    }
    two_factor::seal_all(vault, ids, tx)?;
    plugins::seal_all(vault, ids, tx)?;
    Ok(tx.put(&status::INSTANCE, &SEALED.to_owned(), &Vec::new())?)
}

/// Adds a sentence where there are secrets that the key does not open.
pub fn check(tx: &Tx, vault: &Vault, problems: &mut Problems) -> Result<()> {
    let (sealed, opened) = count(tx, Some(vault))?;
    let lost = sealed - opened;
    super::integrity::expect(problems, lost == 0, || {
        format!(
            "{lost} of {sealed} sealed secrets cannot be opened: the secret key is missing or is not theirs. Restore the key, or enter them again"
        )
    });
    Ok(())
}
