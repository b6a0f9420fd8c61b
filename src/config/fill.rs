//! Settings on the command line: variables stand in for flags that were not given, and every flag takes what its kind
//! takes everywhere.

use std::ffi::OsString;

use clap::builder::{Resettable, ValueParser};
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, ArgAction, Command};

use super::environment::{FILE_VARIABLE, secret_names, variable};
use super::secret::SECRETS;

/// The names of all variables that the command, those below it, and secrets have.
pub fn names(command: &Command) -> Vec<String> {
    let mut names: Vec<String> = secret_names().chain([FILE_VARIABLE.to_owned()]).collect();
    collect(command, &mut names);
    names.sort();
    names.dedup();
    names
}

fn collect(command: &Command, names: &mut Vec<String>) {
    names.extend(command.get_arguments().filter_map(variable_of));
    command.get_subcommands().for_each(|below| collect(below, names));
}

fn variable_of(arg: &Arg) -> Option<String> {
    arg.get_env().map(|name| name.to_string_lossy().into_owned())
}

/// The command with the values of variables as defaults of its flags. What is typed decides which command below it is meant,
/// and which flags need no variable.
///
/// # Errors
/// A sentence for the operator: a variable has a value that its setting can't take.
pub fn fill(command: Command, typed: &[OsString]) -> Result<Command, String> {
    let words: Vec<String> = typed.iter().map(|word| word.to_string_lossy().into_owned()).collect();
    // Whoever needs help gets it whatever is set.
    let is_help = words.iter().any(|word| ["--help", "-h"].contains(&word.as_str()))
        || words.get(1).is_some_and(|word| word == "help");
    let mut complaint = None;
    let filled = fill_all(command, &words, &mut complaint);
    complaint.filter(|_| !is_help).map_or(Ok(filled), Err)
}

fn fill_all(command: Command, words: &[String], complaint: &mut Option<String>) -> Command {
    // A test server takes nothing from the surroundings: they may be those of another server.
    let reads_variables = !words.iter().any(|word| word == "--test");
    let command = command.mut_args(|arg| {
        let arg = by_kind(arg);
        let Some(name) = variable_of(&arg) else { return arg };
        let arg = described(arg, &name);
        let Some((value, _)) = variable(&name).filter(|_| reads_variables && !is_typed(&arg, words)) else {
            return arg;
        };
        match refusal(&arg, &name, &value) {
            Some(sentence) => {
                complaint.get_or_insert(sentence);
                arg
            }
            None => arg.default_value(value),
        }
    });
    command.mut_subcommands(|below| {
        // The others are not run.
        let is_meant = words.iter().any(|word| word == below.get_name());
        if is_meant { fill_all(below, words, complaint) } else { below }
    })
}

fn is_typed(arg: &Arg, words: &[String]) -> bool {
    let Some(flag) = arg.get_long().map(|name| format!("--{name}")) else { return false };
    words
        .iter()
        .any(|word| word.strip_prefix(&flag).is_some_and(|rest| rest.is_empty() || rest.starts_with('=')))
}

/// Booleans and choices are read in any case, in flags and in variables.
fn by_kind(arg: Arg) -> Arg {
    let is_switch = matches!(arg.get_action(), ArgAction::SetTrue) && arg.get_env().is_some();
    if is_switch {
        return arg
            .action(ArgAction::Set)
            .num_args(0..=1)
            .default_missing_value("true")
            .default_value("false")
            .hide_default_value(true)
            .value_name("on|off")
            .value_parser(boolean);
    }
    if !matches!(arg.get_action(), ArgAction::Set) {
        return arg;
    }
    if arg.get_value_parser().type_id() == ValueParser::bool().type_id() {
        return arg.value_name("on|off").value_parser(boolean);
    }
    let has_choices = !arg.get_possible_values().is_empty();
    arg.ignore_case(has_choices)
}

fn boolean(text: &str) -> Result<bool, String> {
    match text.to_ascii_lowercase().as_str() {
        "1" | "true" | "yes" | "on" => Ok(true),
        "0" | "false" | "no" | "off" => Ok(false),
        _ => Err("`on` or `off` is wanted (or true, false, yes, no, 1, 0)".into()),
    }
}

/// The help names the variable and the default, whatever is set now: values may be secrets.
fn described(arg: Arg, name: &str) -> Arg {
    let default: Vec<String> =
        arg.get_default_values().iter().map(|value| value.to_string_lossy().into_owned()).collect();
    let default = match default.join(" ") {
        text if text.is_empty() || arg.is_hide_default_value_set() => String::new(),
        text => format!(" [default: {text}]"),
    };
    let more = format!(" [env: {name}]{default}");
    let help = arg.get_help().map(|text| format!("{text}{more}"));
    let long = arg.get_long_help().map(|text| format!("{text}\n\n{}", more.trim_start()));
    let arg = arg.env(Resettable::Reset).hide_default_value(true);
    let arg = match help {
        Some(help) => arg.help(help),
        None => arg,
    };
    match long {
        Some(long) => arg.long_help(long),
        None => arg,
    }
}

/// Why the variable's value is none of its setting.
fn refusal(arg: &Arg, name: &str, value: &OsString) -> Option<String> {
    let Some(text) = value.to_str() else { return Some(format!("{name} is not text")) };
    let shown = if arg.is_hide_env_values_set() { name.to_owned() } else { format!("{name}={text}") };
    let flag = arg.get_long()?;
    let alone = arg.clone().required(false).global(false);
    let alone = alone.requires(Resettable::Reset).conflicts_with(Resettable::Reset);
    let tried = Command::new("orgd").arg(alone).try_get_matches_from(["orgd", &format!("--{flag}={text}")]);
    tried.err().and_then(|cause| reason(&cause)).map(|reason| format!("{shown}: {reason}"))
}

/// What would do instead of a wrong value.
fn reason(cause: &clap::Error) -> Option<String> {
    match cause.kind() {
        ErrorKind::InvalidValue => match cause.get(ContextKind::ValidValue) {
            Some(ContextValue::Strings(choices)) => Some(format!("one of {} is wanted", choices.join(", "))),
            _ => Some("another value is wanted".into()),
        },
        ErrorKind::ValueValidation => {
            let source = std::error::Error::source(cause).map(ToString::to_string).unwrap_or_default();
            match source.as_str() {
                "invalid digit found in string" => Some("a whole number is wanted".into()),
                _ => Some(source),
            }
        }
        _ => None,
    }
}

/// What the help says of the variables that no flag has.
pub fn environment_section() -> String {
    let width = SECRETS.iter().map(|(name, _)| name.len()).max().unwrap_or_default();
    let mut text = "Environment, without a flag:\n".to_owned();
    for (name, about) in SECRETS {
        text.push_str(&format!("  {name:width$}  {about}\n"));
    }
    text.push_str(
        "\nEach of these is also taken from the file that NAME_FILE names, and from systemd's credentials \
         (LoadCredential=orgd.secret_key:…). An empty variable counts as unset. Flags come before variables, and \
         these before the file of --config.",
    );
    text
}
