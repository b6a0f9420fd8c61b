//! An HTTP server that notes what it is sent and answers as the test says.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::Value;

/// One request.
#[derive(Clone)]
pub struct Received {
    /// Method and path.
    pub line: String,
    pub head: String,
    pub body: Vec<u8>,
    pub status: u16,
}

impl Received {
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("JSON")
    }
}

/// As a status: no answer, and the connection stays open.
pub const SILENCE: u16 = 1;

/// One answer.
#[derive(Clone, Debug)]
pub struct Reply {
    pub status: u16,
    /// Lines of the head, each with its end.
    pub head: String,
    pub body: String,
    /// The size that the head gives, where it is another than the body's.
    pub length: Option<usize>,
}

/// With this status and body.
pub fn reply(status: u16, body: &str) -> Reply {
    Reply { status, head: String::new(), body: body.to_owned(), length: None }
}

impl Reply {
    /// With a header.
    pub fn header(mut self, name: &str, value: &str) -> Reply {
        self.head += &format!("{name}: {value}\r\n");
        self
    }

    /// With a head that gives another size: a body that breaks off, or the answer to HEAD.
    pub fn of_length(mut self, length: usize) -> Reply {
        self.length = Some(length);
        self
    }
}

#[derive(Default)]
struct State {
    /// What to answer next; 200 when there is nothing left.
    answers: VecDeque<Reply>,
    /// Larger bodies are answered 413.
    bytes_max: Option<usize>,
    /// At larger bodies the connection is reset, before they are read.
    reset_beyond: Option<usize>,
    received: Vec<Received>,
    silent: Vec<TcpStream>,
}

pub struct Receiver {
    pub address: SocketAddr,
    state: Arc<Mutex<State>>,
}

impl Receiver {
    /// Answers these first, then 200 for ever. With a status of 0 it hangs up instead, with `SILENCE` it says
    /// nothing.
    pub fn answering(answers: &[(u16, &'static str)]) -> Receiver {
        Receiver::replying(answers.iter().map(|(status, body)| reply(*status, body)))
    }

    /// The same with whole replies.
    pub fn replying(answers: impl IntoIterator<Item = Reply>) -> Receiver {
        Receiver::on(TcpListener::bind("127.0.0.1:0").expect("a port is free"), answers)
    }

    /// Answers 413 to bodies beyond this size, and 200 else.
    pub fn with_limit(bytes_max: usize) -> Receiver {
        let receiver = Receiver::replying([]);
        lock(&receiver.state).bytes_max = Some(bytes_max);
        receiver
    }

    /// Resets the connection of a body beyond this size, and answers 200 else.
    pub fn resetting_beyond(bytes_max: usize) -> Receiver {
        let receiver = Receiver::replying([]);
        lock(&receiver.state).reset_beyond = Some(bytes_max);
        receiver
    }

    /// One that is not there.
    pub fn absent(address: SocketAddr) -> Receiver {
        Receiver { address, state: Arc::default() }
    }

    /// The same on a port of the test's choice.
    pub fn on(listener: TcpListener, answers: impl IntoIterator<Item = Reply>) -> Receiver {
        let address = listener.local_addr().expect("the socket has an address");
        let state =
            Arc::new(Mutex::new(State { answers: answers.into_iter().collect(), ..State::default() }));
        let shared = Arc::clone(&state);
        // Ends with the process: it waits for connections as long as the test may open one.
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let _ = answer(stream, &shared);
            }
        });
        Receiver { address, state }
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// All requests so far.
    pub fn received(&self) -> Vec<Received> {
        lock(&self.state).received.clone()
    }

    /// The events of all requests that were accepted.
    pub fn events(&self) -> Vec<Value> {
        let accepted = self.received().into_iter().filter(|request| request.status == 200);
        let events = accepted.map(|request| request.json()["batch"].as_array().expect("a batch").clone());
        events.flatten().collect()
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

fn answer(mut stream: TcpStream, state: &Mutex<State>) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head)? == 0 {
            return Ok(());
        }
    }
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().ok())?
    });
    let line = head.lines().next().unwrap_or_default().trim_end_matches(" HTTP/1.1").to_owned();
    if lock(state).reset_beyond.is_some_and(|max| length.is_some_and(|length| length > max)) {
        lock(state).received.push(Received { line, head, body: Vec::new(), status: 0 });
        // What was sent and is not read makes the close a reset.
        return Ok(());
    }
    let mut body = vec![0; length.unwrap_or(0)];
    reader.read_exact(&mut body)?;
    let Reply { status, head: lines, body: text, length } = {
        let mut state = lock(state);
        let is_too_large = state.bytes_max.is_some_and(|max| body.len() > max);
        let other = || if is_too_large { reply(413, "") } else { reply(200, "{\"status\": 1}") };
        let next = state.answers.pop_front().unwrap_or_else(other);
        state.received.push(Received { line, head, body, status: next.status });
        next
    };
    if status == SILENCE {
        lock(state).silent.push(stream);
        return Ok(());
    }
    if status == 0 {
        return Ok(());
    }
    let length = length.unwrap_or(text.len());
    write!(
        stream,
        "HTTP/1.1 {status} X\r\nConnection: close\r\n{lines}Content-Length: {length}\r\n\r\n{text}"
    )
}
