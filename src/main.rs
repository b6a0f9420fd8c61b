//! The command line.
#![expect(clippy::print_stdout, reason = "a command's result goes to standard output")]

use std::io::{BufRead, IsTerminal};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::process::ExitCode;
use std::sync::Arc;

use clap::{Parser, Subcommand};
use orgd::admin::{self, BootstrapOwner, Bootstrapped};
use orgd::app::{App, openapi};
use orgd::background::mailer;
use orgd::clock::{Clock, Time};
use orgd::config::Config;
use orgd::error::Error;
use orgd::store::Storage;
use orgd::{logging, resources, routes};
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::oneshot;

/// Gives free memory back to the system, also while nothing is going on.
#[cfg(feature = "jemalloc")]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// The PostHog-compatible organization management API: one program, one data file.
#[derive(Parser)]
#[command(name = "orgd", version = env!("ORGD_VERSION"), propagate_version = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serves the API.
    Serve(Box<Config>),
    /// Makes the first owner, organization, project and key of an empty data file.
    Bootstrap {
        #[command(flatten)]
        file: DataOption,
        /// E-mail address of the owner.
        #[arg(long)]
        email: String,
        /// Name of the organization.
        #[arg(long)]
        organization: String,
        /// Name by which the owner is greeted.
        #[arg(long, default_value = "Owner")]
        first_name: String,
        /// Reads the password from standard input; without it, only the key opens anything.
        #[arg(long)]
        password_stdin: bool,
    },
    /// Helps people who are locked out; no server may hold the file.
    #[command(subcommand)]
    Admin(Admin),
    /// Walks the data file and says what is wrong with it.
    Check {
        #[command(flatten)]
        file: DataOption,
    },
    /// Prints the route table.
    Routes,
    /// Prints the OpenAPI document as JSON.
    Openapi,
    /// Prints the licences of everything that this program holds.
    Licenses,
}

#[derive(Subcommand)]
enum Admin {
    /// Sets a user's password, and prints it where none was given.
    ResetPassword {
        #[command(flatten)]
        file: DataOption,
        /// E-mail address of the user.
        #[arg(long)]
        email: String,
        /// Reads the new password from standard input.
        #[arg(long)]
        password_stdin: bool,
    },
    /// Prints a link by which a user can choose a new password, once, within an hour, when the server runs again.
    ResetLink {
        #[command(flatten)]
        file: DataOption,
        /// E-mail address of the user.
        #[arg(long)]
        email: String,
    },
    /// Takes the second factor from a user who has lost it; their password stays.
    RemoveTwoFactor {
        #[command(flatten)]
        file: DataOption,
        /// E-mail address of the user.
        #[arg(long)]
        email: String,
    },
    /// Ends all sessions of a user; keys and the password stay.
    EndSessions {
        #[command(flatten)]
        file: DataOption,
        /// E-mail address of the user.
        #[arg(long)]
        email: String,
    },
    /// Takes a domain from all organizations that claim it or have a proxy record of it; prints each.
    FreeDomain {
        #[command(flatten)]
        file: DataOption,
        /// Name of the domain.
        #[arg(long)]
        domain: String,
    },
    /// Takes back all open invites to an address, so that somebody can take it; prints each.
    FreeAddress {
        #[command(flatten)]
        file: DataOption,
        /// The e-mail address.
        #[arg(long)]
        email: String,
        /// Takes the address from the account that uses it as well, and logs that account out.
        #[arg(long)]
        account: bool,
    },
    /// Prints every user as a JSON object in a line.
    ListUsers {
        #[command(flatten)]
        file: DataOption,
    },
}

#[derive(clap::Args)]
struct DataOption {
    /// The data file.
    #[arg(long, env = "ORGD_DATA", default_value = "./orgd.redb", value_name = "FILE")]
    data: PathBuf,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(cause) => return fail(&format!("the runtime could not be started: {cause}")),
    };
    let outcome = runtime.block_on(run(cli.command));
    // Work that nobody waits for any more must not hold up the end.
    runtime.shutdown_background();
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(sentence) => fail(&sentence),
    }
}

#[expect(clippy::print_stderr, reason = "the sentence is for the operator")]
fn fail(sentence: &str) -> ExitCode {
    eprintln!("orgd: {sentence}");
    ExitCode::FAILURE
}

type CommandResult = Result<(), String>;

