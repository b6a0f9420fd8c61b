//! Invites: made one by one or in bulk, replaced, used, expired, taken back.

use serde_json::{Value, json};

use crate::support::{Org, PASSWORD, Person, Server, text};

fn invite(person: &Person, org: &Org, body: Value) -> crate::support::Answer {
    person.post(&org.at("invites/"), body)
}

fn listed(org: &Org) -> Vec<Value> {
    org.owner.get(&org.at("invites/")).results()
}

#[test]
fn an_invite_shows_exactly_the_fields_of_the_page() {
    let server = Server::start();
    let org = server.org();
    let body = json!({"target_email": "New.One@EXAMPLE.com", "first_name": "N", "level": 8, "message": "hi", "id": "x"});
    let mut made = invite(&org.owner, &org, body).json(201);
    assert_eq!(listed(&org), [made.clone()]);
    for name in ["id", "created_at", "updated_at"] {
        assert!(made[name].take().is_string(), "{name}");
    }
    assert_eq!(made["created_by"].take()["uuid"], json!(org.owner.uuid));
    assert_eq!(
        made,
        json!({
            "id": null,
            "target_email": "New.One@example.com",
            "first_name": "N",
            "emailing_attempt_made": false,
            "level": 8,
            "is_expired": false,
            "created_by": null,
            "created_at": null,
            "updated_at": null,
            "message": "hi",
            "private_project_access": null,
        })
    );
    let plain = invite(&org.owner, &org, json!({"target_email": "plain@example.com"})).json(201);
    assert_eq!(
        (&plain["level"], &plain["first_name"], &plain["message"]),
        (&json!(1), &json!(""), &json!(null))
    );
}

#[test]
fn each_field_is_checked_on_both_sides_of_its_edge() {
    let server = Server::start();
    let org = server.org();
    let send = |field: &str, value: Value| {
        let mut body = json!({"target_email": "a@example.com"});
        body[field] = value;
        invite(&org.owner, &org, body)
    };
    let bad_address = "Enter a valid email address.";
    invite(&org.owner, &org, json!({})).invalid("target_email", "required", "This field is required.");
    send("target_email", json!(null)).invalid("target_email", "null", "This field may not be null.");
    send("target_email", json!(" ")).invalid("target_email", "blank", "This field may not be blank.");
    for odd in [
        json!("x"),
        json!("x@"),
        json!("@x.com"),
        json!(["a@b.com"]),
        json!({}),
        json!(true),
        json!("a b@c.com"),
    ] {
        send("target_email", odd).invalid("target_email", "invalid_input", bad_address);
    }
    let long = format!("{}@example.com", "x".repeat(243));
    let too_long = send("target_email", json!(long));
    too_long.invalid("target_email", "max_length", "Ensure this field has no more than 254 characters.");
    send("first_name", json!("x".repeat(30))).json(201);
    let too_long = send("first_name", json!("x".repeat(31)));
    too_long.invalid("first_name", "max_length", "Ensure this field has no more than 30 characters.");
    send("first_name", json!("")).json(201);
    send("first_name", json!(null)).invalid("first_name", "null", "This field may not be null.");
    send("message", json!(null)).json(201);
    send("message", json!("")).json(201);
    send("message", json!([])).invalid("message", "invalid_input", "Not a valid string.");
    send("level", json!(null)).invalid("level", "null", "This field may not be null.");
    send("level", json!(7)).invalid("level", "invalid_choice", "\"7\" is not a valid choice.");
    send("level", json!("8")).json(201);
    for switch in ["send_email", "combine_pending_invites"] {
        send(switch, json!(false)).json(201);
        send(switch, json!("x")).invalid(switch, "invalid_input", "Must be a valid boolean.");
    }
    assert_eq!(listed(&org).len(), 1);
}

#[test]
fn nobody_invites_above_his_own_level() {
    let server = Server::start();
    let org = server.org();
    let too_high = "You cannot invite a user with a higher permission level than your own.";
    for (person, highest) in [(org.member(&server), 1), (org.admin(&server), 8), (org.owner.clone(), 15)] {
        for level in [1, 8, 15] {
            let answer = invite(
                &person,
                &org,
                json!({"target_email": format!("l{level}@example.com"), "level": level}),
            );
            if level <= highest {
                assert_eq!(answer.json(201)["level"], level);
            } else {
                answer.denied(too_high);
            }
        }
    }
}

#[test]
fn somebody_who_belongs_already_is_not_invited() {
    let server = Server::start();
    let org = server.org();
    let member = org.member(&server);
    let belongs = "A user with this email address already belongs to the organization.";
    for email in [member.email.clone(), member.email.to_uppercase()] {
        invite(&org.owner, &org, json!({"target_email": email})).invalid(None, "invalid_input", belongs);
        org.owner
            .post(
                &org.at("invites/bulk/"),
                json!([{"target_email": "b@example.com"}, {"target_email": email}]),
            )
            .invalid(None, "invalid_input", belongs);
    }
    assert_eq!(json!(listed(&org)), json!([]));
    let stranger = server.stranger();
    invite(&org.owner, &org, json!({"target_email": stranger.email})).json(201);
}

