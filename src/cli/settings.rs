//! `orgd config`.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::builder::ValueParser;
use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, CommandFactory, Subcommand, value_parser};
use orgd::config::{self, Config, Every, Keep, Origin, Setting};

use super::{Cli, CommandResult, ports, print_json, serve};

#[derive(Subcommand)]
pub(super) enum Settings {
    /// Prints every setting, its value, and where it comes from; secrets are `set` or unset. Takes the flags of serve.
    Show {
        /// Prints a JSON object in a line for each.
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        config: Box<Config>,
    },
    /// Does all checks of settings that a start does, without starting. Takes the flags of serve.
    Check(Box<Config>),
    /// Prints a file for --config with every setting, its default, and what it does.
    Example,
}

/// Runs one of them.
pub(super) async fn run(command: Settings, matches: &ArgMatches) -> CommandResult {
    match command {
        Settings::Show { json, .. } => show(json, matches),
        Settings::Check(config) => check(*config).await,
        Settings::Example => {
            show!("{}", example());
            Ok(())
        }
    }
}

/// The file that was typed.
pub(super) fn file_of(typed: &[OsString]) -> Option<PathBuf> {
    let mut words = typed.iter();
    while let Some(word) = words.next() {
        if word == "--config" {
            return words.next().map(PathBuf::from);
        }
        if let Some(path) = word.to_str().and_then(|word| word.strip_prefix("--config=")) {
            return Some(path.into());
        }
    }
    None
}

async fn check(config: Config) -> CommandResult {
    for doubt in config::doubts(&config::names(&super::whole_command())) {
        say!("warning: {doubt}");
    }
    let (config, _) = serve::checked(config)?;
    for note in ports::look(&config).await? {
        say!("note: {note}");
    }
    say!("a server can start with these settings");
    Ok(())
}

/// The flags of the server that settings have.
fn flags() -> Vec<Arg> {
    let command = Cli::command();
    let serve = command.find_subcommand("serve");
    let all = serve.into_iter().flat_map(clap::Command::get_arguments);
    let mut all: Vec<Arg> =
        all.filter(|arg| arg.get_long().is_some() && arg.get_id() != "help").cloned().collect();
    let mut headings: Vec<String> = Vec::new();
    // Those of a group stand together, as in the help.
    all.sort_by_cached_key(|arg| {
        let heading = arg.get_help_heading().unwrap_or_default();
        headings.iter().position(|known| known == heading).unwrap_or_else(|| {
            headings.push(heading.to_owned());
            headings.len() - 1
        })
    });
    all
}

fn show(json: bool, matches: &ArgMatches) -> CommandResult {
    let matches = matches.subcommand_matches("config").and_then(|below| below.subcommand_matches("show"));
    let all = all(matches.ok_or("nothing was typed")?)?;
    let width = all.iter().map(|one| one.name.len()).max().unwrap_or_default();
    for one in &all {
        if json {
            print_json(one)?;
            continue;
        }
        let value = one.value.as_deref().unwrap_or("(unset)");
        say!("{:width$}  {value}  ({})", one.name, one.from);
    }
    Ok(())
}

/// Every setting of a server, as these matches of its flags have it; secrets are `set` or unset.
///
/// # Errors
/// A secret cannot be read.
pub(super) fn all(matches: &ArgMatches) -> Result<Vec<Setting>, String> {
    let mut all: Vec<Setting> = flags().iter().map(|flag| shown(flag, matches)).collect();
    for (name, origin) in config::secrets()? {
        all.retain(|one| one.name != name || one.value.is_some());
        if all.iter().all(|one| one.name != name) {
            let value = origin.is_some().then(|| "set".to_owned());
            let from = origin.unwrap_or_else(|| "default".into());
            all.push(Setting { name, value, from, is_plain: false });
        }
    }
    Ok(all)
}

/// Every setting of a server that would be started with the variables and the file alone.
///
/// # Errors
/// A variable has a value that its setting can't take, or a secret cannot be read.
pub(super) fn of_environment() -> Result<Vec<Setting>, String> {
    let typed = ["orgd", "serve"].map(OsString::from);
    let matches = config::fill(super::whole_command(), &typed)?.try_get_matches_from(typed);
    let matches = matches.map_err(|cause| cause.to_string())?;
    all(matches.subcommand_matches("serve").ok_or("nothing was typed")?)
}

/// Whether the setting can hold nothing but a number, a boolean or a choice.
fn is_plain(flag: &Arg) -> bool {
    let of_numbers: [ValueParser; 9] = [
        ValueParser::bool(),
        value_parser!(u8).into(),
        value_parser!(u16).into(),
        value_parser!(u32).into(),
        value_parser!(u64).into(),
        value_parser!(i64).into(),
        ValueParser::new(str::parse::<usize>),
        value_parser!(Every).into(),
        value_parser!(Keep).into(),
    ];
    let own = flag.get_value_parser().type_id();
    !flag.get_possible_values().is_empty() || of_numbers.iter().any(|parser| parser.type_id() == own)
}

fn shown(flag: &Arg, matches: &ArgMatches) -> Setting {
    let id = flag.get_id().as_str();
    let variable = flag.get_env().map(|name| name.to_string_lossy().into_owned());
    let name = variable.clone().unwrap_or_else(|| format!("--{}", flag.get_long().unwrap_or_default()));
    let is_known = matches.try_contains_id(id).unwrap_or(false);
    let raw = if is_known { matches.get_raw(id) } else { None };
    let value = raw.map(|values| values.map(|value| value.to_string_lossy()).collect::<Vec<_>>().join(" "));
    let value = value.filter(|value| !value.is_empty());
    let value = if flag.is_hide_env_values_set() { value.map(|_| "set".to_owned()) } else { value };
    let is_typed = is_known && matches.value_source(id) == Some(ValueSource::CommandLine);
    let from = match variable.and_then(|name| config::origin(&name)) {
        _ if is_typed => "flag".to_owned(),
        Some(Origin::Variable) => "variable".to_owned(),
        Some(Origin::File(path, line)) => format!("file {}:{line}", path.display()),
        None => "default".to_owned(),
    };
    Setting { name, value, from, is_plain: is_plain(flag) }
}

/// A file with every setting as a comment.
fn example() -> String {
    let mut text = "# Settings of orgd, for --config FILE or ORGD_CONFIG: NAME=value lines, as systemd's EnvironmentFile \
                    has them.\n# A flag comes before a variable, a variable before this file.\n"
        .to_owned();
    let mut heading = None;
    for flag in &flags() {
        let Some(name) = flag.get_env().filter(|name| *name != "ORGD_CONFIG") else { continue };
        if flag.get_help_heading() != heading {
            heading = flag.get_help_heading();
            text.push_str(&format!("\n## {}\n", heading.unwrap_or("General")));
        }
        let help = flag.get_help().map(ToString::to_string).unwrap_or_default();
        let default: Vec<_> = flag.get_default_values().iter().map(|value| value.to_string_lossy()).collect();
        text.push_str(&format!(
            "\n# {}\n#{}={}\n",
            help.replace('\n', "\n# "),
            name.to_string_lossy(),
            default.join(" ")
        ));
    }
    text.push_str("\n## Secrets\n");
    for (name, about) in config::SECRETS.iter().filter(|(name, _)| *name != "ORGD_SMTP_URL") {
        text.push_str(&format!("\n# {about}\n#{name}=\n"));
    }
    text
}
