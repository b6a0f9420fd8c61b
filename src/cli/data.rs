//! The data file that a command works on.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use orgd::admin;
use orgd::app::App;
use orgd::config::Config;
use orgd::store::Storage;

use super::CommandResult;

#[derive(clap::Args)]
pub(super) struct DataOption {
    /// The data file.
    #[arg(long, env = "ORGD_DATA", default_value = "./orgd.redb", value_name = "FILE")]
    pub(super) data: PathBuf,
}

/// The settings that the environment gives.
pub(super) fn config_of(data: PathBuf) -> Result<Config, String> {
    let config = Config::from_env().map_err(|cause| cause.to_string())?.with_secrets()?;
    Ok(Config { data, ..config })
}

/// Opens the data file with them.
pub(super) async fn open(place: Storage, data: PathBuf) -> Result<Arc<App>, String> {
    admin::open(config_of(data)?, place, Arc::default()).await
}

/// Refuses what is no data file, before one would be made.
pub(super) fn is_there(data: &Path) -> CommandResult {
    let shown = data.display();
    match std::fs::metadata(data) {
        Err(_) => Err(format!("there is no data file at {shown}")),
        Ok(about) if !about.is_file() => Err(format!("{shown} is not a file")),
        Ok(about) if about.len() == 0 => Err(format!("{shown} is empty: put a good copy in its place")),
        Ok(_) => Ok(()),
    }
}
