//! Settings: flags, variables, files, secrets; what is refused and with which words, and what is only warned of.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{Serving, agent, ask, orgd, run};

fn place() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("orgd.redb");
    (folder, file)
}

/// The program with these variables.
fn with(variables: &[(&str, &str)], arguments: &[&str]) -> Output {
    orgd(arguments).envs(variables.iter().copied()).stdin(Stdio::null()).output().expect("the program runs")
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// What `orgd config show` says of a setting.
#[track_caller]
fn shown(variables: &[(&str, &str)], flags: &[&str], name: &str) -> Value {
    let output = with(variables, &[&["config", "show", "--json"], flags].concat());
    assert!(output.status.success(), "{variables:?} {flags:?}: {}", said(&output));
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    let mut lines = printed.lines().map(|line| serde_json::from_str::<Value>(line).expect("a JSON object"));
    lines.find(|line| line["name"] == name).unwrap_or_else(|| panic!("{name} is not shown"))
}

/// The names of all variables, as `orgd config example` lists them.
fn names() -> Vec<String> {
    let printed = run(&["config", "example"]);
    let text = String::from_utf8(printed.stdout).expect("text");
    let lines = text.lines().filter_map(|line| line.strip_prefix("#ORGD_"));
    lines.filter_map(|line| line.split_once('=')).map(|(name, _)| format!("ORGD_{name}")).collect()
}

#[test]
fn an_empty_variable_is_as_good_as_none() {
    let names = names();
    assert!(names.len() > 45, "{names:?}");
    let all: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "")).collect();
    let bare = run(&["config", "show"]);
    let empty = with(&all, &["config", "show"]);
    assert_eq!((said(&bare), bare.status.success()), (said(&empty), true));
    let (_folder, file) = place();
    let mut serve = orgd(&["serve", "--listen", "127.0.0.1:0", "--data"]);
    let server = Serving::of(serve.arg(&file).envs(all));
    assert!(server.said.iter().all(|line| !line.contains("is no setting")), "{:?}", server.said);
    assert_eq!(server.stop(), Some(0));
}

#[test]
fn booleans_and_choices_are_read_in_any_case() {
    for (words, is_on) in [(["1", "true", "YES", "On"], true), (["0", "False", "no", "OFF"], false)] {
        for word in words {
            for (flag, name) in [
                ("--dev", "ORGD_DEV"),
                ("--open-signup", "ORGD_OPEN_SIGNUP"),
                ("--jit-signup", "ORGD_JIT_SIGNUP"),
                ("--export-high-frequency", "ORGD_EXPORT_HIGH_FREQUENCY"),
                ("--console", "ORGD_CONSOLE"),
                ("--rate-limit", "ORGD_RATE_LIMIT"),
                ("--trust-proxy", "ORGD_TRUST_PROXY"),
            ] {
                assert_eq!(shown(&[(name, word)], &[], name)["value"], word, "{name}");
                assert_eq!(shown(&[], &[flag, word], name)["from"], "flag", "{name}");
            }
        }
        // And mean what they say.
        let (_folder, file) = place();
        let mut serve = orgd(&["serve", "--listen", "127.0.0.1:0", "--data"]);
        let word = words[2];
        let server = Serving::of(serve.arg(&file).env("ORGD_DEV", word).env("ORGD_CONSOLE", words[3]));
        assert_eq!(server.said.iter().any(|line| line.starts_with("Demo owner")), is_on);
        let (status, _) =
            ask(&agent(), "GET", &format!("{}/login", server.base), None, &json!({})).expect("an answer");
        assert_eq!(status == 404, !is_on);
        assert_eq!(server.stop(), Some(0));
    }
    assert_eq!(shown(&[], &["--open-signup"], "ORGD_OPEN_SIGNUP")["value"], "true");
    assert_eq!(shown(&[], &["--log-format", "JSON"], "ORGD_LOG_FORMAT")["value"], "JSON");
    assert_eq!(shown(&[("ORGD_LOG_LEVEL", "Warn")], &[], "ORGD_LOG_LEVEL")["from"], "variable");
}

