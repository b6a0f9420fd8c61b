//! The ports of forks: any that is free, or those that were published for a container.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Mutex;

use tokio::net::TcpListener;

use super::member::lock;
use crate::config::PortRange;
use crate::error::{Error, Result};

pub(super) struct Ports {
    /// Those that nobody has; `None` where the system chooses.
    free: Option<Mutex<BTreeSet<u16>>>,
}

impl Ports {
    pub(super) fn new(range: Option<PortRange>) -> Ports {
        Ports { free: range.map(|range| Mutex::new(range.all().collect())) }
    }

    /// # Errors
    /// 507: no port is left; 503: the system has none.
    pub(super) async fn listen(&self, address: IpAddr) -> Result<(TcpListener, u16)> {
        let Some(free) = &self.free else { return bind(address, 0).await };
        let taken: Vec<u16> = lock(free).iter().copied().collect();
        for port in taken {
            // Somebody else may have it, of this program or of another.
            if !lock(free).remove(&port) {
                continue;
            }
            match bind(address, port).await {
                Ok(bound) => return Ok(bound),
                Err(_) => drop(lock(free).insert(port)),
            }
        }
        Err(Error::Full("No port of --fork-ports is free: delete forks.".into()))
    }

    pub(super) fn give_back(&self, port: u16) {
        if let Some(free) = &self.free {
            lock(free).insert(port);
        }
    }
}

async fn bind(address: IpAddr, port: u16) -> Result<(TcpListener, u16)> {
    let bound = TcpListener::bind((address, port)).await;
    let listener =
        bound.map_err(|cause| Error::Unavailable(format!("No port can be had: {cause}").into()))?;
    let port = listener.local_addr().map_or(port, |address| address.port());
    Ok((listener, port))
}
