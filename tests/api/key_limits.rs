//! What keys do not do: those that are limited to some organizations or projects, and those for members only.

use serde_json::{Value, json};
use ureq::http::Method;

use crate::support::{Org, PASSWORD, Person, Server, text};

const ME: &str = "/api/users/@me/";

/// Somebody with two organizations, two projects in the first one.
struct World {
    server: Server,
    org: Org,
    extra: u64,
    second: Value,
}

fn world() -> World {
    let server = Server::start();
    let org = server.org();
    let extra = org.owner.post(&org.at("projects/"), json!({"name": "Extra-marker"})).json(201)["id"].clone();
    let second = org.owner.post("/api/organizations/", json!({"name": "Second-marker"})).json(201);
    World { server, extra: extra.as_u64().expect("a number"), second, org }
}

impl World {
    /// Keys limited to the first organization, to its first project, and to both.
    fn limited(&self) -> Vec<(&'static str, Person)> {
        let key = |organizations: Value, projects: Value| {
            self.org.owner.key_of(
                json!({"scopes": ["*"], "scoped_organizations": organizations, "scoped_teams": projects}),
            )
        };
        let (organization, project) = (json!([self.org.id]), json!([self.org.project]));
        vec![
            ("organization", key(organization.clone(), json!([]))),
            ("project", key(json!([]), project.clone())),
            ("both", key(organization, project)),
        ]
    }

    fn choose(&self, organization: &Value, project: &Value) {
        let body = json!({"set_current_organization": organization, "set_current_team": project});
        self.org.owner.patch(ME, body).json(200);
    }
}

#[test]
fn a_limited_key_makes_no_organization_joins_none_and_chooses_none() {
    let world = world();
    let other = world.server.org();
    let token = other.token(&world.org.owner.email, 1);
    let before = world.org.owner.me();
    let refused =
        |what: &str| format!("An API key that is limited to some organizations or projects {what}.");
    for (name, key) in world.limited() {
        let made = key.post("/api/organizations/", json!({"name": "New"}));
        match name {
            "organization" => made.denied(&refused("makes no organization")),
            _ => made.denied("API keys with scoped projects are only supported on project-based endpoints."),
        }
        // A key is nobody at the sign-up: the invite is for somebody who logs in.
        let log_in = format!(
            "There already exists an account with email address {}. Please log in instead.",
            world.org.owner.email
        );
        let joined =
            key.post(&format!("/api/signup/{token}/"), json!({"first_name": "X", "password": PASSWORD}));
        joined.invalid(None, "invalid_input", &log_in);
        for body in [
            json!({"set_current_organization": world.second["id"]}),
            json!({"set_current_team": world.extra}),
            json!({"set_current_organization": world.org.id, "set_current_team": world.org.project}),
            json!({"set_current_team": "nonsense", "first_name": "Changed"}),
        ] {
            key.patch(ME, body).denied(&refused("does not choose the current organization or project"));
        }
        assert_eq!(key.patch(ME, json!({"last_name": ""})).json(200)["last_name"], "");
    }
    assert_eq!(world.org.owner.me(), before);
    // A new project becomes the current one of who makes it, but not by a limited key.
    world.choose(&world.second["id"], &world.second["teams"][0]["id"]);
    let before = world.org.owner.me();
    let (_, key) = world.limited().remove(0);
    key.post(&world.org.at("projects/"), json!({"name": "New"})).json(201);
    assert_eq!(world.org.owner.me(), before);
}

#[test]
fn a_limited_key_reads_its_own_places_of_its_user_only() {
    let world = world();
    let (org, second) = (&world.org, &world.second);
    let brief = json!([{"id": org.id, "name": "Acme", "slug": "acme", "membership_level": 15}]);
    let places = [
        // What is current, and whether it lies within the limits of organization and project.
        (json!(org.id), json!(org.project), [true, true]),
        (json!(org.id), json!(world.extra), [true, false]),
        (second["id"].clone(), second["teams"][0]["id"].clone(), [false, false]),
    ];
    for (organization, project, [in_organization, in_project]) in places {
        world.choose(&organization, &project);
        let whole = org.owner.me();
        assert_eq!((&whole["organization"]["id"], &whole["team"]["id"]), (&organization, &project));
        for (name, key) in world.limited() {
            let what = format!("{name} with {organization} and {project}");
            let me = key.get(ME).json(200);
            assert_eq!(me["organizations"], brief, "{what}");
            let whole_organization = in_organization && name == "organization";
            let shown = if whole_organization { whole["organization"].clone() } else { json!(null) };
            assert_eq!(me["organization"], shown, "{what}");
            let is_open = if name == "organization" { in_organization } else { in_project };
            let shown = if is_open { whole["team"].clone() } else { json!(null) };
            assert_eq!(me["team"], shown, "{what}");
            let text = me.to_string();
            assert!(!text.contains("Second-marker"), "{what}: {text}");
            assert!(name == "organization" || !text.contains("Extra-marker"), "{what}: {text}");
            // The answer to a change shows no more than that.
            assert_eq!(key.patch(ME, json!({})).json(200), me, "{what}");
        }
        delete_keys(&org.owner);
    }
}

