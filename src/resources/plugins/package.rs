//! What an installation brings: plugin.json, and the few source files that matter.

use std::collections::HashMap;

use semver::{Version, VersionReq};
use serde_json::{Map, Value, json};

use super::source::Files;
use super::{Archive, Plugin, capabilities, refused};
use crate::error::{Result, invalid};
use crate::store::Json;

pub(super) const MANIFEST: &str = "plugin.json";
/// Under this name the code is kept, whatever it was called.
pub(super) const INDEX: &str = "index.ts";
const MAIN_DEFAULTS: &[&str] = &["index.js", "index.ts"];
/// Parts of a plugin that run in the browser; with one of them there may be no other code.
const BROWSER_FILES: &[&str] = &["frontend.tsx", "site.ts"];

/// One file of a plugin, unpacked, in bytes. Four are kept at most.
pub(super) const FILE_BYTES_MAX: usize = 2 * 1024 * 1024;
const DEPTH_MAX: usize = 64;
/// The configuration's schema, which every list of plugins shows, in bytes of JSON.
const CONFIG_BYTES_MAX: usize = 64 * 1024;
pub(super) const NAME_CHARS_MAX: usize = 200;
const ICON_CHARS_MAX: usize = 800;

/// Files as they were found, by the name that was looked for.
pub(super) type Contents = HashMap<String, Vec<u8>>;

pub(super) struct Package {
    name: String,
    description: String,
    icon: Option<String>,
    config_schema: Json,
    public_jobs: Json,
    pub(super) files: Files,
    pub(super) tag: Option<String>,
    pub(super) archive: Option<Archive>,
}

impl Package {
    /// Puts a package together from files that `read` finds. `missing` is said where there is no
    /// plugin.json; `name` is the plugin's where plugin.json has none.
    pub(super) fn assemble(
        mut read: impl FnMut(&[&str]) -> Result<Contents>,
        missing: &str,
        name: Option<String>,
    ) -> Result<Package> {
        let bytes = read(&[MANIFEST])?.remove(MANIFEST).ok_or_else(|| refused(missing.to_owned()))?;
        let manifest = Manifest::parse(&text(MANIFEST, bytes)?)?;
        let name = manifest.name()?.filter(|name| !name.is_empty()).or(name);
        let name = name.ok_or_else(|| refused("plugin.json must have a name."))?;
        manifest.check_version()?;
        let config = manifest.config()?.cloned().unwrap_or_else(|| json!([]));
        manifest.check_stateless(&config)?;
        let main = manifest.main()?;
        let mains: Vec<&str> = main.map_or_else(|| MAIN_DEFAULTS.to_vec(), |main| vec![main]);
        let mut contents = read(&[&mains, BROWSER_FILES].concat())?;
        let mut files = Files::new();
        files.insert(MANIFEST.to_owned(), manifest.text());
        if let Some(main) = mains.iter().find(|main| contents.contains_key(**main)) {
            let bytes = contents.remove(*main).unwrap_or_default();
            files.insert(INDEX.to_owned(), text(main, bytes)?);
        }
        for browser in BROWSER_FILES {
            if let Some(bytes) = contents.remove(*browser) {
                files.insert((*browser).to_owned(), text(browser, bytes)?);
            }
        }
        if files.len() == 1 {
            let wanted = main.map_or_else(|| MAIN_DEFAULTS.join(" or "), str::to_owned);
            return Err(refused(format!("Could not find main file {wanted} in plugin {name}")));
        }
        Ok(Package {
            description: manifest.description()?,
            icon: manifest.icon()?,
            config_schema: Json::of(&config),
            public_jobs: Json::of(manifest.0.get("publicJobs").unwrap_or(&json!({}))),
            name,
            files,
            tag: None,
            archive: None,
        })
    }

    /// Makes the plugin one of this package. `old_code` is the code that it had before.
    pub(super) fn put_into(&self, plugin: &mut Plugin, old_code: Option<&str>) {
        plugin.name = Some(self.name.clone());
        plugin.description = Some(self.description.clone());
        plugin.icon.clone_from(&self.icon);
        plugin.config_schema = self.config_schema.clone();
        plugin.public_jobs = Some(self.public_jobs.clone());
        plugin.tag.clone_from(&self.tag);
        plugin.latest_tag.clone_from(&self.tag);
        plugin.archive.clone_from(&self.archive);
        let new_code = self.files.get(INDEX).map(String::as_str);
        capabilities::renew(&mut plugin.capabilities, old_code, new_code);
    }
}

fn text(name: &str, bytes: Vec<u8>) -> Result<String> {
    String::from_utf8(bytes).map_err(|_| refused(format!("The file {name} is not UTF-8 text.")))
}

/// A plugin.json.
pub(super) struct Manifest(Map<String, Value>);

