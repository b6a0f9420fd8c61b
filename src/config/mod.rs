//! Every setting, from a flag or its `ORGD_*` variable, read once at the start.

mod acme;
mod backups;
mod environment;
mod exports;
mod fill;
mod memory;
mod networks;
mod plugins;
mod secret;
mod setting;
mod testing;
mod tls;

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, FromArgMatches, ValueEnum};
use url::Url;

pub use acme::Acme;
pub use backups::{BackupS3, Backups, Every, Keep, KeepUnit, Tier};
pub use environment::{Origin, doubts, is_of_variable, origin, use_file, used, value};
pub use exports::Exports;
pub use fill::{environment_section, fill, names};
pub use memory::{Budgets, HASH_BYTES, MEMORY_MIB_MIN};
pub use networks::{Networks, network_of};
pub use plugins::{Plugins, is_of_operator};
use secret::secret;
pub use secret::{SECRETS, client_key, secrets};
pub use setting::Setting;
pub use testing::{ClockStart, HashCost, Mode, PortRange, ReadyForm, Testing};
pub use tls::Tls;

use crate::outbound::AddressPolicy;

/// Settings of `orgd serve`.
#[derive(Clone, Args)]
pub struct Config {
    /// Address to listen on; port 0 picks a free one.
    #[arg(long, help_heading = "Server", env = "ORGD_LISTEN", default_value = "127.0.0.1:8010", value_name = "HOST:PORT", value_parser = place)]
    pub listen: String,

