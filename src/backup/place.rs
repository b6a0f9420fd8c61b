//! Where a new file comes to lie: under another name until it is proved.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use super::Outcome;
use crate::store::{log_beside, set_log_aside};

/// The name of a file to be, and the turn in its folder. One process at a time writes into a folder.
pub struct Place {
    /// As it was named: a key lies beside it, where `path` is what a link leads to.
    named: PathBuf,
    path: PathBuf,
    part: PathBuf,
    folder: File,
    may_replace: bool,
}

fn with_ending(path: &Path, ending: &str) -> PathBuf {
    let mut path = path.as_os_str().to_owned();
    path.push(ending);
    path.into()
}

/// The file that a link leads to.
fn resolved(path: &Path) -> PathBuf {
    let target = if path.is_symlink() { path.canonicalize().ok() } else { None };
    target.unwrap_or_else(|| path.to_owned())
}

impl Place {
    /// A place for a file. `source` is what it is made of, which it can't replace.
    ///
    /// # Errors
    /// One sentence for the operator: there is such a file already, or its folder can't be written to.
    pub fn new(path: &Path, may_replace: bool, source: Option<&Path>) -> Outcome<Place> {
        let shown = path.display();
        // A device is nothing that could be replaced.
        if path.file_name().is_none() || path.metadata().is_ok_and(|about| !about.is_file()) {
            return Err(format!("{shown} is not the name of a file"));
        }
        if source.is_some_and(|source| is_same(source, path)) {
            return Err(format!("{shown} is the data file itself: name another place"));
        }
        if !may_replace && path.symlink_metadata().is_ok() {
            return Err(format!(
                "{shown} is there already: name another place, or replace it with --replace"
            ));
        }
        let (named, path) = (path.to_owned(), resolved(path));
        let folder = match path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        let opened = File::open(folder).map_err(|cause| match cause.kind() {
            ErrorKind::NotFound => format!("there is no folder {}", folder.display()),
            _ => format!("cannot open the folder {}: {cause}", folder.display()),
        })?;
        // Where folders can't be locked, the lock of the file that is written has to do.
        if matches!(opened.try_lock(), Err(TryLockError::WouldBlock)) {
            return Err(format!(
                "another orgd is writing into the folder {}: try again when it is done",
                folder.display()
            ));
        }
        Ok(Place { named, part: with_ending(&path, ".part"), path, folder: opened, may_replace })
    }

    /// What the file will be called.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What it was called by the operator.
    pub(super) fn named(&self) -> &Path {
        &self.named
    }

    /// Writes the file under its other name. What a failure leaves is removed.
    pub(super) fn fill<T>(&self, write: impl FnOnce(&Path) -> Outcome<T>) -> Outcome<T> {
        match fs::remove_file(&self.part) {
            Err(cause) if cause.kind() != ErrorKind::NotFound => {
                return Err(format!("cannot remove {}: {cause}", self.part.display()));
            }
            _ => {}
        }
        self.judge(write)
    }

    /// Looks at the file under its other name, and removes it where it is no good.
    pub(super) fn judge<T>(&self, look: impl FnOnce(&Path) -> Outcome<T>) -> Outcome<T> {
        look(&self.part).inspect_err(|_| drop(fs::remove_file(&self.part)))
    }

    /// Gives the file its name. It must have been proved and be on the disk.
    pub(super) fn publish(&self) -> Outcome<()> {
        let shown = self.path.display();
        if !self.may_replace && self.path.symlink_metadata().is_ok() {
            return self
                .judge(|_| Err(format!("{shown} has come to be there meanwhile: it is left as it is")));
        }
        let renamed = fs::rename(&self.part, &self.path);
        // The log of the file that was there would not fit.
        let renamed = renamed.and_then(|()| set_log_aside(&self.path)).and_then(|()| self.folder.sync_all());
        renamed.map_err(|cause| format!("cannot rename {} to {shown}: {cause}", self.part.display()))
    }

    /// Writes a small secret beside the file, at once or not at all.
    pub(super) fn write_beside(&self, ending: &str, text: &str) -> Outcome<PathBuf> {
        let path = with_ending(&self.named, ending);
        let part = with_ending(&path, ".part");
        let written = || {
            let mut options = OpenOptions::new();
            options.write(true).create(true).truncate(true);
            #[cfg(unix)]
            std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
            let mut file = options.open(&part)?;
            file.write_all(text.as_bytes())?;
            file.sync_all()?;
            fs::rename(&part, &path)?;
            self.folder.sync_all()
        };
        written().map_err(|cause| {
            let _ = fs::remove_file(&part);
            format!("cannot write {}: {cause}", path.display())
        })?;
        Ok(path)
    }

    /// Keeps the file that has the name now under another one as well.
    pub(super) fn keep_old(&self, ending: &str) -> Outcome<Option<PathBuf>> {
        if !self.path.exists() {
            return Ok(None);
        }
        let kept = with_ending(&self.path, ending);
        // A second name, so that the first one is never without a file; not all file systems have them.
        let linked = fs::hard_link(&self.path, &kept).or_else(|_| fs::rename(&self.path, &kept));
        // What a crash has left in its log goes along.
        let log = log_beside(&self.path);
        let linked = linked.and_then(|()| match log.exists() {
            true => fs::hard_link(&log, log_beside(&kept)).or_else(|_| fs::rename(&log, log_beside(&kept))),
            false => Ok(()),
        });
        let linked = linked.and_then(|()| self.folder.sync_all());
        linked
            .map_err(|cause| format!("cannot keep {} as {}: {cause}", self.path.display(), kept.display()))?;
        Ok(Some(kept))
    }
}

fn is_same(one: &Path, other: &Path) -> bool {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        let which = |path: &Path| path.metadata().ok().map(|about| (about.dev(), about.ino()));
        which(one).is_some_and(|file| Some(file) == which(other))
    }
    #[cfg(not(unix))]
    {
        resolved(one) == resolved(other)
    }
}
