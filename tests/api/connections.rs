//! Connections: whoever holds one without using it loses it, and no address holds all of them.
//!
//! Most tests wait for the server to close a connection, and end because it does.

use std::io::{Read, Write};
use std::net::TcpStream;

use orgd::config::Config;

use crate::support::Server;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
pub const SETTINGS: u8 = 4;
const PING: u8 = 6;
pub const HEADERS: u8 = 1;

fn connect(server: &Server) -> TcpStream {
    TcpStream::connect(server.address).expect("the server listens")
}

/// A frame of HTTP/2.
pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("a small frame").to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// Settings that let answers hold so many bytes before the client must read.
pub fn hello(window: u32) -> Vec<u8> {
    let initial_window = [&[0, 4][..], &window.to_be_bytes()].concat();
    [PREFACE, &frame(SETTINGS, 0, 0, &initial_window), &frame(SETTINGS, 1, 0, &[])].concat()
}

/// `GET` of a path, without a name that needs compression.
pub fn get(stream: u32, path: &str) -> Vec<u8> {
    let length = u8::try_from(path.len()).expect("a short path");
    let block = [&[0x82, 0x86, 0x04, length], path.as_bytes(), &[0x41, 1, b'x']].concat();
    frame(HEADERS, 0b101, stream, &block)
}

/// Reads until the server closes, and answers its pings.
fn read_to_the_end(mut stream: TcpStream) -> Vec<u8> {
    let (mut all, mut answered) = (Vec::new(), 0);
    let mut buffer = [0; 4096];
    while let Ok(read @ 1..) = stream.read(&mut buffer) {
        all.extend_from_slice(&buffer[..read]);
        while let Some(head) = all.get(answered..answered + 9) {
            let length = usize::from(head[1]) * 256 + usize::from(head[2]) + (usize::from(head[0]) << 16);
            let (kind, flags) = (head[3], head[4]);
            let Some(payload) = all.get(answered + 9..answered + 9 + length) else { break };
            if kind == PING && flags == 0 {
                let _ = stream.write_all(&frame(PING, 1, 0, payload));
            }
            answered += 9 + length;
        }
    }
    all
}

fn impatient(config: &mut Config) {
    config.header_seconds_max = 1;
}

#[test]
fn who_asks_for_nothing_is_cut_off_even_if_every_ping_is_answered() {
    let server = Server::with(impatient);
    for bytes in [
        // Nothing at all, half a version, half a head.
        &b""[..],
        b"P",
        b"PRI * HTTP/2.0\r\n",
        b"G",
        b"GET /_health HTTP/1.1\r\nHost: x\r\nX-Slow: ",
        PREFACE,
        &hello(65_535),
        // A head that goes on in a frame that never comes.
        &[hello(65_535), frame(HEADERS, 0, 1, &[0x82])].concat(),
    ] {
        let mut stream = connect(&server);
        stream.write_all(bytes).expect("the connection is open");
        read_to_the_end(stream);
    }
    // After an answer as well as before the first request.
    let mut stream = connect(&server);
    stream.write_all(b"GET /_livez HTTP/1.1\r\nHost: x\r\n\r\n").expect("the connection is open");
    let answer = read_to_the_end(stream);
    assert!(answer.starts_with(b"HTTP/1.1 200"), "{answer:?}");
    let mut stream = connect(&server);
    stream.write_all(&[hello(65_535), get(1, "/_livez")].concat()).expect("the connection is open");
    let answer = read_to_the_end(stream);
    assert!(answer.windows(13).any(|part| part == b"{\"http\":true}"), "{answer:?}");
}

#[test]
fn who_sends_pings_and_asks_for_nothing_is_cut_off() {
    let server = Server::with(impatient);
    let mut stream = connect(&server);
    stream.write_all(&hello(65_535)).expect("the connection is open");
    // Ends because the server closes.
    let mut buffer = [0; 4096];
    while stream.write_all(&frame(PING, 0, 0, b"12345678")).is_ok() {
        if !matches!(stream.read(&mut buffer), Ok(1..)) {
            break;
        }
    }
}

