//! A server for the tests of a Rust client, in this process (feature `testing`).
//!
//! ```
//! use orgd::testing::{Expect, Fault, Server};
//!
//! let server = Server::start();
//! let orgd = server.fork(); // a server of its own for each test
//!
//! // The client under test.
//! let invite = || orgd.send("POST", "/api/organizations/@current/invites/", r#"{"target_email": "grace@example.com"}"#);
//!
//! let invites = "POST /api/organizations/{id}/invites/";
//! orgd.fail(invites, Fault::status(429).retry_after(1).times(1));
//! assert_eq!(invite().0, 429);
//! assert_eq!(invite().0, 201);
//! orgd.assert_requests(invites, Expect::count(2));
//! assert_eq!(orgd.mails("grace@example.com")[0].links.len(), 1);
//!
//! orgd.advance("4d"); // the invite has expired
//! ```
//!
//! It is controlled by the paths below `/_orgd/`, as every test server is. What it refuses is a panic, for a test must not go
//! on. A server that goes checks its data; where a test has failed, it prints what it was asked.

mod control;
mod process;
mod rules;
mod shown;

use std::sync::Arc;

use serde_json::{Value, json};

use control::Control;
use process::Running;
pub use rules::{Expect, Fault};
pub use shown::{Advance, Event, Mail, Request};

use crate::config::Config;

const REPORTED_REQUESTS: usize = 20;
const FORK_SECONDS: u32 = 3600;

/// A server, or a fork of one.
pub struct Server {
    control: Control,
    running: Arc<Running>,
    /// The name of a fork.
    fork: Option<String>,
}

impl Server {
    /// A server in memory, with a demo owner and the same identifiers every time.
    #[must_use]
    #[track_caller]
    pub fn start() -> Server {
        Server::with(&[], |_| {})
    }

    /// The same with further flags of `orgd serve`, and settings changed.
    #[must_use]
    #[track_caller]
    pub fn with(flags: &[&str], change: impl FnOnce(&mut Config)) -> Server {
        let running = Running::start(flags, change).unwrap_or_else(|cause| panic!("orgd: {cause}"));
        Server { control: Control(running.address), running: Arc::new(running), fork: None }
    }

    /// A server of its own that begins with what this one began with; see [`Server::fork_of_now`].
    #[must_use]
    #[track_caller]
    pub fn fork(&self) -> Server {
        self.fork_of(json!({"of": "start", "ttl_s": FORK_SECONDS}))
    }

    /// A server of its own that begins with what this one holds now.
    #[must_use]
    #[track_caller]
    pub fn fork_of_now(&self) -> Server {
        self.fork_of(json!({"ttl_s": FORK_SECONDS}))
    }

    #[track_caller]
    fn fork_of(&self, wanted: Value) -> Server {
        let made = self.control.call("POST", "forks", Some(wanted));
        let url = made["url"].as_str().unwrap_or_default();
        let address = url.trim_start_matches("http://").parse();
        Server {
            control: Control(address.unwrap_or_else(|_| panic!("orgd: {url} is no address"))),
            running: Arc::clone(&self.running),
            fork: made["id"].as_str().map(str::to_owned),
        }
    }

    /// Its address, such as `http://127.0.0.1:41234`.
    #[must_use]
    pub fn url(&self) -> String {
        self.control.url()
    }

