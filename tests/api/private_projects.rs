//! What belongs to a project is there only for those whom the project is open to.

use serde_json::{Value, json};

use crate::support::exports::at;
use crate::support::{Org, Person, Server, text};

fn no_op(name: &str) -> Value {
    json!({"name": name, "interval": "hour", "paused": true, "destination": {"type": "NoOp", "config": {}}})
}

/// A second project, with an export, closed to plain members.
struct Closed {
    org: Org,
    project: u64,
    /// In the project that everybody sees.
    open_export: Value,
    export: Value,
}

impl Closed {
    fn new(server: &Server) -> Closed {
        let org = server.org();
        let open_export = org.owner.post(&org.at("batch_exports/"), no_op("open")).json(201);
        let made = org.owner.post(&org.at("projects/"), json!({"name": "Private"})).json(201);
        let project = made["id"].as_u64().expect("a number");
        // A new project becomes the current one, and exports belong to that.
        let export = org.owner.post(&org.at("batch_exports/"), no_op("closed")).json(201);
        assert_eq!(export["team_id"], project);
        let closed = Closed { org, project, open_export, export };
        closed.set_private(true);
        closed
    }

    fn set_private(&self, is_private: bool) {
        let path = self.org.at(&format!("projects/{}/", self.project));
        self.org.owner.patch(&path, json!({"access_control": is_private})).json(200);
    }

    fn grant(&self, body: Value) {
        let path = format!("/api/projects/{}/access_controls/", self.project);
        let answer = self.org.owner.put(&path, body);
        assert!([200, 204].contains(&answer.status), "{}", answer.text());
    }

    fn membership(&self, person: &Person) -> Value {
        let members = self.org.owner.get(&self.org.at("members/")).results();
        let of = |member: &&Value| member["user"]["email"] == *person.email;
        members.iter().find(of).expect("a member")["id"].clone()
    }

    fn listed(&self, person: &Person) -> (Value, Vec<String>) {
        let page = person.get(&self.org.at("batch_exports/")).json(200);
        let names = page["results"].as_array().expect("rows").iter().map(|row| text(&row["name"]));
        (page["count"].clone(), names.collect())
    }
}

/// Everything that can be done with an export, with a body that is right.
fn actions() -> Vec<(&'static str, &'static str, Value)> {
    vec![
        ("GET", "", json!({})),
        ("GET", "logs/", json!({})),
        ("PUT", "", no_op("taken")),
        ("PATCH", "", json!({"name": "taken"})),
        ("PATCH", "", json!({"destination": {"type": "HTTP", "config": {"url": "http://x", "token": "t"}}})),
        ("POST", "pause/", json!({})),
        ("POST", "unpause/", json!({"backfill": true})),
        ("POST", "backfill/", json!({"start_at": null})),
        ("DELETE", "", json!({})),
    ]
}

#[test]
fn an_export_of_a_project_that_is_closed_to_a_member_is_not_there_for_them() {
    let server = Server::start();
    let closed = Closed::new(&server);
    let org = &closed.org;
    let member = org.member(&server);
    let key = member.key(&["*"]);
    let before = org.owner.get(&at(org, &closed.export, "")).json(200);
    for caller in [&member, &key] {
        for (method, tail, body) in actions() {
            caller.call(method, &at(org, &closed.export, tail), &body).not_found();
        }
    }
    assert_eq!(org.owner.get(&at(org, &closed.export, "")).json(200), before);
    assert_eq!(org.owner.get(&at(org, &closed.export, "logs/")).json(200)["count"], 0);
    // Nothing else is closed.
    member.get(&at(org, &closed.open_export, "")).json(200);
}

#[test]
fn the_list_leaves_them_out_and_counts_what_is_left() {
    let server = Server::start();
    let closed = Closed::new(&server);
    let org = &closed.org;
    let (member, admin) = (org.member(&server), org.admin(&server));
    let all = (json!(2), vec!["closed".to_owned(), "open".to_owned()]);
    let rest = (json!(1), vec!["open".to_owned()]);
    assert_eq!(closed.listed(&org.owner), all);
    assert_eq!(closed.listed(&admin), all);
    assert_eq!(closed.listed(&member), rest);
    let page = member.get(&org.at("batch_exports/?limit=1")).json(200);
    assert_eq!((&page["count"], &page["next"]), (&json!(1), &Value::Null));
    let page = member.get(&org.at("batch_exports/?limit=1&offset=1")).json(200);
    assert_eq!((&page["count"], &page["results"]), (&json!(1), &json!([])));
    closed.set_private(false);
    assert_eq!(closed.listed(&member), all);
}

