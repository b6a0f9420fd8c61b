//! What packages and containers use: manual pages, completions, the health check, sockets of systemd, upgrades.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use crate::support::{Serving, agent, orgd, run, unpack};

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn every_command_has_its_manual_page() {
    let folder = tempfile::tempdir().expect("a folder");
    let output = run(&["man", "--dir", &folder.path().join("man1").display().to_string()]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let read = |name: &str| std::fs::read_to_string(folder.path().join("man1").join(name)).expect("a page");
    let help = text(&run(&["--help"]).stdout);
    let (_, commands) = help.split_once("Commands:").expect("commands");
    let commands: BTreeSet<&str> = commands
        .lines()
        .take_while(|line| !line.starts_with("Options:"))
        .filter_map(|line| line.strip_prefix("  ")?.split(' ').next().filter(|name| !name.is_empty()))
        .filter(|name| *name != "help")
        .collect();
    assert!(commands.contains("serve") && commands.len() > 8, "{commands:?}");
    for command in commands {
        let page = read(&format!("orgd-{command}.1"));
        assert!(page.contains(".TH ") && page.contains(command), "{command}");
    }
    let page = read("orgd-serve.1");
    assert!(page.contains("tls\\-cert") && page.contains("ORGD_TLS_CERT"), "{page}");
}

#[test]
fn shells_complete_commands_and_flags() {
    for (shell, wanted) in [("bash", "--tls-cert"), ("zsh", "--tls-cert"), ("fish", "-l tls-cert")] {
        let output = run(&["completions", shell]);
        assert!(output.status.success() && text(&output.stdout).contains(wanted), "{shell}");
    }
    assert!(!run(&["completions", "cmd"]).status.success());
}

#[test]
fn the_health_check_says_by_its_exit_code_whether_the_server_is_ready() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = Serving::start(&folder.path().join("orgd.redb"), &[]);
    let health = |url: &str| run(&["health", url]);
    assert!(health(&server.base).status.success());
    let place = server.base.trim_start_matches("http://").to_owned();
    // As in a container, which gives the same settings to the check as to the server.
    let port = place.rsplit_once(':').expect("a port").1;
    for listen in [place.clone(), format!("0.0.0.0:{port}"), format!("localhost:{port}")] {
        let output = orgd(&["health"]).env("ORGD_LISTEN", &listen).output().expect("the program runs");
        assert!(output.status.success(), "{listen}: {}", text(&output.stderr));
    }
    let base = server.base.clone();
    assert_eq!(server.stop(), Some(0));
    let output = health(&base);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("does not answer"), "{}", text(&output.stderr));
    assert!(text(&health("127.0.0.1:1").stderr).contains("an address is wanted"));
}

#[test]
fn a_socket_of_systemd_is_served_instead_of_one_of_the_settings() {
    // Passes a listening socket on, as systemd does.
    const PASS_ON: &str = "import os, socket, sys
listener = socket.socket()
listener.bind(('127.0.0.1', 0))
listener.listen()
os.dup2(listener.fileno(), 3)
os.set_inheritable(3, True)
os.environ.update(LISTEN_FDS='1', LISTEN_PID=str(os.getpid()))
os.execv(sys.argv[1], sys.argv[1:])";
    let folder = tempfile::tempdir().expect("a folder");
    let mut command = Command::new("python3");
    command.args(["-c", PASS_ON, env!("CARGO_BIN_EXE_orgd"), "serve", "--listen", "192.0.2.1:1", "--data"]);
    let server = Serving::of(command.arg(folder.path().join("orgd.redb")));
    let answer = agent().get(format!("{}/_livez", server.base)).call().expect("an answer");
    assert_eq!(answer.status().as_u16(), 200);
    assert_eq!(server.stop(), Some(0));
}

#[test]
fn an_upgrade_says_first_what_it_will_do_and_then_does_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("orgd.redb");
    let shown = file.display().to_string();
    unpack("schema-2", &file);
    let before = std::fs::read(&file).expect("the file");
    let output = run(&["upgrade", "--check", &shown]);
    let said = text(&output.stdout);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let copy = format!("{shown}.schema-2");
    for part in [
        "schema 2 and is brought to schema 6",
        "schema 3: ",
        "schema 4: ",
        "schema 5: ",
        "schema 6: ",
        &copy,
        "done in memory",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    assert!(std::fs::read(&file).expect("the file") == before && !Path::new(&copy).exists());

    // A start does the same and says so.
    let again = folder.path().join("again.redb");
    unpack("schema-2", &again);
    let server = Serving::start(&again, &[]);
    let lines = server.said.join("\n");
    assert!(
        lines.contains("schema 2 and is brought to schema 6") && lines.contains("again.redb.schema-2"),
        "{lines}"
    );
    assert!(lines.contains("has schema 6 now"), "{lines}");
    drop(server);

    let output = run(&["upgrade", &shown]);
    assert!(output.status.success() && text(&output.stdout).contains("done"), "{}", text(&output.stderr));
    let said = text(&run(&["upgrade", "--check", &copy]).stdout);
    assert!(said.contains("schema 2 and is brought to schema 6"), "{said}");
    let said = text(&run(&["upgrade", "--check", &shown]).stdout);
    assert!(said.contains("nothing is to be done"), "{said}");
    let refused = run(&["upgrade", "--check", &folder.path().join("none").display().to_string()]);
    assert!(text(&refused.stderr).contains("there is no data file"));
}
