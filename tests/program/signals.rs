//! Signals: which ones end the process, when, and which don't.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use crate::support::{Serving, agent};

fn connect(server: &Serving) -> TcpStream {
    TcpStream::connect(server.base.trim_start_matches("http://")).expect("the server listens")
}

#[test]
fn signals_for_other_programs_are_ignored_and_said_to_be() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut server = Serving::start(&folder.path().join("orgd.redb"), &[]);
    let log = server.log.take().expect("a log").into_inner().expect("no panic");
    for name in ["HUP", "USR1", "USR2"] {
        server.signal(name);
        let line = log.iter().find(|line| line.contains(name)).expect("the process goes on");
        assert!(line.contains(&format!("SIG{name} is ignored")), "{line}");
        let answer = agent().get(format!("{}/_livez", server.base)).call().expect("an answer");
        assert_eq!(answer.status().as_u16(), 200, "{name}");
    }
    assert_eq!(server.stop(), Some(0));
}

/// A request under way whose body does not come.
fn busy(server: &Serving) -> TcpStream {
    let mut stream = connect(server);
    let head = "POST /api/login/ HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n";
    stream.write_all(head.as_bytes()).expect("the connection is open");
    let mut answer = [0; 25];
    stream.read_exact(&mut answer).expect("the server wants the body");
    stream
}

const FOR_EVER: [&str; 4] = ["--drain-seconds-max", "1000000", "--body-seconds-max", "1000000"];

#[test]
fn a_second_signal_ends_at_once_what_the_first_waits_for() {
    for (first, second) in [("TERM", "TERM"), ("INT", "INT"), ("TERM", "INT")] {
        let folder = tempfile::tempdir().expect("a folder");
        let mut server = Serving::start(&folder.path().join("orgd.redb"), &FOR_EVER);
        let log = server.log.take().expect("a log").into_inner().expect("no panic");
        let held = busy(&server);
        server.signal(first);
        assert!(log.iter().any(|line| line.contains("stopping")), "it stops");
        server.signal(second);
        assert_eq!(server.wait(), Some(1), "{first}, {second}");
        drop(held);
        let lines: Vec<String> = log.iter().collect();
        assert!(lines.iter().any(|line| line.contains("a second signal")), "{lines:?}");
    }
}

#[test]
fn connections_without_a_request_do_not_hold_up_the_end() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut more = FOR_EVER.to_vec();
    more.extend(["--header-seconds-max", "1000000"]);
    let server = Serving::start(&folder.path().join("orgd.redb"), &more);
    let hello = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
    let ping = b"\0\0\x08\x06\0\0\0\0\0abcdefgh".repeat(1000);
    let mut held = Vec::new();
    for bytes in [&b""[..], b"P", b"GET / HTTP/1.1\r\nHost: ", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", hello] {
        let mut stream = connect(&server);
        stream.write_all(bytes).expect("the connection is open");
        held.push(stream);
    }
    // Somebody who wants many pings answered and reads no answer, until the server can write no more.
    let mut deaf = connect(&server);
    deaf.write_all(hello).expect("the connection is open");
    deaf.set_write_timeout(Some(Duration::from_millis(500))).expect("a limit");
    while deaf.write_all(&ping).is_ok() {}
    // All of them have been accepted before somebody who comes later is answered.
    agent().get(format!("{}/_livez", server.base)).call().expect("an answer");
    assert_eq!(server.stop(), Some(0));
    drop((held, deaf));
}
