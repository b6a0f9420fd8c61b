//! What invites bring beside a level: projects, mails, the set-up of an organization.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::smtp::{Manner, Seen, Smtp};
use crate::support::{Answer, Org, Person, Server, text};

const UNKNOWN: &str =
    "Project does not exist on this organization, or it is private and you do not have access to it.";
const TOO_HIGH: &str = "You cannot invite to a private project with a higher level than your own.";

fn invite(person: &Person, org: &Org, email: &str, access: Value) -> Answer {
    let body = json!({"target_email": email, "private_project_access": access});
    person.post(&org.at("invites/"), body)
}

fn project(org: &Org, name: &str) -> u64 {
    org.owner.post(&org.at("projects/"), json!({"name": name})).json(201)["id"].as_u64().expect("a number")
}

fn set_access(org: &Org, project: u64, body: Value) {
    org.owner.put(&format!("/api/projects/{project}/access_controls/"), body).json(200);
}

/// A project that nobody sees by default.
fn private(org: &Org, name: &str) -> u64 {
    let id = project(org, name);
    set_access(org, id, json!({"access_level": "none"}));
    id
}

fn membership(org: &Org, person: &Person) -> Value {
    let rows = org.owner.get(&org.at("members/")).results();
    rows.iter().find(|row| row["user"]["uuid"] == json!(person.uuid)).expect("a member")["id"].clone()
}

fn accept(server: &Server, org: &Org, made: &Value) -> Person {
    Person::unknown(server, text(&made["target_email"])).accept(&org.token_of(&text(&made["id"])))
}

/// The level in a project: none, member or admin.
fn level(person: &Person, project: u64) -> String {
    let answer = person.get(&format!("/api/projects/{project}/access_controls/"));
    if answer.status == 404 { "none".into() } else { text(&answer.json(200)["user_access_level"]) }
}

#[test]
fn an_invite_gives_the_projects_that_it_names() {
    let server = Server::start();
    let org = server.org();
    let (one, two, three) = (private(&org, "One"), private(&org, "Two"), private(&org, "Three"));
    let given = json!([{"id": one, "level": 1}, {"id": two, "level": "admin"}]);
    let made = invite(&org.owner, &org, "a@example.com", given.clone()).json(201);
    assert_eq!(made["private_project_access"], given);
    assert_eq!(org.owner.get(&org.at("invites/")).results()[0]["private_project_access"], given);
    let newcomer = accept(&server, &org, &made);
    let levels = [one, two, three].map(|project| level(&newcomer, project));
    assert_eq!(levels, ["member", "admin", "none"]);

    // Of several levels the highest counts; an empty list is none; projects that are gone are passed over.
    let twice = json!([{"id": one, "level": 1}, {"id": one, "level": 8}, {"id": three, "level": "member"}]);
    let made = invite(&org.owner, &org, "b@example.com", twice).json(201);
    assert_eq!(made["private_project_access"][0], json!({"id": one, "level": 8}));
    org.owner.delete(&org.at(&format!("projects/{three}/"))).no_content();
    assert_eq!(level(&accept(&server, &org, &made), one), "admin");
    for none in [json!([]), json!(null)] {
        let made = invite(&org.owner, &org, "c@example.com", none).json(201);
        assert_eq!(made["private_project_access"], json!(null));
    }
    let bulk =
        json!([{"target_email": "d@example.com", "private_project_access": [{"id": two, "level": 1}]}]);
    let made = org.owner.post(&org.at("invites/bulk/"), bulk).json(200);
    assert_eq!(made[0]["private_project_access"], json!([{"id": two, "level": 1}]));
}

#[test]
fn nobody_gives_a_project_that_they_could_not_open() {
    let server = Server::start();
    let (org, other) = (server.org(), server.org());
    let (admin, member) = (org.admin(&server), org.member(&server));
    let (closed, ours, mine, open) =
        (private(&org, "C"), private(&org, "O"), private(&org, "M"), project(&org, "P"));
    for (project, level) in [(ours, "member"), (mine, "admin")] {
        let of_member = json!({"organization_member": membership(&org, &member), "access_level": level});
        set_access(&org, project, of_member);
    }
    let gone = project(&org, "G");
    org.owner.delete(&org.at(&format!("projects/{gone}/"))).no_content();
    // By whom, which project, at which level: why not.
    for (who, project, level, refusal) in [
        (&admin, closed, "admin", None),
        (&admin, gone, "member", Some(UNKNOWN)),
        (&admin, other.project, "member", Some(UNKNOWN)),
        (&member, closed, "member", Some(UNKNOWN)),
        (&member, other.project, "member", Some(UNKNOWN)),
        (&member, ours, "member", Some(UNKNOWN)),
        (&member, mine, "admin", None),
        (&member, mine, "member", None),
        (&member, open, "member", None),
        (&member, open, "admin", Some(TOO_HIGH)),
    ] {
        let answer = invite(who, &org, "new@example.com", json!([{"id": project, "level": level}]));
        match refusal {
            Some(refusal) => answer.invalid("private_project_access", "invalid_input", refusal),
            None => drop(answer.json(201)),
        }
        for invite in org.owner.get(&org.at("invites/")).results() {
            org.owner.delete(&org.at(&format!("invites/{}/", text(&invite["id"])))).no_content();
        }
    }
    for odd in [
        json!([1]),
        json!([{"id": mine}]),
        json!([{"level": 1}]),
        json!([{"id": mine, "level": 15}]),
        json!([{"id": -1, "level": 1}]),
    ] {
        let answer = invite(&admin, &org, "new@example.com", odd);
        assert_eq!((answer.status, answer.value()["attr"].clone()), (400, json!("private_project_access")));
    }
    // Whoever can give it no more when it is accepted gives nothing.
    let made = invite(&admin, &org, "late@example.com", json!([{"id": closed, "level": 8}])).json(201);
    org.owner.patch(&org.at(&format!("members/{}/", admin.uuid)), json!({"level": 1})).json(200);
    assert_eq!(level(&accept(&server, &org, &made), closed), "none");
}

