//! A data file that is not empty.

use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;

use super::{Process, load, request};

/// A data file with one owner, and how to call for him.
pub struct Filled {
    pub folder: tempfile::TempDir,
    pub key: String,
    pub organization: String,
    /// What senders of events show.
    pub token: String,
}

impl Filled {
    pub fn path(&self) -> PathBuf {
        self.folder.path().join("orgd.redb")
    }

    /// The owner with this many organizations.
    pub async fn with(organizations: u64) -> Filled {
        let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
        let data = folder.path().join("orgd.redb");
        let output = Command::new(env!("CARGO_BIN_EXE_orgd"))
            .args(["bootstrap", "--email", "ada@example.com", "--organization", "Acme", "--data"])
            .arg(&data)
            .output()
            .expect("it runs");
        let made: Value = serde_json::from_slice(&output.stdout).expect("one JSON object");
        let text = |name: &str| made[name].as_str().expect("text").to_owned();
        let filled = Filled {
            folder,
            key: text("api_key"),
            organization: text("organization_id"),
            token: text("project_api_token"),
        };
        let server = Process::orgd(&data);
        let key = filled.key.clone();
        let make = move |number| post(&key, number);
        load(&server.address, 256, organizations.saturating_sub(1), 201, make).await;
        server.kill();
        filled
    }

    pub fn get(&self, path: &str) -> Vec<u8> {
        request("GET", path, &self.key, "")
    }

    pub fn one(&self) -> Vec<u8> {
        self.get(&format!("/api/organizations/{}/", self.organization))
    }
}

/// Makes an organization.
pub fn post(key: &str, number: u64) -> Vec<u8> {
    request("POST", "/api/organizations/", key, &format!("{{\"name\": \"Organization {number}\"}}"))
}
