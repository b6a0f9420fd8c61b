//! Secrets that must be read again, such as the passwords of export destinations, are sealed before they
//! reach the data file.
//!
//! The key comes from `ORGD_SECRET_KEY` or lies in a file beside the data file. Without it nothing sealed
//! opens again: the secrets have to be entered anew, everything else stays. Where there are secrets and their
//! key is missing, the vault is locked: it neither seals nor opens anything.

use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::clock::Ids;
use crate::error::{Error, Result};

/// Fewer letters than this are no key.
const KEY_CHARS_MIN: usize = 32;
/// More of a key file is not looked at, in bytes.
const BYTES_MAX: u64 = 64 * 1024;

/// Sealed bytes: a nonce, then what ChaCha20-Poly1305 makes of the text. The form in records.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sealed(Vec<u8>);

/// Seals and opens with one key.
pub struct Vault {
    /// `None`: locked.
    key: Option<LessSafeKey>,
}

impl Vault {
    /// A vault with the key made of `text`.
    ///
    /// # Errors
    /// One sentence for the operator where the text is too short.
    pub fn of(text: &str) -> std::result::Result<Vault, String> {
        let text = text.trim();
        if text.chars().count() < KEY_CHARS_MIN {
            return Err(format!("the secret key must have at least {KEY_CHARS_MIN} letters"));
        }
        let key = UnboundKey::new(&CHACHA20_POLY1305, &Sha256::digest(text.as_bytes()))
            .expect("a SHA-256 hash has the length of a key");
        Ok(Vault { key: Some(LessSafeKey::new(key)) })
    }

    /// A vault without its key.
    pub fn locked() -> Vault {
        Vault { key: None }
    }

    /// Whether the key is missing.
    pub fn is_locked(&self) -> bool {
        self.key.is_none()
    }

    /// The vault with the key in the file beside `data`; `None` where there is no such file.
    ///
    /// # Errors
    /// One sentence for the operator.
    pub fn beside(data: &Path) -> std::result::Result<Option<Vault>, String> {
        let path = key_path(data);
        let shown = path.display();
        let text = match read(&path) {
            Ok(text) => text,
            Err(cause) if cause.kind() == ErrorKind::NotFound => return Ok(None),
            Err(cause) => return Err(format!("cannot read {shown}: {cause}")),
        };
        match readers(&path) {
            Readers::Everybody => {
                return Err(format!("{shown} can be read by everybody on this machine: chmod 600 {shown}"));
            }
            Readers::Group => tracing::warn!("{shown} can be read by its group: chmod 600 {shown}"),
            Readers::Owner => {}
        }
        Vault::of(&text).map(Some).map_err(|cause| format!("{shown}: {cause}"))
    }

    /// The vault with a new key, in a new file beside `data`.
    ///
    /// # Errors
    /// One sentence for the operator.
    pub fn make_beside(data: &Path, ids: &Ids) -> std::result::Result<Vault, String> {
        let path = key_path(data);
        let text = ids.base62::<32>();
        make(&path, &text).map_err(|cause| format!("cannot make {}: {cause}", path.display()))?;
        Vault::of(&text)
    }

    /// The key to seal with.
    fn key(&self) -> Result<&LessSafeKey> {
        let detail = "The secret key of this server is missing, so no secret can be stored.";
        self.key.as_ref().ok_or_else(|| Error::Unavailable(detail.into()))
    }

    /// Whether secrets can be sealed.
    ///
    /// # Errors
    /// 503 where the key is missing.
    pub fn may_seal(&self) -> Result<()> {
        self.key().map(|_| ())
    }

