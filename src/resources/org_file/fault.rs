//! What is wrong with a file, and where.

use std::collections::HashMap;
use std::fmt;

use super::yaml::{Node, Tree};
use crate::error::{Error, invalid};

/// Where something stands in one of the files that were given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    pub file: u16,
    /// From 1 on; 0 for what was not read from a text.
    pub line: u32,
    pub column: u32,
}

impl Position {
    /// Of what was not read from a text.
    pub const NOWHERE: Position = Position { file: 0, line: 0, column: 0 };
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// What it is about, such as `organizations[0].name`; empty for a file as a whole.
    pub path: String,
    pub at: Position,
    pub text: String,
}

impl Fault {
    /// About a place of the text.
    pub fn at(at: Position, text: String) -> Fault {
        Fault { path: String::new(), at, text }
    }

    /// The same as an error of a request.
    pub fn error(self) -> Error {
        match self.path.is_empty() {
            true => crate::error::invalid_body("invalid_input", self.text),
            false => invalid(self.path, "invalid_input", self.text),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.path.is_empty() {
            write!(out, "{}: ", self.path)?;
        }
        out.write_str(&self.text)?;
        if self.at.line > 0 {
            write!(out, " (line {}, column {})", self.at.line, self.at.column)?;
        }
        Ok(())
    }
}

/// Where everything stands, by its path.
#[derive(Clone, Debug, Default)]
pub struct Places(HashMap<String, Position>);

impl Places {
    /// Those of a tree.
    pub fn of(root: &Node) -> Places {
        let mut places = Places::default();
        places.walk(String::new(), root);
        places
    }

    fn walk(&mut self, path: String, node: &Node) {
        match &node.tree {
            Tree::Plain(_) => {}
            Tree::List(items) => {
                for (place, item) in items.iter().enumerate() {
                    self.walk(format!("{path}[{place}]"), item);
                }
            }
            Tree::Object(pairs) => {
                for (name, item) in pairs {
                    self.walk(below(&path, &name.text), item);
                }
            }
        }
        self.0.insert(path, node.at);
    }

    /// Where this stands or, where it does not, what it would stand in.
    pub fn find(&self, path: &str) -> Option<Position> {
        let mut path = path;
        loop {
            if let Some(at) = self.0.get(path) {
                return Some(*at).filter(|at| at.line > 0);
            }
            path = &path[..path.rfind(['.', '['])?];
        }
    }
}

/// The path of something in an object.
pub(super) fn below(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}
