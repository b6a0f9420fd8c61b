//! The program's log on standard error. Lines are gathered and written together, so that a request
//! does not pay for a system call of its own.

use std::io::{self, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use tracing_subscriber::fmt::MakeWriter;

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
    let flusher = Arc::clone(&lines);
    let _ = thread::Builder::new().name("log".into()).spawn(move || flusher.flush_forever());
    Flush(lines)
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
        let mut waiting = self.0.lock();
        let was_empty = waiting.is_empty();
        waiting.extend_from_slice(line);
        let too_much = waiting.len() > WAITING_BYTES_MAX;
        drop(waiting);
        if was_empty {
            self.0.some.notify_one();
        }
        if too_much {
            self.0.flush();
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
