//! Text that is not quite Unicode, not quite JSON, or in another wrapping: what can be mended is stored.

use std::io::Write;
use std::time::Duration;

use base64::Engine;
use flate2::Compression;
use flate2::write::{GzEncoder, ZlibEncoder};
use orgd::ids::ProjectId;
use orgd::resources::events;
use serde_json::{Value, json};
use ureq::http::Method;

use crate::support::exports::{completed, last_run, log, scheduled_export_to, token};
use crate::support::{Answer, Org, Receiver, Server, text};

fn kept(server: &Server, org: &Org) -> u64 {
    let project = ProjectId(u32::try_from(org.project).expect("a small number"));
    server.app.store.read(|tx| events::count(tx, project)).expect("the file can be read")
}

fn send(server: &Server, path: &str, body: impl Into<Vec<u8>>) -> Answer {
    server.anyone().send(Method::POST, path, body, &[("content-type", "text/plain")])
}

/// What a scheduled run delivers.
fn delivered(server: &Server, org: &Org, count: usize) -> Vec<Value> {
    let receiver = Receiver::answering(&[]);
    let export = scheduled_export_to(org, &receiver.url("/"));
    server.pass(Duration::from_secs(3600));
    completed(&last_run(server, org, &export), count);
    receiver.events()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut packer = GzEncoder::new(Vec::new(), Compression::fast());
    packer.write_all(bytes).expect("memory takes all");
    packer.finish().expect("memory takes all")
}

fn zlib(bytes: &[u8]) -> Vec<u8> {
    let mut packer = ZlibEncoder::new(Vec::new(), Compression::best());
    packer.write_all(bytes).expect("memory takes all");
    packer.finish().expect("memory takes all")
}

