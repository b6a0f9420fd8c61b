//! A fork sees what was there when it was made, and what was written to it.

use std::sync::atomic::{AtomicUsize, Ordering};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};

use super::{Fork, keep, roles, still};
use crate::support::{Org, Person, Server, text};

/// How many different programmes of writes there are.
const PROGRAMMES: usize = 6;
const WRITES: usize = 5;

/// How many forks are made: more by a variable, for a long run.
fn forks() -> usize {
    let wanted = std::env::var("ORGD_TESTS_FORKS").ok();
    wanted.map_or(24, |number| number.parse().expect("a number"))
}

/// Random writes of one programme, and what they and the lists afterwards are answered, to the letter.
fn run(programme: usize, owner: &Person, org: &Org) -> Vec<(u16, String)> {
    let mut random = StdRng::seed_from_u64(programme as u64);
    let mut said = Vec::new();
    for number in 0..WRITES {
        let name = format!("Number {number} of {programme}");
        let answer = match random.random_range(0..6) {
            0 => owner.post(&org.at("roles/"), json!({"name": name})),
            1 => {
                let email = format!("p{number}-{programme}@example.com");
                owner.post(&org.at("invites/"), json!({"target_email": email, "level": 8}))
            }
            2 => owner.post(&org.at("projects/"), json!({"name": name})),
            3 => owner.patch(&org.at(""), json!({"name": name})),
            4 => owner.patch(&org.project_at(""), json!({"name": name})),
            _ => owner.post("/api/personal_api_keys/", json!({"label": name, "scopes": ["*"]})),
        };
        said.push((answer.status, answer.text()));
    }
    for tail in ["roles/", "invites/", "projects/", "members/", ""] {
        let answer = owner.get(&org.at(tail));
        said.push((answer.status, answer.text()));
    }
    said
}

/// A server on which something was done, the same each time.
fn begun() -> (Server, Org) {
    let server = still();
    let org = server.org();
    org.owner.post(&org.at("roles/"), json!({"name": "Before"})).json(201);
    (server, org)
}

#[test]
fn forks_that_are_written_to_at_the_same_time_are_each_like_a_server_of_its_own() {
    let wanted: Vec<Vec<(u16, String)>> = (0..PROGRAMMES)
        .map(|programme| {
            let (_server, org) = begun();
            run(programme, &org.owner, &org)
        })
        .collect();
    assert!(wanted.iter().flatten().all(|(status, _)| [200, 201].contains(status)), "{wanted:?}");
    let (server, org) = begun();
    keep(&server.anyone(), "seeded");
    let rows = server.rows();
    let all: Vec<Fork> = (0..forks())
        .map(|_| Fork::wanted(&server.anyone(), json!({"of": "seeded", "ttl_s": 3600})))
        .collect();
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                while let Some((number, fork)) =
                    all.iter().enumerate().nth(next.fetch_add(1, Ordering::Relaxed))
                {
                    let said = run(number % PROGRAMMES, &fork.to(&org.owner), &org);
                    assert_eq!(said, wanted[number % PROGRAMMES], "{}", fork.id);
                }
            });
        }
    });
    assert!(server.rows() == rows, "nothing of it is in the server that they were made of");
    for fork in all.iter().take(PROGRAMMES) {
        server.anyone().delete(&format!("{}?check=true", fork.path())).no_content();
    }
}

