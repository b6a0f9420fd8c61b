//! Answers that are kept are those that would be made anew, whoever changes what, and for everybody.

use std::collections::BTreeSet;

use orgd::app::route::Cached;
use serde_json::{Value, json};
use ureq::http::Method;

use crate::support::walk::api_routes;
use crate::support::{Answer, Filled, Org, Person, Server, World, text};

/// A program's name that is too long to be part of what an answer is known by, so that the answer is made anew.
fn unknown_program() -> String {
    "x".repeat(2000)
}

/// What is compared: all but the token of live events, which is another one each second.
fn shown(answer: &Answer) -> (u16, String, Option<Value>, String) {
    let kind = answer.headers.get("content-type").map(|kind| format!("{kind:?}")).unwrap_or_default();
    let mut value: Option<Value> = serde_json::from_slice(&answer.body).ok();
    if let Some(Value::Object(all)) = &mut value
        && all.remove("live_events_token").is_some()
    {
        return (answer.status, kind, value, String::new());
    }
    (answer.status, kind, None, answer.text())
}

/// Reads a path as it may be kept, and anew.
#[track_caller]
fn compare(person: &Person, path: &str, host: &str, after: &str) -> u16 {
    let kept = person.send(Method::GET, path, "", &[("host", host)]);
    let anew = person.send(Method::GET, path, "", &[("host", host), ("user-agent", &unknown_program())]);
    assert_eq!(shown(&kept), shown(&anew), "GET {path} for {} after {after}", person.email);
    kept.status
}

/// The same each time, and looking like chance.
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).expect("31 bits") % end
    }

    fn of<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        &all[self.below(all.len())]
    }

    fn boolean(&mut self) -> bool {
        self.below(2) == 0
    }
}

/// Two organizations, the people in them, and what they read.
struct Play {
    org: Org,
    other: Org,
    member: Person,
    callers: Vec<Person>,
    paths: Vec<String>,
    roles: Vec<String>,
    projects: Vec<String>,
    /// The owner's key.
    key: String,
}

impl Play {
    fn start(server: &Server) -> Play {
        let (org, other) = (server.org(), server.org());
        let admin = org.admin(server);
        let member = org.member(server);
        // Somebody of both.
        let both = other.joined(org.member(server), 8);
        let limited = json!({"scopes": ["*"], "scoped_organizations": [org.id]});
        let callers = vec![
            org.owner.clone(),
            org.owner.key(&["*"]),
            admin.key(&["organization:read", "organization_member:read", "project:read", "user:read"]),
            member.clone(),
            member.key(&["*"]),
            both.key_of(limited),
            both.key_of(json!({"scopes": ["*"], "scoped_teams": [org.project]})),
            both,
            other.owner.key(&["*"]),
        ];
        let mut paths = vec![
            "/api/organizations/".into(),
            "/api/organizations/?limit=1".into(),
            "/api/users/@me/".into(),
            "/api/projects/".into(),
            "/api/projects/@current/".into(),
            format!("/api/projects/{}/", org.project),
            format!("/api/environments/{}/", other.project),
        ];
        for at in [&org, &other] {
            paths.extend(
                ["", "members/", "members/?limit=1&offset=1", "roles/", "projects/"].map(|tail| at.at(tail)),
            );
        }
        let (roles, projects) = (Vec::new(), vec![org.project_at("")]);
        let keys = org.owner.get("/api/personal_api_keys/").value();
        let key = format!("/api/personal_api_keys/{}/", text(&keys[0]["id"]));
        Play { org, other, member, callers, paths, roles, projects, key }
    }

    /// Changes something, and says what.
    fn change(&mut self, dice: &mut Dice) -> String {
        let (org, owner) = (self.org.clone(), self.org.owner.clone());
        let name = format!("N{}", dice.below(1_000_000));
        let person = self.callers[dice.below(self.callers.len())].clone();
        let project = dice.of(&self.projects).clone();
        let answer = match dice.below(17) {
            0 => owner.patch(&org.at(""), json!({"name": name})),
            1 => owner.patch(&org.at(""), json!({"members_can_see_org_members": dice.boolean()})),
            2 => owner.patch(&org.at(""), json!({"members_can_use_personal_api_keys": dice.boolean()})),
            3 => owner.patch(&project, json!({"name": name, "access_control": dice.boolean()})),
            4 => owner.patch(&org.project_at(""), json!({"anonymize_ips": dice.boolean()})),
            5 => owner.patch(
                &org.at(&format!("members/{}/", self.member.uuid)),
                json!({"level": *dice.of(&[1, 8])}),
            ),
            6 => person.patch("/api/users/@me/", json!({"first_name": name})),
            7 => {
                let current = if dice.boolean() { &self.org.id } else { &self.other.id };
                person.patch("/api/users/@me/", json!({"set_current_organization": current}))
            }
            8 => owner.post(&org.at("roles/"), json!({"name": name})),
            9 | 10 if !self.roles.is_empty() => {
                let role = dice.of(&self.roles).clone();
                self.change_role(dice, &role, &person)
            }
            11 => {
                let levels = [json!("none"), json!("member"), json!("admin"), json!(null)];
                let level = dice.of(&levels).clone();
                owner.put(&org.project_at("access_controls/"), json!({"access_level": level}))
            }
            12 => self.change_member(),
            13 => owner.post(&org.at("projects/"), json!({"name": name})),
            14 if self.projects.len() > 1 => {
                let gone = self.projects.pop().expect("more than one");
                owner.delete(&gone)
            }
            15 => {
                let scopes =
                    [json!(["*"]), json!(["organization:read"]), json!(["project:read", "user:read"])];
                owner.patch(&self.key, json!({"scopes": *dice.of(&scopes)}))
            }
            _ => self.other.owner.patch(&self.other.at(""), json!({"name": name})),
        };
        self.note(&answer);
        format!("{} {}", answer.status, answer.text())
    }

