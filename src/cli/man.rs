//! `orgd man`.

use std::fs;
use std::path::PathBuf;

use clap::CommandFactory;

use super::{Cli, CommandResult};

#[derive(clap::Args)]
pub(super) struct Man {
    /// The folder, made where there is none; one page is written for each command.
    #[arg(long, value_name = "FOLDER")]
    dir: PathBuf,
}

pub(super) fn run(wanted: &Man) -> CommandResult {
    let shown = wanted.dir.display();
    // The commit of the build would make every page another one.
    let program = Cli::command().version(env!("CARGO_PKG_VERSION")).disable_help_subcommand(true);
    fs::create_dir_all(&wanted.dir)
        .and_then(|()| clap_mangen::generate_to(program, &wanted.dir))
        .map_err(|cause| format!("cannot write manual pages to {shown}: {cause}"))
}