async fn run(command: Command) -> CommandResult {
    match command {
        Command::Serve(config) => serve(*config).await,
        Command::Bootstrap { file, email, organization, first_name, password_stdin } => {
            let given = if password_stdin { Some(read_line()?) } else { None };
            let names = option_names(password_stdin);
            let wanted = config_of(file.data.clone())?.bootstrap;
            let app = open(Storage::File(file.data.clone()), file.data).await?;
            let password = given.or(wanted.password);
            let owner = BootstrapOwner { email, first_name, organization, password, api_key: wanted.api_key };
            let made = admin::bootstrap(&app, owner).await.map_err(|cause| sentence_by(&names, cause))?;
            print_json(&made)
        }
        Command::Admin(command) => admin(command).await,
        Command::Check { file } => check(file.data).await,
        Command::Routes => {
            print!("{}", routes::table().print());
            Ok(())
        }
        Command::Openapi => print_json(&openapi::document(&resources::registry::routes())),
        Command::Licenses => print_licenses(),
    }
}

/// What the operator reads of an error.
fn sentence(cause: Error) -> String {
    cause.to_string()
}

/// What the fields of the first owner and of their organization are called where the operator writes them.
type OwnerNames = [(&'static str, &'static str); 5];

fn option_names(password_stdin: bool) -> OwnerNames {
    [
        ("email", "--email"),
        ("organization", "--organization"),
        ("first_name", "--first-name"),
        ("password", if password_stdin { "--password-stdin" } else { "ORGD_BOOTSTRAP_PASSWORD" }),
        ("api_key", "ORGD_BOOTSTRAP_API_KEY"),
    ]
}

const SETTING_NAMES: OwnerNames = [
    ("email", "--bootstrap-email (ORGD_BOOTSTRAP_EMAIL)"),
    ("organization", "--bootstrap-organization (ORGD_BOOTSTRAP_ORGANIZATION)"),
    ("first_name", "the first name"),
    ("password", "ORGD_BOOTSTRAP_PASSWORD"),
    ("api_key", "ORGD_BOOTSTRAP_API_KEY"),
];

/// The same, beginning with the name of what is wrong.
fn sentence_by(names: &OwnerNames, cause: Error) -> String {
    let field = cause.envelope().attr;
    match names.iter().find(|(name, _)| Some(*name) == field) {
        Some((_, name)) => format!("{name}: {cause}"),
        None => sentence(cause),
    }
}

impl Admin {
    fn data(&self) -> PathBuf {
        match self {
            Admin::ResetPassword { file, .. }
            | Admin::ResetLink { file, .. }
            | Admin::RemoveTwoFactor { file, .. }
            | Admin::EndSessions { file, .. }
            | Admin::FreeDomain { file, .. }
            | Admin::FreeAddress { file, .. }
            | Admin::ListUsers { file } => file.data.clone(),
        }
    }
}

async fn admin(command: Admin) -> CommandResult {
    let reads_password = matches!(command, Admin::ResetPassword { password_stdin: true, .. });
    let given = if reads_password { Some(read_line()?) } else { None };
    let data = command.data();
    is_there(&data)?;
    let app = open(Storage::File(data.clone()), data).await?;
    match command {
        Admin::ResetPassword { email, .. } => {
            let password = given.clone().unwrap_or_else(|| admin::random_password(&app.ids));
            let reset = admin::reset_password(&app, email, password.clone()).await;
            reset.map_err(|cause| sentence_by(&option_names(true), cause))?;
            if given.is_none() {
                println!("{password}");
            }
            Ok(())
        }
        Admin::ResetLink { email, .. } => {
            println!("{}", admin::reset_link(&app, email).await.map_err(sentence)?);
            Ok(())
        }
        Admin::RemoveTwoFactor { email, .. } => admin::remove_two_factor(&app, email).await.map_err(sentence),
        Admin::EndSessions { email, .. } => admin::end_sessions(&app, email).await.map_err(sentence),
        Admin::FreeDomain { domain, .. } => {
            let freed = admin::free_domain(&app, domain).await.map_err(sentence)?;
            freed.iter().try_for_each(print_json)
        }
        Admin::FreeAddress { email, account, .. } => {
            let freed = admin::free_address(&app, email, account).await.map_err(sentence)?;
            freed.iter().try_for_each(print_json)
        }
        Admin::ListUsers { .. } => admin::list_users(&app).map_err(sentence)?.iter().try_for_each(print_json),
    }
}

