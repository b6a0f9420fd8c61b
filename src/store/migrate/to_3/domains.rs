//! Of domains, only the verified ones are found by their names: any organization may claim a name.

use serde::{Deserialize, Serialize};

use super::super::super::StoreError;
use super::super::super::codec::decode;
use super::super::super::key::Key;
use super::super::super::tx::WriteTx;

const DOMAINS: &str = "domains";
/// Organization and domain of each name.
const BY_NAME: &str = "domains_by_name";

/// A domain as schema 2 stores it.
#[derive(Serialize, Deserialize)]
struct Domain {
    domain: String,
    verified_at: Option<i64>,
    verification_challenge: String,
    last_verification_retry: Option<i64>,
    jit_provisioning_enabled: bool,
    sso_enforcement: String,
    saml_entity_id: Option<String>,
    saml_acs_url: Option<String>,
    saml_x509_cert: Option<String>,
}

pub(super) fn run(tx: &WriteTx) -> Result<(), StoreError> {
    for (_, record) in tx.raw_rows(DOMAINS)? {
        let domain: Domain = decode(&record)?;
        if domain.verified_at.is_none() {
            tx.stage(BY_NAME, domain.domain.key_bytes(), None);
        }
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
    fn only_verified_names_lead_to_their_domain() {
        const ROWS: Table<u32, Domain> = Table::new(DOMAINS);
        const INDEX: Table<String, u32> = Table::new(BY_NAME);
        let domain = |domain: &str, verified_at| Domain {
            domain: domain.into(),
            verified_at,
            verification_challenge: "c".into(),
            last_verification_retry: Some(-1),
            jit_provisioning_enabled: true,
            sso_enforcement: "saml".into(),
            saml_entity_id: Some("e".into()),
            saml_acs_url: None,
            saml_x509_cert: Some("x".into()),
        };
        let database = Database::builder().create_with_backend(InMemoryBackend::new()).unwrap();
        let tables = [META.info(), COUNTS.info(), ROWS.info(), INDEX.info()];
        let names = || tables.iter().map(|table| table.name);
        bring_up_by(&database, None, &tables, 2, &[]).unwrap();
        change(&database, names(), |tx| {
            for (number, name, verified_at) in [(1, "open.com", None), (2, "proved.com", Some(1))] {
                tx.put(&ROWS, &number, &domain(name, verified_at))?;
                tx.put(&INDEX, &name.to_owned(), &number)?;
            }
            Ok(())
        })
        .unwrap();
        let steps = [Step { to: 3, ends: &[], run }];
        bring_up_by(&database, None, &tables, 3, &steps).unwrap();
        let snapshot = Snapshot::take(&database, names(), 0, Arc::default()).unwrap();
        let tx = Tx::of(Arc::new(snapshot));
        assert_eq!(tx.all(&INDEX).unwrap(), [("proved.com".to_owned(), 2)]);
        assert_eq!(tx.all(&ROWS).unwrap().len(), 2);
    }
}
