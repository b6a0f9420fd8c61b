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

#[derive(Default)]
struct State {
    /// What to answer next; 200 when there is nothing left.
    answers: VecDeque<(u16, &'static str)>,
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
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let address = listener.local_addr().expect("the socket has an address");
        let state =
            Arc::new(Mutex::new(State { answers: answers.iter().copied().collect(), ..State::default() }));
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
    let mut body = vec![0; length.unwrap_or(0)];
    reader.read_exact(&mut body)?;
    let line = head.lines().next().unwrap_or_default().trim_end_matches(" HTTP/1.1").to_owned();
    let (status, text) = {
        let mut state = lock(state);
        let (status, text) = state.answers.pop_front().unwrap_or((200, "{\"status\": 1}"));
        state.received.push(Received { line, head, body, status });
        (status, text)
    };
    if status == SILENCE {
        lock(state).silent.push(stream);
        return Ok(());
    }
    if status == 0 {
        return Ok(());
    }
    write!(stream, "HTTP/1.1 {status} X\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{text}", text.len())
}
