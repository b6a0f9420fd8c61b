//! Archives: only the few files that are wanted are unpacked, into memory, and counted while they are.
//! No name in an archive is ever used as a path on this machine.

use std::fmt::Display;
use std::io::{self, Cursor, Read};

use flate2::read::MultiGzDecoder;
use tar::EntryType;
use zip::ZipReadOptions;
use zip::read::Config;
use zip::unstable::read::ZipIterable;

use super::package::{Contents, FILE_BYTES_MAX, MANIFEST, is_inside};
use super::refused;
use crate::error::{Error, Result};

const ENTRIES_MAX: usize = 10_000;
/// All that a compressed tar unpacks to, in bytes: it can't be read but from the front.
const TAR_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// A name too long for its header, in bytes.
const TAR_EXTENSION_BYTES_MAX: u64 = 64 * 1024;
const GZIP: &[u8] = &[0x1f, 0x8b];

/// A plugin's archive, and where in it the plugin is.
pub(super) struct Unpacker<'a> {
    bytes: &'a [u8],
    /// What stands before the names of the plugin's files.
    front: String,
}

impl<'a> Unpacker<'a> {
    /// Looks for the plugin: in `folder`, or at the top; below the archive's one top folder, or without.
    pub(super) fn open(bytes: &'a [u8], folder: Option<&str>) -> Result<Unpacker<'a>> {
        let front = folder.map_or_else(String::new, |folder| format!("{folder}/"));
        let manifest = format!("{front}{MANIFEST}");
        let (mut is_at_top, mut top, mut tops) = (false, String::new(), 0);
        if bytes.starts_with(GZIP) {
            check_tar(bytes)?;
        }
        let mut look = |name: &str| {
            is_at_top |= name == manifest;
            let first = name.split_once('/').map(|(first, _)| first);
            if let Some(first) = first.filter(|first| tops == 0 || *first != top) {
                first.clone_into(&mut top);
                tops += 1;
            }
            false
        };
        walk(bytes, &mut look, &mut |_, _| Ok(()))?;
        let front = if is_at_top || tops != 1 { front } else { format!("{top}/{front}") };
        Ok(Unpacker { bytes, front })
    }

    /// The files of these names, as far as they are there.
    pub(super) fn read(&self, wanted: &[&str]) -> Result<Contents> {
        let mut contents = Contents::new();
        let short = |name: &str| {
            name.strip_prefix(&self.front).filter(|name| wanted.contains(name)).map(str::to_owned)
        };
        let mut take = |name: &str, file: &mut dyn Read| {
            let Some(name) = short(name).filter(|name| !contents.contains_key(name)) else { return Ok(()) };
            let content = read_file(&name, file)?;
            contents.insert(name, content);
            Ok(())
        };
        walk(self.bytes, &mut |name| short(name).is_some(), &mut take)?;
        Ok(contents)
    }
}

/// A file's bytes, counted as they come: what its header says of its size is not believed.
pub(super) fn read_file(name: &str, file: &mut dyn Read) -> Result<Vec<u8>> {
    let mut content = Vec::new();
    file.take(FILE_BYTES_MAX as u64 + 1).read_to_end(&mut content).map_err(|cause| broken(&cause))?;
    if content.len() > FILE_BYTES_MAX {
        return Err(refused(format!("The file {name} is larger than {FILE_BYTES_MAX} bytes.")));
    }
    Ok(content)
}

/// Passes all plain files of the archive by: `take` gets those that `wants` asks for. Links, devices
/// and names that lead elsewhere are as if they weren't there.
fn walk(
    bytes: &[u8],
    wants: &mut dyn FnMut(&str) -> bool,
    take: &mut dyn FnMut(&str, &mut dyn Read) -> Result<()>,
) -> Result<()> {
    let mut wants = |name: &str| is_inside(name) && wants(name);
    if bytes.starts_with(GZIP) {
        let mut archive = tar::Archive::new(Counted::unzip(bytes));
        for entry in archive.entries().map_err(|cause| broken(&cause))? {
            let mut entry = entry.map_err(|cause| broken(&cause))?;
            let path = entry.path_bytes();
            let name = String::from_utf8_lossy(path.strip_prefix(b"./").unwrap_or(&path)).into_owned();
            if entry.header().entry_type() == EntryType::Regular && wants(&name) {
                take(&name, &mut entry)?;
            }
        }
        return Ok(());
    }
    let mut archive =
        ZipIterable::try_new(Cursor::new(bytes), Config::default()).map_err(|cause| broken(&cause))?;
    if archive.len() > ENTRIES_MAX {
        return Err(too_many());
    }
    for entry in archive.files().map_err(|cause| broken(&cause))? {
        let entry = entry.map_err(|cause| broken(&cause))?;
        let name = String::from_utf8_lossy(entry.name_raw()).into_owned();
        if entry.is_file() && !entry.is_symlink() && wants(&name) {
            let mut reader = Cursor::new(bytes);
            let mut file =
                entry.with_reader(&mut reader, ZipReadOptions::default()).map_err(|cause| broken(&cause))?;
            take(&name, &mut file)?;
        }
    }
    Ok(())
}

/// Counts the entries of a tar, and the bytes of those that only name others: they are kept in memory
/// while the tar is read.
fn check_tar(bytes: &[u8]) -> Result<()> {
    let mut archive = tar::Archive::new(Counted::unzip(bytes));
    for (place, entry) in archive.entries().map_err(|cause| broken(&cause))?.raw(true).enumerate() {
        let entry = entry.map_err(|cause| broken(&cause))?;
        let kind = entry.header().entry_type();
        let is_extension = kind.is_gnu_longname()
            || kind.is_gnu_longlink()
            || kind.is_pax_local_extensions()
            || kind.is_pax_global_extensions();
        if is_extension && entry.size() > TAR_EXTENSION_BYTES_MAX {
            return Err(refused("The archive holds a name that is too long."));
        }
        if place >= ENTRIES_MAX {
            return Err(too_many());
        }
    }
    Ok(())
}

/// An unpacked stream that ends with an error where it grows too large.
struct Counted<R> {
    inner: R,
    bytes_left: u64,
}

impl<'a> Counted<MultiGzDecoder<&'a [u8]>> {
    fn unzip(bytes: &'a [u8]) -> Self {
        Counted { inner: MultiGzDecoder::new(bytes), bytes_left: TAR_BYTES_MAX }
    }
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(into)?;
        self.bytes_left = self
            .bytes_left
            .checked_sub(read as u64)
            .ok_or_else(|| io::Error::other(format!("it unpacks to more than {TAR_BYTES_MAX} bytes")))?;
        Ok(read)
    }
}

fn broken(cause: &dyn Display) -> Error {
    let cause = cause.to_string();
    // Some causes quote the bytes that they stumbled over.
    let is_text =
        !cause.contains(|letter: char| letter.is_control() || letter == char::REPLACEMENT_CHARACTER);
    let reason = if is_text { cause.trim_end_matches('.') } else { "its headers make no sense" };
    refused(format!("The archive can't be read: {reason}."))
}

fn too_many() -> Error {
    refused(format!("The archive has more than {ENTRIES_MAX} entries."))
}
