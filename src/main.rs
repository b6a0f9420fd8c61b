//! The command line.
#![expect(clippy::print_stdout, reason = "a command's result goes to standard output")]

use std::io::{BufRead, IsTerminal};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::{Parser, Subcommand};
use orgd::app::App;
use orgd::background::mailer;
use orgd::clock::Clock;
use orgd::config::Config;
use orgd::operator::{self, FirstOwner, Made};
use orgd::store::Place;
use orgd::{logging, resources, routes};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

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
        file: DataFile,
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
        file: DataFile,
    },
    /// Prints the route table.
    Routes,
    /// Prints the OpenAPI document as JSON.
    Openapi,
}

#[derive(Subcommand)]
enum Admin {
    /// Sets a user's password, and prints it where none was given.
    ResetPassword {
        #[command(flatten)]
        file: DataFile,
        /// E-mail address of the user.
        #[arg(long)]
        email: String,
        /// Reads the new password from standard input.
        #[arg(long)]
        password_stdin: bool,
    },
    /// Takes the second factor from a user who has lost it; his password stays.
    RemoveTwoFactor {
        #[command(flatten)]
        file: DataFile,
        /// E-mail address of the user.
        #[arg(long)]
        email: String,
    },
    /// Prints every user as a JSON object in a line.
    ListUsers {
        #[command(flatten)]
        file: DataFile,
    },
}

#[derive(clap::Args)]
struct DataFile {
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
    match runtime.block_on(run(cli.command)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(sentence) => fail(&sentence),
    }
}

#[expect(clippy::print_stderr, reason = "the sentence is for the operator")]
fn fail(sentence: &str) -> ExitCode {
    eprintln!("orgd: {sentence}");
    ExitCode::FAILURE
}

type Outcome = Result<(), String>;

async fn run(command: Command) -> Outcome {
    match command {
        Command::Serve(config) => serve(*config).await,
        Command::Bootstrap { file, email, organization, first_name, password_stdin } => {
            let password = if password_stdin { Some(read_line()?) } else { None };
            let app = open(file.data).await?;
            let owner = FirstOwner { email, first_name, organization, password, api_key: None };
            let made = operator::bootstrap(&app, owner).await.map_err(|cause| cause.to_string())?;
            print_json(&made)
        }
        Command::Admin(Admin::ResetPassword { file, email, password_stdin }) => {
            let given = if password_stdin { Some(read_line()?) } else { None };
            let app = open_existing(file.data).await?;
            let password = given.clone().unwrap_or_else(|| operator::random_password(&app.ids));
            let reset = operator::reset_password(&app, email, password.clone()).await;
            reset.map_err(|cause| cause.to_string())?;
            if given.is_none() {
                println!("{password}");
            }
            Ok(())
        }
        Command::Admin(Admin::RemoveTwoFactor { file, email }) => {
            let app = open_existing(file.data).await?;
            operator::remove_two_factor(&app, email).await.map_err(|cause| cause.to_string())
        }
        Command::Admin(Admin::ListUsers { file }) => {
            let app = open_existing(file.data).await?;
            for user in operator::list_users(&app).map_err(|cause| cause.to_string())? {
                print_json(&user)?;
            }
            Ok(())
        }
        Command::Check { file } => {
            let app = open_existing(file.data).await?;
            let problems = resources::check::check(&app.store).map_err(|cause| cause.to_string())?;
            if problems.is_empty() {
                println!("the data file is whole");
                return Ok(());
            }
            for problem in &problems {
                println!("{problem}");
            }
            Err(format!("{} problems were found", problems.len()))
        }
        Command::Routes => {
            print!("{}", routes::table().print());
            Ok(())
        }
        Command::Openapi => print_json(&orgd::api::openapi::document(&resources::rows())),
    }
}

