//! What systemd, or another service manager with its protocol (`sd_notify`), wants to know of the process. Only where
//! it names a socket in `NOTIFY_SOCKET`; else nothing is said.

use std::ffi::OsString;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixDatagram;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Who started the process and listens to it, if anybody does.
#[derive(Debug)]
pub struct ServiceManager {
    socket: Option<UnixDatagram>,
    watchdog: Option<Duration>,
    /// Whether it was told that the server is ready.
    is_ready: AtomicBool,
}

impl ServiceManager {
    /// The one that the environment names.
    pub fn of_environment() -> ServiceManager {
        let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
        let socket = variable("NOTIFY_SOCKET").and_then(|place| match connect(&place) {
            Ok(socket) => Some(socket),
            Err(cause) => {
                tracing::warn!(%cause, "the service manager cannot be reached at NOTIFY_SOCKET");
                None
            }
        });
        let watchdog = socket.as_ref().and_then(|_| watchdog(variable, std::process::id()));
        ServiceManager { socket, watchdog, is_ready: AtomicBool::new(false) }
    }

    /// How soon it must hear of the process again, where it restarts one that says nothing.
    pub fn watchdog(&self) -> Option<Duration> {
        self.watchdog
    }

    /// Says that settings are being read again; `say_reloaded` says when that is over. systemd wants to know when it began, in
    /// microseconds since the machine did.
    pub fn say_reloading(&self) {
        if !self.is_ready.load(Ordering::Acquire) {
            return;
        }
        let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
        let micros = now.tv_sec.saturating_mul(1_000_000).saturating_add(now.tv_nsec / 1000);
        self.say(&format!("RELOADING=1\nMONOTONIC_USEC={micros}"));
    }

    /// Says that what was being read again has been read. A server that is not ready yet says so later.
    pub fn say_reloaded(&self) {
        if self.is_ready.load(Ordering::Acquire) {
            self.say("READY=1");
        }
    }

    /// Says that the server is ready.
    pub fn say_ready(&self, status: &str) {
        self.is_ready.store(true, Ordering::Release);
        self.say(&format!("READY=1\nSTATUS={status}"));
    }

    /// Says lines such as `READY=1`. Where they do not arrive, there is nothing to be done about it.
    pub fn say(&self, lines: &str) {
        if let Some(socket) = &self.socket
            && let Err(cause) = socket.send(lines.as_bytes())
        {
            tracing::debug!(%cause, "the service manager was not reached");
        }
    }
}

/// A path, or with `@` in front, a name without a file.
fn connect(place: &OsString) -> io::Result<UnixDatagram> {
    let socket = UnixDatagram::unbound()?;
    // Nobody waits for a manager that does not read.
    socket.set_nonblocking(true)?;
    match place.as_bytes().strip_prefix(b"@") {
        #[cfg(target_os = "linux")]
        Some(name) => {
            use std::os::linux::net::SocketAddrExt;
            let address = std::os::unix::net::SocketAddr::from_abstract_name(name)?;
            socket.connect_addr(&address)?;
        }
        _ => socket.connect(place)?,
    }
    Ok(socket)
}

/// The time of the watchdog, where it is for this process.
fn watchdog(variable: impl Fn(&str) -> Option<OsString>, process: u32) -> Option<Duration> {
    let number = |name: &str| variable(name)?.to_str()?.parse::<u64>().ok();
    let micros = number("WATCHDOG_USEC").filter(|micros| *micros > 0)?;
    let is_for_us = variable("WATCHDOG_PID").is_none() || number("WATCHDOG_PID") == Some(process.into());
    is_for_us.then(|| Duration::from_micros(micros))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_watchdog_is_for_one_process() {
        for (micros, process, wanted) in [
            (None, None, None),
            (Some("3000000"), None, Some(3)),
            (Some("3000000"), Some("7"), Some(3)),
            (Some("3000000"), Some("8"), None),
            (Some("3000000"), Some("seven"), None),
            (Some("0"), None, None),
            (Some("soon"), None, None),
            (None, Some("7"), None),
        ] {
            let found = watchdog(
                |name| match name {
                    "WATCHDOG_USEC" => micros.map(OsString::from),
                    _ => process.map(OsString::from),
                },
                7,
            );
            assert_eq!(found, wanted.map(Duration::from_secs), "{micros:?} {process:?}");
        }
    }
}
