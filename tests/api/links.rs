//! The links of invites: who gets them, what they open, and when they stop to.

use std::net::TcpListener;

use orgd::config::Switch;
use orgd::resources::outbox;
use redb::TableDefinition;
use serde_json::{Value, json};

use crate::support::smtp::{Manner, Smtp};
use crate::support::{Answer, Org, PASSWORD, Person, Server, text};

const UNKNOWN: &str = "The provided invite ID is not valid.";
const TOO_HIGH: &str = "You cannot invite a user with a higher permission level than your own.";
const KEY_TOO_LOW: &str = "An API key gives levels above member only with the scope 'organization:write'.";

fn invite(person: &Person, org: &Org, email: &str, level: u8) -> Answer {
    person.post(&org.at("invites/"), json!({"target_email": email, "level": level}))
}

fn id_of(answer: &Answer) -> String {
    text(&answer.json(201)["id"])
}

fn link(person: &Person, org: &Org, id: &str) -> Answer {
    person.get(&org.at(&format!("invites/{id}/link/")))
}

/// Addresses and levels of the invites that somebody is shown, with their count.
fn seen(person: &Person, org: &Org) -> (Value, Vec<(String, Value)>) {
    let page = person.get(&org.at("invites/")).json(200);
    let rows = page["results"].as_array().expect("rows");
    let rows = rows.iter().map(|row| (text(&row["target_email"]), row["level"].clone())).collect();
    (page["count"].clone(), rows)
}

fn opens(server: &Server, token: &str) -> bool {
    let answer = server.anyone().get(&format!("/api/signup/{token}/"));
    if answer.status != 200 {
        answer.invalid(None, "invalid_input", UNKNOWN);
    }
    answer.status == 200
}

#[test]
fn the_id_of_an_invite_opens_nothing_and_its_token_stands_in_no_answer() {
    let server = Server::start();
    let org = server.org();
    let made = invite(&org.owner, &org, "a@example.com", 15);
    let id = id_of(&made);
    let body = json!({"first_name": "A", "password": PASSWORD});
    let path = format!("/api/signup/{id}/");
    for person in [server.anyone(), server.stranger(), org.member(&server)] {
        person.get(&path).invalid(None, "invalid_input", UNKNOWN);
        person.post(&path, body.clone()).invalid(None, "invalid_input", UNKNOWN);
    }
    let token = org.token_of(&id);
    let shown = link(&org.owner, &org, &id).json(200);
    assert_eq!(shown, json!({"link": org.owner.url(&format!("/signup/{token}"))}));
    let others =
        [made, org.owner.get(&org.at("invites/")), server.anyone().get(&format!("/api/signup/{token}/"))];
    for answer in others {
        assert!(!answer.text().contains(&token), "{}", answer.text());
    }
    server.anyone().post(&format!("/api/signup/{token}/"), body).json(201);
}

#[test]
fn tokens_are_long_and_tell_nothing_of_each_other() {
    let server = Server::start();
    let org = server.org();
    let entries: Vec<Value> = (0..20).map(|n| json!({"target_email": format!("b{n}@example.com")})).collect();
    let made = org.owner.post(&org.at("invites/bulk/"), json!(entries)).json(200);
    let ids = made.as_array().expect("an array").iter().map(|row| text(&row["id"]));
    let mut tokens: Vec<String> = ids.map(|id| org.token_of(&id)).collect();
    for token in &tokens {
        // 32 bytes in base 62, without leading zeros.
        assert!(
            (36..=43).contains(&token.len()) && token.bytes().all(|letter| letter.is_ascii_alphanumeric())
        );
    }
    tokens.sort_unstable();
    for pair in tokens.windows(2) {
        let alike = pair[0].bytes().zip(pair[1].bytes()).take_while(|(a, b)| a == b).count();
        assert!(alike < 12, "{pair:?}");
    }
    let changed = format!("{}{}", &tokens[0][1..], &tokens[0][..1]);
    for odd in [&tokens[0][1..], &tokens[0].to_lowercase(), &changed, "%20", "0"] {
        assert!(!opens(&server, odd), "{odd}");
    }
    assert!(opens(&server, &tokens[0]));
}

