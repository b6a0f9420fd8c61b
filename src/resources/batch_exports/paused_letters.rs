//! Who is written to when an export was paused and nobody asked for it: whoever can set it going again.

use super::BatchExport;
use crate::api::{Ctx, Level};
use crate::error::Result;
use crate::ids::{BatchExportId, OrganizationId};
use crate::resources::outbox::{self, Letter};
use crate::resources::{members, projects, users};
use crate::store::{Tx, WriteTx};

/// Beyond so many readers, nobody feels addressed.
const READERS_MAX: usize = 50;

/// Queues a mail to the author and to each administrator of the project; does nothing without a mail server. `reason`
/// is a sentence without its end.
///
/// # Errors
/// None but of the data file.
pub(super) fn send(
    ctx: &Ctx,
    tx: &WriteTx,
    organization: OrganizationId,
    (id, export): (BatchExportId, &BatchExport),
    reason: &str,
) -> Result<()> {
    if !outbox::is_on(ctx) {
        return Ok(());
    }
    let path = format!("/organization/{organization}/exports/{id}");
    let letter = Letter::ExportPaused { export: &export.name, reason, path };
    for user in readers(tx, organization, export)? {
        users::tell(ctx, tx, &user, &letter)?;
    }
    Ok(())
}

fn readers(tx: &Tx, organization: OrganizationId, export: &BatchExport) -> Result<Vec<users::User>> {
    let mut readers = Vec::new();
    for (user, level) in members::levels(tx, organization)? {
        let in_project = projects::level_in(tx, organization, export.project, user, level)?;
        let is_reader = match in_project {
            Some(level) => level >= Level::Admin || export.author == Some(user),
            None => false,
        };
        if is_reader && readers.len() < READERS_MAX {
            readers.push(users::find(tx, user)?);
        }
    }
    Ok(readers)
}
