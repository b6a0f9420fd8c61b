//! The program as its operator meets it.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use crate::support::{Serving, agent, ask, bootstrap, key_of, orgd, run, with_open_files};
use redb::TableDefinition;
use serde_json::{Value, json};
use tempfile::TempDir;

fn place() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("orgd.redb");
    (folder, file)
}

fn shown(path: &Path) -> &str {
    path.to_str().expect("a path of text")
}

/// Fails with code 1 and one line that holds these words.
#[track_caller]
fn refused(arguments: &[&str], words: &str) {
    let output = run(arguments);
    let said = String::from_utf8_lossy(&output.stderr);
    let lines: Vec<&str> = said.lines().filter(|line| line.starts_with("orgd: ")).collect();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(lines.len() == 1 && lines[0].contains(words), "{said}");
}

/// The curl that was printed, run by the shell as it stands.
fn run_as_printed(line: &str) -> Value {
    let output =
        std::process::Command::new("sh").args(["-c", &format!("{line} -s")]).output().expect("sh runs");
    let body = String::from_utf8_lossy(&output.stdout).into_owned();
    serde_json::from_str(&body).unwrap_or_else(|_| panic!("{line}: {body}"))
}

#[test]
fn a_fresh_server_says_how_to_begin_and_its_line_works_as_printed() {
    let (folder, file) = place();
    let server = Serving::of(
        orgd(&["serve", "--listen", "127.0.0.1:0", "--data", shown(&file)]).current_dir(folder.path()),
    );
    let line = server.said.iter().find(|line| line.contains("curl ")).expect("a curl is printed");
    let made = run_as_printed(&format!("cd {} && {}", shown(folder.path()), line.trim()));
    assert_eq!(made["email"], "ada@example.com", "{made}");
    assert!(server.said.iter().any(|line| line.contains("X-Setup-Code: ")));
    assert_eq!(server.stop(), Some(0));
    let again = Serving::start(&file, &[]);
    assert!(!again.said.iter().any(|line| line.contains("curl ")), "{:?}", again.said);
}

#[test]
fn dev_mode_prints_a_ready_key_and_the_same_one_again() {
    let (_folder, file) = place();
    let curl = |server: &Serving| {
        server.said.iter().find(|line| line.contains("curl ")).expect("a curl is printed").trim().to_owned()
    };
    let first = Serving::start(&file, &["--dev"]);
    let line = curl(&first);
    assert_eq!(run_as_printed(&line)["name"], "Demo");
    assert_eq!(first.stop(), Some(0));
    let second = Serving::start(&file, &["--dev"]);
    let key =
        |line: &str| line.split("Bearer ").nth(1).and_then(|rest| rest.split('\'').next()).map(str::to_owned);
    assert_eq!(key(&curl(&second)), key(&line));
    assert_eq!(run_as_printed(&curl(&second))["name"], "Demo");
}

#[test]
fn dev_mode_listens_on_loopback_only_and_takes_no_foreign_file() {
    let (_folder, file) = place();
    refused(&["serve", "--dev", "--listen", "0.0.0.0:0", "--data", shown(&file)], "loopback only");
    assert!(!file.exists());
    bootstrap(&file);
    refused(&["serve", "--dev", "--listen", "127.0.0.1:0", "--data", shown(&file)], "not a development file");
}

#[test]
fn a_signal_drains_and_ends_with_code_zero() {
    for signal in ["TERM", "INT"] {
        let (_folder, file) = place();
        let server = Serving::start(&file, &[]);
        server.signal(signal);
        assert_eq!(server.wait(), Some(0), "{signal}");
    }
}

#[test]
fn a_request_under_way_is_answered_before_the_end() {
    use std::io::{Read, Write};
    let (_folder, file) = place();
    let server = Serving::start(&file, &["--open-signup"]);
    let address = server.base.trim_start_matches("http://").to_owned();
    let mut stream = TcpStream::connect(&address).expect("a connection");
    let head =
        "POST /api/login/ HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n";
    stream.write_all(head.as_bytes()).expect("a head");
    // The head is known to have arrived when the server asks for more by answering a second connection.
    agent().get(format!("{}/_livez", server.base)).call().expect("an answer");
    server.signal("TERM");
    stream.write_all(b"{}").expect("a body");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
    assert_eq!(server.wait(), Some(0));
}