    /// The data file; made where there is none.
    #[arg(
        long,
        help_heading = "Server",
        env = "ORGD_DATA",
        default_value = "./orgd.redb",
        value_name = "FILE"
    )]
    pub data: PathBuf,

    /// For local work: makes a demo owner and prints a ready key. Listens on loopback only.
    #[arg(long, help_heading = "Development and tests", env = "ORGD_DEV")]
    pub dev: bool,

    #[command(flatten)]
    pub testing: Testing,

    /// The address under which people reach this server, such as `https://orgd.example.com`. Links in mails and
    /// answers begin with it, whatever a request says.
    #[arg(long, help_heading = "Server", env = "ORGD_SITE_URL", value_name = "URL", value_parser = site)]
    pub site_url: Option<String>,

    /// Lets anybody sign up at any time, not only the first user.
    #[arg(long, help_heading = "People", env = "ORGD_OPEN_SIGNUP", default_value_t = false, num_args = 0..=1, default_missing_value = "true", action = clap::ArgAction::Set)]
    pub open_signup: bool,

    /// Limits: `on` throttles keys (480 a minute, 4800 an hour) and the user's own settings; `off` also
    /// switches the log-in lock-out off. Unset: only the lock-out.
    #[arg(long, help_heading = "People", env = "ORGD_RATE_LIMIT", value_name = "on|off")]
    pub rate_limit: Option<Switch>,

    /// Seconds after which a session ends that nobody uses.
    #[arg(long, help_heading = "People", env = "ORGD_SESSION_IDLE_SECONDS", default_value_t = 3 * 24 * 60 * 60, value_name = "SECONDS", value_parser = clap::value_parser!(i64).range(1..))]
    pub session_idle_seconds: i64,

    /// The addresses of the proxies in front, whose X-Forwarded-* and Forwarded headers are believed: networks
    /// and addresses between commas, or `true` for loopback and the private ranges.
    #[arg(long, help_heading = "Server", env = "ORGD_TRUST_PROXY", default_value = "false", hide_default_value = true, num_args = 0..=1, default_missing_value = "true", value_name = "NETWORKS")]
    pub trust_proxy: Networks,

    /// Mail server, as smtp://, smtps:// or smtp://…?tls=required, with user and password where needed.
    #[arg(long, help_heading = "Mail", env = "ORGD_SMTP_URL", value_name = "URL", hide_env_values = true)]
    pub smtp_url: Option<String>,

    /// Sender of mails.
    #[arg(
        long,
        help_heading = "Mail",
        env = "ORGD_MAIL_FROM",
        default_value = "orgd <orgd@localhost>",
        value_name = "ADDRESS"
    )]
    pub mail_from: String,

    /// Name server to send all DNS questions to; unset: the system's.
    #[arg(long, help_heading = "Network", env = "ORGD_DNS_SERVER", value_name = "IP:PORT", value_parser = name_server)]
    pub dns_server: Option<SocketAddr>,

    /// What exports and plugins may connect to besides public addresses: networks, addresses and host names
    /// with commas in between (10.0.0.0/8,db.internal:5432,*.example.com), or `any`.
    #[arg(long, help_heading = "Network", env = "ORGD_OUTBOUND_ALLOW", default_value = "", hide_default_value = true, value_name = "LIST", value_parser = AddressPolicy::parse)]
    pub outbound_allow: AddressPolicy,

    /// The name below which proxy records get their targets.
    #[arg(long, help_heading = "Network", env = "ORGD_PROXY_BASE_CNAME", default_value = PROXY_BASE_LOCAL, value_name = "NAME", value_parser = host_name)]
    pub proxy_base_cname: String,

    /// Says where TLS for the names of proxy records ends: `external`, in a proxy of yours. Unset: nowhere.
    #[arg(long, help_heading = "Network", env = "ORGD_PROXY_TLS", value_name = "external")]
    pub proxy_tls: Option<ProxyTls>,

    /// Believes the address that somebody signs up with: one under a verified domain with
    /// `jit_provisioning_enabled` makes them a member there. Only where strangers can't reach the server.
    #[arg(long, help_heading = "People", env = "ORGD_JIT_SIGNUP", default_value_t = false, num_args = 0..=1, default_missing_value = "true", action = clap::ArgAction::Set)]
    pub jit_signup: bool,

    /// Whether the pages for people are served: `on` or `off`.
    #[cfg(feature = "console")]
    #[arg(long, help_heading = "People", env = "ORGD_CONSOLE", default_value = "on", value_name = "on|off")]
    pub console: Switch,

    /// Folder with the scripts of posthog-js, which are then served below /static/; this program brings none.
    #[arg(long, help_heading = "Network", env = "ORGD_SDK_FOLDER", value_name = "FOLDER")]
    pub sdk_folder: Option<PathBuf>,

    /// Constant answers to what SDKs ask besides sending events, such as feature flags, so that they stay silent; `off`:
    /// 404.
    #[arg(
        long,
        help_heading = "Network",
        env = "ORGD_SDK_ANSWERS",
        default_value = "on",
        value_name = "on|off"
    )]
    pub sdk_answers: Switch,

    /// Form of the log.
    #[arg(long, help_heading = "Log", env = "ORGD_LOG_FORMAT", default_value = "text")]
    pub log_format: LogFormat,

    /// How much is logged.
    #[arg(long, help_heading = "Log", env = "ORGD_LOG_LEVEL", default_value = "info")]
    pub log_level: LogLevel,

    /// The most memory that the process takes, in MiB; every budget is a part of it.
    #[arg(long, help_heading = "Memory and limits", env = "ORGD_MEMORY_MIB", default_value_t = 256, value_name = "MIB", value_parser = memory_mib)]
    pub memory_mib: usize,

    /// Memory for cached pages of the data file, in MiB. Unset: an eightieth of `--memory-mib`, of
    /// which it is a part in any case.
    #[arg(long, help_heading = "Memory and limits", env = "ORGD_CACHE_MIB", value_name = "MIB")]
    pub cache_mib: Option<usize>,

    /// Open connections at once; more have to wait.
    #[arg(long, help_heading = "Memory and limits", env = "ORGD_CONNECTIONS_MAX", default_value_t = 4096, value_name = "COUNT", value_parser = positive)]
    pub connections_max: usize,

    /// Open connections of one address (a /64 of IPv6); idle ones make way for newer ones, then more are
    /// refused. The addresses of --trust-proxy are exempt. Unset: a quarter of all.
    #[arg(long, help_heading = "Memory and limits", env = "ORGD_CONNECTIONS_PER_ADDRESS_MAX", value_name = "COUNT", value_parser = positive)]
    pub connections_per_address_max: Option<usize>,

    /// Largest request body, in bytes.
    #[arg(long, help_heading = "Memory and limits", env = "ORGD_BODY_BYTES_MAX", default_value_t = 20 * 1024 * 1024, value_name = "BYTES")]
    pub body_bytes_max: usize,

    /// Seconds in which a request's head must arrive; also how long a connection stays open on which nothing
    /// happens, and how long a peer may leave an answer unread.
    #[arg(
        long,
        help_heading = "Memory and limits",
        env = "ORGD_HEADER_SECONDS_MAX",
        default_value_t = 30,
        value_name = "SECONDS"
    )]
    pub header_seconds_max: u64,

    /// Seconds in which a request's body must arrive.
    #[arg(
        long,
        help_heading = "Memory and limits",
        env = "ORGD_BODY_SECONDS_MAX",
        default_value_t = 60,
        value_name = "SECONDS"
    )]
    pub body_seconds_max: u64,

    /// Seconds that requests under way get to finish when the server stops.
    #[arg(
        long,
        help_heading = "Server",
        env = "ORGD_DRAIN_SECONDS_MAX",
        default_value_t = 20,
        value_name = "SECONDS"
    )]
    pub drain_seconds_max: u64,

    /// A clock that is more than a day ahead of the data file has to go on for so many hours before
    /// anything is removed for its age; 0 believes any clock.
    #[arg(
        long,
        help_heading = "Memory and limits",
        env = "ORGD_CLOCK_WAIT_HOURS",
        default_value_t = 24,
        value_name = "HOURS"
    )]
    pub clock_wait_hours: u32,

    /// Goes on with another secret key than the one that the secrets in the data file were sealed with, and
    /// makes one where there is none. Sealed secrets are lost and have to be entered again.
    #[arg(long, help_heading = "Server")]
    pub new_secret_key: bool,

    #[command(flatten)]
    pub backups: Backups,

    #[command(flatten)]
    pub tls: Tls,

    /// Answers at `/metrics` there, and nothing else: for Prometheus. A port alone is on loopback.
    #[arg(long, help_heading = "Log", env = "ORGD_METRICS_LISTEN", value_name = "HOST:PORT")]
    pub metrics_listen: Option<String>,

    /// What callers of `/metrics` show as a bearer token. With it, the main address has `/metrics` too.
    #[arg(skip)]
    pub metrics_token: Option<String>,

    #[command(flatten)]
    pub exports: Exports,

    #[command(flatten)]
    pub plugins: Plugins,

    #[command(flatten)]
    pub bootstrap: Bootstrap,
}