#[test]
fn the_link_is_shown_to_those_who_could_send_the_invite() {
    let server = Server::start();
    let (org, other) = (server.org(), server.org());
    let (member, admin) = (org.member(&server), org.admin(&server));
    let ids = [1, 8, 15].map(|level| org.invite(&format!("l{level}@example.com"), level));
    for (person, highest) in [(&member, 1), (&admin, 8), (&org.owner, 15)] {
        let narrow = person.key(&["organization_member:write"]);
        let wide = person.key(&["organization_member:write", "organization:write"]);
        let reads = person.key(&["organization_member:read", "organization:write"]);
        for (id, level) in ids.iter().zip([1, 8, 15]) {
            let of_key = link(&narrow, &org, id);
            link(&reads, &org, id).denied("API key missing required scope 'organization_member:write'");
            if level > highest {
                link(person, &org, id).denied(TOO_HIGH);
                link(&wide, &org, id).denied(TOO_HIGH);
                of_key.denied(TOO_HIGH);
                continue;
            }
            let shown = link(person, &org, id).json(200);
            assert_eq!(link(&wide, &org, id).json(200), shown);
            assert_eq!(link(&person.key(&["*"]), &org, id).json(200), shown);
            match level {
                1 => assert_eq!(of_key.json(200), shown),
                _ => of_key.denied(KEY_TOO_LOW),
            }
            let keys = person.get("/api/personal_api_keys/").json(200);
            let newest = text(&keys[0]["id"]);
            person.delete(&format!("/api/personal_api_keys/{newest}/")).no_content();
        }
    }
    link(&other.owner, &org, &ids[0]).forbidden();
    link(&other.owner, &other, &ids[0]).not_found();
    link(&org.owner, &org, "nope").not_found();
    link(&server.anyone(), &org, &ids[0]).unauthenticated();
    for method in ["POST", "PUT", "PATCH", "DELETE"] {
        org.owner.call(method, &org.at(&format!("invites/{}/link/", ids[0])), &json!({})).not_allowed(method);
    }
}

#[test]
fn members_see_the_invites_up_to_their_own_level() {
    let server = Server::start();
    let org = server.org();
    let (member, admin) = (org.member(&server), org.admin(&server));
    for level in [1, 8, 15] {
        org.invite(&format!("l{level}@example.com"), level);
    }
    org.invite("last@example.com", 1);
    let row = |name: &str, level: u8| (format!("{name}@example.com"), json!(level));
    assert_eq!(seen(&member, &org), (json!(2), vec![row("last", 1), row("l1", 1)]));
    let key = member.key(&["organization_member:read"]);
    assert_eq!(seen(&key, &org), seen(&member, &org));
    let page = member.get(&org.at("invites/?limit=1&offset=1")).json(200);
    assert_eq!((&page["count"], &page["results"][0]["target_email"]), (&json!(2), &json!("l1@example.com")));
    assert_eq!((&page["results"][1], &page["next"]), (&json!(null), &json!(null)));
    let all = (json!(4), vec![row("last", 1), row("l15", 15), row("l8", 8), row("l1", 1)]);
    assert_eq!((seen(&admin, &org), seen(&org.owner, &org)), (all.clone(), all));
}

#[test]
fn nobody_replaces_or_combines_what_they_could_not_send() {
    let server = Server::start();
    let org = server.org();
    let (member, admin) = (org.member(&server), org.admin(&server));
    let narrow = org.owner.key(&["organization_member:write"]);
    let tokens = [8, 15].map(|level| org.token(&format!("l{level}@example.com"), level));
    let before = seen(&org.owner, &org);
    for (person, target, refusal) in [
        (&member, "l8@example.com", TOO_HIGH),
        (&member, "L15@example.com", TOO_HIGH),
        (&admin, "l15@example.com", TOO_HIGH),
        (&narrow, "l8@example.com", KEY_TOO_LOW),
    ] {
        for combine in [true, false] {
            let entry = json!({"target_email": target, "level": 1, "combine_pending_invites": combine});
            person.post(&org.at("invites/"), entry.clone()).denied(refusal);
            let good = json!({"target_email": "good@example.com"});
            person.post(&org.at("invites/bulk/"), json!([good, entry])).denied(refusal);
        }
    }
    assert_eq!(seen(&org.owner, &org), before, "nothing has changed");
    assert!(tokens.iter().all(|token| opens(&server, token)));
    let combined = json!({"target_email": "l8@example.com", "level": 1, "combine_pending_invites": true});
    assert_eq!(admin.post(&org.at("invites/"), combined).json(201)["level"], 8);
    assert!(!opens(&server, &tokens[0]), "the new one has a token of its own");
    server.pass_days(4);
    assert_eq!(invite(&member.logged_in(), &org, "l15@example.com", 1).json(201)["level"], 1);
}

