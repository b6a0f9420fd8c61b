//! Whether a server could listen where the settings say.

use std::io::{Error, ErrorKind};
use std::net::SocketAddr;

use orgd::config::Config;
use orgd::control::{Request, ask_server};
use tokio::net::{TcpSocket, lookup_host};

/// Tries every place, and lets it go: what is said of it where it is not known to be free, and yet no mistake.
///
/// # Errors
/// A sentence for each place that no server could listen at.
pub(super) async fn look(config: &Config) -> Result<Vec<String>, String> {
    let metrics = config.metrics_place();
    let places = [
        ("--listen (ORGD_LISTEN)", Some(&config.listen)),
        ("--http-redirect-listen (ORGD_HTTP_REDIRECT_LISTEN)", config.tls.http_redirect_listen.as_ref()),
        ("--metrics-listen (ORGD_METRICS_LISTEN)", metrics.as_ref()),
    ];
    let (mut notes, mut problems) = (Vec::new(), Vec::new());
    for (name, place) in places {
        let Some(place) = place else { continue };
        let Err(cause) = try_one(place).await else { continue };
        match cause.kind() {
            ErrorKind::AddrInUse if is_served(config).await => {
                notes.push(format!("{name}: the server that holds the data file listens at {place} now"));
            }
            ErrorKind::PermissionDenied => {
                notes.push(format!(
                    "{name}: whether {place} is free is not known, for this user may not listen there"
                ));
            }
            _ => problems.push(format!("{name}: no server could listen at {place}: {cause}")),
        }
    }
    if problems.is_empty() { Ok(notes) } else { Err(problems.join("\norgd: ")) }
}

/// Takes the place without listening there, so that nobody is kept from it.
async fn try_one(place: &str) -> Result<(), Error> {
    let mut last = Error::new(ErrorKind::NotFound, "the name has no address");
    for address in lookup_host(place).await? {
        match bind(address) {
            Ok(()) => return Ok(()),
            Err(cause) => last = cause,
        }
    }
    Err(last)
}

fn bind(address: SocketAddr) -> Result<(), Error> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)
}

/// Whether a server holds the data file of these settings.
async fn is_served(config: &Config) -> bool {
    matches!(ask_server(&config.data, &Request::Status).await, Ok(Some(_)) | Err(_))
}