#[test]
fn a_file_serves_one_process() {
    let (_folder, file) = place();
    let _server = Serving::start(&file, &[]);
    refused(&["serve", "--listen", "127.0.0.1:0", "--data", shown(&file)], "in use by another orgd process");
    refused(
        &["bootstrap", "--data", shown(&file), "--email", "a@b.co", "--organization", "X"],
        "in use by another orgd process",
    );
}

#[test]
fn files_that_are_not_ours_are_refused_and_left_alone() {
    let (folder, file) = place();
    std::fs::write(&file, "some text").expect("a file");
    refused(&["serve", "--listen", "127.0.0.1:0", "--data", shown(&file)], "not an orgd data file");
    assert_eq!(std::fs::read(&file).expect("the file"), b"some text");

    let theirs = folder.path().join("theirs.redb");
    let database = redb::Database::create(&theirs).expect("a database");
    let writing = database.begin_write().expect("a transaction");
    writing.open_table(TableDefinition::<&str, u64>::new("theirs")).expect("a table");
    writing.commit().expect("a commit");
    drop(database);
    refused(&["serve", "--listen", "127.0.0.1:0", "--data", shown(&theirs)], "not one of orgd");

    let nowhere = folder.path().join("no/such/folder/orgd.redb");
    refused(&["serve", "--listen", "127.0.0.1:0", "--data", shown(&nowhere)], "cannot open");
    refused(&["check", "--data", shown(&nowhere)], "there is no data file");
}

#[test]
fn a_newer_file_is_refused_with_both_numbers() {
    let (_folder, file) = place();
    bootstrap(&file);
    let database = redb::Database::open(&file).expect("our file");
    let writing = database.begin_write().expect("a transaction");
    {
        let mut meta = writing.open_table(TableDefinition::<&[u8], &[u8]>::new("meta")).expect("a table");
        meta.insert(&b"schema\0\0"[..], &b"\x01\x0299"[..]).expect("a row");
    }
    writing.commit().expect("a commit");
    drop(database);
    let before = std::fs::read(&file).expect("the file");
    refused(&["serve", "--listen", "127.0.0.1:0", "--data", shown(&file)], "schema 99");
    assert_eq!(std::fs::read(&file).expect("the file").len(), before.len());
}

#[test]
fn a_taken_port_is_told_before_a_file_is_made() {
    let (_folder, file) = place();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("an address").to_string();
    refused(&["serve", "--listen", &address, "--data", shown(&file)], "cannot listen on");
    assert!(!file.exists());
    let nonsense = run(&["serve", "--listen", "nonsense", "--data", shown(&file)]);
    let said = String::from_utf8_lossy(&nonsense.stderr);
    assert!(nonsense.status.code() == Some(2) && said.contains("HOST:PORT is wanted"), "{said}");
}

#[test]
fn addresses_are_checked_at_the_start() {
    let (_folder, file) = place();
    for (site, words) in [
        ("nonsense", "begins with http://"),
        ("https://orgd.example.com/orgd/?x=1", "without a path"),
        ("https://orgd.example.com/?x=1", "without a query"),
        ("https://orgd.example.com/#x", "without a fragment"),
        ("https://user@orgd.example.com/", "without a user"),
    ] {
        let output = run(&["serve", "--data", shown(&file), "--site-url", site]);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains(words), "{site}: {said}");
    }
    refused(
        &["bootstrap", "--data", shown(&file), "--email", "nope", "--organization", "X"],
        "valid email address",
    );
    refused(
        &["serve", "--listen", "127.0.0.1:0", "--data", shown(&file), "--smtp-url", "nonsense", "--dev"],
        "ORGD_SMTP_URL",
    );
}

