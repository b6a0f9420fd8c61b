//! Which server may have which data file, and what the file remembers of it.

use crate::admin::demo;
use crate::clock::Ids;
use crate::config::Config;
use crate::error::Result;
use crate::resources::file_mark::{self, FileKind, Mark};
use crate::resources::users;
use crate::store::{Store, Tx, WriteTx};

/// Where a server listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Serving {
    /// Whether only programs on this machine reach it.
    pub is_local: bool,
}

/// What the file will remember of the server.
#[derive(Clone, Copy, Default)]
pub(super) struct Gate {
    mark: Option<Mark>,
    /// The number of pinned identifiers, and how many servers drew such on the file before.
    pinned: Option<(u64, u64)>,
}

impl Gate {
    /// # Errors
    /// One sentence for the operator: such a server may not have the file.
    pub(super) fn of(store: &Store, config: &Config, serving: Serving) -> std::result::Result<Gate, String> {
        let read = store.read(|tx| Ok((kind_of(tx)?, file_mark::pinned_starts(tx)?)));
        let (kind, starts) = read.map_err(|cause| cause.to_string())?;
        let (mode, testing) = (config.mode(), &config.testing);
        // A copy in memory is nobody's data.
        let kind = if testing.in_memory && kind == FileKind::Ordinary { FileKind::Empty } else { kind };
        let mark = file_mark::judge(kind, mode, testing.is_predictable() || config.has_pinned_key())?;
        if mode.is_none() && kind == FileKind::Marked(Mark::Dev) {
            if !serving.is_local {
                return Err("the data file was made with --dev, for this machine only: without --dev as well, it can only be \
                            served on loopback"
                    .to_owned());
            }
            tracing::warn!(
                "the data file was made with --dev: the key and the password of its demo owner go on opening it"
            );
        }
        Ok(Gate { mark, pinned: testing.ids.map(|number| (number, starts)) })
    }

    pub(super) fn ids(self) -> Ids {
        self.pinned.map_or_else(Ids::default, |(number, start)| Ids::pinned(number, start))
    }

    /// Notes it in the file.
    pub(super) fn pass(self, tx: &WriteTx) -> Result<()> {
        if let Some(mark) = self.mark {
            file_mark::put(tx, mark)?;
        }
        if self.pinned.is_some() {
            file_mark::count_pinned_start(tx)?;
        }
        Ok(())
    }
}

fn kind_of(tx: &Tx) -> Result<FileKind> {
    Ok(match file_mark::of(tx)? {
        Some(mark) => FileKind::Marked(mark),
        None if users::none_yet(tx)? => FileKind::Empty,
        // What 0.1.0 made has no mark.
        None if demo::has_derived_key(tx)? => FileKind::Marked(Mark::Dev),
        None => FileKind::Ordinary,
    })
}
