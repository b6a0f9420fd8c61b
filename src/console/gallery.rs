//! Pages of every kind, made of the components: what must hold for each is checked here, and with `ORGD_GALLERY` set to
//! a folder they are written there to be looked at.

use std::collections::HashSet;
use std::path::Path;

use maud::{Markup, html};
use regex::Regex;
use serde_json::json;

use super::form::{Control, Form};
use super::layout::{Frame, Group, Item, Organization, Person, Theme};
use super::parts::*;
use super::words::{SHOWN_ONCE, Said};
use super::{assets, chart, qr};
use crate::api::fields::{FieldInfo, FieldKind};
use crate::clock::Time;
use crate::error::{invalid, invalid_body};

const HOSTILE: &str = "<script>alert(1)</script>";
const ARABIC: &str = "مؤسسة البيانات الكبيرة";
const LONG: &str = "Donaudampfschifffahrtselektrizitaetenhauptbetriebswerkbauunterbeamtengesellschaft";

fn frame<'a>(title: &'a str, current: &str) -> Frame<'a> {
    let item =
        |label: &'a str, name: &str| Item::new(label, format!("/organization/acme{name}"), label == current);
    Frame {
        title,
        person: Some(Person { name: "Ada Lovelace", email: "ada@acme.example", token: "token" }),
        organization: Some(Organization { name: "Acme Analytics", path: "/organization/acme" }),
        navigation: vec![
            Group {
                title: "",
                items: vec![
                    item("Overview", ""),
                    item("Members", "/members"),
                    item("Invites", "/invites"),
                    item("Roles", "/roles"),
                    item("Projects", "/projects"),
                    item("Exports", "/exports"),
                    item("Domains", "/domains"),
                    item("Proxies", "/proxies"),
                    item("API keys", "/keys"),
                    item("Audit log", "/audit"),
                    item("Plugins", "/plugins"),
                    item("Settings", "/settings"),
                ],
            },
            Group {
                title: "This server",
                items: vec![item("Status", "/status"), item("Users", "/users"), item("Tasks", "/tasks")],
            },
        ],
        ..Frame::default()
    }
}

fn moment(text: &str) -> Time {
    Time::parse(text).unwrap()
}

fn login() -> Markup {
    let fields = [
        FieldInfo::new("email", FieldKind::Email).required(),
        FieldInfo::new("password", FieldKind::Secret { chars_max: 128 }).required(),
    ];
    let wrong = invalid_body("invalid_credentials", "E-mail address or password is not right.");
    let form = Form::new(None)
        .field(&fields, "email", |it| it.autocomplete("username").first())
        .field(&fields, "password", |it| {
            it.help("")
                .autocomplete("current-password")
                .after(html! { p { a href="/reset" { "Forgotten?" } } })
        })
        .refused(Some((&wrong, json!({"email": "ada@acme.example"}))))
        .button("Sign in");
    let frame = Frame { title: "Sign in", is_wrong: true, ..Frame::default() };
    frame.bare(&html! {
        (form.summary())
        h1 { "Sign in" }
        (form)
        p.soft { "No account yet? " a href="/signup" { "Sign up" } }
    })
}

fn setup() -> Markup {
    let fields = [
        FieldInfo::new("code", FieldKind::Text { chars_max: Some(20) }).required(),
        FieldInfo::new("first_name", FieldKind::Text { chars_max: Some(128) }).required(),
        FieldInfo::new("last_name", FieldKind::Text { chars_max: Some(128) }).blank(),
        FieldInfo::new("email", FieldKind::Email).required(),
        FieldInfo::new("password", FieldKind::Secret { chars_max: 128 }).required(),
        FieldInfo::new("organization_name", FieldKind::Text { chars_max: Some(64) }).required(),
    ];
    let wrong = invalid("password", "password_too_short", "At least 8 characters.");
    let typed = json!({"code": "", "first_name": "", "email": "ada", "organization_name": ARABIC});
    let form = Form::new(None)
        .field(&fields, "code", |it| {
            it.label("Set-up code")
                .help("The server printed it when it started: journalctl -u orgd, or docker logs.")
        })
        .fields(&fields, &["first_name", "last_name", "email", "password", "organization_name"])
        .refused(Some((&wrong, typed)))
        .button("Set up");
    Frame { title: "Set up", is_wrong: true, ..Frame::default() }.bare(&html! {
        (form.summary())
        (head("Set up this server", "You become the owner of its first organization.", None))
        (form)
    })
}

