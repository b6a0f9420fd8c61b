//! What the operator does to users, at the machine or as somebody of the staff, and how it is written down.

use std::time::Duration;

use orgd::api::caller::SecondStep;
use orgd::api::{Actor, Caller, Ctx, Paging, Source, Via};
use orgd::error::Result;
use orgd::ids::UserId;
use orgd::resources::users;
use orgd::store::WriteTx;
use serde_json::json;

use crate::support::letters::log_in;
use crate::support::{Org, PASSWORD, Person, Server, text};
use crate::two_factor::enroll;

fn id(person: &Person) -> UserId {
    UserId(person.uuid.parse().expect("a UUID"))
}

fn ctx(server: &Server, actor: Actor) -> Ctx {
    server.app.ctx("https://org.example".into(), actor, Source::default())
}

/// Somebody who calls by a session whose password was given so many seconds ago.
fn by_session(server: &Server, person: &Person, seconds: i64) -> Actor {
    let now = server.app.clock.now();
    let authenticated_at = now.plus_seconds(-seconds);
    let via =
        Via::Session { hash: [0; 32], authenticated_at, last_activity: now, second_step: SecondStep::None };
    Actor::User(Caller { user: id(person), via })
}

/// Runs a command as this actor.
fn run<T: Send + 'static>(
    server: &Server,
    actor: Actor,
    command: impl Fn(&Ctx, &WriteTx) -> Result<T> + Send + Sync + 'static,
) -> Result<T> {
    let ctx = ctx(server, actor);
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime starts");
    runtime.block_on(server.app.store.write(move |tx| command(&ctx, tx)))
}

/// The newest changes of users in the log of an organization, by its owner's key.
fn said(org: &Org) -> Vec<String> {
    let entries = org.owner.key(&["*"]).get(&org.at("advanced_activity_logs/?scope=User")).results();
    let of_user = entries.iter().filter(|entry| entry["scope"] == "User");
    of_user
        .map(|entry| {
            let field = entry["detail"]["changes"][0]["field"].as_str().unwrap_or_default();
            format!("{} {field}", text(&entry["activity"]))
        })
        .collect()
}

#[test]
fn only_the_operator_and_staff_who_have_just_logged_in_may() {
    let server = Server::start();
    let org = server.org();
    let (staff, member) = (&org.owner, org.member(&server));
    let victim = id(&member);
    let deactivate = move |ctx: &Ctx, tx: &WriteTx| users::deactivate(ctx, tx, victim);
    let status = |actor| run(&server, actor, deactivate).map_err(|cause| cause.status());
    assert_eq!(status(Actor::Nobody), Err(401));
    assert_eq!(status(by_session(&server, &member, 0)), Err(403));
    assert_eq!(status(by_session(&server, staff, 6 * 60 * 60)), Err(403));
    member.me();
    assert_eq!(status(by_session(&server, staff, 6 * 60 * 60 - 60)), Ok(()));
    member.get("/api/users/@me/").unauthenticated();
}

#[test]
fn a_deactivated_user_gets_in_nowhere_until_they_are_activated() {
    let server = Server::start();
    let org = server.org();
    let admin = org.admin(&server);
    let key = admin.key(&["*"]);
    let invite = json!({"target_email": "new@example.com"});
    let invite = admin.post(&org.at("invites/"), invite).json(201);
    let token = org.token_of(&text(&invite["id"]));
    let victim = id(&admin);
    let set = |is_active: bool| {
        run(&server, Actor::Operator(None), move |ctx, tx| match is_active {
            true => users::activate(ctx, tx, victim),
            false => users::deactivate(ctx, tx, victim),
        })
        .expect("the user is known");
    };
    key.me();
    set(false);
    admin.get("/api/users/@me/").unauthenticated();
    let answer = key.get("/api/users/@me/");
    assert_eq!((answer.status, answer.value()["code"].clone()), (401, json!("authentication_failed")));
    let wrong = "Invalid email or password.";
    for password in [PASSWORD, "wrong"] {
        log_in(&admin, password).invalid(None, "invalid_credentials", wrong);
    }
    server.anyone().get(&format!("/api/signup/{token}/")).json(400);
    let link = run(&server, Actor::Operator(None), move |ctx, tx| users::reset_link(ctx, tx, victim));
    assert_eq!(link.map_err(|cause| cause.status()), Err(400));
    set(false);
    set(true);
    key.me();
    log_in(&admin, PASSWORD).json(200);
    server.anyone().get(&format!("/api/signup/{token}/")).json(200);
    let said = said(&org);
    let of_active = said.iter().filter(|line| *line == "updated is_active").count();
    assert_eq!(of_active, 2, "what changes nothing leaves no entry: {said:?}");
}

