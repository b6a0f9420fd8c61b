//! What only a development or test server does.

mod captured;
mod clients;
mod dns;
mod faults;
mod forks;
mod journal;
mod mails;
mod raw;
mod secrets;

use serde_json::{Value, json};

use crate::support::{Person, Server};

/// Puts these rules in place of all others.
#[track_caller]
fn fail(server: &Server, rules: Value) {
    server.anyone().put("/_orgd/faults/", json!({"faults": rules})).json(200);
}

/// The rules, with what became of them.
fn rules(server: &Server) -> Vec<Value> {
    list(&server.anyone(), "/_orgd/faults/", "faults")
}

/// What was called; the newest last.
fn requests(server: &Server, query: &str) -> Vec<Value> {
    list(&server.anyone(), &format!("/_orgd/requests/?{query}"), "requests")
}

#[track_caller]
fn list(person: &Person, path: &str, name: &str) -> Vec<Value> {
    person.get(path).json(200)[name].as_array().expect("a list").clone()
}

/// Forgets what was called.
fn forget(server: &Server) {
    server.anyone().delete("/_orgd/requests/").no_content();
}
