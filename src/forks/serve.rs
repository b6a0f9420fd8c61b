//! Serving all of them: each on a port of its own, and every fork also on the first port, by a header.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;

use super::Forks;
use super::member::{Member, lock, no_fork};
use crate::app::forks::MAIN;
use crate::app::{App, Traffic};
use crate::error::Result;
use crate::http::{self, Choose, Listeners, Served};

/// How often is looked for forks whose time is over; no request finds one.
const LOOK_TIME: Duration = Duration::from_secs(1);

/// Where a new fork is to be served.
pub(super) struct NewListener {
    pub(super) member: Arc<Member>,
    pub(super) listener: TcpListener,
    /// Ends the listener.
    pub(super) stopped: oneshot::Receiver<()>,
    /// Is dropped when it has ended.
    pub(super) closing: oneshot::Sender<()>,
}

/// Serves a server in memory, and all that is forked from it, until `stop` comes. Returns it with its newest data; `Err`
/// hands the listeners back where the server is none that can be forked.
pub(crate) async fn serve(
    app: &Arc<App>,
    listeners: Listeners,
    stop: impl Future<Output = ()>,
) -> std::result::Result<Arc<App>, Listeners> {
    let Ok(address) = listeners.main.local_addr() else { return Err(listeners) };
    let (listen, new_ones) = mpsc::unbounded_channel();
    let Some(forks) = Forks::around(app, address, listen) else { return Err(listeners) };
    forks.main.run(Arc::clone(app));
    let chooser = Chooser::new(&forks, &forks.main, None);
    let stop = async {
        stop.await;
        forks.stop_listening();
    };
    let main = http::serve(Served::Chosen(Arc::new(chooser)), listeners, stop);
    let mut servers = JoinSet::new();
    let mut looking = JoinSet::new();
    looking.spawn(end_expired(Arc::downgrade(&forks)));
    tokio::select! {
        () = main => {}
        () = serve_forks(&forks, new_ones, &mut servers) => {}
    }
    looking.shutdown().await;
    while servers.join_next().await.is_some() {}
    forks.end_all().await;
    Ok(forks.main.open_app().unwrap_or_else(|| Arc::clone(app)))
}

async fn serve_forks(
    forks: &Arc<Forks>,
    mut new_ones: mpsc::UnboundedReceiver<NewListener>,
    servers: &mut JoinSet<()>,
) {
    while let Some(NewListener { member, listener, stopped, closing }) = new_ones.recv().await {
        let chooser = Chooser::new(forks, &member, Some(closing));
        let served = Served::Chosen(Arc::new(chooser));
        servers.spawn(http::serve(served, listener.into(), async { drop(stopped.await) }));
        while servers.try_join_next().is_some() {}
    }
}

async fn end_expired(forks: Weak<Forks>) {
    loop {
        tokio::time::sleep(LOOK_TIME).await;
        let Some(forks) = forks.upgrade() else { return };
        forks.end_expired().await;
    }
}

/// Whose requests a listener takes.
struct Chooser {
    forks: Arc<Forks>,
    member: Arc<Member>,
    closing: Mutex<Option<oneshot::Sender<()>>>,
}

impl Chooser {
    fn new(forks: &Arc<Forks>, member: &Arc<Member>, closing: Option<oneshot::Sender<()>>) -> Chooser {
        Chooser { forks: Arc::clone(forks), member: Arc::clone(member), closing: Mutex::new(closing) }
    }

    /// # Errors
    /// There is no such fork, or it is another one than that of this port.
    fn meant(&self, fork: Option<&str>) -> Result<Arc<Member>> {
        match fork {
            Some(id) if id != self.member.id && self.member.id == MAIN => self.forks.member(id),
            Some(id) if id != self.member.id => Err(no_fork(id)),
            _ => Ok(Arc::clone(&self.member)),
        }
    }
}

impl Choose for Chooser {
    fn model(&self) -> &Arc<App> {
        &self.forks.model
    }

    fn listens(&self, _address: Option<SocketAddr>, traffic: Traffic) {
        self.member.counts_by(traffic);
    }

    fn open(&self, fork: Option<&str>) -> Option<Arc<App>> {
        match fork {
            None => self.member.open_app(),
            Some(_) => self.meant(fork).ok()?.open_app(),
        }
    }

    fn choose<'a>(&'a self, fork: Option<&'a str>) -> BoxFuture<'a, Result<Arc<App>>> {
        async move { self.forks.open(&*self.meant(fork)?).await }.boxed()
    }

    fn closed(&self) {
        if self.member.id == MAIN {
            self.forks.stop_waiting();
        } else {
            self.member.stop_waiting();
        }
        drop(lock(&self.closing).take());
    }
}