#[test]
fn who_never_reads_is_cut_off() {
    let server = Server::with(impatient);
    // Asks for large answers, or for pings to be answered, until nothing goes forward any more.
    let requests = b"GET /api/schema/?format=json HTTP/1.1\r\nHost: x\r\n\r\n".repeat(64);
    let pings = frame(PING, 0, 0, b"12345678").repeat(1024);
    for (first, more) in [(Vec::new(), requests), (hello(65_535), pings)] {
        let mut stream = connect(&server);
        stream.write_all(&first).expect("the connection is open");
        while stream.write_all(&more).is_ok() {}
    }
}

#[test]
fn who_takes_nothing_of_an_answer_is_cut_off() {
    let server = Server::with(impatient);
    let mut stream = connect(&server);
    // No byte of a body may be sent, and none ever will be.
    stream.write_all(&[hello(0), get(1, "/api/schema/")].concat()).expect("the connection is open");
    let answer = read_to_the_end(stream);
    assert!(!answer.windows(7).any(|part| part == b"openapi"), "the window was closed");
}

#[test]
fn a_large_answer_reaches_who_reads_it_slowly() {
    let server = Server::with(impatient);
    let whole = server.anyone().get("/api/schema/?format=json").body;
    let mut stream = connect(&server);
    let request = b"GET /api/schema/?format=json HTTP/1.1\r\nHost: x\r\n\r\n";
    // So many that they do not fit into what the system keeps for the connection.
    let count = 12_000_000 / whole.len();
    let mut writing = stream.try_clone().expect("a second handle");
    let writer = std::thread::spawn(move || writing.write_all(&request.repeat(count)));
    let (mut read, mut buffer) = (0, vec![0; 32 * 1024]);
    while read < count * whole.len() {
        // Something else takes its time in between.
        server.anyone().get("/_livez").json(200);
        match stream.read(&mut buffer).expect("the connection is open") {
            0 => panic!("it was cut off after {read} bytes"),
            bytes => read += bytes,
        }
    }
    writer.join().expect("no panic").expect("the connection is open");
}

#[test]
fn silent_connections_make_way_for_those_that_ask() {
    let server = Server::with(|config| {
        config.connections_max = 20;
        config.connections_per_address_max = Some(20);
        // Nobody waits so long.
        config.header_seconds_max = 100_000;
    });
    let silent: Vec<TcpStream> = [&b""[..], b"GET /_health", &hello(65_535)]
        .into_iter()
        .cycle()
        .take(60)
        .map(|bytes| {
            let mut stream = connect(&server);
            stream.write_all(bytes).expect("the connection is open");
            stream
        })
        .collect();
    for _ in 0..30 {
        let mut stream = connect(&server);
        stream.write_all(b"GET /_livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").expect("open");
        assert!(read_to_the_end(stream).starts_with(b"HTTP/1.1 200"));
    }
    drop(silent);
}

#[test]
fn requests_that_wait_for_their_callers_make_way_the_longest_waiting_first() {
    let server = Server::with(|config| {
        config.connections_max = 4;
        config.connections_per_address_max = Some(100);
        config.header_seconds_max = 100_000;
    });
    let head = |length| {
        format!(
            "POST /api/login/ HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n"
        )
    };
    let begun = || {
        let mut stream = connect(&server);
        stream.write_all(head(60_000).as_bytes()).expect("the connection is open");
        // The server asks for the body once its handler waits for it.
        let mut buffer = [0; 25];
        stream.read_exact(&mut buffer).expect("the connection is open");
        assert!(buffer.starts_with(b"HTTP/1.1 100"));
        stream
    };
    let mut waiting: Vec<TcpStream> = (0..4).map(|_| begun()).collect();
    // What comes drop by drop is no progress.
    waiting[0].write_all(b"{").expect("the connection is open");
    let mut stream = connect(&server);
    stream.write_all(b"GET /_livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").expect("open");
    assert!(read_to_the_end(stream).starts_with(b"HTTP/1.1 200"));
    let last = waiting.pop().expect("the newest");
    let first = waiting.remove(0);
    // Cut off, unless a slow machine has let the time for a body pass before.
    let answer = read_to_the_end(first);
    assert!(answer.is_empty() || answer.starts_with(b"HTTP/1.1 408"), "{}", String::from_utf8_lossy(&answer));
    let mut last = last;
    last.write_all(&[b' '; 60_000]).expect("the newest stays");
    assert!(read_to_the_end(last).starts_with(b"HTTP/1.1 4"));
}

