//! Putting a copy into the place of the data file: proved first, swapped at once, and what was there is kept.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Instant;

use serde::Serialize;

use super::{CACHE_BYTES, LineReader, Outcome, Place, Proof, closed, proof, prove};
use crate::backup_folder::stamp;
use crate::clock::Time;
use crate::resources::secrets::{self, Fit};
use crate::store::{ClosedFile, Contents, NewFile, Rows, SCHEMA};
use crate::vault::{self, Vault};

/// What the operator wants of a restore.
#[derive(Clone, Debug, Default)]
pub struct Wish {
    /// The secret key from the settings, where it does not lie beside the file.
    pub secret_key: Option<String>,
    /// Goes on where no key opens the secrets.
    pub without_key: bool,
}

/// What was restored.
#[derive(Clone, Debug, Serialize)]
pub struct Restored {
    pub path: PathBuf,
    pub schema: u32,
    pub digest: String,
    pub rows: u64,
    pub seconds: f64,
    /// Where the file lies that was there before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kept: Option<PathBuf>,
    /// The key that came along, where it was put beside the file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<PathBuf>,
    /// What is wrong with the data, in the source as well.
    pub problems: Vec<String>,
    /// Whether the file has secrets that nothing opens.
    pub lost_secrets: bool,
}

/// Puts a backup, or another closed data file, into the place of `data`.
///
/// # Errors
/// One sentence for the operator; the data file is as it was.
pub fn restore(from: &Path, data: &Path, wish: &Wish, now: Time) -> Outcome<Restored> {
    let started = Instant::now();
    let place = Place::new(data, true, Some(from))?;
    let swap = Swap::begin(place, now)?;
    let proof = prove(from, false)?;
    let mut rows = closed(from, now)?;
    let came = read_key(from)?;
    swap.finish(&mut rows, Some(&proof), came, wish, started)
}

/// Makes the data file of what `export` has written.
///
/// # Errors
/// One sentence for the operator; the data file is as it was.
pub fn import(from: &Path, data: &Path, wish: &Wish, now: Time) -> Outcome<Restored> {
    let started = Instant::now();
    let place = Place::new(data, true, Some(from))?;
    let swap = Swap::begin(place, now)?;
    let mut rows = LineReader::open(from)?;
    let schema = rows.header().schema;
    if schema > SCHEMA {
        let shown = from.display();
        return Err(format!("{shown} has schema {schema} and this orgd knows {SCHEMA}: use a newer orgd"));
    }
    swap.finish(&mut rows, None, None, wish, started)
}

/// The place of the data file, which nobody else has open.
struct Swap {
    place: Place,
    now: Time,
    /// Holds the lock of the file that is there. A damaged one has none, and nobody can serve it.
    _old: Option<ClosedFile>,
}

impl Swap {
    fn begin(place: Place, now: Time) -> Outcome<Swap> {
        let path = place.path();
        let old = if path.is_file() { Some(ClosedFile::open(path, CACHE_BYTES)) } else { None };
        let old = match old {
            Some(Err(cause)) if cause.is_in_use() => {
                let shown = path.display();
                return Err(format!(
                    "{shown} is in use by another orgd process: stop the server, then restore"
                ));
            }
            Some(opened) => opened.ok(),
            None => None,
        };
        Ok(Swap { place, now, _old: old })
    }

    fn finish(
        self,
        rows: &mut dyn Rows,
        wanted: Option<&Proof>,
        came: Option<String>,
        wish: &Wish,
        started: Instant,
    ) -> Outcome<Restored> {
        let Swap { place, now, _old: old } = self;
        let contents = place.fill(|part| write(rows, part))?;
        let (proof, key, lost_secrets) = place.judge(|part| {
            let proof = prove(part, true)?;
            proof.equals(wanted.map_or(&contents, |wanted| &wanted.contents))?;
            let (key, is_lost) = fitting_key(part, place.named(), came, wish)?;
            Ok((proof, key, is_lost))
        })?;
        let key = key.map(|text| place.write_beside(".key", &text)).transpose()?;
        let kept = place.keep_old(&format!(".before-{}", stamp(now)))?;
        place.publish()?;
        drop(old);
        let Contents { digest, rows, .. } = contents;
        Ok(Restored {
            path: place.path().to_owned(),
            schema: proof.schema,
            digest,
            rows,
            seconds: started.elapsed().as_secs_f64(),
            kept,
            key,
            problems: proof.problems,
            lost_secrets,
        })
    }
}

fn write(rows: &mut dyn Rows, part: &Path) -> Outcome<Contents> {
    let mut file = NewFile::create(part).map_err(|cause| cause.to_string())?;
    let contents = file.fill(rows).map_err(|cause| cause.to_string())?;
    file.finish(None).map_err(|cause| cause.to_string())?;
    Ok(contents)
}

fn read_key(data: &Path) -> Outcome<Option<String>> {
    let path = vault::key_path(data);
    match std::fs::read_to_string(&path) {
        Ok(text) => Ok(Some(text)),
        Err(cause) if cause.kind() == ErrorKind::NotFound => Ok(None),
        Err(cause) => Err(format!("cannot read {}: {cause}", path.display())),
    }
}

/// The key to put beside the file, where one came along and none is there; and whether the file has secrets that no
/// key opens.
fn fitting_key(
    part: &Path,
    data: &Path,
    came: Option<String>,
    wish: &Wish,
) -> Outcome<(Option<String>, bool)> {
    let there = read_key(data)?;
    let differ = |one: &Option<String>, other: &Option<String>| match (one, other) {
        (Some(one), Some(other)) => one.trim() != other.trim(),
        _ => false,
    };
    if differ(&came, &there) {
        let shown = vault::key_path(data);
        let shown = shown.display();
        return Err(format!(
            "the secret key that came with the backup is not the one in {shown}: move that one away, or the one beside \
             the backup, whichever is wrong"
        ));
    }
    let used = wish.secret_key.as_ref().or(there.as_ref()).or(came.as_ref());
    let vault = used.map(|text| Vault::of(text)).transpose()?;
    let fit = proof::with_store(part, CACHE_BYTES, |store| {
        store.read(|tx| secrets::fit(tx, vault.as_ref())).map_err(|cause| cause.to_string())
    })?;
    if fit == Fit::Differs && !wish.without_key {
        let shown = vault::key_path(data);
        return Err(format!(
            "the backup holds secrets, and {}: put its key at {}, set ORGD_SECRET_KEY, or restore all but the secrets \
             with --without-key",
            if used.is_some() {
                "the secret key that is here does not open them"
            } else {
                "their secret key is missing"
            },
            shown.display()
        ));
    }
    let is_new = there.is_none() && wish.secret_key.is_none();
    Ok((came.filter(|_| is_new), fit == Fit::Differs))
}
