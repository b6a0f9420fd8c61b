//! Authors: an export runs in the name of whoever last said what it sends and where, or set it going.
//! Invariant: nothing is sent in the name of somebody who does not see the project.
//!
//! A change that shuts somebody out pauses their exports at once; every run, attempt and confirmed step asks
//! again, so that no way of losing a project is forgotten.

use uuid::Uuid;

use super::logs::{self, Author, Level, Moment};
use super::runs::{self, Context};
use super::schedule::set_paused;
use super::{BatchExport, EXPORTS, audited, backfills, get, paused_letters};
use crate::api::Ctx;
use crate::clock::Time;
use crate::error::Result;
use crate::ids::{BatchExportId, OrganizationId, ProjectId, UserId};
use crate::resources::events::EventIds;
use crate::resources::{projects, users};
use crate::store::{Order, Tx, WriteTx};

/// Whether the project is still open to the author. One who is unknown, because the export is older than
/// authors are, may go on: a newer orgd stops no export that nobody has lost.
fn may_go_on(
    tx: &Tx,
    organization: OrganizationId,
    project: ProjectId,
    author: Option<UserId>,
) -> Result<bool> {
    match author {
        Some(author) => {
            Ok(users::is_active(tx, author)? && projects::is_open_to(tx, organization, project, author)?)
        }
        None => Ok(true),
    }
}

/// Whether what the export sends from now on is sent in somebody's name.
pub(super) fn answers_for(tx: &Tx, organization: OrganizationId, export: &BatchExport) -> Result<bool> {
    may_go_on(tx, organization, export.project, export.author)
}

/// Whether a run that was made in this name may go on. Otherwise it is ended, and where the export itself runs
/// in the name of somebody shut out, so is all else that it does.
pub(super) fn admit(tx: &WriteTx, context: &Context<'_>, author: Option<UserId>) -> Result<bool> {
    let Some((organization, export)) = get(tx, context.export)? else { return Ok(false) };
    if may_go_on(tx, organization, export.project, author)? {
        return Ok(true);
    }
    context.log(tx, Level::Warning, lost(tx, author)?)?;
    runs::cancel(tx, Moment::of_task(context.event_ids), (context.export, context.id))?;
    if !answers_for(tx, organization, &export)? {
        stop(tx, context.event_ids, context.export, &export)?;
    }
    Ok(false)
}

/// Pauses an export whose author is shut out, and ends its backfills.
pub(super) fn stop(
    tx: &WriteTx,
    event_ids: &EventIds,
    id: BatchExportId,
    export: &BatchExport,
) -> Result<()> {
    pause(tx, event_ids.id(), event_ids.clock.now(), id, export.author)?;
    backfills::cancel_all_of(tx, Moment::of_task(event_ids), id, &lost(tx, export.author)?)
}

/// Pauses the exports of the organization whose authors have just been shut out.
pub fn pause_all_lost(ctx: &Ctx, tx: &WriteTx, organization: OrganizationId) -> Result<()> {
    if tx.count(&EXPORTS, &organization)? == 0 {
        return Ok(());
    }
    for ((_, id), export) in tx.scan(&EXPORTS, &organization, Order::Ascending)? {
        if !export.paused && !answers_for(tx, organization, &export)? {
            pause(tx, ctx.new_id(), ctx.now, id, export.author)?;
            let paused = BatchExport { paused: true, ..export.clone() };
            audited::changed_by_loss(ctx, tx, organization, id, (&export, &paused))?;
            paused_letters::send(ctx, tx, organization, (id, &export), &lost(tx, export.author)?)?;
        }
    }
    Ok(())
}

fn pause(tx: &WriteTx, entry: Uuid, now: Time, id: BatchExportId, author: Option<UserId>) -> Result<()> {
    if set_paused(tx, now, id)? {
        let message = format!("The batch export was automatically paused: {}", lost(tx, author)?);
        logs::write(
            tx,
            &Author { export: id, instance: &id.to_string(), id: entry, now },
            Level::Warning,
            message,
        )?;
    }
    Ok(())
}

/// Why nothing is sent in this name any more.
pub(super) fn lost(tx: &Tx, author: Option<UserId>) -> Result<String> {
    let author = match author {
        Some(author) => users::get(tx, author)?,
        None => None,
    };
    let name = author.map_or_else(|| "its author".to_owned(), |user| user.email);
    Ok(format!(
        "{name}, in whose name it ran, has no access to its project any more. Whoever unpauses it answers for what it sends"
    ))
}

/// Makes the user the author where the one before is shut out.
pub(super) fn take_over(
    tx: &WriteTx,
    user: UserId,
    organization: OrganizationId,
    id: BatchExportId,
    before: &BatchExport,
) -> Result<()> {
    if answers_for(tx, organization, before)? {
        return Ok(());
    }
    let export = BatchExport { author: Some(user), ..before.clone() };
    Ok(tx.replace(&EXPORTS, &(organization, id), before, &export)?)
}
