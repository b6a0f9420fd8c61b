//! Servers that do what no good one does.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Stdio;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use super::{World, said};
use crate::support::orgd;

/// What is answered: the status, further headers, and the body.
type Answer = (u16, String, Vec<u8>);

/// A server that answers what a function says, and keeps what it was sent.
struct Fake {
    base: String,
    heads: Arc<Mutex<Vec<String>>>,
}

impl Fake {
    fn start(answer: impl Fn(&str, &str) -> Answer + Send + 'static) -> Fake {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let base = format!("http://{}", listener.local_addr().expect("an address"));
        let heads = Arc::<Mutex<Vec<String>>>::default();
        let (own, kept) = (base.clone(), Arc::clone(&heads));
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                serve(stream, &own, &kept, &answer);
            }
        });
        Fake { base, heads }
    }

    /// Answers everything with this body.
    fn always(status: u16, body: &str) -> Fake {
        let body = body.to_owned();
        Fake::start(move |_, _| (status, String::new(), body.clone().into_bytes()))
    }

    fn run(&self, world: &World, arguments: &[&str]) -> std::process::Output {
        let mut command = world.bare(arguments);
        command.env("ORGD_URL", &self.base).env("ORGD_KEY", "phx_of_the_fake").output().expect("it runs")
    }

    fn requests(&self) -> Vec<String> {
        self.heads.lock().expect("no panic").clone()
    }
}

fn serve(stream: TcpStream, base: &str, kept: &Mutex<Vec<String>>, answer: &dyn Fn(&str, &str) -> Answer) {
    let mut reader = BufReader::new(stream);
    let (mut head, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).unwrap_or(0) == 0 || line == "\r\n" {
            break;
        }
        if let Some(value) = line.to_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap_or(0);
        }
        head.push_str(&line);
    }
    let mut body = vec![0; length];
    let _ = reader.read_exact(&mut body);
    let first = head.lines().next().unwrap_or_default().to_owned();
    kept.lock().expect("no panic").push(head);
    let target = first.split(' ').nth(1).unwrap_or_default();
    let (status, headers, body) = answer(target, base);
    let length = body.len();
    let head =
        format!("HTTP/1.1 {status} X\r\ncontent-length: {length}\r\nconnection: close\r\n{headers}\r\n");
    let mut stream = reader.into_inner();
    let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&body));
}

fn page(results: &Value, next: Option<String>) -> Answer {
    (200, String::new(), json!({"count": 9, "next": next, "results": results}).to_string().into_bytes())
}

fn member(email: &str) -> Value {
    json!({"user": {"email": email, "uuid": "01920000-0000-7000-8000-000000000001", "first_name": "X", "last_name": ""}, "level": 1})
}

#[test]
fn an_answer_that_is_none_is_an_error_in_words() {
    let world = World::new();
    for (body, words) in [
        ("<html>no</html>", "answers no list"),
        ("", "answers no list"),
        ("[1, 2", "answers no list"),
        ("7", "answers no list"),
        ("{\"results\": 7}", "answers no list"),
        ("{\"results\": [], \"next\": 7}", "answers no list"),
    ] {
        let (out, err) = said(&Fake::always(200, body).run(&world, &["member", "list"]), 1);
        assert!(out.is_empty() && err.contains(words), "{body}: {err}");
    }
    for (status, code) in [(500, 1), (401, 4), (403, 1), (404, 1), (204, 1)] {
        let (out, err) = said(&Fake::always(status, "<b>oops</b>").run(&world, &["member", "list"]), code);
        assert!(out.is_empty() && !err.contains("<b>"), "{status}: {err}");
    }
    // Rows that lack everything are rows.
    let odd = Fake::always(200, "{\"results\": [{}, 7, null, [], {\"user\": 3, \"level\": \"x\"}]}");
    assert_eq!(said(&odd.run(&world, &["member", "list"]), 0).0.lines().count(), 5);
    let (_, err) = said(&Fake::always(200, "[]").run(&world, &["org", "view", "acme"]), 1);
    assert!(err.contains("there is no organization acme"), "{err}");
}

#[test]
fn a_huge_answer_is_given_up() {
    let world = World::new();
    let huge = Fake::start(|_, _| (200, String::new(), vec![b' '; 40 * 1024 * 1024]));
    for arguments in [&["member", "list"] as &[&str], &["api", "GET", "/api/"]] {
        let (out, err) = said(&huge.run(&world, arguments), 1);
        assert!(out.is_empty() && err.contains("longer than 32 MiB"), "{err}");
    }
}

#[test]
fn pages_that_never_end_do() {
    let world = World::new();
    // Each page names a further one.
    let endless = Fake::start(|target, base| {
        let number: u64 = target.rsplit('=').next().and_then(|text| text.parse().ok()).unwrap_or(0);
        page(&json!([]), Some(format!("{base}/api/organizations/@current/members/?offset={}", number + 1)))
    });
    let (_, err) = said(&endless.run(&world, &["member", "list"]), 1);
    assert!(err.contains("more than 1000 pages"), "{err}");
    assert_eq!(endless.requests().len(), 1000);
    let circle = Fake::start(|_, base| {
        page(&json!([]), Some(format!("{base}/api/organizations/@current/members/?offset=1")))
    });
    let (_, err) = said(&circle.run(&world, &["member", "remove", "a@example.com", "--yes"]), 1);
    assert!(err.contains("read already"), "{err}");
    assert!(circle.requests().iter().all(|head| head.starts_with("GET ")), "{:?}", circle.requests());
}

