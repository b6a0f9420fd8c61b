//! Organizations: their shape, who may do what, and what goes with them.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{Person, Server, text};

#[test]
fn the_founder_sees_his_organization_with_the_defaults_of_a_new_one() {
    let server = Server::start();
    let org = server.org();
    let mut shown = org.owner.get(&org.at("")).json(200);
    let teams = shown["teams"].take();
    assert_eq!(teams.as_array().map(Vec::len), Some(1));
    assert_eq!(teams[0]["id"], json!(org.project));
    assert_eq!(teams[0]["name"], "Default project");
    assert!(text(&shown["created_at"].take()).ends_with('Z'));
    shown["updated_at"].take();
    shown["projects"].take();
    assert_eq!(
        shown,
        json!({
            "id": org.id,
            "name": "Acme",
            "slug": "acme",
            "created_at": null,
            "updated_at": null,
            "membership_level": 15,
            "plugins_access_level": 9,
            "teams": null,
            "available_product_features": [],
            "is_member_join_email_enabled": true,
            "metadata": {"instance_tag": "none"},
            "customer_id": null,
            "enforce_2fa": null,
            "member_count": 1,
            "members_can_invite": true,
            "members_can_create_projects": false,
            "members_can_use_personal_api_keys": true,
            "members_can_see_org_members": true,
            "enforce_verified_domains": false,
            "allow_publicly_shared_resources": true,
            "default_role_id": null,
            "default_anonymize_ips": false,
            "is_ai_data_processing_approved": null,
            "is_ai_training_opted_in": null,
            "read_only_mcp_access": false,
            "default_experiment_stats_method": "bayesian",
            "logo_media_id": null,
            "projects": null,
            "is_ai_training_locked": false,
            "is_ai_training_cta_shown": false,
            "is_active": true,
            "is_not_active_reason": null,
            "is_pending_deletion": false,
            "is_hipaa": false,
        })
    );
}

#[test]
fn an_organization_is_named_by_uuid_slug_or_as_the_current_one() {
    let server = Server::start();
    let org = server.org();
    let wanted = org.owner.get(&org.at("")).json(200);
    for name in ["@current", "%40current", "acme"] {
        assert_eq!(org.owner.get(&format!("/api/organizations/{name}/")).json(200), wanted);
        let members = org.owner.get(&format!("/api/organizations/{name}/members/")).json(200);
        assert_eq!(members["count"], 1);
    }
}

#[test]
fn a_key_founds_an_organization_that_becomes_current_with_its_default_project() {
    let server = Server::start();
    let owner = server.org().owner;
    let key = owner.key(&["organization:read", "organization:write"]);
    let body = json!({"name": "  Second  ", "enforce_2fa": true, "plugins_access_level": 0, "slug": "mine"});
    let made = key.post("/api/organizations/", body).json(201);
    assert_eq!(made["name"], "Second");
    assert_eq!(made["slug"], "second");
    assert_eq!(made["enforce_2fa"], true);
    assert_eq!(made["plugins_access_level"], 9);
    assert_eq!(made["membership_level"], 15);
    assert_eq!(made["teams"][0]["name"], "Default project");
    assert_eq!(made, key.get("/api/organizations/@current/").json(200));
    let me = owner.me();
    assert_eq!(me["organization"]["id"], made["id"]);
    assert_eq!(me["team"]["id"], made["teams"][0]["id"]);
    assert_eq!(me["organizations"].as_array().map(Vec::len), Some(2));
}

#[test]
fn only_the_own_organizations_are_listed_in_the_order_of_their_making() {
    let server = Server::start();
    let org = server.org();
    server.stranger();
    org.owner.post("/api/organizations/", json!({"name": "B"})).json(201);
    let names: Vec<Value> =
        org.owner.get("/api/organizations/").results().iter().map(|row| row["name"].clone()).collect();
    assert_eq!(names, ["Acme", "B"]);
}

#[test]
fn somebody_without_an_organization_is_told_so() {
    let server = Server::start();
    let org = server.org();
    org.owner.delete(&org.at("")).no_content();
    org.owner.get("/api/organizations/").missing("You need to belong to an organization.");
    org.owner.get("/api/organizations/@current/").missing("Current organization not found.");
    org.owner.get("/api/organizations/@current/members/").missing("Organization not found.");
    let me = org.owner.me();
    assert_eq!(
        (&me["organization"], &me["team"], &me["organizations"]),
        (&json!(null), &json!(null), &json!([]))
    );
    org.owner.post("/api/organizations/", json!({"name": "Again"})).json(201);
}