fn overview() -> Markup {
    let day = |place: u64| chart::Bar {
        label: format!("{} Jan", place + 1),
        value: (place * place * 37) % 1900 + 40 * place,
        tone: Tone::Plain,
    };
    let step = |title, text, path, action, is_done| Step { title, text, path, action, is_done };
    Frame { said: Some(Said::Welcome), bar: Some("Test server"), ..frame("Overview", "Overview") }.page(&html! {
        (head("Acme Analytics", "12 people, 3 projects, 2 open invites", None))
        (section("First steps", steps(&[
            step("Invite people", "They get a link and choose their own password.", "/i", "Invite people", true),
            step("Make an API key", "For Terraform, scripts and the command line.", "/k", "Make a key", false),
            step("Send the first event", "The project's token stands in its page.", "/p", "Show the token", false),
            step("Make a backup", "It is one file, made while the server runs.", "/b", "Back up", false),
        ])))
        (section("Events a day", chart::bars("Between 40 and 1,893 events a day in January 2026, 24,310 in all.",
            &(0..31).map(day).collect::<Vec<_>>())))
        (section("Exports", table("Exports by state", &["State", "Exports", "Last 24 hours"], [
            [html! { "Running" }, amount(14), chart::sparkline("Steady", &[3, 4, 4, 5, 4, 9, 4])],
            [html! { "Paused" }, amount(1200), chart::sparkline("Falling to nothing", &[9, 7, 3, 1, 0, 0, 0])],
        ])))
    })
}

fn members() -> Markup {
    let people = [
        ("Ada Lovelace", "ada@acme.example", "Owner", true),
        (LONG, "donaudampfschifffahrtselektrizitaeten@hauptbetriebswerk.example", "Admin", false),
        (ARABIC, "a@acme.example", "Member", true),
        (HOSTILE, "x@acme.example", "Member", false),
    ];
    let levels = [("", "All levels"), ("1", "Member"), ("8", "Admin"), ("15", "Owner")];
    let factor = [("", "With and without"), ("true", "On"), ("false", "Off")];
    let selects = [
        Select { name: "level", label: "Level", choices: &levels, chosen: "8" },
        Select { name: "two_factor", label: "Two-factor", choices: &factor, chosen: "" },
    ];
    let line = |(who, email, level, has_2fa): (&str, &str, &str, bool)| {
        [
            name(html! { (who) @if who == "Ada Lovelace" { " " (tag(Tone::Plain, "You")) } }, email),
            html! { (level) },
            if has_2fa { tag(Tone::Good, "On") } else { tag(Tone::Warn, "Off") },
            day(moment("2026-01-03T14:05:00Z")),
            time_or((who != HOSTILE).then(|| moment("2026-11-26T09:30:00Z")), "Never"),
            link_to("/organization/acme/members/1", "Manage", who),
        ]
    };
    let address = "/organization/acme/members?q=a&offset=50";
    Frame { said: Some(Said::MemberRemoved), ..frame("Members", "Members") }.page(&html! {
        (head("Members", "230 people; 41 have no second factor", Some(("/organization/acme/invites/new", "Invite people"))))
        (filters("Search members", Some(("Name or e-mail", "a")), &selects, &[]))
        (table("Members", &["Name", "Level", "Two-factor", "Joined", "Last sign-in", ""], people.map(line)))
        (pager(address, Shown { total: 230, limit: 50, offset: 50 }))
    })
}

fn nothing() -> Markup {
    frame("Exports", "Exports").page(&html! {
        (head("Exports", "None yet", Some(("/organization/acme/exports/new", "New export"))))
        (empty("Events leave here by exports",
            "An export sends new events to S3, PostgreSQL, Redshift or an HTTP address, every hour or every day, and says when that fails.",
            Some(("/organization/acme/exports/new", "New export"))))
    })
}