#[test]
fn an_address_has_its_share_and_a_trusted_proxy_is_exempt() {
    let head = b"POST /api/login/ HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n";
    for (proxies, admitted) in [("false", false), ("127.0.0.0/8", true)] {
        let server = Server::with(|config| {
            config.connections_max = 100;
            config.connections_per_address_max = Some(3);
            config.trust_proxy = proxies.parse().expect("networks");
        });
        // Requests under way, whose bodies have not come yet.
        let mut busy: Vec<TcpStream> = (0..3).map(|_| connect(&server)).collect();
        for stream in &mut busy {
            let expect =
                [&head[..head.len() - 2], b"Connection: close\r\nExpect: 100-continue\r\n\r\n"].concat();
            stream.write_all(&expect).expect("the connection is open");
            // The server asks for the body once its handler waits for it.
            let mut buffer = [0; 25];
            stream.read_exact(&mut buffer).expect("the connection is open");
            assert!(buffer.starts_with(b"HTTP/1.1 100"));
        }
        let mut one_more = connect(&server);
        let _ = one_more.write_all(b"GET /_livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        let answer = read_to_the_end(one_more);
        assert_eq!(answer.starts_with(b"HTTP/1.1 200"), admitted, "{proxies}");
        assert_eq!(answer.is_empty(), !admitted, "{proxies}");
        // Nobody was cut off for it, and a place that is free again is given again.
        for mut stream in busy {
            stream.write_all(b"{}").expect("the connection is open");
            assert!(read_to_the_end(stream).starts_with(b"HTTP/1.1 400"));
        }
        server.anyone().get("/_livez").json(200);
    }
}

#[test]
fn a_request_names_one_host_in_plain_letters() {
    let server = Server::start();
    let ask = |lines: &str| {
        let mut stream = connect(&server);
        let lines = lines.replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n");
        stream.write_all(lines.as_bytes()).expect("the connection is open");
        String::from_utf8_lossy(&read_to_the_end(stream)).split(' ').nth(1).unwrap_or_default().to_owned()
    };
    for (lines, status) in [
        ("GET /_livez HTTP/1.1\r\nHost: a.example\r\n\r\n", "200"),
        ("GET /_livez HTTP/1.1\r\nHost: a.example:8010\r\n\r\n", "200"),
        ("GET /_livez HTTP/1.1\r\nHost: [::1]:8010\r\n\r\n", "200"),
        ("GET /_livez HTTP/1.1\r\nHost:\r\n\r\n", "200"),
        ("GET /_livez HTTP/1.0\r\n\r\n", "200"),
        ("GET http://a.example/_livez HTTP/1.1\r\nHost: a.example\r\n\r\n", "200"),
        ("GET http://a.example/_livez HTTP/1.1\r\nHost: b.example\r\n\r\n", "400"),
        ("GET /_livez HTTP/1.1\r\n\r\n", "400"),
        ("GET /_livez HTTP/1.1\r\nHost: a.example\r\nHost: a.example\r\n\r\n", "400"),
        ("GET /_livez HTTP/1.1\r\nHost: a.example\r\nHost: b.example\r\n\r\n", "400"),
        ("GET /_livez HTTP/1.1\r\nHost: a.example/x\r\n\r\n", "400"),
        ("GET /_livez HTTP/1.1\r\nHost: a b\r\n\r\n", "400"),
        ("GET /_livez HTTP/1.1\r\nHost: user@a.example\r\n\r\n", "400"),
        ("GET /_livez HTTP/1.1\r\nHost: a.example?x\r\n\r\n", "400"),
        ("GET /_livez HTTP/1.1\r\nHost: \u{e9}.example\r\n\r\n", "400"),
    ] {
        assert_eq!(ask(lines), status, "{lines:?}");
    }
}
