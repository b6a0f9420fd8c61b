//! The data of a server in memory, as a data file.

use std::path::Path;

use super::{Outcome, Place, prove};
use crate::store::{NewFile, Rows};

/// Writes all rows into a data file, in place of the one that may be there, with the secret key beside it. It is proved
/// before it gets its name: a failure leaves what was there.
///
/// # Errors
/// One sentence for the operator.
pub fn save(rows: &mut dyn Rows, path: &Path, key: Option<&str>) -> Outcome<()> {
    let place = Place::new(path, true, None)?;
    let contents = place.fill(|part| {
        let mut file = NewFile::create(part).map_err(|cause| cause.to_string())?;
        let contents = file.fill(rows).map_err(|cause| cause.to_string())?;
        file.finish(None).map_err(|cause| cause.to_string())?;
        Ok(contents)
    })?;
    place.judge(|part| prove(part, false)?.equals(&contents))?;
    // The key first: without it, a file would hold secrets that nobody can open.
    if let Some(key) = key {
        place.write_beside(".key", key)?;
    }
    place.publish()
}