#[test]
fn mails_need_a_site_whose_address_no_request_chooses() {
    let (_folder, file) = place();
    let smtp = ["--smtp-url", "smtp://127.0.0.1:1"];
    let serve = ["serve", "--listen", "127.0.0.1:0", "--data", shown(&file)];
    refused(&[&serve[..], &smtp].concat(), "--smtp-url needs --site-url (ORGD_SITE_URL)");
    assert!(!file.exists());
    let with_site = Serving::start(&file, &[&smtp[..], &["--site-url", "https://orgd.example.com"]].concat());
    assert_eq!(with_site.stop(), Some(0));
    let (_folder, file) = place();
    let local = Serving::start(&file, &[&smtp[..], &["--dev"]].concat());
    assert_eq!(local.stop(), Some(0));
}

#[test]
fn trusted_proxies_are_networks() {
    let (_folder, file) = place();
    for (networks, status) in [("10.0.0.0/33", Some(2)), ("proxy.example.com", Some(2))] {
        let output = run(&["serve", "--data", shown(&file), "--trust-proxy", networks]);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), status, "{said}");
        assert!(said.contains("a network such as 10.0.0.0/8"), "{said}");
    }
    assert!(!file.exists());
    let warns = |networks: &str| {
        let server = Serving::of(
            orgd(&["serve", "--listen", "127.0.0.1:0", "--data", shown(&file)])
                .env("ORGD_TRUST_PROXY", networks),
        );
        let warns = server.said.iter().any(|line| line.contains("names every address"));
        assert_eq!(server.stop(), Some(0), "{networks}");
        warns
    };
    for networks in ["", "true", "false", "10.0.0.0/8, 192.0.2.7,2001:db8::/32"] {
        assert!(!warns(networks), "{networks}");
    }
    assert!(warns("0.0.0.0/0") && warns("::/0"));
}

#[test]
fn what_is_wrong_with_the_first_owner_is_named_as_the_operator_writes_it() {
    let long = "x".repeat(65);
    let longer = "x".repeat(129);
    let owner = |email, organization, first_name| {
        ["--email", email, "--organization", organization, "--first-name", first_name]
    };
    let good = owner("ada@example.com", "Acme", "Ada");
    for (arguments, password, key, wanted) in [
        (owner("nope", "Acme", "Ada"), "", "", "--email: Enter a valid"),
        (
            owner("ada@example.com", &long, "Ada"),
            "",
            "",
            "--organization: Ensure this field has no more than 64",
        ),
        (owner("ada@example.com", "", "Ada"), "", "", "--organization: This field may not be blank"),
        (
            owner("ada@example.com", "Acme", &longer),
            "",
            "",
            "--first-name: Ensure this field has no more than 128",
        ),
        (good, "short", "", "ORGD_BOOTSTRAP_PASSWORD: This password is too short"),
        (good, "", "phx_short", "ORGD_BOOTSTRAP_API_KEY: The API key must have"),
    ] {
        let (_folder, file) = place();
        let mut command = orgd(&["bootstrap", "--data", shown(&file)]);
        command.args(arguments);
        let secrets = [("ORGD_BOOTSTRAP_PASSWORD", password), ("ORGD_BOOTSTRAP_API_KEY", key)];
        command.envs(secrets.into_iter().filter(|(_, value)| !value.is_empty()));
        let output = command.output().expect("the program runs");
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains(&format!("orgd: {wanted}")), "{said}");
        let users = run(&["admin", "list-users", "--data", shown(&file)]);
        assert!(users.stdout.is_empty(), "{wanted}: somebody was made");
    }
}

