//! The client: every command of its table against a real server, and what stands between a key and a mistake.

mod commands;
mod hostile;
mod safety;
mod schema;
mod terminal;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use crate::support::{Serving, agent, ask, orgd};

/// A server with people and a project, and a folder in which commands are typed.
struct World {
    folder: TempDir,
    server: Option<Serving>,
    key: String,
}

const SEED: &str = r#"orgd: 1
organizations:
  - slug: acme
    name: Acme
    members: [{email: ada@example.com, level: owner}, {email: grace@example.com, level: member}, {email: kay@example.com, level: member}]
    projects: [{name: Website}]
users:
  - {email: ada@example.com, first_name: Ada, last_name: Lovelace, password: weak}
  - {email: grace@example.com, first_name: Grace, last_name: Hopper, password: weak}
  - {email: kay@example.com, first_name: Kay, password: weak}
"#;

const EXPORT: &str = r#"{"name": "to a table", "interval": "hour", "paused": true,
  "destination": {"type": "HTTP", "config": {"url": "https://us.i.posthog.com/batch/", "token": "phc_x"}}}"#;

impl World {
    fn new() -> World {
        let folder = tempfile::tempdir().expect("a folder");
        let path = |name: &str| folder.path().join(name);
        fs::write(path("seed.yaml"), SEED).expect("it is written");
        fs::write(path("export.json"), EXPORT).expect("it is written");
        let mut command = orgd(&["serve", "--dev", "--listen", "127.0.0.1:0", "--seed"]);
        command.arg(path("seed.yaml")).arg("--data").arg(path("orgd.redb"));
        let server = Serving::of(&mut command);
        let key =
            server.said.iter().find_map(|line| line.split_once("API key: ")).expect("a key").1.to_owned();
        fs::write(path("key.txt"), format!("{key}\n")).expect("it is written");
        World { folder, server: Some(server), key }
    }

    /// The address of its server.
    fn base(&self) -> &str {
        self.server.as_ref().map_or("", |server| server.base.as_str())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The program with these arguments, without a server to go to.
    fn bare(&self, arguments: &[&str]) -> Command {
        let mut command = orgd(arguments);
        command.current_dir(self.folder.path()).env("XDG_CONFIG_HOME", self.path("config"));
        command.env_remove("NO_COLOR").stdin(Stdio::null());
        command
    }

    /// The same for this server.
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.bare(arguments);
        command.env("ORGD_URL", self.base()).env("ORGD_KEY", &self.key);
        command
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().expect("the program runs")
    }

    /// What it prints, where it does what is wanted.
    #[track_caller]
    fn text(&self, arguments: &[&str]) -> String {
        said(&self.run(arguments), 0).0
    }

    #[track_caller]
    fn json(&self, arguments: &[&str]) -> Value {
        let text = self.text(arguments);
        serde_json::from_str(&text).unwrap_or_else(|cause| panic!("{arguments:?}: {cause}: {text}"))
    }

    /// A request that is not the client's.
    fn api(&self, method: &str, path: &str, body: &Value) -> (u16, Value) {
        let url = format!("{}{path}", self.base());
        ask(&agent(), method, &url, Some(&self.key), body).expect("an answer")
    }
}

/// Standard output and standard error of a command that ends with this code.
#[track_caller]
fn said(output: &Output, code: i32) -> (String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("text");
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(code), "{out}{err}");
    assert!(!err.contains("panicked"), "{err}");
    (out, err)
}

/// A file with these rights.
fn write_with(path: &Path, text: &str, mode: u32) {
    use std::os::unix::fs::PermissionsExt;
    fs::create_dir_all(path.parent().expect("a folder")).expect("it is made");
    fs::write(path, text).expect("it is written");
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("it has rights");
}