#[test]
fn what_is_written_later_is_seen_by_whom_it_was_written_to_only() {
    let server = Server::controlled(|_| {});
    let org = server.org();
    let path = org.at("roles/");
    let add = |person: &Person, name: &str| drop(person.post(&path, json!({"name": name})).json(201));
    let control = server.anyone();
    add(&org.owner, "A");
    keep(&control, "one");
    let first = Fork::of(&control);
    add(&org.owner, "Main");
    add(&first.to(&org.owner), "First");
    // A fork of a fork, and of a snapshot that was made on a fork.
    let second = Fork::of(&first.to(&control));
    keep(&second.to(&control), "two");
    add(&second.to(&org.owner), "Second");
    let third = Fork::wanted(&control, json!({"of": "two"}));
    let fourth = Fork::wanted(&second.to(&control), json!({"of": "one"}));
    add(&third.to(&org.owner), "Third");
    control.delete(&first.path()).no_content();
    control.delete("/_orgd/snapshots/one/").no_content();
    for (person, wanted) in [
        (org.owner.clone(), &["A", "Main"][..]),
        (second.to(&org.owner), &["A", "First", "Second"]),
        (third.to(&org.owner), &["A", "First", "Third"]),
        (fourth.to(&org.owner), &["A"]),
    ] {
        assert_eq!(roles(&person, &path), wanted);
    }
}

#[test]
fn a_long_line_of_forks_of_forks_is_as_good_as_one() {
    let server = Server::controlled(|_| {});
    let org = server.org();
    let path = org.at("roles/");
    let mut control = server.anyone();
    for number in 0..20 {
        let fork = Fork::of(&control);
        fork.to(&org.owner).post(&path, json!({"name": format!("{number:02}")})).json(201);
        assert_eq!(roles(&fork.to(&org.owner), &path).len(), number + 1);
        control = fork.to(&control);
    }
    assert_eq!(roles(&org.owner, &path).len(), 0);
    let overview = server.anyone().get("/_orgd/").json(200);
    for fork in overview["forks"].as_array().expect("forks") {
        let path = format!("/_orgd/forks/{}/?check=true", text(&fork["id"]));
        server.anyone().delete(&path).no_content();
    }
}

#[test]
fn everything_besides_data_is_of_its_own_as_well() {
    let server = still();
    let org = server.org();
    let control = server.anyone();
    let token = text(&org.owner.me()["team"]["api_token"]);
    let names = json!({"a.example": {"TXT": ["x"]}});
    control.put("/_orgd/dns/", names.clone()).json(200);
    crate::test_server::fail(
        &server,
        json!([{"match": {"path": "/api/users/{id}/"}, "times": 1, "answer": {"status": 503}}]),
    );
    org.owner.get("/api/users/@me/").json(503);
    let fork = Fork::of(&control);
    let (there, owner) = (fork.to(&control), fork.to(&org.owner));
    // It was given the same to do, and has seen nothing.
    assert_eq!(there.get("/_orgd/dns/").json(200), names);
    assert_eq!(there.get("/_orgd/faults/x1/").json(200)["fired"], 0);
    owner.get("/api/users/@me/").json(503);
    owner.get("/api/users/@me/").json(200);
    assert_eq!(there.get("/_orgd/requests/").json(200)["count"], 2);
    assert_eq!(there.get("/_orgd/requests/").json(200)["requests"][0]["n"], 1);
    assert_eq!(there.get("/_orgd/mails/").json(200).as_array().expect("mails").len(), 0);
    assert_eq!(there.get("/_orgd/").json(200)["seen"]["requests"], 2);
    // What is changed there is changed there alone.
    there.delete("/_orgd/dns/").no_content();
    there.delete("/_orgd/faults/").no_content();
    there.post("/_orgd/clock", json!({"advance": "72h"})).json(200);
    let event = json!({"api_key": token, "event": "there", "distinct_id": "ada"});
    there.post("/e/", event).json(200);
    let unknown = json!({"api_key": "phc_nobody_has_this", "event": "there", "distinct_id": "ada"});
    there.post("/e/", unknown).json(200);
    owner.post(&org.at("invites/"), json!({"target_email": "grace@example.com"})).json(201);
    let mails = |person: &Person| person.get("/_orgd/mails/?to=grace@example.com").json(200);
    let events = |person: &Person| person.get("/_orgd/events/").json(200);
    assert_eq!(mails(&there).as_array().expect("mails").len(), 1);
    assert_eq!(
        (events(&there)["events"].as_array().expect("events").len(), &events(&there)["unknown_token"]),
        (1, &json!(1))
    );
    assert_eq!(control.get("/_orgd/dns/").json(200), names);
    assert_eq!(control.get("/_orgd/faults/").json(200)["faults"].as_array().expect("rules").len(), 1);
    assert_eq!(control.get("/_orgd/clock").json(200), json!({"now": super::START, "frozen": true}));
    assert_eq!((mails(&control), &events(&control)["events"]), (json!([]), &json!([])));
    assert_eq!(events(&control)["unknown_token"], 0);
    // A fork's clock may be set back before it was written to, and no later.
    let late = Fork::of(&there);
    let back = json!({"set": "2025-01-01T00:00:00Z"});
    assert_eq!(there.post("/_orgd/clock", back.clone()).status, 409);
    assert_eq!(late.to(&control).post("/_orgd/clock", back).json(200)["now"], "2025-01-01T00:00:00Z");
}

