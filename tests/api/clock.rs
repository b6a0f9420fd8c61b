//! The clock of a test server: it stands still, is set, and is advanced until nothing is due any more.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use orgd::clock::Time;
use orgd::config::{Config, Switch};
use orgd::resources::batch_exports::runs;
use orgd::resources::{events, outbox, proxy_records};
use serde_json::{Value, json};

use crate::support::exports::{at, backfill, capture, event, export_to, latest, scheduled_export_to};
use crate::support::smtp::{Manner, Smtp};
use crate::support::{NameServer, Org, PASSWORD, Receiver, Server, reply, text};

const START: &str = "2026-01-01T00:00:00Z";
const HOUR: i64 = 60 * 60;
const DAY: i64 = 24 * HOUR;

impl Server {
    fn set_clock(&self, body: Value) -> Value {
        self.anyone().post("/_orgd/clock", body).json(200)
    }

    fn advance(&self, seconds: i64) -> Value {
        let answer = self.set_clock(json!({"advance": format!("{seconds}s")}));
        assert_eq!(answer["settled"], true, "{answer}");
        answer
    }
}

fn frozen(change: impl FnOnce(&mut Config)) -> Server {
    let server = Server::controlled(change);
    let shown = server.set_clock(json!({"set": START, "frozen": true}));
    assert_eq!(shown, json!({"now": START, "frozen": true}));
    server
}

/// The seconds until something happens, and whether it has.
type Waiting<'a> = (i64, Box<dyn Fn() -> bool + 'a>);

/// Something that waits for the clock.
struct Row {
    name: &'static str,
    /// The task that sees to it; none where whoever asks looks at the clock.
    task: Option<&'static str>,
    change: fn(&mut Config),
    set_up: for<'a> fn(&'a Server, &'a Org) -> Waiting<'a>,
}

fn invite_expires<'a>(server: &'a Server, org: &'a Org) -> Waiting<'a> {
    let path = format!("/api/signup/{}/", org.token("grace@example.com", 1));
    (3 * DAY, Box::new(move || server.anyone().get(&path).status != 200))
}

fn session_ends<'a>(server: &'a Server, org: &'a Org) -> Waiting<'a> {
    let session = org.owner.logged_in();
    let _ = server;
    (14 * DAY, Box::new(move || session.get("/api/users/@me/").status != 200))
}

fn session_is_removed<'a>(server: &'a Server, org: &'a Org) -> Waiting<'a> {
    let sessions = || server.all_rows().iter().filter(|(table, ..)| *table == "sessions").count();
    let _ = org;
    assert!(sessions() > 0);
    (14 * DAY, Box::new(move || sessions() == 0))
}

fn lock_out_ends<'a>(server: &'a Server, org: &'a Org) -> Waiting<'a> {
    let log_in = |password: &str| {
        server.anyone().post("/api/login/", json!({"email": org.owner.email, "password": password}))
    };
    while log_in("wrong").status != 403 {}
    (10 * 60, Box::new(move || log_in(PASSWORD).status == 200))
}

fn throttle_ends<'a>(server: &'a Server, org: &'a Org) -> Waiting<'a> {
    let person = org.owner.key(&["*"]);
    let _ = server;
    while person.get("/api/users/@me/").status != 429 {}
    (60, Box::new(move || person.get("/api/users/@me/").status == 200))
}

fn run_is_made<'a>(server: &'a Server, org: &'a Org) -> Waiting<'a> {
    let _ = server;
    let export = scheduled_export_to(org, "http://127.0.0.1:1/batch/");
    (HOUR, Box::new(move || !latest(org, &export).is_null()))
}

fn run_is_tried_again<'a>(server: &'a Server, org: &'a Org) -> Waiting<'a> {
    capture(server, org, &[event("seen", "10:00:00")]);
    let receiver = Receiver::replying([reply(503, "").header("Retry-After", "90")]);
    let export = export_to(org, &receiver.url("/batch/"), json!({}));
    backfill(org, &export, "10:00", "11:00");
    server.until("the attempt has failed", || {
        server
            .app
            .store
            .read(runs::all_open)
            .expect("the file is read")
            .iter()
            .any(|run| run.next_attempt_at > server.app.clock.now())
    });
    (90, Box::new(move || receiver.received().len() == 2 && latest(org, &export)["status"] == "Completed"))
}

