//! The audit log of an organization with few entries has no rows in its indexes any more, and no counter.

use crate::store::StoreError;
use crate::store::table::{TableInfo, by_all_but_uuid};
use crate::store::tx::{COUNTS, Order, WriteTx, count_key};

const ENTRIES: &str = "audit";
const INDEXES: [&str; 3] = ["audit_by_project", "audit_by_scope", "audit_by_item"];
/// So many entries, and fewer, are few.
const FEW: u64 = 64;
/// Each key begins with the UUID of the organization.
const ORGANIZATION_BYTES: usize = 16;

pub(super) fn run(tx: &WriteTx) -> Result<(), StoreError> {
    for organization in small(tx)? {
        tx.stage(COUNTS.info().name, count_key(ENTRIES, &organization), None);
        for name in INDEXES {
            let index = TableInfo { group: Some(by_all_but_uuid), ..TableInfo::plain(name) };
            for key in tx.keys(name, organization.clone(), Order::Ascending)? {
                tx.delete_bytes(&index, key?)?;
            }
        }
    }
    Ok(())
}

/// The organizations with few entries.
fn small(tx: &WriteTx) -> Result<Vec<Vec<u8>>, StoreError> {
    let (mut small, mut last, mut entries) = (Vec::new(), Vec::new(), 0);
    for key in tx.keys(ENTRIES, Vec::new(), Order::Ascending)? {
        let mut organization = key?;
        organization.truncate(ORGANIZATION_BYTES);
        if organization != last {
            let done = std::mem::replace(&mut last, organization);
            small.extend((1..=FEW).contains(&entries).then_some(done));
            entries = 0;
        }
        entries += 1;
    }
    small.extend((1..=FEW).contains(&entries).then_some(last));
    Ok(small)
}
