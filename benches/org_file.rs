//! The organization in a file, and `orgd exec`: a thousand entries planned and applied over HTTP, and what a command pays
//! for a server of its own. Lower is better everywhere.
//!
//! `cargo bench --bench org_file`

#![expect(clippy::print_stdout, reason = "the figures are the product")]
#![expect(unreachable_pub, reason = "everything here is of one crate")]

#[expect(dead_code, unused_imports, reason = "other benches compare with bare servers")]
mod harness;

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use harness::{Process, Seeded};
use serde_json::{Value, json};

const ROUNDS: usize = 20;

/// Organizations of the file; each has this many projects, roles, invites and domains besides itself.
const ORGANIZATIONS: usize = 10;
const OF_EACH: usize = 25;

/// A thousand entries and a few. The mark is in every name, so two marks share nothing.
fn file(mark: usize) -> Value {
    let organizations: Vec<Value> = (0..ORGANIZATIONS)
        .map(|number| {
            let each = |make: &dyn Fn(usize) -> Value| (0..OF_EACH).map(make).collect::<Vec<_>>();
            json!({
                "slug": format!("o{mark}-{number}"),
                "name": format!("Organization {mark} {number}"),
                "projects": each(&|n| json!({"name": format!("Project {n}"), "timezone": "Europe/Lisbon"})),
                "roles": each(&|n| json!({"name": format!("Role {n}"), "members": ["ada@example.com"]})),
                "invites": each(&|n| json!({"email": format!("p{n}@o{mark}-{number}.example.com"), "level": "member"})),
                "domains": each(&|n| json!({"domain": format!("d{n}.o{mark}-{number}.example.com")})),
            })
        })
        .collect();
    json!({"orgd": 1, "organizations": organizations})
}

/// Sends the file, and says how long the answer took.
fn send(server: &Process, key: &str, query: &str, body: &Value) -> (Value, Duration) {
    let request = ureq::post(format!("http://{}/api/orgd/apply/{query}", server.address));
    let request = request.header("authorization", format!("Bearer {key}"));
    let request = request.header("content-type", "application/json");
    let text = body.to_string();
    let started = Instant::now();
    let mut answer = request.send(text).expect("a 2xx answer");
    let answer = answer.body_mut().read_to_string().expect("text");
    let took = started.elapsed();
    (serde_json::from_str(&answer).expect("JSON"), took)
}

/// Prints the middle and the slowest of what was measured.
fn print(what: &str, mut took: Vec<Duration>) {
    took.sort();
    let ms = |duration: Duration| duration.as_secs_f64() * 1e3;
    let (middle, last) = (ms(took[took.len() / 2]), ms(took[took.len() - 1]));
    println!("{what:<64} {middle:>8.1} ms   {last:.1} ms at the most, {} rounds", took.len());
}

/// Runs a command that does nothing, `before` it what runs it.
fn run(before: &[&str]) -> Duration {
    let words = [before, &["true"]].concat();
    let started = Instant::now();
    let mut command = Command::new(words[0]);
    let done = command.args(&words[1..]).stdin(Stdio::null()).stdout(Stdio::null()).status();
    let took = started.elapsed();
    assert!(done.expect("it runs").success());
    took
}

fn main() {
    println!("orgd {}, 2 cores", env!("CARGO_PKG_VERSION"));
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let seeded = runtime.block_on(Seeded::with(1));
    let server = Process::orgd(&seeded.path());
    let (mut planned, mut applied, mut unchanged) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        let file = file(round);
        let (plan, took) = send(&server, &seeded.key, "?dry_run=true", &json!({"file": file}));
        planned.push(took);
        let (done, took) = send(&server, &seeded.key, "", &json!({"file": file, "base": plan["base"]}));
        applied.push(took);
        let added = done["summary"]["add"].as_u64().expect("a number");
        assert!(added >= 1_000, "{added} entries were added");
        let (nothing, took) = send(&server, &seeded.key, "?dry_run=true", &json!({"file": file}));
        unchanged.push(took);
        assert_eq!(nothing["changes"], json!([]));
    }
    print("plan of 1,010 new entries", planned);
    print("apply of 1,010 new entries", applied);
    print("plan of 1,010 unchanged entries", unchanged);
    server.kill();
    let orgd = env!("CARGO_BIN_EXE_orgd");
    print("a command alone", (0..ROUNDS).map(|_| run(&["env"])).collect());
    print("the same under `orgd exec`", (0..ROUNDS).map(|_| run(&[orgd, "exec", "--"])).collect());
}
