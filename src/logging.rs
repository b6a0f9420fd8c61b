//! The program's log on standard error. Lines are gathered and written together, so that a request
//! does not pay for a system call of its own.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{self, Write};
use std::net::IpAddr;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;
use std::time::Duration;

use tracing_subscriber::fmt::MakeWriter;
use uuid::fmt::Hyphenated;

use crate::clock::{Time, TimeText};
use crate::config::{LogFormat, LogLevel};
use crate::ids::UserId;
use crate::metrics::{self, Counter};

/// Lines wait this long at most.
const FLUSH_PERIOD: Duration = Duration::from_millis(50);
/// A writer that gets ahead of the disk by more than this has to wait for it.
const WAITING_BYTES_MAX: usize = 1024 * 1024;
/// Lines wait in pieces of this size, in bytes.
const PIECE_BYTES: usize = 32 * 1024;

/// Starts logging. What is returned writes the last lines out when it is dropped.
pub fn start(format: LogFormat, level: LogLevel) -> Flush {
    let lines = Arc::new(Lines::default());
    let level = match level {
        LogLevel::Error => tracing::Level::ERROR,
        LogLevel::Warn => tracing::Level::WARN,
        LogLevel::Info => tracing::Level::INFO,
        LogLevel::Debug => tracing::Level::DEBUG,
    };
    let builder = tracing_subscriber::fmt()
        .with_max_level(level)
        .with_ansi(false)
        .with_writer(LogWriter(Arc::clone(&lines)));
    // A second start, in a test say, keeps the first log.
    let _ = match format {
        LogFormat::Text => builder.try_init(),
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    };
    if level >= tracing::Level::INFO {
        let _ = ACCESS.set((Arc::clone(&lines), format));
    }
    let flusher = Arc::clone(&lines);
    let _ = thread::Builder::new().name("log".into()).spawn(move || flusher.flush_forever());
    Flush(lines)
}

/// One request, as the log tells of it.
pub struct Access<'a> {
    pub method: &'a str,
    /// The row's path.
    pub path: &'a str,
    pub status: u16,
    pub micros: u64,
    /// Where the request came from.
    pub address: IpAddr,
    /// The identifiers that it named, as `name=value` with spaces between, in plain letters.
    pub ids: &'a str,
    pub request_id: &'a str,
    pub user: Option<UserId>,
    pub now: Time,
}

/// What whoever watches for attacks wants to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SecurityEvent {
    /// A wrong password, at log-in or where the current one is required.
    PasswordWrong,
    /// A wrong code or recovery code.
    SecondStepWrong,
    /// Too many attempts: an account or an address has to wait.
    Locked,
    /// A key, session, link or set-up code that is not known.
    TokenRefused,
    /// A caller who is known, and may not.
    PermissionRefused,
}

impl SecurityEvent {
    fn counter(self) -> &'static Counter {
        match self {
            SecurityEvent::PasswordWrong => &metrics::PASSWORDS_WRONG,
            SecurityEvent::SecondStepWrong => &metrics::SECOND_STEPS_WRONG,
            SecurityEvent::Locked => &metrics::LOCKED_OUT,
            SecurityEvent::TokenRefused => &metrics::TOKENS_REFUSED,
            SecurityEvent::PermissionRefused => &metrics::PERMISSIONS_REFUSED,
        }
    }

    fn name(self) -> &'static str {
        match self {
            SecurityEvent::PasswordWrong => "password_wrong",
            SecurityEvent::SecondStepWrong => "second_step_wrong",
            SecurityEvent::Locked => "locked",
            SecurityEvent::TokenRefused => "token_refused",
            SecurityEvent::PermissionRefused => "permission_refused",
        }
    }
}

/// Writes a line of its own about an event that a log watcher can act on. `account` is an e-mail address
/// or a user's identifier.
pub fn security(event: SecurityEvent, address: IpAddr, account: &str) {
    event.counter().one();
    tracing::warn!(target: "security", event = event.name(), %address, account);
}

/// Where lines about requests go, if they are wanted.
static ACCESS: OnceLock<(Arc<Lines>, LogFormat)> = OnceLock::new();

