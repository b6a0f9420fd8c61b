//! Plugins from a directory of this machine, below the one that the operator opened for them.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use super::archive::read_file;
use super::package::{Contents, MANIFEST, NAME_CHARS_MAX, Package};
use super::refused;
use crate::error::{Error, Result};

/// Reads the plugin in `directory`, which is meant from `base` on where it is relative.
pub(super) fn read(base: Option<&Path>, directory: &str) -> Result<Package> {
    let Some(base) = base else {
        return Err(refused(
            "Plugins from directories are not set up on this server: its operator can open one with ORGD_PLUGIN_LOCAL_DIR.",
        ));
    };
    let base = fs::canonicalize(base).map_err(|_| outside())?;
    let path = inside(&base, base.join(directory)).filter(|path| path.is_dir()).ok_or_else(outside)?;
    let missing = format!("Could not load plugin.json from: {}/{MANIFEST}", directory.trim_end_matches('/'));
    let name = path.file_name().map(|name| name.to_string_lossy().chars().take(NAME_CHARS_MAX).collect());
    Package::assemble(|wanted| contents(&base, &path, wanted), &missing, name)
}

/// The same sentence whatever lies there, so that nobody can explore the disk.
fn outside() -> Error {
    refused("There is no such directory below the one that ORGD_PLUGIN_LOCAL_DIR names.")
}

/// The path with its links followed, if it stays below the base.
fn inside(base: &Path, path: PathBuf) -> Option<PathBuf> {
    fs::canonicalize(path).ok().filter(|path| path.starts_with(base))
}

/// The plain files of these names; what leads out of the base is as if it weren't there.
fn contents(base: &Path, directory: &Path, wanted: &[&str]) -> Result<Contents> {
    let mut contents = Contents::new();
    for name in wanted {
        let Some(path) = inside(base, directory.join(name)).filter(|path| path.is_file()) else { continue };
        let mut file = File::open(path).map_err(|_| refused(format!("The file {name} can't be read.")))?;
        contents.insert((*name).to_owned(), read_file(name, &mut file)?);
    }
    Ok(contents)
}
