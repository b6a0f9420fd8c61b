//! Servers and their keys, as they lie in the user's profiles.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde::{Deserialize, Serialize};

/// The profile that is used where none is named.
pub(super) const DEFAULT: &str = "default";
/// Longest file, and longest answer of a command, in bytes.
const BYTES_MAX: u64 = 256 * 1024;

/// A server, and how its key is found.
#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    pub url: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// A command that prints the key, for `sh`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_command: Option<String>,
    /// The organization that is meant where none is named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub organization: Option<String>,
    /// Whether the key may travel over http.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub allow_http: bool,
}

impl Profile {
    /// The key.
    ///
    /// # Errors
    /// A sentence for the user. What the command has printed is not in it.
    pub fn key(&self, name: &str) -> Result<String, String> {
        match (&self.key, &self.key_command) {
            (Some(key), None) => Ok(key.clone()),
            (None, Some(command)) => printed_by(name, command),
            _ => Err(format!("the profile {name} has either `key` or `key_command`, and not both")),
        }
    }
}

fn printed_by(name: &str, command: &str) -> Result<String, String> {
    let failed = |how: String| format!("the key_command of the profile {name} {how}");
    let mut shell = Command::new("sh");
    // It may have to speak with the user.
    shell.args(["-c", command]).stdin(Stdio::inherit()).stderr(Stdio::inherit()).stdout(Stdio::piped());
    let mut child = shell.spawn().map_err(|cause| failed(format!("can't be started: {cause}")))?;
    let mut text = String::new();
    let stdout = child.stdout.take().into_iter();
    let read: std::io::Result<usize> =
        stdout.map(|stdout| stdout.take(BYTES_MAX).read_to_string(&mut text)).sum();
    let status = child.wait().map_err(|cause| failed(format!("can't be waited for: {cause}")))?;
    if !status.success() {
        return Err(failed(format!("has failed ({status})")));
    }
    let key = text.lines().next().unwrap_or_default().trim();
    if read.is_err() || key.is_empty() { Err(failed("prints no key".into())) } else { Ok(key.to_owned()) }
}

/// All profiles of a user.
pub struct Profiles {
    path: PathBuf,
    all: BTreeMap<String, Profile>,
}

impl Profiles {
    /// Where they lie: in `XDG_CONFIG_HOME`, or in `.config` of the user's folder.
    ///
    /// # Errors
    /// Neither is known.
    pub fn path() -> Result<PathBuf, String> {
        let folder = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
        let config = folder("XDG_CONFIG_HOME").or_else(|| Some(folder("HOME")?.join(".config")));
        let config = config.ok_or("profiles have no place: neither HOME nor XDG_CONFIG_HOME is set")?;
        Ok(config.join("orgd/profiles.toml"))
    }