#[test]
fn a_new_invite_replaces_the_old_ones_of_the_same_address_here_only() {
    let server = Server::start();
    let (org, other) = (server.org(), server.org());
    let elsewhere = other.token("a@example.com", 1);
    let first = org.token("a@example.com", 8);
    let second = org.invite("A@example.com", 1);
    let ids: Vec<String> = listed(&org).iter().map(|row| text(&row["id"])).collect();
    assert_eq!(ids, [second]);
    let unknown = "The provided invite ID is not valid.";
    server.anyone().get(&format!("/api/signup/{first}/")).invalid(None, "invalid_input", unknown);
    server.anyone().get(&format!("/api/signup/{elsewhere}/")).json(200);
}

#[test]
fn combining_keeps_the_highest_level_of_the_pending_ones() {
    let server = Server::start();
    let org = server.org();
    let combine = |level: u8| {
        let body = json!({"target_email": "a@example.com", "level": level, "combine_pending_invites": true});
        invite(&org.owner, &org, body).json(201)["level"].clone()
    };
    org.invite("a@example.com", 8);
    assert_eq!(combine(1), 8);
    assert_eq!(combine(15), 15);
    server.pass_days(4);
    assert_eq!(combine(1), 1, "an expired invite counts no more");
    assert_eq!(listed(&org).len(), 1);
}

#[test]
fn admins_take_back_any_invite_and_members_their_own() {
    let server = Server::start();
    let org = server.org();
    let (admin, member, other) = (org.admin(&server), org.member(&server), org.member(&server));
    let path = |id: &str| org.at(&format!("invites/{id}/"));
    let of = |person: &Person, email: &str| {
        path(&text(&invite(person, &org, json!({"target_email": email})).json(201)["id"]))
    };
    let refused = "Only admins and whoever sent an invite can take it back.";
    let owners = path(&org.invite("owners@example.com", 15));
    let (first, second) = (of(&member, "first@example.com"), of(&member, "second@example.com"));
    for method in ["GET", "PATCH", "PUT"] {
        member.call(method, &owners, &json!({})).not_allowed(method);
    }
    for person in [&member, &other] {
        person.delete(&owners).denied(refused);
    }
    other.delete(&first).denied(refused);
    other.key(&["organization_member:write"]).delete(&first).denied(refused);
    assert_eq!(listed(&org).len(), 3);
    member.delete(&first).no_content();
    member.delete(&first).not_found();
    member.delete(&path("nope")).not_found();
    admin.delete(&second).no_content();
    admin.delete(&owners).no_content();
    assert_eq!(json!(listed(&org)), json!([]));
}

#[test]
fn another_organization_s_invite_is_out_of_reach() {
    let server = Server::start();
    let (org, other) = (server.org(), server.org());
    let id = org.invite("a@example.com", 1);
    other.owner.get(&org.at("invites/")).forbidden();
    other.owner.delete(&org.at(&format!("invites/{id}/"))).forbidden();
    other.owner.delete(&other.at(&format!("invites/{id}/"))).not_found();
    invite(&other.owner, &org, json!({"target_email": "x@example.com"})).forbidden();
    other.owner.get("/api/organizations/nope/invites/").missing("Organization not found.");
    assert_eq!(listed(&org).len(), 1);
}

#[test]
fn invites_are_listed_newest_first_with_the_expired_ones() {
    let server = Server::start();
    let org = server.org();
    let old = org.invite("old@example.com", 1);
    server.pass_days(2);
    let young = org.invite("young@example.com", 1);
    server.pass_days(2);
    let rows: Vec<(String, bool)> =
        listed(&org).iter().map(|row| (text(&row["id"]), row["is_expired"] == json!(true))).collect();
    assert_eq!(rows, [(young, false), (old, true)]);
}

#[test]
fn many_are_invited_at_once_in_their_order() {
    let server = Server::start();
    let org = server.org();
    let bulk = |body: Value| org.owner.post(&org.at("invites/bulk/"), body);
    let entries: Vec<Value> =
        (0..20).map(|n| json!({"target_email": format!("b{n}@example.com"), "level": 8})).collect();
    let made = bulk(json!(entries)).json(200);
    let emails: Vec<&Value> =
        made.as_array().expect("an array").iter().map(|row| &row["target_email"]).collect();
    assert_eq!(emails, entries.iter().map(|entry| &entry["target_email"]).collect::<Vec<_>>());
    assert_eq!(listed(&org).len(), 20);
    assert_eq!(bulk(json!([])).json(200), json!([]));
    let too_many: Vec<Value> =
        (0..21).map(|n| json!({"target_email": format!("c{n}@example.com")})).collect();
    let detail = "A maximum of 20 invites can be sent in a single request.";
    bulk(json!(too_many)).invalid(None, "max_length", detail);
    let detail = "This endpoint needs an array of data for bulk invite creation.";
    for odd in [json!({}), json!({"target_email": "a@example.com"}), json!("x"), json!(7), json!(null)] {
        bulk(odd).invalid(None, "invalid_input", detail);
    }
    assert_eq!(listed(&org).len(), 20);
}