/// The words of a line about a request.
struct LineForm {
    /// Before the time, method, path, status, milliseconds, their fraction, address, and identifier.
    before: [&'static str; 8],
    after: &'static str,
    /// Around the identifiers that the request named, where it did, between them, and in each.
    ids: [&'static str; 4],
    /// Around the user, where there is one.
    user: [&'static str; 2],
    end: &'static str,
}

const TEXT: LineForm = LineForm {
    before: [
        "",
        "  INFO access: method=\"",
        "\" path=\"",
        "\" status=",
        " ms=",
        ".",
        " address=",
        " request_id=\"",
    ],
    after: "\"",
    ids: [" ids=\"", " ", "=", "\""],
    user: [" user=", ""],
    end: "\n",
};

const JSON: LineForm = LineForm {
    before: [
        r#"{"timestamp":""#,
        r#"","level":"INFO","method":""#,
        r#"","path":""#,
        r#"","status":"#,
        r#","ms":"#,
        ".",
        r#","address":""#,
        r#"","request_id":""#,
    ],
    after: "\"",
    ids: [r#","ids":{""#, r#"",""#, r#"":""#, r#""}"#],
    user: [r#","user":""#, r#"""#],
    end: ",\"target\":\"access\"}\n",
};

/// Writes the line about a request, in the form of all others. Every request pays for it, so it is written
/// straight into the waiting lines. Nothing in it needs escaping: methods are tokens, and identifiers that
/// would need it are not taken over.
pub fn access(line: &Access<'_>) {
    let Some((lines, format)) = ACCESS.get() else { return };
    let (mut now, mut user) = (TimeText::default(), [0; Hyphenated::LENGTH]);
    let user: Option<&str> = line.user.map(|id| &*id.0.hyphenated().encode_lower(&mut user));
    let mut numbers = [itoa::Buffer::new(); 3];
    let [status, millis, micros] = &mut numbers;
    let form = match format {
        LogFormat::Text => &TEXT,
        LogFormat::Json => &JSON,
    };
    let before_address = [
        line.now.write(&mut now),
        line.method,
        line.path,
        status.format(line.status),
        millis.format(line.micros / 1000),
        // Three digits of it.
        &micros.format(1000 + line.micros % 1000)[1..],
    ];
    let mut text = String::with_capacity(512);
    for (words, value) in form.before.iter().zip(before_address) {
        text.push_str(words);
        text.push_str(value);
    }
    let [.., words_of_address, words_of_id] = form.before;
    text.push_str(words_of_address);
    push_address(&mut text, line.address);
    text.extend([words_of_id, line.request_id, form.after]);
    for (place, (name, value)) in line.ids.split(' ').filter_map(|pair| pair.split_once('=')).enumerate() {
        let words = if place == 0 { form.ids[0] } else { form.ids[1] };
        text.extend([words, name, form.ids[2], value]);
    }
    if !line.ids.is_empty() {
        text.push_str(form.ids[3]);
    }
    if let Some(user) = user {
        text.extend([form.user[0], user, form.user[1]]);
    }
    text.push_str(form.end);
    lines.push(text.as_bytes());
}

/// As `Display` writes it, which takes three times as long for those of the older kind.
fn push_address(text: &mut String, address: IpAddr) {
    match address {
        IpAddr::V4(address) => {
            for (place, octet) in address.octets().into_iter().enumerate() {
                text.push_str(if place == 0 { "" } else { "." });
                text.push_str(itoa::Buffer::new().format(octet));
            }
        }
        // Writing to memory does not fail.
        IpAddr::V6(address) => drop(write!(text, "{address}")),
    }
}

/// Places in the sources that warnings are counted of; there are not many more.
const PLACES_MAX: usize = 200;

/// How often each place in the sources has warned, or said that something failed.
static WARNED: Mutex<BTreeMap<String, u64>> = Mutex::new(BTreeMap::new());

/// How often each place in the sources has warned, or said that something failed, since the process began. Nothing of
/// what was said is among it.
pub fn warned() -> BTreeMap<String, u64> {
    WARNED.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

fn note_place(about: &tracing::Metadata<'_>) {
    let place = format!("{} {}:{}", about.level(), about.target(), about.line().unwrap_or_default());
    let mut warned = WARNED.lock().unwrap_or_else(PoisonError::into_inner);
    if warned.len() < PLACES_MAX || warned.contains_key(&place) {
        *warned.entry(place).or_default() += 1;
    }
}

/// Writes what waits when it is dropped.
pub struct Flush(Arc<Lines>);

impl Flush {
    /// Writes what waits now, for lines that somebody waits for.
    pub fn now(&self) {
        self.0.flush();
    }
}

impl Drop for Flush {
    fn drop(&mut self) {
        self.0.flush();
    }
}

/// Lines in pieces that never grow: what grows is copied.
#[derive(Default)]
struct Pieces {
    pieces: Vec<Vec<u8>>,
    bytes: usize,
}

impl Pieces {
    fn push(&mut self, line: &[u8]) {
        self.bytes += line.len();
        match self.pieces.last_mut().filter(|piece| piece.capacity() - piece.len() >= line.len()) {
            Some(piece) => piece.extend_from_slice(line),
            None => {
                let mut piece = Vec::with_capacity(PIECE_BYTES.max(line.len()));
                piece.extend_from_slice(line);
                self.pieces.push(piece);
            }
        }
    }
}

#[derive(Default)]
struct Lines {
    waiting: Mutex<Pieces>,
    some: Condvar,
    /// Held while lines are written, so that they stay in order.
    writing: Mutex<()>,
}

impl Lines {
    fn lock(&self) -> MutexGuard<'_, Pieces> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, line: &[u8]) {
        let mut waiting = self.lock();
        let was_empty = waiting.bytes == 0;
        waiting.push(line);
        let too_much = waiting.bytes > WAITING_BYTES_MAX;
        drop(waiting);
        if was_empty {
            self.some.notify_one();
        }
        if too_much {
            self.flush();
        }
    }

    fn flush(&self) {
        let _turn = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let Pieces { pieces, .. } = std::mem::take(&mut *self.lock());
        for piece in pieces {
            // Nobody is left to tell when standard error is closed.
            let _ = io::stderr().write_all(&piece);
        }
    }

    fn flush_forever(&self) {
        loop {
            let waiting = self.lock();
            drop(self.some.wait_while(waiting, |lines| lines.bytes == 0));
            thread::sleep(FLUSH_PERIOD);
            self.flush();
        }
    }
}

struct LogWriter(Arc<Lines>);

impl<'a> MakeWriter<'a> for LogWriter {
    type Writer = LineWriter<'a>;
    fn make_writer(&'a self) -> LineWriter<'a> {
        LineWriter(&self.0)
    }

    fn make_writer_for(&'a self, about: &tracing::Metadata<'_>) -> LineWriter<'a> {
        let counter = match *about.level() {
            tracing::Level::ERROR => Some(&metrics::ERRORS),
            tracing::Level::WARN if about.target() != "security" => Some(&metrics::WARNINGS),
            _ => None,
        };
        if let Some(counter) = counter {
            counter.one();
            note_place(about);
        }
        self.make_writer()
    }
}

struct LineWriter<'a>(&'a Lines);

impl Write for LineWriter<'_> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.push(&one_line(line));
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What callers send may stand in a line, and must neither end it nor reach the terminal that shows it: control
/// letters before its end are written out.
fn one_line(line: &[u8]) -> Cow<'_, [u8]> {
    let (text, end) = line.split_at(line.len() - usize::from(line.ends_with(b"\n")));
    if !text.iter().any(u8::is_ascii_control) {
        return Cow::Borrowed(line);
    }
    let mut escaped = Vec::with_capacity(line.len() + 16);
    for byte in text {
        if byte.is_ascii_control() {
            escaped.extend(byte.escape_ascii());
        } else {
            escaped.push(*byte);
        }
    }
    escaped.extend_from_slice(end);
    Cow::Owned(escaped)
}

#[cfg(test)]
mod tests {
    use super::one_line;

    #[test]
    fn nothing_in_a_line_ends_it() {
        for (line, written) in [
            ("plain é\n", "plain é\n"),
            ("plain", "plain"),
            ("", ""),
            ("\n", "\n"),
            ("a\nWARN security: event=\"x\"\n", "a\\nWARN security: event=\"x\"\n"),
            ("a\r\n\n", "a\\r\\n\n"),
            ("\u{1b}[2J\t\u{7f}\0\n", "\\x1b[2J\\t\\x7f\\x00\n"),
        ] {
            assert_eq!(String::from_utf8_lossy(&one_line(line.as_bytes())), written, "{line:?}");
        }
    }
}