#[test]
fn a_name_is_checked_on_both_sides_of_its_limits() {
    let server = Server::start();
    let org = server.org();
    let paths = [
        ("POST", "/api/organizations/".to_owned(), 201),
        ("PUT", org.at(""), 200),
        ("PATCH", org.at(""), 200),
    ];
    for (method, path, status) in &paths {
        let send = |name: Value| org.owner.call(method, path, &json!({"name": name}));
        assert_eq!(send(json!("x".repeat(64))).json(*status)["name"], "x".repeat(64));
        assert_eq!(send(json!(42)).json(*status)["name"], "42");
        send(json!("x".repeat(65))).invalid(
            "name",
            "max_length",
            "Ensure this field has no more than 64 characters.",
        );
        send(json!("   ")).invalid("name", "blank", "This field may not be blank.");
        send(json!(null)).invalid("name", "null", "This field may not be null.");
        send(json!("a\0b")).invalid(
            "name",
            "null_characters_not_allowed",
            "Null characters are not allowed.",
        );
        for odd in [json!(true), json!([]), json!({"a": 1})] {
            send(odd).invalid("name", "invalid_input", "Not a valid string.");
        }
    }
    org.owner.post("/api/organizations/", json!({})).invalid("name", "required", "This field is required.");
    org.owner.put(&org.at(""), json!({})).invalid("name", "required", "This field is required.");
    org.owner.patch(&org.at(""), json!({})).json(200);
}

#[test]
fn the_two_switches_take_booleans_in_all_their_spellings() {
    let server = Server::start();
    let org = server.org();
    // A key, which never needs a second factor.
    let key = org.owner.key(&["organization:write"]);
    let send = |field: &str, value: Value| key.patch(&org.at(""), json!({field: value}));
    for (value, wanted) in [
        (json!(true), true),
        (json!(false), false),
        (json!("yes"), true),
        (json!("off"), false),
        (json!(1), true),
        (json!("0"), false),
    ] {
        assert_eq!(send("enforce_2fa", value.clone()).json(200)["enforce_2fa"], json!(wanted));
        let shown = send("is_member_join_email_enabled", value).json(200);
        assert_eq!(shown["is_member_join_email_enabled"], json!(wanted));
    }
    for field in ["enforce_2fa", "is_member_join_email_enabled"] {
        for odd in [json!("maybe"), json!(2), json!([]), json!({})] {
            send(field, odd).invalid(field, "invalid_input", "Must be a valid boolean.");
        }
    }
    assert_eq!(send("enforce_2fa", json!(null)).json(200)["enforce_2fa"], json!(null));
    let no_null = send("is_member_join_email_enabled", json!(null));
    no_null.invalid("is_member_join_email_enabled", "null", "This field may not be null.");
}

#[test]
fn a_body_that_is_no_object_is_refused() {
    let server = Server::start();
    let owner = server.org().owner;
    let post = |body: Value| owner.post("/api/organizations/", body);
    for (body, name) in [
        (json!([]), "list"),
        (json!("x"), "str"),
        (json!(5), "int"),
        (json!(1.5), "float"),
        (json!(true), "bool"),
    ] {
        let detail = format!("Invalid data. Expected a dictionary, but got {name}.");
        post(body).invalid(None, "invalid_input", &detail);
    }
    post(json!(null)).invalid(None, "null", "No data provided");
}

#[test]
fn a_rename_moves_updated_at_and_keeps_the_slug() {
    let server = Server::start();
    let org = server.org();
    let before = org.owner.get(&org.at("")).json(200);
    server.pass(Duration::from_secs(1));
    let body = json!({"name": "Renamed", "slug": "other", "customer_id": "x", "member_count": 9});
    let after = org.owner.patch(&org.at(""), body).json(200);
    let mut wanted = before.clone();
    wanted["name"] = json!("Renamed");
    wanted["updated_at"] = after["updated_at"].clone();
    assert_eq!(after, wanted);
    assert_ne!(after["updated_at"], before["updated_at"]);
    assert_eq!(org.owner.get(&org.at("")).json(200), after);
}