/// Prints what is wrong with the data file, which is opened without a write.
async fn check(data: PathBuf) -> CommandResult {
    is_there(&data)?;
    let app = open(Storage::Untouched(data.clone()), data).await?;
    let unreadable = |cause: Error| {
        let shown = app.config.data.display().to_string();
        orgd::store::damaged(&shown, &cause.to_string())
    };
    let mut problems = resources::integrity::check(&app.store).map_err(unreadable)?;
    let secrets = app.store.read(|tx| resources::secrets::check(tx, &app.vault, &mut problems));
    secrets.map_err(unreadable)?;
    if problems.is_empty() {
        println!("no problems found");
        return Ok(());
    }
    for problem in &problems {
        println!("{problem}");
    }
    Err(format!("{} problems were found", problems.len()))
}

fn print_licenses() -> CommandResult {
    // Bootstrapped by .ci/licenses.
    let mut text = flate2::read::GzDecoder::new(&include_bytes!("licenses.txt.gz")[..]);
    let printed = std::io::copy(&mut text, &mut std::io::stdout().lock());
    // Who reads the beginning only has closed the pipe.
    let cause = printed.err().filter(|cause| cause.kind() != std::io::ErrorKind::BrokenPipe);
    cause.map_or(Ok(()), |cause| Err(cause.to_string()))
}

fn print_json(value: &impl serde::Serialize) -> CommandResult {
    println!("{}", serde_json::to_string(value).map_err(|cause| cause.to_string())?);
    Ok(())
}

fn read_line() -> Result<String, String> {
    if std::io::stdin().is_terminal() {
        println!("Password:");
    }
    let mut line = String::new();
    std::io::stdin()
        .lock()
        .read_line(&mut line)
        .map_err(|cause| format!("no password could be read: {cause}"))?;
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}

fn config_of(data: PathBuf) -> Result<Config, String> {
    let config = Config::from_env().map_err(|cause| cause.to_string())?.with_secrets()?;
    Ok(Config { data, ..config })
}

async fn open(place: Storage, data: PathBuf) -> Result<Arc<App>, String> {
    admin::open(config_of(data)?, place, Arc::default()).await
}

fn is_there(data: &Path) -> CommandResult {
    let shown = data.display();
    match std::fs::metadata(data) {
        Err(_) => Err(format!("there is no data file at {shown}")),
        Ok(about) if !about.is_file() => Err(format!("{shown} is not a file")),
        Ok(about) if about.len() == 0 => Err(format!("{shown} is empty: put a good copy in its place")),
        Ok(_) => Ok(()),
    }
}

async fn serve(config: Config) -> CommandResult {
    let log = logging::start(config.log_format, config.log_level);
    ignore_signals()?;
    let config = config.with_secrets()?;
    if let Some(url) = &config.smtp_url {
        mailer::check(url, &config.mail_from)?;
    }
    config.check()?;
    // The port comes first: when it is taken, no file has been made.
    let listener = TcpListener::bind(&config.listen)
        .await
        .map_err(|cause| format!("cannot listen on {} (HOST:PORT is wanted): {cause}", config.listen))?;
    let address = listener.local_addr().map_err(|cause| cause.to_string())?;
    if config.dev && !address.ip().is_loopback() {
        return Err(format!("--dev listens on loopback only, not on {}", config.listen));
    }
    let place = Storage::File(config.data.clone());
    let clock = Clock::default();
    let made = Time(0).plus_seconds(env!("ORGD_MADE_SECONDS").parse().unwrap_or(0));
    if let Some(sentence) = admin::doubt_about(clock.now(), made) {
        tracing::warn!("{sentence}");
    }
    let app = admin::open(config, place, Arc::new(clock)).await?;
    greet(&app, address).await?;
    if app.config.trust_proxy.hold_everything() {
        tracing::warn!(
            "--trust-proxy names every address: whoever reaches this server can pose as any other"
        );
    }
    let mut stops = StopSignals::listen()?;
    tracing::info!("listening on http://{address}");
    log.now();
    let (stop, stopped) = oneshot::channel::<()>();
    let mut serving = pin!(orgd::serve(Arc::clone(&app), listener, async { drop(stopped.await) }));
    tokio::select! {
        () = &mut serving => return Err("the server ended on its own".into()),
        () = stops.next() => tracing::info!("stopping: requests under way may finish; a second signal ends them"),
        _ = app.store.gave_up() => tracing::error!("stopping: the data file can't be written any more"),
    }
    log.now();
    drop(stop);
    tokio::select! {
        () = &mut serving => {}
        () = stops.next() => return Err("a second signal came; requests under way were cut off".into()),
    }
    tracing::info!("stopped");
    app.store.given_up().map_or(Ok(()), |cause| Err(cause.to_owned()))
}

