//! Effective access: what the pages show is what requests may really do.

use serde_json::{Value, json};

use crate::roles::{new_role, put_in};
use crate::support::{Answer, Org, Person, Server, text};

/// The three addresses of a project.
fn addresses(org: &Org) -> [String; 3] {
    let project = org.project;
    [
        format!("/api/projects/{project}/"),
        format!("/api/environments/{project}/"),
        org.at(&format!("projects/{project}/")),
    ]
}

fn at(org: &Org, tail: &str) -> String {
    format!("/api/projects/{}/{tail}", org.project)
}

fn membership(org: &Org, person: &Person) -> Value {
    let rows = org.owner.get(&org.at("members/?limit=1000")).results();
    rows.iter().find(|row| row["user"]["uuid"] == json!(person.uuid)).expect("a member")["id"].clone()
}

fn role_id(role: &str) -> Value {
    json!(role.trim_end_matches('/').rsplit('/').next())
}

/// Sets or removes a rule of the project.
fn set(org: &Org, level: Option<&str>, mut whom: Value) {
    whom["access_level"] = json!(level);
    let answer = org.owner.put(&at(org, "access_controls/"), whom);
    assert_eq!(answer.status, if level.is_some() { 200 } else { 204 });
}

fn explain(org: &Org, caller: &Person, person: &Person) -> Answer {
    caller.get(&org.at(&format!("access_explain/?user={}&project={}", person.uuid, org.project)))
}

/// Somebody with their own rule and a role that has one; `None` for no rule.
struct Somebody {
    person: Person,
    membership: Value,
    own: Option<&'static str>,
    role: Option<&'static str>,
}

const RULES: [Option<&str>; 4] = [None, Some("none"), Some("member"), Some("admin")];

/// One member for each pair of an own rule and a role's rule, and the roles.
fn everybody(server: &Server, org: &Org) -> (Vec<Somebody>, Vec<(Value, &'static str)>) {
    let mut roles = Vec::new();
    for level in RULES.into_iter().flatten() {
        let role = new_role(org, &format!("With {level}"));
        set(org, Some(level), json!({"role": role_id(&role)}));
        roles.push((role, level));
    }
    let mut all = Vec::new();
    for own in RULES {
        for of_role in RULES {
            let person = org.member(server);
            let membership = membership(org, &person);
            if let Some(level) = own {
                set(org, Some(level), json!({"organization_member": membership}));
            }
            for (role, level) in &roles {
                if of_role == Some(*level) {
                    put_in(org, role, &person);
                }
            }
            all.push(Somebody { person, membership, own, role: of_role });
        }
    }
    (all, roles.into_iter().map(|(role, level)| (role_id(&role), level)).collect())
}

/// What somebody may do in the project, as their requests show it.
fn really(org: &Org, person: &Person) -> &'static str {
    let shown = person.get(&at(org, ""));
    let renewed = person.patch(&at(org, "reset_token/"), json!({})).status;
    match (shown.status, renewed) {
        (404, 404) => "none",
        (200, 403) => {
            assert_eq!(shown.value()["effective_membership_level"], 1);
            "member"
        }
        (200, 200) => {
            assert_eq!(shown.value()["effective_membership_level"], 8);
            "admin"
        }
        other => panic!("{other:?}"),
    }
}

fn of<'a>(rows: &'a Value, name: &str, wanted: &Value) -> Option<&'a Value> {
    rows.as_array().expect("a list").iter().find(|row| row[name] == *wanted)
}

#[test]
fn what_is_shown_is_what_requests_may_do() {
    let server = Server::start();
    let org = server.org();
    let (all, roles) = everybody(&server, &org);
    for is_private in [false, true] {
        org.owner.patch(&at(&org, ""), json!({"access_control": is_private})).json(200);
        for default in RULES {
            set(&org, default, json!({}));
            let pages = ["access_control_members/", "access_control_roles/", "users_with_access/"]
                .map(|page| org.owner.get(&at(&org, page)).json(200));
            let defaults = org.owner.get(&at(&org, "access_control_defaults/")).json(200);
            for somebody in &all {
                let what = format!(
                    "private {is_private}, default {default:?}, role {:?}, own {:?}",
                    somebody.role, somebody.own
                );
                let level = really(&org, &somebody.person);
                compare_member(&pages[0], &all, somebody, level, &what, &org);
                compare_users(&pages[2], somebody, level, &what);
                compare_explained(&org, somebody, level, &what);
                if somebody.own.is_none() {
                    match somebody.role {
                        None => assert_eq!(defaults["project_access_level"], level, "{what}"),
                        Some(role) => {
                            let id = &roles.iter().find(|(_, level)| *level == role).expect("a role").0;
                            let shown = of(&pages[1]["results"], "role_id", id).expect("it is shown");
                            assert_eq!(shown["project"]["effective_access_level"], level, "{what}");
                            assert_eq!(shown["project"]["access_level"], role, "{what}");
                        }
                    }
                }
            }
        }
    }
}

