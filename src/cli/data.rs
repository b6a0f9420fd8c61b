//! The data file that a command works on.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use orgd::app::App;
use orgd::config::Config;
use orgd::control::{self, Answer, Failure, Request};
use orgd::store::Storage;
use orgd::{admin, client};
use serde_json::Value;

use super::CommandResult;

#[derive(clap::Args)]
pub(super) struct DataOption {
    /// The data file.
    #[arg(long, env = "ORGD_DATA", default_value = "./orgd.redb", value_name = "FILE")]
    pub(super) data: PathBuf,
}

/// What a command takes that shows something of the data file.
#[derive(clap::Args)]
pub(super) struct Wanted {
    #[command(flatten)]
    pub(super) file: DataOption,
    /// Prints it as one line of JSON, for programs.
    #[arg(long)]
    pub(super) json: bool,
}

/// The settings that the environment gives.
pub(super) fn config_of(data: PathBuf) -> Result<Config, String> {
    client::settings_of(data)
}

/// Opens the data file with them.
pub(super) async fn open(place: Storage, data: PathBuf) -> Result<Arc<App>, String> {
    admin::open(config_of(data)?, place, Arc::default()).await
}

/// Has a request carried out by the server that holds the file or, where none does, in this process.
pub(super) async fn ask(data: &Path, request: Request) -> Result<Answer, Failure> {
    control::ask(data, request, || config_of(data.to_owned())).await
}

/// The same, for a request that answers lines only; each is handed over as it comes.
pub(super) async fn ask_lines(
    data: &Path,
    request: Request,
    mut take: impl FnMut(Value) -> CommandResult,
) -> Result<(), Failure> {
    let mut answer = ask(data, request).await?;
    while let Some(line) = answer.next_line().await? {
        take(line)?;
    }
    Ok(())
}

/// The same, for a request that is answered by one line.
pub(super) async fn ask_line(data: &Path, request: Request) -> Result<Value, Failure> {
    ask(data, request).await?.line().await
}
