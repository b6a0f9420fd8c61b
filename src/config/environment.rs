//! The variables that settings come from: those of the process and, for what they do not set, those of one file.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use super::secret::{CLIENT_KEY, SECRETS};

/// What every variable of the program begins with.
const PREFIX: &str = "ORGD_";
/// The variable that names the file.
pub(super) const FILE_VARIABLE: &str = "ORGD_CONFIG";
/// Longest file, in bytes.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

static FILE: OnceLock<Settings> = OnceLock::new();

/// What the file sets.
struct Settings {
    path: PathBuf,
    /// By name: the line, and the value.
    values: BTreeMap<String, (usize, String)>,
}

/// Where the value of a variable comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The environment.
    Variable,
    /// This line of the file.
    File(PathBuf, usize),
}

/// What a variable is set to, and where. An empty one is as good as none.
pub(super) fn variable(name: &str) -> Option<(OsString, Origin)> {
    if let Some(value) = std::env::var_os(name).filter(|value| !value.is_empty()) {
        return Some((value, Origin::Variable));
    }
    let Settings { path, values } = FILE.get()?;
    let (line, value) = values.get(name)?;
    Some((value.into(), Origin::File(path.clone(), *line)))
}

/// What a variable is set to, if it is text.
pub fn value(name: &str) -> Option<String> {
    variable(name)?.0.into_string().ok()
}

/// Where a variable is set, if it is.
pub fn origin(name: &str) -> Option<Origin> {
    variable(name).map(|(_, origin)| origin)
}

/// A setting as the operator has written it: the variable, if it has this value, or else the flag.
pub fn used(flag: &str, name: &str, value: &str) -> String {
    if is_of_variable(name, value) { format!("{name}={value}") } else { format!("{flag} {value}") }
}

/// Whether the variable has this value.
pub fn is_of_variable(name: &str, value: &str) -> bool {
    variable(name).is_some_and(|(set, _)| set == value)
}

/// Takes settings from this file, or from the one that `ORGD_CONFIG` names, for the rest of the process. Its names must be
/// among those that are known.
///
/// # Errors
/// A sentence for the operator that names the line.
pub fn use_file(path: Option<&Path>, known: impl FnOnce() -> Vec<String>) -> Result<(), String> {
    let named = variable(FILE_VARIABLE).map(|(value, _)| PathBuf::from(value));
    let Some(path) = path.map(Path::to_owned).or(named) else { return Ok(()) };
    let shown = path.display();
    let about =
        fs::metadata(&path).map_err(|cause| format!("cannot read the settings in {shown}: {cause}"))?;
    if about.len() > FILE_BYTES_MAX {
        return Err(format!("{shown} is longer than {FILE_BYTES_MAX} bytes"));
    }
    let text =
        fs::read_to_string(&path).map_err(|cause| format!("cannot read the settings in {shown}: {cause}"))?;
    let values = values_of(&text, &known()).map_err(|sentence| format!("{shown}, {sentence}"))?;
    let _ = FILE.set(Settings { path, values });
    Ok(())
}

/// The values of a text of `NAME=value` lines, with their lines. An empty one is as good as none.
fn values_of(text: &str, known: &[String]) -> Result<BTreeMap<String, (usize, String)>, String> {
    let mut values = BTreeMap::new();
    for (place, line) in text.lines().enumerate() {
        let (number, line) = (place + 1, line.trim());
        if line.is_empty() || line.starts_with(['#', ';']) {
            continue;
        }
        let (name, value) =
            line.split_once('=').ok_or_else(|| format!("line {number}: NAME=value is wanted"))?;
        let (name, value) = (name.trim_end(), unquoted(value.trim()));
        if !known.iter().any(|known| known == name) || name == FILE_VARIABLE {
            return Err(format!("line {number}: {}", unknown(name, known)));
        }
        if let Some((first, _)) = values.insert(name.to_owned(), (number, value.to_owned())) {
            return Err(format!("line {number}: {name} is set in line {first} already"));
        }
    }
    values.retain(|_, (_, value)| !value.is_empty());
    Ok(values)
}

/// Without the quotes that systemd takes around a value.
fn unquoted(value: &str) -> &str {
    let inner = |quote: char| value.strip_prefix(quote).and_then(|value| value.strip_suffix(quote));
    inner('"').or_else(|| inner('\'')).unwrap_or(value)
}

/// The sentences about variables of the process that no setting has, such as mistyped ones.
pub fn doubts(known: &[String]) -> Vec<String> {
    let set = std::env::vars_os().filter(|(_, value)| !value.is_empty());
    let mut names: Vec<String> = set.filter_map(|(name, _)| name.into_string().ok()).collect();
    names.sort();
    names.retain(|name| name.starts_with(PREFIX) && !is_of_others(name) && !known.contains(name));
    names.iter().map(|name| unknown(name, known)).collect()
}