fn compare_member(page: &Value, all: &[Somebody], somebody: &Somebody, level: &str, what: &str, org: &Org) {
    let shown = of(&page["results"], "organization_membership_id", &somebody.membership).expect("shown");
    let entry = &shown["project"];
    assert_eq!(entry["access_level"], json!(somebody.own), "{what}");
    assert_eq!(entry["effective_access_level"], level, "{what}");
    let without_own = all.iter().find(|other| other.own.is_none() && other.role == somebody.role);
    let inherited = really(org, &without_own.expect("there is one").person);
    assert_eq!(entry["inherited_access"]["access_level"], inherited, "{what}");
    assert_eq!(entry["inherited_access_level"], inherited, "{what}");
    let subject = if somebody.role.is_some() { "role" } else { "default" };
    if entry["inherited_access"]["source"] != "system_default" {
        assert_eq!(entry["inherited_access"]["source_subject"], subject, "{what}");
        assert_eq!(entry["inherited_access"]["source_resource_id"], org.project.to_string(), "{what}");
    }
}

fn compare_users(page: &Value, somebody: &Somebody, level: &str, what: &str) {
    let listed = of(&page["users"], "user_id", &json!(somebody.person.uuid));
    assert_eq!(
        listed.map_or("none", |user| user["access_level"].as_str().expect("a level")),
        level,
        "{what}"
    );
    assert_eq!(page["total_count"], page["users"].as_array().expect("users").len());
    let Some(listed) = listed else { return };
    let sources: &[&str] = match (somebody.own, somebody.role) {
        (None, None) => &["default"],
        (Some(_), None) => &["explicit_member"],
        (None, Some(_)) => &["explicit_role"],
        (Some(_), Some(_)) => &["explicit_member", "explicit_role"],
    };
    assert!(sources.contains(&listed["access_source"].as_str().expect("a source")), "{what}");
}

fn compare_explained(org: &Org, somebody: &Somebody, level: &str, what: &str) {
    let explained = explain(org, &org.owner, &somebody.person).json(200);
    assert_eq!(explained["access_level"], level, "{what}");
    let rules = explained["rules"].as_array().expect("rules");
    let deciding: Vec<&Value> = rules.iter().filter(|rule| rule["decides"] == true).collect();
    assert_eq!(deciding.len(), 1, "{what}: {explained}");
    assert_eq!(deciding[0]["access_level"], level, "{what}");
    assert!(text(&explained["text"]).contains(&text(&deciding[0]["text"])), "{what}");
    let own = explain(org, &somebody.person, &somebody.person);
    assert_eq!(own.status, if level == "none" { 404 } else { 200 }, "{what}");
}

#[test]
fn admins_have_the_highest_level_whatever_the_rules_say() {
    let server = Server::start();
    let org = server.org();
    let admin = org.admin(&server);
    let id = membership(&org, &admin);
    set(&org, Some("none"), json!({}));
    set(&org, Some("none"), json!({"organization_member": id}));
    let page =
        org.owner.get(&at(&org, &format!("access_control_members/?member_id={}", text(&id)))).json(200);
    let shown = &page["results"][0];
    assert_eq!(page["results"].as_array().map(Vec::len), Some(1));
    let inherited = json!({
        "access_level": "admin",
        "source": "org_admin",
        "source_subject": null,
        "source_resource": "project",
        "source_resource_id": null,
    });
    assert_eq!(
        shown["project"],
        json!({
            "access_level": "none",
            "effective_access_level": "admin",
            "inherited_access": inherited,
            "inherited_access_level": "admin",
            "inherited_access_level_reason": "organization_admin",
            "minimum": "none",
            "maximum": "admin",
        })
    );
    assert_eq!((&shown["organization_level"], &shown["user"]["email"]), (&json!(8), &json!(admin.email)));
    let keys: Vec<&String> = shown["user"].as_object().expect("a user").keys().collect();
    assert_eq!(keys, ["uuid", "first_name", "last_name", "email"]);
    assert_eq!(shown["resources"]["toolbar"]["effective_access_level"], "viewer");
    assert_eq!(shown["resources"]["insight"]["effective_access_level"], "manager");
    assert_eq!(really(&org, &org.member(&server)), "none");
    let explained = explain(&org, &admin, &admin).json(200);
    assert_eq!(
        (&explained["access_level"], &explained["effective_membership_level"]),
        (&json!("admin"), &json!(8))
    );
    assert_eq!(explained["rules"][0]["decides"], true);
    let users = org.owner.get(&at(&org, "users_with_access/")).json(200)["users"].clone();
    let levels: Vec<&Value> =
        users.as_array().expect("users").iter().map(|user| &user["organization_membership_level"]).collect();
    assert_eq!(levels, ["owner", "admin"]);
}

