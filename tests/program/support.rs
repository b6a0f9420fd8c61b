//! The program itself, as a process.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use serde_json::Value;
use ureq::Agent;
use ureq::http::Request;

/// The program with these arguments, without the settings of the surroundings.
pub fn orgd(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_orgd"));
    command.args(arguments);
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("ORGD_")) {
        command.env_remove(name);
    }
    command
}

/// The same command by a shell that has set a limit of open files: `-n 48`, `-S -n 256`.
pub fn with_open_files(own: &Command, limit: &str) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", &format!("ulimit {limit} && exec \"$@\""), "sh"]);
    command.arg(own.get_program()).args(own.get_args());
    for (name, value) in own.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    command
}

/// Runs the program to its end.
pub fn run(arguments: &[&str]) -> Output {
    orgd(arguments).stdin(Stdio::null()).output().expect("the program runs")
}

/// A server process that really listens.
pub struct Serving {
    pub child: Child,
    pub base: String,
    /// What it printed before it listened.
    pub said: Vec<String>,
    /// What it has printed since; ends with the process.
    pub log: Option<Mutex<Receiver<String>>>,
}

impl Serving {
    /// `orgd serve` on the file and a free port.
    pub fn start(data: &Path, more: &[&str]) -> Serving {
        Serving::of(orgd(&["serve", "--listen", "127.0.0.1:0", "--data"]).arg(data).args(more))
    }

    pub fn of(command: &mut Command) -> Serving {
        // Standard output and error come through one pipe, as an operator sees them.
        let (reader, writer) = std::io::pipe().expect("a pipe");
        let output = writer.try_clone().expect("a pipe");
        let child =
            command.stdin(Stdio::null()).stdout(output).stderr(writer).spawn().expect("the program starts");
        // The writing ends must be closed here, or the end of the output is never seen.
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let mut lines = BufReader::new(reader).lines();
        let mut said = Vec::new();
        let listening = lines.by_ref().map(|line| line.expect("text")).find_map(|line| {
            let base = line
                .split_once("listening on ")
                .map(|(_, base)| base.trim().split('"').next().unwrap_or_default().to_owned());
            said.extend(base.is_none().then_some(line));
            base
        });
        let (sender, log) = channel();
        let serving =
            Serving { child, base: listening.unwrap_or_default(), said, log: Some(Mutex::new(log)) };
        assert!(!serving.base.is_empty(), "it does not listen: {:#?}", serving.said);
        std::thread::spawn(move || lines.map_while(Result::ok).for_each(|line| drop(sender.send(line))));
        serving
    }

    /// Sends a signal by its name.
    pub fn signal(&self, name: &str) {
        let status = Command::new("kill").args([&format!("-{name}"), &self.child.id().to_string()]).status();
        assert!(status.expect("kill runs").success());
    }

    /// The exit code, once it has one.
    pub fn wait(mut self) -> Option<i32> {
        self.child.wait().expect("the process ends").code()
    }

    /// Asks to stop, and waits.
    pub fn stop(self) -> Option<i32> {
        self.signal("TERM");
        self.wait()
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// One JSON request; `None` where the connection broke.
pub fn ask(agent: &Agent, method: &str, url: &str, key: Option<&str>, body: &Value) -> Option<(u16, Value)> {
    let mut request = Request::builder().method(method).uri(url).header("content-type", "application/json");
    if let Some(key) = key {
        request = request.header("authorization", format!("Bearer {key}"));
    }
    let mut answer = agent.run(request.body(body.to_string()).expect("a request")).ok()?;
    let text = answer.body_mut().read_to_string().ok()?;
    Some((answer.status().as_u16(), serde_json::from_str(&text).unwrap_or(Value::Null)))
}

/// What `orgd bootstrap` prints that makes a file with Ada, who owns Acme.
pub fn bootstrap(data: impl AsRef<Path>) -> Value {
    let data = data.as_ref().to_str().expect("a path of text");
    let output = run(&["bootstrap", "--data", data, "--email", "ada@example.com", "--organization", "Acme"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("one JSON object")
}

/// The key that was made with a file.
pub fn key_of(made: &Value) -> &str {
    made["api_key"].as_str().expect("a key")
}

/// All organizations of a key, however many pages they fill.
pub fn organizations(agent: &Agent, server: &Serving, key: &str) -> Vec<Value> {
    let mut all = Vec::new();
    let mut next = Some(format!("{}/api/organizations/?limit=1000", server.base));
    while let Some(url) = next {
        let (status, mut page) = ask(agent, "GET", &url, Some(key), &Value::Null).expect("an answer");
        assert_eq!(status, 200, "{page}");
        next = page["next"].as_str().map(str::to_owned);
        all.append(page["results"].as_array_mut().expect("rows"));
        assert!(next.is_some() || page["count"] == all.len(), "{} of {}", all.len(), page["count"]);
    }
    all
}

/// Their names.
pub fn organization_names(agent: &Agent, server: &Serving, key: &str) -> BTreeSet<String> {
    let rows = organizations(agent, server, key);
    rows.iter().map(|row| row["name"].as_str().expect("a name").to_owned()).collect()
}

/// Makes a data file of one below `tests/data/`, by its name there.
pub fn unpack(name: &str, into: &Path) {
    let packed = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/data/{name}.redb.gz"));
    let file = std::fs::File::open(packed).expect("the old file");
    let mut data = std::fs::File::create(into).expect("a file");
    std::io::copy(&mut flate2::read::GzDecoder::new(file), &mut data).expect("a whole file");
}

/// A client of its own.
pub fn agent() -> Agent {
    let config = Agent::config_builder().http_status_as_error(false).max_redirects(0);
    config.allow_non_standard_methods(true).build().new_agent()
}

/// A program that tests need and not every machine has; `.ci/run` puts it below target/tools, out of the package. Where it
/// is missing, that is said past the harness, which shows nothing of what passes; where all must run, it fails.
pub fn program(name: &str, package: &str) -> Option<PathBuf> {
    let tools = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/tools").join(package).join("usr/bin");
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).chain([tools]).map(|folder| folder.join(name));
    let found = found.into_iter().find(|program| program.is_file());
    let must = std::env::var_os("ORGD_TESTS_NEED_ALL").is_some();
    assert!(found.is_some() || !must, "{name} is missing, of the package {package}");
    if found.is_none() {
        let test = std::thread::current().name().unwrap_or("a test").to_owned();
        let _ = writeln!(std::io::stderr(), "NOT TESTED: {test} needs {name}, of Debian's package {package}");
    }
    found
}

/// Waits for what background tasks do.
#[track_caller]
pub fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let started = Instant::now();
    while !holds() {
        assert!(started.elapsed() < Duration::from_secs(300), "it never came true that {what}");
        std::thread::yield_now();
    }
}
