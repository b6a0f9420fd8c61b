//! Forks of a test server: how long one takes, what a reset takes, and the memory of a thousand. Lower is better
//! everywhere. Ends with an error where one of the bars is broken.
//!
//! `cargo bench --bench forks`; `ORGD_BENCH_FORKS` sets another number than a thousand.

#![expect(clippy::print_stdout, reason = "the figures are the product")]
#![expect(unreachable_pub, reason = "everything here is of one crate")]

#[expect(dead_code, unused_imports, reason = "other benches compare with bare servers")]
mod harness;

use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use harness::Process;
use serde_json::{Value, json};
use ureq::Agent;

const KEY: &str = "phx_a_key_for_the_bench_of_forks";
const ROUNDS: usize = 300;
const CLIENTS: usize = 8;
const WRITES: usize = 5;
const ROLES: &str = "/api/organizations/@current/roles/";

/// Bars: a fork and its first answer, a reset, and the memory of all forks.
const FORK_MAX: Duration = Duration::from_millis(5);
const RESET_MAX: Duration = Duration::from_millis(5);
const MEMORY_MAX_MIB: f64 = 512.0;

struct Client {
    agent: Agent,
    base: String,
}

impl Client {
    fn of(server: &Process) -> Client {
        Client { agent: Agent::new_with_defaults(), base: format!("http://{}", server.address) }
    }

    fn get(&self, url: &str) {
        let answer = self.agent.get(url).header("authorization", format!("Bearer {KEY}")).call();
        answer.expect("an answer").body_mut().read_to_vec().expect("a body");
    }

    fn post(&self, url: &str, body: &Value) -> Value {
        let request = self.agent.post(url).header("authorization", format!("Bearer {KEY}"));
        let request = request.header("content-type", "application/json");
        let mut answer = request.send(body.to_string()).expect("a 2xx answer");
        let text = answer.body_mut().read_to_string().expect("text");
        serde_json::from_str(&text).unwrap_or_default()
    }

    /// The identifier and the address of a new fork.
    fn fork(&self) -> (String, String) {
        let made = self.post(&format!("{}/_orgd/forks", self.base), &json!({"of": "seeded"}));
        let text = |name: &str| made[name].as_str().expect("a text").to_owned();
        (text("id"), text("url"))
    }

    fn delete(&self, id: &str) {
        self.agent.delete(format!("{}/_orgd/forks/{id}", self.base)).call().expect("a 2xx answer");
    }

    fn reset(&self) {
        self.post(&format!("{}/_orgd/reset", self.base), &json!({"to": "seeded"}));
    }
}

/// Prints the middle and the slowest hundredth; whether the latter is within its bar.
fn judge(what: &str, mut took: Vec<Duration>, bar: Option<Duration>) -> bool {
    took.sort();
    let ms = |duration: Duration| duration.as_secs_f64() * 1e3;
    let (p50, p99) = (took[took.len() / 2], took[(took.len() * 99 / 100).min(took.len() - 1)]);
    let holds = bar.is_none_or(|bar| p99 < bar);
    let verdict = bar.map_or_else(String::new, |bar| {
        format!("  of {:.0} ms: {}", ms(bar), if holds { "holds" } else { "BROKEN" })
    });
    println!("{what:<48} p50 {:>7.2} ms   p99 {:>7.2} ms{verdict}", ms(p50), ms(p99));
    holds
}

fn timed(mut work: impl FnMut()) -> Duration {
    let started = Instant::now();
    work();
    started.elapsed()
}

/// One after the other.
fn one_by_one(client: &Client) -> bool {
    let forks = (0..ROUNDS).map(|_| {
        let mut id = String::new();
        let took = timed(|| {
            let made = client.fork();
            client.get(&format!("{}{ROLES}", made.1));
            id = made.0;
        });
        client.delete(&id);
        took
    });
    let forks = judge("a fork and its first answer", forks.collect(), Some(FORK_MAX));
    let resets = (0..ROUNDS).map(|number| {
        client.post(&format!("{}{ROLES}", client.base), &json!({"name": format!("Role {number}")}));
        timed(|| client.reset())
    });
    let resets = judge("a reset", resets.collect(), Some(RESET_MAX));
    let answers = (0..ROUNDS).map(|_| {
        client.reset();
        timed(|| client.get(&format!("{}{ROLES}", client.base)))
    });
    judge("the first answer after a reset", answers.collect(), None) && forks && resets
}

