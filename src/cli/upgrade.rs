//! `orgd upgrade`.

use std::path::PathBuf;

use orgd::control::is_there;
use orgd::resources::registry;
use orgd::store::{Storage, plan};

use super::CommandResult;
use super::data::{config_of, open};

#[derive(clap::Args)]
pub(super) struct Upgrade {
    /// Says what would be done, and does it in memory to see that it works; the file stays as it is.
    #[arg(long)]
    check: bool,

    /// The data file. No server may hold it.
    #[arg(env = "ORGD_DATA", default_value = "./orgd.redb", value_name = "FILE")]
    file: PathBuf,
}

pub(super) async fn run(wanted: Upgrade) -> CommandResult {
    let Upgrade { check, file } = wanted;
    is_there(&file)?;
    let cache_bytes = config_of(file.clone())?.budgets().cache;
    let plan = plan(&file, cache_bytes, registry::tables()).map_err(|cause| cause.to_string())?;
    for sentence in plan.sentences() {
        say!("{sentence}");
    }
    if plan.steps.is_empty() {
        return Ok(());
    }
    let millis = plan.took.as_millis();
    if check {
        say!(
            "done in memory, it took {millis} ms; at the next start, or by `orgd upgrade`, it takes about as long"
        );
        say!(
            "and the time to copy the file. To go back: put that copy in its place and start the older version"
        );
        return Ok(());
    }
    drop(open(Storage::File(file.clone()), file).await?);
    say!("done");
    Ok(())
}