#[test]
fn rules_for_kinds_of_objects_give_the_highest_of_all_that_apply() {
    let server = Server::start();
    let org = server.org();
    let member = org.member(&server);
    let id = membership(&org, &member);
    let role = new_role(&org, "Product");
    put_in(&org, &role, &member);
    let put = |body: Value| {
        assert!([200, 204].contains(&org.owner.put(&at(&org, "resource_access_controls/"), body).status))
    };
    let shown = || {
        let page = org.owner.get(&at(&org, "access_control_members/")).json(200);
        of(&page["results"], "organization_membership_id", &id).expect("shown")["resources"]["insight"]
            .clone()
    };
    let nobody = shown();
    assert_eq!(
        (&nobody["access_level"], &nobody["effective_access_level"]),
        (&json!(null), &json!("editor"))
    );
    assert_eq!(nobody["inherited_access"]["source"], "system_default");
    for (default, of_role, own, level, source_subject) in [
        (Some("none"), None, None, "none", "default"),
        (Some("none"), Some("viewer"), None, "viewer", "role"),
        (Some("editor"), Some("viewer"), Some("none"), "editor", "default"),
        (Some("none"), Some("viewer"), Some("manager"), "manager", "role"),
    ] {
        put(json!({"resource": "insight", "access_level": default}));
        put(json!({"resource": "insight", "access_level": of_role, "role": role_id(&role)}));
        put(json!({"resource": "insight", "access_level": own, "organization_member": id}));
        let entry = shown();
        assert_eq!((&entry["access_level"], &entry["effective_access_level"]), (&json!(own), &json!(level)));
        assert_eq!(entry["inherited_access"]["source"], "resource");
        assert_eq!(entry["inherited_access"]["source_subject"], source_subject);
        assert_eq!(entry["inherited_access"]["source_resource"], "insight");
        assert_eq!(entry["inherited_access"]["source_resource_id"], json!(null));
    }
    let defaults =
        org.owner.get(&at(&org, "access_control_defaults/")).json(200)["resource_access_levels"].clone();
    let insight = json!({"access_level": "none", "system_default_access_level": "editor", "minimum": "none", "maximum": "manager"});
    assert_eq!(defaults["insight"], insight);
    assert_eq!(defaults["action"]["minimum"], "viewer");
    assert_eq!(
        defaults["activity_log"],
        json!({"access_level": null, "system_default_access_level": "viewer", "minimum": "none", "maximum": "viewer"})
    );
    assert_eq!(defaults.as_object().map(serde_json::Map::len), Some(34));
}