fn settings() -> Markup {
    let field = |name, kind| FieldInfo::new(name, kind);
    let fields = [
        field("name", FieldKind::Text { chars_max: Some(64) }).required(),
        field("enforce_2fa", FieldKind::Boolean),
        field("members_can_invite", FieldKind::Boolean),
        field("members_can_use_personal_api_keys", FieldKind::Boolean),
        field("default_role_id", FieldKind::Uuid).nullable(),
        field("level", FieldKind::Choice(&[1, 8, 15])),
        field("message", FieldKind::Text { chars_max: None }).blank(),
        field("tags", FieldKind::Texts { chars_max: None, nullable_items: false }),
    ];
    let wrong = invalid("name", "blank", "This field may not be blank.");
    let typed = json!({"name": "", "enforce_2fa": true, "level": "7", "message": ARABIC, "tags": ["b"]});
    let form = Form::new(Some("token"))
        .fields(&fields, &["name", "enforce_2fa", "members_can_invite", "members_can_use_personal_api_keys"])
        .field(&fields, "default_role_id", |it| it.choices([("1", "Analysts"), ("2", LONG)]))
        .fields(&fields, &["level", "message"])
        .field(&fields, "tags", |it| it.help("").choices([("a", "Read events"), ("b", "Write events")]))
        .refused(Some((&wrong, typed)))
        .button("Save");
    Frame { is_wrong: true, ..frame("Settings", "Settings") }.page(&html! {
        (form.summary())
        (head("Settings", "What holds for everybody in Acme Analytics", None))
        (form)
        (danger_zone(&[Danger {
            title: "Delete the organization",
            text: "Its projects, events, exports and keys are gone at once.",
            path: "/organization/acme/delete",
            deed: "Delete organization",
        }]))
    })
}

fn export() -> Markup {
    let text = |name| FieldInfo::new(name, FieldKind::Text { chars_max: None }).required();
    let fields = [
        text("name"),
        FieldInfo::new("interval", FieldKind::TextChoice(|_| true)),
        FieldInfo::new("start_at", FieldKind::Time).nullable(),
        text("bucket_name"),
        text("region"),
        text("prefix"),
        text("aws_access_key_id"),
        FieldInfo::new("aws_secret_access_key", FieldKind::Secret { chars_max: 500 }).required(),
        FieldInfo::new("file_format", FieldKind::TextChoice(|_| true)),
        FieldInfo::new("use_virtual_style_addressing", FieldKind::Boolean),
        text("hogql_query").blank(),
    ];
    let form = Form::new(Some("token"))
        .once("1b671a64")
        .fields(&fields, &["name", "interval", "start_at"])
        .field(&fields, "bucket_name", |it| it.before(html! { h2 { "Bucket" } }))
        .fields(&fields, &["region", "prefix", "aws_access_key_id"])
        .field(&fields, "aws_secret_access_key", Control::kept)
        .fields(&fields, &["file_format", "use_virtual_style_addressing", "hogql_query"])
        .show(json!({"name": "Events to S3", "interval": "hour", "start_at": "2026-01-03T14:05:00Z",
            "bucket_name": "acme-events", "region": "eu-central-1", "prefix": "events/"}))
        .button("Save")
        .button_for("Test", "do", "test")
        .cancel("/organization/acme/exports");
    frame("Edit export", "Exports").page(&html! {
        (crumbs(&[("/organization/acme/exports", "Exports"), ("/organization/acme/exports/1", "Events to S3")]))
        (head("Edit export", "Runs every hour; next at 15:00", None))
        (notice(Tone::Bad, html! {
            p.title { "The test failed at step 2 of 3" }
            p { "The bucket answered 403: the key may not write below " (code("events/")) "." }
        }))
        (tabs("Export", &[Item::new("Runs", "/r", false), Item::new("Settings", "/s", true), Item::new("Backfills", "/b", false)]))
        (form)
    })
}