/// Whether it is one of those that Kubernetes sets for a service with the name orgd, or of our tests.
fn is_of_others(name: &str) -> bool {
    name == "ORGD_PORT"
        || ["ORGD_PORT_", "ORGD_SERVICE_", "ORGD_TESTS_"].iter().any(|front| name.starts_with(front))
}

fn unknown(name: &str, known: &[String]) -> String {
    match nearest(name, known) {
        Some(other) => format!("{name} is no setting; {other} is one"),
        None => format!("{name} is no setting"),
    }
}

/// The name that was probably meant.
fn nearest<'a>(name: &str, known: &'a [String]) -> Option<&'a str> {
    let name = name.to_uppercase().replace('-', "_");
    let distance = |other: &str| strsim::damerau_levenshtein(&name, other);
    let nearest = known.iter().min_by_key(|other| distance(other))?;
    // What differs in more than a third of its letters is another word.
    (distance(nearest) * 3 <= nearest.len() - PREFIX.len()).then_some(nearest)
}

/// The names of the secrets, which no flag has, and those of the files that they may come from.
pub(super) fn secret_names() -> impl Iterator<Item = String> {
    let names = SECRETS.iter().map(|(name, _)| *name).chain([CLIENT_KEY]);
    names.flat_map(|name| [name.to_owned(), format!("{name}_FILE")])
}

#[cfg(test)]
mod tests {
    use clap::Args;

    use super::*;
    use crate::config::{Config, names};

    fn known() -> Vec<String> {
        names(&Config::augment_args(clap::Command::new("orgd")))
    }

    #[test]
    fn every_planted_mistake_names_the_setting_that_was_meant() {
        let known = known();
        assert!(known.len() > 40, "{known:?}");
        for name in &known {
            let letters: Vec<char> = name.chars().collect();
            let without = |place: usize| -> String {
                letters.iter().enumerate().filter(|(at, _)| *at != place).map(|(_, letter)| letter).collect()
            };
            let mut swapped = letters.clone();
            let last = letters.len() - 1;
            swapped.swap(last, last - 1);
            let mistakes = [
                without(last),
                without(PREFIX.len()),
                without(letters.len() / 2),
                swapped.into_iter().collect(),
                format!("{name}S"),
                format!("{PREFIX}{}", name[PREFIX.len()..].replace('_', "")),
            ];
            for mistake in mistakes.iter().filter(|mistake| !known.contains(mistake)) {
                let meant = nearest(mistake, &known).unwrap_or_default();
                // Of two that are as near, either will do.
                let distance = |other: &str| strsim::damerau_levenshtein(mistake, other);
                assert!(distance(meant) <= distance(name), "{mistake}: {meant} instead of {name}");
            }
        }
        assert_eq!(nearest("ORGD_COLOUR_OF_THE_BIKE_SHED", &known), None);
    }

    #[test]
    fn no_setting_has_a_name_that_others_set() {
        assert!(known().iter().all(|name| !is_of_others(name)));
        for name in ["ORGD_PORT", "ORGD_PORT_8010_TCP_ADDR", "ORGD_SERVICE_HOST", "ORGD_SERVICE_PORT_HTTP"] {
            assert!(is_of_others(name), "{name}");
        }
    }

    #[test]
    fn a_file_holds_names_and_values() {
        let known = ["ORGD_A".to_owned(), "ORGD_B".to_owned(), FILE_VARIABLE.to_owned()];
        let text = "# a comment\n\n; another\nORGD_A = \"x = y\" \r\n  ORGD_B=\n";
        let values = values_of(text, &known).unwrap();
        assert_eq!(values.into_iter().collect::<Vec<_>>(), [("ORGD_A".to_owned(), (4, "x = y".to_owned()))]);
        for (text, words) in [
            ("ORGD_A", "line 1: NAME=value"),
            ("\nORGD_C=1", "line 2: ORGD_C is no setting"),
            ("PATH=/bin", "line 1: PATH is no setting"),
            ("ORGD_CONFIG=x", "line 1: ORGD_CONFIG is no setting"),
            ("ORGD_A=1\nORGD_A=2", "line 2: ORGD_A is set in line 1 already"),
            ("export ORGD_A=1", "line 1: export ORGD_A is no setting"),
        ] {
            let sentence = values_of(text, &known).unwrap_err();
            assert!(sentence.contains(words), "{text}: {sentence}");
        }
    }
}
