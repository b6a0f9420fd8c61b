//! Development and test servers: what they may do and an ordinary server never does.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use crate::clock::{Time, duration};

/// What a server is besides an ordinary one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// For local work.
    Dev,
    /// For automatic tests.
    Test,
}

impl Mode {
    /// The value of the header `Orgd-Mode`.
    pub fn name(self) -> &'static str {
        match self {
            Mode::Dev => "dev",
            Mode::Test => "test",
        }
    }
}

/// What a password costs to hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HashCost {
    /// As it should be.
    Full,
    /// The least that argon2 allows, for data that is forgotten with the process.
    Least,
}

/// How the server says that it is ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ReadyForm {
    Json,
}

/// Where the clock begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClockStart {
    /// It stands still there.
    Frozen(Time),
    /// It runs, so many seconds ahead.
    Ahead(i64),
}

/// Ports from the first to the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PortRange {
    first: u16,
    last: u16,
}

impl PortRange {
    /// All of them, in order.
    pub fn all(self) -> impl Iterator<Item = u16> {
        self.first..=self.last
    }
}

fn port_range(text: &str) -> Result<PortRange, String> {
    let read = text.split_once('-').and_then(|(first, last)| Some((first.parse().ok()?, last.parse().ok()?)));
    match read {
        Some((first, last)) if 0 < first && first <= last => Ok(PortRange { first, last }),
        _ => Err("FIRST-LAST is wanted, such as 8011-8074".to_owned()),
    }
}

/// Settings of servers that tests run against. None of them has a variable: nobody can set them by accident.
#[derive(Clone, Args)]
#[command(next_help_heading = "Development and tests")]
pub struct Testing {
    /// For automatic tests: --dev --in-memory --listen 127.0.0.1:0 --ready json --ids 1 --log-level warn, each unless it
    /// is given.
    #[arg(long)]
    pub test: bool,

    /// Keeps all data in memory, and makes hashing passwords cheap; needs --dev.
    #[arg(long, conflicts_with = "data")]
    pub in_memory: bool,

    /// Begins with a copy of this data file, which itself is never written to; needs --in-memory.
    #[arg(long, value_name = "FILE")]
    pub from: Option<PathBuf>,

    /// Writes the data to this file when the server ends, whole or not at all; needs --in-memory.
    #[arg(long, value_name = "FILE")]
    pub save_on_exit: Option<PathBuf>,

    /// Makes what this file says of organizations and people, in place of the demo owner; see docs/organization-file.md.
    #[arg(long, value_name = "FILE")]
    pub seed: Option<PathBuf>,

    /// Makes every identifier, token and secret a function of this number, of what it is for, and of how many of them
    /// were made before.
    #[arg(long, value_name = "NUMBER")]
    pub ids: Option<u64>,

    /// The time at which the clock stands still, such as 2026-01-01T00:00:00Z, or how far it runs ahead, such as +72h.
    #[arg(long, value_name = "TIME", value_parser = clock_start)]
    pub clock: Option<ClockStart>,

    /// The value of the demo owner's personal API key. It shows in the list of processes: ORGD_BOOTSTRAP_API_KEY does not.
    #[arg(long, value_name = "KEY", hide_env_values = true)]
    pub api_key: Option<String>,

    /// The token of the demo project.
    #[arg(long, value_name = "TOKEN", value_parser = project_token)]
    pub project_token: Option<String>,

    /// Listens on other addresses than loopback, for containers; needs --in-memory.
    #[arg(long)]
    pub exposed: bool,

    /// A further name under which the paths below /_orgd/ are reached; may be given again.
    #[arg(long, value_name = "NAME")]
    pub control_host: Vec<String>,

    /// The ports of forks, such as 8011-8074, where a container publishes them; any that is free unless given.
    #[arg(long, value_name = "FIRST-LAST", value_parser = port_range)]
    pub fork_ports: Option<PortRange>,

    /// The memory that forks and snapshots may hold, in MiB.
    #[arg(long, value_name = "MIB", default_value_t = 1024)]
    pub forks_mib: u64,

    /// Begins with the rules of this file, in JSON, of what is to go wrong.
    #[arg(long, value_name = "FILE")]
    pub faults: Option<PathBuf>,

    /// Prints one line of JSON on standard output as soon as the server accepts connections, and nothing else.
    #[arg(long, value_name = "json")]
    pub ready: Option<ReadyForm>,

    /// Writes the same line to this file, and beside it, with the ending .env, NAME=value lines.
    #[arg(long, value_name = "FILE")]
    pub ready_file: Option<PathBuf>,

