//! What a command prints. A reader who wants no more (`orgd check | head -1`) is no error; a full disk is.

use std::fmt::Arguments;
use std::io::{self, ErrorKind, Write};
use std::process;

/// Prints to standard output, like `print!`.
macro_rules! show {
    ($($text:tt)*) => { $crate::cli::output::print(format_args!($($text)*)) };
}

/// Prints a line to standard output, like `println!`.
macro_rules! say {
    ($($text:tt)*) => { $crate::cli::output::print(format_args!("{}\n", format_args!($($text)*))) };
}

/// Prints now, and ends the program where standard output cannot be written.
pub(super) fn print(text: Arguments<'_>) {
    let mut out = io::stdout().lock();
    let printed = out.write_fmt(text).and_then(|()| out.flush());
    if let Some(cause) = printed.err().filter(|cause| cause.kind() != ErrorKind::BrokenPipe) {
        complain(&format!("orgd: standard output cannot be written: {cause}"));
        process::exit(1);
    }
}

/// Prints a sentence to standard error, if anybody reads it.
pub(crate) fn complain(sentence: &str) {
    // There is nowhere left to say that this failed.
    let _ = writeln!(io::stderr(), "{sentence}");
}
