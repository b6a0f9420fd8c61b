//! The ports of forks: any that is free, or those that were published for a container.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::sync::Mutex;

use tokio::net::TcpListener;

use super::member::lock;
use crate::config::PortRange;
use crate::error::{Error, Result};

pub(super) struct Ports {
    /// On which all servers listen.
    address: IpAddr,
    /// Those that no fork has; `None` where the system chooses.
    free: Option<Mutex<BTreeSet<u16>>>,
}

impl Ports {
    pub(super) fn new(address: IpAddr, range: Option<PortRange>) -> Ports {
        Ports { address, free: range.map(|range| Mutex::new(range.all().collect())) }
    }

    /// # Errors
    /// 507: no port of the range is left; 503: the system has none.
    pub(super) async fn listen(&self) -> Result<(TcpListener, SocketAddr)> {
        let Some(free) = &self.free else { return self.bind(0).await };
        let candidates: Vec<u16> = lock(free).iter().copied().collect();
        for port in candidates {
            // Another fork may have it meanwhile, and another program for ever.
            if !lock(free).remove(&port) {
                continue;
            }
            match self.bind(port).await {
                Ok(bound) => return Ok(bound),
                Err(_) => drop(lock(free).insert(port)),
            }
        }
        Err(Error::Full("No port of --fork-ports is free: delete forks.".into()))
    }

    /// The port is free again.
    pub(super) fn give_back(&self, port: u16) {
        if let Some(free) = &self.free {
            lock(free).insert(port);
        }
    }

    async fn bind(&self, port: u16) -> Result<(TcpListener, SocketAddr)> {
        let bind = async {
            let listener = TcpListener::bind((self.address, port)).await?;
            let address = listener.local_addr()?;
            Ok((listener, address))
        };
        bind.await.map_err(|cause: std::io::Error| {
            Error::Unavailable(format!("No port can be had: {cause}").into())
        })
    }
}
