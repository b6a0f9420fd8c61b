//! What a data file remembers of the servers that made it: whether it is one of a development server, and whether its secrets
//! can be foretold. An ordinary server opens no such file to others.

use super::status::INSTANCE;
use crate::config::Mode;
use crate::error::Result;
use crate::store::{Tx, WriteTx};

const MARK: &str = "mark";
/// How many servers drew pinned identifiers on the file.
const PINNED_STARTS: &str = "pinned_starts";

/// A mark, the lesser first. Invariant: a file never gets a lesser one than it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mark {
    /// Made by `--dev`.
    Dev,
    /// Made with a pinned secret, pinned identifiers or a moved clock.
    Predictable,
}

impl Mark {
    fn name(self) -> &'static str {
        match self {
            Mark::Dev => "dev",
            Mark::Predictable => "predictable",
        }
    }
}

/// What kind of file it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileKind {
    /// Nobody is in it, and no mark.
    Empty,
    /// One with users and no mark.
    Ordinary,
    Marked(Mark),
}

/// The mark of the file.
pub fn of(tx: &Tx) -> Result<Option<Mark>> {
    let stored = tx.get(&INSTANCE, &MARK.to_owned())?;
    // What a newer program wrote there is no lesser mark.
    Ok(stored.map(|name| if name == Mark::Dev.name().as_bytes() { Mark::Dev } else { Mark::Predictable }))
}

/// Marks the file, unless its mark says as much.
pub fn put(tx: &WriteTx, mark: Mark) -> Result<()> {
    if of(tx)?.is_none_or(|known| known < mark) {
        tx.put(&INSTANCE, &MARK.to_owned(), &mark.name().as_bytes().to_vec())?;
    }
    Ok(())
}

/// Whether a server of this mode may have the file, and what it is marked as then.
///
/// # Errors
/// One sentence for the operator.
pub fn judge(
    kind: FileKind,
    mode: Option<Mode>,
    is_predictable: bool,
) -> std::result::Result<Option<Mark>, &'static str> {
    match (mode, kind) {
        (None, FileKind::Empty | FileKind::Ordinary | FileKind::Marked(Mark::Dev)) => Ok(None),
        (None, FileKind::Marked(Mark::Predictable)) => {
            Err("the data file was made with predictable secrets; it can only be served with --dev")
        }
        (Some(_), FileKind::Ordinary) => Err(
            "the data file is not a development file: it has users, and --dev did not make it. Start without --dev, or with \
             another file",
        ),
        (Some(_), FileKind::Empty | FileKind::Marked(_)) => {
            Ok(Some(if is_predictable { Mark::Predictable } else { Mark::Dev }))
        }
    }
}

/// How many servers drew pinned identifiers on the file before.
pub fn pinned_starts(tx: &Tx) -> Result<u64> {
    let stored = tx.get(&INSTANCE, &PINNED_STARTS.to_owned())?;
    let bytes = stored.and_then(|bytes| <[u8; 8]>::try_from(bytes).ok());
    Ok(bytes.map_or(0, u64::from_be_bytes))
}

/// Notes that one more does.
pub fn count_pinned_start(tx: &WriteTx) -> Result<()> {
    let starts = pinned_starts(tx)? + 1;
    Ok(tx.put(&INSTANCE, &PINNED_STARTS.to_owned(), &starts.to_be_bytes().to_vec())?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_served_as_what_it_is() {
        use FileKind::{Empty, Marked, Ordinary};
        use Mark::{Dev, Predictable};
        for (kind, mode, is_predictable, wanted) in [
            (Empty, None, false, Ok(None)),
            (Ordinary, None, false, Ok(None)),
            (Marked(Dev), None, false, Ok(None)),
            (Marked(Predictable), None, false, Err("only be served with --dev")),
            (Empty, Some(Mode::Dev), false, Ok(Some(Dev))),
            (Empty, Some(Mode::Dev), true, Ok(Some(Predictable))),
            (Empty, Some(Mode::Test), true, Ok(Some(Predictable))),
            (Ordinary, Some(Mode::Dev), false, Err("not a development file")),
            (Ordinary, Some(Mode::Test), true, Err("not a development file")),
            (Marked(Dev), Some(Mode::Dev), false, Ok(Some(Dev))),
            (Marked(Dev), Some(Mode::Dev), true, Ok(Some(Predictable))),
            (Marked(Predictable), Some(Mode::Dev), false, Ok(Some(Dev))),
        ] {
            match (judge(kind, mode, is_predictable), wanted) {
                (Ok(found), Ok(wanted)) => assert_eq!(found, wanted, "{kind:?} {mode:?}"),
                (Err(found), Err(wanted)) => assert!(found.contains(wanted), "{found}"),
                (found, wanted) => panic!("{kind:?} {mode:?}: {found:?} instead of {wanted:?}"),
            }
        }
        assert!(Dev < Predictable);
    }
}
