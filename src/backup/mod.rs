//! Backups: copies of one committed state, each proved before it gets its name; what restores them; what takes all
//! rows out as text and in again.
//!
//! Invariant: a file that has the name of a backup, or that of the data file, is whole: it is written under a name
//! that ends in `.part`, and renamed when it was proved and is on the disk.

mod frames;
mod lines;
mod own;
mod place;
mod proof;
mod restore;
mod save;

use std::path::{Path, PathBuf};
use std::time::Instant;

use serde::{Deserialize, Serialize};

use crate::clock::Time;
use crate::store::{ClosedFile, Contents, Header, NewFile, Pinned, Rows, SCHEMA};
use crate::vault;

pub use frames::{FrameReader, Incoming, RowStream};
pub use lines::{LineReader, export};
pub use own::make_own;
pub use place::Place;
pub use proof::{Proof, prove};
pub use restore::{Restored, Wish, import, restore};
pub use save::save;

/// One sentence for the operator where it failed.
pub type Outcome<T> = Result<T, String>;

/// Memory for pages of a file that is only read, in bytes.
const CACHE_BYTES: usize = 8 * 1024 * 1024;

/// What a backup says of itself, in a row of its own that is no part of the state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    #[serde(flatten)]
    pub header: Header,
    #[serde(flatten)]
    pub contents: Contents,
}

/// A file that was made and proved.
#[derive(Clone, Debug, Serialize)]
pub struct Made {
    pub path: PathBuf,
    pub sequence: i64,
    pub taken: Time,
    pub schema: u32,
    pub digest: String,
    pub rows: u64,
    pub bytes: u64,
    pub seconds: f64,
    /// Where the secret key was copied to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<PathBuf>,
    /// What is wrong with the data, in the source as well as in the copy.
    pub problems: Vec<String>,
    pub tables: std::collections::BTreeMap<String, u64>,
}

impl Made {
    /// What has got its name just now, without a key and without a problem.
    fn at(place: &Place, header: &Header, contents: Contents, started: Instant) -> Made {
        Made {
            path: place.path().to_owned(),
            sequence: header.sequence,
            taken: header.taken(),
            schema: header.schema,
            digest: contents.digest,
            rows: contents.rows,
            bytes: place.path().metadata().map_or(0, |about| about.len()),
            seconds: started.elapsed().as_secs_f64(),
            key: None,
            problems: Vec::new(),
            tables: contents.tables,
        }
    }
}

/// The rows of a file that no server has open.
///
/// # Errors
/// One sentence for the operator: there is no such file, it is in use, damaged, or of a newer program.
pub fn closed(path: &Path, now: Time) -> Outcome<Pinned> {
    let mut file = open_closed(path, CACHE_BYTES)?;
    file.prove().map_err(|cause| cause.to_string())?;
    file.rows(now).map_err(|cause| cause.to_string())
}

fn open_closed(path: &Path, cache_bytes: usize) -> Outcome<ClosedFile> {
    let shown = path.display();
    match path.metadata() {
        Err(_) => return Err(format!("there is no file at {shown}")),
        Ok(about) if !about.is_file() => return Err(format!("{shown} is not a file")),
        Ok(about) if about.len() == 0 => return Err(format!("{shown} is empty")),
        Ok(_) => {}
    }
    let file = ClosedFile::open(path, cache_bytes).map_err(|cause| cause.to_string())?;
    if file.schema() > SCHEMA {
        let schema = file.schema();
        return Err(format!("{shown} has schema {schema} and this orgd knows {SCHEMA}: use a newer orgd"));
    }
    Ok(file)
}

/// Writes all rows into a new file, proves it, and gives it its name. `key_of` is the data file whose secret key comes
/// along, beside the copy.
///
/// # Errors
/// One sentence for the operator; nothing has the name then that had it not before.
pub fn make(rows: &mut dyn Rows, place: &Place, key_of: Option<&Path>) -> Outcome<Made> {
    make_within(rows, place, key_of, CACHE_BYTES)
}

/// The same, with so much memory for pages, in bytes.
fn make_within(
    rows: &mut dyn Rows,
    place: &Place,
    key_of: Option<&Path>,
    cache_bytes: usize,
) -> Outcome<Made> {
    let started = Instant::now();
    let key = key_of.map(read_key).transpose()?;
    let header = rows.header().clone();
    let contents = place.fill(|part| {
        let mut file = NewFile::create_within(part, cache_bytes).map_err(|cause| cause.to_string())?;
        let contents = file.fill(rows).map_err(|cause| cause.to_string())?;
        let note = Note { header: header.clone(), contents };
        let text = serde_json::to_string(&note).map_err(|cause| cause.to_string())?;
        file.finish(Some(&text)).map_err(|cause| cause.to_string())?;
        Ok(note.contents)
    })?;
    let proof = place.judge(|part| {
        let proof = proof::prove_within(part, header.schema == SCHEMA, cache_bytes)?;
        proof.equals(&contents)?;
        Ok(proof)
    })?;
    // The key first: a backup that is there has all that belongs to it.
    let key = key.map(|text| place.write_beside(".key", &text)).transpose()?;
    place.publish()?;
    Ok(Made { key, problems: proof.problems, ..Made::at(place, &header, contents, started) })
}

/// The text of the secret key beside a data file.
fn read_key(data: &Path) -> Outcome<String> {
    let path = vault::key_path(data);
    std::fs::read_to_string(&path).map_err(|cause| {
        format!(
            "the secret key can't be copied: cannot read {}: {cause}. Where it comes from ORGD_SECRET_KEY, keep that \
             setting apart from the backup",
            path.display()
        )
    })
}
