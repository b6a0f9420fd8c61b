//! Forks, snapshots and reset of a test server.

mod addresses;
mod isolation;
mod limits;
mod reset;
mod under_way;

use std::net::SocketAddr;

use serde_json::{Value, json};

use crate::support::{Person, Server, text};

const START: &str = "2026-01-01T00:00:00Z";

/// A test server whose clock stands still, so that two of them answer the same.
fn still() -> Server {
    let server = Server::controlled(|_| {});
    server.anyone().post("/_orgd/clock", json!({"set": START, "frozen": true})).json(200);
    server
}

/// A fork, as its maker was answered.
struct Fork {
    id: String,
    address: SocketAddr,
}

impl Fork {
    /// Of what the server is now.
    #[track_caller]
    fn of(person: &Person) -> Fork {
        Fork::wanted(person, json!({}))
    }

    #[track_caller]
    fn wanted(person: &Person, body: Value) -> Fork {
        let made = person.post("/_orgd/forks/", body).json(201);
        let url = text(&made["url"]);
        let address = url.strip_prefix("http://").expect("a scheme").parse().expect("an address");
        assert_eq!(made["header"], format!("Orgd-Fork: {}", text(&made["id"])));
        Fork { id: text(&made["id"]), address }
    }

    /// The same person, who calls the fork.
    fn to(&self, person: &Person) -> Person {
        let mut moved = person.clone();
        moved.address = self.address;
        moved
    }

    /// The path of the fork, for whoever controls the server.
    fn path(&self) -> String {
        format!("/_orgd/forks/{}/", self.id)
    }
}

#[track_caller]
fn keep(person: &Person, name: &str) -> Value {
    person.post("/_orgd/snapshots/", json!({"name": name})).json(201)
}

#[track_caller]
fn reset(person: &Person, to: &str) {
    person.post("/_orgd/reset/", json!({"to": to})).no_content();
}

/// The names of the roles.
#[track_caller]
fn roles(person: &Person, path: &str) -> Vec<String> {
    person.get(path).results().iter().map(|role| text(&role["name"])).collect()
}
