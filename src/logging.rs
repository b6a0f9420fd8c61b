//! The program's log on standard error. Lines are gathered and written together, so that a request
//! does not pay for a system call of its own.

use std::io::{self, Write};
use std::net::IpAddr;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;
use std::time::Duration;

use tracing_subscriber::fmt::MakeWriter;
use uuid::Uuid;
use uuid::fmt::Hyphenated;

use crate::clock::{Time, TimeText};
use crate::config::{LogFormat, LogLevel};

/// Lines wait this long at most.
const FLUSH_PERIOD: Duration = Duration::from_millis(50);
/// A writer that gets ahead of the disk by more than this has to wait for it.
const WAITING_BYTES_MAX: usize = 1024 * 1024;

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
        .with_writer(Writer(Arc::clone(&lines)));
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
pub struct Access<'a, N: Fn() -> Time> {
    pub method: &'a str,
    /// The row's path.
    pub path: &'a str,
    pub status: u16,
    pub micros: u128,
    pub request_id: &'a str,
    pub user: Option<Uuid>,
    pub now: N,
}

/// What whoever watches for attacks wants to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SecurityEvent {
    /// A wrong password, at log-in or where the current one is asked for.
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
    tracing::warn!(target: "security", event = event.name(), %address, ?account);
}

/// Where lines about requests go, if they are wanted.
static ACCESS: OnceLock<(Arc<Lines>, LogFormat)> = OnceLock::new();

/// The words of a line about a request.
struct Form {
    /// Before the time, method, path, status, milliseconds, their fraction, and identifier.
    before: [&'static str; 7],
    /// Around the user, where there is one.
    user: [&'static str; 2],
    end: &'static str,
}

const TEXT: Form = Form {
    before: ["", "  INFO access: method=\"", "\" path=\"", "\" status=", " ms=", ".", " request_id=\""],
    user: [" user=", ""],
    end: "\n",
};

const JSON: Form = Form {
    before: [
        r#"{"timestamp":""#,
        r#"","level":"INFO","method":""#,
        r#"","path":""#,
        r#"","status":"#,
        r#","ms":"#,
        ".",
        r#","request_id":""#,
    ],
    user: [r#","user":""#, r#"""#],
    end: ",\"target\":\"access\"}\n",
};

/// Writes the line about a request, in the form of all others. Every request pays for it, so it is written
/// straight into the waiting lines. Nothing in it needs escaping: methods are tokens, and identifiers that
/// would need it are not taken over.
pub fn access<N: Fn() -> Time>(line: &Access<'_, N>) {
    let Some((lines, format)) = ACCESS.get() else { return };
    let (mut now, mut user) = (TimeText::default(), [0; Hyphenated::LENGTH]);
    let user: Option<&str> = line.user.map(|id| &*id.hyphenated().encode_lower(&mut user));
    let mut numbers = [itoa::Buffer::new(); 3];
    let [status, millis, micros] = &mut numbers;
    let values = [
        (line.now)().write(&mut now),
        line.method,
        line.path,
        status.format(line.status),
        millis.format(line.micros / 1000),
        // Three digits of it.
        &micros.format(1000 + line.micros % 1000)[1..],
        line.request_id,
    ];
    let Form { before, user: around_user, end } = match format {
        LogFormat::Text => &TEXT,
        LogFormat::Json => &JSON,
    };
    let mut text = String::with_capacity(320);
    for (words, value) in before.iter().zip(values) {
        text.push_str(words);
        text.push_str(value);
    }
    text.push('"');
    if let Some(user) = user {
        text.push_str(around_user[0]);
        text.push_str(user);
        text.push_str(around_user[1]);
    }
    text.push_str(end);
    lines.push(text.as_bytes());
}

/// Writes what waits when it goes.
pub struct Flush(Arc<Lines>);

impl Drop for Flush {
    fn drop(&mut self) {
        self.0.flush();
    }
}

#[derive(Default)]
struct Lines {
    waiting: Mutex<Vec<u8>>,
    some: Condvar,
    /// Held while lines are written, so that they stay in order.
    writing: Mutex<()>,
}

impl Lines {
    fn lock(&self) -> MutexGuard<'_, Vec<u8>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, line: &[u8]) {
        let mut waiting = self.lock();
        let was_empty = waiting.is_empty();
        waiting.extend_from_slice(line);
        let too_much = waiting.len() > WAITING_BYTES_MAX;
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
        let lines = std::mem::take(&mut *self.lock());
        // Nobody is left to tell when standard error is closed.
        let _ = io::stderr().write_all(&lines);
    }

    fn flush_forever(&self) {
        loop {
            let waiting = self.lock();
            drop(self.some.wait_while(waiting, |lines| lines.is_empty()));
            thread::sleep(FLUSH_PERIOD);
            self.flush();
        }
    }
}

struct Writer(Arc<Lines>);

impl<'a> MakeWriter<'a> for Writer {
    type Writer = LineWriter<'a>;
    fn make_writer(&'a self) -> LineWriter<'a> {
        LineWriter(&self.0)
    }
}

struct LineWriter<'a>(&'a Lines);

impl Write for LineWriter<'_> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.push(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
