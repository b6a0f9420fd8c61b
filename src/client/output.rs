//! What is written where: results to standard output, as a table, as lines or as JSON; the rest to standard error.

use std::io::{self, IsTerminal};

use serde_json::Value;

use super::nouns::Column;
use super::{Failure, table, text};
use crate::standard_output;

/// Width of a terminal that does not say how wide it is.
const COLUMNS: usize = 80;

/// Standard output, and who reads it.
pub struct Screen {
    /// The width of the terminal; `None` for a program.
    columns: Option<usize>,
    has_colour: bool,
    /// Whether somebody can answer a question.
    pub can_ask: bool,
}

impl Screen {
    /// What this process writes to.
    pub fn here() -> Screen {
        let out = io::stdout();
        let of_terminal = || rustix::termios::tcgetwinsize(&out).ok().map(|size| usize::from(size.ws_col));
        let columns = out.is_terminal().then(|| of_terminal().filter(|width| *width > 0).unwrap_or(COLUMNS));
        let is_set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let is_dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
        Screen {
            columns,
            has_colour: columns.is_some() && !is_set("NO_COLOR") && !is_dumb,
            can_ask: io::stdin().is_terminal() && io::stderr().is_terminal(),
        }
    }

    /// Shows these columns of a list.
    ///
    /// # Errors
    /// They can't be written.
    pub(super) fn table(&self, columns: &[Column], items: &[Value]) -> Result<(), Failure> {
        let is_for_people = self.columns.is_some();
        let row = |item| columns.iter().map(|column| column.of(item, is_for_people)).collect();
        let titles: Vec<&str> = columns.iter().map(|column| column.title).collect();
        self.rows(&titles, &items.iter().map(row).collect::<Vec<Vec<String>>>())
    }

    /// Shows these columns of one thing, a line each.
    ///
    /// # Errors
    /// They can't be written.
    pub(super) fn object(&self, columns: &[Column], object: &Value) -> Result<(), Failure> {
        let is_for_people = self.columns.is_some();
        let field = |column: &Column| (column.title, column.of(object, is_for_people));
        self.fields(&columns.iter().map(field).collect::<Vec<_>>())
    }

    fn rows(&self, titles: &[&str], rows: &[Vec<String>]) -> Result<(), Failure> {
        self.write(&match self.columns {
            Some(_) if rows.is_empty() => String::new(),
            Some(columns) => table::fitted(titles, rows, columns, self.has_colour),
            None => table::plain(rows),
        })
    }

    fn fields(&self, fields: &[(&str, String)]) -> Result<(), Failure> {
        if self.columns.is_none() {
            let rows: Vec<Vec<String>> =
                fields.iter().map(|(name, value)| vec![(*name).to_owned(), value.clone()]).collect();
            return self.write(&table::plain(&rows));
        }
        let widest = fields.iter().map(|(name, _)| text::width(name)).max().unwrap_or(0) + 2;
        let shown = fields
            .iter()
            .map(|(name, value)| format!("{}{}\n", text::padded(&label(name), widest), text::line(value)));
        self.write(&shown.collect::<String>())
    }

    /// Shows JSON, on several lines to people.
    ///
    /// # Errors
    /// It can't be written.
    pub(super) fn json(&self, value: &Value) -> Result<(), Failure> {
        let shown = match self.columns {
            Some(_) => serde_json::to_string_pretty(value),
            None => serde_json::to_string(value),
        };
        let shown = shown.map_err(|cause| cause.to_string())?;
        self.write(&format!("{}\n", text::json(&shown)))
    }

    /// Shows a text of a server.
    ///
    /// # Errors
    /// It can't be written.
    pub(super) fn text(&self, shown: &str) -> Result<(), Failure> {
        let end = if shown.ends_with('\n') { "" } else { "\n" };
        self.write(&format!("{}{end}", text::lines(shown)))
    }

    /// Says something to people: nothing to programs.
    pub(super) fn note(&self, said: &str) {
        if self.columns.is_some() {
            say(said);
        }
    }

    fn write(&self, shown: &str) -> Result<(), Failure> {
        let written = standard_output::print(format_args!("{shown}"));
        written.map_err(|cause| format!("the result can't be written: {cause}").into())
    }
}

/// `LAST USED` as the beginning of a line: `Last used:`.
fn label(title: &str) -> String {
    let mut letters = title.chars();
    let first = letters.next().map(String::from).unwrap_or_default();
    let is_word = title.contains(' ') || title.len() > 3;
    let rest = if is_word { letters.as_str().to_lowercase() } else { letters.as_str().to_owned() };
    format!("{first}{rest}:")
}

/// Writes a line to standard error, where somebody may have closed it.
pub(super) fn say(said: &str) {
    standard_output::complain(&text::lines(said));
}

/// Says why a command did not do what was wanted.
pub fn complain(failure: &Failure) {
    say(&format!("orgd: {}", failure.sentence));
    if let Some(advice) = &failure.advice {
        say(&format!("      {advice}"));
    }
}