#[test]
fn a_taken_slug_gets_four_letters_behind_it() {
    let server = Server::start();
    server.org();
    let slug = |name: &str| {
        let made = server.stranger().post("/api/organizations/", json!({"name": name})).json(201);
        text(&made["slug"])
    };
    let second = slug("ACME");
    let letters = second.strip_prefix("acme-").unwrap_or_else(|| panic!("{second} is not derived from acme"));
    assert!(letters.len() == 4 && letters.bytes().all(|letter| letter.is_ascii_lowercase()), "{second}");
    assert_eq!(slug("日本"), "");
    assert!(slug("中国").starts_with('-'));
    assert_eq!(slug(&"é".repeat(60)), "e".repeat(48));
    let long = slug(&"é".repeat(60));
    assert_eq!((long.len(), &long[..44]), (48, format!("{}-", "e".repeat(43)).as_str()));
}

#[test]
fn members_read_admins_change_and_only_owners_delete() {
    let server = Server::start();
    let org = server.org();
    let (member, admin) = (org.member(&server), org.admin(&server));
    assert_eq!(member.get(&org.at("")).json(200)["membership_level"], 1);
    for method in ["PATCH", "PUT"] {
        member.call(method, &org.at(""), &json!({"name": "Mine"})).level_too_low();
        assert_eq!(
            admin.call(method, &org.at(""), &json!({"name": "Ours"})).json(200)["membership_level"],
            8
        );
    }
    member.delete(&org.at("")).level_too_low();
    admin.delete(&org.at("")).level_too_low();
    assert_eq!(org.owner.get(&org.at("")).json(200)["name"], "Ours");
    org.owner.delete(&org.at("")).no_content();
}

#[test]
fn for_a_stranger_the_organization_does_not_exist() {
    let server = Server::start();
    let org = server.org();
    let stranger = server.stranger();
    let unknown = "/api/organizations/3e9c5de9-1765-454a-bd9a-3c5e67ed9a23/";
    for path in [org.at("").as_str(), "/api/organizations/acme/", unknown, "/api/organizations/nope/"] {
        stranger.get(path).not_found();
        stranger.patch(path, json!({"name": "Taken"})).not_found();
        stranger.put(path, json!({"name": "Taken"})).not_found();
        stranger.delete(path).not_found();
    }
    assert_eq!(org.owner.get(&org.at("")).json(200)["name"], "Acme");
}

#[test]
fn methods_that_a_path_lacks_are_refused_for_everybody_who_is_known() {
    let server = Server::start();
    let org = server.org();
    for person in [&org.owner, &server.stranger(), &org.owner.key(&["organization:read"])] {
        person.put("/api/organizations/", json!({})).not_allowed("PUT");
        person.patch("/api/organizations/", json!({})).not_allowed("PATCH");
        person.delete("/api/organizations/").not_allowed("DELETE");
        let refused = person.post(&org.at(""), json!({}));
        refused.not_allowed("POST");
        assert_eq!(refused.header("allow"), "GET, PUT, PATCH, DELETE, HEAD, OPTIONS");
    }
    server.anyone().put("/api/organizations/", json!({})).unauthenticated();
}

#[test]
fn a_deleted_organization_takes_everything_with_it_and_leaves_its_people() {
    let server = Server::start();
    let org = server.org();
    let member = org.member(&server);
    let invite = org.token("late@example.com", 1);
    let elsewhere = member.post("/api/organizations/", json!({"name": "Elsewhere"})).json(201);
    let org_path = org.at("");
    let current = json!({"set_current_organization": org.id});
    assert_eq!(member.patch("/api/users/@me/", current).json(200)["organization"]["id"], json!(org.id));

    org.owner.delete(&org_path).no_content();
    org.owner.delete(&org_path).not_found();
    org.owner.get(&org.at("members/")).missing("Organization not found.");
    org.owner.get(&org.project_at("")).not_found();
    let unknown = "The provided invite ID is not valid.";
    server.anyone().get(&format!("/api/signup/{invite}/")).invalid(None, "invalid_input", unknown);
    let me = member.me();
    assert_eq!(me["organization"]["id"], elsewhere["id"]);
    assert_eq!(me["team"]["id"], elsewhere["teams"][0]["id"]);
    assert_eq!(org.owner.me()["organization"], json!(null));
    let reused = org.owner.post("/api/organizations/", json!({"name": "Acme"})).json(201);
    assert_eq!(reused["slug"], "acme");
}