#[test]
fn one_bad_entry_refuses_the_whole_bulk() {
    let server = Server::start();
    let org = server.org();
    let admin = org.admin(&server);
    let good = json!({"target_email": "good@example.com"});
    let bulk = |second: Value| admin.post(&org.at("invites/bulk/"), json!([good, second]));
    bulk(json!({})).invalid("1__target_email", "required", "This field is required.");
    bulk(json!({"target_email": "x"})).invalid(
        "1__target_email",
        "invalid_input",
        "Enter a valid email address.",
    );
    bulk(json!({"target_email": "b@example.com", "level": 3})).invalid(
        "1__level",
        "invalid_choice",
        "\"3\" is not a valid choice.",
    );
    for (odd, name) in [(json!("x"), "str"), (json!([]), "list"), (json!(3), "int")] {
        let detail = format!("Invalid data. Expected a dictionary, but got {name}.");
        bulk(odd).invalid("1", "invalid_input", &detail);
    }
    bulk(json!({"target_email": "b@example.com", "level": 15}))
        .denied("You cannot invite a user with a higher permission level than your own.");
    assert_eq!(json!(listed(&org)), json!([]));
}

#[test]
fn of_two_entries_with_one_address_the_last_wins() {
    let server = Server::start();
    let org = server.org();
    let body = json!([
        {"target_email": "a@example.com", "level": 8, "first_name": "First"},
        {"target_email": "a@example.com", "level": 1, "first_name": "Last"},
    ]);
    let made = org.owner.post(&org.at("invites/bulk/"), body).json(200);
    let rows = listed(&org);
    assert_eq!((rows.len(), &rows[0]["first_name"]), (1, &json!("Last")));
    assert_eq!(made, json!(rows), "the answer names no invite that is not there");
}

#[test]
fn a_creator_who_is_gone_is_shown_while_his_account_lives() {
    let server = Server::start();
    let org = server.org();
    let member = org.member(&server);
    invite(&member, &org, json!({"target_email": "a@example.com"})).json(201);
    // Open invites go with whoever sent them; those that are over stay in the list.
    server.pass_days(4);
    member.logged_in().delete(&org.at("members/@me/")).no_content();
    assert_eq!(listed(&org)[0]["created_by"]["uuid"], json!(member.uuid));
}

#[test]
fn the_invited_join_at_the_level_of_the_invite_and_use_it_up() {
    let server = Server::start();
    let (org, other) = (server.org(), server.org());
    let email = "newcomer@example.com";
    let kept = other.invite(email, 1);
    let id = org.invite(email, 8);
    let path = format!("/api/signup/{}/", org.token_of(&id));
    let seen = server.anyone().get(&path).json(200);
    assert_eq!(seen, json!({"id": id, "target_email": email, "first_name": "", "organization_name": "Acme"}));
    let body = json!({"first_name": "Nora", "password": PASSWORD, "email": "other@example.com", "level": 15});
    let answer = server.anyone().post(&path, body);
    let joined = answer.json(201);
    assert_eq!((&joined["email"], &joined["redirect_url"]), (&json!(email), &json!("/")));
    let nora = server.anyone().with_cookies_of(&answer);
    let me = nora.me();
    assert_eq!((&me["organization"]["id"], &me["team"]["id"]), (&json!(org.id), &json!(org.project)));
    assert_eq!(me["organization"]["membership_level"], 8);
    assert_eq!(json!(listed(&org)), json!([]));
    let unknown = "The provided invite ID is not valid.";
    server.anyone().post(&path, json!({})).invalid(None, "invalid_input", unknown);
    assert_eq!(other.owner.get(&other.at("invites/")).results()[0]["id"], json!(kept));
}

#[test]
fn somebody_with_an_account_joins_by_his_session_and_keeps_his_name() {
    let server = Server::start();
    let org = server.org();
    let stranger = server.stranger();
    let id = org.token(&stranger.email.to_uppercase().replace("EXAMPLE.COM", "example.com"), 1);
    let body = json!({"first_name": "Other", "password": "x"});
    let joined = stranger.post(&format!("/api/signup/{id}/"), body).json(201);
    assert_eq!((&joined["first_name"], &joined["redirect_url"]), (&json!("Olive"), &json!("/")));
    let me = stranger.me();
    assert_eq!((&me["organization"]["id"], &me["team"]["id"]), (&json!(org.id), &json!(org.project)));
    stranger.logged_in();
}

