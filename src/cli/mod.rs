//! The command line: one file for each command, which says what it takes and does it.

#[macro_use]
mod output;

mod admin;
mod backup;
mod bootstrap;
mod check;
#[cfg(feature = "client")]
mod client;
mod completions;
mod data;
mod exec;
mod greeting;
mod health;
mod heartbeat;
mod licenses;
mod man;
mod memory;
mod open_files;
mod org_file;
mod owner;
mod ports;
mod ready;
mod seed;
mod serve;
mod settings;
mod signals;
mod status;
mod support;
mod target;
mod test_defaults;
mod upgrade;

use std::io::{BufRead, IsTerminal};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{ArgMatches, CommandFactory, FromArgMatches, Parser, Subcommand};
use listenfd::ListenFd;
use orgd::app::openapi;
use orgd::config::{self, Config};
use orgd::error::Error;
use orgd::{resources, routes};

use data::DataOption;
pub(crate) use exec::become_command;
pub(crate) use output::complain;
pub(crate) use serve::passed_sockets;

/// The PostHog-compatible organization management API: one program, one data file.
#[derive(Parser)]
#[command(name = "orgd", version = env!("ORGD_VERSION"), propagate_version = true)]
pub(crate) struct Cli {
    /// Takes settings from the NAME=value lines of this file, where neither a flag nor a variable gives them.
    #[arg(long, global = true, env = "ORGD_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serves the API.
    Serve(Box<Config>),
    /// Runs a command against a test server of its own, and ends with its exit code.
    Exec(Box<exec::Exec>),
    /// Makes the first owner, organization, project and key of an empty data file.
    Bootstrap(bootstrap::Bootstrap),
    /// Helps people who are locked out; by the server that holds the file, if one does.
    Admin(admin::Admin),
    /// Shows and checks settings, and prints an example of a file with all of them.
    #[command(subcommand)]
    Config(settings::Settings),
    /// Shows the state of the server that holds the data file, or of the file.
    Status(data::Wanted),
    /// Prints what a report of an error needs, without names, addresses, paths and secrets.
    Support(data::Wanted),
    /// Walks the data file and says what is wrong with it.
    Check(DataOption),
    /// Brings a data file to the schema of this version, or says what that will do.
    Upgrade(upgrade::Upgrade),
    /// Asks a server whether it is ready; the exit code is 0 if it is.
    Health(health::Health),
    /// Copies the data file as it is at one moment, and proves the copy.
    Backup(backup::Backup),
    /// Puts a backup into the place of the data file, and keeps what was there.
    Restore(backup::Restore),
    /// Writes organizations into a file that can be planned and applied; or all rows as lines of JSON.
    Export(backup::Export),
    /// Makes the data file of what `export --all` has written, and keeps what was there.
    Import(backup::Restore),
    /// Compares a file of organizations with what is stored, and says what applying it would do: 0 nothing, 2 something.
    #[command(visible_alias = "diff")]
    Plan(org_file::PlanOf),
    /// Brings organizations to what a file says, in one write or not at all.
    Apply(org_file::Apply),
    /// Brings a file of organizations into its one form.
    Fmt(org_file::Fmt),
    /// Prints the JSON Schema of a kind of file, for editors.
    Schema(org_file::Schema),
    /// Gives the space that the data file does not use back to the system; no server may hold it.
    Compact(DataOption),
    /// Prints the route table.
    Routes,
    /// Prints the OpenAPI document as JSON.
    Openapi,
    /// Prints the licences of everything that this program holds.
    Licenses,
    /// Writes the manual pages into a folder.
    Man(man::Man),
    /// Prints what a shell needs to complete commands and flags.
    Completions(completions::Completions),
    #[cfg(feature = "client")]
    #[command(flatten)]
    Client(client::Client),
}

/// A sentence for the operator where the command failed.
pub(crate) type CommandResult = Result<(), String>;

/// What was typed.
pub(crate) struct Typed {
    command: Command,
    /// The same as clap has it, which knows where values come from.
    matches: ArgMatches,
}

