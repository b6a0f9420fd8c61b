//! What can't be undone is done when its name was typed, or with `--yes`.

use std::io::{self, Write};

use super::{Failure, Given, Screen, text};

/// Asks, where somebody can answer.
///
/// # Errors
/// Nobody can be asked, or the answer is another one.
pub(super) fn confirm(given: &Given, name: &str, screen: &Screen) -> Result<(), Failure> {
    let Some(what) = given.verb.asks.filter(|_| !given.yes) else { return Ok(()) };
    if !screen.can_ask {
        return Err(Failure::usage(format!("nothing was done: this {what}, and nobody can be asked"))
            .advise("--yes does it without asking"));
    }
    let shown = text::line(name);
    let asked =
        write!(io::stderr(), "This {what}. Type {shown} to go on: ").and_then(|()| io::stderr().flush());
    asked.map_err(|cause| cause.to_string())?;
    let mut typed = String::new();
    io::stdin().read_line(&mut typed).map_err(|cause| cause.to_string())?;
    if typed.trim_end_matches(['\r', '\n']) == shown { Ok(()) } else { Err("nothing was done".into()) }
}