#[test]
fn settings_and_passwords_of_operators_are_named_where_they_are_wrong() {
    let (_folder, file) = place();
    let serve = ["serve", "--listen", "127.0.0.1:0", "--data", shown(&file)];
    for (email, organization, wanted) in [
        ("nope", "Acme", "--bootstrap-email (ORGD_BOOTSTRAP_EMAIL): Enter a valid"),
        ("ada@example.com", "", "--bootstrap-organization (ORGD_BOOTSTRAP_ORGANIZATION): This field"),
    ] {
        let given = ["--bootstrap-email", email, "--bootstrap-organization", organization];
        refused(&[&serve[..], &given].concat(), wanted);
    }
    bootstrap(&file);
    let mut reset = orgd(&["admin", "reset-password", "--data", shown(&file), "--email", "ada@example.com"]);
    reset.arg("--password-stdin").stdin(Stdio::piped()).stderr(Stdio::piped());
    let mut child = reset.spawn().expect("the program starts");
    writeln!(child.stdin.take().expect("its input"), "short").expect("a line");
    let output = child.wait_with_output().expect("an end");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("orgd: --password-stdin: This password is too short"), "{said}");
}

#[test]
fn bootstrap_makes_everything_once() {
    let (_folder, file) = place();
    let made = bootstrap(&file);
    refused(
        &["bootstrap", "--data", shown(&file), "--email", "b@example.com", "--organization", "B"],
        "has users already",
    );
    let server = Serving::start(&file, &[]);
    let url = format!("{}/api/organizations/@current/", server.base);
    let (status, shown) = ask(&agent(), "GET", &url, Some(key_of(&made)), &json!({})).expect("an answer");
    assert_eq!((status, &shown["name"], &shown["id"]), (200, &json!("Acme"), &made["organization_id"]));
    assert_eq!(shown["teams"][0]["id"], made["project_id"]);
}

#[test]
fn bootstrap_by_the_environment_is_done_once_and_shows_no_given_secret() {
    let (_folder, file) = place();
    let key = "phx_given-by-the-operator-0123456789";
    let password = "a-rather-Long-passphrase-7";
    let start = || {
        Serving::of(
            orgd(&["serve", "--listen", "127.0.0.1:0", "--data", shown(&file)])
                .env("ORGD_BOOTSTRAP_EMAIL", "ada@example.com")
                .env("ORGD_BOOTSTRAP_ORGANIZATION", "Acme")
                .env("ORGD_BOOTSTRAP_PASSWORD", password)
                .env("ORGD_BOOTSTRAP_API_KEY", key),
        )
    };
    for _ in 0..2 {
        let server = start();
        assert!(
            server.said.iter().all(|line| !line.contains(key) && !line.contains(password)),
            "{:?}",
            server.said
        );
        let agent = agent();
        let url = format!("{}/api/organizations/", server.base);
        let (status, page) = ask(&agent, "GET", &url, Some(key), &json!({})).expect("an answer");
        assert_eq!((status, &page["count"]), (200, &json!(1)));
        let url = format!("{}/api/login/", server.base);
        let body = json!({"email": "ada@example.com", "password": password});
        assert_eq!(ask(&agent, "POST", &url, None, &body).expect("an answer").0, 200);
        assert_eq!(server.stop(), Some(0));
    }
    let users = run(&["admin", "list-users", "--data", shown(&file)]);
    assert_eq!(String::from_utf8_lossy(&users.stdout).lines().count(), 1);
}

#[test]
fn the_locked_out_get_a_new_password_at_the_machine() {
    let (_folder, file) = place();
    bootstrap(&file);
    let reset = ["admin", "reset-password", "--data", shown(&file), "--email", "ADA@example.com"];
    let printed = run(&reset);
    let first = String::from_utf8_lossy(&printed.stdout).trim().to_owned();
    let log_in = |password: &str| {
        let server = Serving::start(&file, &[]);
        let body = json!({"email": "ada@example.com", "password": password});
        ask(&agent(), "POST", &format!("{}/api/login/", server.base), None, &body).expect("an answer").0
    };
    assert_eq!(log_in(&first), 200);
    let second = "another-Fine-passphrase-8";
    let mut child =
        orgd(&reset).arg("--password-stdin").stdin(Stdio::piped()).spawn().expect("the program starts");
    writeln!(child.stdin.take().expect("its input"), "{second}").expect("a line");
    assert!(child.wait().expect("an end").success());
    assert_eq!(log_in(second), 200);
    assert_eq!(log_in(&first), 400);
    refused(&["admin", "reset-password", "--data", shown(&file), "--email", "nobody@example.com"], "No user");
}

