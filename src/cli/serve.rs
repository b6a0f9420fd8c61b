//! `orgd serve`.

use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;

use listenfd::ListenFd;
use orgd::admin::{self, Serving};
use orgd::app::App;
use orgd::background::mailer;
use orgd::certificates::Certificates;
use orgd::clock::{Clock, Time};
use orgd::config::{self, ClockStart, Config, Setting, Tls};
use orgd::control::{Answering, Listening};
use orgd::routes;
use orgd::service_manager::ServiceManager;
use orgd::store::Storage;
use orgd::vault::Vault;
use orgd::{Listeners, logging};
use tokio::net::TcpListener;
use tokio::sync::oneshot;

use super::CommandResult;
use super::greeting::greet;
use super::heartbeat;
use super::memory::data_of;
use super::open_files;
use super::ready::{self, Ready};
use super::seed;
use super::signals::{StopSignals, ignore_signals};

/// Serves until a signal comes, or the file can't be written any more.
pub(super) async fn run(config: Config, sockets: ListenFd, settings: Vec<Setting>) -> CommandResult {
    let log = logging::start(config.log_format, config.log_level);
    open_files::allow();
    for doubt in config::doubts(&config::names(&super::whole_command())) {
        tracing::warn!("{doubt}");
    }
    let (mut config, certificates) = checked(config)?;
    let manager = Arc::new(ServiceManager::of_environment());
    ignore_signals(certificates.clone(), Arc::clone(&manager))?;
    let closed_input = closed_input(config.testing.exit_with_stdin);
    ready::forget(config.testing.ready_file.as_deref())?;
    // The port comes first: when it is taken, no file has been made.
    let listeners = listeners(&config, sockets).await?;
    let address = listeners.main.local_addr().map_err(|cause| cause.to_string())?;
    seed::prepare(&mut config)?;
    let (place, saving) = data_of(&mut config)?.open();
    let app = open(config, place, address).await?;
    let _ = app.settings.set(settings.into_iter().map(Setting::redacted).collect());
    let scheme = secure(&app, certificates);
    let begun = greet(&app, scheme, address).await?;
    if app.config.trust_proxy.hold_everything() {
        tracing::warn!(
            "--trust-proxy names every address: whoever reaches this server can pose as any other"
        );
    }
    let mut answering = answer_operator(&app);
    let mut stops = StopSignals::listen()?;
    announce(&listeners, scheme)?;
    log.now();
    let ready = Ready::of(&app, scheme, address, begun);
    ready.say(app.config.testing.ready, app.config.testing.ready_file.as_deref())?;
    manager.say_ready(&format!("Listening on {scheme}://{address}"));
    let _heartbeat = heartbeat::start(&app, &manager);
    let (stop, stopped) = oneshot::channel::<()>();
    let mut serving = pin!(orgd::serve(Arc::clone(&app), listeners, async { drop(stopped.await) }));
    tokio::select! {
        _ = &mut serving => return Err("the server ended on its own".into()),
        () = stops.next() => tracing::info!("stopping: requests under way may finish; a second signal ends them"),
        () = closed_input => tracing::info!("stopping: standard input was closed"),
        _ = app.store.gave_up() => tracing::error!("stopping: the data file can't be written any more"),
    }
    log.now();
    manager.say("STOPPING=1\nSTATUS=Requests under way finish");
    drop(stop);
    answering.as_mut().map(Answering::stop);
    let newest = tokio::select! {
        newest = &mut serving => newest,
        () = stops.next() => return Err("a second signal came; requests under way were cut off".into()),
    };
    if let Some(answering) = answering {
        answering.end().await;
    }
    saving.finish(&newest)?;
    tracing::info!("stopped");
    app.store.given_up().map_or(Ok(()), |cause| Err(cause.to_owned()))
}

/// Opens the data, if such a server may have it, with the clock that the settings want.
pub(super) async fn open(config: Config, place: Storage, address: SocketAddr) -> Result<Arc<App>, String> {
    let clock = Clock::default();
    let made = Time(0).plus_seconds(env!("ORGD_MADE_SECONDS").parse().unwrap_or(0));
    if let Some(sentence) = admin::doubt_about(clock.now(), made) {
        tracing::warn!("{sentence}");
    }
    match config.testing.clock {
        Some(ClockStart::Frozen(time)) => clock.set(time, true),
        Some(ClockStart::Ahead(seconds)) => clock.set(clock.now().plus_seconds(seconds), false),
        None => {}
    }
    let serving = Serving { is_local: address.ip().is_loopback() };
    let app = admin::open_to_serve(serving, config, place, Arc::new(clock)).await?;
    load_faults(&app)?;
    Ok(app)
}

/// Lets go wrong what the file of the settings says.
fn load_faults(app: &App) -> CommandResult {
    let (Some(server), Some(file)) = (&app.test_server, &app.config.testing.faults) else { return Ok(()) };
    routes::introduce(&server.paths);
    let wrong = |cause: String| format!("--faults {}: {cause}", file.display());
    let text = std::fs::read(file).map_err(|cause| wrong(cause.to_string()))?;
    let programme = serde_json::from_slice(&text).map_err(|cause| wrong(cause.to_string()))?;
    server.faults.load(&server.paths, &programme).map_err(|cause| {
        let place =
            cause.envelope().attr.map_or_else(String::new, |attr| format!("{}: ", attr.replace("__", ".")));
        wrong(format!("{place}{cause}"))
    })
}