#[test]
fn a_wrong_value_is_named_with_where_it_was_set_and_what_would_do() {
    for (name, value, would_do) in [
        ("ORGD_OPEN_SIGNUP", "si", "`on` or `off` is wanted"),
        ("ORGD_DEV", "2", "`on` or `off` is wanted"),
        ("ORGD_LOG_LEVEL", "loud", "one of error, warn, info, debug is wanted"),
        ("ORGD_CONSOLE", "maybe", "one of on, off is wanted"),
        ("ORGD_PROXY_TLS", "internal", "one of external is wanted"),
        ("ORGD_LISTEN", "8010", "127.0.0.1:8010 for this machine only, 0.0.0.0:8010 for others"),
        ("ORGD_LISTEN", ":8010", "127.0.0.1:8010 for this machine only"),
        ("ORGD_LISTEN", "localhost", "HOST:PORT is wanted, such as 127.0.0.1:8010"),
        ("ORGD_LISTEN", "127.0.0.1:99999", "HOST:PORT is wanted"),
        ("ORGD_DNS_SERVER", "resolver", "such as 10.0.0.53 or 10.0.0.53:53"),
        ("ORGD_MEMORY_MIB", "1", "a whole number of MiB from 40 on"),
        ("ORGD_CACHE_MIB", "much", "a whole number is wanted"),
        ("ORGD_CONNECTIONS_MAX", "0", "a whole number from 1 on"),
        ("ORGD_SESSION_IDLE_SECONDS", "0", "0 is not in 1.."),
        ("ORGD_SITE_URL", "orgd.example.com", "begins with http:// or https://"),
        ("ORGD_SITE_URL", "https://x/orgd/?x=1", "an address without a path"),
        ("ORGD_SITE_URL", "https://x/?x=1", "an address without a query"),
        ("ORGD_TRUST_PROXY", "proxy", "a network such as 10.0.0.0/8"),
        ("ORGD_PLUGIN_LOCAL_DIR", "/nope", "there is no such folder"),
        ("ORGD_SDK_FOLDER", "/nope", "there is no such folder"),
        ("ORGD_MAIL_FROM", "nobody", "an address is wanted, such as `orgd <orgd@example.com>`"),
        ("ORGD_PLUGINS_ACCESS_LEVEL", "4", "one of 0, 3, 6 and 9"),
    ] {
        let output = with(&[(name, value)], &["config", "check"]);
        let words = said(&output);
        assert!(!output.status.success(), "{name}={value}");
        assert!(words.starts_with(&format!("orgd: {name}={value}: ")) && words.contains(would_do), "{words}");
        // A flag that was typed makes up for it, or is named instead.
        let flag = format!("--{}", name.trim_start_matches("ORGD_").to_lowercase().replace('_', "-"));
        let output = with(&[], &["config", "check", &format!("{flag}={value}")]);
        let words = said(&output);
        assert!(!output.status.success() && words.contains(&flag) && words.contains(value), "{words}");
    }
    let good = [("ORGD_LISTEN", "nonsense")];
    assert_eq!(shown(&good, &["--listen", "127.0.0.1:1"], "ORGD_LISTEN")["value"], "127.0.0.1:1");
    // A command that has no use for it does not mind.
    assert!(with(&good, &["routes"]).status.success());
    assert!(with(&good, &["serve", "--help"]).status.success());
}

#[test]
fn the_value_of_a_secret_is_in_no_sentence() {
    for value in ["smtp://user:hush@localhost?tls=require", "http://user:hush@localhost"] {
        let output =
            with(&[("ORGD_SMTP_URL", value)], &["config", "check", "--site-url", "https://x.example"]);
        assert!(!output.status.success() && !said(&output).contains("hush"), "{}", said(&output));
    }
    let tls = with(&[("ORGD_SMTP_URL", "smtp://localhost?tls=require")], &["config", "check", "--dev"]);
    assert!(said(&tls).contains("`tls` is `required` or `opportunistic`"), "{}", said(&tls));
    for name in ["ORGD_SMTP_URL", "ORGD_SECRET_KEY", "ORGD_NPM_TOKEN"] {
        let variables = [(name, "smtp://user:hush-hush-hush-hush-hush-hush@localhost")];
        assert_eq!(shown(&variables, &[], name), json!({"name": name, "value": "set", "from": "variable"}));
        let all = said(&with(&variables, &["config", "show"]));
        assert!(!all.contains("hush"), "{all}");
    }
}

