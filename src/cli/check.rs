//! `orgd check`.

use std::path::{Path, PathBuf};

use orgd::backup;
use orgd::control::{self, Failure, Piece, Request};

use super::CommandResult;
use super::data::ask;

/// Prints what is wrong with the data file: by its server or, where none holds it, by opening it without a write.
pub(super) async fn run(data: PathBuf) -> CommandResult {
    Ok(walk(data).await?)
}

async fn walk(data: PathBuf) -> Result<(), Failure> {
    let mut answer = match control::ask_server(&data, &Request::Check).await? {
        Some(answer) => answer,
        None => {
            print_digest(&data).await;
            ask(&data, Request::Check).await?
        }
    };
    while let Some(piece) = answer.next().await? {
        let Piece::Line(line) = piece else { continue };
        if let Some(digest) = line["digest"].as_str().filter(|_| answer.is_of_server()) {
            say!("digest {digest}, {} rows", line["rows"]);
        }
        if let Some(doubt) = line["doubt"].as_str() {
            say!("warning: {doubt}");
        }
        if let Some(problem) = line["problem"].as_str() {
            say!("{problem}");
        }
    }
    say!("no problems found");
    if answer.is_of_server() {
        say!("The server holds the file: its checksums can be proved on a backup, or when it has stopped.");
    }
    Ok(())
}

/// Prints the digest of a closed file as it lies there: a server that opens it may change it, if in memory only.
async fn print_digest(data: &Path) {
    let data = data.to_owned();
    let proof = tokio::task::spawn_blocking(move || backup::prove(&data, false)).await;
    // What is wrong with it is said by the check.
    if let Ok(Ok(backup::Proof { contents, .. })) = proof {
        say!("digest {}, {} rows", contents.digest, contents.rows);
    }
}