fn audit() -> Markup {
    let change = |before: &str, after: &str| {
        details("Changes", facts([("Level", html! { (before) " → " (after) }), ("Roles", html! { (LONG) })]))
    };
    let line = |who: &str, what: &str, more: Markup| {
        [
            html! { (time(moment("2026-01-03T14:05:00Z"))) },
            name(who, "10.0.0.7, session"),
            html! { (what) },
            more,
        ]
    };
    let selects = [Select {
        name: "scope",
        label: "What",
        choices: &[("", "Everything"), ("Role", "Roles")],
        chosen: "",
    }];
    let since = filter_field("since", "Since", html! { input #filter-since type="date" name="since"; });
    frame("Audit log", "Audit log").page(&html! {
        (head("Audit log", "What was done in this organization, newest first", None))
        (filters("Who", Some(("Name or e-mail", "")), &selects, &[since]))
        (table("Entries", &["Time", "Who", "What", "Details"], [
            line("Ada Lovelace", "Changed the level of Grace Hopper", change("Member", "Admin")),
            line(ARABIC, "Made the project Website", html! { "–" }),
            line(LONG, "Signed in", html! { (code("req_01J9Z7YV0T7Q9A")) }),
        ]))
        (cursor_pager(Some("/n"), Some("/o")))
    })
}

fn confirm() -> Markup {
    let page = Confirm {
        question: "Delete Acme Analytics?",
        lost: vec![
            html! { "3 projects with " strong { "1,204,332 events" } "." },
            html! { "14 exports; what they have delivered stays where it is." },
            html! { "230 people lose access, 12 of them their only organization." },
        ],
        kept: vec![html! { "The accounts of all people." }],
        deed: "Delete organization",
        cancel: "/organization/acme/settings",
        token: "token",
        name: Some("Acme Analytics"),
        is_wrong: true,
    };
    Frame { is_wrong: true, ..frame("Delete the organization", "Settings") }.page(&html! { (page) })
}

fn shown_once() -> Markup {
    let curl = "curl -H \"Authorization: Bearer $ORGD_KEY\" \\\n  https://orgd.acme.example/api/organizations/@current/members/?limit=100&offset=200";
    frame("New key", "").page(&html! {
        (crumbs(&[("/settings/api-keys", "API keys")]))
        (head("Terraform", "Made just now", None))
        (notice(Tone::Warn, html! { p.title { "Copy the key" } p { (SHOWN_ONCE) } }))
        (secret("key", "Key", "phx_7sGq0vTt2gkQ1Zr8bYcXn4LwPpMhJdEaUoIiFfRrSsTtVv"))
        (section("Try it", code_block("curl", "Command", curl)))
        (facts([
            ("Scopes", html! { (code("organization:read")) ", " (code("member:write")) }),
            ("Organizations", html! { (LONG) }),
            ("Last used", time_or(None, "Never")),
        ]))
    })
}

fn two_factor() -> Markup {
    let fields = [FieldInfo::new("token", FieldKind::Text { chars_max: Some(50) }).required()];
    let form = Form::new(Some("token"))
        .field(&fields, "token", |it| it.help("Six digits that the app shows now.").first())
        .button("Turn on")
        .cancel("/settings/two-factor");
    let link = "otpauth://totp/orgd:ada@acme.example?secret=JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP&issuer=orgd";
    frame("Two-factor", "").page(&html! {
        (head("Two-factor authentication", html! { (tag(Tone::Warn, "Off")) " Scan the code with an authenticator app." }, None))
        @if let Some(code) = qr::svg(link, "The secret as a QR code") { (code) }
        (secret("secret", "Or type the secret", "JBSW Y3DP EHPK 3PXP JBSW Y3DP EHPK 3PXP"))
        (form)
    })
}

fn runs() -> Markup {
    let bar = |place: u64| chart::Bar {
        label: format!("{place}:00"),
        value: if place % 7 == 3 { 20 } else { 100 },
        tone: if place % 7 == 3 { Tone::Bad } else { Tone::Good },
    };
    let line = |state: Markup, records: u64| {
        [time(moment("2026-01-03T14:00:00Z")), state, amount(records), link_to("/r/1", "Open", "the run")]
    };
    frame("Events to S3", "Exports").page(&html! {
        (crumbs(&[("/organization/acme/exports", "Exports")]))
        (head("Events to S3", html! { (tag(Tone::Good, "Running")) " Next run at 15:00" }, Some(("/b", "Backfill"))))
        (notice(Tone::Plain, progress(71, 96, "71 of 96 hours are exported")))
        (live("runs", "/organization/acme/exports/1", 2, html! {
            (chart::bars("24 runs, 3 of them failed.", &(0..24).map(bar).collect::<Vec<_>>()))
            (table("Runs", &["Hour", "State", "Records", ""], [
                line(tag(Tone::Good, "Completed"), 120_431),
                line(tag(Tone::Bad, "Failed"), 0),
                line(tag(Tone::Plain, "Running"), 7),
            ]))
        }))
        div.buttons {
            (deed("/organization/acme/exports/1/pause", "token", "Pause", "the export", Look::Plain))
            (deed("/organization/acme/exports/1/retry", "token", "Try again", "the last run", Look::Plain))
        }
    })
}

fn failed() -> Markup {
    Frame { title: "Not found", theme: Theme::Dark, ..Frame::default() }.bare(&html! {
        (head("Not found", "There is nothing at this address, or you may not see it.", None))
        p { a href="/" { "To the first page" } }
    })
}

fn pages() -> Vec<(&'static str, Markup)> {
    vec![
        ("login", login()),
        ("setup", setup()),
        ("overview", overview()),
        ("members", members()),
        ("nothing", nothing()),
        ("settings", settings()),
        ("export", export()),
        ("audit", audit()),
        ("confirm", confirm()),
        ("shown_once", shown_once()),
        ("two_factor", two_factor()),
        ("runs", runs()),
        ("failed", failed()),
    ]
}

fn captured<'a>(text: &'a str, pattern: &str) -> Vec<&'a str> {
    let pattern = Regex::new(pattern).unwrap();
    pattern.captures_iter(text).map(|found| found.get(1).unwrap().as_str()).collect()
}

