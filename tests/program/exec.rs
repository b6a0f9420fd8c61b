//! `orgd exec`: a command with a server of its own, and what is left of both.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Output, Stdio};

use serde_json::Value;

use crate::support::{agent, ask, orgd, run, until, with_open_files};

fn exec(flags: &[&str], command: &[&str]) -> Command {
    let mut words = vec!["exec"];
    words.extend(flags);
    words.push("--");
    words.extend(command);
    orgd(&words)
}

fn output(flags: &[&str], script: &str) -> Output {
    exec(flags, &["sh", "-c", script]).stdin(Stdio::null()).output().expect("the program runs")
}

fn said(flags: &[&str], script: &str) -> String {
    let output = output(flags, script);
    assert!(output.status.success(), "{output:?}");
    assert!(
        output.stderr.is_empty(),
        "it prints nothing of its own: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).expect("text")
}

#[test]
fn a_command_has_a_server_and_the_variables_that_clients_read() {
    let script = "curl -s -H \"Authorization: Bearer $ORGD_KEY\" $ORGD_URL/api/projects/$ORGD_PROJECT_ID/";
    let flags = ["--clock", "2026-01-01T00:00:00Z"];
    let project: Value = serde_json::from_str(&said(&flags, script)).expect("nothing but the answer");
    assert_eq!(project["id"], 1);
    let script = "echo $ORGD_URL $POSTHOG_HOST $POSTHOG_CLI_HOST; echo $ORGD_KEY $POSTHOG_CLI_API_KEY; \
                  echo $ORGD_PROJECT_ID $POSTHOG_CLI_PROJECT_ID; echo $ORGD_PROJECT_TOKEN";
    let said = said(&flags, script);
    let lines: Vec<Vec<&str>> = said.lines().map(|line| line.split(' ').collect()).collect();
    for line in &lines {
        assert!(line.iter().all(|value| *value == line[0]), "{said}");
    }
    assert!(lines[0][0].starts_with("http://127.0.0.1:") && lines[1][0].starts_with("phx_"), "{said}");
    assert_eq!(
        (lines[2][0], &lines[3][0][..4], project["api_token"].as_str()),
        ("1", "phc_", Some(lines[3][0]))
    );
}

#[test]
fn further_variables_hold_what_is_wanted_and_nothing_is_guessed() {
    let flags = [
        "--env",
        "POSTHOG_API_KEY=key",
        "--env",
        "A=url",
        "--env=B=token",
        "--env",
        "C=project",
        "--env",
        "D=org",
    ];
    let found = said(
        &flags,
        "echo $POSTHOG_API_KEY $ORGD_KEY $A $ORGD_URL $B $ORGD_PROJECT_TOKEN $C $ORGD_PROJECT_ID $D",
    );
    let words: Vec<&str> = found.split_whitespace().collect();
    for pair in words[..8].chunks(2) {
        assert_eq!(pair[0], pair[1], "{found}");
    }
    assert_eq!(words[8].len(), 36, "{found}");
    assert_eq!(said(&[], "echo \"[$POSTHOG_API_KEY]\""), "[]\n");
    for wrong in ["POSTHOG_API_KEY", "A=password", "=key", "A B=key", "1A=key"] {
        let output = output(&["--env", wrong], "true");
        assert_eq!(output.status.code(), Some(2), "{wrong}");
    }
}

#[test]
fn the_exit_code_is_the_commands() {
    for (script, code) in
        [("true", 0), ("exit 7", 7), ("exit 255", 255), ("kill -TERM $$", 143), ("kill -KILL $$", 137)]
    {
        let output = output(&[], script);
        assert_eq!(output.status.code(), Some(code), "{script}: {output:?}");
        assert!(output.stdout.is_empty() && output.stderr.is_empty(), "{script}: {output:?}");
    }
    for (command, code) in [("/nothing/there", 127), ("/", 126)] {
        let output = exec(&[], &[command]).output().expect("the program runs");
        assert_eq!(output.status.code(), Some(code), "{output:?}");
        assert!(String::from_utf8_lossy(&output.stderr).contains(command), "{output:?}");
    }
    assert_eq!(run(&["exec"]).status.code(), Some(2), "a command is wanted");
}

#[test]
fn the_server_has_more_open_files_than_the_command() {
    let script = "ulimit -S -n; curl -s -o /dev/null -w '%{http_code}\n' -H 'Content-Type: application/json' -d '{}' \
                  \"$ORGD_URL/_orgd/forks#[1-300]\" | sort | uniq -c";
    let mut command = with_open_files(&exec(&[], &["sh", "-c", script]), "-S -n 256");
    let output = command.stdin(Stdio::null()).output().expect("the program runs");
    let words: Vec<&str> = str::from_utf8(&output.stdout).expect("text").split_whitespace().collect();
    assert_eq!(words, ["256", "300", "201"], "{output:?}");
}

#[test]
fn what_follows_the_dashes_is_the_commands_own() {
    let words = ["printf", "%s,", "--test", "--config", "x", "--help", "--listen=1", "--", "--version"];
    let output = exec(&[], &words).output().expect("the program runs");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "--test,--config,x,--help,--listen=1,--,--version,");
    let standard_input = exec(&[], &["cat"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
    let mut child = standard_input.expect("the program starts");
    std::io::Write::write_all(&mut child.stdin.take().expect("a pipe"), b"typed").expect("it reads");
    assert_eq!(child.wait_with_output().expect("it ends").stdout, b"typed");
}

/// A command that prints its process number and the address of its server, and goes on until it is ended.
struct Running {
    child: Child,
    out: BufReader<ChildStdout>,
    pid: u32,
    url: String,
    /// What the command reads from; it would end otherwise.
    _held: ChildStdin,
}

impl Running {
    fn start(script: &str) -> Running {
        let script = format!("{script}\necho $$ $ORGD_URL\nread line");
        let mut command = exec(&[], &["bash", "-c", &script]);
        let spawned = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let mut child = spawned.expect("the program starts");
        let held = child.stdin.take().expect("a pipe");
        let mut out = BufReader::new(child.stdout.take().expect("a pipe"));
        let mut line = String::new();
        out.read_line(&mut line).expect("text");
        let (pid, url) = line.trim().split_once(' ').unwrap_or_else(|| panic!("{line:?}"));
        let (pid, url) = (pid.parse().expect("a number"), url.to_owned());
        Running { child, out, pid, url, _held: held }
    }

    fn signal(&self, name: &str, pid: u32) {
        let status = Command::new("kill").args([&format!("-{name}"), &pid.to_string()]).status();
        assert!(status.expect("kill runs").success());
    }

    /// Neither the command nor the server is there any more.
    fn is_gone(&self) {
        until("the command has ended", || !is_alive(self.pid));
        assert!(ask(&agent(), "GET", &format!("{}/_livez", self.url), None, &Value::Null).is_none());
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Whether the process is there, and no corpse.
fn is_alive(pid: u32) -> bool {
    let status =
        fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("stat")).unwrap_or_default();
    status.rsplit(") ").next().is_some_and(|rest| !rest.is_empty() && !rest.starts_with(['Z', 'X']))
}

#[test]
fn signals_are_passed_on() {
    for name in ["TERM", "INT", "HUP", "USR1", "USR2", "QUIT"] {
        let mut running = Running::start(&format!("trap 'echo heard; exit 9' {name}"));
        assert!(is_alive(running.pid));
        running.signal(name, running.child.id());
        assert_eq!(running.child.wait().expect("it ends").code(), Some(9), "{name}");
        let mut rest = String::new();
        running.out.read_to_string(&mut rest).expect("text");
        assert_eq!(rest, "heard\n", "{name}: once");
        running.is_gone();
    }
}

#[test]
fn whatever_is_killed_nothing_is_left() {
    let mut running = Running::start("");
    running.signal("KILL", running.pid);
    assert_eq!(running.child.wait().expect("it ends").code(), Some(137));
    running.is_gone();
    // Deaf to what can be heard.
    let mut running = Running::start("trap '' TERM INT HUP");
    running.signal("KILL", running.child.id());
    assert_eq!(running.child.wait().expect("it ends").code(), None);
    running.is_gone();
}

#[test]
fn two_at_once_know_nothing_of_each_other_and_leave_no_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let script = "curl -s -H \"Authorization: Bearer $ORGD_KEY\" -H 'Content-Type: application/json' -d '{\"name\": \"A\"}' \
                  $ORGD_URL/api/organizations/@current/roles/ > /dev/null && curl -s -H \"Authorization: Bearer $ORGD_KEY\" \
                  $ORGD_URL/api/organizations/@current/roles/ | cut -c1-10";
    let start = || {
        let mut command = exec(&[], &["sh", "-c", script]);
        command.current_dir(folder.path()).stdout(Stdio::piped()).spawn().expect("the program starts")
    };
    let both = [start(), start()];
    for child in both {
        let output = child.wait_with_output().expect("it ends");
        assert_eq!(String::from_utf8_lossy(&output.stdout), "{\"count\":1\n");
    }
    assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 0);
}