#[test]
fn somebody_of_the_staff_stays() {
    let server = Server::start();
    let org = server.org();
    let member = org.member(&server);
    let (first, second) = (id(&org.owner), id(&member));
    let set = |user, is_staff| {
        let outcome =
            run(&server, Actor::Operator(None), move |ctx, tx| users::set_staff(ctx, tx, user, is_staff));
        outcome.map_err(|cause| cause.status())
    };
    let deactivate = |user| {
        let outcome = run(&server, Actor::Operator(None), move |ctx, tx| users::deactivate(ctx, tx, user));
        outcome.map_err(|cause| cause.status())
    };
    assert_eq!((set(first, false), deactivate(first)), (Err(400), Err(400)));
    assert_eq!(set(second, true), Ok(()));
    assert_eq!(deactivate(second), Ok(()));
    assert_eq!(set(first, false), Err(400), "who cannot log in is no other operator");
    assert_eq!(org.owner.me()["is_staff"], true);
}

#[test]
fn users_are_found_by_name_and_address() {
    let server = Server::start();
    let org = server.org();
    let (member, stranger) = (org.member(&server), server.stranger());
    enroll(&server, &stranger);
    let find = |actor, search: &str| {
        let ctx = ctx(&server, actor);
        let paging = Paging { limit: 2, offset: 0 };
        let found = server.app.store.read(|tx| users::find_users(&ctx, tx, search, paging));
        found.map(|(total, page)| (total, page.into_iter().map(|one| one.user.email).collect::<Vec<_>>()))
    };
    let of = |search: &str| find(Actor::Operator(None), search).expect("the file can be read");
    assert_eq!(of(""), (3, vec![org.owner.email.clone(), member.email.clone()]));
    assert_eq!(of(&stranger.email.to_uppercase()), (1, vec![stranger.email.clone()]));
    assert_eq!(of("SAM"), (1, vec![member.email.clone()]));
    assert_eq!(of("nobody"), (0, vec![]));
    assert!(find(by_session(&server, &member, 0), "").is_err());
}

#[test]
fn sessions_and_second_factor_are_taken_and_it_is_written_down() {
    let server = Server::start();
    let org = server.org();
    let member = org.member(&server);
    enroll(&server, &member);
    let user = id(&member);
    run(&server, Actor::Operator(None), move |ctx, tx| users::end_sessions(ctx, tx, user))
        .expect("it is known");
    member.get("/api/users/@me/").unauthenticated();
    let removed =
        run(&server, Actor::Operator(None), move |ctx, tx| users::remove_second_factor(ctx, tx, user));
    removed.expect("it is known");
    log_in(&member, PASSWORD).json(200);
    server.pass(Duration::from_secs(1));
    let said = said(&org);
    for line in ["logged_out ", "updated is_2fa_enabled"] {
        assert!(said.iter().any(|said| said == line), "{line} in {said:?}");
    }
    let nobody = UserId(uuid::Uuid::nil());
    let missing = run(&server, Actor::Operator(None), move |ctx, tx| users::end_sessions(ctx, tx, nobody));
    assert_eq!(missing.map_err(|cause| cause.status()), Err(404));
}
