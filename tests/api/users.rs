//! `/api/users/@me/`: what somebody sees and changes of their own.

use orgd::config::Switch;
use serde_json::{Value, json};

use crate::support::{PASSWORD, Server};

const ME: &str = "/api/users/@me/";

#[test]
fn somebody_sees_himself_with_his_current_organization_and_project() {
    let server = Server::start();
    let org = server.org();
    let me = org.owner.me();
    let names: Vec<&str> = me.as_object().expect("an object").keys().map(String::as_str).collect();
    for name in [
        "date_joined",
        "uuid",
        "distinct_id",
        "first_name",
        "last_name",
        "email",
        "pending_email",
        "is_email_verified",
        "notification_settings",
        "anonymize_data",
        "toolbar_mode",
        "has_password",
        "is_staff",
        "is_impersonated",
        "team",
        "organization",
        "organizations",
        "events_column_config",
        "is_2fa_enabled",
        "has_social_auth",
        "has_seen_product_intro_for",
        "hedgehog_config",
    ] {
        assert!(names.contains(&name), "{name} is missing");
    }
    assert!(names.iter().all(|name| !name.contains("password") || *name == "has_password"), "{names:?}");
    assert_eq!(me["organization"], org.owner.get(&org.at("")).json(200));
    assert_eq!(me["team"], org.owner.get(&org.at("projects/")).results()[0]);
    let brief = json!([{"id": org.id, "name": "Acme", "slug": "acme", "membership_level": 15}]);
    assert_eq!(me["organizations"], brief);
    assert_eq!((&me["has_password"], &me["is_2fa_enabled"]), (&json!(true), &json!(false)));
    assert_eq!(org.owner.get(&format!("/api/users/{}/", org.owner.uuid)).json(200), me);
    assert_eq!(org.owner.get("/api/users/%40me/").json(200), me);
}

#[test]
fn nobody_sees_or_changes_another_user() {
    let server = Server::start();
    let org = server.org();
    let other = server.stranger();
    let refused = "As a non-staff user you're only allowed to access the `@me` user instance.";
    let path = format!("/api/users/{}/", org.owner.uuid);
    other.get(&path).denied(refused);
    other.patch(&path, json!({"first_name": "X"})).denied(refused);
    other.get("/api/users/nope/").not_found();
    server.anyone().get(ME).unauthenticated();
    assert_eq!(org.owner.me()["first_name"], "Olive");
}

#[test]
fn a_key_needs_the_scope_of_users() {
    let server = Server::start();
    let owner = server.org().owner;
    owner.key(&["user:read"]).get(ME).json(200);
    owner.key(&["user:read"]).patch(ME, json!({})).denied("API key missing required scope 'user:write'");
    owner.key(&["user:write"]).patch(ME, json!({"first_name": "By key"})).json(200);
    owner.key(&["organization:read"]).get(ME).denied("API key missing required scope 'user:read'");
}

#[test]
fn the_current_organization_and_project_are_chosen() {
    let server = Server::start();
    let org = server.org();
    let second = org.owner.post("/api/organizations/", json!({"name": "Second"})).json(201);
    let extra = org.owner.post(&org.at("projects/"), json!({"name": "Extra"})).json(201);
    let set = |body: Value| org.owner.patch(ME, body);
    let current = |me: &Value| (me["organization"]["id"].clone(), me["team"]["id"].clone());

    let me = set(json!({"set_current_organization": second["id"]})).json(200);
    assert_eq!(current(&me), (second["id"].clone(), second["teams"][0]["id"].clone()));
    let me = set(json!({"set_current_organization": org.id})).json(200);
    assert_eq!(current(&me), (json!(org.id), json!(org.project)));
    let me = set(json!({"set_current_team": extra["id"]})).json(200);
    assert_eq!(current(&me), (json!(org.id), extra["id"].clone()));
    let me = set(json!({"set_current_team": second["teams"][0]["id"].to_string()})).json(200);
    assert_eq!(current(&me), (second["id"].clone(), second["teams"][0]["id"].clone()));
    let me = set(json!({"set_current_organization": org.id, "set_current_team": extra["id"]})).json(200);
    assert_eq!(current(&me), (json!(org.id), extra["id"].clone()));
    set(json!({"set_current_organization": second["id"], "set_current_team": extra["id"]})).invalid(
        "set_current_team",
        "invalid_input",
        "Team must belong to the same organization in set_current_organization.",
    );
    assert_eq!(current(&org.owner.me()), (json!(org.id), extra["id"].clone()));
    org.owner.patch(&org.project_at(""), json!({"access_control": true})).json(200);
    let me = set(json!({"set_current_organization": org.id})).json(200);
    assert_eq!(me["team"]["id"], json!(org.project), "the first project, private or not");
}