    fn change_role(&self, dice: &mut Dice, role: &str, person: &Person) -> Answer {
        let owner = &self.org.owner;
        match dice.below(4) {
            0 => owner.delete(role),
            1 => owner.patch(&self.org.at(""), json!({"default_role_id": role.rsplit('/').nth(1)})),
            _ => owner.post(&format!("{role}role_memberships/"), json!({"user_uuid": person.uuid})),
        }
    }

    /// Removes the member, or lets them join again.
    fn change_member(&self) -> Answer {
        let answer = self.org.owner.delete(&self.org.at(&format!("members/{}/", self.member.uuid)));
        if answer.status == 404 {
            self.member.accept(&self.org.token(&self.member.email, 1));
        }
        answer
    }

    /// Notes what was made.
    fn note(&mut self, answer: &Answer) {
        let Ok(made) = serde_json::from_slice::<Value>(&answer.body) else { return };
        if answer.status == 201 && made.get("feature_flags_access_level").is_some() {
            self.roles.push(self.org.at(&format!("roles/{}/", text(&made["id"]))));
            self.paths.push(self.roles.last().expect("one").clone());
        } else if answer.status == 201 && made.get("api_token").is_some() {
            self.projects.push(self.org.at(&format!("projects/{}/", made["id"])));
            self.paths.push(self.projects.last().expect("one").clone());
        }
    }
}

#[test]
fn after_random_changes_everybody_reads_what_would_be_made_anew() {
    let server = Server::start();
    let mut play = Play::start(&server);
    let mut dice = Dice(0x2545_F491_4F6C_DD1D);
    let mut statuses = BTreeSet::new();
    let mut after = "nothing".to_owned();
    for _ in 0..60 {
        for person in &play.callers {
            for path in &play.paths {
                statuses.insert(compare(person, path, "orgd.example", &after));
            }
        }
        after = play.change(&mut dice);
    }
    assert_eq!(statuses, BTreeSet::from([200, 403, 404]));
}

/// The paths of all routes whose answers are kept.
fn kept(world: &World) -> Vec<Filled> {
    let routes = api_routes().filter(|route| route.cached != Cached::Never);
    let paths: Vec<Filled> = routes.map(|route| world.fill(&route.path).expect("a path")).collect();
    assert!(paths.len() >= 10);
    paths
}

#[test]
fn every_kept_answer_is_the_one_that_is_made_anew_at_any_time() {
    let server = Server::start();
    let world = World::start(&server);
    let (key, member_key) = (world.org.owner.key(&["*"]), world.member.key(&["*"]));
    world.fill_tables(&server);
    for _ in 0..3 {
        for path in kept(&world) {
            for person in [&world.org.owner, &key, &world.member, &member_key] {
                for host in ["orgd.example", "other.example:8443"] {
                    compare(person, &path.path(), host, "time passed");
                }
            }
        }
        server.pass(std::time::Duration::from_secs(3601));
    }
}

