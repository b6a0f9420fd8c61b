//! Invites as pages.

use serde_json::json;

use super::{Browses, at, hides, home, last_entry, led_to, refused, shows};
use crate::support::smtp::{Manner, Smtp};
use crate::support::{Server, text};

#[test]
fn several_people_are_invited_at_once() {
    let server = Server::start();
    let org = server.org();
    let (all, new) = (at(&org, "invites"), at(&org, "invites/new"));
    shows(&org.owner.page(&all), &["Nobody is awaited", "Invite people"]);
    let page = org.owner.page(&new);
    shows(&page, &["This server sends no e-mails", "name=\"addresses\"", "Owner"]);
    hides(&page, &["name=\"send_email\"", "private_project_access"]);
    let fields = [
        ("addresses", " a@example.com\r\n\r\nB@example.com\r\nb@EXAMPLE.com"),
        ("level", "8"),
        ("message", "Hi"),
    ];
    led_to(&org.owner.submit(&new, &fields), &format!("{}/invites", home(&org)));
    let page = org.owner.page(&all);
    shows(&page, &["2 invites", "B@example.com", "Admin", "Olive", "Open", "a@example.com"]);
    let made = org.owner.get(&org.at("invites/")).results();
    assert_eq!((made.len(), &made[0]["message"], &made[0]["level"]), (2, &json!("Hi"), &json!(8)));
    let (scope, activity, _) = last_entry(&org);
    assert_eq!((scope.as_str(), activity.as_str()), ("OrganizationInvite", "created"));
}

#[test]
fn a_wrong_line_is_named_and_nobody_is_invited() {
    let server = Server::start();
    let org = server.org();
    let new = at(&org, "invites/new");
    let member = org.member(&server);
    org.owner.patch(&org.at(""), json!({"members_can_invite": false})).json(200);
    let before = server.rows();
    let many: String = (0..21).map(|number| format!("p{number}@example.com\n")).collect();
    for (addresses, text) in [
        ("", "This is missing."),
        ("a@example.com\nnonsense", "Line 2, nonsense: Enter a valid email address."),
        (&format!("a@example.com\n{}", member.email), "already belongs to the organization."),
        (&many, "At most 20"),
    ] {
        let answer =
            org.owner.submit(&new, &[("addresses", addresses), ("level", "1"), ("message", "Hello you")]);
        refused(&answer, &["#form-addresses", text, "Hello you"]);
    }
    assert_eq!(member.open(&new).status, 403);
    assert_eq!(member.submit(&new, &[("addresses", "a@example.com"), ("level", "1")]).status, 403);
    hides(&member.page(&at(&org, "invites")), &["invites/new"]);
    assert_eq!(org.owner.submit_without_token(&new, &[("addresses", "a@example.com")]).status, 403);
    assert!(server.rows() == before, "nothing changed");
}

#[test]
fn nobody_invites_above_their_level_or_sees_such_an_invite() {
    let server = Server::start();
    let org = server.org();
    let member = org.member(&server);
    let new = at(&org, "invites/new");
    hides(&member.page(&new), &["<option value=\"8\">"]);
    let before = server.rows();
    let answer = member.submit(&new, &[("addresses", "a@example.com"), ("level", "8")]);
    assert_eq!(answer.status, 403);
    shows(&answer.text(), &["a@example.com", "higher permission level"]);
    assert!(server.rows() == before, "nothing changed");
    let above = org.invite("boss@example.com", 8);
    hides(&member.page(&at(&org, "invites")), &["boss@example.com"]);
    let one = at(&org, &format!("invites/{above}"));
    for path in [one.clone(), format!("{one}/delete")] {
        assert_eq!(member.open(&path).status, 404, "{path}");
        assert_eq!(member.submit(&path, &[("what", "renew")]).status, 404, "{path}");
    }
}

