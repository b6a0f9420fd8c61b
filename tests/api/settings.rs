//! Settings of an organization: stored, shown, and what each of them restricts.

use serde_json::{Value, json};

use crate::domains::verified_domain;
use crate::roles::{new_role, put_in};
use crate::support::{Answer, NameServer, Org, Person, Server, text};

fn set(org: &Org, name: &str, value: Value) {
    let shown = org.owner.patch(&org.at(""), json!({name: value})).json(200);
    assert_eq!(shown[name], value, "{name}");
}

/// The uuids of a list, by a path into its rows.
fn seen(person: &Person, path: &str, pointer: &str) -> Vec<String> {
    let rows = person.get(path).results();
    let mut all: Vec<String> =
        rows.iter().map(|row| text(row.pointer(pointer).unwrap_or(&json!("hidden")))).collect();
    all.sort();
    all
}

fn sorted(people: &[&Person]) -> Vec<String> {
    let mut all: Vec<String> = people.iter().map(|person| person.uuid.clone()).collect();
    all.sort();
    all
}

fn project_access(org: &Org, project: u64, subject: Value, level: Value) {
    let mut body = json!({"access_level": level});
    body.as_object_mut().expect("an object").extend(subject.as_object().expect("an object").clone());
    let answer = org.owner.put(&format!("/api/projects/{project}/access_controls/"), body);
    assert!([200, 204].contains(&answer.status), "{}", answer.status);
}

fn membership(org: &Org, person: &Person) -> String {
    let rows = org.owner.get(&org.at("members/")).results();
    let row = rows.iter().find(|row| row["user"]["uuid"] == json!(person.uuid)).expect("a member");
    text(&row["id"])
}

#[test]
fn every_setting_is_stored_and_shown() {
    let server = Server::start();
    let org = server.org();
    let role = text(&org.owner.post(&org.at("roles/"), json!({"name": "R"})).json(201)["id"]);
    let all = [
        ("members_can_invite", json!(true), vec![json!(false), json!(null), json!(true)]),
        ("members_can_create_projects", json!(false), vec![json!(true), json!(null), json!(false)]),
        ("members_can_use_personal_api_keys", json!(true), vec![json!(false), json!(true)]),
        ("members_can_see_org_members", json!(true), vec![json!(false), json!(true)]),
        ("enforce_verified_domains", json!(false), vec![json!(false)]),
        ("allow_publicly_shared_resources", json!(true), vec![json!(false), json!(true)]),
        ("default_role_id", json!(null), vec![json!(role), json!(null)]),
        ("default_anonymize_ips", json!(false), vec![json!(true), json!(false)]),
        ("is_ai_data_processing_approved", json!(null), vec![json!(true), json!(false), json!(null)]),
        ("is_ai_training_opted_in", json!(null), vec![json!(true), json!(false), json!(null)]),
        ("read_only_mcp_access", json!(false), vec![json!(true), json!(false)]),
        (
            "default_experiment_stats_method",
            json!("bayesian"),
            vec![json!("frequentist"), json!(""), json!(null), json!("bayesian")],
        ),
        ("logo_media_id", json!(null), vec![json!(null)]),
        ("is_member_join_email_enabled", json!(true), vec![json!(false), json!(true)]),
        ("enforce_2fa", json!(null), vec![json!(false), json!(null)]),
    ];
    let fresh = org.owner.get(&org.at("")).json(200);
    for (name, default, values) in &all {
        assert_eq!(fresh[name], *default, "{name}");
        for value in values {
            set(&org, name, value.clone());
            assert_eq!(org.owner.get(&org.at("")).json(200)[name], *value, "{name}");
        }
        let wrong = org.owner.patch(&org.at(""), json!({*name: {"a": 1}}));
        assert_eq!((wrong.status, wrong.value()["attr"].clone()), (400, json!(name)), "{name}");
    }
    // All at once, by PUT and at the creation of another one.
    let mut body = json!({"name": "Other"});
    for (name, _, values) in &all {
        if *name != "default_role_id" {
            body[*name] = values[0].clone();
        }
    }
    for answer in [org.owner.put(&org.at(""), body.clone()).json(200), {
        org.owner.post("/api/organizations/", body.clone()).json(201)
    }] {
        for (name, ..) in all.iter().filter(|(name, ..)| *name != "default_role_id") {
            assert_eq!(answer[name], body[*name], "{name}");
        }
    }
}

