//! The activity log becomes the audit log: by time, with the project, the key, the address, the client and the request
//! of each entry. Of older entries only the project is known.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::store::table::{Table, by_all_but_uuid};
use crate::store::tx::WriteTx;
use crate::store::{Index, Json, StoreError};

pub(super) const OLD_NAME: &str = "activity";
pub(super) const OLD_BY_SCOPE_NAME: &str = "activity_by_scope";
/// The scope of projects, whose items are their numbers.
const TEAM: &str = "Team";

type OldKey = (Uuid, (String, String), Uuid);
/// By organization, scope and item, and time.
static OLD: Table<OldKey, Schema3> = Table::new(OLD_NAME).counted(by_all_but_uuid).indexed(&[&OLD_BY_SCOPE]);
static OLD_BY_SCOPE: Index<OldKey, Schema3, (Uuid, String, Uuid), String> =
    Index::new(OLD_BY_SCOPE_NAME, |(organization, (scope, item), id): &OldKey, _: &Schema3| {
        Some(((*organization, scope.clone(), *id), item.clone()))
    })
    .counted(by_all_but_uuid);

type NewKey = (Uuid, Uuid);
/// By organization and time.
static NEW: Table<NewKey, Schema4> =
    Table::new("audit").counted(by_all_but_uuid).indexed(&[&BY_PROJECT, &BY_SCOPE, &BY_ITEM]);
static BY_PROJECT: Index<NewKey, Schema4, (Uuid, u32, Uuid), ()> =
    Index::new("audit_by_project", |(organization, id): &NewKey, entry: &Schema4| {
        entry.project.map(|project| ((*organization, project, *id), ()))
    })
    .counted(by_all_but_uuid);
static BY_SCOPE: Index<NewKey, Schema4, (Uuid, String, Uuid), ()> =
    Index::new("audit_by_scope", |(organization, id): &NewKey, entry: &Schema4| {
        Some(((*organization, entry.scope.clone(), *id), ()))
    })
    .counted(by_all_but_uuid);
static BY_ITEM: Index<NewKey, Schema4, OldKey, ()> =
    Index::new("audit_by_item", |(organization, id): &NewKey, entry: &Schema4| {
        Some(((*organization, (entry.scope.clone(), entry.item.clone()), *id), ()))
    })
    .counted(by_all_but_uuid);

/// An entry as schema 3 stores it; times are microseconds since 1970.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Schema3 {
    user: Uuid,
    activity: String,
    detail: Json,
    created_at: i64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Schema4 {
    user: Option<Uuid>,
    key: Option<UsedKey>,
    project: Option<u32>,
    scope: String,
    item: String,
    activity: String,
    detail: Json,
    address: Option<IpAddr>,
    client: Option<String>,
    request_id: Option<String>,
    created_at: i64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct UsedKey {
    id: String,
    mask: String,
}

pub(super) fn run(tx: &WriteTx) -> Result<(), StoreError> {
    for (key, old) in tx.all(&OLD)? {
        tx.delete(&OLD, &key)?;
        let (organization, (scope, item), id) = key;
        let Schema3 { user, activity, detail, created_at } = old;
        let entry = Schema4 {
            user: Some(user),
            key: None,
            project: if scope == TEAM { item.parse().ok() } else { None },
            scope,
            item,
            activity,
            detail,
            address: None,
            client: None,
            request_id: None,
            created_at,
        };
        tx.insert(&NEW, &(organization, id), &entry)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use redb::Database;
    use redb::backends::InMemoryBackend;
    use serde_json::json;

    use super::*;
    use crate::store::migrate::{META, Step, bring_up_by, change};
    use crate::store::snapshot::Snapshot;
    use crate::store::tx::{COUNTS, Tx};

    #[test]
    fn entries_keep_what_they_say_and_are_found_by_project() {
        let [organization, user, id, other] = [1, 2, 3, 4].map(Uuid::from_u128);
        let database = Database::builder().create_with_backend(InMemoryBackend::new()).unwrap();
        let tables = [
            META.info(),
            COUNTS.info(),
            OLD.info(),
            OLD_BY_SCOPE.info(),
            NEW.info(),
            BY_PROJECT.info(),
            BY_SCOPE.info(),
            BY_ITEM.info(),
        ];
        let names = || tables.iter().map(|table| table.name);
        bring_up_by(&database, None, &tables, 3, &[]).unwrap();
        let detail = Json::of(&json!({"name": "n"}));
        let old = Schema3 { user, activity: "updated".into(), detail: detail.clone(), created_at: 7 };
        change(&database, names(), |tx| {
            tx.insert(&OLD, &(organization, ("Team".into(), "12".into()), id), &old)?;
            tx.insert(&OLD, &(organization, ("Plugin".into(), "5".into()), other), &old)
        })
        .unwrap();
        bring_up_by(&database, None, &tables, 4, &[Step { to: 4, ends: &[], run }]).unwrap();
        let tx = Tx::of(Arc::new(Snapshot::take(&database, names(), 0, Arc::default()).unwrap()));
        let entry = tx.get(&NEW, &(organization, id)).unwrap().unwrap();
        assert_eq!((entry.user, entry.project, entry.detail), (Some(user), Some(12), detail));
        assert_eq!(tx.get(&NEW, &(organization, other)).unwrap().unwrap().project, None);
        assert_eq!(tx.count(&NEW, &organization).unwrap(), 2);
        assert_eq!(tx.count(&BY_PROJECT, &(organization, 12u32)).unwrap(), 1);
        assert_eq!(tx.count(&OLD, &organization).unwrap(), 0);
        assert!(tx.all(&OLD).unwrap().is_empty() && tx.all(&OLD_BY_SCOPE).unwrap().is_empty());
    }
}