#[test]
fn what_is_not_one_s_own_cannot_become_current() {
    let server = Server::start();
    let (org, other) = (server.org(), server.org());
    let set = |body: Value| org.owner.patch(ME, body);
    let missing = |value: &str| format!("Object with id={value} does not exist.");
    for id in [other.id.as_str(), "3e9c5de9-1765-454a-bd9a-3c5e67ed9a23"] {
        let answer = set(json!({"set_current_organization": id}));
        answer.invalid("set_current_organization", "does_not_exist", &missing(id));
    }
    for id in [other.project, 9999] {
        set(json!({"set_current_team": id})).invalid(
            "set_current_team",
            "does_not_exist",
            &missing(&id.to_string()),
        );
    }
    assert_eq!(set(json!({"set_current_organization": "nope"})).status, 400);
    assert_eq!(set(json!({"set_current_team": "nope"})).status, 400);
    assert_eq!(org.owner.me()["organization"]["id"], json!(org.id));
}

#[test]
fn a_private_project_cannot_become_a_member_s_current_one() {
    let server = Server::start();
    let org = server.org();
    let member = org.member(&server);
    let private = org.owner.post(&org.at("projects/"), json!({"access_control": true})).json(201);
    let detail = format!("Object with id={} does not exist.", private["id"]);
    let set = json!({"set_current_team": private["id"]});
    member.patch(ME, set.clone()).invalid("set_current_team", "does_not_exist", &detail);
    org.owner.patch(ME, set).json(200);
}

#[test]
fn names_address_and_settings_change() {
    let server = Server::start();
    let org = server.org();
    let taken = server.stranger().email;
    let body = json!({
        "first_name": "Olivia", "last_name": "O", "email": "olivia@example.com", "anonymize_data": true,
        "toolbar_mode": "disabled", "theme_mode": "dark", "hedgehog_config": {"color": "green"},
        "is_staff": true, "uuid": "x", "current_password": PASSWORD,
    });
    let me = org.owner.patch(ME, body.clone()).json(200);
    for field in [
        "first_name",
        "last_name",
        "email",
        "anonymize_data",
        "toolbar_mode",
        "theme_mode",
        "hedgehog_config",
    ] {
        assert_eq!(me[field], body[field], "{field}");
    }
    assert_eq!(me["uuid"], json!(org.owner.uuid));
    org.owner.patch(ME, json!({"email": taken.to_uppercase(), "current_password": PASSWORD})).invalid(
        "email",
        "unique",
        "There is already an account with this email address.",
    );
    org.owner.patch(ME, json!({"toolbar_mode": "x"})).invalid(
        "toolbar_mode",
        "invalid_choice",
        "\"x\" is not a valid choice.",
    );
    org.owner.patch(ME, json!({"first_name": ""})).invalid(
        "first_name",
        "blank",
        "This field may not be blank.",
    );
    let member = org.owner.get(&org.at("members/")).results()[0].clone();
    assert_eq!(member["user"]["email"], "olivia@example.com");
    let login = json!({"email": "olivia@example.com", "password": PASSWORD});
    server.anyone().post("/api/login/", login).json(200);
}

#[test]
fn a_password_is_changed_by_somebody_who_knows_the_old_one() {
    let server = Server::start();
    let owner = server.org().owner;
    let other_browser = owner.logged_in();
    let new = "another-Fine-passphrase-8";
    let set = |body: Value| owner.patch(ME, body);
    set(json!({"password": new})).invalid(
        "current_password",
        "required",
        "This field is required when updating your password.",
    );
    let wrong = set(json!({"password": new, "current_password": "wrong"}));
    wrong.invalid("current_password", "incorrect_password", "Your current password is incorrect.");
    set(json!({"password": "short", "current_password": PASSWORD})).invalid(
        "password",
        "password_too_short",
        "This password is too short. It must contain at least 8 characters.",
    );
    other_browser.me();
    set(json!({"password": new, "current_password": PASSWORD})).json(200);
    owner.me();
    other_browser.get(ME).unauthenticated();
    let log_in = |password: &str| {
        server.anyone().post("/api/login/", json!({"email": owner.email, "password": password}))
    };
    log_in(PASSWORD).invalid(None, "invalid_credentials", "Invalid email or password.");
    log_in(new).json(200);
}

const TAKEN: &str = "There is already an account with this email address.";