#[test]
fn who_loses_their_level_loses_the_invites_above_the_new_one() {
    let server = Server::start();
    let org = server.org();
    let rest = |org: &Org| seen(&org.owner, org).1.into_iter().map(|(email, _)| email).collect::<Vec<_>>();
    // Who acts, and at which of their levels invites stay open; `None` where they are gone.
    type Act = fn(&Org, &Person);
    let member_of = |org: &Org, person: &Person| org.at(&format!("members/{}/", person.uuid));
    let demoted_to_member: Act = |org, person| {
        let path = org.at(&format!("members/{}/", person.uuid));
        org.owner.patch(&path, json!({"level": 1})).json(200);
    };
    let demoted_to_admin: Act = |org, person| {
        org.owner.put(&org.at(&format!("members/{}/", person.uuid)), json!({"level": 8})).json(200);
    };
    let removed: Act = |org, person| {
        let path = org.at(&format!("members/{}/", person.uuid));
        org.owner.patch(&path, json!({"level": 8})).json(200);
        org.owner.delete(&path).no_content();
    };
    let leaves: Act = |org, person| {
        org.owner.patch(&org.at(&format!("members/{}/", person.uuid)), json!({"level": 8})).json(200);
        person.delete(&org.at("members/@me/")).no_content();
    };
    for (act, kept) in [(demoted_to_member, 1), (demoted_to_admin, 8), (removed, 0), (leaves, 0)] {
        let sender = org.second_owner(&server);
        let mine = org.token("mine@example.com", 15);
        let tokens = [1, 8, 15].map(|level| {
            let id = id_of(&invite(&sender, &org, &format!("l{level}@example.com"), level));
            (level, org.token_of(&id))
        });
        act(&org, &sender);
        for (level, token) in &tokens {
            assert_eq!(opens(&server, token), *level <= kept, "level {level}, kept {kept}");
            let email = format!("l{level}@example.com");
            assert_eq!(rest(&org).contains(&email), *level <= kept, "level {level}, kept {kept}");
        }
        assert!(opens(&server, &mine), "the invites of others stay");
        drop(org.owner.delete(&member_of(&org, &sender)));
    }
}

#[test]
fn a_change_that_takes_no_level_takes_no_invite() {
    let server = Server::start();
    let org = server.org();
    let admin = org.admin(&server);
    let path = org.at(&format!("members/{}/", admin.uuid));
    let token = org.token_of(&id_of(&invite(&admin, &org, "l8@example.com", 8)));
    for body in [json!({}), json!({"level": 8}), json!({"level": 15})] {
        org.owner.patch(&path, body).json(200);
        assert!(opens(&server, &token));
    }
    org.owner.patch(&path, json!({"level": 3})).invalid(
        "level",
        "invalid_choice",
        "\"3\" is not a valid choice.",
    );
    assert!(opens(&server, &token));
}

#[test]
fn the_mail_of_an_invite_that_went_with_its_sender_is_not_sent() {
    let port = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let address = port.local_addr().expect("an address");
    drop(port);
    let server = Server::with(|config| {
        config.smtp_url = Some(format!("smtp://{address}"));
        config.site_url = Some("https://org.example".into());
    });
    let org = server.org();
    org.owner.patch(&org.at(""), json!({"is_member_join_email_enabled": false})).json(200);
    let admin = org.joined(server.somebody("admin"), 8);
    for (email, level) in [("low@example.com", 1), ("high@example.com", 8)] {
        invite(&admin, &org, email, level).json(201);
    }
    let waiting = || {
        let far = server.app.clock.now().plus_seconds(1_000_000_000);
        let mails = server.app.store.read(|tx| outbox::due(tx, far, usize::MAX)).expect("the outbox").0;
        mails.into_iter().map(|(_, mail)| mail.to).filter(|to| *to != admin.email).collect::<Vec<_>>()
    };
    assert_eq!(waiting(), ["low@example.com", "high@example.com"]);
    org.owner.patch(&org.at(&format!("members/{}/", admin.uuid)), json!({"level": 1})).json(200);
    assert_eq!(waiting(), ["low@example.com"]);
    org.owner.delete(&org.at(&format!("members/{}/", admin.uuid))).no_content();
    assert_eq!(json!(waiting()), json!([]));
}

#[test]
fn wrong_tokens_are_limited_by_address_and_right_ones_are_not_counted() {
    let server = Server::with(|config| config.rate_limit = Some(Switch::On));
    let org = server.org();
    let token = org.token("a@example.com", 1);
    let (right, wrong) = (format!("/api/signup/{token}/"), "/api/signup/wrong/");
    for _ in 0..40 {
        server.anyone().get(&right).json(200);
    }
    let password = json!({"first_name": "A", "password": "short"});
    for turn in 0..30 {
        let anyone = server.anyone();
        let answer = if turn % 2 == 0 { anyone.get(wrong) } else { anyone.post(wrong, password.clone()) };
        answer.invalid(None, "invalid_input", UNKNOWN);
    }
    for path in [wrong, &right] {
        for answer in [server.anyone().get(path), server.anyone().post(path, password.clone())] {
            assert_eq!((answer.status, answer.value()["code"].clone()), (429, json!("throttled")));
            let seconds: u32 = answer.header("retry-after").parse().expect("a number");
            assert!((1..=600).contains(&seconds), "{seconds}");
        }
    }
    org.owner.me();
    server.pass(std::time::Duration::from_secs(600));
    server.anyone().get(&right).json(200);
}

