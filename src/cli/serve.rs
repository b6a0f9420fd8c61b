//! `orgd serve`.

use std::pin::pin;
use std::sync::Arc;

use orgd::admin;
use orgd::background::mailer;
use orgd::certificates::Certificates;
use orgd::clock::{Clock, Time};
use orgd::config::Config;
use orgd::store::Storage;
use orgd::{Listeners, logging};
use tokio::net::TcpListener;
use tokio::sync::oneshot;

use super::CommandResult;
use super::greeting::greet;
use super::signals::{StopSignals, ignore_signals};

/// Serves until a signal comes, or the file can't be written any more.
pub(super) async fn run(config: Config) -> CommandResult {
    let log = logging::start(config.log_format, config.log_level);
    let certificates = match config.tls.files()? {
        Some((chain, key)) => Some(Arc::new(Certificates::load(chain, key)?)),
        None => None,
    };
    ignore_signals(certificates.clone())?;
    let config = config.with_secrets()?;
    if let Some(url) = &config.smtp_url {
        mailer::check(url, &config.mail_from)?;
    }
    config.check()?;
    // The port comes first: when it is taken, no file has been made.
    let listener = listen("--listen", &config.listen).await?;
    let redirect = match &config.tls.http_redirect_listen {
        Some(place) => Some(listen("--http-redirect-listen", place).await?),
        None => None,
    };
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
    let scheme = if certificates.is_some() { "https" } else { "http" };
    if let Some(certificates) = certificates {
        if let Some(sentence) = certificates.doubt(app.clock.now()) {
            tracing::warn!("{sentence}");
        }
        let _ = app.certificates.set(certificates);
    }
    greet(&app, scheme, address).await?;
    if app.config.trust_proxy.hold_everything() {
        tracing::warn!(
            "--trust-proxy names every address: whoever reaches this server can pose as any other"
        );
    }
    let mut stops = StopSignals::listen()?;
    if let Some(redirect) = &redirect {
        let place = redirect.local_addr().map_err(|cause| cause.to_string())?;
        tracing::info!("sending plain HTTP on {place} on to HTTPS");
    }
    tracing::info!("listening on {scheme}://{address}");
    log.now();
    let (stop, stopped) = oneshot::channel::<()>();
    let mut serving = pin!(orgd::serve(Arc::clone(&app), Listeners { main: listener, redirect }, async {
        drop(stopped.await)
    }));
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

async fn listen(flag: &str, place: &str) -> Result<TcpListener, String> {
    let bound = TcpListener::bind(place).await;
    bound.map_err(|cause| format!("{flag}: cannot listen on {place} (HOST:PORT is wanted): {cause}"))
}