#[test]
fn what_is_no_character_or_no_number_costs_no_event() {
    let server = Server::start();
    let org = server.org();
    let values = [
        (r#""cut \ud83d""#, json!("cut \u{fffd}")),
        (r#""\udc00""#, json!("\u{fffd}")),
        (r#""\ude00\ud83d""#, json!("\u{fffd}\u{fffd}")),
        (r#""\ud83d\ude00""#, json!("😀")),
        (r#""\\ud83d""#, json!("\\ud83d")),
        ("NaN", json!(null)),
        ("[Infinity, -Infinity, 1]", json!([null, null, 1])),
        ("1e400", json!(null)),
        ("-1e400", json!(null)),
        (r#"{"\ud800": 1}"#, json!({"\u{fffd}": 1})),
    ];
    let mut sent = 0;
    for (value, _) in &values {
        let event = format!(r#"{{"event": "e", "distinct_id": "d", "properties": {{"v": {value}}}}}"#);
        let good = r#"{"event": "good", "distinct_id": "d"}"#;
        let batch = format!(r#"{{"api_key": "{}", "batch": [{event}, {good}]}}"#, token(&org));
        for body in [batch.as_bytes().to_vec(), gzip(batch.as_bytes())] {
            send(&server, "/batch/", body).json(200);
            sent += 2;
        }
    }
    let token = token(&org);
    for (name, id) in [("n\\ud83d", "d"), ("n", "\\udc00")] {
        let body = format!(r#"{{"event": "{name}", "distinct_id": "{id}", "api_key": "{token}"}}"#);
        send(&server, "/e/", body).json(200);
        sent += 1;
    }
    // Bytes that are no UTF-8, as old Java writes what is beyond the first plane.
    let mut body =
        format!(r#"{{"event": "bytes", "distinct_id": "d", "api_key": "{token}", "properties": {{"v": ""#)
            .into_bytes();
    body.extend_from_slice(b"a\xffb\xed\xa0\xbd\"}}");
    send(&server, "/e/", body).json(200);
    sent += 1;
    let all = delivered(&server, &org, sent);
    let shown: Vec<&Value> =
        all.iter().filter(|event| event["event"] == "e").map(|event| &event["properties"]["v"]).collect();
    let wanted: Vec<&Value> = values.iter().flat_map(|(_, wanted)| [wanted, wanted]).collect();
    assert_eq!(shown, wanted);
    assert!(all.iter().any(|event| event["event"] == "n\u{fffd}"));
    assert!(all.iter().any(|event| event["distinct_id"] == "\u{fffd}"));
    let bytes = all.iter().find(|event| event["event"] == "bytes").expect("it was kept");
    assert_eq!(bytes["properties"]["v"], "a\u{fffd}b\u{fffd}");
}

#[test]
fn what_is_no_json_at_all_is_still_refused() {
    let server = Server::start();
    let org = server.org();
    let token = token(&org);
    for body in [
        format!(r#"{{"event": "e", "distinct_id": "d", "api_key": "{token}", "v": NaN"#),
        format!(r#"{{"event": "e", "distinct_id": "d", "api_key": "{token}", "v": nan}}"#),
        format!(r#"{{"event": "e", "distinct_id": "d", "api_key": "{token}", "v": "\ud83d}}"#),
        format!(r#"{{"event": "e", "distinct_id": "d", "api_key": "{token}", "v": NaNa}}"#),
        "NaN".to_owned(),
    ] {
        let answer = send(&server, "/e/", body.clone());
        assert_eq!(answer.status, 400, "{body}");
    }
    assert_eq!(kept(&server, &org), 0);
}

#[test]
fn half_a_character_in_any_body_of_the_api_is_replaced_and_no_number_refused() {
    let server = Server::start();
    let org = server.org();
    let send = |path: &str, body: &str| {
        org.owner.send(Method::PATCH, path, body.to_owned(), &[("content-type", "application/json")])
    };
    let path = format!("/api/organizations/{}/", org.id);
    assert_eq!(send(&path, r#"{"name": "cut \ud83d"}"#).json(200)["name"], "cut \u{fffd}");
    let project = org.project_at("");
    let changed = send(&project, r#"{"test_account_filters": [{"key": "\udc00", "value": 1}]}"#).json(200);
    assert_eq!(changed["test_account_filters"][0]["key"], "\u{fffd}");
    for number in ["NaN", "Infinity", "1e400"] {
        let answer = send(&project, &format!(r#"{{"test_account_filters": [{number}]}}"#));
        assert_eq!(answer.json(400)["code"], "parse_error", "{number}");
    }
    let form = "name=x&test_account_filters=%5B%22%5Cud83d%22%5D";
    let changed = org.owner.send_form(Method::PATCH, &project, form).json(200);
    assert_eq!(changed["test_account_filters"], json!(["\u{fffd}"]));
}

#[test]
fn integers_of_any_length_stay_as_they_were_sent() {
    const LONG: &str = "123456789012345678901234567890";
    let server = Server::start();
    let org = server.org();
    let send_json = |method: Method, path: &str, body: String| {
        org.owner.send(method, path, body, &[("content-type", "application/json")])
    };
    let path = format!("/api/organizations/{}/", org.id);
    assert_eq!(send_json(Method::PATCH, &path, format!(r#"{{"name": {LONG}}}"#)).json(200)["name"], LONG);
    let answer = send_json(
        Method::PATCH,
        &org.project_at(""),
        format!(r#"{{"test_account_filters": [{LONG}, 0.1, 7]}}"#),
    );
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert!(answer.text().contains(&format!("[{LONG},0.1,7]")), "{}", answer.text());
    // What must be a number of a certain size says so.
    let level = send_json(
        Method::POST,
        &org.at("invites/"),
        format!(r#"{{"target_email": "a@b.co", "level": {LONG}}}"#),
    );
    assert!(level.reason().contains("is not a valid choice"));
    let event = format!(
        r#"{{"event": "e", "distinct_id": {LONG}, "api_key": "{}", "properties": {{"v": {LONG}, "n": -{LONG}, "$set": {{"p": {LONG}}}}}}}"#,
        token(&org)
    );
    send(&server, "/e/", event).json(200);
    let receiver = Receiver::answering(&[]);
    let export = scheduled_export_to(&org, &receiver.url("/"));
    server.pass(Duration::from_secs(3600));
    completed(&last_run(&server, &org, &export), 1);
    let body = String::from_utf8(receiver.received()[0].body.clone()).expect("text");
    for part in
        [format!("\"v\":{LONG}"), format!("\"n\":-{LONG}"), format!("\"p\":{LONG}"), format!("\"{LONG}\"")]
    {
        assert!(body.contains(&part), "{part}: {body}");
    }
}

#[test]
fn every_wrapping_is_undone() {
    let server = Server::start();
    let org = server.org();
    let event = json!({"event": "e", "distinct_id": "d", "api_key": token(&org)}).to_string();
    let marked = format!("\u{feff}{event}");
    let encoded = |bytes: &[u8]| base64::engine::general_purpose::STANDARD.encode(bytes);
    let quoted = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    let mut sent = 0;
    for body in [
        marked.clone().into_bytes(),
        gzip(marked.as_bytes()),
        zlib(event.as_bytes()),
        zlib(marked.as_bytes()),
        format!("data={}", quoted(&encoded(marked.as_bytes()))).into_bytes(),
        format!("data={}", quoted(&encoded(&gzip(event.as_bytes())))).into_bytes(),
        format!("data=x&data={}&compression=base64", quoted(&encoded(event.as_bytes()))).into_bytes(),
    ] {
        assert_eq!(send(&server, "/e/", body).json(200), json!({"status": 1}));
        sent += 1;
    }
    for path in ["/e/", "/e", "/capture/", "/track/", "/i/v0/e/", "/engage/"] {
        for data in [encoded(event.as_bytes()), event.clone(), encoded(&zlib(event.as_bytes()))] {
            let path = format!("{path}?ip=0&_=1717243200000&data={}", quoted(&data));
            assert_eq!(server.anyone().get(&path).json(200), json!({"status": 1}));
            sent += 1;
        }
    }
    let beacon = format!("/e/?beacon=1&data={}", quoted(&event));
    assert_eq!(server.anyone().get(&beacon).status, 204);
    assert_eq!(send(&server, "/e/?beacon=1", event).status, 204);
    assert_eq!(kept(&server, &org), sent + 2);
    for (path, sentence) in [
        ("/e/", "request holds no event"),
        ("/e/?data=", "request holds no event"),
        ("/e/?data=%25", "failed to decode request: invalid base64 data"),
        ("/e/?data=%7B", "failed to parse request"),
    ] {
        let answer = server.anyone().get(path);
        assert_eq!(answer.status, 400, "{path}");
        assert!(answer.text().starts_with(sentence), "{path}: {}", answer.text());
    }
    for body in [&b"x\x9cnonsense"[..], b"\x1f\x8b\x08nonsense"] {
        assert!(send(&server, "/e/", body).text().starts_with("failed to decode request"));
    }
}

#[test]
fn recordings_are_taken_and_kept_nowhere() {
    let server = Server::start();
    let org = server.org();
    let event = json!({"event": "$snapshot", "distinct_id": "d", "api_key": token(&org)}).to_string();
    for path in ["/s/", "/s", "/s/?compression=gzip-js"] {
        assert_eq!(send(&server, path, event.clone()).json(200), json!({"status": 1}));
        assert_eq!(send(&server, path, "nonsense").json(200), json!({"status": 1}));
    }
    assert_eq!(kept(&server, &org), 0);
}

#[test]
fn an_unknown_token_is_taken_unless_somebody_moves_events() {
    let server = Server::start();
    let org = server.org();
    let old = token(&org);
    org.owner.patch(&org.project_at("reset_token/"), json!({})).json(200);
    let batch = |token: &str, is_migration: bool| {
        let event = json!({"event": "e", "distinct_id": "d"});
        json!({"api_key": token, "historical_migration": is_migration, "batch": [event]}).to_string()
    };
    for token in ["phc_nosuch", old.as_str()] {
        assert_eq!(send(&server, "/batch/", batch(token, false)).json(200), json!({"status": 1}));
        let answer = send(&server, "/batch/", batch(token, true));
        assert_eq!((answer.status, answer.text().as_str()), (401, "API key is not valid: unknown"));
    }
    send(&server, "/batch/", batch(&token(&org), true)).json(200);
    assert_eq!(kept(&server, &org), 1);
}

#[test]
fn an_export_to_a_server_that_does_not_know_the_token_fails() {
    let (server, other) = (Server::start(), Server::start());
    let (org, theirs) = (server.org(), other.org());
    let export_with = |token: &str| {
        let config = json!({"url": format!("http://{}/batch/", other.address), "token": token});
        crate::support::exports::export_to(&org, "http://x.example/", config)
    };
    crate::support::exports::capture(&server, &org, &[crate::support::exports::event("e", "10:00:00")]);
    let old = token(&theirs);
    theirs.owner.patch(&theirs.project_at("reset_token/"), json!({})).json(200);
    for wrong in ["phc_nosuch", old.as_str()] {
        let lost = export_with(wrong);
        crate::support::exports::backfill(&org, &lost, "10:00", "11:00");
        let run = last_run(&server, &org, &lost);
        let why = "NonRetryableResponseError: NonRetryableResponseError (status: 401): (what a server in a private network answers is not shown). The receiver does not know the token";
        assert_eq!((&run["status"], &run["latest_error"]), (&json!("Failed"), &json!(why)));
        server.until("the backfill is over", || log(&org, &lost, "Finished exporting historical").len() == 1);
        let lines = log(&org, &lost, "");
        assert!(lines[0].contains("1 failed"), "{lines:?}");
        assert!(lines[1].ends_with(why), "{lines:?}");
        assert_eq!(kept(&other, &theirs), 0);
    }
    let right = export_with(&token(&theirs));
    crate::support::exports::backfill(&org, &right, "10:00", "11:00");
    completed(&last_run(&server, &org, &right), 1);
    assert_eq!(kept(&other, &theirs), 1);
}

#[test]
fn a_refused_batch_says_which_event_and_why() {
    let server = Server::start();
    let org = server.org();
    let good = json!({"event": "e", "distinct_id": "d"});
    for (bad, why) in [
        (json!({"event": "e"}), "event submitted without a distinct_id"),
        (json!({"distinct_id": "d"}), "event submitted with an empty event name"),
        (json!({"event": "e", "distinct_id": "d", "uuid": "x"}), "event submitted with an invalid uuid"),
        (json!([]), "failed to parse request: an event is not an object"),
    ] {
        let body = json!({"api_key": token(&org), "batch": [good, good, bad, good]});
        let answer = send(&server, "/batch/", body.to_string());
        let wanted = format!("{why}: event 2 of the batch, counted from 0");
        assert_eq!((answer.status, answer.text()), (400, wanted));
    }
    assert_eq!(kept(&server, &org), 0);
}

#[test]
fn names_beyond_ascii_are_names() {
    let server = Server::start();
    let org = server.org();
    let invite = org.owner.post(&org.at("invites/"), json!({"target_email": "ada@bücher.example"})).json(201);
    assert_eq!(invite["target_email"], "ada@bücher.example");
    for bad in ["ädä@example.com", "ada@ü", "ada@ü..example"] {
        org.owner.post(&org.at("invites/"), json!({"target_email": bad})).reason();
    }
    for (name, stored) in [
        ("bücher.example", "xn--bcher-kva.example"),
        ("пример.рф", "xn--e1afmkfd.xn--p1ai"),
        ("xn--mnchen-3ya.example", "xn--mnchen-3ya.example"),
    ] {
        assert_eq!(org.owner.post(&org.at("domains/"), json!({"domain": name})).json(201)["domain"], stored);
        let record =
            org.owner.post(&org.at("proxy_records/"), json!({"domain": format!("e.{name}")})).json(201);
        assert_eq!(record["domain"], format!("e.{stored}"));
    }
    let again = org.owner.post(&org.at("domains/"), json!({"domain": "BÜCHER.example"}));
    assert!(again.reason().contains("already exists"));
}

#[test]
fn of_a_form_field_that_comes_again_the_last_counts() {
    let server = Server::start();
    let org = server.org();
    let path = format!("/api/organizations/{}/", org.id);
    let changed = org.owner.send_form(Method::PATCH, &path, "name=First&name=Second").json(200);
    assert_eq!(changed["name"], "Second");
    let urls = "app_urls=https%3A%2F%2Fa.example&app_urls=https%3A%2F%2Fb.example&timezone=UTC&timezone=Asia%2FTokyo";
    let changed = org.owner.send_form(Method::PATCH, &org.project_at(""), urls).json(200);
    assert_eq!(changed["app_urls"], json!(["https://a.example", "https://b.example"]));
    assert_eq!(changed["timezone"], "Asia/Tokyo");
    let key = text(
        &org.owner.post("/api/personal_api_keys/", json!({"label": "k", "scopes": ["*"]})).json(201)["value"],
    );
    let form = format!("personal_api_key=phx_wrong&personal_api_key={key}&name=Third");
    let changed = server.anyone().send_form(Method::PATCH, &path, &form).json(200);
    assert_eq!(changed["name"], "Third");
}

#[test]
fn a_body_is_read_in_the_encoding_that_it_says_and_uses() {
    let server = Server::start();
    let org = server.org();
    let wide = |text: &str| text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>();
    let latin =
        |text: &str| text.chars().map(|letter| u8::try_from(letter).expect("Latin 1")).collect::<Vec<u8>>();
    let json = "{\"name\": \"Müßig\"}";
    for (kind, body, name) in [
        ("application/json; charset=iso-8859-1", latin(json), "Müßig"),
        ("application/json; charset=ISO-8859-1", json.as_bytes().to_vec(), "Müßig"),
        ("application/json; charset=windows-1252", b"{\"name\": \"\x80\"}".to_vec(), "€"),
        ("application/json; charset=utf-16", [b"\xff\xfe".to_vec(), wide(json)].concat(), "Müßig"),
        ("application/json; charset=us-ascii", b"{\"name\": \"A\"}".to_vec(), "A"),
        ("application/json; charset=klingon", json.as_bytes().to_vec(), "Müßig"),
        (
            "application/x-www-form-urlencoded; charset=iso-8859-1",
            b"name=M%FC%DFig+a%26b".to_vec(),
            "Müßig a&b",
        ),
        ("application/x-www-form-urlencoded; charset=utf-8", b"name=M%C3%BC&x".to_vec(), "Mü"),
        ("application/x-www-form-urlencoded; charset=ISO-8859-1", b"name=M%C3%BC".to_vec(), "Mü"),
    ] {
        let changed = org.owner.send(Method::PATCH, &org.at(""), body, &[("content-type", kind)]);
        assert_eq!(changed.json(200)["name"], name, "{kind}");
    }
    let refused =
        org.owner.send(Method::PATCH, &org.at(""), latin(json), &[("content-type", "application/json")]);
    assert_eq!(refused.json(400)["code"], "parse_error");
    // Of captured events too, packed or not.
    let event = |name: &str| {
        format!("{{\"event\": \"{name}\", \"distinct_id\": \"d\", \"api_key\": \"{}\"}}", token(&org))
    };
    for (kind, body) in [
        ("application/json; charset=iso-8859-1", latin(&event("Grüße"))),
        ("text/plain; charset=iso-8859-1", gzip(&latin(&event("Grüße")))),
        ("application/json; charset=utf-16le", wide(&event("Grüße"))),
        ("text/plain; charset=latin1", event("Grüße").into_bytes()),
    ] {
        server.anyone().send(Method::POST, "/e/", body, &[("content-type", kind)]).json(200);
    }
    for event in delivered(&server, &org, 4) {
        assert_eq!(event["event"], "Grüße");
    }
}
