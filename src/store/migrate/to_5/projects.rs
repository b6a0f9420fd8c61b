//! The details of a project stand with it, and its token leads to its organization as well.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::store::codec::Packed;
use crate::store::key::Key;
use crate::store::table::Table;
use crate::store::tx::WriteTx;
use crate::store::{Json, StoreError};

pub(super) const DETAILS_NAME: &str = "project_details";

/// By organization and number; the indexes by number stay as they are.
const OLD: Table<(Uuid, u32), Schema4> = Table::new("projects");
const NEW: Table<(Uuid, u32), Schema5> = Table::new("projects");
const BY_TOKEN: Table<String, (Uuid, u32)> = Table::new("projects_by_token");

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Schema4 {
    uuid: Uuid,
    api_token: String,
    name: String,
    completed_snippet_onboarding: bool,
    has_completed_onboarding_for: Option<Json>,
    ingested_event: bool,
    is_demo: bool,
    timezone: String,
    access_control: bool,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Schema5 {
    brief: Schema4,
    /// The record that stood in the table of details.
    details: Packed<()>,
}

pub(super) fn run(tx: &WriteTx) -> Result<(), StoreError> {
    let missing = || StoreError::record("a project has no details".into());
    for (key, brief) in tx.all(&OLD)? {
        let number = key.1.key_bytes();
        let details = tx.get_bytes(DETAILS_NAME, &number, |bytes| Ok(bytes.to_vec()))?.ok_or_else(missing)?;
        tx.put(&BY_TOKEN, &brief.api_token, &key)?;
        tx.put(&NEW, &key, &Schema5 { brief, details: Packed::from_bytes(details) })?;
        tx.stage(DETAILS_NAME, number, None);
    }
    Ok(())
}