fn event_is_removed<'a>(server: &'a Server, org: &'a Org) -> Waiting<'a> {
    capture(server, org, &[event("seen", "10:00:00")]);
    let kept = || server.app.store.read(events::totals).expect("the file is read").events;
    assert_eq!(kept(), 1);
    (7 * DAY, Box::new(move || kept() == 0))
}

/// The seconds until `due`.
fn left(server: &Server, due: Option<Time>) -> i64 {
    (due.expect("something is due").0 - server.app.clock.now().0) / 1_000_000
}

fn proxy_is_looked_at<'a>(server: &'a Server, org: &'a Org) -> Waiting<'a> {
    org.owner.post(&org.at("proxy_records/"), json!({"domain": "e.example.com"})).json(201);
    server.advance(0);
    let due = || {
        server.app.store.read(|tx| Ok(proxy_records::due(tx, server.app.clock.now(), 1)?.1)).expect("read")
    };
    let first = due();
    (left(server, first), Box::new(move || due() > first))
}

fn mail_is_sent_again<'a>(server: &'a Server, org: &'a Org) -> Waiting<'a> {
    org.invite("grace@example.com", 1);
    server.advance(0);
    let due = || server.app.store.read(|tx| Ok(outbox::due(tx, server.app.clock.now(), 1)?.1)).expect("read");
    let first = due();
    (left(server, first), Box::new(move || due() > first))
}

fn row(
    name: &'static str,
    task: Option<&'static str>,
    change: fn(&mut Config),
    set_up: for<'a> fn(&'a Server, &'a Org) -> Waiting<'a>,
) -> Row {
    Row { name, task, change, set_up }
}

#[test]
fn everything_that_waits_happens_in_its_time_and_not_before() {
    let rows = [
        row("an invite expires", None, |_| {}, invite_expires),
        row("a session ends", None, |_| {}, session_ends),
        row("a locked account opens", None, |config| config.rate_limit = None, lock_out_ends),
        row("a throttled key is let in", None, |config| config.rate_limit = Some(Switch::On), throttle_ends),
        row("a session is removed", Some("session_cleanup"), |_| {}, session_is_removed),
        row("a run is made", Some("batch_exports"), |_| {}, run_is_made),
        row("a run is tried again", Some("batch_exports"), |_| {}, run_is_tried_again),
        row(
            "an event is removed",
            Some("retention"),
            |config| config.exports.events_days_max = 7,
            event_is_removed,
        ),
        row("a proxy is looked at", Some("proxy_records"), |_| {}, proxy_is_looked_at),
        row("a mail is sent again", Some("mailer"), to_a_refusing_server, mail_is_sent_again),
    ];
    for Row { name, task, change, set_up } in rows {
        let server = frozen(change);
        let org = server.org();
        let (seconds, has_happened) = set_up(&server, &org);
        assert!(!has_happened(), "{name}: before");
        server.advance(seconds - 1);
        assert!(!has_happened(), "{name}: just before");
        let fired = server.advance(2)["fired"].clone();
        assert!(has_happened(), "{name}: just after");
        let names: Vec<&str> =
            fired.as_array().expect("a list").iter().filter_map(|one| one["what"].as_str()).collect();
        assert!(task.is_none_or(|task| names.contains(&task)), "{name}: {fired}");
    }
}

/// Has mails sent to a server that takes none now and lives as long as the process. A test server would keep them.
fn to_a_refusing_server(config: &mut Config) {
    let smtp = Box::leak(Box::new(Smtp::start(Manner::Answers(451))));
    config.testing.test = false;
    config.dev = true;
    config.smtp_url = Some(smtp.url());
}

