//! Invites name the projects that they give access to; none so far.

use super::super::super::StoreError;
use super::super::super::tx::WriteTx;

const INVITES: &str = "invites";
/// An empty list.
const NO_PROJECTS: u8 = 0;

pub(super) fn run(tx: &WriteTx) -> Result<(), StoreError> {
    for (key, mut invite) in tx.raw_rows(INVITES)? {
        // The new field is the last one.
        invite.push(NO_PROJECTS);
        tx.stage(INVITES, key, Some(invite));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use redb::Database;
    use redb::backends::InMemoryBackend;

    use super::super::super::{META, Step, bring_up_by, change};
    use super::*;
    use crate::store::Table;
    use crate::store::snapshot::Snapshot;
    use crate::store::tx::{COUNTS, Tx};

    #[test]
    fn invites_give_access_to_no_project_so_far() {
        const OLD: Table<u32, (String, Option<u8>)> = Table::new(INVITES);
        const NEW: Table<u32, ((String, Option<u8>), Vec<(u32, u8, bool)>)> = Table::new(INVITES);
        let old = ("a@example.com".to_owned(), Some(9));
        let database = Database::builder().create_with_backend(InMemoryBackend::new()).unwrap();
        let tables = [META.info(), COUNTS.info(), OLD.info()];
        let names = || tables.iter().map(|table| table.name);
        bring_up_by(&database, None, &tables, 3, &[]).unwrap();
        change(&database, names(), |tx| tx.put(&OLD, &1, &old)).unwrap();
        bring_up_by(&database, None, &tables, 4, &[Step { to: 4, ends: &[], run }]).unwrap();
        let tx = Tx::of(Arc::new(Snapshot::take(&database, names(), 0, Arc::default()).unwrap()));
        assert_eq!(tx.all(&NEW).unwrap(), [(1, (old, Vec::new()))]);
    }
}