#[test]
fn kept_answers_are_nobody_elses_and_end_with_the_right_to_them() {
    let server = Server::start();
    let org = server.org();
    let (member, key) = (org.member(&server), org.owner.key(&["*"]));
    let member_key = member.key(&["*"]);
    let stranger = server.stranger().key(&["*"]);
    let paths = [org.at(""), org.at("members/"), org.at("roles/"), org.project_at("")];
    let statuses = |person: &Person| paths.each_ref().map(|path| person.get(path).status);
    for _ in 0..2 {
        assert_eq!(statuses(&org.owner), [200; 4]);
        assert_eq!(statuses(&member_key), [200; 4]);
        assert_eq!(statuses(&stranger), [404, 403, 403, 404]);
        assert_eq!(statuses(&server.anyone()), [401; 4]);
    }
    // A key that opens less, and one that is gone.
    let keys = org.owner.get("/api/personal_api_keys/").value();
    let id = text(&keys.as_array().expect("a list")[0]["id"]);
    let own = format!("/api/personal_api_keys/{id}/");
    assert_eq!(statuses(&key), [200; 4]);
    org.owner.patch(&own, json!({"scopes": ["organization:read"]})).json(200);
    assert_eq!(statuses(&key), [200, 403, 200, 403]);
    org.owner.patch(&own, json!({"scopes": ["project:read"]})).json(200);
    assert_eq!(statuses(&key), [403, 403, 403, 200]);
    org.owner.delete(&own).no_content();
    assert_eq!(statuses(&key), [401; 4]);
    // Secrets go to keys only that may write.
    let hook = json!({"slack_incoming_webhook": "https://hooks.example/secret"});
    org.owner.patch(&org.project_at(""), hook).json(200);
    let (reads, writes) = (org.owner.key(&["project:read"]), org.owner.key(&["project:write"]));
    for _ in 0..2 {
        assert!(writes.get(&org.project_at("")).text().contains("hooks.example/secret"));
        assert!(!reads.get(&org.project_at("")).text().contains("hooks.example/secret"));
    }
    // A second factor is demanded of sessions, and not of keys.
    org.owner.patch(&org.at(""), json!({"enforce_2fa": true})).json(200);
    assert_eq!(statuses(&member), [403; 4]);
    assert_eq!(statuses(&member_key), [200; 4]);
}

#[test]
fn a_private_project_and_an_ended_membership_are_closed_at_once() {
    let server = Server::start();
    let org = server.org();
    let member = org.member(&server).key(&["*"]);
    let names = || {
        let all = member.get(&org.at("")).json(200)["projects"].as_array().expect("a list").len();
        (
            all,
            member.get(&org.project_at("")).status,
            member.get("/api/users/@me/").json(200)["team"].is_null(),
        )
    };
    assert_eq!((names(), names()), ((1, 200, false), (1, 200, false)));
    org.owner.patch(&org.project_at(""), json!({"access_control": true})).json(200);
    assert_eq!((names(), names()), ((0, 404, true), (0, 404, true)));
    org.owner.patch(&org.project_at(""), json!({"access_control": false})).json(200);
    assert_eq!(names(), (1, 200, false));
    org.owner.delete(&org.at(&format!("members/{}/", member.uuid))).no_content();
    assert_eq!(member.get(&org.at("")).status, 404);
    assert_eq!(member.get(&org.project_at("")).status, 404);
    assert!(member.get("/api/users/@me/").json(200)["organization"].is_null());
}

#[test]
fn a_kept_answer_looks_as_its_caller_wants_it() {
    let server = Server::start();
    let org = server.org();
    for number in 0..3 {
        org.owner.post(&org.at("roles/"), json!({"name": format!("Role {number}")})).json(201);
    }
    let key = org.owner.key(&["*"]);
    let roles = org.at("roles/?limit=2");
    let get = |headers: &[(&str, &str)]| key.send(Method::GET, &roles, "", headers);
    for _ in 0..2 {
        // Links begin with the host that was called.
        for host in ["one.example", "two.example:8000"] {
            let next = text(&get(&[("host", host)]).json(200)["next"]);
            assert!(next.starts_with(&format!("http://{host}/api/")), "{next}");
        }
        // One program reads another form of roles.
        let creator =
            |agent: &str| get(&[("user-agent", agent)]).json(200)["results"][0]["created_by"].clone();
        assert!(creator("curl/8").is_object() && creator("posthog/terraform-provider 1.0").is_null());
        assert!(creator("curl/8").is_object());
        // Packed for those who can unpack, and never for others.
        let packed = get(&[("accept-encoding", "gzip")]);
        assert_eq!(packed.status, 200);
        let plain = get(&[("accept-encoding", "identity")]);
        assert!(plain.headers.get("content-encoding").is_none());
        assert_eq!(plain.value()["count"], 3);
        // No body, and the length that it would have.
        let head = key.send(Method::HEAD, &roles, "", &[("accept-encoding", "identity")]);
        assert_eq!((head.status, head.body.len()), (200, 0));
        assert_eq!(head.headers["content-length"], plain.headers["content-length"]);
        // Nobody who wants something else than JSON.
        assert_eq!(get(&[("accept", "text/csv")]).status, 406);
        // Nobody keeps it but we.
        assert_eq!(plain.headers["cache-control"], "no-store");
    }
}

#[test]
fn a_kept_token_of_live_events_lasts_as_long_as_a_new_one() {
    let server = Server::start();
    let org = server.org();
    for person in [&org.owner, &org.owner.key(&["*"])] {
        let token = || text(&person.get(&org.project_at("")).json(200)["live_events_token"]);
        let first = token();
        server.pass(std::time::Duration::from_secs(5));
        assert_ne!(token(), first);
    }
}
