//! What a command prints. A reader who wants no more (`orgd check | head -1`) is no error; a full disk is.

use std::io::{self, ErrorKind, Write};

/// Writes now.
///
/// # Errors
/// Standard output cannot be written.
pub fn print(text: std::fmt::Arguments<'_>) -> io::Result<()> {
    let mut out = io::stdout().lock();
    match out.write_fmt(text).and_then(|()| out.flush()) {
        Err(cause) if cause.kind() == ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}

/// Writes a line to standard error, if anybody reads it.
pub fn complain(line: &str) {
    // There is nowhere left to say that this failed.
    let _ = writeln!(io::stderr(), "{line}");
}