#[test]
fn an_address_is_changed_by_somebody_who_knows_the_password_and_ends_the_other_sessions() {
    let server = Server::start();
    let owner = server.org().owner;
    let other_browser = owner.logged_in();
    let stranger = server.stranger();
    let set = |email: &str, password: Option<&str>| {
        let mut body = json!({"email": email, "first_name": "Changed"});
        if let Some(password) = password {
            body["current_password"] = json!(password);
        }
        owner.patch(ME, body)
    };
    let required = "This field is required when updating your email address.";
    let wrong = "Your current password is incorrect.";
    // Whoever does not know the password does not learn whether the address is taken.
    for email in ["new@example.com", &stranger.email] {
        set(email, None).invalid("current_password", "required", required);
        set(email, Some("wrong")).invalid("current_password", "incorrect_password", wrong);
        set(email, Some("")).invalid("current_password", "incorrect_password", wrong);
    }
    set(&stranger.email, Some(PASSWORD)).invalid("email", "unique", TAKEN);
    assert_eq!(set("nope", Some(PASSWORD)).status, 400);
    assert_eq!((&owner.me()["email"], &owner.me()["first_name"]), (&json!(owner.email), &json!("Olive")));
    other_browser.me();
    assert_eq!(set("new@example.com", Some(PASSWORD)).json(200)["email"], "new@example.com");
    owner.me();
    other_browser.get(ME).unauthenticated();
    let log_in =
        |email: &str| server.anyone().post("/api/login/", json!({"email": email, "password": PASSWORD}));
    log_in("new@example.com").json(200);
    assert_eq!(log_in(&owner.email).status, 400);
    stranger.me();
}

#[test]
fn the_same_address_needs_no_password_and_ends_no_session() {
    let server = Server::start();
    let owner = server.org().owner;
    let other_browser = owner.logged_in();
    owner.put(ME, json!({"email": owner.email, "first_name": "Olivia"})).json(200);
    assert_eq!(other_browser.me()["first_name"], "Olivia");
    let upper = owner.email.to_uppercase();
    assert_eq!(owner.patch(ME, json!({"email": upper})).status, 400);
    let own = json!({"email": upper, "current_password": PASSWORD});
    assert_eq!(owner.patch(ME, own).json(200)["email"], json!(upper));
}

#[test]
fn an_address_under_which_somebody_is_invited_is_not_taken_by_another_user() {
    let server = Server::start();
    let org = server.org();
    let member = org.member(&server);
    let set = |person: &crate::support::Person, email: &str| {
        person.patch(ME, json!({"email": email, "current_password": PASSWORD}))
    };
    let invited = "awaited@example.com";
    let (first, other) = (org.invite(invited, 8), server.org());
    let second = other.token(invited, 1);
    for email in [invited, "Awaited@EXAMPLE.com"] {
        set(&member, email).invalid("email", "unique", TAKEN);
    }
    // Whose own address it is already may be invited elsewhere, and change its case.
    other.invite(&member.email, 1);
    set(&member, &member.email.to_uppercase()).json(200);
    org.owner.delete(&org.at(&format!("invites/{first}/"))).no_content();
    set(&member, invited).invalid("email", "unique", TAKEN);
    let joined = server.somebody("x").accept(&second);
    set(&member, invited).invalid("email", "unique", TAKEN);
    joined.me();
    org.invite("late@example.com", 1);
    server.pass_days(4);
    set(&member.logged_in(), "late@example.com").json(200);
}

#[test]
fn trying_addresses_out_is_limited() {
    let server = Server::with(|config| config.rate_limit = None);
    let owner = server.org().owner;
    let taken = server.stranger().email;
    let set = |email: &str| owner.patch(ME, json!({"email": email, "current_password": PASSWORD}));
    for _ in 0..10 {
        set(&taken).invalid("email", "unique", TAKEN);
    }
    for email in [taken.as_str(), "free@example.com"] {
        let limited = set(email);
        assert_eq!((limited.status, &limited.value()["code"]), (429, &json!("throttled")));
        limited.header("retry-after");
    }
    owner.patch(ME, json!({"first_name": "Still"})).json(200);
    server.pass(std::time::Duration::from_secs(3660));
    set("free@example.com").json(200);
}

#[test]
fn changes_of_oneself_are_throttled_where_limits_are_on() {
    let server = Server::with(|config| config.rate_limit = Some(Switch::On));
    let owner = server.org().owner;
    let statuses: Vec<u16> = (0..6).map(|_| owner.patch(ME, json!({"last_name": "X"})).status).collect();
    assert_eq!(statuses, [200, 200, 200, 200, 200, 429]);
    let throttled = owner.patch(ME, json!({}));
    let seconds = throttled.header("retry-after");
    let plural = if seconds == "1" { "" } else { "s" };
    let detail = format!("Request was throttled. Expected available in {seconds} second{plural}.");
    throttled.refused(429, "throttled_error", "throttled", &detail, None);
    owner.me();
    server.pass(std::time::Duration::from_secs(120));
    owner.patch(ME, json!({})).json(200);
}

