//! `orgd check`.

use std::path::PathBuf;

use orgd::backup;
use orgd::error::Error;
use orgd::resources;
use orgd::store::Storage;

use super::CommandResult;
use super::data::{is_there, open};

/// Prints what is wrong with the data file, which is opened without a write.
pub(super) async fn run(data: PathBuf) -> CommandResult {
    is_there(&data)?;
    // Before it is opened as a server would, which may bring it up, in memory.
    let backup::Proof { contents, .. } = backup::prove(&data, false)?;
    println!("digest {}, {} rows", contents.digest, contents.rows);
    let app = open(Storage::Untouched(data.clone()), data).await?;
    let unreadable = |cause: Error| {
        let shown = app.config.data.display().to_string();
        orgd::store::damaged(&shown, &cause.to_string())
    };
    let mut problems = resources::integrity::check(&app.store).map_err(unreadable)?;
    let secrets = app.store.read(|tx| resources::secrets::check(tx, &app.vault, &mut problems));
    secrets.map_err(unreadable)?;
    if problems.is_empty() {
        println!("no problems found");
        return Ok(());
    }
    for problem in &problems {
        println!("{problem}");
    }
    Err(format!("{} problems were found", problems.len()))
}