/// The first owner of an empty file, made at the start.
#[derive(Clone, Args)]
#[command(next_help_heading = "First owner")]
pub struct Bootstrap {
    /// E-mail address of the first owner, made when the file is empty.
    #[arg(
        id = "bootstrap_email",
        long = "bootstrap-email",
        env = "ORGD_BOOTSTRAP_EMAIL",
        value_name = "ADDRESS"
    )]
    pub email: Option<String>,

    /// Name of the first organization.
    #[arg(
        id = "bootstrap_organization",
        long = "bootstrap-organization",
        env = "ORGD_BOOTSTRAP_ORGANIZATION",
        value_name = "NAME"
    )]
    pub organization: Option<String>,

    /// Password of the first owner; without one, only the key opens anything.
    #[arg(skip)]
    pub password: Option<String>,

    /// Value of the first owner's personal API key.
    #[arg(skip)]
    pub api_key: Option<String>,
}

impl Bootstrap {
    /// Secrets come from the environment or from files only: a flag would show them in the list of processes.
    ///
    /// # Errors
    /// One sentence for the operator.
    pub fn with_secrets(mut self) -> Result<Bootstrap, String> {
        self.password = secret("ORGD_BOOTSTRAP_PASSWORD")?;
        self.api_key = secret("ORGD_BOOTSTRAP_API_KEY")?;
        Ok(self)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Switch {
    #[value(aliases = ["true", "yes", "1"])]
    On,
    #[value(aliases = ["false", "no", "0"])]
    Off,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ProxyTls {
    External,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    Text,
    Json,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogLevel {
    Error,
    Warn,
    Info,
    Debug,
}

/// Names below `localhost` lead to the machine itself, so that a target works where the server does.
pub const PROXY_BASE_LOCAL: &str = "proxy.localhost";
/// Invites are open for three days.
pub const INVITE_SECONDS: i64 = 3 * 24 * 60 * 60;
/// Sessions last two weeks, unless nobody uses them.
pub const SESSION_SECONDS: i64 = 14 * 24 * 60 * 60;
/// How fresh a log-in must be to change personal API keys.
pub const SENSITIVE_SESSION_SECONDS: i64 = 6 * 60 * 60;
/// How long after a log-in the password need not be given again for what is dangerous.
pub const JUST_LOGGED_IN_SECONDS: i64 = 10 * 60;
/// How often a session's last use is written down at most, in seconds.
pub const ACTIVITY_SECONDS: i64 = 5 * 60;
/// Passwords that wait to be hashed, of all callers. Each hash takes about 20 ms.
pub const HASHES_WAITING_MAX: usize = 32;
/// Sessions of one user, log-ins that wait for their second step included.
pub const SESSIONS_MAX: usize = 100;
/// Personal API keys of one user.
pub const KEYS_MAX: usize = 10;
/// Invites in one bulk request.
pub const BULK_INVITES_MAX: usize = 20;
/// How many plugins are got from elsewhere at once.
pub const INSTALLS_MAX: usize = 4;
/// How long a project's live events token is good for.
pub const LIVE_EVENTS_SECONDS: i64 = 7 * 24 * 60 * 60;
/// Answers from this size on are compressed for callers who accept it, in bytes.
pub const GZIP_BYTES_MIN: usize = 4096;
/// Largest request head, in bytes; one that arrives in large pieces may be about twice as large.
pub const HEAD_BYTES_MAX: usize = 64 * 1024;
/// Largest body for routes that are open to strangers or to sessions only, such as the log-in, in bytes.
pub const SMALL_BODY_BYTES_MAX: usize = 64 * 1024;
/// Largest form of a page, in bytes.
pub const PAGE_BODY_BYTES_MAX: usize = 256 * 1024;
/// Largest body of what controls a development or test server, in bytes.
pub const CONTROL_BODY_BYTES_MAX: usize = 2 * 1024 * 1024;
/// Seconds without a byte after which a body is given up.
pub const BODY_PAUSE_SECONDS_MAX: u64 = 10;
/// Path and query together, in bytes.
pub const URI_BYTES_MAX: usize = 16 * 1024;
/// Values in one body, lest a small text become a large structure.
pub const BODY_VALUES_MAX: usize = 500_000;
/// How deep JSON in a body may nest (the parser's own limit).
pub const JSON_DEPTH_MAX: usize = 128;

fn memory_mib(text: &str) -> Result<usize, String> {
    text.parse::<usize>()
        .ok()
        .filter(|number| (MEMORY_MIB_MIN..=1024 * 1024).contains(number))
        .ok_or_else(|| format!("a whole number of MiB from {MEMORY_MIB_MIN} on"))
}

/// Nothing but scheme, host and port: links are this text and a path.
fn site(text: &str) -> Result<String, String> {
    const WANTED: &str = "an address that begins with http:// or https://, such as https://orgd.example.com";
    let url = Url::parse(text).map_err(|_| WANTED.to_owned())?;
    if !["http", "https"].contains(&url.scheme()) || !url.has_host() {
        return Err(WANTED.to_owned());
    }
    let extra = [
        (!url.username().is_empty() || url.password().is_some(), "a user or password"),
        (url.path() != "/", "a path"),
        (url.query().is_some(), "a query"),
        (url.fragment().is_some(), "a fragment"),
    ];
    match extra.iter().find(|(has, _)| *has) {
        Some((_, part)) => Err(format!("an address without {part}, such as https://orgd.example.com")),
        None => Ok(url.origin().ascii_serialization()),
    }
}

fn host_name(text: &str) -> Result<String, String> {
    let name = text.trim_matches('.');
    let is_label = |label: &str| {
        !label.is_empty() && label.bytes().all(|letter| letter.is_ascii_alphanumeric() || letter == b'-')
    };
    if name.split('.').all(is_label) {
        Ok(name.to_owned())
    } else {
        Err("a host name, such as proxy.example.com".to_owned())
    }
}

/// Where to listen: the name may be looked up later, the port must be there.
fn place(text: &str) -> Result<String, String> {
    let port = |text: &str| text.parse::<u16>().is_ok();
    match text.rsplit_once(':') {
        Some((host, number)) if !host.is_empty() && port(number) => Ok(text.to_owned()),
        None if port(text) => Err(format!(
            "HOST:PORT is wanted: 127.0.0.1:{text} for this machine only, 0.0.0.0:{text} for others as well"
        )),
        Some(("", number)) if port(number) => Err(format!(
            "HOST:PORT is wanted: 127.0.0.1:{number} for this machine only, 0.0.0.0:{number} for others as well"
        )),
        _ => Err("HOST:PORT is wanted, such as 127.0.0.1:8010".into()),
    }
}

/// The address of a name server, at port 53 unless it names another.
fn name_server(text: &str) -> Result<SocketAddr, String> {
    let bare = text.trim_start_matches('[').trim_end_matches(']');
    let at_its_port = || bare.parse::<std::net::IpAddr>().map(|address| SocketAddr::new(address, 53));
    text.parse()
        .or_else(|_| at_its_port())
        .map_err(|_| "the address of a name server is wanted, such as 10.0.0.53 or 10.0.0.53:53".into())
}

fn positive(text: &str) -> Result<usize, String> {
    text.parse::<usize>()
        .ok()
        .filter(|number| *number > 0)
        .ok_or_else(|| "a whole number from 1 on".to_owned())
}

impl Config {
    /// The settings of a program without flags: the `ORGD_*` variables, and the defaults.
    ///
    /// # Errors
    /// A variable has a value that its setting can't take.
    pub fn from_env() -> Result<Config, String> {
        let command = fill(Config::augment_args(clap::Command::new("orgd")), &[])?;
        let matches = command.try_get_matches_from(["orgd"]);
        let config = matches.and_then(|matches| Config::from_arg_matches(&matches));
        config.map_err(|cause| cause.to_string())
    }

    /// The settings that words of a command line make, with `--test` among them: then no variable stands in for a flag.
    ///
    /// # Errors
    /// What is wrong with a word.
    #[cfg(feature = "testing")]
    pub fn of_words<'a>(words: impl Iterator<Item = &'a str>) -> Result<Config, String> {
        let words: Vec<std::ffi::OsString> = words.map(Into::into).collect();
        let matches =
            fill(Config::augment_args(clap::Command::new("orgd")), &words)?.try_get_matches_from(words);
        let config = matches.and_then(|matches| Config::from_arg_matches(&matches));
        config.map_err(|cause| cause.to_string())
    }

    /// Whether the pages for people are served.
    pub fn has_console(&self) -> bool {
        #[cfg(feature = "console")]
        let has = self.console == Switch::On;
        #[cfg(not(feature = "console"))]
        let has = false;
        has
    }

    /// What the server is besides an ordinary one.
    pub fn mode(&self) -> Option<Mode> {
        match (self.testing.test, self.dev) {
            (true, _) => Some(Mode::Test),
            (false, true) => Some(Mode::Dev),
            (false, false) => None,
        }
    }

    /// Whether the demo owner's key is one that somebody chose.
    pub fn has_pinned_key(&self) -> bool {
        self.testing.api_key.is_some() || self.bootstrap.api_key.is_some()
    }

    /// Whether mails are sent, or in test mode kept for whoever reads them there.
    pub fn sends_mail(&self) -> bool {
        self.smtp_url.is_some() || self.mode() == Some(Mode::Test)
    }

    /// What a password costs to hash.
    pub fn hash_cost(&self) -> HashCost {
        if self.testing.in_memory { HashCost::Least } else { HashCost::Full }
    }

    /// How much memory each kind of work gets.
    pub fn budgets(&self) -> Budgets {
        Budgets::of(self.memory_mib, self.cache_mib)
    }

    /// With the secrets that the environment, files and the system's credentials hold.
    ///
    /// # Errors
    /// One sentence for the operator: a secret can't be read, or is given twice.
    pub fn with_secrets(mut self) -> Result<Config, String> {
        // A flag may have set it.
        if self.smtp_url.is_none() && !self.testing.test {
            self.smtp_url = secret("ORGD_SMTP_URL")?;
        }
        self.metrics_token = secret("ORGD_METRICS_TOKEN")?;
        self.bootstrap = self.bootstrap.with_secrets()?;
        self.backups = self.backups.with_secrets()?;
        self.exports = self.exports.with_secrets()?;
        self.plugins = self.plugins.with_secrets()?;
        Ok(self)
    }

    /// What is wrong with settings that depend on each other or on the machine: a sentence for the operator each.
    pub fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        if self.smtp_url.is_some() && self.testing.test {
            problems.push("--test sends no mail: --smtp-url (ORGD_SMTP_URL) must go".to_owned());
        }
        if self.smtp_url.is_some() && self.site_url.is_none() && self.mode().is_none() {
            let needs = "--smtp-url needs --site-url (ORGD_SITE_URL): links in mails begin with it, and whoever \
                         sends a request could choose their host otherwise";
            problems.push(needs.to_owned());
        }
        problems.extend(self.testing.problems(self.mode().is_some()));
        problems.extend(self.backups.problem());
        let folders = [
            ("--plugin-local-dir", "ORGD_PLUGIN_LOCAL_DIR", &self.plugins.plugin_local_dir),
            ("--sdk-folder", "ORGD_SDK_FOLDER", &self.sdk_folder),
        ];
        for (flag, name, folder) in folders {
            let Some(folder) = folder.as_deref().filter(|folder| !folder.is_dir()) else { continue };
            let shown = folder.to_string_lossy();
            problems.push(format!("{}: there is no such folder", used(flag, name, &shown)));
        }
        problems
    }

    /// Where metrics are served by themselves: a port alone is on loopback.
    pub fn metrics_place(&self) -> Option<String> {
        let place = self.metrics_listen.as_ref()?;
        let is_port = place.bytes().all(|byte| byte.is_ascii_digit());
        Some(if is_port { format!("127.0.0.1:{place}") } else { place.clone() })
    }

    /// How many connections one address may have.
    pub fn connections_per_address(&self) -> usize {
        self.connections_per_address_max.unwrap_or(self.connections_max / 4).max(1)
    }

    /// Whether the log-in lock-out is on.
    pub fn lock_out(&self) -> bool {
        self.rate_limit != Some(Switch::Off)
    }

    /// Whether keys and user settings are throttled.
    pub fn throttles(&self) -> bool {
        self.rate_limit == Some(Switch::On)
    }
}

impl fmt::Debug for Config {
    /// Without the parts that hold secrets.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Config")
            .field("listen", &self.listen)
            .field("data", &self.data)
            .field("site_url", &self.site_url)
            .field("open_signup", &self.open_signup)
            .field("rate_limit", &self.rate_limit)
            .field("mail", &self.sends_mail())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::site;

    #[test]
    fn a_site_is_a_scheme_a_host_and_a_port() {
        for (text, site_url) in [
            ("https://orgd.example.com", "https://orgd.example.com"),
            ("HTTPS://Orgd.Example.com/", "https://orgd.example.com"),
            ("https://orgd.example.com:443", "https://orgd.example.com"),
            ("http://127.0.0.1:8010/", "http://127.0.0.1:8010"),
            ("http://[::1]:8010", "http://[::1]:8010"),
        ] {
            assert_eq!(site(text).as_deref(), Ok(site_url), "{text}");
        }
        for (text, word) in [
            ("", "begins with"),
            ("orgd.example.com", "begins with"),
            ("ftp://orgd.example.com", "begins with"),
            ("https://", "begins with"),
            ("https://user@orgd.example.com", "without a user"),
            ("https://:word@orgd.example.com", "without a user"),
            ("https://orgd.example.com/orgd/", "without a path"),
            ("https://orgd.example.com/?x=1", "without a query"),
            ("https://orgd.example.com/#x", "without a fragment"),
        ] {
            let refused = site(text).expect_err(text);
            assert!(refused.contains(word), "{text}: {refused}");
        }
    }
}