#[test]
fn what_the_web_app_keeps_of_a_user_is_stored_and_shown() {
    let server = Server::start();
    let owner = server.org().owner;
    let me = owner.me();
    for (name, start, values, wrong) in [
        ("role_at_organization", json!(null), [json!("engineering"), json!(""), json!(null)], json!("boss")),
        ("allow_impersonation", json!(true), [json!(false), json!(null), json!(true)], json!("maybe")),
        ("allow_sidebar_suggestions", json!(true), [json!(false), json!(null), json!(true)], json!([])),
        ("hide_mcp_hints", json!(false), [json!(true), json!(null), json!(false)], json!({})),
        ("passkeys_enabled_for_2fa", json!(false), [json!(true), json!(null), json!(false)], json!(7)),
        ("shortcut_position", json!(null), [json!("above"), json!("hidden"), json!(null)], json!("left")),
        (
            "ui_configuration",
            json!(null),
            [json!({"a": [1, null]}), json!([]), json!(null)],
            json!({"a": "x".repeat(1024 * 1024)}),
        ),
    ] {
        assert_eq!(me[name], start, "{name}");
        for value in values {
            assert_eq!(owner.patch(ME, json!({name: value})).json(200)[name], value, "{name}");
            assert_eq!(owner.me()[name], value, "{name}");
        }
        assert_eq!(owner.patch(ME, json!({name: wrong})).json(400)["attr"], name);
    }
    // One alone changes no other.
    owner.patch(ME, json!({"hide_mcp_hints": true, "role_at_organization": "data"})).json(200);
    let changed = owner.patch(ME, json!({"shortcut_position": "below"})).json(200);
    for (name, value) in [("hide_mcp_hints", json!(true)), ("role_at_organization", json!("data"))] {
        assert_eq!(changed[name], value, "{name}");
    }
}

#[test]
fn the_role_at_the_organization_stands_wherever_a_user_does() {
    let server = Server::start();
    let org = server.org();
    org.owner.patch(ME, json!({"role_at_organization": "founder"})).json(200);
    let role = org.owner.post(&org.at("roles/"), json!({"name": "R"})).json(201);
    assert_eq!(role["created_by"]["role_at_organization"], "founder");
    assert_eq!(org.owner.get(&org.at("members/")).results()[0]["user"]["role_at_organization"], "founder");
}

#[test]
fn the_home_page_of_the_web_app_is_kept() {
    const HOME: &str = "/api/user_home_settings/@me/";
    let server = Server::start();
    let owner = server.org().owner;
    let start = json!({"tabs": [], "homepage": null});
    assert_eq!(owner.get(HOME).json(200), start);
    let tabs = json!({"tabs": [{"id": 1}]});
    assert_eq!(owner.patch(HOME, tabs).json(200), json!({"tabs": [{"id": 1}], "homepage": null}));
    let both = json!({"tabs": [{"id": 1}], "homepage": {"id": 2}});
    assert_eq!(owner.patch(HOME, json!({"homepage": {"id": 2}})).json(200), both);
    assert_eq!(owner.get(HOME).json(200), both);
    owner.patch(HOME, json!({"tabs": "x"})).invalid(
        "tabs",
        "not_a_list",
        "Expected a list of items but got type \"str\".",
    );
    assert_eq!(server.stranger().get(HOME).json(200), start);
    server.anyone().get(HOME).unauthenticated();
    owner.key(&["user:read"]).get(HOME).json(200);
    owner.key(&["user:read"]).patch(HOME, json!({})).denied("API key missing required scope 'user:write'");
    assert_eq!(owner.me()["hide_mcp_hints"], false, "the record shows nothing of it");
}

#[test]
fn nobody_has_an_account_of_github() {
    let server = Server::start();
    let org = server.org();
    let none = json!({"github_login": null});
    assert_eq!(org.owner.get("/api/users/@me/github_login/").json(200), none);
    assert_eq!(org.owner.get(&format!("/api/users/{}/github_login/", org.owner.uuid)).json(200), none);
    let refused = "As a non-staff user you're only allowed to access the `@me` user instance.";
    server.stranger().get(&format!("/api/users/{}/github_login/", org.owner.uuid)).denied(refused);
}
