//! Seeds, snapshots and forks of the server, and its way back.

use std::sync::Arc;

use maud::{Markup, html};

use super::again;
use crate::api::fields::FieldInfo;
use crate::api::{Field, Reply};
use crate::app::forks::{ShownFork, ShownSnapshot, WantedFork};
use crate::console::form::{Control, Form};
use crate::console::parts::{Look, amount, code, counted, deed, empty, head, section, table, time};
use crate::console::visit::Visit;
use crate::console::words::Said;
use crate::error::{Result, invalid};
use crate::resources::file_mark::{self, Mark};
use crate::resources::org_file;
use crate::resources::test_server::forks::{TTL_SECONDS, keeper};
use crate::test_server::TestServer;

const PATH: &str = "/dev/data";
const HELP: &str = "What there is stays. All of it is made, or nothing.";
const SEED: FieldInfo = Field::long_text("seed").required().info();
const NAME: FieldInfo = Field::text("name", 64).required().info();

pub(super) fn show(visit: &Visit, _server: &TestServer) -> Result<Reply> {
    let is_seeding = !visit.typed(SEED.name).is_empty();
    let seed = Form::new(None)
        .named("seed")
        .control(Control::new(SEED).label("An organization file, as --seed takes it").long().help(HELP))
        .refused(visit.refused().filter(|_| is_seeding));
    let Ok((keeper, id)) = keeper(&visit.app) else {
        let why = "The data of this server is in a file. Snapshots, forks and the way back need --in-memory.";
        return Ok(visit.show_dev(
            "Data",
            &html! {
                (seed.summary())
                (head("Data", "", None)) (empty("No snapshots", why, None))
                (section("Seed", seed.button("Make what it says")))
            },
        ));
    };
    let all = keeper.list();
    let state = format!(
        "{}, {}.",
        counted(all.snapshots.len() as u64, "snapshot", "snapshots"),
        counted(all.forks.len() as u64, "fork", "forks")
    );
    let form = Form::new(None)
        .control(Control::new(NAME).label("Name").first())
        .refused(visit.refused().filter(|_| !is_seeding));
    let summary = html! { (form.summary()) (seed.summary()) };
    Ok(visit.show_dev("Data", &html! {
        (summary)
        (head("Data", html! { (state) " This is " (code(id)) "." }, None))
        (section("Snapshots", html! {
            (table("Snapshots", &["Name", "Bytes", ""], all.snapshots.iter().map(snapshot)))
            (form.button("Keep what there is now"))
        }))
        (section("Forks", html! {
            @if all.forks.is_empty() {
                p { "A fork is a server of its own that begins with what there is now." }
            } @else {
                (table("Forks", &["Name", "Of", "Port", "Own bytes", "Ends", ""], all.forks.iter().map(fork_line)))
            }
            (deed(&format!("{PATH}/fork"), "", "Make a fork", "", Look::Plain))
        }))
        (section("Seed", seed.button("Make what it says")))
    }))
}

fn snapshot(kept: &ShownSnapshot) -> [Markup; 3] {
    let name = &kept.name;
    [
        code(name),
        amount(kept.bytes),
        html! {
            div.buttons {
                (deed(&format!("{PATH}/reset/{name}"), "", "Begin anew with it", name, Look::Danger))
                @if name != crate::app::forks::START {
                    (deed(&format!("{PATH}/snapshots/{name}/delete"), "", "Forget", name, Look::Danger))
                }
            }
        },
    ]
}

fn fork_line(fork: &ShownFork) -> [Markup; 6] {
    let id = &fork.id;
    [
        code(id),
        html! { (fork.of.as_deref().unwrap_or("what was there")) },
        html! { (fork.port) },
        amount(fork.own_bytes),
        time(fork.expires_at),
        deed(&format!("{PATH}/forks/{id}/delete"), "", "Delete", id, Look::Danger),
    ]
}

/// What a form of the page does: a seed is made, or a snapshot.
pub(super) async fn post(visit: Arc<Visit>) -> Result<Reply> {
    let done = match visit.typed(SEED.name) {
        "" => keep(&visit),
        text => seed(&visit, text).await,
    };
    match done {
        Ok(()) => Ok(visit.done(PATH, Said::Saved)),
        Err(error) => again(error, |error| {
            let visit = visit.refusing(error);
            show(&visit, crate::resources::test_server::of(&visit.app)?)
        }),
    }
}

async fn seed(visit: &Visit, text: &str) -> Result<()> {
    // It may say secrets.
    visit.app.store.write(|tx| file_mark::put(tx, Mark::Predictable)).await?;
    let made = org_file::seed_more(&visit.app, text).await;
    made.map(drop).map_err(|cause| invalid(SEED.name, "invalid_input", cause))
}

fn keep(visit: &Visit) -> Result<()> {
    let (keeper, id) = keeper(&visit.app)?;
    keeper.snapshot(id, visit.typed(NAME.name)).map(drop)
}

pub(super) async fn fork(visit: Arc<Visit>) -> Result<Reply> {
    let (keeper, id) = keeper(&visit.app)?;
    keeper.fork(id, WantedFork { of: None, ttl_seconds: TTL_SECONDS }).await?;
    Ok(visit.done(PATH, Said::Saved))
}

pub(super) async fn reset(visit: Arc<Visit>) -> Result<Reply> {
    let (keeper, id) = keeper(&visit.app)?;
    keeper.reset(id, Some(visit.param("name"))).await?;
    Ok(visit.done(PATH, Said::Saved))
}

pub(super) async fn delete_snapshot(visit: Arc<Visit>) -> Result<Reply> {
    keeper(&visit.app)?.0.delete_snapshot(visit.param("name"))?;
    Ok(visit.done(PATH, Said::Saved))
}

pub(super) async fn delete_fork(visit: Arc<Visit>) -> Result<Reply> {
    keeper(&visit.app)?.0.delete(visit.param("id"), false).await?;
    Ok(visit.done(PATH, Said::Saved))
}