#[test]
fn every_page_is_at_all_addresses_of_a_project() {
    let server = Server::start();
    let org = server.org();
    let member = org.member(&server);
    let role = role_id(&new_role(&org, "Product"));
    let (role, id) = (text(&role), text(&membership(&org, &member)));
    let pages = [
        "access_controls/".to_owned(),
        "resource_access_controls/".into(),
        "global_access_controls/".into(),
        "access_control_defaults/".into(),
        "access_control_roles/".into(),
        format!("access_control_roles/?role_id={role}"),
        "access_control_members/".into(),
        "users_with_access/".into(),
        "access_control_default_objects/".into(),
        "access_control_default_properties/".into(),
        format!("access_control_role_objects/?role_id={role}"),
        format!("access_control_role_properties/?role_id={role}"),
        format!("access_control_member_objects/?member_id={id}"),
        format!("access_control_member_properties/?member_id={id}"),
    ];
    for page in pages {
        let [first, second, third] =
            addresses(&org).map(|address| member.get(&format!("{address}{page}")).json(200));
        assert_eq!((&first, &first), (&second, &third), "{page}");
        if page.contains("objects") || page.contains("properties") {
            assert_eq!(first, json!({"results": []}), "{page}");
        }
        if page.contains("access_controls") {
            assert_eq!(first.as_object().map(serde_json::Map::len), Some(7), "{page}");
        }
        if page.starts_with("access_control_") && first.get("can_edit").is_some() {
            assert_eq!(first["can_edit"], false, "{page}");
            assert_eq!(first["available_project_levels"], json!(["none", "member", "admin"]));
        }
    }
    for address in addresses(&org) {
        for (tail, detail) in
            [("role_objects/", "role_id is required"), ("member_properties/", "member_id is required")]
        {
            let answer = member.get(&format!("{address}access_control_{tail}"));
            answer.invalid(None, "invalid_input", detail);
        }
        for unknown in [
            "access_control_roles/?role_id=",
            "access_control_members/?member_id=",
            "access_control_role_objects/?role_id=",
        ] {
            for odd in ["x", "0191d2a1-0000-7000-8000-000000000000"] {
                member.get(&format!("{address}{unknown}{odd}")).not_found();
            }
        }
    }
}

#[test]
fn members_come_in_parts_where_somebody_wants_that() {
    let server = Server::start();
    let org = server.org();
    org.member(&server);
    org.member(&server);
    let page = org.owner.get(&at(&org, "access_control_members/?limit=2")).json(200);
    assert_eq!(page["results"].as_array().map(Vec::len), Some(2));
    let next = text(&page["next"]);
    let path = next.strip_prefix(&org.owner.url("")).expect("an address of the server");
    let rest = org.owner.get(path).json(200);
    assert_eq!((rest["results"].as_array().map(Vec::len), &rest["next"]), (Some(1), &json!(null)));
}

#[test]
fn errors_come_in_the_order_and_in_the_words_of_posthog() {
    let server = Server::start();
    let org = server.org();
    let member = org.member(&server);
    let role = role_id(&new_role(&org, "Product"));
    let unknown = "0191d2a1-0000-7000-8000-000000000000";
    let member_id = "Invalid organization member id. Use the 'id' field from the /api/organizations/<organization_id>/members/ endpoint.";
    let both = "You can not scope an access control to both a member and a role.";
    let levels = "Invalid access level. Must be one of: none, viewer, editor, manager";
    for (body, attr, code, detail) in [
        (
            json!({"access_level": "member", "resource": "nonsense", "organization_member": "x"}),
            Some("access_level"),
            "invalid_input",
            levels,
        ),
        (
            json!({"access_level": "none", "resource": "action"}),
            Some("access_level"),
            "invalid_input",
            "Access level cannot be set below the minimum 'viewer' for action.",
        ),
        (
            json!({"access_level": "editor", "resource": "activity_log"}),
            Some("access_level"),
            "invalid_input",
            "Access level cannot be set above the maximum 'viewer' for activity_log.",
        ),
        (
            json!({"access_level": "manager", "resource": "toolbar"}),
            Some("access_level"),
            "invalid_input",
            "Access level cannot be set above the maximum 'viewer' for toolbar.",
        ),
        (json!({"access_level": "viewer"}), Some("resource"), "required", "This field is required."),
        (
            json!({"access_level": "viewer", "resource": "insight", "organization_member": "x", "role": role}),
            Some("organization_member"),
            "invalid_input",
            member_id,
        ),
        (
            json!({"access_level": "viewer", "resource": "insight", "organization_member": unknown, "role": role}),
            Some("organization_member"),
            "does_not_exist",
            &format!("Invalid pk \"{unknown}\" - object does not exist."),
        ),
        (
            json!({"access_level": "viewer", "resource": "insight", "organization_member": membership(&org, &member), "role": role}),
            None,
            "invalid_input",
            both,
        ),
    ] {
        for address in addresses(&org) {
            for name in ["resource_access_controls/", "global_access_controls/"] {
                org.owner.put(&format!("{address}{name}"), body.clone()).invalid(attr, code, detail);
            }
        }
    }
    let resources = at(&org, "resource_access_controls/");
    for odd in ["feature_flags", "nonsense"] {
        let answer = org
            .owner
            .put(&resources, json!({"access_level": "none", "resource": odd, "organization_member": "x"}));
        let detail = text(&answer.json(400)["detail"]);
        assert!(detail.starts_with("Invalid resource. Must be one of: ('access_control', "), "{detail}");
    }
    let wide = "Must be an Organization admin to modify project-wide permissions.";
    let elsewhere = "Cannot modify access controls for a resource different from the URL target.";
    let own = "Must be admin to modify project permissions.";
    for (body, detail) in [
        (json!({"access_level": "viewer", "resource": "insight"}), wide),
        (json!({"access_level": null, "resource": "insight"}), wide),
        (json!({"access_level": "viewer", "resource": "insight", "resource_id": "7"}), elsewhere),
        (json!({"access_level": "member", "resource": "project"}), own),
        // Whether there is such a member is not said.
        (json!({"access_level": "viewer", "resource": "insight", "organization_member": unknown}), wide),
    ] {
        member.put(&resources, body).denied(detail);
    }
    org.owner
        .put(&resources, json!({"access_level": "viewer", "resource": "insight", "resource_id": "7"}))
        .denied(elsewhere);
    assert_eq!(org.owner.get(&resources).json(200)["access_controls"], json!([]));
}