#[test]
fn what_can_not_be_set_is_shown_as_it_is() {
    let server = Server::start();
    let org = server.org();
    let body = json!({"is_active": false, "is_hipaa": true, "is_pending_deletion": true, "slug": "x", "projects": []});
    let shown = org.owner.patch(&org.at(""), body).json(200);
    for (name, value) in [
        ("is_active", json!(true)),
        ("is_not_active_reason", json!(null)),
        ("is_pending_deletion", json!(false)),
        ("is_hipaa", json!(false)),
        ("is_ai_training_locked", json!(false)),
        ("is_ai_training_cta_shown", json!(false)),
        ("slug", json!("acme")),
    ] {
        assert_eq!(shown[name], value, "{name}");
    }
    let mut project = shown["teams"][0].clone();
    project["organization_id"] = json!(org.id);
    assert_eq!(shown["projects"], json!([project]));
    let other = server.org();
    let foreign = text(&other.owner.post(&other.at("roles/"), json!({"name": "R"})).json(201)["id"]);
    for role in [foreign.as_str(), "3e9c5de9-1765-454a-bd9a-3c5e67ed9a23"] {
        let answer = org.owner.patch(&org.at(""), json!({"default_role_id": role}));
        answer.invalid("default_role_id", "invalid_input", "Role does not exist.");
    }
    let logo = "3e9c5de9-1765-454a-bd9a-3c5e67ed9a23";
    org.owner.patch(&org.at(""), json!({"logo_media_id": logo})).invalid(
        "logo_media_id",
        "does_not_exist",
        &format!("Invalid pk \"{logo}\" - object does not exist."),
    );
    let member = org.member(&server);
    member.patch(&org.at(""), json!({"members_can_invite": false})).level_too_low();
    org.admin(&server).patch(&org.at(""), json!({"members_can_invite": false})).json(200);
}

