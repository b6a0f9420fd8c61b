//! The activity log holds no webhook: that it changed is all that is said of it.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use super::super::super::StoreError;
use super::super::super::codec::{Json, decode, encode};
use super::super::super::tx::WriteTx;
use crate::clock::Time;

const ENTRIES: &str = "activity";
const SECRET: &str = "slack_incoming_webhook";

/// An entry as schema 2 stores it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Entry {
    user: Uuid,
    activity: String,
    detail: Json,
    created_at: Time,
}

pub(super) fn run(tx: &WriteTx) -> Result<(), StoreError> {
    for (key, record) in tx.raw_rows(ENTRIES)? {
        let entry: Entry = decode(&record)?;
        if entry.detail.text().contains(SECRET) {
            let detail = Json::of(&without_secret(entry.detail.value()));
            tx.stage(ENTRIES, key, Some(encode(&Entry { detail, ..entry })?));
        }
    }
    Ok(())
}

fn without_secret(mut detail: Value) -> Value {
    let changes = detail.get_mut("changes").and_then(Value::as_array_mut).into_iter().flatten();
    for change in changes.filter(|change| change["field"] == SECRET) {
        change["before"] = Value::Null;
        change["after"] = Value::Null;
    }
    detail
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use redb::Database;
    use redb::backends::InMemoryBackend;
    use serde_json::json;

    use super::super::super::{META, Step, bring_up_by, change};
    use super::*;
    use crate::store::Table;
    use crate::store::snapshot::Snapshot;
    use crate::store::tx::{COUNTS, Tx};

    #[test]
    fn the_log_loses_the_webhooks_and_nothing_else() {
        const ROWS: Table<u32, Entry> = Table::new(ENTRIES);
        let entry = |field: &str, before: Value, after: Value| Entry {
            user: Uuid::from_u128(7),
            activity: "updated".into(),
            detail: Json::of(&json!({
                "changes": [
                    {"type": "Team", "action": "changed", "field": field, "before": before, "after": after},
                    {"type": "Team", "action": "changed", "field": "name", "before": "a", "after": "b"},
                ],
                "name": "slack_incoming_webhook",
            })),
            created_at: Time(-1),
        };
        let other = entry("app_urls", json!([SECRET]), json!(["u"]));
        let whole = Entry { detail: Json::of(&json!({"changes": null, "name": SECRET})), ..other.clone() };
        let database = Database::builder().create_with_backend(InMemoryBackend::new()).unwrap();
        let tables = [META.info(), COUNTS.info(), ROWS.info()];
        let names = || tables.iter().map(|table| table.name);
        bring_up_by(&database, None, &tables, 2, &[]).unwrap();
        change(&database, names(), |tx| {
            tx.put(&ROWS, &1, &entry(SECRET, json!("https://old"), json!("https://new")))?;
            tx.put(&ROWS, &2, &other)?;
            tx.put(&ROWS, &3, &whole)
        })
        .unwrap();
        let steps = [Step { to: 3, ends: &[], run }];
        bring_up_by(&database, None, &tables, 3, &steps).unwrap();
        let snapshot = Snapshot::take(&database, names(), 0, Arc::default()).unwrap();
        let tx = Tx::of(Arc::new(snapshot));
        let hidden = entry(SECRET, Value::Null, Value::Null);
        assert_eq!(tx.all(&ROWS).unwrap(), [(1, hidden), (2, other), (3, whole)]);
    }
}