/// SIGTERM and SIGINT.
struct StopSignals {
    terminate: Signal,
    interrupt: Signal,
}

impl StopSignals {
    fn listen() -> Result<StopSignals, String> {
        Ok(StopSignals {
            terminate: hear(SignalKind::terminate())?,
            interrupt: hear(SignalKind::interrupt())?,
        })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

fn hear(kind: SignalKind) -> Result<Signal, String> {
    signal(kind).map_err(|cause| format!("signals can't be heard: {cause}"))
}

/// Keeps the signals from ending the process that tell other programs to read their settings again, as terminals
/// and log rotation send them.
fn ignore_signals() -> CommandResult {
    let signals = [
        ("SIGHUP", hear(SignalKind::hangup())?),
        ("SIGUSR1", hear(SignalKind::user_defined1())?),
        ("SIGUSR2", hear(SignalKind::user_defined2())?),
    ];
    for (name, mut signal) in signals {
        tokio::spawn(async move {
            while signal.recv().await.is_some() {
                tracing::info!("{name} is ignored: settings are read at the start only");
            }
        });
    }
    Ok(())
}

/// Makes who is to be made at the start, and says how to begin.
async fn greet(app: &Arc<App>, address: SocketAddr) -> CommandResult {
    if app.config.dev {
        let (made, password) = admin::demo(app).await.map_err(sentence)?;
        println!(
            "Demo owner {} with password {password}, project {} ({})",
            made.email, made.project_id, made.project_api_token
        );
        println!("API key: {}", made.api_key);
        if app.config.has_console() {
            let token = app.ids.base62::<32>();
            app.sign_in_link.set(&token, made.user_id);
            println!("Open in a browser, signed in, once:\n  http://{address}/login/link/{token}");
        }
        println!("Or try:\n  {}", example(address, &made));
        return Ok(());
    }
    let empty = app.store.read(resources::users::none_yet).map_err(sentence)?;
    if !empty {
        return Ok(());
    }
    let wanted = &app.config.bootstrap;
    if let Some(email) = &wanted.email {
        let owner = BootstrapOwner {
            email: email.clone(),
            first_name: "Owner".into(),
            organization: wanted.organization.clone().unwrap_or_else(|| "Organization".into()),
            password: wanted.password.clone(),
            api_key: wanted.api_key.clone(),
        };
        let has_key = owner.api_key.is_some();
        let made = admin::bootstrap(app, owner).await;
        let made = made.map_err(|cause| sentence_by(&SETTING_NAMES, cause))?;
        println!(
            "Bootstrapped the first owner {} of {} ({})",
            made.email, made.organization_name, made.organization_id
        );
        if !has_key {
            println!("API key, shown this once: {}", made.api_key);
        }
        return Ok(());
    }
    println!("The data file is empty. Make its first owner from this machine:");
    if app.config.has_console() {
        println!("  {}/setup", address_for_people(&app.config, address));
        println!("or with");
    }
    println!("  {}", sign_up_example(address));
    println!(
        "From elsewhere, type the set-up code, or send it in the header X-Setup-Code: {}",
        app.setup_code
    );
    Ok(())
}

/// Where a browser reaches the server.
fn address_for_people(config: &Config, address: SocketAddr) -> String {
    match &config.site_url {
        Some(site) => site.trim_end_matches('/').to_owned(),
        None if address.ip().is_unspecified() => format!("http://localhost:{}", address.port()),
        None => format!("http://{address}"),
    }
}

fn example(address: SocketAddr, made: &Bootstrapped) -> String {
    format!("curl -H 'Authorization: Bearer {}' http://{address}/api/organizations/@current/", made.api_key)
}

fn sign_up_example(address: SocketAddr) -> String {
    format!(
        "curl -c orgd.cookies -H 'Content-Type: application/json' -d '{{\"first_name\": \"Ada\", \"email\": \"ada@example.com\", \"password\": \"change-this-Passphrase\", \"organization_name\": \"Acme\"}}' http://{address}/api/signup/"
    )
}