/// A user has ten keys at most.
fn delete_keys(owner: &Person) {
    for key in owner.get("/api/personal_api_keys/").json(200).as_array().expect("an array") {
        owner.delete(&format!("/api/personal_api_keys/{}/", text(&key["id"]))).no_content();
    }
}

#[test]
fn what_a_limited_key_lists_lies_in_its_places() {
    let world = world();
    for (name, key) in world.limited() {
        for path in [
            "/api/organizations/",
            "/api/projects/",
            "/api/organizations/@current/",
            "/api/personal_api_keys/@current/",
        ] {
            let answer = key.get(path);
            assert!([200, 403].contains(&answer.status), "{name} {path}: {}", answer.text());
            assert!(!answer.text().contains("Second-marker"), "{name} {path}: {}", answer.text());
        }
    }
}

#[test]
fn a_key_for_members_lets_nobody_in_above_member() {
    let server = Server::start();
    let org = server.org();
    let victim = org.member(&server);
    let member_path = org.at(&format!("members/{}/", victim.uuid));
    let refused = "An API key gives levels above member only with the scope 'organization:write'.";
    let narrow = org.owner.key(&["organization_member:write"]);
    let also_reads = org.owner.key(&["organization_member:write", "organization:read"]);
    for key in [&narrow, &also_reads] {
        for level in [8, 15] {
            let entry = json!({"target_email": "a@example.com", "level": level});
            key.post(&org.at("invites/"), entry.clone()).denied(refused);
            let bulk = json!([{"target_email": "good@example.com"}, entry]);
            key.post(&org.at("invites/bulk/"), bulk).denied(refused);
            key.patch(&member_path, json!({"level": level})).denied(refused);
            key.put(&member_path, json!({"level": level})).denied(refused);
        }
        assert_eq!(org.owner.get(&org.at("invites/")).json(200)["count"], 0);
        assert_eq!(key.patch(&member_path, json!({"level": 1})).json(200)["level"], 1);
    }
    narrow.post(&org.at("invites/"), json!({"target_email": "a@example.com", "level": 1})).json(201);
    for wide in [org.owner.key(&["organization_member:write", "organization:write"]), org.owner.key(&["*"])] {
        let entry = json!({"target_email": "b@example.com", "level": 15});
        assert_eq!(wide.post(&org.at("invites/"), entry).json(201)["level"], 15);
        assert_eq!(wide.patch(&member_path, json!({"level": 15})).json(200)["level"], 15);
        assert_eq!(
            narrow.patch(&member_path, json!({"level": 8})).json(200)["level"],
            8,
            "to take needs no more"
        );
        assert_eq!(narrow.patch(&member_path, json!({"level": 8})).json(200)["level"], 8);
        narrow.patch(&member_path, json!({"level": 15})).denied(refused);
        assert_eq!(narrow.patch(&member_path, json!({"level": 1})).json(200)["level"], 1);
    }
}

#[test]
fn no_key_changes_how_its_user_logs_in() {
    let server = Server::start();
    let owner = server.org().owner;
    let refused = "E-mail address and password are changed by session only, not by API key.";
    let new = "another-Fine-passphrase-8";
    for key in [owner.key(&["*"]), owner.key(&["user:write"])] {
        for body in [
            json!({"email": "new@example.com"}),
            json!({"email": "new@example.com", "current_password": PASSWORD}),
            json!({"email": owner.email.to_uppercase(), "current_password": PASSWORD}),
            json!({"password": new, "current_password": PASSWORD}),
            json!({"password": new, "first_name": "Changed"}),
        ] {
            key.patch(ME, body.clone()).denied(refused);
            key.put(ME, body).denied(refused);
        }
        let form = "email=new%40example.com&current_password=x";
        key.send_form(Method::PATCH, ME, form).denied(refused);
        let same = json!({"email": owner.email, "first_name": "Olive", "current_password": "wrong"});
        assert_eq!(
            key.patch(ME, same).json(200)["email"],
            json!(owner.email),
            "the same address is no change"
        );
    }
    assert_eq!(owner.me()["first_name"], "Olive");
    owner.logged_in();
}

#[test]
fn a_key_that_is_limited_to_organizations_and_projects_opens_what_lies_in_both() {
    let world = world();
    let second = world.second["id"].as_str().expect("an id");
    let home = &world.second["teams"][0]["id"];
    let key = world.org.owner.key_of(json!({
        "scopes": ["*"], "scoped_organizations": [world.org.id], "scoped_teams": [home, world.org.project],
    }));
    let path = format!("/api/projects/{home}/");
    let refused = format!("API key does not have access to the requested organization: ID {second}.");
    key.get(&path).denied(&refused);
    key.patch(&path, json!({"name": "no"})).denied(&refused);
    key.delete(&path).denied(&refused);
    key.get(&world.org.project_at("")).json(200);
}
