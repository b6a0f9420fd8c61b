//! The whole address of a private plugin may be sealed; no vault is at hand here, so that is done at the start that
//! follows.

use serde::{Deserialize, Serialize};

use super::super::super::StoreError;
use super::super::super::table::Table;
use super::super::super::tx::WriteTx;

/// A whole address as schema 3 stores it.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
enum Address {
    Open(String),
}

const OLD_ADDRESSES: Table<u32, String> = Table::new("plugin_private_urls");
const ADDRESSES: Table<u32, Address> = Table::new("plugin_private_urls");

pub(super) fn run(tx: &WriteTx) -> Result<(), StoreError> {
    for (plugin, url) in tx.all(&OLD_ADDRESSES)? {
        tx.put(&ADDRESSES, &plugin, &Address::Open(url))?;
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
    use crate::store::snapshot::Snapshot;
    use crate::store::tx::{COUNTS, Tx};

    #[test]
    fn private_addresses_wait_to_be_sealed() {
        let database = Database::builder().create_with_backend(InMemoryBackend::new()).unwrap();
        let tables = [META.info(), COUNTS.info(), OLD_ADDRESSES.info()];
        let names = || tables.iter().map(|table| table.name);
        bring_up_by(&database, None, &tables, 2, &[]).unwrap();
        let url = "https://github.com/u/r?private_token=t".to_owned();
        change(&database, names(), |tx| tx.put(&OLD_ADDRESSES, &7, &url)).unwrap();
        let steps = [Step { to: 3, ends: &[], run }];
        bring_up_by(&database, None, &tables, 3, &steps).unwrap();
        let snapshot = Snapshot::take(&database, names(), 0, Arc::default()).unwrap();
        let tx = Tx::of(Arc::new(snapshot));
        assert_eq!(tx.all(&ADDRESSES).unwrap(), [(7, Address::Open(url))]);
    }
}