/// Ends when standard input is closed; never, where nobody wants to know.
fn closed_input(is_wanted: bool) -> impl Future<Output = ()> {
    let (closed, hears) = oneshot::channel::<()>();
    if is_wanted {
        // A thread of its own, which ends with the process.
        std::thread::spawn(move || {
            let _ = std::io::copy(&mut std::io::stdin().lock(), &mut std::io::sink());
            drop(closed);
        });
        return futures_util::future::Either::Left(async { drop(hears.await) });
    }
    futures_util::future::Either::Right(std::future::pending())
}

/// The settings with their secrets, and the certificates, where a server could start with them.
///
/// # Errors
/// All that is wrong with them, a sentence each.
pub(super) fn checked(config: Config) -> Result<(Config, Option<Arc<Certificates>>), String> {
    let config = config.with_secrets()?;
    let mut problems = config.problems();
    problems.extend(mailer::check(config.smtp_url.as_deref(), &config.mail_from).err());
    let key = config.exports.secret_key.as_deref().map_or(Ok(()), |text| Vault::of(text).map(drop));
    problems.extend(key.err().map(|cause| format!("ORGD_SECRET_KEY: {cause}")));
    let certificates = certificates(&config.tls).unwrap_or_else(|problem| {
        problems.push(problem);
        None
    });
    if problems.is_empty() { Ok((config, certificates)) } else { Err(problems.join("\norgd: ")) }
}

/// The sockets that systemd passes on to this process. Called while there is one thread, for their variables are taken
/// away.
pub(crate) fn passed_sockets() -> ListenFd {
    match std::env::var_os("LISTEN_PID") {
        Some(_) => ListenFd::from_env(),
        None => ListenFd::empty(),
    }
}

/// The sockets that systemd passes on, or those of the settings.
pub(super) async fn listeners(config: &Config, mut passed: ListenFd) -> Result<Listeners, String> {
    let main = match take(&mut passed, 0)? {
        Some(main) => main,
        None => listen("--listen", &config.listen).await?,
    };
    let address = main.local_addr().map_err(|cause| cause.to_string())?;
    let is_exposed = config.testing.exposed && config.testing.in_memory;
    if config.mode().is_some() && !address.ip().is_loopback() && !is_exposed {
        return Err(format!(
            "--dev listens on loopback only, not on {}; with --in-memory, --exposed allows it",
            config.listen
        ));
    }
    let redirect = match (take(&mut passed, 1)?, &config.tls.http_redirect_listen) {
        (Some(_), _) if !config.tls.is_on() => {
            return Err(
                "systemd passes a second socket on, which would send people on to HTTPS: it needs --tls-cert or \
                 --acme-domain"
                    .into(),
            );
        }
        (Some(redirect), _) => Some(redirect),
        (None, Some(place)) => Some(listen("--http-redirect-listen", place).await?),
        (None, None) => None,
    };
    let metrics = match config.metrics_place() {
        Some(place) => Some(listen("--metrics-listen", &place).await?),
        None => None,
    };
    Ok(Listeners { main, redirect, metrics })
}

/// The socket at this place among those that systemd passes on.
fn take(passed: &mut ListenFd, place: usize) -> Result<Option<TcpListener>, String> {
    let wrong = |cause: std::io::Error| format!("a socket that systemd passes on is no use: {cause}");
    let Some(socket) = passed.take_tcp_listener(place).map_err(wrong)? else { return Ok(None) };
    socket.set_nonblocking(true).map_err(wrong)?;
    TcpListener::from_std(socket).map(Some).map_err(wrong)
}

async fn listen(flag: &str, place: &str) -> Result<TcpListener, String> {
    let bound = TcpListener::bind(place).await;
    bound.map_err(|cause| format!("{flag}: cannot listen on {place} (HOST:PORT is wanted): {cause}"))
}

fn certificates(tls: &Tls) -> Result<Option<Arc<Certificates>>, String> {
    let certificates = match tls.files()? {
        Some((chain, key)) => Certificates::load(chain, key)?,
        None if tls.acme.is_on() => Certificates::of_authority(tls.acme.domains.clone())?,
        None => return Ok(None),
    };
    Ok(Some(Arc::new(certificates)))
}

/// Has connections served over TLS where there is a certificate, and returns the scheme.
pub(super) fn secure(app: &App, certificates: Option<Arc<Certificates>>) -> &'static str {
    let Some(certificates) = certificates else { return "http" };
    // The task that asks an authority says what it lacks.
    let doubt = certificates.doubt(app.clock.now()).filter(|_| !certificates.is_of_authority());
    if let Some(sentence) = doubt {
        tracing::warn!("{sentence}");
    }
    let _ = app.certificates.set(certificates);
    "https"
}

/// Says where connections come in.
fn announce(listeners: &Listeners, scheme: &str) -> CommandResult {
    let place = |listener: &TcpListener| listener.local_addr().map_err(|cause| cause.to_string());
    if let Some(redirect) = &listeners.redirect {
        tracing::info!("sending plain HTTP on {} on to HTTPS", place(redirect)?);
    }
    if let Some(metrics) = &listeners.metrics {
        tracing::info!("metrics at http://{}/metrics", place(metrics)?);
    }
    tracing::info!("listening on {scheme}://{}", place(&listeners.main)?);
    Ok(())
}

/// Makes the socket for the operator. Without one, the server serves all the same.
fn answer_operator(app: &Arc<App>) -> Option<Answering> {
    if app.config.testing.in_memory {
        return None;
    }
    match Listening::beside(&app.config.data) {
        Ok(socket) => Some(socket.start(Arc::clone(app))),
        Err(sentence) => {
            tracing::warn!("{sentence}: `orgd admin` and the like work when the server has stopped only");
            None
        }
    }
}