#[test]
fn an_advance_goes_from_due_time_to_due_time() {
    let server = frozen(|_| {});
    let org = server.org();
    let receiver = Receiver::answering(&[]);
    let export = scheduled_export_to(&org, &receiver.url("/batch/"));
    capture(&server, &org, &[event("seen", "10:00:00")]);
    let answer = server.set_clock(json!({"advance": "72h"}));
    assert_eq!(
        (&answer["now"], &answer["settled"]),
        (&json!("2026-01-04T00:00:00Z"), &json!(true)),
        "{answer}"
    );
    let exports =
        answer["fired"].as_array().expect("a list").iter().find(|one| one["what"] == "batch_exports");
    assert_eq!(
        exports.expect("it was due"),
        &json!({"what": "batch_exports", "at": "2026-01-04T00:00:00Z", "count": 72})
    );
    let path =
        format!("/api/projects/{}/batch_exports/{}/runs/?start=2025-12-31", org.project, text(&export["id"]));
    let all = org.owner.get(&path).json(200);
    let runs = all["results"].as_array().expect("runs");
    assert_eq!(runs.len(), 72, "each hour has a run of its own");
    // Each was made at its time, and not all of them at once.
    for run in runs {
        assert_eq!(run["created_at"], run["data_interval_end"], "{run}");
        assert_eq!(run["status"], "Completed", "{run}");
    }
}

#[test]
fn what_meets_others_takes_its_time_and_the_clock_waits_for_it() {
    let server = frozen(|config| config.exports.export_first_answer_seconds = 24 * 60 * 60);
    let org = server.org();
    capture(&server, &org, &[event("seen", "10:00:00")]);
    // Takes connections, and says nothing.
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let address = silent.local_addr().expect("an address");
    let export = export_to(&org, &format!("http://{address}/batch/"), json!({}));
    backfill(&org, &export, "10:00", "11:00");
    let answer = server.set_clock(json!({"advance": "1h", "wait_s": 0}));
    assert_eq!((&answer["now"], &answer["settled"]), (&json!(START), &json!(false)), "{answer}");
    assert_eq!(answer["open"], json!(["batch_exports"]));
    drop(silent);
}

#[test]
fn the_clock_is_moved_by_one_at_a_time() {
    let server = frozen(|config| config.exports.export_first_answer_seconds = 24 * 60 * 60);
    let org = server.org();
    capture(&server, &org, &[json!({"event": "seen", "distinct_id": "d", "timestamp": START})]);
    let receiver = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let address = receiver.local_addr().expect("an address");
    let export = scheduled_export_to(&org, &format!("http://{address}/batch/"));
    let post = |body: Value| server.anyone().post("/_orgd/clock", body);
    std::thread::scope(|scope| {
        let first = scope.spawn(|| {
            let answer = post(json!({"advance": "2h", "wait_s": 600}));
            // One that did not come past the receiver leaves nobody waiting for it.
            let _ = TcpStream::connect(address);
            answer
        });
        // Closed with this scope, however it ends: the advance goes on then.
        let receiver = receiver;
        let silent = receiver.accept().expect("a connection");
        // The advance has come to the first hour, and waits there for an answer to what was due.
        for body in [json!({"advance": "1s", "wait_s": 0}), json!({"set": "2027-01-01T00:00:00Z"})] {
            let second = post(body);
            assert_eq!((second.status, &second.value()["code"]), (429, &json!("clock_is_moving")));
        }
        assert_eq!(server.anyone().get("/_orgd/clock").json(200)["now"], "2026-01-01T01:00:00Z");
        org.owner.delete(&at(&org, &export, "")).no_content();
        drop(silent);
        let answer = first.join().expect("no panic").json(200);
        assert_eq!(
            (&answer["now"], &answer["settled"]),
            (&json!("2026-01-01T02:00:00Z"), &json!(true)),
            "{answer}"
        );
    });
    assert_eq!(server.advance(1)["now"], "2026-01-01T02:00:01Z", "it is let go of");
}

#[test]
fn a_clock_is_set_back_before_anything_was_written_only() {
    let server = Server::controlled(|_| {});
    for time in ["2030-01-01T00:00:00Z", "2020-01-01T00:00:00Z", START] {
        assert_eq!(server.set_clock(json!({"set": time, "frozen": true}))["now"], time);
    }
    let org = server.org();
    let back = json!({"set": "2025-12-31T23:59:59Z"});
    let refused = server.anyone().post("/_orgd/clock", back);
    assert_eq!((refused.status, refused.value()["code"].as_str()), (409, Some("time_runs_forward")));
    assert_eq!(server.set_clock(json!({"set": START}))["now"], START, "where it stands");
    assert_eq!(server.set_clock(json!({"set": "2026-01-01T00:00:01Z"}))["now"], "2026-01-01T00:00:01Z");
    let role = org.owner.post(&org.at("roles/"), json!({"name": "Engineers"})).json(201);
    assert_eq!(role["created_at"], "2026-01-01T00:00:01Z", "it stands still: {role}");
    let running = server.set_clock(json!({"frozen": false}));
    assert_eq!(running["frozen"], false);
    server.until("it runs", || server.anyone().get("/_orgd/clock").json(200)["now"] != running["now"]);
}