#[test]
fn the_locked_out_get_a_link_at_the_machine() {
    let (_folder, file) = place();
    bootstrap(&file);
    let of = |email| ["admin", "reset-link", "--data", shown(&file), "--email", email];
    refused(&of("nobody@example.com"), "No user");
    let printed = run(&of("ADA@example.com"));
    let link = String::from_utf8_lossy(&printed.stdout).trim().to_owned();
    let (_, path) = link.split_once("/reset/").expect("a link");
    let (user, token) = path.split_once('/').expect("a user and a token");
    let server = Serving::start(&file, &[]);
    let post = |path: &str, body: Value| {
        ask(&agent(), "POST", &format!("{}{path}", server.base), None, &body).expect("an answer").0
    };
    let password = "another-Fine-passphrase-8";
    let choose = || post(&format!("/api/reset/{user}/"), json!({"token": token, "password": password}));
    assert_eq!((choose(), choose()), (200, 400));
    assert_eq!(post("/api/login/", json!({"email": "ada@example.com", "password": password})), 200);
}

#[test]
fn the_second_factor_is_taken_from_who_has_lost_it() {
    let (_folder, file) = place();
    bootstrap(&file);
    let of = |email| ["admin", "remove-two-factor", "--data", shown(&file), "--email", email];
    assert!(run(&of("ADA@example.com")).status.success());
    refused(&of("nobody@example.com"), "No user");
}

/// The JSON objects that a command prints, one in a line.
fn printed(arguments: &[&str]) -> Vec<Value> {
    let output = run(arguments);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.lines().map(|line| serde_json::from_str(line).expect("a JSON object")).collect()
}

#[test]
fn the_operator_frees_a_domain_and_an_address() {
    let (_folder, file) = place();
    let made = bootstrap(&file);
    let organization = &made["organization_id"];
    let server = Serving::start(&file, &["--open-signup"]);
    let agent = agent();
    let call = |server: &Serving, method: &str, path: &str, body: Value| {
        let url = format!("{}/api/{path}", server.base);
        ask(&agent, method, &url, Some(key_of(&made)), &body).expect("an answer")
    };
    let invites = "organizations/@current/invites/";
    for email in ["held@example.com", "other@example.com"] {
        assert_eq!(call(&server, "POST", invites, json!({"target_email": email, "level": 8})).0, 201);
    }
    let squatter =
        json!({"first_name": "S", "email": "squat@example.com", "password": "a-rather-Long-passphrase-7"});
    let signed_up = ask(&agent, "POST", &format!("{}/api/signup/", server.base), None, &squatter);
    let (status, squatter_made) = signed_up.expect("an answer");
    assert_eq!(status, 201);
    let domains = "organizations/@current/domains/";
    let proxies = "organizations/@current/proxy_records/";
    for path in [domains, proxies] {
        assert_eq!(call(&server, "POST", path, json!({"domain": "acme.com"})).0, 201);
    }
    assert_eq!(server.stop(), Some(0));

    let free_domain = ["admin", "free-domain", "--data", shown(&file), "--domain", "ACME.com"];
    let wanted = json!([
        {
            "freed": "domain", "domain": "acme.com", "organization_id": organization, "organization_name": "Acme",
            "was_verified": false,
        },
        {
            "freed": "proxy_record", "domain": "acme.com", "organization_id": organization,
            "organization_name": "Acme",
        },
    ]);
    assert_eq!(json!(printed(&free_domain)), wanted);
    refused(&free_domain, "No organization claims this domain");
    let free = |email: &'static str| ["admin", "free-address", "--data", shown(&file), "--email", email];
    let mut freed = printed(&free("HELD@example.com"));
    assert!(freed[0]["invite_id"].take().is_string());
    let wanted = json!([{
        "freed": "invite", "invite_id": null, "organization_id": organization, "organization_name": "Acme", "level": 8,
    }]);
    assert_eq!(json!(freed), wanted);
    refused(&free("held@example.com"), "Nothing was found that holds this address");
    refused(&free("squat@example.com"), "Nothing was found that holds this address");
    let account = [free("squat@example.com").as_slice(), &["--account"]].concat();
    let moved = format!("{}@freed.invalid", squatter_made["uuid"].as_str().expect("an id"));
    assert_eq!(
        json!(printed(&account)),
        json!([{"freed": "account", "user_id": squatter_made["uuid"], "email": moved}])
    );
    let check = run(&["check", "--data", shown(&file)]);
    assert!(String::from_utf8_lossy(&check.stdout).ends_with(" rows\nno problems found\n"));
    let server = Serving::start(&file, &["--open-signup"]);
    let (_, left) = call(&server, "GET", invites, json!({}));
    assert_eq!(
        (&left["count"], &left["results"][0]["target_email"]),
        (&json!(1), &json!("other@example.com"))
    );
    for path in [domains, proxies] {
        assert_eq!(call(&server, "GET", path, json!({})).1["count"], 0);
    }
    let again = ask(&agent, "POST", &format!("{}/api/signup/", server.base), None, &squatter);
    assert_eq!(again.expect("an answer").0, 201);
}