/// What every page promises to those who read it by keyboard, by ear, or under the policy of its headers.
fn check(page: &str, text: &str) {
    for word in ["<else", " style=", " onclick", "<script>", "javascript:", "<style", "data:"] {
        assert!(!text.contains(word), "{page} holds {word}");
    }
    assert_eq!(text.matches("<h1").count(), 1, "{page}");
    assert_eq!(text.matches("<main").count(), 1, "{page}");
    assert!(text.len() < 60 * 1024, "{page} has {} bytes", text.len());
    let ids = captured(text, " id=\"([^\"]+)\"");
    let all: HashSet<&str> = ids.iter().copied().collect();
    assert_eq!(all.len(), ids.len(), "{page}: {ids:?}");
    let pointers =
        captured(text, " (?:for|aria-describedby|data-copy|data-pause|popovertarget)=\"([^\"]+)\"");
    for target in
        pointers.iter().flat_map(|names| names.split(' ')).chain(captured(text, "href=\"#([^\"]+)\""))
    {
        assert!(all.contains(target), "{page} points at {target}");
    }
    let labelled: HashSet<&str> = captured(text, "<label for=\"([^\"]+)\"").into_iter().collect();
    let controls = captured(text, "<((?:input|select|textarea) [^>]+)>");
    for control in controls.iter().filter(|control| !control.contains("type=\"hidden\"")) {
        let id = captured(control, "id=\"([^\"]+)\"");
        assert!(id.first().is_some_and(|id| labelled.contains(id)), "{page} has no label for {control}");
    }
    let levels: Vec<u8> = captured(text, "<h([1-6])").iter().map(|level| level.parse().unwrap()).collect();
    assert!(levels.windows(2).all(|pair| pair[1] <= pair[0] + 1), "{page} skips a heading: {levels:?}");
    let posts = captured(text, "(<form[^>]*method=\"post\"[^>]*>)").len();
    let tokens = text.matches("name=\"csrfmiddlewaretoken\"").count();
    assert!(text.contains("class=\"frame bare\"") || tokens == posts, "{page}: a form without its token");
    for asset in [&*assets::STYLE, &*assets::SCRIPT, &*assets::ICON] {
        assert!(text.contains(asset.address()), "{page} without {}", asset.address());
    }
}

#[test]
fn pages_of_every_kind_are_well_formed() {
    let folder = std::env::var("ORGD_GALLERY").ok();
    for (name, page) in pages() {
        check(name, &page.0);
        if let Some(folder) = &folder {
            std::fs::write(Path::new(folder).join(format!("{name}.html")), &page.0).unwrap();
        }
    }
}
