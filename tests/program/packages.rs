//! The files below `dist/`: what they name is there.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use regex::Regex;
use serde_yaml_ng::Value;

use crate::support::run;

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
    let sources = files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src/config"));
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