#[test]
fn the_teams_of_an_organization_are_those_that_the_caller_sees() {
    let server = Server::start();
    let org = server.org();
    let member = org.member(&server);
    org.owner.patch(&org.project_at(""), json!({"access_control": true})).json(200);
    let seen = |person: &Person| person.get(&org.at("")).json(200)["teams"].as_array().map(Vec::len);
    assert_eq!((seen(&org.owner), seen(&member)), (Some(1), Some(0)));
}

#[test]
fn a_form_is_as_good_as_json() {
    let server = Server::start();
    let org = server.org();
    // A key, which never needs a second factor.
    let key = org.owner.key(&["organization:write"]);
    let send = |form: &str| key.send_form(ureq::http::Method::PATCH, &org.at(""), form);
    let changed = send("name=Form+%C3%89&enforce_2fa=true").json(200);
    assert_eq!((&changed["name"], &changed["enforce_2fa"]), (&json!("Form É"), &json!(true)));
    assert_eq!(send("enforce_2fa=").json(200)["enforce_2fa"], json!(null));
    send("name=").invalid("name", "blank", "This field may not be blank.");
    let boundary = "XXX";
    let part = |name: &str, value: &str| {
        format!("--{boundary}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
    };
    let body = part("name", "Parts") + &part("enforce_2fa", "off") + "--XXX--\r\n";
    let kind = [("content-type", "multipart/form-data; boundary=XXX")];
    let changed = org.owner.send(ureq::http::Method::PATCH, &org.at(""), body, &kind).json(200);
    assert_eq!((&changed["name"], &changed["enforce_2fa"]), (&json!("Parts"), &json!(false)));
}

/// Answers are remembered between changes; every change of what they show must be seen at once.
#[test]
fn what_an_organization_shows_is_never_out_of_date() {
    let server = Server::start();
    let org = server.org();
    let key = org.owner.key(&["organization:read"]);
    let shown = |person: &Person| {
        let one = person.get(&org.at("")).json(200);
        let listed =
            person.get("/api/organizations/").results().into_iter().find(|row| row["id"] == json!(org.id));
        assert_eq!(Some(&one), listed.as_ref());
        one
    };
    let names = |person: &Person| -> Vec<Value> {
        shown(person)["teams"].as_array().expect("teams").iter().map(|team| team["name"].clone()).collect()
    };
    assert_eq!(shown(&key)["name"], "Acme");
    org.owner.patch(&org.at(""), json!({"name": "B"})).json(200);
    assert_eq!(shown(&key)["name"], "B");
    org.owner.patch(&org.project_at(""), json!({"name": "P"})).json(200);
    assert_eq!(names(&key), ["P"]);
    let second = org.owner.post(&org.at("projects/"), json!({"name": "Q"})).json(201);
    assert_eq!(names(&key), ["P", "Q"]);
    let token = org.owner.patch(&org.project_at("reset_token/"), json!({})).json(200)["api_token"].clone();
    assert_eq!(shown(&key)["teams"][0]["api_token"], token);
    let admin = org.admin(&server);
    assert_eq!((&shown(&key)["member_count"], &shown(&admin)["membership_level"]), (&json!(2), &json!(8)));
    org.owner.patch(&org.at(&format!("members/{}/", admin.uuid)), json!({"level": 15})).json(200);
    assert_eq!(shown(&admin)["membership_level"], 15);
    org.owner.delete(&org.at(&format!("projects/{}/", second["id"]))).no_content();
    assert_eq!(names(&admin), ["P"]);
    org.owner.patch(&org.at(&format!("members/{}/", admin.uuid)), json!({"level": 1})).json(200);
    org.owner.patch(&org.project_at(""), json!({"access_control": true})).json(200);
    assert_eq!(names(&admin), [""; 0]);
    admin.delete(&org.at("members/@me/")).no_content();
    assert_eq!(shown(&key)["member_count"], 1);
    org.owner.delete(&org.at("")).no_content();
    key.get(&org.at("")).not_found();
}