#[test]
fn the_project_itself_is_a_resource_as_well() {
    let server = Server::start();
    let org = server.org();
    let member = org.member(&server);
    let own = org.project.to_string();
    for object in [json!(null), json!(own)] {
        let body = json!({"access_level": "none", "resource": "project", "resource_id": object});
        let set = org.owner.put(&at(&org, "resource_access_controls/"), body).json(200);
        assert_eq!((&set["resource"], &set["resource_id"]), (&json!("project"), &json!(own)));
        assert_eq!(really(&org, &member), "none");
        let body = json!({"access_level": null, "resource": "project", "resource_id": object});
        org.owner.put(&at(&org, "resource_access_controls/"), body).no_content();
        assert_eq!(really(&org, &member), "member");
    }
}

#[test]
fn an_explanation_is_for_admins_and_oneself() {
    let server = Server::start();
    let org = server.org();
    let (member, other, stranger) = (org.member(&server), org.member(&server), server.org());
    let denied = "You can only see an explanation of your own access, unless you are an admin.";
    explain(&org, &member, &other).denied(denied);
    let own = member.get(&org.at(&format!("access_explain/?user=@me&project={}", org.project))).json(200);
    assert_eq!(own["user"]["uuid"], json!(member.uuid));
    assert_eq!(own["access_level"], "member");
    assert_eq!(own["organization_level"], 1);
    assert_eq!(own["project"]["id"], org.project);
    let named: Vec<&Value> =
        own["rules"].as_array().expect("rules").iter().map(|rule| &rule["rule"]).collect();
    assert_eq!(named, ["organization_level", "member", "private", "default", "system_default"]);
    set(&org, Some("admin"), json!({"organization_member": membership(&org, &member)}));
    let granted = explain(&org, &org.owner, &member).json(200);
    assert_eq!(granted["rules"][1]["created_by"], json!(org.owner.uuid));
    assert_eq!(granted["effective_membership_level"], 8);
    let ask = |query: &str| org.owner.get(&org.at(&format!("access_explain/{query}")));
    ask("").invalid("user", "required", "This field is required.");
    ask("?user=@me").invalid("project", "required", "This field is required.");
    ask("?user=x&project=1").invalid("user", "invalid_input", "Must be a valid UUID.");
    ask("?user=@me&project=x").invalid("project", "invalid_input", "A valid integer is required.");
    ask(&format!("?user=@me&project={}", stranger.project)).not_found();
    explain(&org, &org.owner, &stranger.owner).not_found();
    let key = org.owner.key(&["project:read"]);
    explain(&org, &key, &member).denied("API key missing required scope 'access_control:read'");
}

