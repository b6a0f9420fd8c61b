//! `orgd check`.

use std::path::PathBuf;

use orgd::control::{Failure, Piece, Request};

use super::CommandResult;
use super::data::ask;

/// Prints what is wrong with the data file: by its server or, where none holds it, by opening it without a write.
pub(super) async fn run(data: PathBuf) -> CommandResult {
    Ok(walk(data).await?)
}

async fn walk(data: PathBuf) -> Result<(), Failure> {
    let mut answer = ask(&data, Request::Check).await?;
    while let Some(piece) = answer.next().await? {
        let Piece::Line(line) = piece else { continue };
        if let Some(problem) = line["problem"].as_str() {
            println!("{problem}");
        }
    }
    println!("no problems found");
    if answer.is_of_server() {
        println!(
            "The server holds the file: its checksums can be proved on a backup, or when it has stopped."
        );
    }
    Ok(())
}