#[test]
fn why_an_invite_is_refused() {
    let server = Server::start();
    let org = server.org();
    let stranger = server.stranger();
    let anyone = server.anyone();
    let unknown = "The provided invite ID is not valid.";
    for id in ["nope", "da75d372-41fc-46b7-ad32-3a0a1883947a"] {
        let path = format!("/api/signup/{id}/");
        for person in [&anyone, &stranger] {
            person.get(&path).invalid(None, "invalid_input", unknown);
            person.post(&path, json!({})).invalid(None, "invalid_input", unknown);
        }
    }
    let path = format!("/api/signup/{}/", org.token("somebody@example.com", 1));
    let not_yours = "This invite is intended for another email address.";
    stranger.get(&path).invalid(None, "invalid_recipient", not_yours);
    stranger.post(&path, json!({})).invalid(None, "invalid_recipient", not_yours);

    let id = org.token(&stranger.email, 1);
    let path_of_stranger = format!("/api/signup/{id}/");
    anyone.get(&path_of_stranger).invalid(None, "account_exists", &format!("/login?next=/signup/{id}"));
    let log_in = format!(
        "There already exists an account with email address {}. Please log in instead.",
        stranger.email
    );
    anyone.post(&path_of_stranger, json!({"first_name": "X", "password": PASSWORD})).invalid(
        None,
        "invalid_input",
        &log_in,
    );

    // The wall clock runs on meanwhile, so the edge is not touched to the second.
    server.pass(std::time::Duration::from_secs(3 * 24 * 60 * 60 - 60));
    anyone.get(&path).json(200);
    server.pass(std::time::Duration::from_secs(61));
    let expired = "This invite has expired. Please ask your admin for a new one.";
    anyone.get(&path).invalid(None, "expired", expired);
    anyone.post(&path, json!({"first_name": "X", "password": PASSWORD})).invalid(None, "expired", expired);
    stranger.get(&path).invalid(None, "invalid_recipient", not_yours);
    assert_eq!(org.owner.get(&org.at("")).json(200)["member_count"], 1);
}

#[test]
fn a_member_cannot_join_twice() {
    let server = Server::start();
    let (org, stranger) = (server.org(), server.stranger());
    let id = org.token(&stranger.email, 1);
    stranger.accept(&id);
    // A second invite is refused while they belong, so they get one, leave nothing, and join by another.
    stranger.delete(&org.at("members/@me/")).no_content();
    let (first, path) = (org.token(&stranger.email, 1), |id: &str| format!("/api/signup/{id}/"));
    stranger.accept(&first);
    stranger.post(&path(&first), json!({})).invalid(
        None,
        "invalid_input",
        "The provided invite ID is not valid.",
    );
    assert_eq!(org.owner.get(&org.at("")).json(200)["member_count"], 2);
}

#[test]
fn the_newcomer_gives_a_name_and_a_strong_password() {
    let server = Server::start();
    let org = server.org();
    let path = format!("/api/signup/{}/", org.token("a@example.com", 1));
    let post = |body: Value| server.anyone().post(&path, body);
    post(json!({})).invalid("first_name", "required", "This field is required.");
    post(json!({"first_name": "A"})).invalid("password", "required", "This field is required.");
    post(json!({"first_name": "A", "password": "short"})).invalid(
        "password",
        "password_too_short",
        "This password is too short. It must contain at least 8 characters.",
    );
    post(json!({"first_name": "A", "password": "password1"})).invalid(
        "password",
        "password_too_weak",
        "Add another word or two. Uncommon words are better.",
    );
    let long = json!({"first_name": "x".repeat(129), "password": PASSWORD});
    post(long).invalid("first_name", "max_length", "Ensure this field has no more than 128 characters.");
    assert_eq!(org.owner.get(&org.at("")).json(200)["member_count"], 1);
    assert_eq!(listed(&org).len(), 1);
    post(json!({"first_name": "x".repeat(128), "password": PASSWORD})).json(201);
}

#[test]
fn a_newcomer_starts_in_a_project_that_is_open_to_him() {
    let server = Server::start();
    let org = server.org();
    org.owner.patch(&org.project_at(""), json!({"access_control": true})).json(200);
    assert_eq!(org.member(&server).me()["team"], json!(null));
    assert_eq!(org.admin(&server).me()["team"]["id"], json!(org.project));
    let open = org.owner.post(&org.at("projects/"), json!({"name": "Open"})).json(201);
    assert_eq!(org.admin(&server).me()["team"]["id"], open["id"]);
    assert_eq!(org.member(&server).me()["team"]["id"], open["id"]);
}
