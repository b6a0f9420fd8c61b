//! `orgd support`: what a report of an error needs is in it, and nothing that names anybody or opens anything.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use crate::support::{Serving, agent, ask, orgd, run, until};

/// Everything that somebody has named holds one of these, and nothing else does.
const MARKS: &[&str] = &["zebra", "203.0.113.", "4711471147"];
const KEY: &str = "phx_zebra-for-the-test-of-reports-0123456789";

/// A folder with everything that a server can be told, each with a mark.
struct Planted {
    folder: tempfile::TempDir,
}

impl Planted {
    fn new() -> Planted {
        let folder = tempfile::Builder::new().prefix("zebra-").tempdir().expect("a folder");
        let planted = Planted { folder };
        for name in ["zebra-plugins", "zebra-sdk", "zebra-backups"] {
            fs::create_dir(planted.path(name)).expect("the folder can be written to");
        }
        let plugin = planted.path("zebra-plugins/zebra-plugin");
        fs::create_dir(&plugin).expect("the folder can be written to");
        let about = json!({"name": "zebra plugin", "url": "https://zebra.example", "main": "index.js"});
        fs::write(plugin.join("plugin.json"), about.to_string()).expect("written");
        fs::write(plugin.join("index.js"), "export const zebra = 1").expect("written");
        fs::write(planted.path("zebra.conf"), "ORGD_MAIL_FROM=Zebra <zebra@zebra.example>\n")
            .expect("written");
        fs::write(planted.path("zebra-token"), "zebra-npm-token\n").expect("written");
        planted
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn data(&self) -> PathBuf {
        self.path("zebra.redb")
    }

    /// Every setting that is a text, by a variable; those of `zebra.conf` and `--sdk-folder` aside.
    fn settings(&self) -> Vec<(&'static str, String)> {
        let place = |name: &str| self.path(name).display().to_string();
        let mut all: Vec<(&str, String)> = [
            ("ORGD_SITE_URL", "https://zebra.example"),
            ("ORGD_TRUST_PROXY", "203.0.113.77"),
            ("ORGD_SMTP_URL", "smtp://zebra:zebra-password@127.0.0.1:1"),
            ("ORGD_DNS_SERVER", "203.0.113.53:5353"),
            ("ORGD_OUTBOUND_ALLOW", "zebra.internal,203.0.113.0/24,127.0.0.0/8"),
            ("ORGD_PROXY_BASE_CNAME", "proxy.zebra.example"),
            ("ORGD_METRICS_LISTEN", "127.0.0.1:0"),
            ("ORGD_METRICS_TOKEN", "zebra-metrics-token"),
            ("ORGD_SECRET_KEY", "zebra-zebra-zebra-zebra-zebra-zebra-zebra"),
            ("ORGD_BOOTSTRAP_EMAIL", "zebra@zebra.example"),
            ("ORGD_BOOTSTRAP_ORGANIZATION", "4711471147"),
            ("ORGD_BOOTSTRAP_PASSWORD", "zebra-change-this-Passphrase"),
            ("ORGD_BOOTSTRAP_API_KEY", KEY),
            ("ORGD_GITHUB_URL", "https://github.zebra.example"),
            ("ORGD_GITHUB_API_URL", "https://api.zebra.example"),
            ("ORGD_GITLAB_URL", "https://gitlab.zebra.example"),
            ("ORGD_NPM_REGISTRY_URL", "https://npm.zebra.example"),
            ("ORGD_PLUGIN_REPOSITORY_URL", "https://zebra.example/plugins.json"),
            ("ORGD_GITHUB_TOKEN", "zebra-github-token"),
            ("ORGD_GITLAB_TOKEN", "zebra-gitlab-token"),
            ("ORGD_BACKUP_S3_BUCKET", "zebra-bucket"),
            ("ORGD_BACKUP_S3_ENDPOINT", "http://127.0.0.1:1/zebra"),
            ("ORGD_BACKUP_S3_REGION", "zebra-region"),
            ("ORGD_BACKUP_S3_PREFIX", "zebra/"),
            ("ORGD_BACKUP_S3_ACCESS_KEY_ID", "zebra-access-key"),
            ("ORGD_BACKUP_S3_SECRET_ACCESS_KEY", "zebra-secret-key"),
        ]
        .map(|(name, value)| (name, value.to_owned()))
        .into();
        all.push(("ORGD_CONFIG", place("zebra.conf")));
        all.push(("ORGD_BACKUP_DIR", place("zebra-backups")));
        all.push(("ORGD_PLUGIN_LOCAL_DIR", place("zebra-plugins")));
        all.push(("ORGD_NPM_TOKEN_FILE", place("zebra-token")));
        // Of these, the values are shown.
        all.extend([("ORGD_MEMORY_MIB", "99".into()), ("ORGD_OPEN_SIGNUP", "Yes".into())]);
        all
    }

    fn with_settings(&self, command: &mut Command) -> Command {
        let mut made = Command::new(command.get_program());
        made.args(command.get_args());
        for (name, _) in command.get_envs() {
            made.env_remove(name);
        }
        made.envs(self.settings());
        made
    }

    fn serve(&self) -> Serving {
        let mut serve = orgd(&["serve", "--listen", "127.0.0.1:0", "--cache-mib", "7", "--data"]);
        serve.arg(self.data()).arg("--sdk-folder").arg(self.path("zebra-sdk"));
        Serving::of(&mut self.with_settings(&mut serve))
    }

    /// The report, for people and as JSON, with the settings or without them.
    fn report(&self, has_settings: bool) -> (String, Value) {
        let ask = |more: &[&str]| {
            let mut command = orgd(&["support", "--data"]);
            command.arg(self.data()).args(more);
            let mut command = if has_settings { self.with_settings(&mut command) } else { command };
            let output = command.output().expect("the program runs");
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            String::from_utf8(output.stdout).expect("text")
        };
        (ask(&[]), serde_json::from_str(&ask(&["--json"])).expect("JSON"))
    }
}

/// Fills the file with names, addresses and secrets.
fn fill(base: &str, plugin: &Path) {
    let send = |path: &str, body: Value| {
        let (status, answer) =
            ask(&agent(), "POST", &format!("{base}{path}"), Some(KEY), &body).expect("an answer");
        assert!((200..300).contains(&status), "{path}: {answer}");
    };
    let own = "/api/organizations/@current";
    send("/api/organizations/", json!({"name": "Zebra and Sons"}));
    send(&format!("{own}/projects/"), json!({"name": "zebra project"}));
    send(&format!("{own}/roles/"), json!({"name": "zebra role"}));
    send(&format!("{own}/domains/"), json!({"domain": "zebra.example"}));
    send(&format!("{own}/proxy_records/"), json!({"domain": "e.zebra.example"}));
    send(&format!("{own}/invites/"), json!({"target_email": "guest@zebra.example"}));
    send(
        &format!("{own}/plugins/"),
        json!({"plugin_type": "local", "url": format!("file:{}", plugin.display())}),
    );
    let config = json!({"url": "http://127.0.0.1:1/zebra", "token": "zebra-receiver-token"});
    let destination = json!({"type": "HTTP", "config": config});
    let export =
        json!({"name": "zebra export", "interval": "hour", "paused": true, "destination": destination});
    send(&format!("{own}/batch_exports/"), export);
    // Refused, and warned of.
    let log_in = json!({"email": "zebra@zebra.example", "password": "zebra"});
    let _ = ask(&agent(), "POST", &format!("{base}/api/login/"), None, &log_in);
}

fn judge((text, report): &(String, Value)) {
    let all = text.clone() + &report.to_string();
    let lower = all.to_lowercase();
    for mark in MARKS {
        assert!(!lower.contains(mark), "{mark}: {all}");
    }
    for word in ["127.0.0.1", "/tmp", "127.0.0.0"] {
        assert!(!all.contains(word), "{word}: {all}");
    }
    let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let host = host.trim();
    // Short names are parts of words.
    assert!(host.len() < 8 || !all.contains(host), "{host}: {all}");
    let shown = regex::Regex::new(
        r"^(\d+|true|false|on|off|yes|no|text|json|error|warn|info|debug|(\d+[hdwmy],?)+|set|default)$",
    );
    let shown = shown.expect("a pattern");
    for setting in report["settings"].as_array().expect("settings") {
        let value = setting["value"].as_str().unwrap_or("set").to_lowercase();
        assert!(shown.is_match(&value), "{setting}");
    }
}

fn setting<'a>(report: &'a Value, name: &str) -> (Option<&'a str>, &'a str) {
    let mut all = report["settings"].as_array().expect("settings").iter();
    let found = all.find(|one| one["name"] == name).unwrap_or_else(|| panic!("{name} is not there"));
    (found["value"].as_str(), found["from"].as_str().expect("text"))
}

