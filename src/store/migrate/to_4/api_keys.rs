//! A key knows when its value was last replaced: no value was until now.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::store::StoreError;
use crate::store::table::Table;
use crate::store::tx::WriteTx;

/// By the hash of the value.
const OLD: Table<[u8; 32], Schema3> = Table::new("api_keys");
const NEW: Table<[u8; 32], Schema4> = Table::new("api_keys");

/// A key as schema 3 stores it; times are microseconds since 1970.
#[derive(Serialize, Deserialize)]
struct Schema3 {
    id: String,
    user: Uuid,
    label: String,
    mask: String,
    created_at: i64,
    last_used_at: Option<i64>,
    scopes: Vec<String>,
    scoped_projects: Vec<u32>,
    scoped_organizations: Vec<Uuid>,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Schema4 {
    id: String,
    user: Uuid,
    label: String,
    mask: String,
    created_at: i64,
    last_used_at: Option<i64>,
    scopes: Vec<String>,
    scoped_projects: Vec<u32>,
    scoped_organizations: Vec<Uuid>,
    last_rolled_at: Option<i64>,
}

pub(super) fn run(tx: &WriteTx) -> Result<(), StoreError> {
    for (hash, old) in tx.all(&OLD)? {
        let new = Schema4 {
            id: old.id,
            user: old.user,
            label: old.label,
            mask: old.mask,
            created_at: old.created_at,
            last_used_at: old.last_used_at,
            scopes: old.scopes,
            scoped_projects: old.scoped_projects,
            scoped_organizations: old.scoped_organizations,
            last_rolled_at: None,
        };
        tx.put(&NEW, &hash, &new)?;
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
    use crate::store::tx::Tx;

    #[test]
    fn a_key_keeps_all_that_it_had_and_was_never_rolled() {
        let database = Database::builder().create_with_backend(InMemoryBackend::new()).unwrap();
        let tables = [META.info(), OLD.info()];
        let names = || tables.iter().map(|table| table.name);
        bring_up_by(&database, None, &tables, 3, &[]).unwrap();
        let user = Uuid::from_u128(1);
        let (hash, id, text) = ([7; 32], "id".to_owned(), "phx_...abcd".to_owned());
        let old = Schema3 {
            id: id.clone(),
            user,
            label: "ci".into(),
            mask: text.clone(),
            created_at: 5,
            last_used_at: Some(6),
            scopes: vec!["*".into()],
            scoped_projects: vec![1, 300],
            scoped_organizations: vec![user],
        };
        change(&database, names(), |tx| tx.put(&OLD, &hash, &old)).unwrap();
        bring_up_by(&database, None, &tables, 4, &[Step { to: 4, ends: &[], run }]).unwrap();
        let tx = Tx::of(Arc::new(Snapshot::take(&database, names(), 0, Arc::default()).unwrap()));
        let new = Schema4 {
            id,
            user,
            label: "ci".into(),
            mask: text,
            created_at: 5,
            last_used_at: Some(6),
            scopes: vec!["*".into()],
            scoped_projects: vec![1, 300],
            scoped_organizations: vec![user],
            last_rolled_at: None,
        };
        assert_eq!(tx.all(&NEW).unwrap(), [(hash, new)]);
    }
}