    /// Reads them; none where there is no file.
    ///
    /// # Errors
    /// A sentence for the user: others could read the file, it is somebody else's, or it is not in its form.
    pub fn read(path: PathBuf) -> Result<Profiles, String> {
        let cannot = |cause: std::io::Error| format!("cannot read {}: {cause}", path.display());
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(cause) if cause.kind() == ErrorKind::NotFound => {
                return Ok(Profiles { path, all: BTreeMap::new() });
            }
            Err(cause) => return Err(cannot(cause)),
        };
        let about = file.metadata().map_err(cannot)?;
        let shown = path.display();
        if about.mode() & 0o077 != 0 {
            return Err(format!("{shown} holds keys and can be read by others: chmod 600 {shown}"));
        }
        if about.uid() != rustix::process::geteuid().as_raw() {
            return Err(format!("{shown} belongs to somebody else"));
        }
        let mut text = String::new();
        file.take(BYTES_MAX + 1).read_to_string(&mut text).map_err(cannot)?;
        if text.len() as u64 > BYTES_MAX {
            return Err(format!("{shown} is longer than {BYTES_MAX} bytes"));
        }
        // The message of the parser shows the line, which may hold a key.
        let all = toml::from_str(&text).map_err(|cause: toml::de::Error| {
            let line = cause.span().map(|span| text[..span.start.min(text.len())].lines().count().max(1));
            let place = line.map(|line| format!(":{line}")).unwrap_or_default();
            // Of these messages alone it is known that they hold no value.
            let is_about_name = ["unknown field", "missing field"];
            let said = cause.message().lines().next().unwrap_or_default();
            let is_safe = is_about_name.iter().any(|front| said.starts_with(front));
            let said = if is_safe {
                said
            } else {
                "this can't be read; a profile is such as [default], url = \"…\", key = \"…\""
            };
            format!("{shown}{place}: {said}")
        })?;
        Ok(Profiles { path, all })
    }

    /// The profile of this name, or the one that is meant where none is named: `default`, or the only one.
    ///
    /// # Errors
    /// A sentence for the user; `None` where none is named and there is none.
    pub fn find(&self, name: Option<&str>) -> Result<Option<(&str, &Profile)>, String> {
        let names = || self.all.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
        let found = match name {
            Some(name) => self.all.get_key_value(name),
            None if self.all.len() == 1 => self.all.iter().next(),
            None => self.all.get_key_value(DEFAULT),
        };
        match (found, name) {
            (Some((name, profile)), _) => Ok(Some((name, profile))),
            (None, Some(name)) => Err(format!("there is no profile {name} in {}", self.path.display())),
            (None, None) if self.all.is_empty() => Ok(None),
            (None, None) => Err(format!("which profile is meant? There are {}", names())),
        }
    }

    /// Whether there is one of this name.
    pub fn has(&self, name: &str) -> bool {
        self.all.contains_key(name)
    }

    /// Puts a profile in, in place of an older one.
    pub fn put(&mut self, name: &str, profile: Profile) {
        self.all.insert(name.to_owned(), profile);
    }

    /// Takes a profile out, if there is one.
    pub fn remove(&mut self, name: &str) -> Option<Profile> {
        self.all.remove(name)
    }

    /// Where they lie.
    pub fn place(&self) -> &Path {
        &self.path
    }

    /// Writes them: whole, or not at all.
    ///
    /// # Errors
    /// A sentence for the user.
    pub fn save(&self) -> Result<(), String> {
        // What a link leads to is replaced, not the link.
        let path = fs::canonicalize(&self.path).unwrap_or_else(|_| self.path.clone());
        let cannot = |cause: std::io::Error| format!("cannot write {}: {cause}", path.display());
        let text = toml::to_string(&self.all).map_err(|cause| cause.to_string())?;
        if let Some(folder) = path.parent() {
            fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(cannot)?;
        }
        let beside = path.with_extension(format!("toml.{}", std::process::id()));
        let _ = fs::remove_file(&beside);
        let written =
            OpenOptions::new().write(true).create_new(true).mode(0o600).open(&beside).and_then(|mut file| {
                file.set_permissions(Permissions::from_mode(0o600))?;
                file.write_all(text.as_bytes())?;
                file.sync_all()?;
                fs::rename(&beside, &path)
            });
        written.map_err(|cause| {
            let _ = fs::remove_file(&beside);
            cannot(cause)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn profile(url: &str, key: &str) -> Profile {
        Profile { url: url.into(), key: Some(key.into()), ..Profile::default() }
    }

    #[test]
    fn profiles_are_written_for_their_user_only_and_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config/orgd/profiles.toml");
        let mut profiles = Profiles::read(path.clone()).unwrap();
        assert!(profiles.find(None).unwrap().is_none());
        profiles.put("work", profile("https://orgd.example.com", "phx_\"quoted\"\n"));
        profiles.save().unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        assert_eq!(fs::metadata(path.parent().unwrap()).unwrap().mode() & 0o777, 0o700);
        let mut read = Profiles::read(path.clone()).unwrap();
        assert_eq!(read.find(None).unwrap().unwrap().1.key("work").unwrap(), "phx_\"quoted\"\n");
        read.put("home", profile("https://home.example.com", "k"));
        assert!(read.find(None).err().unwrap().contains("home, work"));
        read.put(DEFAULT, profile("https://default.example.com", "k"));
        assert_eq!(read.find(None).unwrap().unwrap().0, DEFAULT);
        assert_eq!(read.find(Some("home")).unwrap().unwrap().0, "home");
        assert!(read.find(Some("nowhere")).is_err());
        assert!(read.remove("home").is_some() && !read.has("home"));
        for mode in [0o644, 0o640, 0o604, 0o660] {
            fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            assert!(Profiles::read(path.clone()).err().unwrap().contains("chmod 600"), "{mode:o}");
        }
    }

    #[test]
    fn what_is_wrong_with_the_file_is_said_without_its_keys() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("profiles.toml");
        for (text, words) in [
            ("[work]\nurl = \"https://a.example\"\nkay = \"phx_secret\"\n", "profiles.toml:"),
            ("[work]\nurl = \"https://a.example\"\nkey = phx_secret\n", "profiles.toml:3"),
            ("[work]\nkey = \"phx_secret\"\n", "url"),
        ] {
            fs::write(&path, text).unwrap();
            fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
            let sentence = Profiles::read(path.clone()).err().unwrap();
            assert!(sentence.contains(words) && !sentence.contains("phx_secret"), "{text}: {sentence}");
        }
    }

    #[test]
    fn a_command_prints_the_key() {
        let of = |command: &str| {
            let key_command = Some(command.to_owned());
            Profile { url: String::new(), key_command, ..Profile::default() }.key("work")
        };
        assert_eq!(of("echo phx_k; echo more"), Ok("phx_k".to_owned()));
        for command in ["true", "echo phx_k; exit 3", "printf '\\377'"] {
            let sentence = of(command).unwrap_err();
            assert!(sentence.contains("the profile work") && !sentence.contains("phx_k"), "{sentence}");
        }
        assert!(Profile::default().key("work").is_err());
    }
}
