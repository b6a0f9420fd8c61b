//! `orgd completions`.

use clap::{CommandFactory, ValueEnum};
use clap_complete::{Generator, Shell};

use super::{Cli, CommandResult};

#[derive(clap::Args)]
pub(super) struct Completions {
    shell: KnownShell,
}

#[derive(Clone, Copy, ValueEnum)]
enum KnownShell {
    Bash,
    Fish,
    Zsh,
}

pub(super) fn run(wanted: &Completions) -> CommandResult {
    let shell = match wanted.shell {
        KnownShell::Bash => Shell::Bash,
        KnownShell::Fish => Shell::Fish,
        KnownShell::Zsh => Shell::Zsh,
    };
    let mut program = Cli::command();
    program.set_bin_name("orgd");
    program.build();
    let mut text = Vec::new();
    shell.try_generate(&program, &mut text).map_err(|cause| cause.to_string())?;
    show!("{}", String::from_utf8(text).map_err(|cause| cause.to_string())?);
    Ok(())
}