#[test]
fn a_mail_that_waits_holds_no_token() {
    let refusing = Smtp::start(Manner::Answers(451));
    let url = refusing.url();
    let server = Server::with(|config| {
        config.smtp_url = Some(url);
        config.site_url = Some("https://org.example".into());
    });
    let org = server.org();
    let token = org.token("a@example.com", 8);
    let far = server.app.clock.now().plus_seconds(1_000_000_000);
    let mails = server.app.store.read(|tx| outbox::due(tx, far, usize::MAX)).expect("the outbox").0;
    let mail = format!("{mails:?}");
    assert!(mail.contains("https://org.example/signup/") && !mail.contains(&token), "{mail}");
}

/// Lets somebody's level change in the file without anything else.
fn set_level_in_file(file: &std::path::Path, user: &str, level: u8) {
    type Raw<'a> = TableDefinition<'a, &'static [u8], &'static [u8]>;
    // The version, then the length and the bytes of the membership's id.
    const LEVEL_AT: usize = 1 + 1 + 16;
    let user = uuid::Uuid::parse_str(user).expect("an id").into_bytes();
    let database = redb::Database::open(file).expect("our file");
    let writing = database.begin_write().expect("a transaction");
    {
        let mut members = writing.open_table(Raw::new("members_by_user")).expect("a table");
        let (key, mut member) = redb::ReadableTable::iter(&members)
            .expect("rows")
            .map(|row| row.expect("a row"))
            .map(|(key, value)| (key.value().to_vec(), value.value().to_vec()))
            .find(|(key, _)| key.starts_with(&user))
            .expect("a membership");
        assert_eq!(member[LEVEL_AT], 8);
        member[LEVEL_AT] = level;
        members.insert(key.as_slice(), member.as_slice()).expect("a row");
    }
    writing.commit().expect("a commit");
}

#[test]
fn an_invite_whose_sender_could_not_send_it_any_more_never_opens() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("orgd.redb");
    let (org, admin, tokens);
    {
        let server = Server::on_file(&file);
        org = server.org();
        admin = org.admin(&server);
        tokens = [1, 8].map(|level| {
            org.token_of(&id_of(&invite(&admin, &org, &format!("l{level}@example.com"), level)))
        });
    }
    set_level_in_file(&file, &admin.uuid, 1);
    let server = Server::on_file(&file);
    assert_eq!(tokens.each_ref().map(|token| opens(&server, token)), [true, false]);
    let body = json!({"first_name": "A", "password": PASSWORD});
    let accept = |token: &str| server.anyone().post(&format!("/api/signup/{token}/"), body.clone());
    accept(&tokens[1]).invalid(None, "invalid_input", UNKNOWN);
    assert_eq!(server.stranger().post(&format!("/api/signup/{}/", tokens[1]), json!({})).status, 400);
    accept(&tokens[0]).json(201);
}

#[test]
fn a_link_that_was_sealed_with_another_key_is_not_shown_but_still_opens_until_that_key_is_given_up() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("orgd.redb");
    let start = |key: &str, is_new: bool| {
        let key = key.repeat(32);
        Server::open(orgd::store::Storage::File(file.clone()), move |config| {
            config.open_signup = true;
            config.exports.secret_key = Some(key);
            config.new_secret_key = is_new;
        })
    };
    let (org, id, token);
    {
        let server = start("a", false);
        org = server.org();
        id = org.invite("a@example.com", 8);
        token = org.token_of(&id);
    }
    {
        let server = start("b", false);
        let owner = org.owner.moved_to(&server);
        let detail = "The link of this invite was sealed with another secret key. Send the invite again.";
        link(&owner, &org, &id).invalid(None, "invalid_input", detail);
        assert!(opens(&server, &token));
    }
    let server = start("b", true);
    let org = Org { owner: org.owner.moved_to(&server), ..org };
    let renewed = org.token_of(&id);
    assert!(!opens(&server, &token));
    assert!(opens(&server, &renewed));
    assert!(opens(&server, &org.token("a@example.com", 8)));
}
