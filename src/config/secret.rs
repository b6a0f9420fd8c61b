//! Where secrets come from: the environment, a file that the environment names, or a credential that systemd
//! passes on.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use super::environment::variable;

/// Every secret, and what it is for.
pub const SECRETS: &[(&str, &str)] = &[
    ("ORGD_SECRET_KEY", "The key that seals secrets in the data file; without one, <data file>.key"),
    ("ORGD_METRICS_TOKEN", "Opens /metrics to whoever shows it as a bearer token"),
    ("ORGD_SMTP_URL", "The mail server, with its password; also --smtp-url"),
    ("ORGD_BOOTSTRAP_PASSWORD", "Password of the first owner, made when the file is empty"),
    ("ORGD_BOOTSTRAP_API_KEY", "The first owner's personal API key; without one, a random one"),
    ("ORGD_GITHUB_TOKEN", "Token for GitHub, where a plugin's address has none"),
    ("ORGD_GITLAB_TOKEN", "The same for GitLab"),
    ("ORGD_NPM_TOKEN", "The same for the npm registry"),
    ("ORGD_BACKUP_S3_SECRET_ACCESS_KEY", "The key of the bucket for backups; see --backup-s3-access-key-id"),
];

/// A longer secret is a mistake, in bytes.
const BYTES_MAX: u64 = 64 * 1024;

/// The variable with the key that a client shows to a server.
pub(super) const CLIENT_KEY: &str = "ORGD_KEY";

/// The secret of a variable such as `ORGD_SECRET_KEY`: its value; the text of the file that
/// `ORGD_SECRET_KEY_FILE` names; or that of `orgd.secret_key` in systemd's `CREDENTIALS_DIRECTORY`. An empty
/// variable is as good as none.
///
/// # Errors
/// One sentence for the operator: it is given more than once, or a file can't be read.
pub(super) fn secret(name: &str) -> Result<Option<String>, String> {
    debug_assert!(
        SECRETS.iter().any(|(known, _)| *known == name),
        "{name} is missing in the list of secrets"
    );
    secret_of(name, |name| variable(name).map(|(value, _)| value))
}

/// The key that a client shows to a server.
///
/// # Errors
/// One sentence for the operator: it is given more than once, or a file can't be read.
pub fn client_key() -> Result<Option<String>, String> {
    secret_of(CLIENT_KEY, |name| variable(name).map(|(value, _)| value))
}

/// Every secret, and where it comes from if it is set.
///
/// # Errors
/// As reading it has.
pub fn secrets() -> Result<Vec<(String, Option<String>)>, String> {
    SECRETS
        .iter()
        .map(|(name, _)| {
            let in_file = format!("{name}_FILE");
            let origin = match (secret(name)?, super::origin(name), super::origin(&in_file)) {
                (None, ..) => None,
                (_, Some(super::Origin::Variable), _) => Some("variable".to_owned()),
                (_, Some(super::Origin::File(path, line)), _) => {
                    Some(format!("file {}:{line}", path.display()))
                }
                (_, None, Some(_)) => Some(in_file),
                (_, None, None) => Some("credential".to_owned()),
            };
            Ok(((*name).to_owned(), origin))
        })
        .collect()
}

fn secret_of(
    name: &str,
    variable: impl Fn(&str) -> Option<std::ffi::OsString>,
) -> Result<Option<String>, String> {
    let in_file = format!("{name}_FILE");
    let value = variable(name);
    let file = variable(&in_file).map(PathBuf::from);
    let credential = format!("orgd.{}", name.trim_start_matches("ORGD_").to_lowercase());
    let passed = variable("CREDENTIALS_DIRECTORY").map(|folder| Path::new(&folder).join(&credential));
    let passed = passed.filter(|path| path.exists());
    let given: Vec<&str> = [
        (value.is_some(), name),
        (file.is_some(), in_file.as_str()),
        (passed.is_some(), credential.as_str()),
    ]
    .into_iter()
    .filter_map(|(is_given, source)| is_given.then_some(source))
    .collect();
    if let [one, other, ..] = given[..] {
        return Err(format!("both {one} and {other} are given: one of them must go"));
    }
    match (value, file.or(passed)) {
        (Some(value), _) => {
            let text = value.into_string().map_err(|_| format!("{name} is not text"))?;
            Ok(Some(text))
        }
        (None, Some(path)) => read(&path).map(Some).map_err(|cause| {
            let source = given.first().copied().unwrap_or(name);
            format!("{source}: cannot read {}: {cause}", path.display())
        }),
        (None, None) => Ok(None),
    }
}

/// The text of the file without the line end that editors add.
fn read(path: &Path) -> Result<String, String> {
    let mut text = String::new();
    let file = fs::File::open(path).map_err(|cause| cause.to_string())?;
    file.take(BYTES_MAX + 1).read_to_string(&mut text).map_err(|cause| cause.to_string())?;
    if text.len() as u64 > BYTES_MAX {
        return Err(format!("it is longer than {BYTES_MAX} bytes"));
    }
    let text = text.trim_end_matches(['\r', '\n']);
    if text.is_empty() {
        return Err("it is empty".into());
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use super::*;

    #[test]
    fn a_secret_comes_from_one_place() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name).into_os_string();
        fs::write(path("a"), "in a file\n").unwrap();
        fs::write(path("empty"), "\n").unwrap();
        fs::write(path("large"), "x".repeat(64 * 1024 + 1)).unwrap();
        fs::write(path("orgd.x"), "passed on").unwrap();
        let text = |text: &str| Some(OsString::from(text));
        let elsewhere = Some(path("elsewhere"));
        let here = Some(folder.path().as_os_str().to_owned());
        for (value, file, credentials, wanted) in [
            (None, None, None, Ok(None)),
            (text("plain"), None, None, Ok(Some("plain"))),
            (None, Some(path("a")), None, Ok(Some("in a file"))),
            (None, None, here.clone(), Ok(Some("passed on"))),
            (None, None, elsewhere.clone(), Ok(None)),
            (text("plain"), None, elsewhere, Ok(Some("plain"))),
            (text("plain"), Some(path("a")), None, Err("both ORGD_X and ORGD_X_FILE are given")),
            (text("plain"), None, here.clone(), Err("both ORGD_X and orgd.x are given")),
            (None, Some(path("a")), here, Err("both ORGD_X_FILE and orgd.x are given")),
            (None, Some(path("none")), None, Err("ORGD_X_FILE: cannot read")),
            (None, Some(path("empty")), None, Err("it is empty")),
            (None, Some(path("large")), None, Err("it is longer than 65536 bytes")),
        ] {
            let found = secret_of("ORGD_X", |name| match name {
                "ORGD_X" => value.clone(),
                "ORGD_X_FILE" => file.clone(),
                _ => credentials.clone(),
            });
            match (&found, wanted) {
                (Ok(found), Ok(wanted)) => assert_eq!(found.as_deref(), wanted),
                (Err(sentence), Err(part)) => assert!(sentence.contains(part), "{sentence}"),
                _ => panic!("{found:?} instead of {wanted:?}"),
            }
        }
    }
}