#[test]
fn a_report_holds_what_is_needed_and_names_nobody() {
    let planted = Planted::new();
    let server = planted.serve();
    fill(&server.base, &planted.path("zebra-plugins/zebra-plugin"));
    until("a mail could not be sent, and a task has run", || {
        let (_, report) = planted.report(false);
        report["rows"]["outbox_notes"].as_u64() >= Some(1)
            && report["server"]["tasks"].as_array().expect("tasks").len() > 3
    });
    let running = planted.report(false);
    judge(&running);
    let (text, report) = &running;
    assert!(text.starts_with("No names, addresses, paths or secrets are in this."), "{text}");
    for line in ["ORGD_MEMORY_MIB", "cgroup_memory_bytes", "mailer", "users"] {
        assert!(text.contains(line), "{line}: {text}");
    }
    for (name, value, from) in [
        ("ORGD_MEMORY_MIB", Some("99"), "variable"),
        ("ORGD_OPEN_SIGNUP", Some("Yes"), "variable"),
        ("ORGD_CACHE_MIB", Some("7"), "flag"),
        ("ORGD_LISTEN", Some("set"), "flag"),
        ("ORGD_SDK_FOLDER", Some("set"), "flag"),
        ("ORGD_SITE_URL", Some("set"), "variable"),
        ("ORGD_MAIL_FROM", Some("set"), "file"),
        ("ORGD_BOOTSTRAP_ORGANIZATION", Some("set"), "variable"),
        ("ORGD_SECRET_KEY", Some("set"), "variable"),
        ("ORGD_NPM_TOKEN", Some("set"), "ORGD_NPM_TOKEN_FILE"),
        ("ORGD_BACKUP_KEEP", Some("7d,4w,6m"), "default"),
        ("ORGD_TLS_CERT", None, "default"),
        ("ORGD_LOG_FORMAT", Some("text"), "default"),
        ("ORGD_EXPORT_ROOT_CERTS", Some("default"), "default"),
    ] {
        assert_eq!(setting(report, name), (value, from), "{name}");
    }
    // Every setting is there.
    let printed = run(&["config", "show", "--json"]);
    let all = String::from_utf8_lossy(&printed.stdout).lines().count();
    assert_eq!(report["settings"].as_array().expect("settings").len(), all);
    let rows = |table: &str| report["rows"][table].as_u64().unwrap_or_else(|| panic!("{table}: {report}"));
    assert!(rows("users") == 1 && rows("organizations") == 2 && rows("plugins") == 1, "{report}");
    assert_eq!(report["file"]["secret_key"], "setting");
    // It may have grown since.
    let size = fs::metadata(planted.data()).expect("the file").len();
    assert!(report["file"]["bytes"].as_u64().is_some_and(|bytes| bytes > 0 && bytes <= size), "{report}");
    assert!(report["file"]["disk_free_bytes"].as_u64().is_some_and(|bytes| bytes > 0), "{report}");
    assert!(
        report["server"]["memory"]["all"].as_u64().is_some_and(|bytes| bytes <= 99 * 1024 * 1024),
        "{report}"
    );
    let warnings = report["server"]["warnings"].as_object().expect("warnings");
    assert!(warnings.keys().any(|place| place.starts_with("WARN orgd::background::mailer:")), "{report}");
    assert_eq!(server.stop(), Some(0));

    // On a closed file, the settings are those of whoever asks.
    let closed = planted.report(true);
    judge(&closed);
    assert_eq!(closed.1["server"], Value::Null);
    assert_eq!(setting(&closed.1, "ORGD_MEMORY_MIB"), (Some("99"), "variable"));
    assert_eq!(closed.1["rows"]["users"], 1);
    let without = planted.report(false);
    judge(&without);
    assert_eq!(setting(&without.1, "ORGD_MEMORY_MIB"), (Some("256"), "default"));
    assert_eq!(without.1["file"]["opens_secrets"], false);
}