#[test]
fn combined_invites_join_their_projects_and_nobody_drops_what_they_could_not_give() {
    let server = Server::start();
    let org = server.org();
    let (one, two) = (private(&org, "One"), private(&org, "Two"));
    let member = org.member(&server);
    let both = json!([{"id": one, "level": 1}, {"id": two, "level": "member"}]);
    invite(&org.owner, &org, "a@example.com", both).json(201);
    let combine = |level: Value| {
        let access = json!([{"id": one, "level": level}]);
        let body = json!({"target_email": "a@example.com", "private_project_access": access, "combine_pending_invites": true});
        org.owner.post(&org.at("invites/"), body).json(201)["private_project_access"].clone()
    };
    assert_eq!(combine(json!(8)), json!([{"id": one, "level": 8}, {"id": two, "level": "member"}]));
    assert_eq!(combine(json!(1)), json!([{"id": one, "level": 8}, {"id": two, "level": "member"}]));
    let answer = invite(&member, &org, "a@example.com", json!(null));
    answer.invalid("private_project_access", "invalid_input", UNKNOWN);
    // A project that is gone binds nobody.
    for project in [one, two] {
        org.owner.delete(&org.at(&format!("projects/{project}/"))).no_content();
    }
    let body = json!({"target_email": "a@example.com", "combine_pending_invites": true});
    let made = member.post(&org.at("invites/"), body).json(201);
    assert_eq!(made["private_project_access"], json!(null));
}

#[test]
fn somebody_is_asked_to_finish_the_set_up() {
    let smtp = Smtp::start(Manner::Takes);
    let url = smtp.url();
    let server = Server::with(move |config| config.smtp_url = Some(url));
    let org = server.org();
    let (admin, member) = (org.admin(&server), org.member(&server));
    let path = org.at("invites/delegate/");
    let body =
        json!({"target_email": "expert@example.com", "message": "Please", "step_at_delegation": "install"});
    let made = admin.post(&path, body.clone()).json(201);
    assert_eq!((&made["level"], &made["message"]), (&json!(8), &json!("Please")));
    let mails = std::iter::repeat_with(|| smtp.message());
    let is_expert_s = |(recipient, _): &(String, String)| recipient == "expert@example.com";
    let (_, message) = mails.into_iter().find(is_expert_s).expect("a mail");
    assert!(message.contains("finish the set-up of Acme"), "{message}");
    member.post(&path, body).level_too_low();
    for (field, length) in [("message", 1000), ("step_at_delegation", 64)] {
        let send = |length: usize| {
            admin.post(&path, json!({"target_email": "expert@example.com", field: "x".repeat(length)}))
        };
        send(length).json(201);
        let detail = format!("Ensure this field has no more than {length} characters.");
        send(length + 1).invalid(field, "max_length", &detail);
    }
    admin.post(&path, json!({})).invalid("target_email", "required", "This field is required.");
}

#[test]
fn an_invite_is_mailed_again_and_nobody_learns_whether_there_is_one() {
    let smtp = Smtp::start(Manner::Takes);
    let url = smtp.url();
    let server = Server::with(move |config| {
        config.smtp_url = Some(url);
        config.rate_limit = None;
    });
    let org = server.org();
    org.owner.post(&org.at("invites/"), json!({"target_email": "a@example.com"})).json(201);
    assert_eq!(smtp.message().0, "a@example.com");
    let resend = |email: &str| {
        let answer = server.anyone().post("/api/signup/resend-invite", json!({"email": email}));
        assert_eq!(answer.json(200), json!({"success": true}));
    };
    for _ in 0..6 {
        resend("A@example.com");
        assert_eq!(smtp.message().0, "a@example.com");
    }
    resend("nobody@example.com");
    resend("a@example.com");
    org.owner.post(&org.at("invites/"), json!({"target_email": "last@example.com"})).json(201);
    assert_eq!(smtp.message().0, "last@example.com", "the seventh of a day is not sent");
    server.pass(Duration::from_secs(25 * 60 * 60));
    resend("a@example.com");
    assert_eq!(smtp.message().0, "a@example.com");
    server.pass_days(3);
    resend("a@example.com");
    server.anyone().post("/api/signup/resend-invite", json!({})).invalid(
        "email",
        "required",
        "This field is required.",
    );
    let is_mail = |seen: &Seen| matches!(seen, Seen::Message(_));
    assert!(!smtp.rest().iter().any(is_mail));
}
