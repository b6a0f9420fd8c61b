//! Backups that the server makes: one at once, a list, the proof that one is whole, its bytes, and the way back.

use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use maud::{Markup, html};

use super::SERVER;
use super::status::mebibytes;
use crate::api::reply::Rest;
use crate::api::{Paging, Reply};
use crate::app::session;
use crate::backup::{self, Proof};
use crate::backup_folder::{self, Kept};
use crate::console::frame::to;
use crate::console::page::{Page, page};
use crate::console::parts::{
    Look, Shown, Tone, code, code_block, counted, crumbs, deed, empty, facts, grouped, head, link_to, live,
    notice, pager, section, table, time,
};
use crate::console::visit::Visit;
use crate::console::words::Said;
use crate::error::{Error, Result, not_found};
use crate::resources::{sessions, users};
use crate::store::Tx;

const PATH: &str = "/instance/backups";
const LINES: u64 = 50;
/// From this age on the last backup is a reason to act, in seconds.
const OLD_SECONDS: i64 = 7 * 24 * 60 * 60;
/// A piece of a download, in bytes.
const PIECE_BYTES: u64 = 64 * 1024;

pub(super) fn pages() -> Vec<Page> {
    vec![
        page(PATH, session(), SERVER, show).works(make),
        page(format!("{PATH}/{{file}}"), session(), SERVER, show_one).works(check),
        page(format!("{PATH}/{{file}}/download"), session(), SERVER, download),
    ]
}

fn show(visit: &Visit, tx: &Tx) -> Result<Reply> {
    users::require_operator(visit, tx)?;
    let Some(folder) = &visit.config.backups.dir else { return show_none(visit, tx) };
    // A folder that can't be read has no backups: the last turn of the task says why.
    let all = backup_folder::list(folder).unwrap_or_default();
    let last = backup_folder::last_good(folder, visit.now);
    let state = match last {
        Some(last) => html! { "The last good one is of " (time(last)) "." },
        None => html! { "None yet." },
    };
    let is_busy = visit.app.backups.is_busy();
    visit.show(tx, "Backups", &html! {
        (head("Backups", state, None))
        @if let Some(sentence) = trouble(visit, last) { (notice(Tone::Bad, html! { p { (sentence) } })) }
        @if is_busy {
            (live("making", PATH, 5, html! { p { "A backup is being made." } }))
        } @else {
            (deed(PATH, visit.token(), "Make one now", "", Look::Primary))
        }
        @if all.is_empty() {
            (empty("No backup yet", "Each backup of this server is listed here once it has been checked.", None))
        } @else {
            (list(visit, &all))
        }
        (section("Where they lie", html! {
            p { "In " (code(folder.display().to_string())) ", one every " (hours(visit.config.backups.every.0))
                ". The secret key is not among them: keep it in another place." }
        }))
    })
}

fn list(visit: &Visit, all: &[Kept]) -> Markup {
    let paging = Paging::by(visit, LINES);
    let total = all.len() as u64;
    let line = |kept: &Kept| {
        [
            link_to(format_args!("{PATH}/{}", kept.name), &kept.name, ""),
            time(kept.taken),
            html! { (mebibytes(kept.bytes)) },
        ]
    };
    html! {
        (table("Backups", &["File", "Made", "Size"], paging.cut(all.to_vec()).iter().map(line)))
        (pager(&visit.address(), Shown { total, limit: paging.limit, offset: paging.offset }))
    }
}

fn hours(seconds: i64) -> String {
    counted(u64::try_from(seconds / 3600).unwrap_or(0), "hour", "hours")
}

/// Why somebody should act.
fn trouble(visit: &Visit, last: Option<crate::clock::Time>) -> Option<String> {
    let results = visit.app.task_results.all();
    let failure = results.get("backups").and_then(|result| result.outcome.as_ref().err());
    if let Some(failure) = failure {
        return Some(format!("The last try failed: {failure}. It is tried again every five minutes."));
    }
    let since = last.unwrap_or(visit.app.started_at);
    if since.plus_seconds(OLD_SECONDS) <= visit.now {
        return Some("There is no good backup of the last seven days.".to_owned());
    }
    visit.app.backups_in_doubt()
}

/// Where the server makes none: how it would.
fn show_none(visit: &Visit, tx: &Tx) -> Result<Reply> {
    let data = visit.config.data.display();
    let by_hand = format!("orgd backup orgd-backup.redb --data {data}");
    visit.show(tx, "Backups", &html! {
        (head("Backups", "This server makes none.", None))
        (empty("No folder for backups", html! {
            "Set " code { "ORGD_BACKUP_DIR" } " to a folder, best on another disk, and start the server again. It then makes a "
            "backup every day, proves it, and removes old ones."
        }, None))
        (section("Make one by hand", html! {
            p { "At the machine, also while the server runs:" }
            (code_block("by-hand", "command", &by_hand))
        }))
    })
}

