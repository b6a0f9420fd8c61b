//! A project that moves to another organization.

use serde_json::{Value, json};

use crate::roles::{new_role, put_in};
use crate::support::{Org, Person, Server, exports, text};

struct Moving {
    from: Org,
    to: Org,
    /// Owner of the first organization and admin of the second.
    mover: Person,
}

impl Moving {
    fn start(server: &Server) -> Moving {
        let (from, to) = (server.org(), server.org());
        let mover = from.owner.accept(&to.token(&from.owner.email, 8));
        Moving { from, to, mover }
    }

    fn path(&self) -> String {
        format!("/api/projects/{}/change_organization/", self.from.project)
    }

    fn body(&self) -> Value {
        json!({"organization_id": self.to.id})
    }
}

fn project_ids(person: &Person, org: &Org) -> Vec<Value> {
    person.get(&org.at("projects/")).results().iter().map(|row| row["id"].clone()).collect()
}

#[test]
fn everything_moves_with_it_but_the_rules_for_people() {
    let server = Server::start();
    let moving = Moving::start(&server);
    let Moving { from, to, mover } = &moving;
    let (stays, goes) = (from.member(&server), from.member(&server));
    let there = to.member(&server);
    goes.accept(&to.token(&goes.email, 1));
    let project = |tail: &str| format!("/api/projects/{}/{tail}", from.project);
    let role = new_role(from, "Product");
    put_in(from, &role, &stays);
    let rule = |body: Value| from.owner.put(&project("access_controls/"), body).json(200);
    rule(json!({"access_level": "member"}));
    rule(json!({"access_level": "admin", "role": role.trim_end_matches('/').rsplit('/').next()}));
    let export = json!({"name": "E", "interval": "day", "destination": {"type": "NoOp", "config": {}}});
    let export = text(&from.owner.post(&from.at("batch_exports/"), export).json(201)["id"]);
    exports::capture(&server, from, &[json!({"event": "e", "distinct_id": "d"})]);
    let secret =
        mover.patch(&project("rotate_secret_token/"), json!({})).json(200)["secret_api_token"].clone();
    let before = mover.get(&project("")).json(200);

    let moved = mover.post(&moving.path(), moving.body()).json(200);
    for field in ["id", "uuid", "api_token", "name", "created_at", "secret_api_token"] {
        assert_eq!(moved[field], before[field], "{field}");
    }
    assert_eq!((&moved["organization"], &moved["secret_api_token"]), (&json!(to.id), &secret));
    assert_eq!(moved["effective_membership_level"], 8);
    assert_eq!(project_ids(mover, from), [] as [Value; 0]);
    assert_eq!(project_ids(mover, to), [json!(from.project), json!(to.project)]);
    from.owner.get(&from.project_at("")).not_found();
    stays.get(&project("")).not_found();
    assert_eq!(stays.me()["team"], json!(null), "they fall back to what they see");
    there.get(&project("")).json(200);
    goes.get(&project("")).json(200);
    let rules = mover.get(&project("access_controls/")).json(200)["access_controls"].clone();
    assert_eq!(rules.as_array().map(Vec::len), Some(1));
    assert_eq!(rules[0]["access_level"], "member");
    mover.get(&to.at(&format!("batch_exports/{export}/"))).json(200);
    mover.get(&from.at(&format!("batch_exports/{export}/"))).not_found();
    let moved = Org { owner: mover.clone(), id: to.id.clone(), project: from.project };
    exports::capture(&server, &moved, &[json!({"event": "later", "distinct_id": "d"})]);

    for organization in [from, to] {
        let admin = if organization.id == from.id { &from.owner } else { &to.owner };
        let log = admin.get(&organization.at("advanced_activity_logs/?scopes=Project")).json(200);
        let entry = &log["results"][0];
        assert_eq!(entry["item_id"], from.project.to_string());
        let change = &entry["detail"]["changes"][0];
        assert_eq!(change["field"], "organization_id");
        assert_eq!((&change["before"], &change["after"]), (&json!(from.id), &json!(to.id)));
    }

    // There and back, so that nothing of it was left.
    mover.post(&moving.path(), json!({"organization_id": from.id})).json(200);
    assert_eq!(project_ids(mover, to), [json!(to.project)]);
    mover.get(&from.project_at("")).json(200);
    mover.get(&from.at(&format!("batch_exports/{export}/"))).json(200);
    mover.delete(&from.project_at("")).no_content();
    mover.get(&from.at(&format!("batch_exports/{export}/"))).not_found();
}

#[test]
fn only_admins_of_both_organizations_move_it() {
    let server = Server::start();
    let moving = Moving::start(&server);
    let Moving { from, to, mover } = &moving;
    let elsewhere = server.org();
    let (member, admin) = (from.member(&server), from.admin(&server));
    member.accept(&to.token(&member.email, 8));
    admin.accept(&to.token(&admin.email, 1));
    let both = "You must be an admin of both the source and target organizations to move a project.";
    let unknown =
        "You must be an admin or owner of both the source and target organizations to move a project.";
    for (caller, body, detail) in [
        (&member, moving.body(), both),
        (&admin, moving.body(), both),
        (mover, json!({"organization_id": elsewhere.id}), unknown),
        (mover, json!({"organization_id": "0191d2a1-0000-7000-8000-000000000000"}), unknown),
        (mover, json!({"organization_id": "x"}), unknown),
        (mover, json!({"organization_id": from.id}), "Project is already in the target organization."),
    ] {
        caller.post(&moving.path(), body).invalid(None, "invalid_input", detail);
    }
    mover.post(&moving.path(), json!({})).invalid("organization_id", "required", "This field is required.");
    for limits in [json!({"scoped_organizations": [from.id]}), json!({"scoped_teams": [from.project]})] {
        let mut key = limits.clone();
        key["scopes"] = json!(["*"]);
        let key = mover.key_of(key);
        let detail = format!("API key does not have access to the requested organization: ID {}.", to.id);
        key.post(&moving.path(), moving.body()).denied(&detail);
    }
    let reader = mover.key(&["project:read"]);
    let key = mover.key_of(json!({"scopes": ["*"], "scoped_organizations": [from.id, to.id]}));
    // What the other organization demands of its people is demanded here, too.
    to.owner.patch(&to.at(""), json!({"enforce_2fa": true})).json(200);
    assert_eq!(mover.post(&moving.path(), moving.body()).status, 403);
    reader.post(&moving.path(), moving.body()).denied("API key missing required scope 'project:write'");
    assert_eq!(project_ids(mover, from), [json!(from.project)]);
    key.post(&moving.path(), moving.body()).json(200);
}