#[test]
fn a_key_goes_to_no_other_host() {
    let world = World::new();
    let other = Fake::always(200, "{\"results\": []}");
    for next in [
        other.base.clone(),
        format!("{}/api/organizations/@current/members/", other.base),
        "//127.0.0.1:1/api/".to_owned(),
        "http://[::1]:1/".to_owned(),
        "nonsense".to_owned(),
    ] {
        let next = Some(next);
        let leading = Fake::start(move |_, _| page(&json!([member("a@example.com")]), next.clone()));
        let arguments = [
            &["member", "list"] as &[&str],
            &["member", "remove", "b@example.com", "--yes"],
            &["api", "GET", "/api/organizations/@current/members/", "--paginate"],
        ];
        for arguments in arguments {
            let (out, err) = said(&leading.run(&world, arguments), 1);
            assert!(out.is_empty() && err.contains("leads to another server"), "{err}");
        }
    }
    for status in [301, 302, 303, 307, 308] {
        let to = other.base.clone();
        let redirecting =
            Fake::start(move |_, _| (status, format!("location: {to}/api/?phx=secret\r\n"), Vec::new()));
        for arguments in [&["member", "list"] as &[&str], &["api", "POST", "/api/x/"], &["auth", "status"]] {
            let (_, err) = said(&redirecting.run(&world, arguments), 1);
            assert!(err.contains("redirects to 127.0.0.1") && !err.contains("secret"), "{err}");
        }
    }
    assert!(other.requests().is_empty(), "{:?}", other.requests());
}

#[test]
fn a_list_that_was_not_searched_is_searched_here() {
    let world = World::new();
    let all = json!([
        member("first@example.com"),
        member("grace@example.com"),
        member("grace@example.com.evil.example")
    ]);
    let ignoring = Fake::start(move |_, _| page(&all, None));
    let text = said(&ignoring.run(&world, &["member", "list", "--search", "GRACE@example.com"]), 0).0;
    assert_eq!(text.lines().count(), 2, "{text}");
    assert!(!text.contains("first@"));
    let (_, err) = said(&ignoring.run(&world, &["member", "remove", "nobody@example.com", "--yes"]), 1);
    assert!(err.contains("there is no member nobody@example.com"), "{err}");
    assert!(ignoring.requests().iter().all(|head| head.starts_with("GET ")));
    assert!(ignoring.requests().iter().any(|head| head.contains("email=nobody%40example.com")));
    // A server that has two of one address is not believed.
    let twice = json!([member("grace@example.com"), member("grace@example.com")]);
    let twice = Fake::start(move |_, _| page(&twice, None));
    let (_, err) = said(&twice.run(&world, &["member", "remove", "grace@example.com", "--yes"]), 1);
    assert!(err.contains("2 members are called grace@example.com"), "{err}");
    assert!(twice.requests().iter().all(|head| head.starts_with("GET ")));
}

#[test]
fn what_a_server_sends_moves_no_cursor() {
    let world = World::new();
    let evil = "\u{1b}]0;owned\u{7}\u{1b}[2J\u{9b}31m\u{202e}\nnext\tline";
    let body = json!({"results": [member(evil)]}).to_string();
    let fake = Fake::always(200, &body);
    let acts = |text: &str| {
        text.chars()
            .any(|letter| letter.is_control() && letter != '\n' && letter != '\t' || letter == '\u{202e}')
    };
    let text = said(&fake.run(&world, &["member", "list"]), 0).0;
    assert!(!acts(&text) && text.lines().count() == 1 && text.matches('\t').count() == 5, "{text:?}");
    let text = said(&fake.run(&world, &["member", "list", "--json"]), 0).0;
    assert!(!acts(&text), "{text:?}");
    let json: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(json[0]["user"]["email"], evil);
    let refusing = Fake::always(400, &json!({"detail": evil, "attr": evil}).to_string());
    let (_, err) = said(&refusing.run(&world, &["member", "list"]), 1);
    assert!(!acts(&err), "{err:?}");
    let (out, _) = said(&Fake::always(200, evil).run(&world, &["api", "GET", "/api/"]), 0);
    assert!(!acts(&out), "{out:?}");
}

#[test]
fn a_reader_who_has_enough_is_no_error() {
    let world = World::new();
    let all: Vec<Value> = (0..1000).map(|number| member(&format!("{number}@{}", "x".repeat(500)))).collect();
    let fake = Fake::always(200, &json!({"results": all}).to_string());
    let mut command = orgd(&["member", "list", "-L", "1000"]);
    command.env("ORGD_URL", &fake.base).env("ORGD_KEY", "phx_k").stdin(Stdio::null());
    let mut child = command
        .current_dir(world.folder.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it runs");
    drop(child.stdout.take());
    let output = child.wait_with_output().expect("it ends");
    assert_eq!(said(&output, 0).1, "");
}