#[test]
fn what_members_may_do_follows_the_setting_and_admins_are_free() {
    let server = Server::start();
    let org = server.org();
    let (admin, member) = (org.admin(&server), org.member(&server));
    let invite = |person: &Person, name: &str| {
        let mail = format!("{name}-{}@example.com", person.uuid);
        person.post(&org.at("invites/"), json!({"target_email": mail}))
    };
    let bulk = |person: &Person, name: &str| {
        let mail = format!("{name}-{}@example.com", person.uuid);
        person.post(&org.at("invites/bulk/"), json!([{"target_email": mail}]))
    };
    let project = |person: &Person, name: &str| person.post(&org.at("projects/"), json!({"name": name}));
    type Act<'a> = &'a dyn Fn(&Person, &str) -> Answer;
    let acts: [(&str, Act<'_>, u16, &str); 3] = [
        ("members_can_invite", &invite, 201, "You do not have permission to perform this action."),
        ("members_can_invite", &bulk, 200, "You do not have permission to perform this action."),
        ("members_can_create_projects", &project, 201, "Your organization access level is insufficient."),
    ];
    for (setting, act, status, refusal) in acts {
        for (value, allowed) in [(json!(true), true), (json!(false), false), (json!(null), false)] {
            set(&org, setting, value);
            let answer = act(&member, "m");
            if allowed {
                assert_eq!(answer.status, status, "{setting}")
            } else {
                answer.denied(refusal)
            }
            assert_eq!(act(&admin, "a").status, status, "{setting}");
        }
    }
    // Reading stays open, and so does taking back what one has sent.
    set(&org, "members_can_invite", json!(true));
    let own = text(&invite(&member, "own").json(201)["id"]);
    let token = org.token_of(&own);
    set(&org, "members_can_invite", json!(false));
    assert!(member.get(&org.at("invites/")).results().iter().any(|row| row["id"] == json!(own)));
    member.get(&org.at(&format!("invites/{own}/link/"))).forbidden();
    let unknown = "The provided invite ID is not valid.";
    server.anyone().get(&format!("/api/signup/{token}/")).invalid(None, "invalid_input", unknown);
    set(&org, "members_can_invite", json!(true));
    server.anyone().get(&format!("/api/signup/{token}/")).json(200);
    set(&org, "members_can_invite", json!(false));
    member.delete(&org.at(&format!("invites/{own}/"))).no_content();
}

#[test]
fn keys_of_plain_members_open_what_allows_them() {
    let server = Server::start();
    let (org, other) = (server.org(), server.org());
    let (admin, member) = (org.admin(&server), org.member(&server));
    let member = other.joined(member, 1);
    let (key, admin_key) = (member.key(&["*"]), admin.key(&["*"]));
    let refusal = "Organization 'Acme' does not allow using personal API keys. Contact an admin to enable personal \
                   API keys for this organization.";
    set(&org, "members_can_use_personal_api_keys", json!(false));
    let project = format!("/api/projects/{}/", org.project);
    for path in [org.at(""), org.at("members/"), project.clone(), org.project_at("")] {
        key.get(&path).denied(refusal);
        member.get(&path).json(200);
        admin_key.get(&path).json(200);
    }
    key.delete(&org.at("members/@me/")).denied(refusal);
    key.post(&org.at("invites/"), json!({"target_email": "a@example.com"})).denied(refusal);
    // Scopes come first, what is elsewhere stays open, and keys can be made.
    let narrow = member.key(&["project:read"]);
    let scope = "API key missing required scope 'organization_member:read'";
    narrow.get(&org.at("members/")).denied(scope);
    narrow.get(&project).denied(refusal);
    key.get(&other.at("")).json(200);
    key.get("/api/users/@me/").json(200);
    server.stranger().key(&["*"]).get(&org.at("members/")).forbidden();
    set(&org, "members_can_use_personal_api_keys", json!(true));
    key.get(&org.at("")).json(200);
}

#[test]
fn only_verified_domains_are_let_in() {
    let dns = NameServer::start();
    let server = Server::with(|config| config.dns_server = Some(dns.address));
    let org = server.org();
    let setting = json!({"enforce_verified_domains": true});
    let blocked = |answer: Answer| {
        answer.invalid(
        "enforce_verified_domains",
        "would_block_self",
        "You can't restrict membership to verified email domains, because your own email address is under none of them.",
    )
    };
    blocked(org.owner.patch(&org.at(""), setting.clone()));
    blocked(org.owner.post("/api/organizations/", json!({"name": "N", "enforce_verified_domains": true})));
    verified_domain(&org, &dns, "elsewhere.com");
    blocked(org.owner.patch(&org.at(""), setting.clone()));
    let domain = verified_domain(&org, &dns, "example.com");
    let outsider = org.joined(Person::unknown(&server, "out@outside.com".into()), 8);
    let neighbour = org.joined(Person::unknown(&server, "sub@sub.example.com".into()), 1);
    let insider = org.joined(Person::unknown(&server, "in@Example.com".into()), 1);
    let (late, early) = (org.token("late@outside.com", 1), org.token("early@elsewhere.com", 1));
    let outside = outsider.key(&["*"]);
    set(&org, "enforce_verified_domains", json!(true));

    let refusal = "This organization only allows members with an email address on a verified domain.";
    let project = format!("/api/projects/{}/", org.project);
    for person in [&outsider, &neighbour, &outside] {
        for path in [org.at(""), org.at("members/"), project.clone()] {
            person.get(&path).denied(refusal);
        }
        person.get("/api/users/@me/").json(200);
    }
    for person in [&insider, &org.owner, &insider.key(&["*"])] {
        person.get(&org.at("members/")).json(200);
        person.get(&project).json(200);
    }
    // Who would be refused is not invited, and does not get in by an older invite.
    let mail = json!({"target_email": "new@outside.com"});
    org.owner.post(&org.at("invites/"), mail).invalid("target_email", "invalid_input", refusal);
    org.owner.post(&org.at("invites/"), json!({"target_email": "new@EXAMPLE.com"})).json(201);
    server.anyone().get(&format!("/api/signup/{late}/")).denied(refusal);
    server.anyone().get(&format!("/api/signup/{early}/")).json(200);

    let own = "You can't delete this domain while membership is restricted to verified email domains, because your own \
               email address would no longer be allowed. Turn off that setting first.";
    org.owner.delete(&domain).invalid(None, "would_block_self", own);
    set(&org, "enforce_verified_domains", json!(false));
    outsider.get(&org.at("")).json(200);
    org.owner.delete(&domain).no_content();
}

#[test]
fn members_see_those_only_who_share_a_project_with_them() {
    let server = Server::start();
    let org = server.org();
    let admin = org.admin(&server);
    let [me, named, in_role, apart] = [0; 4].map(|_| org.member(&server));
    let project = |name: &str| {
        org.owner.post(&org.at("projects/"), json!({"name": name})).json(201)["id"]
            .as_u64()
            .expect("a number")
    };
    let (shared, foreign) = (project("Shared"), project("Foreign"));
    let role = new_role(&org, "Crew");
    put_in(&org, &role, &in_role);
    let role_id = text(&org.owner.get(&role).json(200)["id"]);
    let apart_role = put_in(&org, &role, &apart);
    org.owner.delete(&apart_role).no_content();
    let of = |person: &Person| json!({"organization_member": membership(&org, person)});
    // Whom I reach the foreign project with is nobody.
    project_access(&org, foreign, json!({}), json!("none"));
    project_access(&org, foreign, of(&apart), json!("admin"));
    let everybody = sorted(&[&org.owner, &admin, &me, &named, &in_role, &apart]);
    let members = org.at("members/");
    let uuid = "/user/uuid";
    assert_eq!(seen(&me, &members, uuid), everybody);

    set(&org, "members_can_see_org_members", json!(false));
    assert_eq!(seen(&admin, &members, uuid), everybody);
    assert_eq!(seen(&me, &members, uuid), sorted(&[&me]), "a project without entries is no acquaintance");
    project_access(&org, shared, of(&named), json!("member"));
    assert_eq!(seen(&me, &members, uuid), sorted(&[&me, &named]));
    project_access(&org, shared, json!({"role": role_id}), json!("admin"));
    assert_eq!(seen(&me, &members, uuid), sorted(&[&me, &named, &in_role]));
    assert_eq!(seen(&me, &format!("{members}?search={}", apart.email), uuid), Vec::<String>::new());
    assert_eq!(seen(&me, &format!("{members}?order=level"), uuid).len(), 3);

    // The same of roles and their members; who made them is hidden with them.
    put_in(&org, &role, &apart);
    project_access(&org, shared, json!({"role": role_id}), json!(null));
    project_access(&org, shared, of(&in_role), json!("member"));
    let shown = me.get(&role).json(200);
    assert_eq!(shown["created_by"], json!(null));
    assert_eq!(org.owner.get(&role).json(200)["created_by"]["uuid"], json!(org.owner.uuid));
    let in_it: Vec<&Value> =
        shown["members"].as_array().expect("a list").iter().map(|row| &row["user_uuid"]).collect();
    assert_eq!(in_it, [&json!(in_role.uuid)]);
    let memberships = format!("{role}role_memberships/");
    assert_eq!(seen(&me, &memberships, "/user_uuid"), sorted(&[&in_role]));
    let rows = org.owner.get(&memberships).results();
    for row in rows {
        let answer = me.get(&format!("{memberships}{}/", text(&row["id"])));
        if row["user_uuid"] == json!(apart.uuid) { answer.not_found() } else { drop(answer.json(200)) }
    }
    me.delete(&org.at(&format!("members/{}/", apart.uuid))).not_found();
    me.delete(&org.at(&format!("members/{}/", named.uuid)))
        .denied("You can only edit others if you are an admin.");

    // A default that somebody has set opens the project to all, but for whom it is shut by name.
    project_access(&org, shared, of(&apart), json!("none"));
    project_access(&org, shared, json!({}), json!("member"));
    assert_eq!(seen(&me, &members, uuid), sorted(&[&org.owner, &admin, &me, &named, &in_role]));
    // A project that I can't reach acquaints me with nobody.
    project_access(&org, shared, of(&me), json!("none"));
    assert_eq!(seen(&me, &members, uuid), sorted(&[&me]));
    set(&org, "members_can_see_org_members", json!(true));
    assert_eq!(seen(&me, &members, uuid), everybody);
}

#[test]
fn newcomers_are_put_into_the_default_role() {
    let server = Server::start();
    let org = server.org();
    let before = org.member(&server);
    let role = new_role(&org, "Newcomers");
    let id = text(&org.owner.get(&role).json(200)["id"]);
    assert_eq!(org.owner.get(&role).json(200)["is_default"], json!(false));
    set(&org, "default_role_id", json!(id));
    assert_eq!(org.owner.get(&org.at("roles/")).results()[0]["is_default"], json!(true));
    assert_eq!(org.owner.patch(&role, json!({"is_default": false})).json(200)["is_default"], json!(true));
    let newcomer = org.member(&server);
    let known = org.joined(server.stranger(), 8);
    let in_it = seen(&org.owner, &format!("{role}role_memberships/"), "/user_uuid");
    assert_eq!(in_it, sorted(&[&newcomer, &known]), "{}", before.uuid);
    org.owner.delete(&role).no_content();
    assert_eq!(org.owner.get(&org.at("")).json(200)["default_role_id"], json!(null));
    org.member(&server);
}

#[test]
fn projects_begin_with_the_organization_s_choice_of_anonymous_addresses() {
    let server = Server::start();
    let org = server.org();
    let anonymous =
        |body: Value| org.owner.post(&org.at("projects/"), body).json(201)["anonymize_ips"].clone();
    assert_eq!(anonymous(json!({"name": "A"})), json!(false));
    set(&org, "default_anonymize_ips", json!(true));
    assert_eq!(anonymous(json!({"name": "B"})), json!(true));
    assert_eq!(anonymous(json!({"name": "C", "anonymize_ips": false})), json!(false));
    let made = org.owner.post("/api/organizations/", json!({"name": "N", "default_anonymize_ips": true}));
    let project = made.json(201)["teams"][0]["id"].clone();
    assert_eq!(org.owner.get(&format!("/api/projects/{project}/")).json(200)["anonymize_ips"], json!(true));
}