#[test]
fn an_explanation_needs_no_organization_and_takes_an_address() {
    let server = Server::start();
    let org = server.org();
    let (member, other, stranger) = (org.member(&server), org.member(&server), server.org());
    let ask = |caller: &Person, user: &str, project: u64| {
        caller.get(&format!("/api/orgd/access/?user={user}&project={project}"))
    };
    // The same as the other route says.
    let wanted = explain(&org, &org.owner, &member).json(200);
    for user in [member.uuid.clone(), member.email.clone(), member.email.to_uppercase()] {
        assert_eq!(ask(&org.owner, &user, org.project).json(200), wanted, "{user}");
    }
    assert_eq!(ask(&member, "@me", org.project).json(200), wanted);
    assert_eq!(ask(&member, &member.email, org.project).json(200), wanted);
    let denied = "You can only see an explanation of your own access, unless you are an admin.";
    ask(&member, &other.email, org.project).denied(denied);
    // A stranger learns nothing, of the project and of people.
    for user in ["@me", &member.email, "nobody@example.com"] {
        ask(&stranger.owner, user, org.project).not_found();
    }
    ask(&org.owner, "nobody@example.com", org.project).not_found();
    ask(&org.owner, &stranger.owner.email, org.project).not_found();
    ask(&org.owner, "@me", stranger.project).not_found();
    // Somebody whom a member does not see is as unknown as nobody.
    let hidden = json!({"members_can_see_org_members": false});
    org.owner.patch(&org.at(""), hidden).json(200);
    ask(&member, &other.email, org.project).not_found();
    ask(&member, &member.email, org.project).json(200);
    set(&org, Some("none"), json!({"organization_member": membership(&org, &member)}));
    ask(&member, "@me", org.project).not_found();
    assert_eq!(ask(&org.owner, &member.email, org.project).json(200)["access_level"], "none");
    org.owner.get("/api/orgd/access/?user=@me").invalid("project", "required", "This field is required.");
    org.owner.get("/api/orgd/access/?project=x&user=@me").invalid(
        "project",
        "invalid_input",
        "A valid integer is required.",
    );
    let narrow = org.owner.key(&["project:read"]);
    ask(&narrow, "@me", org.project).denied("API key missing required scope 'access_control:read'");
    let other = org.owner.post("/api/organizations/", json!({"name": "Other"})).json(201);
    let limited = json!({"scopes": ["access_control:read"], "scoped_organizations": [other["id"]]});
    ask(&org.owner.key_of(limited), "@me", org.project)
        .denied(&format!("API key does not have access to the requested organization: ID {}.", org.id));
}

#[test]
fn the_log_of_a_project_is_closed_by_a_rule_for_it() {
    let server = Server::start();
    let org = server.org();
    let member = org.member(&server);
    let id = membership(&org, &member);
    for (default, own, level) in [
        (None, None, "viewer"),
        (Some("none"), None, "none"),
        (Some("none"), Some("viewer"), "viewer"),
        (None, Some("none"), "none"),
    ] {
        for (level, whom) in [(default, json!(null)), (own, id.clone())] {
            let body =
                json!({"resource": "activity_log", "access_level": level, "organization_member": whom});
            assert!([200, 204].contains(&org.owner.put(&at(&org, "resource_access_controls/"), body).status));
        }
        let page = org.owner.get(&at(&org, "access_control_members/")).json(200);
        let shown = of(&page["results"], "organization_membership_id", &id).expect("shown");
        assert_eq!(shown["resources"]["activity_log"]["effective_access_level"], level);
        for log in ["activity_log/", "advanced_activity_logs/", "advanced_activity_logs/available_filters/"] {
            let answer = member.get(&at(&org, log));
            match level {
                "none" => answer.denied("You do not have viewer access to this resource."),
                _ => assert_eq!(answer.status, 200, "{log}"),
            }
            org.owner.get(&at(&org, log)).json(200);
        }
    }
}

#[test]
fn a_rule_that_changes_is_in_the_log_of_the_project() {
    let server = Server::start();
    let org = server.org();
    let id = text(&membership(&org, &org.member(&server)));
    let whom = json!({"organization_member": id});
    for level in [Some("member"), Some("member"), Some("admin"), None, None] {
        set(&org, level, whom.clone());
    }
    let log = org.owner.get(&at(&org, "activity_log/?scope=AccessControl")).json(200)["results"].clone();
    let changes: Vec<&Value> =
        log.as_array().expect("entries").iter().map(|entry| &entry["detail"]["changes"][0]).collect();
    let seen: Vec<(&Value, &Value)> =
        changes.iter().map(|change| (&change["before"], &change["after"])).collect();
    let (none, member, admin) = (json!(null), json!("member"), json!("admin"));
    assert_eq!(
        seen,
        [(&admin, &none), (&member, &admin), (&none, &member)],
        "the newest first, and no idle ones"
    );
    assert!(changes.iter().all(|change| change["field"] == json!(format!("project/{id}"))));
    assert_eq!(log[0]["item_id"], org.project.to_string());
}