#[test]
fn who_is_locked_out_of_one_is_let_into_another() {
    let server = Server::controlled(|config| config.rate_limit = None);
    let org = server.org();
    let log_in = |person: &Person, password: &str| {
        person.post("/api/login/", json!({"email": org.owner.email, "password": password}))
    };
    while log_in(&server.anyone(), "wrong").status != 403 {}
    let fork = Fork::of(&server.anyone());
    assert_eq!(log_in(&fork.to(&server.anyone()), crate::support::PASSWORD).status, 200);
    assert_eq!(log_in(&server.anyone(), crate::support::PASSWORD).status, 403);
    server.anyone().post("/_orgd/reset/", json!({})).no_content();
}

/// The forks whose data is open.
fn open(server: &Server) -> usize {
    let forks = server.anyone().get("/_orgd/forks/").json(200);
    forks["forks"].as_array().expect("forks").iter().filter(|fork| fork["open"] == true).count()
}

#[test]
fn forks_that_nobody_uses_are_closed_and_open_again_as_they_were() {
    const FORKS: usize = 270;
    let server = still();
    let org = server.org();
    let path = org.at("roles/");
    let all: Vec<Fork> = (0..FORKS).map(|_| Fork::of(&server.anyone())).collect();
    assert_eq!(open(&server), 0, "a fork is opened by its first request");
    let rule = json!({"match": {"path": "/api/nothing/"}, "any_path": true, "reset": true});
    for fork in &all {
        fork.to(&org.owner).post(&path, json!({"name": fork.id})).json(201);
        fork.to(&server.anyone()).post("/_orgd/faults/", rule.clone()).json(201);
    }
    assert!(open(&server) <= 256, "{}", open(&server));
    let identifier = |fork: &Fork| {
        let made = fork.to(&org.owner).post(&path, json!({"name": "Next"})).json(201);
        // Without the time at its front.
        text(&made["id"])[14..].to_owned()
    };
    let next = identifier(&all[FORKS - 1]);
    for fork in &all {
        assert_eq!(roles(&fork.to(&org.owner), &path).first(), Some(&fork.id));
        let there = fork.to(&server.anyone());
        assert_eq!(
            there.get("/_orgd/requests/?method=POST").json(200)["count"],
            if fork.id == all[FORKS - 1].id { 2 } else { 1 }
        );
        assert_eq!(there.get("/_orgd/faults/").json(200)["faults"].as_array().map(Vec::len), Some(1));
        let settled: Value = there.post("/_orgd/clock", json!({"advance": "1s"})).json(200);
        assert_eq!(settled["settled"], true, "its tasks are there again: {settled}");
    }
    assert_eq!(identifier(&all[0]), next, "identifiers go on where they were");
    assert!(open(&server) <= 256);
    for fork in &all {
        server.anyone().delete(&fork.path()).no_content();
    }
}
