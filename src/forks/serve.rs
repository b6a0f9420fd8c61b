//! Serving all of them: each on a port of its own, and every fork also on the first port, by a header.

use std::future::Future;
use std::sync::{Arc, Weak};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::sync::oneshot;
use tokio::task::JoinSet;

use super::Forks;
use super::member::Member;
use crate::app::App;
use crate::app::forks::{Forks as _, MAIN};
use crate::error::Result;
use crate::http::{self, Choose, Listeners, Served};

const LOOK_TIME: Duration = Duration::from_secs(1);

/// Serves a server in memory, and all that is forked from it, until `stop` comes. `Err` hands the listeners back where the
/// server is none that can be forked.
pub(crate) async fn serve(
    app: Arc<App>,
    listeners: Listeners,
    stop: impl Future<Output = ()>,
) -> std::result::Result<(), Listeners> {
    let Ok(address) = listeners.main.local_addr() else { return Err(listeners) };
    let Some(forks) = Forks::around(&app, address.ip(), address.port()) else { return Err(listeners) };
    let (listening, mut asked) = tokio::sync::mpsc::unbounded_channel();
    let _ = forks.listen.set(Box::new(move |member, listener| drop(listening.send((member, listener)))));
    forks.main.run(Arc::clone(&app));
    let chooser = Chooser { forks: Arc::clone(&forks), id: MAIN.to_owned() };
    let main = http::serve(Served::Chosen(Arc::new(chooser)), listeners, stop);
    let looking = Arc::downgrade(&forks);
    let mut servers = JoinSet::new();
    servers.spawn(close_idle(looking));
    let others = async {
        while let Some((member, listener)) = asked.recv().await {
            let (stop, stopped) = oneshot::channel();
            Member::listens(&member, stop);
            let chooser = Chooser { forks: Arc::clone(&forks), id: member.id.clone() };
            let served = Served::Chosen(Arc::new(chooser));
            servers.spawn(http::serve(served, listener.into(), async { drop(stopped.await) }));
            while servers.try_join_next().is_some() {}
        }
    };
    tokio::select! {
        () = main => {}
        () = others => {}
    }
    servers.shutdown().await;
    forks.end().await;
    Ok(())
}

async fn close_idle(forks: Weak<Forks>) {
    loop {
        tokio::time::sleep(LOOK_TIME).await;
        let Some(forks) = forks.upgrade() else { return };
        forks.close_idle().await;
    }
}

/// Whose requests a listener takes.
struct Chooser {
    forks: Arc<Forks>,
    id: String,
}

impl Choose for Chooser {
    fn model(&self) -> &Arc<App> {
        &self.forks.model
    }

    fn open(&self, fork: Option<&str>) -> Option<Arc<App>> {
        match fork {
            None if self.id == MAIN => self.forks.main.open_app(),
            Some(_) if self.id == MAIN => None,
            _ => self.forks.member(&self.id).ok()?.open_app(),
        }
    }

    fn choose<'a>(&'a self, fork: Option<&'a str>) -> BoxFuture<'a, Result<Arc<App>>> {
        let id = fork.filter(|_| self.id == MAIN).unwrap_or(&self.id);
        async move { self.forks.app(id).await }.boxed()
    }
}
