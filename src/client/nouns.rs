//! Every command of the client, as data.

mod columns;
mod kinds;
mod list;

pub use columns::Column;
pub(super) use columns::LEVELS;
pub use kinds::{Id, Named};
pub(super) use kinds::{ORGANIZATION, PROJECT};
pub use list::NOUNS;

use crate::api::Method;

/// A kind of thing, and what can be done with it.
pub struct Noun {
    pub name: &'static str,
    pub about: &'static str,
    pub verbs: &'static [Verb],
}

/// A command.
pub struct Verb {
    /// Empty where the noun alone is the command.
    pub name: &'static str,
    pub about: &'static str,
    pub does: Does,
    pub takes: &'static [Take],
    pub shows: Shows,
    /// What it does that can't be undone; it asks before that.
    pub asks: Option<&'static str>,
    /// Whether further fields can be given, with -F and --input.
    pub takes_fields: bool,
    /// As it is typed; a test runs it.
    pub example: &'static str,
}

/// What a command does.
#[derive(Clone, Copy)]
pub enum Does {
    /// One request, with this path; its parameters are what the command takes, and where it is about an organization or a
    /// project, `--org` and `--project`.
    Request(Method, &'static str),
    /// Any request.
    Api,
    Login,
    Logout,
}

/// What a command shows.
#[derive(Clone, Copy)]
pub enum Shows {
    /// A list, as a table.
    List(&'static [Column]),
    /// One object, a field in each line.
    One(&'static [Column]),
    /// A sentence of the answer, and a list in it.
    Sentence { text: &'static str, list: &'static str, columns: &'static [Column] },
    /// Nothing: this was done.
    Done(&'static str),
}

/// A value that a command takes.
pub struct Take {
    /// The flag without its dashes, or the name of the value where it stands by its place.
    pub name: &'static str,
    pub help: &'static str,
    pub kind: Kind,
    pub part: Part,
    pub is_flag: bool,
    pub is_required: bool,
    /// Whether it is the current organization or project where none is given.
    pub or_current: bool,
}

/// What a value is.
#[derive(Clone, Copy)]
pub enum Kind {
    Text,
    /// `member`, `admin` or `owner`.
    Level,
    /// Texts with commas between.
    Words,
    /// A time, or how long ago: `2d`.
    Since,
    /// A switch: there or not.
    Switch,
    /// The name of something that is there already.
    Object(&'static Named),
}

/// What of the request a value becomes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Part {
    Path(&'static str),
    Query(&'static str),
    Body(&'static str),
    /// Of none: the command reads it.
    Own,
}

impl Take {
    const fn new(name: &'static str, kind: Kind, part: Part, help: &'static str) -> Take {
        Take { name, help, kind, part, is_flag: false, is_required: true, or_current: false }
    }

    const fn flag(self) -> Take {
        Take { is_flag: true, is_required: false, ..self }
    }

    const fn or_current(self) -> Take {
        Take { is_required: false, or_current: true, ..self }
    }

    const fn required(self) -> Take {
        Take { is_required: true, ..self }
    }
}

impl Verb {
    const fn new(
        name: &'static str,
        about: &'static str,
        does: Does,
        shows: Shows,
        example: &'static str,
    ) -> Verb {
        Verb { name, about, does, takes: &[], shows, asks: None, takes_fields: false, example }
    }

    const fn takes(self, takes: &'static [Take]) -> Verb {
        Verb { takes, ..self }
    }

    const fn asks(self, what: &'static str) -> Verb {
        Verb { asks: Some(what), ..self }
    }

    const fn takes_fields(self) -> Verb {
        Verb { takes_fields: true, ..self }
    }

    /// Whether it shows a list, of which `--limit` bounds how much.
    pub fn is_list(&self) -> bool {
        matches!(self.shows, Shows::List(_))
    }

    /// Whether it is about one organization, which `--org` names.
    pub fn is_in_organization(&self) -> bool {
        let needs = |path: &str| path.contains("{organization_id}");
        let named = self.takes.iter().any(|take| match take.kind {
            Kind::Object(named) => needs(named.list) || named.list.contains("{project_id}"),
            _ => false,
        });
        named || self.path().is_some_and(|path| needs(path) || path.contains("{project_id}"))
    }

    /// Whether it is about one project, which `--project` names.
    pub fn is_in_project(&self) -> bool {
        self.path().is_some_and(|path| path.contains("{project_id}"))
    }

    /// The path of its request.
    pub fn path(&self) -> Option<&'static str> {
        match self.does {
            Does::Request(_, path) => Some(path),
            _ => None,
        }
    }
}
