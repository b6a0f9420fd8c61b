//! Proof that a file is whole: its checksums, its rows, what they promise, and the digest that it was made with.

use std::path::Path;

use super::{CACHE_BYTES, Note, Outcome, open_closed};
use crate::clock::Time;
use crate::resources::{integrity, registry};
use crate::store::{Contents, Storage, Store};

/// What was found in a file whose checksums are right.
#[derive(Clone, Debug)]
pub struct Proof {
    pub schema: u32,
    pub contents: Contents,
    /// What the file says of itself, where it is a backup.
    pub note: Option<Note>,
    /// What contradicts the promises of the tables, if that was looked at.
    pub problems: Vec<String>,
}

impl Proof {
    /// # Errors
    /// A sentence, where these are not the rows that the file should have.
    pub(super) fn equals(&self, wanted: &Contents) -> Outcome<()> {
        if self.contents == *wanted {
            return Ok(());
        }
        let Contents { digest, rows, .. } = &self.contents;
        Err(format!(
            "the rows are not those that it was made of: {rows} with the digest {digest} instead of {} with {}",
            wanted.rows, wanted.digest
        ))
    }
}

/// Proves a closed file: every page, every row, and the note of a backup. `walks` says whether the promises of the
/// tables are looked at too, which brings a file of an older schema up in memory.
///
/// # Errors
/// One sentence for the operator.
pub fn prove(path: &Path, walks: bool) -> Outcome<Proof> {
    prove_within(path, walks, CACHE_BYTES)
}

/// The same, with so much memory for pages, in bytes.
pub(super) fn prove_within(path: &Path, walks: bool, cache_bytes: usize) -> Outcome<Proof> {
    let shown = path.display().to_string();
    let mut file = open_closed(path, cache_bytes)?;
    file.prove().map_err(|cause| cause.to_string())?;
    let note = file.note().map(serde_json::from_str::<Note>).transpose();
    let note = note.map_err(|cause| format!("{shown} says nothing readable of itself: {cause}"))?;
    let schema = file.schema();
    let rows = file.rows(Time(0)).map_err(|cause| cause.to_string())?;
    let contents = rows.contents().map_err(|cause| format!("{shown}: {cause}"))?;
    drop(file);
    let mut proof = Proof { schema, contents, note, problems: Vec::new() };
    if let Some(note) = &proof.note {
        proof.equals(&note.contents).map_err(|cause| {
            format!("{shown} is damaged, or has been written to since it was made: {cause}")
        })?;
    }
    if walks {
        proof.problems = with_store(path, cache_bytes, |store| {
            integrity::check(store).map_err(|cause| cause.to_string())
        })?;
    }
    Ok(proof)
}

/// Opens a closed file as a server would, and writes nothing to it.
pub(super) fn with_store<T>(
    path: &Path,
    cache_bytes: usize,
    look: impl FnOnce(&Store) -> Outcome<T>,
) -> Outcome<T> {
    let store = Store::open(Storage::Untouched(path.to_owned()), cache_bytes, registry::tables());
    look(&store.map_err(|cause| cause.to_string())?)
}
