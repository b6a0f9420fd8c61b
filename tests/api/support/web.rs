//! Other people's servers, on loopback: GitHub, GitLab, npm, and those who mean harm.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use rustls::{ServerConfig, ServerConnection, StreamOwned};

/// What a server answers at a path.
#[derive(Clone)]
pub enum Page {
    /// 200 with these bytes.
    Body(Vec<u8>),
    Status(u16),
    Redirect(String),
    /// These bytes instead of an HTTP answer, then the end of the connection.
    Raw(Vec<u8>),
    /// This head, then zeros for as long as somebody listens.
    Endless(String),
    /// The connection stays open and silent.
    Hang,
    /// A good head, then now and then a byte.
    Drip,
    /// The other page, once the latch is open.
    Held(Latch, Box<Page>),
}

/// Keeps answers back until a test has seen what it wants to see.
#[derive(Clone, Default)]
pub struct Latch(Arc<(Mutex<bool>, Condvar)>);

impl Latch {
    pub fn open(&self) {
        *self.0.0.lock().expect("no test panics here") = true;
        self.0.1.notify_all();
    }

    fn pass(&self) {
        let is_open = self.0.0.lock().expect("no test panics here");
        drop(self.0.1.wait_while(is_open, |is_open| !*is_open).expect("no test panics here"));
    }
}

/// One request, as the server saw it.
#[derive(Clone, Debug)]
pub struct Request {
    /// With its query.
    pub path: String,
    headers: Vec<(String, String)>,
}

impl Request {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

#[derive(Default)]
struct Shared {
    pages: Mutex<HashMap<String, Page>>,
    requests: Mutex<Vec<Request>>,
    arrived: Condvar,
    /// Where callers of the proxy wanted to go.
    targets: Mutex<Vec<String>>,
    tls: Option<Arc<ServerConfig>>,
    stopped: AtomicBool,
}

pub struct Web {
    pub address: SocketAddr,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Web {
    pub fn start() -> Web {
        Web::with(Shared::default())
    }

    /// Speaks TLS, and is a proxy as well that plays all the world itself.
    pub fn start_tls(tls: ServerConfig) -> Web {
        Web::with(Shared { tls: Some(Arc::new(tls)), ..Shared::default() })
    }

    fn with(shared: Shared) -> Web {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let address = listener.local_addr().expect("the socket has an address");
        let shared = Arc::new(shared);
        let thread = std::thread::spawn({
            let shared = Arc::clone(&shared);
            move || {
                for stream in listener.incoming().flatten() {
                    if shared.stopped.load(Ordering::Relaxed) {
                        return;
                    }
                    let shared = Arc::clone(&shared);
                    std::thread::spawn(move || drop(serve(&shared, stream)));
                }
            }
        });
        Web { address, shared, thread: Some(thread) }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Puts a page at a path with its query.
    pub fn put(&self, path: &str, page: Page) {
        self.shared.pages.lock().expect("no test panics here").insert(path.to_owned(), page);
    }

    /// All requests so far.
    pub fn requests(&self) -> Vec<Request> {
        self.shared.requests.lock().expect("no test panics here").clone()
    }

    /// Waits until there were so many requests.
    pub fn wait_for(&self, count: usize) {
        let requests = self.shared.requests.lock().expect("no test panics here");
        drop(
            self.shared
                .arrived
                .wait_while(requests, |requests| requests.len() < count)
                .expect("no test panics here"),
        );
    }

    /// The hosts that callers of the proxy wanted to connect to.
    pub fn targets(&self) -> Vec<String> {
        self.shared.targets.lock().expect("no test panics here").clone()
    }

    pub fn paths(&self) -> Vec<String> {
        self.requests().into_iter().map(|request| request.path).collect()
    }
}

impl Drop for Web {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::Relaxed);
        drop(TcpStream::connect(self.address));
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

fn serve(shared: &Shared, mut stream: TcpStream) -> std::io::Result<()> {
    let Some(tls) = &shared.tls else { return serve_one(shared, stream) };
    const HANDSHAKE: u8 = 0x16;
    let mut first = [0];
    stream.peek(&mut first)?;
    if first[0] != HANDSHAKE {
        let target = read_head(&mut BufReader::new(&mut stream))?.path;
        shared.targets.lock().expect("no test panics here").push(target);
        write!(stream, "HTTP/1.1 200 Connected\r\n\r\n")?;
    }
    let connection = ServerConnection::new(Arc::clone(tls)).map_err(std::io::Error::other)?;
    let mut stream = StreamOwned::new(connection, stream);
    let served = serve_one(shared, &mut stream);
    stream.conn.send_close_notify();
    stream.flush()?;
    served
}

fn serve_one(shared: &Shared, mut stream: impl Read + Write + Waits) -> std::io::Result<()> {
    let request = read_head(&mut BufReader::new(&mut stream))?;
    let page = shared.pages.lock().expect("no test panics here").get(&request.path).cloned();
    shared.requests.lock().expect("no test panics here").push(request);
    shared.arrived.notify_all();
    answer(page.unwrap_or(Page::Status(404)), stream)
}

/// Reads a request's head.
fn read_head(lines: &mut impl BufRead) -> std::io::Result<Request> {
    let mut first = String::new();
    lines.read_line(&mut first)?;
    let path = first.split(' ').nth(1).unwrap_or_default().to_owned();
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        lines.read_line(&mut line)?;
        match line.trim_end().split_once(':') {
            Some((name, value)) => headers.push((name.to_lowercase(), value.trim().to_owned())),
            None => return Ok(Request { path, headers }),
        }
    }
}

/// Answers with the page, for as long as somebody listens.
fn answer(page: Page, mut stream: impl Read + Write + Waits) -> std::io::Result<()> {
    match page {
        Page::Body(bytes) => {
            write!(
                stream,
                "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
                bytes.len()
            )?;
            stream.write_all(&bytes)
        }
        Page::Status(status) => {
            write!(stream, "HTTP/1.1 {status} So\r\nconnection: close\r\ncontent-length: 2\r\n\r\n{{}}")
        }
        Page::Redirect(to) => {
            write!(
                stream,
                "HTTP/1.1 302 Found\r\nconnection: close\r\nlocation: {to}\r\ncontent-length: 0\r\n\r\n"
            )
        }
        Page::Raw(bytes) => stream.write_all(&bytes),
        Page::Endless(head) => {
            stream.write_all(head.as_bytes())?;
            loop {
                stream.write_all(&[0; 64 * 1024])?;
            }
        }
        Page::Held(latch, page) => {
            latch.pass();
            answer(*page, stream)
        }
        Page::Hang => stream.read(&mut [0]).map(drop),
        Page::Drip => {
            write!(stream, "HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n")?;
            stream.wait_at_most(Duration::from_millis(100))?;
            loop {
                stream.write_all(b"P")?;
                stream.flush()?;
                // The pause between two bytes, unless the caller hangs up.
                if let Ok(0) = stream.read(&mut [0]) {
                    return Ok(());
                }
            }
        }
    }
}

/// A stream whose reads can be given a limit.
trait Waits {
    fn wait_at_most(&self, time: Duration) -> std::io::Result<()>;
}

impl Waits for TcpStream {
    fn wait_at_most(&self, time: Duration) -> std::io::Result<()> {
        self.set_read_timeout(Some(time))
    }
}

impl Waits for &mut StreamOwned<ServerConnection, TcpStream> {
    fn wait_at_most(&self, time: Duration) -> std::io::Result<()> {
        self.sock.wait_at_most(time)
    }
}
