//! `orgd backup`, `orgd restore`, `orgd export`, `orgd import` and `orgd compact`.

use std::path::{Path, PathBuf};

use clap::Args;
use orgd::backup::{self, FrameReader, Incoming, Made, Place, Restored, Wish};
use orgd::clock::Clock;
use orgd::control::{self, Piece, Request, is_there};
use orgd::store::{self, Rows};
use orgd::{vault, yielding_thread};
use tokio::sync::mpsc;

use super::data::{DataOption, config_of};
use super::org_file::{self, ToFile};
use super::{CommandResult, print_json};

/// Pieces of a stream that wait to be taken.
const PIECES_MAX: usize = 4;

#[derive(Args)]
pub(super) struct Backup {
    /// The file to be made.
    to: PathBuf,
    #[command(flatten)]
    file: DataOption,
    /// Copies the secret key as well, beside the backup: whoever gets both can read all secrets.
    #[arg(long)]
    with_key: bool,
    /// Replaces the file where there is one.
    #[arg(long)]
    replace: bool,
    /// Prints one JSON object.
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
pub(super) struct Restore {
    /// The backup.
    from: PathBuf,
    #[command(flatten)]
    file: DataOption,
    /// Restores all but the secrets where their key is missing.
    #[arg(long)]
    without_key: bool,
    /// Prints one JSON object.
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
pub(super) struct Export {
    /// The file to be made, with --all.
    #[arg(required_unless_present = "file", requires = "all")]
    to: Option<PathBuf>,
    #[command(flatten)]
    file: DataOption,
    /// All rows of all tables, one JSON object in a line.
    #[arg(long, conflicts_with = "file", requires = "to")]
    all: bool,
    /// Replaces the file where there is one. With --all.
    #[arg(long, requires = "all")]
    replace: bool,
    /// Prints one JSON object. With --all.
    #[arg(long, requires = "all")]
    json: bool,
    #[command(flatten)]
    organizations: ToFile,
}

/// Runs `work` over all rows of the data file: those that its server streams or, where none holds it, of the file
/// itself.
async fn with_rows<T: Send + 'static>(
    data: &Path,
    work: impl FnOnce(&mut dyn Rows) -> backup::Outcome<T> + Send + 'static,
) -> Result<T, String> {
    let Some(mut answer) = control::ask_server(data, &Request::Rows).await? else {
        let data = data.to_owned();
        return blocking(move || work(&mut backup::closed(&data, Clock::default().now())?)).await;
    };
    let (pieces, incoming) = mpsc::channel(PIECES_MAX);
    let pass_on = async move {
        loop {
            let piece = match answer.next().await {
                Ok(Some(Piece::Bytes(piece))) => Ok(piece),
                Ok(Some(Piece::Line(_))) => continue,
                Ok(None) => return,
                Err(failure) => Err(failure.sentence),
            };
            // Nobody takes any more once the copy has failed.
            if pieces.send(piece).await.is_err() {
                return;
            }
        }
    };
    let working = blocking(move || {
        let mut rows = FrameReader::new(Incoming::new(incoming)).map_err(|cause| cause.to_string())?;
        work(&mut rows)
    });
    tokio::join!(pass_on, working).1
}

/// Does the work where it slows no server down.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> backup::Outcome<T> + Send + 'static,
) -> Result<T, String> {
    yielding_thread::run("backup", work).await.map_err(|cause| format!("it could not be done: {cause}"))?
}

pub(super) async fn back_up(wanted: Backup) -> CommandResult {
    let Backup { to, file: DataOption { data }, with_key, replace, json } = wanted;
    is_there(&data)?;
    let place = Place::new(&to, replace, Some(&data))?;
    let key_of = with_key.then(|| data.clone());
    let made = with_rows(&data, move |rows| backup::make(rows, &place, key_of.as_deref())).await?;
    if json {
        return print_json(&made);
    }
    print_made(&made);
    match &made.key {
        Some(key) => say!("the secret key lies beside it: {}", key.display()),
        None => say!("{}", about_key(&data)),
    }
    Ok(())
}

fn print_made(made: &Made) {
    say!("{} is whole: {} rows, {} bytes, {:.1} s", made.path.display(), made.rows, made.bytes, made.seconds);
    say!("sequence {}, of {}", made.sequence, made.taken);
    say!("digest {}", made.digest);
    print_problems(&made.problems);
}

fn print_problems(problems: &[String]) {
    if !problems.is_empty() {
        say!("the data itself has {} problems, which `orgd check` lists", problems.len());
    }
}

fn about_key(data: &Path) -> String {
    let key = vault::key_path(data);
    if key.exists() {
        let key = key.display();
        format!(
            "the secret key is not in it: keep {key} apart from it, without it no sealed secret can be read"
        )
    } else {
        "the secret key is not in it: keep ORGD_SECRET_KEY apart from it, without it no sealed secret can be read".into()
    }
}

fn wish(data: &Path, without_key: bool) -> Result<Wish, String> {
    let secret_key = config_of(data.to_owned())?.exports.secret_key;
    Ok(Wish { secret_key, without_key })
}

pub(super) async fn restore(wanted: Restore) -> CommandResult {
    let Restore { from, file: DataOption { data }, without_key, json } = wanted;
    let wish = wish(&data, without_key)?;
    let done = move || backup::restore(&from, &data, &wish, Clock::default().now());
    print_restored(&blocking(done).await?, json)
}

pub(super) async fn import(wanted: Restore) -> CommandResult {
    let Restore { from, file: DataOption { data }, without_key, json } = wanted;
    let wish = wish(&data, without_key)?;
    let done = move || backup::import(&from, &data, &wish, Clock::default().now());
    print_restored(&blocking(done).await?, json)
}

fn print_restored(done: &Restored, json: bool) -> CommandResult {
    if json {
        return print_json(done);
    }
    say!("{} is restored and whole: {} rows, {:.1} s", done.path.display(), done.rows, done.seconds);
    say!("digest {}", done.digest);
    if let Some(kept) = &done.kept {
        say!("what was there before is kept: {}", kept.display());
    }
    if let Some(key) = &done.key {
        say!("the secret key came along: {}", key.display());
    }
    if done.lost_secrets {
        say!("its secrets can't be read without their key: see `orgd check`");
    }
    print_problems(&done.problems);
    Ok(())
}

pub(super) async fn export(wanted: Export) -> CommandResult {
    let Export { to, file, all, replace, json, organizations } = wanted;
    let Some(to) = to.filter(|_| all) else { return org_file::export(organizations, file).await };
    let data = file.data;
    is_there(&data)?;
    let place = Place::new(&to, replace, Some(&data))?;
    let made = with_rows(&data, move |rows| backup::export(rows, &place)).await?;
    if json {
        return print_json(&made);
    }
    print_made(&made);
    say!("{}", about_key(&data));
    Ok(())
}

pub(super) async fn compact(data: PathBuf) -> CommandResult {
    is_there(&data)?;
    let bytes = |data: &Path| data.metadata().map_or(0, |about| about.len());
    let before = bytes(&data);
    let file = data.clone();
    let compacted = blocking(move || {
        store::compact(&file).map_err(|cause| match cause.is_in_use() {
            true => format!(
                "{cause}: stop the server for it. While it runs, free pages are used again, and a backup is compact"
            ),
            false => cause.to_string(),
        })
    });
    compacted.await?;
    say!("{} has {} bytes now, {before} before", data.display(), bytes(&data));
    Ok(())
}