    /// A personal API key with all scopes.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.running.demo.api_key
    }

    #[must_use]
    pub fn project_id(&self) -> u32 {
        self.running.demo.project_id.0
    }

    #[must_use]
    pub fn project_token(&self) -> &str {
        &self.running.demo.project_api_token
    }

    #[must_use]
    pub fn organization_id(&self) -> String {
        self.running.demo.organization_id.to_string()
    }

    /// Sends JSON with the key: the status and the body of the answer. A client in few lines, for what a test prepares.
    ///
    /// # Panics
    /// Nobody answers.
    #[track_caller]
    pub fn send(&self, method: &str, path: &str, json: &str) -> (u16, String) {
        let sent = self.control.send(method, path, Some(self.key()), json);
        sent.unwrap_or_else(|cause| panic!("orgd: {method} {path}: {cause}"))
    }

    /// Makes requests of a route fail, such as `POST /api/organizations/{id}/invites/`, and gives the name of the rule.
    #[track_caller]
    pub fn fail(&self, route: &str, fault: Fault) -> String {
        let made = self.control.call("POST", "faults", Some(fault.of(route)));
        made["id"].as_str().unwrap_or_default().to_owned()
    }

    /// How often a rule has fired.
    #[track_caller]
    pub fn fired(&self, fault: &str) -> u64 {
        self.control.call("GET", &format!("faults/{fault}"), None)["fired"].as_u64().unwrap_or_default()
    }

    /// The mails to an address that would have gone out, the newest last.
    #[track_caller]
    pub fn mails(&self, to: &str) -> Vec<Mail> {
        let query: String = form_urlencoded::byte_serialize(to.as_bytes()).collect();
        shown::list(self.control.call("GET", &format!("mails?to={query}"), None))
    }

    /// The events that were stored, the newest last.
    #[track_caller]
    pub fn events(&self) -> Vec<Event> {
        shown::list(self.control.call("GET", "events", None)["events"].take())
    }

    /// What clients have sent, the newest last.
    #[track_caller]
    pub fn requests(&self) -> Vec<Request> {
        shown::list(self.control.call("GET", "requests", None)["requests"].take())
    }

    /// A route was called as it should be.
    ///
    /// # Panics
    /// It was not.
    #[track_caller]
    pub fn assert_requests(&self, route: &str, expected: Expect) {
        let verdict = self.control.call("POST", "requests/assert", Some(expected.of(route)));
        if verdict["ok"] == true {
            return;
        }
        let is_near = |request: &Request| {
            verdict["nearest"].as_array().is_some_and(|numbers| numbers.contains(&json!(request.n)))
        };
        let near: Vec<String> =
            self.requests().iter().filter(|request| is_near(request)).map(Request::to_string).collect();
        panic!("{route}: {}\n{}", verdict["why"].as_str().unwrap_or_default(), near.join("\n"));
    }

    /// Moves time on, with all that is due on the way: `72h`, `4d`.
    #[track_caller]
    pub fn advance(&self, by: &str) -> Advance {
        shown::one(self.control.call("POST", "clock", Some(json!({"advance": by}))))
    }

    /// Sets the clock, such as to `2026-01-01T00:00:00Z`, where it stands still.
    #[track_caller]
    pub fn stop_clock_at(&self, time: &str) {
        self.control.call("POST", "clock", Some(json!({"set": time, "frozen": true})));
    }

    /// Says what the DNS answers: names, kinds and values.
    #[track_caller]
    pub fn dns(&self, table: Value) {
        self.control.call("PUT", "dns", Some(table));
    }

    /// Makes everything as it was at the start: data, clock, faults, journal, mails.
    #[track_caller]
    pub fn reset(&self) {
        self.control.call("POST", "reset", Some(json!({})));
    }

    /// The last requests, and the faults that have not fired.
    #[track_caller]
    pub fn report(&self) -> String {
        let requests = self.requests();
        let shown = &requests[requests.len().saturating_sub(REPORTED_REQUESTS)..];
        let mut lines = vec![format!(
            "orgd at {}, requests (the last {} of {}):",
            self.url(),
            shown.len(),
            requests.len()
        )];
        lines.extend(shown.iter().map(Request::to_string));
        let faults = self.control.call("GET", "faults", None);
        let silent =
            faults["faults"].as_array().into_iter().flatten().filter(|fault| fault["fired"] == json!(0));
        lines.extend(silent.map(|fault| {
            format!("fault {} has not fired: {}", fault["id"].as_str().unwrap_or_default(), fault["rule"])
        }));
        lines.join("\n")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if std::thread::panicking() {
            // A second panic would end the process, and hide the first.
            if let Ok(report) = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| self.report())) {
                eprintln!("{report}");
            }
            return;
        }
        if let Some(fork) = &self.fork {
            Control(self.running.address).call("DELETE", &format!("forks/{fork}?check=true"), None);
        }
    }
}
