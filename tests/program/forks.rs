//! Forks of a test server as a process: their ports, their threads, and what is saved at the end.

use std::fs;
use std::net::TcpListener;
use std::process::Command;

use serde_json::{Value, json};

use crate::support::{agent, ask, orgd, run, until, with_open_files};
use crate::test_server::{Ready, refusal};

fn call(method: &str, url: &str, body: &Value) -> (u16, Value) {
    ask(&agent(), method, url, None, body).expect("an answer")
}

fn post(server: &Ready, path: &str, body: Value) -> (u16, Value) {
    call("POST", &format!("{}{path}", server.text("url")), &body)
}

#[track_caller]
fn fork(server: &Ready) -> (String, String) {
    let (status, made) = post(server, "/_orgd/forks", json!({}));
    assert_eq!(status, 201, "{made}");
    (made["id"].as_str().expect("an id").to_owned(), made["url"].as_str().expect("an address").to_owned())
}

fn delete(server: &Ready, id: &str) {
    let url = format!("{}/_orgd/forks/{id}?check=true", server.text("url"));
    assert_eq!(call("DELETE", &url, &Value::Null).0, 204);
}

/// Three ports that follow each other, the middle one taken.
fn ports() -> (u16, TcpListener) {
    for _ in 0..1000 {
        let middle = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let port = middle.local_addr().expect("an address").port();
        let is_free = |port: u16| TcpListener::bind(("127.0.0.1", port)).is_ok();
        if port > 1024 && port < u16::MAX && is_free(port - 1) && is_free(port + 1) {
            return (port - 1, middle);
        }
    }
    panic!("no ports are free");
}

#[test]
fn forks_have_the_ports_that_were_published_and_give_them_back() {
    let (first, taken) = ports();
    let range = format!("{first}-{}", first + 2);
    let server = Ready::test(&["--fork-ports", &range]);
    let url = |port: u16| format!("http://127.0.0.1:{port}");
    let (one, other) = (fork(&server), fork(&server));
    assert_eq!((&one.1, &other.1), (&url(first), &url(first + 2)), "another program has the one between");
    let full = post(&server, "/_orgd/forks", json!({}));
    assert_eq!(full.0, 507);
    assert!(full.1["detail"].as_str().is_some_and(|detail| detail.contains("--fork-ports")), "{}", full.1);
    delete(&server, &other.0);
    // At once, however often.
    let mut last = fork(&server);
    for _ in 0..20 {
        assert_eq!(last.1, url(first + 2));
        delete(&server, &last.0);
        last = fork(&server);
    }
    delete(&server, &last.0);
    drop(taken);
    assert_eq!([fork(&server).1, fork(&server).1], [url(first + 1), url(first + 2)]);
    assert_eq!(server.stop(), "");
}

#[test]
fn what_is_no_range_of_ports_is_refused() {
    for range in ["", "8011", "8012-8011", "0-5", "8011-", "-8011", "a-b", "8011-70000", "8011-8012-8013"] {
        let output = run(&["serve", "--test", "--fork-ports", range]);
        assert_eq!(output.status.code(), Some(2), "{range}");
    }
    let folder = tempfile::tempdir().expect("a folder");
    let said = refusal(orgd(&["serve", "--dev", "--fork-ports", "8011-8012"]).current_dir(folder.path()));
    assert!(said.contains("--fork-ports needs --in-memory"), "{said}");
}

#[test]
fn under_all_addresses_a_fork_is_named_by_the_host_of_the_request() {
    let server = Ready::test(&["--listen", "0.0.0.0:0", "--exposed"]);
    let port = server.text("url").rsplit_once(':').expect("a port").1.to_owned();
    for host in ["localhost", "127.0.0.1"] {
        let (status, made) = call("POST", &format!("http://{host}:{port}/_orgd/forks"), &json!({}));
        let url = made["url"].as_str().expect("an address");
        assert!(status == 201 && url.starts_with(&format!("http://{host}:")), "{made}");
        assert_eq!(call("GET", &format!("{url}/_livez"), &Value::Null).0, 200);
    }
}

/// How many threads of data files the process has.
fn threads(server: &Ready) -> usize {
    let tasks = fs::read_dir(format!("/proc/{}/task", server.child.id())).expect("the process is there");
    let names = tasks.filter_map(|task| fs::read_to_string(task.ok()?.path().join("comm")).ok());
    names.filter(|name| ["writer", "committer"].contains(&name.trim())).count()
}

#[test]
#[cfg(target_os = "linux")]
fn nothing_is_left_of_forks_that_were_deleted_or_reset() {
    let server = Ready::test(&[]);
    until("its threads have their names", || threads(&server) == 2);
    let all: Vec<(String, String)> = (0..20).map(|_| fork(&server)).collect();
    for (_, url) in &all {
        assert_eq!(call("GET", &format!("{url}/_livez"), &Value::Null).0, 200);
    }
    until("their threads have their names", || threads(&server) == 42);
    for (_, url) in &all {
        assert_eq!(call("POST", &format!("{url}/_orgd/reset"), &json!({})).0, 204);
    }
    until("what was before the reset is gone", || threads(&server) == 42);
    for (id, _) in &all {
        delete(&server, id);
    }
    until("the threads of forks have ended", || threads(&server) == 2);
    // The first server keeps what it was started with.
    for _ in 0..20 {
        assert_eq!(post(&server, "/_orgd/reset", json!({})).0, 204);
    }
    until("the threads of what was are gone", || threads(&server) <= 4);
}

