//! The files below `dist/`: what they name is there.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use regex::Regex;
use serde_yaml_ng::Value;

use crate::support::{orgd, run};

fn dist() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("dist")
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|cause| panic!("{}: {cause}", path.display()))
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

#[test]
fn every_setting_that_is_named_exists() {
    let help = String::from_utf8(run(&["serve", "--help"]).stdout).expect("text");
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut sources = files(&root.join("src/config"));
    // The variables of whoever uses a server.
    sources.push(root.join("src/cli/ready.rs"));
    let sources: String = sources.iter().map(|path| read(path)).collect();
    let name = Regex::new(r"ORGD_[A-Z_0-9]+").expect("an expression");
    let known: BTreeSet<&str> =
        name.find_iter(&help).chain(name.find_iter(&sources)).map(|found| found.as_str()).collect();
    assert!(known.len() > 30, "{known:?}");
    for path in files(&dist()) {
        let text = read(&path);
        for found in name.find_iter(&text) {
            assert!(known.contains(found.as_str()), "{}: {}", path.display(), found.as_str());
        }
    }
}

/// What the image of a test server runs, with a key as the snippets for compose and Actions give it, is reached with theirs.
#[test]
fn the_test_image_and_its_snippets_fit() {
    let folder = dist().join("test");
    let containerfile = read(&folder.join("Containerfile"));
    let entry = containerfile.lines().find_map(|line| line.strip_prefix("ENTRYPOINT ")).expect("an entry");
    let words: Vec<String> = serde_json::from_str(entry).expect("a list");
    let address = words.iter().position(|word| word == "0.0.0.0:8010").expect("all addresses");
    let mut words = words;
    words[address] = "0.0.0.0:0".into();
    let yaml = |name: &str| -> Value { serde_yaml_ng::from_str(&read(&folder.join(name))).expect("YAML") };
    let (compose, actions) = (yaml("compose.yaml"), yaml("actions.yml"));
    let (compose, job) = (&compose["services"], &actions["jobs"]["tests"]);
    let snippets = [
        (&compose["orgd"]["environment"], &compose["tests"]["environment"]),
        (&job["services"]["orgd"]["env"], &job["env"]),
    ];
    for (server, tests) in snippets {
        assert_eq!(tests["ORGD_URL"], "http://orgd:8010");
        let words: Vec<&str> = words.iter().skip(1).map(String::as_str).collect();
        let mut command = orgd(&[&words[..], &["--exit-with-stdin"]].concat());
        for (name, value) in server.as_mapping().expect("variables") {
            command.env(name.as_str().expect("a name"), value.as_str().expect("text"));
        }
        let mut serving =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("the program starts");
        let mut line = String::new();
        let out = serving.stdout.take().expect("a pipe");
        BufReader::new(out).read_line(&mut line).expect("a line");
        let ready: serde_json::Value = serde_json::from_str(&line).expect("JSON");
        assert_eq!(ready["event"], "ready");
        assert_eq!(ready["api_key"].as_str(), tests["ORGD_KEY"].as_str());
        drop(serving.stdin.take());
        assert!(serving.wait().expect("it ends").success());
    }
}

#[test]
fn compose_files_name_the_volumes_and_services_that_they_have() {
    for path in files(&dist().join("compose")) {
        let shown = path.display();
        let parsed: Value =
            serde_yaml_ng::from_str(&read(&path)).unwrap_or_else(|cause| panic!("{shown}: {cause}"));
        let services = parsed["services"].as_mapping().unwrap_or_else(|| panic!("{shown}: services"));
        assert!(services.contains_key("orgd"), "{shown}");
        for (name, service) in services {
            assert!(service["image"].is_string(), "{shown}: {name:?}");
            for needed in service["depends_on"].as_sequence().into_iter().flatten() {
                assert!(services.contains_key(needed), "{shown}: {needed:?}");
            }
            for volume in service["volumes"].as_sequence().into_iter().flatten() {
                let volume = volume.as_str().expect("text").split(':').next().expect("a name");
                let is_file = volume.starts_with('.') && path.with_file_name(volume).exists();
                assert!(is_file || parsed["volumes"].get(volume).is_some(), "{shown}: {volume}");
            }
        }
    }
}

#[test]
fn the_image_copies_what_its_folder_holds_and_runs_as_nobody_special() {
    let image = read(&dist().join("Containerfile"));
    let script = read(&dist().join("image.sh"));
    for line in image.lines().filter_map(|line| line.strip_prefix("COPY ")) {
        let mut words: Vec<&str> = line.split(' ').filter(|word| !word.starts_with("--")).collect();
        words.pop();
        for word in words {
            assert!(script.contains(word), "{word}");
        }
    }
    for line in
        ["FROM scratch", "USER 65532:65532", "VOLUME /data", "STOPSIGNAL SIGTERM", "ENTRYPOINT [\"/orgd\"]"]
    {
        assert!(image.lines().any(|found| found == line), "{line}");
    }
    assert!(image.contains("CMD [\"/orgd\", \"health\"]"));
}

#[test]
fn the_unit_leaves_the_service_nothing_that_it_does_not_need() {
    let unit = read(&dist().join("deb/orgd.service"));
    let has = |line: &str| unit.lines().any(|found| found == line);
    for line in [
        "Type=notify",
        "User=orgd",
        "StateDirectory=orgd",
        "CapabilityBoundingSet=",
        "NoNewPrivileges=yes",
        "ProtectSystem=strict",
        "ProtectHome=yes",
        "MemoryDenyWriteExecute=yes",
        "SystemCallFilter=@system-service",
    ] {
        assert!(has(line), "{line}");
    }
    let conf = read(&dist().join("deb/orgd.conf"));
    let pair = Regex::new(r"^#?ORGD_[A-Z_]+=\S.*$").expect("an expression");
    for line in conf.lines().filter(|line| !line.is_empty() && !line.starts_with("# ")) {
        assert!(pair.is_match(line), "{line}");
    }
}
