//! The signals that the server hears.

use std::sync::Arc;
use std::time::Duration;

use orgd::certificates::Certificates;
use orgd::service_manager::ServiceManager;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::CommandResult;

/// How long the reading of a certificate may take before a manager is told that it is over.
const RELOAD_TIME_MAX: Duration = Duration::from_secs(10);

/// SIGTERM and SIGINT.
pub(super) struct StopSignals {
    terminate: Signal,
    interrupt: Signal,
}

impl StopSignals {
    pub(super) fn listen() -> Result<StopSignals, String> {
        Ok(StopSignals {
            terminate: hear(SignalKind::terminate())?,
            interrupt: hear(SignalKind::interrupt())?,
        })
    }

    pub(super) async fn next(&mut self) {
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
/// and log rotation send them. The certificate, where there is one, is read again on SIGHUP.
pub(super) fn ignore_signals(
    certificates: Option<Arc<Certificates>>,
    manager: Arc<ServiceManager>,
) -> CommandResult {
    let mut hangups = hear(SignalKind::hangup())?;
    tokio::spawn(async move {
        while hangups.recv().await.is_some() {
            // The manager, which may have sent it, waits for both words.
            manager.say_reloading();
            match &certificates {
                Some(certificates) => {
                    certificates.call();
                    let _ = tokio::time::timeout(RELOAD_TIME_MAX, certificates.answered()).await;
                }
                None => tracing::info!("SIGHUP is ignored: settings are read at the start only"),
            }
            manager.say_reloaded();
        }
    });
    let signals =
        [("SIGUSR1", hear(SignalKind::user_defined1())?), ("SIGUSR2", hear(SignalKind::user_defined2())?)];
    for (name, mut signal) in signals {
        tokio::spawn(async move {
            while signal.recv().await.is_some() {
                tracing::info!("{name} is ignored: settings are read at the start only");
            }
        });
    }
    Ok(())
}
