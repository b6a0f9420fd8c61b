//! Invites hold a token, which they get when the file is opened, and are not found by their ids any more.

use super::super::super::StoreError;
use super::super::super::tx::WriteTx;

/// The organization of each invite: gone.
pub(super) const BY_ID: &str = "invites_by_id";
const INVITES: &str = "invites";
/// What stands for no value in an optional field.
const NONE: u8 = 0;

pub(super) fn run(tx: &WriteTx) -> Result<(), StoreError> {
    for (key, mut invite) in tx.raw_rows(INVITES)? {
        // The new field is the last one.
        invite.push(NONE);
        tx.stage(INVITES, key, Some(invite));
    }
    for (key, _) in tx.raw_rows(BY_ID)? {
        tx.stage(BY_ID, key, None);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use redb::Database;
    use redb::backends::InMemoryBackend;
    use serde::{Deserialize, Serialize};

    use super::super::super::{META, Step, bring_up_by, change};
    use super::*;
    use crate::store::Table;
    use crate::store::snapshot::Snapshot;
    use crate::store::tx::{COUNTS, Tx};

    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    struct Schema2 {
        target_email: String,
        first_name: String,
        level: u8,
        message: Option<String>,
        emailing_attempt_made: bool,
        created_by: [u8; 16],
        created_at: i64,
        updated_at: i64,
    }

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Schema3 {
        old: Schema2,
        token: Option<([u8; 32], Vec<u8>)>,
    }

    #[test]
    fn invites_wait_for_tokens_and_their_ids_lead_nowhere() {
        const OLD: Table<u32, Schema2> = Table::new(INVITES);
        const NEW: Table<u32, Schema3> = Table::new(INVITES);
        const OLD_BY_ID: Table<u32, u32> = Table::new(BY_ID);
        let old = Schema2 {
            target_email: "a@example.com".into(),
            first_name: "A".into(),
            level: 15,
            message: Some("m".into()),
            emailing_attempt_made: true,
            created_by: [7; 16],
            created_at: 1_728_396_939_123_456,
            updated_at: -1,
        };
        let database = Database::builder().create_with_backend(InMemoryBackend::new()).unwrap();
        let tables = [META.info(), COUNTS.info(), OLD.info(), OLD_BY_ID.info()];
        let names = || tables.iter().map(|table| table.name);
        bring_up_by(&database, None, &tables, 2, &[]).unwrap();
        change(&database, names(), |tx| {
            tx.put(&OLD, &1, &old)?;
            tx.put(&OLD_BY_ID, &1, &1)
        })
        .unwrap();
        let steps = [Step { to: 3, ends: &[], run }];
        bring_up_by(&database, None, &tables, 3, &steps).unwrap();
        let snapshot = Snapshot::take(&database, names(), 0, std::sync::Arc::default()).unwrap();
        let tx = Tx::of(std::sync::Arc::new(snapshot));
        assert_eq!(tx.all(&NEW).unwrap(), [(1, Schema3 { old, token: None })]);
        assert_eq!(tx.all(&OLD_BY_ID).unwrap(), []);
    }
}
