//! Requests as bytes, and how their connections end.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;

use crate::support::{Person, Server, Shows};

/// How a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Closed,
    Reset,
}

/// What came over a connection until its end.
pub(super) struct Received {
    pub(super) bytes: Vec<u8>,
    pub(super) end: End,
}

impl Received {
    pub(super) fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }

    /// The head, and what came of the body.
    pub(super) fn parts(&self) -> (String, Vec<u8>) {
        let place = self.bytes.windows(4).position(|part| part == b"\r\n\r\n").expect("a whole head");
        (String::from_utf8_lossy(&self.bytes[..place]).to_lowercase(), self.bytes[place + 4..].to_vec())
    }
}

/// A request of somebody who holds a key, or nothing.
pub(super) fn request(person: &Person, method: &str, path: &str, body: &str) -> String {
    let key = match &person.shows {
        Shows::Key(key) => format!("Authorization: Bearer {key}\r\n"),
        _ => String::new(),
    };
    let length = body.len();
    format!(
        "{method} {path} HTTP/1.1\r\nHost: {}\r\n{key}Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}",
        person.address
    )
}

pub(super) fn open(server: &Server, request: &str) -> TcpStream {
    let mut stream = TcpStream::connect(server.address).expect("the server listens");
    stream.write_all(request.as_bytes()).expect("the connection is open");
    stream
}

/// Reads until the server ends the connection.
pub(super) fn read(mut stream: TcpStream) -> Received {
    let (mut bytes, mut buffer) = (Vec::new(), [0; 4096]);
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => return Received { bytes, end: End::Closed },
            Ok(read) => bytes.extend_from_slice(&buffer[..read]),
            Err(cause) if cause.kind() == ErrorKind::ConnectionReset => {
                return Received { bytes, end: End::Reset };
            }
            Err(cause) => panic!("{cause}"),
        }
    }
}

pub(super) fn send(server: &Server, request: &str) -> Received {
    read(open(server, request))
}