#[test]
fn all_that_is_wrong_is_said_at_once() {
    let wrong = [
        ("ORGD_PLUGIN_LOCAL_DIR", "/nope"),
        ("ORGD_MAIL_FROM", "nobody"),
        ("ORGD_SMTP_URL", "smtp://localhost"),
    ];
    for command in ["config check", "serve --listen 127.0.0.1:0 --data /nowhere/orgd.redb"] {
        let arguments: Vec<&str> = command.split(' ').collect();
        let output = with(&wrong, &arguments);
        let words = said(&output);
        let lines = words.lines().filter(|line| line.starts_with("orgd: "));
        assert_eq!(lines.count(), 3, "{words}");
    }
    let key = with(&[("ORGD_SECRET_KEY", "short")], &["config", "check"]);
    assert!(!key.status.success() && said(&key).starts_with("orgd: ORGD_SECRET_KEY: "), "{}", said(&key));
    let good = run(&["config", "check"]);
    assert!(
        good.status.success() && said(&good) == "a server can start with these settings\n",
        "{}",
        said(&good)
    );
}

#[test]
fn a_check_of_settings_tries_the_ports_and_lets_them_go() {
    let (_folder, file) = place();
    let data = file.to_str().expect("a path of text");
    let check = |more: &[&str]| run(&[&["config", "check", "--data", data][..], more].concat());
    let other = std::net::TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let taken = other.local_addr().expect("the socket has an address").to_string();
    for (flags, words) in [
        (vec!["--listen", &taken], "--listen (ORGD_LISTEN): no server could listen at"),
        (
            vec!["--listen", "127.0.0.1:0", "--metrics-listen", &taken],
            "--metrics-listen (ORGD_METRICS_LISTEN): no server",
        ),
        (vec!["--listen", "192.0.2.7:1"], "no server could listen at 192.0.2.7:1"),
        (vec!["--listen", "nowhere.invalid:1"], "no server could listen at nowhere.invalid:1"),
    ] {
        let output = check(&flags);
        assert!(!output.status.success() && said(&output).contains(words), "{}", said(&output));
    }
    drop(other);
    // What was tried is free again, for two who look at once as well.
    for _ in 0..2 {
        let output = check(&["--listen", &taken]);
        assert!(output.status.success(), "{}", said(&output));
    }
    assert!(!file.exists());
    let server = Serving::start(&file, &[]);
    let own = server.base.trim_start_matches("http://").to_owned();
    let output = check(&["--listen", &own]);
    assert!(output.status.success(), "{}", said(&output));
    assert!(
        said(&output)
            .contains("note: --listen (ORGD_LISTEN): the server that holds the data file listens at")
    );
    assert_eq!(server.stop(), Some(0));
}

#[test]
fn a_mistyped_variable_is_warned_of_and_others_are_not() {
    let (_folder, file) = place();
    let mistakes = [
        ("ORGD_OPENSIGNUP", "ORGD_OPEN_SIGNUP"),
        ("ORGD_SMPT_URL", "ORGD_SMTP_URL"),
        ("ORGD_SECRET_KEY_FIL", "ORGD_SECRET_KEY_FILE"),
        ("ORGD_CONFG", "ORGD_CONFIG"),
    ];
    let of_others =
        ["ORGD_PORT", "ORGD_PORT_8010_TCP", "ORGD_SERVICE_HOST", "ORGD_SERVICE_PORT", "ORG", "ORGDX"];
    let mut serve = orgd(&["serve", "--listen", "127.0.0.1:0", "--data"]);
    serve.arg(&file).envs(mistakes.iter().map(|(name, _)| (name, "hush")));
    serve.env("ORGD_THE_SHED", "red").envs(of_others.iter().map(|name| (name, "tcp://10.0.0.1:8010")));
    let server = Serving::of(&mut serve);
    let warnings: Vec<&String> = server.said.iter().filter(|line| line.contains("is no setting")).collect();
    assert_eq!(warnings.len(), mistakes.len() + 1, "{warnings:?}");
    for (mistake, meant) in mistakes {
        let wanted = format!("{mistake} is no setting; {meant} is one");
        assert!(warnings.iter().any(|line| line.ends_with(&wanted) && line.contains("WARN")), "{warnings:?}");
    }
    assert!(warnings.iter().any(|line| line.ends_with("ORGD_THE_SHED is no setting")), "{warnings:?}");
    assert!(server.said.iter().all(|line| !line.contains("hush")));
    assert_eq!(server.stop(), Some(0));
}