/// How many forks there can be.
const FORKS_MAX: usize = 4096;

#[test]
fn the_last_fork_that_there_can_be_works_and_the_next_is_refused() {
    // Each has a port, which is an open file, and the process takes as many as the system allows.
    let server = Ready::of(&mut with_open_files(&orgd(&["serve", "--test"]), "-S -n 256"));
    let agent = agent();
    let url = server.text("url");
    let make = || ask(&agent, "POST", &format!("{url}/_orgd/forks"), None, &json!({})).expect("an answer");
    let all: Vec<String> = (0..FORKS_MAX)
        .map(|_| {
            let (status, made) = make();
            assert_eq!(status, 201, "{made}");
            made["url"].as_str().expect("an address").to_owned()
        })
        .collect();
    let refused = make();
    assert_eq!((refused.0, refused.1["code"].as_str()), (507, Some("insufficient_storage")));
    assert_eq!(refused.1["detail"].as_str(), Some("There are 4096 forks: delete some."));
    // More than may be open at once, from the first to the last; what is written in one is in no other.
    let some: Vec<&String> = all.iter().step_by(16).chain(all.last()).collect();
    for url in &some {
        add_role(&server, url, "Here");
    }
    for url in &some {
        assert_eq!(roles(&server, url), 1, "{url}");
    }
    assert_eq!(roles(&server, &all[1]), 0);
    delete(&server, "f1");
    assert_eq!(make().0, 201);
    assert_eq!(make().0, 507);
    assert_eq!(server.stop(), "");
}

/// The names of the roles, by the key that was shown.
fn roles(server: &Ready, url: &str) -> usize {
    let key = server.text("api_key");
    let url = format!("{url}/api/organizations/@current/roles/");
    let (status, list) = ask(&agent(), "GET", &url, Some(&key), &Value::Null).expect("an answer");
    assert_eq!(status, 200, "{list}");
    list["results"].as_array().expect("roles").len()
}

fn add_role(server: &Ready, url: &str, name: &str) {
    let (key, body) = (server.text("api_key"), json!({"name": name}));
    let url = format!("{url}/api/organizations/@current/roles/");
    assert_eq!(ask(&agent(), "POST", &url, Some(&key), &body).expect("an answer").0, 201);
}

#[test]
fn what_is_saved_is_what_there_is_after_the_last_reset() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("saved.redb");
    let shown = file.to_str().expect("text");
    let server = Ready::test(&["--save-on-exit", shown]);
    let url = server.text("url");
    add_role(&server, &url, "Lost");
    assert_eq!(post(&server, "/_orgd/reset", json!({})).0, 204);
    add_role(&server, &url, "Saved");
    let (_, there) = fork(&server);
    add_role(&server, &there, "Of the fork");
    assert_eq!((roles(&server, &url), roles(&server, &there)), (1, 2));
    server.stop();
    assert!(run(&["check", "--data", shown]).status.success());
    let again = Ready::test(&["--from", shown]);
    let (status, list) = again.get("/api/organizations/@current/roles/");
    assert_eq!((status, &list["results"][0]["name"], &list["count"]), (200, &json!("Saved"), &json!(1)));
    // And by the command that ends with its command.
    let script = "curl -s -X POST $ORGD_URL/_orgd/reset; curl -s -H \"Authorization: Bearer $ORGD_KEY\" -H 'Content-Type: application/json' \
                  -d '{\"name\": \"By exec\"}' $ORGD_URL/api/organizations/@current/roles/";
    let file = folder.path().join("exec.redb");
    let shown = file.to_str().expect("text");
    let output = run(&["exec", "--save-on-exit", shown, "--", "sh", "-c", script]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let again = Ready::test(&["--from", shown]);
    let (_, list) = again.get("/api/organizations/@current/roles/");
    assert_eq!((&list["results"][0]["name"], &list["count"]), (&json!("By exec"), &json!(1)));
}

#[test]
fn a_server_that_stops_answers_what_is_under_way_in_its_forks() {
    let server = Ready::test(&[]);
    let (_, there) = fork(&server);
    let rule = json!({"faults": [{"match": {"path": "/api/users/{id}/"}, "delay_ms": 60_000}]});
    assert_eq!(call("PUT", &format!("{there}/_orgd/faults"), &rule).0, 200);
    let key = server.text("api_key");
    std::thread::scope(|scope| {
        let url = format!("{there}/api/users/@me/");
        let waiting = scope.spawn(move || ask(&agent(), "GET", &url, Some(&key), &Value::Null));
        until("it has arrived", || {
            call("GET", &format!("{there}/_orgd/requests"), &Value::Null).1["count"] == 1
        });
        let pid = server.child.id().to_string();
        assert!(Command::new("kill").arg(&pid).status().expect("kill runs").success());
        assert_eq!(waiting.join().expect("no panic").expect("an answer").0, 200);
    });
    let mut server = server;
    assert_eq!(server.child.wait().expect("it ends").code(), Some(0));
}