/// The command line, with the variables and the file that stand in for flags. Help, and what clap refuses, end the process.
pub(crate) fn parse() -> Result<Typed, String> {
    let typed = test_defaults::add(std::env::args_os().collect());
    let command = whole_command();
    // What follows `--` is for another program.
    let own = typed.split(|word| word == "--").next().unwrap_or_default();
    config::use_file(settings::file_of(own).as_deref(), || config::names(&command))?;
    let matches = config::fill(command, own)?.get_matches_from(&typed);
    let Cli { command, .. } = Cli::from_arg_matches(&matches).unwrap_or_else(|cause| cause.exit());
    Ok(Typed { command, matches })
}

/// All commands, before anything stands in for a flag.
fn whole_command() -> clap::Command {
    let environment = config::environment_section();
    Cli::command().mut_subcommand("serve", |serve| serve.after_long_help(environment))
}

/// Runs the command to its end; returns the exit code.
pub(crate) async fn run(typed: Typed, sockets: ListenFd) -> Result<ExitCode, String> {
    match typed.command {
        Command::Exec(wanted) => exec::run(*wanted).await,
        Command::Plan(wanted) => org_file::plan(wanted).await,
        #[cfg(feature = "client")]
        Command::Client(wanted) => Ok(client::run(wanted).await),
        command => run_own(command, &typed.matches, sockets).await.map(|()| ExitCode::SUCCESS),
    }
}

async fn run_own(command: Command, matches: &ArgMatches, sockets: ListenFd) -> CommandResult {
    match command {
        Command::Exec(_) | Command::Plan(_) => Ok(()),
        #[cfg(feature = "client")]
        Command::Client(_) => Ok(()),
        Command::Serve(config) => serve::run(*config, sockets, settings::all(of_serve(matches)?)?).await,
        Command::Bootstrap(wanted) => bootstrap::run(wanted).await,
        Command::Admin(command) => admin::run(command).await,
        Command::Config(command) => settings::run(command, matches).await,
        Command::Status(wanted) => status::run(wanted).await,
        Command::Support(wanted) => support::run(wanted).await,
        Command::Check(file) => check::run(file.data).await,
        Command::Backup(wanted) => backup::back_up(wanted).await,
        Command::Restore(wanted) => backup::restore(wanted).await,
        Command::Export(wanted) => backup::export(wanted).await,
        Command::Import(wanted) => backup::import(wanted).await,
        Command::Apply(wanted) => org_file::apply(wanted).await,
        Command::Fmt(wanted) => org_file::format(&wanted),
        Command::Schema(wanted) => org_file::schema(&wanted),
        Command::Compact(file) => backup::compact(file.data).await,
        Command::Routes => {
            show!("{}", routes::table().print());
            Ok(())
        }
        Command::Openapi => print_json(&openapi::document(&resources::registry::routes())),
        Command::Licenses => licenses::run(),
        Command::Upgrade(wanted) => upgrade::run(wanted).await,
        Command::Health(wanted) => health::run(wanted).await,
        Command::Man(wanted) => man::run(&wanted),
        Command::Completions(wanted) => completions::run(&wanted),
    }
}

/// What was typed of the flags of the server.
fn of_serve(matches: &ArgMatches) -> Result<&ArgMatches, String> {
    matches.subcommand_matches("serve").ok_or_else(|| "nothing was typed".to_owned())
}

/// What the operator reads of an error.
fn sentence(cause: Error) -> String {
    cause.to_string()
}

fn print_json(value: &impl serde::Serialize) -> CommandResult {
    say!("{}", serde_json::to_string(value).map_err(|cause| cause.to_string())?);
    Ok(())
}

fn read_line() -> Result<String, String> {
    if std::io::stdin().is_terminal() {
        say!("Password:");
    }
    let mut line = String::new();
    std::io::stdin()
        .lock()
        .read_line(&mut line)
        .map_err(|cause| format!("no password could be read: {cause}"))?;
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}
