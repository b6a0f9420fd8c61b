//! What opening a file with this program will do to it.

use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::{ABOUT, SCHEMA, STEPS, Step, bring_up, identify};
use crate::store::file::DataFile;
use crate::store::schema::Schema;
use crate::store::table::AnyTable;
use crate::store::{Storage, StoreError};

/// A file and the schemas that it will pass.
#[derive(Clone, Debug)]
pub struct Plan {
    pub found: u32,
    pub target: u32,
    /// The schemas to come, with what each changes.
    pub steps: Vec<(u32, &'static str)>,
    /// Where the file as it is will be kept.
    pub copy: PathBuf,
    pub bytes: u64,
    /// How long it took to do all of it without writing anything.
    pub took: Duration,
}

impl Plan {
    pub(super) fn of(path: &Path, found: u32, target: u32, due: &[&Step]) -> Plan {
        Plan {
            found,
            target,
            steps: ABOUT.iter().filter(|(to, _)| due.iter().any(|step| step.to == *to)).copied().collect(),
            copy: copy_of(path, found),
            bytes: path.metadata().map_or(0, |about| about.len()),
            took: Duration::ZERO,
        }
    }

    /// What will be done, a sentence in each line.
    pub fn sentences(&self) -> Vec<String> {
        let Plan { found, target, .. } = self;
        if self.steps.is_empty() {
            return vec![format!(
                "the data file has schema {found}, which this orgd writes: nothing is to be done"
            )];
        }
        let mut lines = vec![format!("the data file has schema {found} and is brought to schema {target}")];
        lines.extend(self.steps.iter().map(|(to, about)| format!("schema {to}: {about}")));
        let mib = self.bytes.div_ceil(1024 * 1024);
        lines.push(format!("the file as it is will be kept as {} ({mib} MiB)", self.copy.display()));
        lines
    }
}

/// Where a file of this schema is kept when it is brought to another one.
pub(super) fn copy_of(path: &Path, schema: u32) -> PathBuf {
    let mut copy = path.as_os_str().to_owned();
    copy.push(format!(".schema-{schema}"));
    copy.into()
}

/// What lies beside a file from before it was brought to a schema that this program does not know.
pub(super) fn way_back(path: Option<&Path>, target: u32) -> String {
    let copies = path.into_iter().flat_map(|path| (1..=target).rev().map(|schema| copy_of(path, schema)));
    match copies.into_iter().find(|copy| copy.exists()) {
        Some(copy) => {
            format!(
                ", or the copy from before its migration, without what was written since: {}",
                copy.display()
            )
        }
        None => String::new(),
    }
}

/// Says what opening the file will do, and does it in memory to know that it works and how long it takes.
///
/// # Errors
/// One sentence for the operator: the file can't be opened, is none of ours, is newer, or a step fails.
pub fn plan(path: &Path, cache_bytes: usize, tables: Vec<&'static dyn AnyTable>) -> Result<Plan, StoreError> {
    let schema = Schema::new(tables);
    let made = RefCell::new(None);
    let place = Storage::Untouched(path.to_owned());
    let file = DataFile::open(place, cache_bytes, |database, _| {
        let (found, _) = identify(database)?;
        let began = Instant::now();
        bring_up(database, None, &schema.tables).map_err(|cause| StoreError {
            sentence: cause.sentence + &way_back(Some(path), SCHEMA),
            ..cause
        })?;
        let due: Vec<&Step> = STEPS.iter().filter(|step| step.to > found).collect();
        *made.borrow_mut() = Some(Plan { took: began.elapsed(), ..Plan::of(path, found, SCHEMA, &due) });
        Ok(())
    })?;
    drop(file);
    made.into_inner().ok_or_else(|| StoreError::record("the data file could not be looked at".into()))
}
