//! The audit log of an organization with few entries has no rows in its indexes any more.

use crate::store::StoreError;
use crate::store::table::{TableInfo, by_all_but_uuid};
use crate::store::tx::{Order, WriteTx};

const ENTRIES: &str = "audit";
const INDEXES: [&str; 3] = ["audit_by_project", "audit_by_scope", "audit_by_item"];
/// So many entries, and fewer, have no rows in the indexes.
const FEW: u64 = 64;
/// Each key begins with the UUID of the organization.
const ORGANIZATION_BYTES: usize = 16;

pub(super) fn run(tx: &WriteTx) -> Result<(), StoreError> {
    for name in INDEXES {
        let index = TableInfo { group: Some(by_all_but_uuid), ..TableInfo::plain(name) };
        let mut last = (Vec::new(), false);
        for key in tx.keys(name, Vec::new(), Order::Ascending)? {
            let key = key?;
            let organization = &key[..ORGANIZATION_BYTES.min(key.len())];
            if last.0 != organization {
                last = (organization.to_vec(), tx.count_under(ENTRIES, organization)? <= FEW);
            }
            if last.1 {
                tx.delete_bytes(&index, key)?;
            }
        }
    }
    Ok(())
}