#[test]
fn each_look_at_a_link_is_logged_and_no_token_is() {
    let (_folder, file) = place();
    let made = bootstrap(&file);
    let mut server = Serving::start(&file, &["--log-level", "debug"]);
    let log = server.log.take().expect("a log").into_inner().expect("no panic");
    let agent = agent();
    let call = |method: &str, path: &str, key: Option<&str>, body: Value| {
        ask(&agent, method, &format!("{}/{path}", server.base), key, &body).expect("an answer")
    };
    let invites = "api/organizations/@current/invites/";
    let invite = call("POST", invites, Some(key_of(&made)), json!({"target_email": "a@example.com"})).1;
    let id = invite["id"].as_str().expect("an id").to_owned();
    let (status, shown) = call("GET", &format!("{invites}{id}/link/"), Some(key_of(&made)), json!({}));
    assert_eq!(status, 200);
    let link = shown["link"].as_str().expect("a link").to_owned();
    let token = link.rsplit('/').next().expect("a token").to_owned();
    assert_eq!(call("GET", &format!("api/signup/{token}/"), None, json!({})).0, 200);
    assert_eq!(call("GET", "api/signup/wrong-token/", None, json!({})).0, 400);
    assert_eq!(server.stop(), Some(0));
    let lines: Vec<String> = log.iter().collect();
    let looks: Vec<&String> =
        lines.iter().filter(|line| line.contains("the link of an invite was shown")).collect();
    assert_eq!(looks.len(), 1, "{lines:?}");
    let user = made["user_id"].as_str().expect("an id");
    assert!(looks[0].contains(&id) && looks[0].contains(user), "{}", looks[0]);
    let refused = lines.iter().filter(|line| line.contains("token_refused") && line.contains("127.0.0.1"));
    assert_eq!(refused.count(), 1, "{lines:?}");
    assert!(lines.iter().all(|line| !line.contains(&token) && !line.contains("wrong-token")), "{lines:?}");
}

#[test]
fn the_sessions_of_one_user_are_ended() {
    let (_folder, file) = place();
    bootstrap(&file);
    let of = |email| ["admin", "end-sessions", "--data", shown(&file), "--email", email];
    assert!(run(&of("ADA@example.com")).status.success());
    refused(&of("nobody@example.com"), "No user");
}

#[test]
fn check_finds_a_whole_file_whole_and_a_damaged_one_damaged() {
    let (_folder, file) = place();
    bootstrap(&file);
    let whole = run(&["check", "--data", shown(&file)]);
    let said = String::from_utf8_lossy(&whole.stdout);
    assert!(said.starts_with("digest ") && said.ends_with(" rows\nno problems found\n"), "{said}");
    let database = redb::Database::open(&file).expect("our file");
    let writing = database.begin_write().expect("a transaction");
    {
        let mut table =
            writing.open_table(TableDefinition::<&[u8], &[u8]>::new("users_by_email")).expect("a table");
        table.retain(|_, _| false).expect("rows");
    }
    writing.commit().expect("a commit");
    drop(database);
    refused(&["check", "--data", shown(&file)], "problems were found");
}