fn print_json(value: &impl serde::Serialize) -> Outcome {
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

async fn open(data: PathBuf) -> Result<Arc<App>, String> {
    let config = Config::of_environment().map_err(|cause| cause.to_string())?;
    let exports = config.exports.clone().with_secrets_of_environment();
    let config = Config { data, exports, ..config };
    let place = Place::File(config.data.clone());
    operator::open(config, place, Arc::default()).await
}

async fn open_existing(data: PathBuf) -> Result<Arc<App>, String> {
    if !data.exists() {
        return Err(format!("there is no data file at {}", data.display()));
    }
    open(data).await
}

async fn serve(mut config: Config) -> Outcome {
    let _log = logging::start(config.log_format, config.log_level);
    config.bootstrap = config.bootstrap.with_secrets_of_environment();
    config.exports = config.exports.with_secrets_of_environment();
    config.plugins = config.plugins.with_secrets_of_environment();
    if let Some(url) = &config.smtp_url {
        mailer::check(url, &config.mail_from)?;
    }
    // The port comes first: when it is taken, no file has been made.
    let listener = TcpListener::bind(&config.listen)
        .await
        .map_err(|cause| format!("cannot listen on {} (HOST:PORT is wanted): {cause}", config.listen))?;
    let address = listener.local_addr().map_err(|cause| cause.to_string())?;
    if config.dev && !address.ip().is_loopback() {
        return Err(format!("--dev listens on loopback only, not on {}", config.listen));
    }
    let place = Place::File(config.data.clone());
    let app = operator::open(config, place, Arc::new(Clock::default())).await?;
    greet(&app, address).await?;
    tracing::info!("listening on http://{address}");
    let stop = stop_signal()?;
    orgd::serve(Arc::clone(&app), listener, stop).await;
    tracing::info!("stopped");
    drop(app);
    Ok(())
}

/// SIGTERM or SIGINT.
fn stop_signal() -> Result<impl Future<Output = ()>, String> {
    let hear = |kind| signal(kind).map_err(|cause| format!("signals can't be heard: {cause}"));
    let (mut terminate, mut interrupt) = (hear(SignalKind::terminate())?, hear(SignalKind::interrupt())?);
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

/// Makes who is to be made at the start, and says how to begin.
async fn greet(app: &Arc<App>, address: SocketAddr) -> Outcome {
    let told = |cause: orgd::error::Error| cause.to_string();
    if app.config.dev {
        let (made, password) = operator::demo(app).await.map_err(told)?;
        println!(
            "Demo owner {} with password {password}, project {} ({})",
            made.email, made.project_id, made.project_api_token
        );
        println!("API key: {}", made.api_key);
        println!("Try:\n  {}", example(address, &made));
        return Ok(());
    }
    let empty = app.store.read(resources::users::none_yet).map_err(told)?;
    if !empty {
        return Ok(());
    }
    let wanted = &app.config.bootstrap;
    if let Some(email) = &wanted.email {
        let owner = FirstOwner {
            email: email.clone(),
            first_name: "Owner".into(),
            organization: wanted.organization.clone().unwrap_or_else(|| "Organization".into()),
            password: wanted.password.clone(),
            api_key: wanted.api_key.clone(),
        };
        let has_key = owner.api_key.is_some();
        let made = operator::bootstrap(app, owner).await.map_err(told)?;
        println!(
            "Made the first owner {} of {} ({})",
            made.email, made.organization_name, made.organization_id
        );
        if !has_key {
            println!("API key, shown this once: {}", made.api_key);
        }
        return Ok(());
    }
    println!("The data file is empty. Sign up as its first owner from this machine:");
    println!("  {}", sign_up_example(address));
    println!("From elsewhere, add the header X-Setup-Code: {}", app.setup_code);
    Ok(())
}

fn example(address: SocketAddr, made: &Made) -> String {
    format!("curl -H 'Authorization: Bearer {}' http://{address}/api/organizations/@current/", made.api_key)
}

fn sign_up_example(address: SocketAddr) -> String {
    format!(
        "curl -c orgd.cookies -H 'Content-Type: application/json' -d '{{\"first_name\": \"Ada\", \"email\": \"ada@example.com\", \"password\": \"change-this-Passphrase\", \"organization_name\": \"Acme\"}}' http://{address}/api/signup/"
    )
}