#[test]
fn every_way_of_opening_and_closing_a_project_opens_and_closes_its_exports() {
    let server = Server::start();
    let closed = Closed::new(&server);
    let org = &closed.org;
    let member = org.member(&server);
    let role = text(&org.owner.post(&org.at("roles/"), json!({"name": "R"})).json(201)["id"]);
    let joined = json!({"user_uuid": member.uuid});
    let membership = closed.membership(&member);
    let sees = |wanted: bool| {
        let status = member.get(&at(org, &closed.export, "")).status;
        assert_eq!(status, if wanted { 200 } else { 404 });
        assert_eq!(closed.listed(&member).0, json!(if wanted { 2 } else { 1 }));
    };
    sees(false);
    closed.grant(json!({"access_level": "member", "organization_member": membership}));
    sees(true);
    closed.grant(json!({"access_level": null, "organization_member": membership}));
    sees(false);
    closed.grant(json!({"access_level": "member", "role": role}));
    sees(false);
    let place = org.at(&format!("roles/{role}/role_memberships/"));
    let in_role = text(&org.owner.post(&place, joined).json(201)["id"]);
    sees(true);
    org.owner.delete(&format!("{place}{in_role}/")).no_content();
    sees(false);
    closed.set_private(false);
    sees(true);
    closed.grant(json!({"access_level": "none"}));
    sees(false);
    let one = org.at(&format!("members/{}/", member.uuid));
    org.owner.patch(&one, json!({"level": 8})).json(200);
    sees(true);
    org.owner.patch(&one, json!({"level": 1})).json(200);
    sees(false);
}

#[test]
fn a_key_that_is_limited_to_a_project_reaches_the_exports_of_this_project_only() {
    let server = Server::start();
    let closed = Closed::new(&server);
    let org = &closed.org;
    let key = org.owner.key_of(json!({"scopes": ["*"], "scoped_teams": [closed.project]}));
    assert_eq!(key.get(&at(org, &closed.export, "")).json(200)["name"], "closed");
    key.patch(&at(org, &closed.export, ""), json!({"name": "renamed"})).json(200);
    key.get(&at(org, &closed.export, "logs/")).json(200);
    let refused = format!("API key does not have access to the requested project: ID {}.", org.project);
    for (method, tail, body) in actions() {
        key.call(method, &at(org, &closed.open_export, tail), &body).denied(&refused);
    }
    // What spans projects stays closed.
    let spanning = "API keys with scoped projects are only supported on project-based endpoints.";
    key.get(&org.at("batch_exports/")).denied(spanning);
    key.post(&org.at("batch_exports/"), no_op("new")).denied(spanning);
    // Its user loses the project, and the key with them.
    let member = org.member(&server);
    let membership = closed.membership(&member);
    closed.grant(json!({"access_level": "member", "organization_member": membership}));
    let key = member.key_of(json!({"scopes": ["*"], "scoped_teams": [closed.project]}));
    key.get(&at(org, &closed.export, "")).json(200);
    closed.grant(json!({"access_level": null, "organization_member": membership}));
    key.get(&at(org, &closed.export, "")).not_found();
}

#[test]
fn an_export_is_sought_in_its_own_organization_and_by_its_own_name() {
    let server = Server::start();
    let closed = Closed::new(&server);
    let other = server.org();
    let id = text(&closed.export["id"]);
    other.owner.get(&other.at(&format!("batch_exports/{id}/"))).not_found();
    closed.org.owner.get(&closed.org.at("batch_exports/nonsense/")).not_found();
    other.owner.get(&closed.org.at(&format!("batch_exports/{id}/"))).forbidden();
    // A key of one organization does not open an export of another one of its user.
    let key = closed.org.owner.key_of(json!({"scopes": ["*"], "scoped_organizations": [closed.org.id]}));
    key.get(&at(&closed.org, &closed.export, "")).json(200);
    let elsewhere = other.joined(server.somebody("both"), 15);
    elsewhere.accept(&closed.org.token(&elsewhere.email, 15));
    let key = elsewhere.key_of(json!({"scopes": ["*"], "scoped_organizations": [other.id]}));
    let refused =
        format!("API key does not have access to the requested organization: ID {}.", closed.org.id);
    key.get(&at(&closed.org, &closed.export, "")).denied(&refused);
}
