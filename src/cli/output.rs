//! Printing, as commands do it.

use std::fmt::Arguments;
use std::process;

use orgd::standard_output;
pub(crate) use orgd::standard_output::complain;

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
    if let Err(cause) = standard_output::print(text) {
        complain(&format!("orgd: standard output cannot be written: {cause}"));
        process::exit(1);
    }
}