#[test]
fn what_the_clock_cannot_do_is_refused_and_changes_nothing() {
    let server = frozen(|_| {});
    for body in [
        json!({}),
        json!([]),
        json!({"set": START, "advance": "1h"}),
        json!({"set": "yesterday"}),
        json!({"set": 1}),
        json!({"set": "1969-12-31T23:59:59Z"}),
        json!({"set": "9999-01-01T00:00:00Z"}),
        json!({"advance": "1"}),
        json!({"advance": "-1h"}),
        json!({"advance": "1h30m"}),
        json!({"advance": "36601d"}),
        json!({"advance": "9223372036854775807s"}),
        json!({"advance": "1h", "wait_s": 601}),
        json!({"advance": "1h", "wait_s": -1}),
        json!({"advance": "1h", "to": "x"}),
        json!({"frozen": "yes"}),
    ] {
        let answer = server.anyone().post("/_orgd/clock", body.clone());
        assert_eq!(answer.status, 400, "{body}: {}", answer.text());
        assert_eq!(
            server.anyone().get("/_orgd/clock").json(200),
            json!({"now": START, "frozen": true}),
            "{body}"
        );
    }
    let answer = server.set_clock(json!({"advance": "36500d"}));
    assert_eq!(answer["settled"], true, "a hundred years: {answer}");
}

#[test]
fn a_clock_that_jumps_removes_nothing_for_its_age() {
    let server = frozen(|config| config.exports.events_days_max = 7);
    let org = server.org();
    capture(&server, &org, &[event("seen", "10:00:00")]);
    let kept = || server.app.store.read(events::totals).expect("the file is read").events;
    server.set_clock(json!({"set": "2027-01-01T00:00:00Z"}));
    assert_eq!(kept(), 1, "a year at once is no year");
    server.advance(0);
    server.advance(HOUR);
    assert_eq!(kept(), 1);
}

#[test]
fn connections_and_the_log_keep_the_time_of_the_machine() {
    let server = frozen(|config| config.header_seconds_max = 60 * 60);
    let owner = server.org().owner;
    // One that is idle, and one in the middle of a head.
    let open = || TcpStream::connect(server.address).expect("the server listens");
    let (mut idle, mut slow) = (open(), open());
    let send = |stream: &mut TcpStream, text: &str| stream.write_all(text.as_bytes()).expect("it is open");
    let read = |stream: &mut TcpStream| {
        let mut head = [0; 15];
        stream.read_exact(&mut head).expect("an answer");
        assert_eq!(&head, b"HTTP/1.1 200 OK");
    };
    send(&mut idle, "HEAD /_livez HTTP/1.1\r\nHost: a\r\n\r\n");
    read(&mut idle);
    send(&mut slow, "HEAD /_livez HTTP/1.1\r\nHo");
    for _ in 0..3 {
        server.advance(30 * DAY);
        server.pass(Duration::from_secs(1));
        assert_eq!(server.anyone().get("/_livez").status, 200);
    }
    let _ = owner;
    send(&mut slow, "st: a\r\n\r\n");
    read(&mut slow);
    let rest = idle.read(&mut [0; 4096]).expect("the rest of the first head");
    assert!(rest > 0);
    send(&mut idle, "HEAD /_livez HTTP/1.1\r\nHost: a\r\n\r\n");
    read(&mut idle);
    assert!(server.app.task_results.all().values().all(|result| result.took < Duration::from_secs(3600)));
}

#[test]
fn names_that_are_looked_up_do_not_hold_up_the_clock() {
    let dns = NameServer::start();
    let server = frozen(|config| config.dns_server = Some(dns.address));
    let org = server.org();
    org.owner.post(&org.at("proxy_records/"), json!({"domain": "e.example.com"})).json(201);
    let answer = server.advance(4 * DAY);
    let looks = answer["fired"].as_array().expect("a list").iter().find(|one| one["what"] == "proxy_records");
    assert!(looks.expect("it was looked at")["count"].as_u64() > Some(10), "{answer}");
}