/// The backup that the path names.
fn named(visit: &Visit) -> Result<Kept> {
    let folder = visit.config.backups.dir.as_deref().ok_or_else(not_found)?;
    backup_folder::find(folder, visit.param("file")).ok_or_else(not_found)
}

fn show_one(visit: &Visit, tx: &Tx) -> Result<Reply> {
    one(visit, tx, None)
}

/// A backup, and what its proof has shown.
fn one(visit: &Visit, tx: &Tx, proof: Option<&std::result::Result<Proof, String>>) -> Result<Reply> {
    users::require_operator(visit, tx)?;
    sessions::require_recent_login(visit)?;
    let kept = named(visit)?;
    let path = format!("{PATH}/{}", kept.name);
    visit.show(tx, &kept.name, &html! {
        (crumbs(&[(PATH, "Backups")]))
        (head(&kept.name, html! { "Made " (time(kept.taken)) ", " (mebibytes(kept.bytes)) "." }, None))
        @match proof {
            Some(Ok(proof)) => (proved(proof)),
            Some(Err(sentence)) => (notice(Tone::Bad, html! { p { "It is not whole: " (sentence) } })),
            None => {}
        }
        div.buttons {
            (deed(&path, visit.token(), "Check it", "", Look::Plain))
            a.button href=(format!("{path}/download")) download { "Download" }
        }
        (section("Restore it", html! {
            p { "Stop the server, then at the machine:" }
            (code_block("restore", "command", &restore(&kept.path, &visit.config.data)))
            p { "It is checked first, then swapped in at once; what is there now is kept under another name. The secret key must be "
                "the one that was in use at that time." }
        }))
    })
}

fn restore(from: &Path, data: &Path) -> String {
    format!("orgd restore {} --data {}", from.display(), data.display())
}

fn proved(proof: &Proof) -> Markup {
    let problems = proof.problems.len() as u64;
    html! {
        (notice(if problems == 0 { Tone::Good } else { Tone::Warn }, html! {
            p { "It is whole." }
            @if problems > 0 {
                p { "The data in it has " (counted(problems, "problem", "problems")) ", which " code { "orgd check" } " lists." }
            }
        }))
        (facts([
            ("Rows", html! { (grouped(proof.contents.rows)) }),
            ("Schema", html! { (proof.schema) }),
            ("Digest", code(&proof.contents.digest)),
        ]))
    }
}

/// Lets one be made; whoever does it finds it in the list.
async fn make(visit: Arc<Visit>) -> Result<Reply> {
    visit.read(|visit, tx| users::require_operator(visit, tx))?;
    sessions::require_recent_login(&visit)?;
    if visit.config.backups.dir.is_none() {
        return Ok(to(PATH));
    }
    visit.app.backups.want();
    Ok(visit.done(PATH, Said::BackupBegun))
}

async fn check(visit: Arc<Visit>) -> Result<Reply> {
    visit.read(|visit, tx| users::require_operator(visit, tx))?;
    sessions::require_recent_login(&visit)?;
    let Kept { path, .. } = named(&visit)?;
    let proof = tokio::task::spawn_blocking(move || backup::prove(&path, true)).await;
    let proof = proof.map_err(|cause| Error::internal(format!("the proof ended: {cause}")))?;
    visit.read(|visit, tx| one(visit, tx, Some(&proof)))
}

/// The file itself, piece by piece.
fn download(visit: &Visit, tx: &Tx) -> Result<Reply> {
    users::require_operator(visit, tx)?;
    sessions::require_recent_login(visit)?;
    let kept = named(visit)?;
    let mut file = std::fs::File::open(&kept.path).map_err(|_| not_found())?;
    let by = visit.user()?;
    tracing::info!(name = %kept.name, user = %by, "a backup is downloaded");
    let rest = Rest::new(move || {
        let mut piece = Vec::new();
        let read = (&mut file).take(PIECE_BYTES).read_to_end(&mut piece);
        let read = read.map_err(|cause| Error::internal(format!("a backup could not be read: {cause}")))?;
        Ok((read > 0).then_some(piece))
    });
    let reply = Reply::text(200, "application/octet-stream", "").with("cache-control", "no-store");
    Ok(reply.with("content-disposition", format!("attachment; filename=\"{}\"", kept.name)).followed_by(rest))
}
