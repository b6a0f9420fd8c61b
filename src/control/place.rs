//! Where the socket lies, and how it is reached where its path is longer than the system takes.

use std::fs::{self, File};
use std::io;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

/// Longest path of a socket that every system takes, in bytes, its closing zero not counted.
const PATH_BYTES_MAX: usize = 103;

/// The socket beside a data file. A link to the file leads to the same one.
pub fn socket_of(data: &Path) -> PathBuf {
    let mut path = fs::canonicalize(data).unwrap_or_else(|_| data.to_owned()).into_os_string();
    path.push(".sock");
    path.into()
}

/// Refuses what is no data file, before one would be made.
///
/// # Errors
/// One sentence for the operator.
pub fn is_there(data: &Path) -> Result<(), String> {
    let shown = data.display();
    match fs::metadata(data) {
        Err(_) => Err(format!("there is no data file at {shown}")),
        Ok(about) if !about.is_file() => Err(format!("{shown} is not a file")),
        Ok(about) if about.len() == 0 => Err(format!("{shown} is empty: put a good copy in its place")),
        Ok(_) => Ok(()),
    }
}

/// A path to a socket that the system takes.
pub(super) struct Reach {
    pub(super) path: PathBuf,
    /// The open folder that the path begins with, where it does.
    _folder: Option<File>,
}

/// The path itself or, where it is too long, one by way of its open folder.
pub(super) fn reach(path: &Path) -> io::Result<Reach> {
    if path.as_os_str().len() <= PATH_BYTES_MAX {
        return Ok(Reach { path: path.to_owned(), _folder: None });
    }
    let too_long = || io::Error::other("its path is too long for a socket");
    let (folder, name) = path.parent().zip(path.file_name()).ok_or_else(too_long)?;
    let folder = File::open(folder)?;
    let short = Path::new("/proc/self/fd").join(folder.as_raw_fd().to_string()).join(name);
    if short.as_os_str().len() > PATH_BYTES_MAX || !cfg!(target_os = "linux") {
        return Err(too_long());
    }
    Ok(Reach { path: short, _folder: Some(folder) })
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::{UnixListener, UnixStream};

    use super::*;

    #[test]
    fn a_socket_is_reached_however_deep_its_folder_lies() {
        let root = tempfile::tempdir().unwrap();
        for letters in [1, 60, 200] {
            let folder = root.path().join("d".repeat(letters)).join("e".repeat(letters));
            fs::create_dir_all(&folder).unwrap();
            let socket = socket_of(&folder.join("orgd.redb"));
            let _listener = UnixListener::bind(&reach(&socket).unwrap().path).unwrap();
            assert!(UnixStream::connect(&reach(&socket).unwrap().path).is_ok());
            assert!(socket.exists());
        }
        let long = root.path().join("n".repeat(200));
        assert!(reach(&socket_of(&long)).is_err());
    }

    #[test]
    fn a_link_to_the_file_leads_to_the_same_socket() {
        let root = tempfile::tempdir().unwrap();
        let (file, link) = (root.path().join("orgd.redb"), root.path().join("link"));
        fs::write(&file, "").unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        assert_eq!(socket_of(&link), socket_of(&file));
    }
}