#[test]
fn flags_come_before_variables_and_these_before_the_file() {
    let (folder, _) = place();
    let file = folder.path().join("settings");
    let path = file.to_str().expect("a path of text");
    fs::write(&file, "# all\nORGD_LISTEN=127.0.0.1:1\nORGD_LOG_LEVEL=\"debug\"\nORGD_SMTP_URL=smtp://x\n")
        .expect("a file");
    let name = "ORGD_LISTEN";
    let of_file = json!({"name": name, "value": "127.0.0.1:1", "from": format!("file {path}:2")});
    assert_eq!(shown(&[], &["--config", path], name), of_file);
    assert_eq!(shown(&[("ORGD_CONFIG", path)], &[], name), of_file);
    assert_eq!(shown(&[("ORGD_CONFIG", "/nowhere")], &["--config", path], name), of_file);
    assert_eq!(shown(&[("ORGD_CONFIG", path)], &[], "ORGD_SMTP_URL")["value"], "set");
    let variable = [("ORGD_CONFIG", path), (name, "127.0.0.1:2")];
    assert_eq!(shown(&variable, &[], name)["value"], "127.0.0.1:2");
    assert_eq!(shown(&variable, &["--listen", "127.0.0.1:3"], name)["value"], "127.0.0.1:3");
    assert_eq!(shown(&[("ORGD_CONFIG", path), (name, "")], &[], name), of_file);
    for (text, words) in [
        (
            "ORGD_LISTEN=127.0.0.1:1\nORGD_LISTN=x\n",
            "settings, line 2: ORGD_LISTN is no setting; ORGD_LISTEN is one",
        ),
        ("nonsense", "settings, line 1: NAME=value is wanted"),
        ("ORGD_LISTEN=8010", "ORGD_LISTEN=8010: HOST:PORT is wanted"),
    ] {
        fs::write(&file, text).expect("a file");
        let output = with(&[], &["serve", "--config", path]);
        assert!(!output.status.success() && said(&output).contains(words), "{}", said(&output));
    }
    let output = with(&[], &["serve", "--config", "/nowhere/settings"]);
    assert!(said(&output).contains("cannot read the settings in /nowhere/settings"), "{}", said(&output));
}

#[test]
fn the_example_of_a_file_can_be_used_as_it_is() {
    let (folder, _) = place();
    let file = folder.path().join("settings");
    let example = String::from_utf8(run(&["config", "example"]).stdout).expect("text");
    assert!(example.lines().all(|line| line.is_empty() || line.starts_with('#')), "{example}");
    let path = file.to_str().expect("a path of text");
    for text in [example.clone(), example.replace("\n#ORGD_", "\nORGD_")] {
        fs::write(&file, text).expect("a file");
        let output = with(&[], &["config", "check", "--config", path]);
        assert!(output.status.success(), "{}", said(&output));
    }
}

#[test]
fn a_file_gives_the_secrets_to_commands_on_a_closed_file_too() {
    let (folder, file) = place();
    let settings = folder.path().join("settings");
    let data = file.to_str().expect("a path of text");
    fs::write(&settings, format!("ORGD_DATA={data}\nORGD_SECRET_KEY={}\n", "k".repeat(40))).expect("a file");
    let of_file = ["--config", settings.to_str().expect("a path of text")];
    let bootstrap = ["bootstrap", "--email", "ada@example.com", "--organization", "Acme"];
    for command in [&bootstrap[..], &["admin", "list-users"], &["check"]] {
        let output = with(&[], &[command, &of_file].concat());
        assert!(output.status.success(), "{command:?}: {}", said(&output));
    }
    assert!(!Path::new(&format!("{data}.key")).exists());
}

