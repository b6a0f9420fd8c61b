//! Organizations have settings of what their members may do; all begin as they were.

use serde::{Deserialize, Serialize};

use super::super::super::StoreError;
use super::super::super::table::Table;
use super::super::super::tx::WriteTx;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Schema3 {
    name: String,
    slug: String,
    created_at: i64,
    updated_at: i64,
    is_member_join_email_enabled: bool,
    enforce_2fa: Option<bool>,
    plugins_access_level: u8,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Schema4 {
    old: Schema3,
    settings: Settings,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Settings {
    members_can_invite: Option<bool>,
    members_can_create_projects: Option<bool>,
    members_can_use_personal_api_keys: bool,
    members_can_see_org_members: bool,
    enforce_verified_domains: bool,
    allow_publicly_shared_resources: bool,
    default_role_id: Option<[u8; 16]>,
    default_anonymize_ips: bool,
    is_ai_data_processing_approved: Option<bool>,
    is_ai_training_opted_in: Option<bool>,
    read_only_mcp_access: bool,
    default_experiment_stats_method: Option<String>,
}

impl Settings {
    fn of_before() -> Settings {
        Settings {
            members_can_invite: Some(true),
            members_can_create_projects: Some(false),
            members_can_use_personal_api_keys: true,
            members_can_see_org_members: true,
            enforce_verified_domains: false,
            allow_publicly_shared_resources: true,
            default_role_id: None,
            default_anonymize_ips: false,
            is_ai_data_processing_approved: None,
            is_ai_training_opted_in: None,
            read_only_mcp_access: false,
            default_experiment_stats_method: Some("bayesian".into()),
        }
    }
}

const OLD: Table<[u8; 16], Schema3> = Table::new("organizations");
const NEW: Table<[u8; 16], Schema4> = Table::new("organizations");

pub(super) fn run(tx: &WriteTx) -> Result<(), StoreError> {
    for (id, old) in tx.all(&OLD)? {
        tx.put(&NEW, &id, &Schema4 { old, settings: Settings::of_before() })?;
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
    fn organizations_keep_what_they_had_and_restrict_nothing_new() {
        let old = Schema3 {
            name: "Acme".into(),
            slug: "acme".into(),
            created_at: 1_728_396_939_123_456,
            updated_at: -1,
            is_member_join_email_enabled: true,
            enforce_2fa: Some(true),
            plugins_access_level: 9,
        };
        let database = Database::builder().create_with_backend(InMemoryBackend::new()).unwrap();
        let tables = [META.info(), COUNTS.info(), OLD.info()];
        let names = || tables.iter().map(|table| table.name);
        bring_up_by(&database, None, &tables, 3, &[]).unwrap();
        change(&database, names(), |tx| tx.put(&OLD, &[7; 16], &old)).unwrap();
        bring_up_by(&database, None, &tables, 4, &[Step { to: 4, ends: &[], run }]).unwrap();
        let tx = Tx::of(Arc::new(Snapshot::take(&database, names(), 0, Arc::default()).unwrap()));
        let new = Schema4 { old, settings: Settings::of_before() };
        assert_eq!(tx.all(&NEW).unwrap(), [([7; 16], new)]);
    }
}
