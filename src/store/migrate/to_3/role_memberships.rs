//! A role membership holds its organization, from which its row in the index of users follows.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::store::StoreError;
use crate::store::table::Table;
use crate::store::tx::WriteTx;

/// By role and time.
const OLD: Table<(Uuid, Uuid), Schema2> = Table::new("role_memberships");
const NEW: Table<(Uuid, Uuid), Schema3> = Table::new("role_memberships");
/// By organization, user and role.
const BY_USER: Table<(Uuid, Uuid, Uuid), Uuid> = Table::new("role_memberships_by_user");

/// A role membership as schema 2 stores it; times are microseconds since 1970.
#[derive(Serialize, Deserialize)]
struct Schema2 {
    user: Uuid,
    joined_at: i64,
    updated_at: i64,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Schema3 {
    organization: Uuid,
    user: Uuid,
    joined_at: i64,
    updated_at: i64,
}

pub(super) fn run(tx: &WriteTx) -> Result<(), StoreError> {
    let by_user = tx.all(&BY_USER)?.into_iter();
    let homes: HashMap<(Uuid, Uuid), Uuid> =
        by_user.map(|((organization, _, role), id)| ((role, id), organization)).collect();
    for (key, old) in tx.all(&OLD)? {
        let Schema2 { user, joined_at, updated_at } = old;
        // One that no user leads to could be neither shown nor removed.
        let Some(organization) = homes.get(&key).copied() else {
            tx.delete(&OLD, &key)?;
            continue;
        };
        tx.put(&NEW, &key, &Schema3 { organization, user, joined_at, updated_at })?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use redb::Database;
    use redb::backends::InMemoryBackend;

    use super::*;
    use crate::store::migrate::{META, Step, bring_up_by, change};
    use crate::store::snapshot::Snapshot;
    use crate::store::tx::{COUNTS, Tx};

    #[test]
    fn a_role_membership_takes_its_organization_from_the_index() {
        let [organization, user, role, one, lost] = [1, 2, 3, 4, 5].map(Uuid::from_u128);
        let database = Database::builder().create_with_backend(InMemoryBackend::new()).unwrap();
        let tables = [META.info(), COUNTS.info(), OLD.info(), BY_USER.info()];
        let names = || tables.iter().map(|table| table.name);
        bring_up_by(&database, None, &tables, 2, &[]).unwrap();
        change(&database, names(), |tx| {
            for id in [one, lost] {
                tx.put(&OLD, &(role, id), &Schema2 { user, joined_at: 7, updated_at: 8 })?;
            }
            tx.put(&BY_USER, &(organization, user, role), &one)
        })
        .unwrap();
        bring_up_by(&database, None, &tables, 3, &[Step { to: 3, ends: &[], run }]).unwrap();
        let tx = Tx::of(Arc::new(Snapshot::take(&database, names(), 0, Arc::default()).unwrap()));
        let moved = Schema3 { organization, user, joined_at: 7, updated_at: 8 };
        assert_eq!(tx.all(&NEW).unwrap(), [((role, one), moved)]);
    }
}