impl Manifest {
    pub(super) fn parse(text: &str) -> Result<Manifest> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let value: Value = serde_json::from_str(text)
            .map_err(|cause| refused(format!("plugin.json is not valid JSON: {cause}.")))?;
        if depth(&value) > DEPTH_MAX {
            return Err(refused(format!("plugin.json is nested more than {DEPTH_MAX} levels deep.")));
        }
        match value {
            Value::Object(object) => Ok(Manifest(object)),
            _ => Err(refused("plugin.json must hold a JSON object.")),
        }
    }

    /// The same value, written anew.
    fn text(&self) -> String {
        serde_json::to_string_pretty(&self.0).unwrap_or_default()
    }

    pub(super) fn name(&self) -> Result<Option<String>> {
        if self.0.get("name") == Some(&Value::Null) {
            return Err(invalid("name", "null", "This field may not be null."));
        }
        self.text_of("name", NAME_CHARS_MAX)
    }

    /// The configuration's schema, of any shape but null.
    pub(super) fn config(&self) -> Result<Option<&Value>> {
        match self.0.get("config") {
            Some(Value::Null) => Err(invalid("config_schema", "null", "This field may not be null.")),
            Some(config) if config.to_string().len() > CONFIG_BYTES_MAX => {
                let detail = format!("The config of plugin.json must have at most {CONFIG_BYTES_MAX} bytes.");
                Err(invalid("config_schema", "max_length", detail))
            }
            config => Ok(config),
        }
    }

    fn description(&self) -> Result<String> {
        Ok(self.text_of("description", usize::MAX)?.unwrap_or_default())
    }

    fn icon(&self) -> Result<Option<String>> {
        self.text_of("icon", ICON_CHARS_MAX)
    }

    /// The path of the code file inside of the plugin.
    fn main(&self) -> Result<Option<&str>> {
        let Some(main) = self.0.get("main").filter(|main| !main.is_null()) else { return Ok(None) };
        let main = main.as_str().map(|main| main.trim_start_matches("./")).filter(|main| is_inside(main));
        match main {
            Some(main) => Ok(Some(main)),
            None => {
                Err(refused("The main file that plugin.json names must be a relative path without '..'."))
            }
        }
    }

    fn check_stateless(&self, config: &Value) -> Result<()> {
        let is_empty = match config {
            Value::Array(list) => list.is_empty(),
            Value::Object(object) => object.is_empty(),
            other => other == false || other == "" || other == 0,
        };
        if self.0.get("stateless") == Some(&Value::Bool(true)) && !is_empty {
            return Err(refused("Stateless plugins cannot have a config!"));
        }
        Ok(())
    }

    fn check_version(&self) -> Result<()> {
        let Some(wanted) = self.0.get("posthogVersion").filter(|wanted| !wanted.is_null()) else {
            return Ok(());
        };
        let shown = crate::api::fields::python_str(wanted);
        match wanted.as_str().and_then(admits_posthog) {
            Some(true) => Ok(()),
            Some(false) => Err(refused(format!(
                "Currently running PostHog version {POSTHOG_VERSION} does not match this plugin's semantic version requirement \"{shown}\"."
            ))),
            None => Err(refused(format!("Invalid PostHog semantic version requirement \"{shown}\"!"))),
        }
    }

    fn text_of(&self, name: &'static str, chars_max: usize) -> Result<Option<String>> {
        match self.0.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) if text.chars().count() > chars_max => {
                let detail = format!("Ensure this field has no more than {chars_max} characters.");
                Err(invalid(name, "max_length", detail))
            }
            Some(Value::String(text)) => Ok(Some(text.clone())),
            Some(_) => Err(invalid(name, "invalid_input", "Not a valid string.")),
        }
    }
}

