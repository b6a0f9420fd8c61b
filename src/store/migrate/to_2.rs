//! Schema 2: a membership stands once, beside its user; counts of one row are not stored.

use super::super::StoreError;
use super::super::tx::WriteTx;

/// By organization and user: gone.
pub(super) const MEMBERS: &str = "members";
/// By user and organization: held the level alone, and holds what `members` held.
const MEMBERS_BY_USER: &str = "members_by_user";
const COUNTS: &str = "counts";
/// One, as schema 1 wrote it.
const ONE: &[u8] = &[1, 1];

pub(super) fn run(tx: &WriteTx) -> Result<(), StoreError> {
    for (key, member) in tx.raw_rows(MEMBERS)? {
        let Some((organization, user)) = key.split_first_chunk::<16>() else {
            return Err(StoreError::record("a membership has a broken key".into()));
        };
        tx.stage(MEMBERS_BY_USER, [user, organization].concat(), Some(member));
        tx.stage(MEMBERS, key, None);
    }
    for (key, count) in tx.raw_rows(COUNTS)? {
        if count == ONE {
            tx.stage(COUNTS, key, None);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use redb::backends::InMemoryBackend;
    use redb::{Database, ReadableDatabase, ReadableTable};

    use super::super::super::snapshot::definition;
    use super::*;

    const ORGANIZATION: [u8; 16] = [1; 16];
    const USERS: [[u8; 16]; 2] = [[2; 16], [3; 16]];

    fn pairs(database: &Database, table: &str) -> Vec<(Vec<u8>, Vec<u8>)> {
        let table = database.begin_read().unwrap().open_table(definition(table)).unwrap();
        let rows = table.iter().unwrap().map(Result::unwrap);
        rows.map(|(key, value)| (key.value().to_vec(), value.value().to_vec())).collect()
    }

    #[test]
    fn memberships_move_beside_their_users_and_small_counts_go() {
        let database = Database::builder().create_with_backend(InMemoryBackend::new()).unwrap();
        let tables = [super::super::META.info(), crate::store::tx::COUNTS.info()];
        super::super::bring_up_by(&database, None, &tables, 1, &[]).unwrap();
        let transaction = database.begin_write().unwrap();
        for (place, user) in USERS.iter().enumerate() {
            let member = [1, 100 + u8::try_from(place).unwrap()];
            let (by_organization, by_user) = ([ORGANIZATION, *user].concat(), [*user, ORGANIZATION].concat());
            let rows = [(MEMBERS, by_organization, &member), (MEMBERS_BY_USER, by_user, &[1, 15])];
            for (table, key, value) in rows {
                let mut table = transaction.open_table(definition(table)).unwrap();
                table.insert(key.as_slice(), value.as_slice()).unwrap();
            }
        }
        {
            let mut counts = transaction.open_table(definition(COUNTS)).unwrap();
            counts.insert(b"one".as_slice(), [1, 1].as_slice()).unwrap();
            counts.insert(b"two".as_slice(), [1, 2].as_slice()).unwrap();
        }
        transaction.commit().unwrap();
        let tables = [tables.as_slice(), &[members_by_user()]].concat();
        super::super::bring_up_by(&database, None, &tables, 2, &super::super::STEPS[..1]).unwrap();
        let moved = |user: [u8; 16], member| ([user, ORGANIZATION].concat(), vec![1, member]);
        assert_eq!(pairs(&database, MEMBERS), []);
        assert_eq!(pairs(&database, MEMBERS_BY_USER), [moved(USERS[0], 100), moved(USERS[1], 101)]);
        assert_eq!(pairs(&database, COUNTS), [(b"two".to_vec(), vec![1, 2])]);
    }

    fn members_by_user() -> crate::store::TableInfo {
        crate::store::Table::<[u8; 32], u8>::new(MEMBERS_BY_USER).info()
    }
}