    /// Ends when standard input is closed, so that nothing is left when whoever started it is killed.
    #[arg(long)]
    pub exit_with_stdin: bool,
}

impl Testing {
    /// Takes the clock that a seed wants, unless the command line has one.
    ///
    /// # Errors
    /// A sentence for the operator.
    pub fn take_clock(&mut self, wanted: &str) -> Result<(), String> {
        if self.clock.is_none() {
            self.clock = Some(clock_start(wanted).map_err(|sentence| format!("seed: clock: {sentence}"))?);
        }
        Ok(())
    }

    /// Whether secrets or times can be foretold.
    pub fn is_predictable(&self) -> bool {
        self.ids.is_some() || self.clock.is_some() || self.api_key.is_some() || self.project_token.is_some()
    }

    /// What is wrong with them: a sentence for the operator each. `is_dev`: whether it is no ordinary server.
    pub(super) fn problems(&self, is_dev: bool) -> Vec<String> {
        let for_dev = [
            ("--in-memory", self.in_memory),
            ("--seed", self.seed.is_some()),
            ("--ids", self.ids.is_some()),
            ("--clock", self.clock.is_some()),
            ("--api-key", self.api_key.is_some()),
            ("--project-token", self.project_token.is_some()),
            ("--exposed", self.exposed),
            ("--control-host", !self.control_host.is_empty()),
            ("--faults", self.faults.is_some()),
        ];
        let in_memory = [
            ("--exposed", self.exposed),
            ("--fork-ports", self.fork_ports.is_some()),
            ("--from", self.from.is_some()),
            ("--save-on-exit", self.save_on_exit.is_some()),
        ];
        let given = |all: &[(&'static str, bool)]| -> Vec<&'static str> {
            all.iter().filter(|(_, is_given)| *is_given).map(|(flag, _)| *flag).collect()
        };
        let mut problems = Vec::new();
        if !is_dev {
            problems.extend(given(&for_dev).iter().map(|flag| format!("{flag} needs --dev or --test")));
        }
        if !self.in_memory {
            problems.extend(given(&in_memory).iter().map(|flag| format!("{flag} needs --in-memory")));
        }
        if self.from.is_some() && self.from == self.save_on_exit {
            problems.push("--save-on-exit names the file of --from, which is never written to".to_owned());
        }
        problems
    }
}

fn clock_start(text: &str) -> Result<ClockStart, String> {
    const WANTED: &str =
        "a time is wanted, such as 2026-01-01T00:00:00Z, or how far the clock runs ahead, such as +0 or +72h";
    let start = match text.strip_prefix('+') {
        Some("0") => Some(ClockStart::Ahead(0)),
        Some(text) => duration::seconds(text).map(ClockStart::Ahead),
        None => Time::parse(text).filter(|time| Time::SETTABLE.contains(time)).map(ClockStart::Frozen),
    };
    start.ok_or_else(|| WANTED.to_owned())
}

fn project_token(text: &str) -> Result<String, String> {
    const LETTERS: std::ops::RangeInclusive<usize> = 8..=100;
    let rest = text.strip_prefix("phc_").unwrap_or_default();
    let is_plain = rest.bytes().all(|letter| letter.is_ascii_alphanumeric() || letter == b'_');
    if is_plain && LETTERS.contains(&rest.len()) {
        Ok(text.to_owned())
    } else {
        Err("phc_ and 8 to 100 letters, digits and underscores are wanted".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_stands_still_or_runs_ahead() {
        let year = Time::parse("2026-01-01T00:00:00Z").unwrap();
        for (text, start) in [
            ("2026-01-01T00:00:00Z", Some(ClockStart::Frozen(year))),
            ("+0", Some(ClockStart::Ahead(0))),
            ("+90s", Some(ClockStart::Ahead(90))),
            ("+4d", Some(ClockStart::Ahead(4 * 24 * 60 * 60))),
            ("72h", None),
            ("+", None),
            ("+-1h", None),
            ("-1h", None),
            ("", None),
            ("0000-01-01T00:00:00Z", None),
            ("yesterday", None),
        ] {
            assert_eq!(clock_start(text).ok(), start, "{text}");
        }
    }

    #[test]
    fn tokens_are_told_by_their_front() {
        assert!(project_token("phc_test_token_1").is_ok());
        for wrong in ["", "phc_", "phc_short", "test_token_1", "phc_test token", "phc_test_token_1\n"] {
            assert!(project_token(wrong).is_err(), "{wrong}");
        }
    }
}