#[test]
fn an_invite_shows_its_link_and_is_renewed_and_revoked() {
    let server = Server::start();
    let org = server.org();
    let made = org.owner.submit(&at(&org, "invites/new"), &[("addresses", "a@example.com"), ("level", "1")]);
    let one = made.header("location");
    let page = org.owner.page(&one);
    let link = format!("http://{}/signup/", server.address);
    shows(
        &page,
        &[
            "Invite of a@example.com",
            "Open",
            "Link to pass on",
            &link,
            "data-copy=\"link\"",
            "Renew",
            "Revoke",
        ],
    );
    hides(&page, &["Send again"]);
    // Without a mail server nothing is sent again, and why is said.
    refused(&org.owner.submit(&one, &[("what", "send")]), &["sends no e-mails"]);
    server.pass_days(4);
    let owner = org.owner.logged_in();
    let page = owner.page(&one);
    shows(&page, &["Expired", "The link has expired."]);
    hides(&page, &["/signup/"]);
    refused(&owner.submit(&one, &[("what", "send")]), &["has expired"]);
    let renewed = owner.submit(&one, &[("what", "renew")]);
    assert_eq!((renewed.status, owner.open(&one).status), (303, 404));
    let one = renewed.header("location");
    shows(&owner.page(&one), &["Open", &link]);
    shows(&owner.page(&format!("{one}/delete")), &["Revoke the invite of a@example.com?"]);
    assert_eq!(owner.submit_without_token(&format!("{one}/delete"), &[]).status, 403);
    led_to(&owner.submit(&format!("{one}/delete"), &[]), &format!("{}/invites", home(&org)));
    assert_eq!(owner.get(&org.at("invites/")).results().len(), 0);
    assert_eq!(last_entry(&crate::support::Org { owner, ..org }).1, "deleted");
}

#[test]
fn members_revoke_their_own_invites_only() {
    let server = Server::start();
    let org = server.org();
    let member = org.member(&server);
    let theirs = org.invite("a@example.com", 1);
    let one = at(&org, &format!("invites/{theirs}"));
    hides(&member.page(&one), &["Danger zone"]);
    led_to(&member.open(&format!("{one}/delete")), &format!("{}/invites/{theirs}", home(&org)));
    assert_eq!(member.submit(&format!("{one}/delete"), &[]).status, 403);
    let own = member.post(&org.at("invites/"), json!({"target_email": "b@example.com"})).json(201);
    let one = at(&org, &format!("invites/{}/delete", text(&own["id"])));
    led_to(&member.submit(&one, &[]), &format!("{}/invites", home(&org)));
}

#[test]
fn with_a_mail_server_an_invite_is_sent_again() {
    let smtp = Smtp::start(Manner::Takes);
    let server = Server::with(|config| {
        config.smtp_url = Some(smtp.url());
        config.site_url = None;
    });
    let org = server.org();
    let made = org.owner.submit(
        &at(&org, "invites/new"),
        &[("addresses", "a@example.com"), ("level", "1"), ("send_email", "true")],
    );
    smtp.message();
    let one = made.header("location");
    shows(&org.owner.page(&one), &["Send again"]);
    led_to(&org.owner.submit(&one, &[("what", "send")]), &one);
    let (_, message) = smtp.message();
    assert!(message.contains("/signup/"), "{message}");
}

#[test]
fn private_projects_are_offered_to_whom_they_may_be_opened() {
    let server = Server::start();
    let org = server.org();
    let private = json!({"name": "Vault", "access_control": true});
    let project = org.owner.post(&org.at("projects/"), private).json(201)["id"].to_string();
    let new = at(&org, "invites/new");
    shows(&org.owner.page(&new), &["Private projects", "Vault"]);
    hides(&org.member(&server).page(&new), &["Vault"]);
    let fields = [("addresses", "a@example.com"), ("level", "1"), ("private_project_access", &project)];
    assert_eq!(org.owner.submit(&new, &fields).status, 303);
    let made = org.owner.get(&org.at("invites/")).results().remove(0);
    assert_eq!(made["private_project_access"][0]["id"].to_string(), project);
    // What was ticked is there after a mistake.
    let fields = [("addresses", "x"), ("level", "1"), ("private_project_access", &project)];
    refused(&org.owner.submit(&new, &fields), &[&format!("value=\"{project}\" checked")]);
}
