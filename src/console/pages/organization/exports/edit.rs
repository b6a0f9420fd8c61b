//! Changing an export. Its secrets are never shown; they are asked for again when what receives them changes.

use std::sync::Arc;

use maud::{Render, html};

use super::{Found, draft};
use crate::api::Reply;
use crate::console::parts::head;
use crate::console::visit::Visit;
use crate::console::words::Said;
use crate::error::{Error, Result};
use crate::resources::batch_exports::{self, Tested, commands};
use crate::resources::sessions;
use crate::store::{Tx, WriteTx};

pub(super) fn show(visit: &Visit, tx: &Tx) -> Result<Reply> {
    sessions::require_recent_login(visit)?;
    page(visit, tx, None)
}

fn page(visit: &Visit, tx: &Tx, steps: Option<&[Tested]>) -> Result<Reply> {
    let found = Found::of(visit, tx)?;
    let kind = found.export.destination.kind;
    let title = format!("Edit {}", found.export.name);
    let form = draft::form(visit, kind, Some(&found.export), &[], steps.is_some())?
        .button("Save")
        .button_for("Test", "what", "test")
        .cancel(&found.path);
    visit.show(
        tx,
        &title,
        &html! {
            (found.crumbs())
            (form.summary())
            @if let Some(steps) = steps { (draft::tested(steps)) }
            (head(&title, "Runs that have begun go on as they were made.", None))
            (form.render())
        },
    )
}

pub(super) async fn send(visit: Arc<Visit>) -> Result<Reply> {
    sessions::require_recent_login(&visit)?;
    if visit.typed("what") != "test" {
        return visit.write(save).await;
    }
    let (id, destination) = visit.read(|visit, tx| {
        let found = Found::of(visit, tx)?;
        let body = draft::body(visit, found.export.destination.kind);
        let input = draft::input(&body, true);
        batch_exports::draft_to_test(visit, tx, found.at, Some(found.id), input)
            .map_err(|error| in_words(&found, error))
    })?;
    let steps = batch_exports::run_all(&visit.app, id, &destination).await?;
    visit.read(|visit, tx| page(visit, tx, Some(&steps)))
}

fn save(visit: &Visit, tx: &WriteTx) -> Result<Reply> {
    let found = Found::of(visit, tx)?;
    let body = draft::body(visit, found.export.destination.kind);
    commands::update(visit, tx, found.at, found.id, draft::input(&body, true))
        .map_err(|error| in_words(&found, error))?;
    Ok(visit.done(&found.path, Said::Saved))
}

/// A secret that is wanted again is not just missing.
fn in_words(found: &Found, error: Error) -> Error {
    match error {
        Error::Invalid { attr: Some(attr), code: "required", .. }
            if found.export.destination.kind.hides(&attr) =>
        {
            let detail = "Type it again: what you changed decides who receives it.";
            Error::Invalid { attr: Some(attr), code: "invalid_input", detail: detail.into() }
        }
        other => other,
    }
}
