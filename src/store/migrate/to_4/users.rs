//! A user's role at their organization may be unknown, and what the web app keeps of them is one JSON text.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::store::StoreError;
use crate::store::table::Table;
use crate::store::tx::WriteTx;

const OLD: Table<Uuid, Schema3> = Table::new("users");
const NEW: Table<Uuid, Schema4> = Table::new("users");

/// A user as schema 3 stores it; times are microseconds since 1970, JSON is text.
#[derive(Serialize, Deserialize)]
struct Schema3 {
    number: u32,
    distinct_id: String,
    email: String,
    password_hash: Option<String>,
    first_name: String,
    last_name: String,
    is_staff: bool,
    date_joined: i64,
    role_at_organization: String,
    current_organization: Option<Uuid>,
    current_project: Option<u32>,
    settings: OldSettings,
}

#[derive(Serialize, Deserialize)]
struct OldSettings {
    notification_settings: String,
    anonymize_data: bool,
    toolbar_mode: String,
    events_column_config: String,
    has_seen_product_intro_for: Option<String>,
    hedgehog_config: Option<String>,
    theme_mode: Option<String>,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Schema4 {
    number: u32,
    distinct_id: String,
    email: String,
    password_hash: Option<String>,
    first_name: String,
    last_name: String,
    is_staff: bool,
    date_joined: i64,
    role_at_organization: Option<String>,
    current_organization: Option<Uuid>,
    current_project: Option<u32>,
    settings: Settings,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Settings {
    notification_settings: String,
    anonymize_data: bool,
    toolbar_mode: String,
    events_column_config: String,
    has_seen_product_intro_for: Option<String>,
    hedgehog_config: Option<String>,
    theme_mode: Option<String>,
    web_app: String,
}

pub(super) fn run(tx: &WriteTx) -> Result<(), StoreError> {
    for (uuid, old) in tx.all(&OLD)? {
        tx.put(&NEW, &uuid, &moved(old))?;
    }
    Ok(())
}

fn moved(old: Schema3) -> Schema4 {
    let settings = Settings {
        notification_settings: old.settings.notification_settings,
        anonymize_data: old.settings.anonymize_data,
        toolbar_mode: old.settings.toolbar_mode,
        events_column_config: old.settings.events_column_config,
        has_seen_product_intro_for: old.settings.has_seen_product_intro_for,
        hedgehog_config: old.settings.hedgehog_config,
        theme_mode: old.settings.theme_mode,
        // All defaults.
        web_app: "{}".into(),
    };
    Schema4 {
        number: old.number,
        distinct_id: old.distinct_id,
        email: old.email,
        password_hash: old.password_hash,
        first_name: old.first_name,
        last_name: old.last_name,
        is_staff: old.is_staff,
        date_joined: old.date_joined,
        role_at_organization: Some(old.role_at_organization).filter(|role| !role.is_empty()),
        current_organization: old.current_organization,
        current_project: old.current_project,
        settings,
    }
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

    fn old(number: u32, role: &str) -> Schema3 {
        Schema3 {
            number,
            distinct_id: "d".into(),
            email: "a@example.com".into(),
            password_hash: Some("$argon2id$".into()),
            first_name: "A".into(),
            last_name: "B".into(),
            is_staff: true,
            date_joined: 5,
            role_at_organization: role.into(),
            current_organization: Some(Uuid::from_u128(9)),
            current_project: Some(300),
            settings: OldSettings {
                notification_settings: "{}".into(),
                anonymize_data: true,
                toolbar_mode: "toolbar".into(),
                events_column_config: "[]".into(),
                has_seen_product_intro_for: None,
                hedgehog_config: Some("{\"color\":1}".into()),
                theme_mode: Some("dark".into()),
            },
        }
    }

    #[test]
    fn a_user_keeps_all_that_they_had_and_no_role_becomes_none() {
        let database = Database::builder().create_with_backend(InMemoryBackend::new()).unwrap();
        let tables = [META.info(), OLD.info()];
        let names = || tables.iter().map(|table| table.name);
        bring_up_by(&database, None, &tables, 3, &[]).unwrap();
        let [one, two] = [1, 2].map(Uuid::from_u128);
        change(&database, names(), |tx| {
            tx.put(&OLD, &one, &old(1, ""))?;
            tx.put(&OLD, &two, &old(2, "data"))
        })
        .unwrap();
        bring_up_by(&database, None, &tables, 4, &[Step { to: 4, ends: &[], run }]).unwrap();
        let tx = Tx::of(Arc::new(Snapshot::take(&database, names(), 0, Arc::default()).unwrap()));
        let seen = tx.all(&NEW).unwrap();
        let roles: Vec<_> = seen.iter().map(|(_, user)| user.role_at_organization.as_deref()).collect();
        assert_eq!(roles, [None, Some("data")]);
        let (_, user) = &seen[1];
        assert_eq!((user.number, user.current_project, user.date_joined), (2, Some(300), 5));
        assert_eq!(user.settings.web_app, "{}");
        assert_eq!(user.settings.hedgehog_config.as_deref(), Some("{\"color\":1}"));
        assert_eq!(user.settings.theme_mode.as_deref(), Some("dark"));
    }
}