    /// Seals `text`; it opens for the same `purpose` only.
    pub fn seal(&self, ids: &Ids, purpose: &[u8], text: &str) -> Result<Sealed> {
        let key = self.key()?;
        let nonce = ids.bytes::<NONCE_LEN>();
        let mut bytes = text.as_bytes().to_vec();
        key.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(purpose), &mut bytes)
            .map_err(|_| Error::internal("a secret could not be sealed"))?;
        Ok(Sealed([nonce.as_slice(), &bytes].concat()))
    }

    /// What was sealed; `None` where it was sealed with another key, or the vault is locked.
    pub fn open(&self, purpose: &[u8], sealed: &Sealed) -> Option<String> {
        let (nonce, bytes) = sealed.0.split_first_chunk::<NONCE_LEN>()?;
        let mut bytes = bytes.to_vec();
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let text = self.key.as_ref()?.open_in_place(nonce, Aad::from(purpose), &mut bytes).ok()?;
        String::from_utf8(text.to_vec()).ok()
    }
}

impl Sealed {
    /// Bytes for the test of the stored ones.
    pub fn sample() -> Sealed {
        Sealed(vec![1, 2, 255])
    }
}

/// Who can read a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Readers {
    Owner,
    Group,
    Everybody,
}

/// Who can read or write the file, by its mode; its owner where that can't be found out.
pub fn readers(path: &Path) -> Readers {
    #[cfg(unix)]
    let mode = fs::metadata(path).map_or(0, |about| std::os::unix::fs::MetadataExt::mode(&about));
    #[cfg(not(unix))]
    let mode = 0;
    match mode {
        mode if mode & 0o007 != 0 => Readers::Everybody,
        mode if mode & 0o070 != 0 => Readers::Group,
        _ => Readers::Owner,
    }
}

/// The text of a key file, which is a short one.
fn read(path: &Path) -> std::io::Result<String> {
    if !fs::metadata(path)?.is_file() {
        return Err(std::io::Error::other("it is not a file"));
    }
    let mut text = String::new();
    fs::File::open(path)?.take(BYTES_MAX).read_to_string(&mut text)?;
    Ok(text)
}

/// Where the key of a data file lies.
pub fn key_path(data: &Path) -> PathBuf {
    let mut path = data.as_os_str().to_owned();
    path.push(".key");
    path.into()
}

fn make(path: &Path, text: &str) -> std::io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    writeln!(file, "{text}")?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sealed_opens_with_the_same_key_for_the_same_purpose() {
        let ids = Ids::default();
        let vault = Vault::of(&"k".repeat(32)).unwrap();
        let sealed = vault.seal(&ids, b"one", "secret").unwrap();
        assert_ne!(sealed, vault.seal(&ids, b"one", "secret").unwrap());
        assert!(!sealed.0.windows(6).any(|part| part == b"secret"));
        assert_eq!(vault.open(b"one", &sealed).as_deref(), Some("secret"));
        assert_eq!(vault.open(b"two", &sealed), None);
        assert_eq!(Vault::of(&"l".repeat(32)).unwrap().open(b"one", &sealed), None);
        assert_eq!(vault.open(b"one", &Sealed(vec![1, 2, 3])), None);
        assert!(Vault::of("short").is_err());
    }

    #[test]
    fn the_key_beside_the_file_is_made_once() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("orgd.redb");
        let ids = Ids::default();
        assert!(Vault::beside(&data).unwrap().is_none());
        let sealed = Vault::make_beside(&data, &ids).unwrap().seal(&ids, b"", "secret").unwrap();
        assert_eq!(Vault::beside(&data).unwrap().unwrap().open(b"", &sealed).as_deref(), Some("secret"));
        assert!(Vault::make_beside(&data, &ids).is_err(), "a key is never replaced");
        fs::write(key_path(&data), "short").unwrap();
        assert!(Vault::beside(&data).is_err());
    }

    #[test]
    fn a_locked_vault_neither_seals_nor_opens() {
        let ids = Ids::default();
        let sealed = Vault::of(&"k".repeat(32)).unwrap().seal(&ids, b"one", "secret").unwrap();
        let locked = Vault::locked();
        assert!(locked.is_locked() && locked.open(b"one", &sealed).is_none());
        assert_eq!(locked.seal(&ids, b"one", "secret").unwrap_err().status(), 503);
    }
}