fn depth(value: &Value) -> usize {
    match value {
        Value::Array(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
        Value::Object(fields) => 1 + fields.values().map(depth).max().unwrap_or(0),
        _ => 0,
    }
}

/// Whether a path stays below where it starts.
pub(super) fn is_inside(path: &str) -> bool {
    path.split('/')
        .all(|part| !part.is_empty() && part != "." && part != ".." && !part.contains(['\\', '\0']))
}

/// PostHog's last version with a number. Plugins name the versions that they are made for.
const POSTHOG_VERSION: Version = Version::new(1, 43, 0);

/// Whether a range holds that version; `None` where it is no range. PostHog reads ranges after all blanks
/// are gone: commas join what must hold together, and a bare version means itself.
fn admits_posthog(range: &str) -> Option<bool> {
    let range: String = range.split_whitespace().collect();
    let mut any = false;
    for alternative in range.split("||") {
        let mut all = true;
        for clause in alternative.split(',') {
            all &= clause_holds(clause)?;
        }
        any |= all;
    }
    Some(any)
}

fn clause_holds(clause: &str) -> Option<bool> {
    if let Some(version) = clause.strip_prefix("!=") {
        return clause_holds(version).map(|holds| !holds);
    }
    let is_bare = clause.starts_with(|first: char| first.is_ascii_digit());
    let clause = clause.strip_prefix('=').filter(|rest| rest.starts_with('=')).unwrap_or(clause);
    let exact = format!("={clause}");
    VersionReq::parse(if is_bare { &exact } else { clause }).ok().map(|range| range.matches(&POSTHOG_VERSION))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_of_versions() {
        for (range, wanted) in [
            ("1.43.0", Some(true)),
            ("1.42.0", Some(false)),
            ("==1.43.0", Some(true)),
            ("1.43", Some(true)),
            ("1.x", Some(true)),
            ("*", Some(true)),
            (">= 1.25.0", Some(true)),
            (">= 1.25.0, < 1.43.0", Some(false)),
            (">=1.25.0,<2.0.0", Some(true)),
            ("^1.40", Some(true)),
            ("^2.0.0", Some(false)),
            ("~1.43", Some(true)),
            ("~1.42.0", Some(false)),
            ("!=1.43.0", Some(false)),
            ("1.0.0||1.43.0", Some(true)),
            ("<1.43.0", Some(false)),
            ("banana", None),
            ("1.43.0.0", None),
            ("", None),
            (">=1||", None),
        ] {
            assert_eq!(admits_posthog(range), wanted, "{range:?}");
        }
    }

    fn assembled(manifest: Value, files: &[&str]) -> std::result::Result<Vec<String>, String> {
        let read = |wanted: &[&str]| {
            let found = |name: &&&str| **name == MANIFEST || files.contains(*name);
            let bytes =
                |name: &&str| if *name == MANIFEST { manifest.to_string() } else { format!("// {name}") };
            Ok(wanted
                .iter()
                .filter(found)
                .map(|name| ((*name).to_owned(), bytes(name).into_bytes()))
                .collect())
        };
        let package = Package::assemble(read, "none", None).map_err(|error| error.to_string())?;
        Ok(package.files.into_iter().map(|(name, text)| format!("{name}: {text}")).collect())
    }

    #[test]
    fn which_files_are_taken() {
        let taken = |manifest: Value, files: &[&str]| {
            let lines = assembled(manifest, files)?;
            let code = lines.into_iter().filter(|line| !line.starts_with(MANIFEST));
            Ok::<_, String>(code.collect::<Vec<_>>().join(" "))
        };
        let plain = json!({"name": "p"});
        assert_eq!(taken(plain.clone(), &["index.js", "index.ts"]).unwrap(), "index.ts: // index.js");
        assert_eq!(taken(plain.clone(), &["index.ts"]).unwrap(), "index.ts: // index.ts");
        assert_eq!(taken(plain.clone(), &["site.ts"]).unwrap(), "site.ts: // site.ts");
        let all =
            taken(json!({"name": "p", "main": "./src/a.js"}), &["src/a.js", "frontend.tsx", "index.js"]);
        assert_eq!(all.unwrap(), "frontend.tsx: // frontend.tsx index.ts: // src/a.js");
        assert_eq!(
            taken(plain, &[]).unwrap_err(),
            "Could not find main file index.js or index.ts in plugin p"
        );
        let none = taken(json!({"name": "p", "main": "a.js"}), &["index.js"]);
        assert_eq!(none.unwrap_err(), "Could not find main file a.js in plugin p");
        for odd in ["../a.js", "/etc/passwd", "a/../b", "a\\b", "a\0b", "", "a//b"] {
            let refusal = taken(json!({"name": "p", "main": odd}), &["index.js"]).unwrap_err();
            assert!(refusal.contains("relative path"), "{odd:?}: {refusal}");
        }
    }

    #[test]
    fn a_manifest_that_breaks_a_rule_is_refused() {
        let nested = |levels: usize| {
            format!("{{\"name\": \"p\", \"a\": {}{}}}", "[".repeat(levels), "]".repeat(levels))
        };
        assert!(Manifest::parse(&nested(63)).is_ok());
        assert!(Manifest::parse(&nested(64)).is_err());
        assert!(Manifest::parse(&nested(100_000)).is_err());
        for (manifest, wanted) in [
            (json!([]), "must hold a JSON object"),
            (json!({}), "must have a name"),
            (json!({"name": ""}), "must have a name"),
            (json!({"name": null}), "may not be null"),
            (json!({"name": 7}), "Not a valid string"),
            (json!({"name": "n".repeat(201)}), "no more than 200"),
            (json!({"name": "p", "description": []}), "Not a valid string"),
            (json!({"name": "p", "config": null}), "may not be null"),
            (json!({"name": "p", "stateless": true, "config": [{"key": "a"}]}), "Stateless plugins cannot"),
            (
                json!({"name": "p", "posthogVersion": "banana"}),
                "Invalid PostHog semantic version requirement \"banana\"!",
            ),
            (json!({"name": "p", "posthogVersion": ">= 2"}), "version 1.43.0 does not match"),
        ] {
            let refusal = assembled(manifest.clone(), &["index.js"]).unwrap_err();
            assert!(refusal.contains(wanted), "{manifest}: {refusal}");
        }
        assert!(assembled(json!({"name": "p", "stateless": true, "config": []}), &["index.js"]).is_ok());
    }
}
