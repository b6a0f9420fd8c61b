//! Exports that move with their project to another organization. What they did, and what they are doing, is kept by
//! export, so it stays.

use super::EXPORTS;
use crate::error::Result;
use crate::ids::{OrganizationId, ProjectId};
use crate::store::{Order, WriteTx};

/// Moves the exports of a project.
pub fn move_project(
    tx: &WriteTx,
    project: ProjectId,
    from: OrganizationId,
    to: OrganizationId,
) -> Result<()> {
    for ((_, id), export) in tx.scan(&EXPORTS, &from, Order::Ascending)? {
        if export.project == project {
            tx.rekey(&EXPORTS, &(from, id), &(to, id), &export)?;
        }
    }
    Ok(())
}