#[test]
fn a_bootstrap_that_fails_leaves_nothing() {
    let (folder, file) = place();
    let data = file.to_str().expect("a path of text");
    let email = [("ORGD_BOOTSTRAP_EMAIL", "ada@example.com"), ("ORGD_BOOTSTRAP_ORGANIZATION", "Acme")];
    for (variables, words) in [
        (vec![], "--email (ORGD_BOOTSTRAP_EMAIL) is wanted"),
        (vec![email[0]], "--organization (ORGD_BOOTSTRAP_ORGANIZATION) is wanted"),
        (vec![("ORGD_BOOTSTRAP_EMAIL", "nobody"), email[1]], "ORGD_BOOTSTRAP_EMAIL: Enter a valid"),
        (
            [&email[..], &[("ORGD_BOOTSTRAP_PASSWORD", "short")]].concat(),
            "ORGD_BOOTSTRAP_PASSWORD: This password",
        ),
        (
            [&email[..], &[("ORGD_BOOTSTRAP_API_KEY", "short")]].concat(),
            "ORGD_BOOTSTRAP_API_KEY: The API key",
        ),
        ([&email[..], &[("ORGD_SECRET_KEY", "short")]].concat(), "ORGD_SECRET_KEY"),
    ] {
        let output = with(&variables, &["bootstrap", "--data", data]);
        assert!(!output.status.success() && said(&output).contains(words), "{}", said(&output));
        assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 0, "{words}");
    }
    let key = "phx_given-by-the-operator-0123456789";
    let given = [&email[..], &[("ORGD_BOOTSTRAP_API_KEY", key)]].concat();
    let made = with(&given, &["bootstrap", "--data", data]);
    let made: Value = serde_json::from_slice(&made.stdout).expect("a JSON object");
    assert_eq!((&made["api_key"], &made["organization_name"]), (&json!(key), &json!("Acme")));
    // What was there stays.
    let again = with(&given, &["bootstrap", "--data", data]);
    assert!(said(&again).contains("This data file has users already") && file.exists());
}

#[test]
fn the_demo_owner_has_the_key_that_was_given() {
    let (_folder, file) = place();
    let key = "phx_given-by-the-operator-0123456789";
    for _ in 0..2 {
        let mut serve = orgd(&["serve", "--dev", "--listen", "127.0.0.1:0", "--data"]);
        let server = Serving::of(serve.arg(&file).env("ORGD_BOOTSTRAP_API_KEY", key));
        let url = format!("{}/api/organizations/@current/", server.base);
        assert_eq!(ask(&agent(), "GET", &url, Some(key), &json!({})).expect("an answer").0, 200);
        assert_eq!(server.stop(), Some(0));
    }
    let mut other = orgd(&["serve", "--dev", "--listen", "127.0.0.1:0", "--data"]);
    other
        .arg(&file)
        .env("ORGD_BOOTSTRAP_API_KEY", "phx_another-one-of-the-operator-0123")
        .stdin(Stdio::null());
    let output = other.output().expect("the program runs");
    assert!(
        said(&output).contains("ORGD_BOOTSTRAP_API_KEY is not the key of a demo owner"),
        "{}",
        said(&output)
    );
}

#[test]
fn help_is_in_groups_and_names_what_has_no_flag() {
    let help = String::from_utf8(run(&["serve", "--help"]).stdout).expect("text");
    for heading in [
        "Server:",
        "People:",
        "Mail:",
        "Log:",
        "Memory and limits:",
        "Plugins:",
        "Environment, without a flag:",
    ] {
        assert!(help.lines().any(|line| line == heading), "{heading}");
    }
    for name in names() {
        assert!(help.contains(&name), "{name}");
    }
    assert!(help.contains("NAME_FILE") && help.contains("LoadCredential"));
    let set = with(&[("ORGD_SMTP_URL", "smtp://hush"), ("ORGD_LISTEN", "nonsense")], &["serve", "--help"]);
    assert_eq!(said(&set), help);
}

#[test]
fn a_name_server_is_at_port_53_unless_it_says_otherwise() {
    for value in ["10.0.0.53", "10.0.0.53:5353", "2001:db8::53", "[2001:db8::53]", "[2001:db8::53]:5353"] {
        assert_eq!(shown(&[("ORGD_DNS_SERVER", value)], &[], "ORGD_DNS_SERVER")["value"], value);
    }
}

#[test]
fn the_version_names_the_commit_that_was_built() {
    let mut git = std::process::Command::new("git");
    let commit =
        git.args(["rev-parse", "--short=10", "HEAD"]).current_dir(env!("CARGO_MANIFEST_DIR")).output();
    let Some(commit) = commit.ok().filter(|output| output.status.success()) else { return };
    let commit = String::from_utf8(commit.stdout).expect("text");
    let version = format!("orgd {} ({})\n", env!("CARGO_PKG_VERSION"), commit.trim());
    assert_eq!(said(&run(&["--version"])), version);
}