/// A thousand of them, each of which is written to, by several clients at once.
fn all_at_once(server: &Process, client: &Client) -> bool {
    let wanted = std::env::var("ORGD_BENCH_FORKS").ok();
    let count: usize = wanted.map_or(1000, |number| number.parse().expect("a number"));
    let before = server.resident_mib();
    let all: Vec<(String, String)> = (0..count).map(|_| client.fork()).collect();
    let (next, writes, reopened) = (AtomicUsize::new(0), Mutex::new(Vec::new()), Mutex::new(Vec::new()));
    let started = Instant::now();
    let each = |work: &(dyn Fn(&Client, &str) + Sync), into: &Mutex<Vec<Duration>>| {
        next.store(0, Ordering::Relaxed);
        std::thread::scope(|scope| {
            for _ in 0..CLIENTS {
                scope.spawn(|| {
                    let client = Client::of(server);
                    while let Some((_, url)) = all.get(next.fetch_add(1, Ordering::Relaxed)) {
                        let took = timed(|| work(&client, url));
                        into.lock().expect("no panic").push(took);
                    }
                });
            }
        });
    };
    let write = |client: &Client, url: &str| {
        for number in 0..WRITES {
            client.post(&format!("{url}{ROLES}"), &json!({"name": format!("Role {number}")}));
        }
    };
    each(&write, &writes);
    let took = started.elapsed();
    each(&|client, url| client.get(&format!("{url}{ROLES}")), &reopened);
    let (after, peak) = (server.resident_mib(), server.peak_mib());
    judge(
        &format!("{WRITES} writes to each, {CLIENTS} clients"),
        writes.into_inner().expect("no panic"),
        None,
    );
    judge("an answer of each afterwards", reopened.into_inner().expect("no panic"), None);
    let holds = peak < MEMORY_MAX_MIB;
    println!(
        "{count} forks, {WRITES} writes to each in {:.1} s: {before:.0} MiB before, {after:.0} MiB after, {peak:.0} MiB at the most, of \
         {MEMORY_MAX_MIB:.0} MiB: {}",
        took.as_secs_f64(),
        if holds { "holds" } else { "BROKEN" },
    );
    let took: Vec<Duration> = all.iter().map(|(id, _)| timed(|| client.delete(id))).collect();
    judge("deleting one", took, None);
    holds
}

/// What it would take without forks: a process of its own on a copy of a file.
fn processes() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("seeded.redb");
    let path = file.to_str().expect("text");
    let program = env!("CARGO_BIN_EXE_orgd");
    let made = std::process::Command::new(program)
        .args(["exec", "--save-on-exit", path, "--api-key", KEY, "--", "true"])
        .status();
    assert!(made.expect("it runs").success());
    let took = (0..30).map(|_| {
        let started = Instant::now();
        let server = Process::test(&["--from", path, "--api-key", KEY]);
        Client::of(&server).get(&format!("http://{}{ROLES}", server.address));
        started.elapsed()
    });
    judge("a process on a copy, and its first answer", took.collect(), None);
}

fn main() -> ExitCode {
    println!(
        "orgd {}, {} cores",
        env!("CARGO_PKG_VERSION"),
        std::thread::available_parallelism().map_or(1, Into::into)
    );
    processes();
    let server = Process::test(&["--api-key", KEY]);
    let client = Client::of(&server);
    client.post(&format!("{}/_orgd/snapshots", client.base), &json!({"name": "seeded"}));
    let one = one_by_one(&client);
    let many = all_at_once(&server, &client);
    if one && many { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