#[test]
fn the_table_and_the_document_are_printed() {
    let routes = run(&["routes"]);
    let text = String::from_utf8_lossy(&routes.stdout);
    assert!(text.lines().any(|line| {
        line.split_whitespace().eq(["GET", "/api/organizations/{id}/", "organization:read", "200"])
    }));
    let document: Value = serde_json::from_slice(&run(&["openapi"]).stdout).expect("JSON");
    assert_eq!(document["openapi"], "3.0.3");
    let licenses = run(&["licenses"]);
    let licenses = String::from_utf8_lossy(&licenses.stdout).into_owned();
    for part in ["\nredb 4.", "\nring 0.", "Apache License", "Permission is hereby granted, free of charge"] {
        assert!(licenses.contains(part), "{part}");
    }
    let version = run(&["--version"]);
    assert!(String::from_utf8_lossy(&version.stdout).starts_with("orgd 0."));
}

#[test]
fn the_log_has_a_line_for_each_request_as_text_or_as_json() {
    for format in ["text", "json"] {
        let (_folder, file) = place();
        let made = bootstrap(&file);
        let mut server = Serving::start(&file, &["--log-format", format]);
        let log = server.log.take().expect("a log").into_inner().expect("no panic");
        let agent = agent();
        let url = format!("{}/api/organizations/@current/?personal_api_key=phx_seen", server.base);
        assert_eq!(ask(&agent, "GET", &url, Some(key_of(&made)), &json!({})).expect("an answer").0, 200);
        assert_eq!(server.stop(), Some(0));
        let lines: Vec<String> = log.iter().filter(|line| line.contains("access")).collect();
        assert_eq!(lines.len(), 1, "{lines:?}");
        let line = &lines[0];
        assert!(!line.contains("phx_seen") && !line.contains(key_of(&made)), "{line}");
        let user = made["user_id"].as_str().expect("a user");
        if format == "json" {
            let entry: Value = serde_json::from_str(line).expect("a JSON object");
            assert_eq!(
                (&entry["method"], &entry["path"]),
                (&json!("GET"), &json!("/api/organizations/{id}/"))
            );
            assert_eq!((&entry["status"], &entry["user"]), (&json!(200), &json!(user)));
            assert!(
                entry["ms"].is_number() && entry["request_id"].is_string() && entry["timestamp"].is_string()
            );
        } else {
            let wanted = "INFO access: method=\"GET\" path=\"/api/organizations/{id}/\" status=200 ms=";
            assert!(line.contains(wanted) && line.ends_with(&format!(" user={user}")), "{line}");
        }
    }
}

#[test]
fn a_server_holds_more_connections_than_it_was_given_open_files() {
    let (_folder, data) = place();
    let own = orgd(&["serve", "--dev", "--listen", "127.0.0.1:0", "--data", shown(&data)]);
    let server = Serving::of(&mut with_open_files(&own, "-S -n 256"));
    let place = server.base.trim_start_matches("http://");
    let ask = |stream: &mut TcpStream| {
        stream
            .write_all(format!("GET /_livez HTTP/1.1\r\nHost: {place}\r\n\r\n").as_bytes())
            .expect("it reads");
        let mut head = [0; 15];
        stream.read_exact(&mut head).expect("an answer");
        assert_eq!(&head, b"HTTP/1.1 200 OK");
    };
    let mut held: Vec<TcpStream> = (0..300)
        .map(|_| {
            let mut stream = TcpStream::connect(place).expect("the server listens");
            ask(&mut stream);
            stream
        })
        .collect();
    // None has made way for another.
    let mut rest = [0; 4096];
    let read = held[0].read(&mut rest).expect("the rest of the first answer");
    assert!(read > 0);
    ask(&mut held[0]);
}
