//! `orgd exec`: a test server in this process, and a command that uses it.

use std::ffi::OsString;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitCode, ExitStatus};
use std::sync::Arc;

use orgd::config::Config;
use rustix::process::{Pid, Signal, kill_process};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use super::memory::data_of;
use super::output::complain;
use super::ready::{self, Ready};
use super::{open_files, seed, serve};

/// Takes the flags of serve; those of `serve --test` are on.
#[derive(clap::Args)]
pub(super) struct Exec {
    /// A further variable for the command, such as POSTHOG_API_KEY=key; may be given again.
    #[arg(long, value_name = "NAME=url|key|token|project|org", value_parser = variable)]
    env: Vec<Variable>,
    #[command(flatten)]
    config: Config,
    /// The command and its arguments.
    #[arg(last = true, required = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

/// A variable, and what it holds.
#[derive(Clone)]
struct Variable {
    name: String,
    value: Value,
}

#[derive(Clone, Copy)]
enum Value {
    Url,
    Key,
    Token,
    Project,
    Org,
}

fn variable(text: &str) -> Result<Variable, String> {
    const WANTED: &str = "NAME=url, =key, =token, =project or =org is wanted";
    let (name, value) = text.split_once('=').ok_or(WANTED)?;
    let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    if name.is_empty()
        || !name.bytes().all(is_letter)
        || name.starts_with(|first: char| first.is_ascii_digit())
    {
        return Err(format!("{name:?} is no name of a variable: {WANTED}"));
    }
    let value = match value {
        "url" => Value::Url,
        "key" => Value::Key,
        "token" => Value::Token,
        "project" => Value::Project,
        "org" => Value::Org,
        _ => return Err(WANTED.to_owned()),
    };
    Ok(Variable { name: name.to_owned(), value })
}

impl Variable {
    /// What it is set to; `None` where the data has no such thing.
    fn of(&self, ready: &Ready) -> Option<String> {
        let project = ready.project.as_ref();
        match self.value {
            Value::Url => Some(ready.url.clone()),
            Value::Key => ready.api_key.clone(),
            Value::Token => project.map(|project| project.api_token.clone()),
            Value::Project => project.map(|project| project.id.to_string()),
            Value::Org => ready.organization_id.map(|id| id.to_string()),
        }
    }
}

/// Runs the command to its end, and the server as long.
pub(super) async fn run(wanted: Exec) -> Result<ExitCode, String> {
    let Exec { env, config, command } = wanted;
    let log = orgd::logging::start(config.log_format, config.log_level);
    let files = open_files::allow();
    let (mut config, certificates) = serve::checked(config)?;
    ready::forget(config.testing.ready_file.as_deref())?;
    // Before the command can do anything, so that no signal is lost.
    let mut signals = hear()?;
    let listeners = serve::listeners(&config, listenfd::ListenFd::empty()).await?;
    let address = listeners.main.local_addr().map_err(|cause| cause.to_string())?;
    seed::prepare(&mut config)?;
    let (place, saving) = data_of(&mut config)?.open();
    let app = serve::open(config, place, address).await?;
    let begun = seed::begin(&app).await?;
    let ready = Ready::of(&app, serve::secure(&app, certificates), address, begun);
    ready.say(app.config.testing.ready, app.config.testing.ready_file.as_deref())?;
    let serving = tokio::spawn(orgd::serve(Arc::clone(&app), listeners, std::future::pending()));
    let mut variables: Vec<(String, String)> =
        ready.variables().into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    for one in &env {
        let value =
            one.of(&ready).ok_or_else(|| format!("--env {}: the data has no such thing", one.name))?;
        variables.push((one.name.clone(), value));
    }
    let child = start(&command, variables, files)?;
    let status = attend(child, &mut signals).await?;
    let newest = app.newest();
    serving.abort();
    let _ = serving.await;
    saving.finish(&newest)?;
    log.now();
    Ok(code_of(status))
}

/// The signals that are passed on.
fn hear() -> Result<mpsc::UnboundedReceiver<Signal>, String> {
    let (sender, received) = mpsc::unbounded_channel();
    for (kind, name) in [
        (SignalKind::interrupt(), Signal::INT),
        (SignalKind::quit(), Signal::QUIT),
        (SignalKind::terminate(), Signal::TERM),
        (SignalKind::hangup(), Signal::HUP),
        (SignalKind::user_defined1(), Signal::USR1),
        (SignalKind::user_defined2(), Signal::USR2),
    ] {
        let mut stream = signal(kind).map_err(|cause| format!("signals can't be heard: {cause}"))?;
        let sender = sender.clone();
        tokio::spawn(async move {
            while stream.recv().await.is_some() {
                let _ = sender.send(name);
            }
        });
    }
    Ok(received)
}

/// Starts the command on this thread, which lives as long as the process: see [`become_command`].
fn start(
    command: &[OsString],
    variables: Vec<(String, String)>,
    files: Option<u64>,
) -> Result<Child, String> {
    #[cfg(target_os = "linux")]
    let program = std::path::PathBuf::from("/proc/self/exe");
    #[cfg(not(target_os = "linux"))]
    let program = std::env::current_exe().map_err(|cause| cause.to_string())?;
    let mut starting = Command::new(program);
    starting.arg(CHILD).arg(std::process::id().to_string());
    // What it had without us: programs exist that count on a small number.
    starting.arg(files.map_or_else(String::new, |files| files.to_string())).args(command);
    starting.envs(variables);
    starting.spawn().map_err(|cause| format!("the command can't be started: {cause}"))
}

/// Waits for the command, and passes signals on meanwhile.
async fn attend(
    mut child: Child,
    signals: &mut mpsc::UnboundedReceiver<Signal>,
) -> Result<ExitStatus, String> {
    let pid = Pid::from_child(&child);
    let mut waiting = tokio::task::spawn_blocking(move || child.wait());
    loop {
        tokio::select! {
            biased;
            ended = &mut waiting => {
                let ended = ended.map_err(|cause| cause.to_string())?;
                return ended.map_err(|cause| format!("the command can't be waited for: {cause}"));
            }
            Some(received) = signals.recv() => {
                if !has_reached(received) {
                    let _ = kill_process(pid, received);
                }
            }
        }
    }
}

/// Whether the terminal has sent the signal to the command as well, as it does with those of its keys.
fn has_reached(received: Signal) -> bool {
    let is_of_keys = [Signal::INT, Signal::QUIT].contains(&received);
    let terminal = || std::fs::File::open("/dev/tty").ok();
    is_of_keys
        && terminal().and_then(|terminal| rustix::termios::tcgetpgrp(&terminal).ok())
            == Some(rustix::process::getpgrp())
}

/// The command's exit code; 128 and the number of the signal that ended it.
fn code_of(status: ExitStatus) -> ExitCode {
    const KILLED: i32 = 128;
    let code = status.code().or_else(|| status.signal().map(|signal| KILLED + signal)).unwrap_or(1);
    ExitCode::from(u8::try_from(code).unwrap_or(1))
}

/// What tells the program that it is about to become the command.
const CHILD: &str = "--exec-child";

/// Becomes the command where this process was started for that, in which the system ends it together with the server;
/// an exit code where there is no such command. `None` for every other process.
pub(crate) fn become_command() -> Option<ExitCode> {
    let mut words = std::env::args_os().skip(1);
    if words.next()? != CHILD {
        return None;
    }
    let (parent, files, command) = (words.next()?, words.next()?, words.next()?);
    open_files::set(files.to_str().and_then(|files| files.parse().ok()));
    #[cfg(target_os = "linux")]
    let tied = rustix::process::set_parent_process_death_signal(Some(Signal::KILL)).is_ok();
    #[cfg(not(target_os = "linux"))]
    let tied = true;
    // It may have ended before the system knew.
    if !tied || !is_parent(&parent) {
        return Some(ExitCode::FAILURE);
    }
    let cause = Command::new(&command).args(words).exec();
    complain(&format!("orgd: cannot run {}: {cause}", command.display()));
    let is_missing = cause.kind() == std::io::ErrorKind::NotFound;
    Some(ExitCode::from(if is_missing { 127 } else { 126 }))
}

/// Whether the process with this number started this one, and is still there.
fn is_parent(number: &OsString) -> bool {
    let parent = rustix::process::getppid().map(|parent| parent.as_raw_pid().to_string());
    parent.is_some_and(|parent| *number == *parent)
}
