//! The pages for people, as a browser uses them.

mod access;
mod audit;
mod backups;
mod dev;
mod domains;
mod exports;
mod invites;
mod keys;
mod organization;
mod outbox;
mod people;
mod plugins;
mod project;
mod roles;

use ureq::http::Method;

use crate::support::{Answer, Org, Person, Shows};

/// What a form sends: names and values.
pub type Fields<'a> = &'a [(&'a str, &'a str)];

/// Somebody with a browser, signed in.
pub trait Browses {
    /// Opens a page that is there.
    fn page(&self, path: &str) -> String;
    /// Opens a page, with any result.
    fn open(&self, path: &str) -> Answer;
    /// Sends the form of a page.
    fn submit(&self, path: &str, fields: Fields<'_>) -> Answer;
    /// Sends a form that carries no token.
    fn submit_without_token(&self, path: &str, fields: Fields<'_>) -> Answer;
}

impl Browses for Person {
    #[track_caller]
    fn page(&self, path: &str) -> String {
        let answer = self.open(path);
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        well_formed(path, answer.text())
    }

    fn open(&self, path: &str) -> Answer {
        self.send(Method::GET, path, "", &[("accept", "text/html")])
    }

    fn submit(&self, path: &str, fields: Fields<'_>) -> Answer {
        let Shows::Session { csrf, .. } = &self.shows else { panic!("pages are for sessions") };
        let mut fields = fields.to_vec();
        fields.push(("csrfmiddlewaretoken", csrf));
        self.submit_without_token(path, &fields)
    }

    fn submit_without_token(&self, path: &str, fields: Fields<'_>) -> Answer {
        let Shows::Session { id, csrf } = &self.shows else { panic!("pages are for sessions") };
        let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        let cookie = format!("sessionid={id}; posthog_csrftoken={csrf}");
        let headers = [
            ("content-type", "application/x-www-form-urlencoded"),
            ("sec-fetch-site", "same-origin"),
            ("cookie", &cookie),
        ];
        // The header that scripts repeat the token in is no part of a form.
        self.without().send(Method::POST, path, body, &headers)
    }
}

/// The path of a page of an organization.
pub fn at(org: &Org, tail: &str) -> String {
    format!("/organization/{}/{tail}", org.id)
}

/// What must be true of every page.
#[track_caller]
fn well_formed(path: &str, page: String) -> String {
    assert_eq!(page.matches("<h1").count(), 1, "{path} has one heading");
    assert!(!page.contains("<else") && !page.contains(" style="), "{path}");
    let mut ids: Vec<&str> = page.split(" id=\"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
    let count = ids.len();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), count, "{path} has an id twice");
    page
}

/// Looks for texts in a page, in their order.
#[track_caller]
pub fn shows(page: &str, texts: &[&str]) {
    let mut rest = page;
    for text in texts {
        let place = rest.find(text).unwrap_or_else(|| panic!("no {text:?} in {rest}"));
        rest = &rest[place + text.len()..];
    }
}

/// Looks that a page has none of these texts.
#[track_caller]
pub fn hides(page: &str, texts: &[&str]) {
    for text in texts {
        assert!(!page.contains(text), "{text:?} in {page}");
    }
}

/// A form was taken and leads on to this page.
#[track_caller]
pub fn led_to(answer: &Answer, path: &str) {
    assert_eq!((answer.status, answer.header("location").as_str()), (303, path), "{}", answer.text());
}

/// A form was refused, and its page is shown again with these texts.
#[track_caller]
pub fn refused(answer: &Answer, texts: &[&str]) {
    assert_eq!(answer.status, 422, "{}", answer.text());
    shows(&answer.text(), texts);
}

/// Where the pages of an organization lead: by its slug.
pub fn home(org: &Org) -> String {
    let slug = org.owner.get(&org.at("")).json(200)["slug"].clone();
    format!("/organization/{}", crate::support::text(&slug))
}

/// The newest entry of the audit log: kind, activity, and field and values of each change.
pub fn last_entry(org: &Org) -> (String, String, Vec<String>) {
    let entry = org.owner.get(&org.at("advanced_activity_logs/")).results().remove(0);
    let changes = entry["detail"]["changes"].as_array().cloned().unwrap_or_default();
    let change = |change: &serde_json::Value| {
        format!("{}: {} -> {}", change["field"], change["before"], change["after"])
    };
    (
        crate::support::text(&entry["scope"]),
        crate::support::text(&entry["activity"]),
        changes.iter().map(change).collect(),
    )
}
