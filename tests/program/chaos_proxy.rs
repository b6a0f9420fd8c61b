//! A way to a server that closes in the middle of what is on it.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// What is let through before the proxy closes.
#[derive(Clone, Copy, Debug)]
pub enum Passes {
    /// So many bytes of what clients send; all answers pass.
    Requests(usize),
    /// So many bytes of answers; all that clients send passes.
    Answers(usize),
}

#[derive(Default)]
struct State {
    passed: usize,
    is_stuck: bool,
    is_open: bool,
}

pub struct ChaosProxy {
    pub address: SocketAddr,
    state: Arc<(Mutex<State>, Condvar)>,
}

impl ChaosProxy {
    /// To the server at `target`, a host and port with or without `http://`.
    pub fn to(target: &str, passes: Passes) -> ChaosProxy {
        let target = target.trim_start_matches("http://").to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let address = listener.local_addr().expect("the socket has an address");
        let state = Arc::new((Mutex::default(), Condvar::new()));
        let shared = Arc::clone(&state);
        // Ends with the process: it waits for connections as long as the test may open one.
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let Ok(server) = TcpStream::connect(&target) else { continue };
                let (requests, answers) = match passes {
                    Passes::Requests(max) => (Some(max), None),
                    Passes::Answers(max) => (None, Some(max)),
                };
                let ways =
                    [(client.try_clone(), server.try_clone(), requests), (Ok(server), Ok(client), answers)];
                for (from, to, max) in ways {
                    let (Ok(from), Ok(to)) = (from, to) else { continue };
                    let state = Arc::clone(&shared);
                    std::thread::spawn(move || carry(from, to, max, &state));
                }
            }
        });
        ChaosProxy { address, state }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Whether something waits that is not let through.
    pub fn is_stuck(&self) -> bool {
        lock(&self.state.0).is_stuck
    }

    /// Cuts off the connections that are stuck, and lets everything through that comes later.
    pub fn open(&self) {
        lock(&self.state.0).is_open = true;
        self.state.1.notify_all();
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

fn carry(mut from: TcpStream, mut to: TcpStream, max: Option<usize>, state: &(Mutex<State>, Condvar)) {
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(read @ 1..) = from.read(&mut buffer) {
        if max.is_some_and(|max| !may_pass(state, read, max)) {
            let _ = from.shutdown(Shutdown::Both);
            break;
        }
        if to.write_all(&buffer[..read]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Write);
}

/// Waits at the closed proxy; false for what came before it was opened.
fn may_pass((state, opened): &(Mutex<State>, Condvar), bytes: usize, max: usize) -> bool {
    let mut state = lock(state);
    state.passed += bytes;
    if state.is_open || state.passed <= max {
        return true;
    }
    state.is_stuck = true;
    drop(opened.wait_while(state, |state| !state.is_open));
    false
}
