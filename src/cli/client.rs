//! The commands of the client, out of their table.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Command, Error, FromArgMatches, Subcommand, value_parser};
use orgd::client::{self, Choice, Given, Kind, NOUNS, Noun, Screen, Take, Verb, complain};

/// Longest list that is shown, where nothing else is wanted.
const LIMIT: &str = "30";

/// A command of the table, as it was typed.
pub(super) struct Client(Box<Given>);

/// Does it, and says what went wrong.
pub(super) async fn run(Client(given): Client) -> ExitCode {
    match client::run(*given, &Screen::here()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            complain(&failure);
            ExitCode::from(failure.code)
        }
    }
}

impl Subcommand for Client {
    fn augment_subcommands(program: Command) -> Command {
        program.subcommands(NOUNS.iter().map(noun))
    }

    fn augment_subcommands_for_update(program: Command) -> Command {
        Client::augment_subcommands(program)
    }

    fn has_subcommand(name: &str) -> bool {
        NOUNS.iter().any(|noun| noun.name == name)
    }
}

impl FromArgMatches for Client {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Client, Error> {
        let unknown = || Error::new(clap::error::ErrorKind::InvalidSubcommand);
        let (name, mut matches) = matches.subcommand().ok_or_else(unknown)?;
        let noun = NOUNS.iter().find(|noun| noun.name == name).ok_or_else(unknown)?;
        let verb = match matches.subcommand() {
            Some((name, of_verb)) => {
                matches = of_verb;
                noun.verbs.iter().find(|verb| verb.name == name)
            }
            None => noun.verbs.first(),
        };
        Ok(Client(Box::new(given(noun, verb.ok_or_else(unknown)?, matches))))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), Error> {
        *self = Client::from_arg_matches(matches)?;
        Ok(())
    }
}

fn noun(noun: &'static Noun) -> Command {
    let command = Command::new(noun.name).about(noun.about.trim_end_matches('.'));
    match noun.verbs {
        [alone] if alone.name.is_empty() => with_arguments(command, alone),
        verbs => {
            command.subcommand_required(true).arg_required_else_help(true).subcommands(verbs.iter().map(verb))
        }
    }
}

fn verb(verb: &'static Verb) -> Command {
    with_arguments(Command::new(verb.name).about(verb.about.trim_end_matches('.')), verb)
}

fn with_arguments(command: Command, verb: &'static Verb) -> Command {
    let has_project = verb.takes.iter().any(|take| take.name == "project");
    let is_login = matches!(verb.does, client::Does::Login);
    let mut command = command.args(verb.takes.iter().map(taken));
    if verb.takes_fields {
        command = command.args([
            text(
                "field",
                "NAME=VALUE",
                "A further field of the API; @FILE for the text of a file. May be given again",
            )
            .short('F')
            .action(ArgAction::Append),
            path("input", "A file with the body as JSON; - for standard input"),
        ]);
    }
    if verb.is_in_organization() || is_login {
        command = command.arg(text("org", "ORG", "The organization: its slug, name or id").short('o'));
    }
    if verb.is_in_project() && !has_project {
        command = command.arg(text("project", "PROJECT", "The project: its name or number").short('p'));
    }
    if verb.is_list() {
        let limit = text("limit", "NUMBER", "How many are shown at most").short('L').default_value(LIMIT);
        command = command.arg(limit.value_parser(value_parser!(u32)));
    }
    if verb.asks.is_some() {
        command = command.arg(switch("yes", "Does not ask").short('y'));
    }
    command
        .args(of_output().into_iter().chain(of_target()))
        .after_help(format!("Example:\n  {}", verb.example))
}

fn of_output() -> [Arg; 1] {
    [text("json", "FIELDS", "Prints JSON: all fields, or these, with commas between")
        .num_args(0..=1)
        .value_delimiter(',')
        .allow_hyphen_values(false)]
}

fn of_target() -> [Arg; 5] {
    [
        text("profile", "NAME", "The profile of the server, as `orgd auth login` stores it")
            .env("ORGD_PROFILE"),
        text("url", "URL", "The server, with the key of ORGD_KEY or ORGD_KEY_FILE").env("ORGD_URL"),
        path("data", "A data file of this machine, as its operator; without a key"),
        text("as", "EMAIL", "With --data: the user in whose name it is done, instead of an owner"),
        switch("allow-http", "Sends the key over http, where others on the way can read it"),
    ]
}

fn taken(take: &'static Take) -> Arg {
    let arg = match take.kind {
        Kind::Switch => switch(take.name, take.help),
        _ if take.is_flag => text(take.name, "VALUE", take.help),
        _ => Arg::new(take.name).value_name(take.name).help(take.help),
    };
    arg.required(take.is_required)
}

fn text(name: &'static str, value: &'static str, help: &'static str) -> Arg {
    Arg::new(name).long(name).value_name(value).help(help)
}

fn path(name: &'static str, help: &'static str) -> Arg {
    text(name, "FILE", help).value_parser(value_parser!(PathBuf)).value_hint(clap::ValueHint::FilePath)
}

fn switch(name: &'static str, help: &'static str) -> Arg {
    Arg::new(name).long(name).action(ArgAction::SetTrue).help(help)
}

fn given(noun: &'static Noun, verb: &'static Verb, matches: &ArgMatches) -> Given {
    let mut values = BTreeMap::new();
    for take in verb.takes {
        let value = match take.kind {
            Kind::Switch => matches.get_flag(take.name).then(String::new),
            _ => matches.get_one::<String>(take.name).cloned(),
        };
        values.extend(value.map(|value| (take.name, value)));
    }
    // A command knows those only that it has.
    let has = |name: &str| matches!(matches.value_source_of(name), Some(ValueSource::CommandLine));
    let one = |name: &str| has(name).then(|| matches.get_one::<String>(name).cloned()).flatten();
    let file = |name: &str| has(name).then(|| matches.get_one::<PathBuf>(name).cloned()).flatten();
    let many = |name: &str| {
        let all = has(name).then(|| matches.get_many::<String>(name)).flatten();
        all.into_iter().flatten().filter(|value| !value.is_empty()).cloned().collect::<Vec<_>>()
    };
    Given {
        noun,
        verb,
        fields: many("field"),
        input: file("input"),
        organization: one("org"),
        project: one("project").filter(|_| !values.contains_key("project")),
        limit: if verb.is_list() { *matches.get_one::<u32>("limit").unwrap_or(&0) as usize } else { 0 },
        json: has("json").then(|| many("json")),
        yes: has("yes"),
        at: Choice {
            data: file("data"),
            user: one("as"),
            url: one("url"),
            profile: one("profile"),
            allow_http: has("allow-http"),
        },
        values,
    }
}

/// Where a value of a command comes from, which may not have it.
trait SourceOf {
    fn value_source_of(&self, name: &str) -> Option<ValueSource>;
}

impl SourceOf for ArgMatches {
    fn value_source_of(&self, name: &str) -> Option<ValueSource> {
        let is_known = self.try_contains_id(name).is_ok();
        if is_known { self.value_source(name) } else { None }
    }
}
