//! The server in this process.

use std::net::SocketAddr;
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;

use tokio::net::TcpListener;
use tokio::sync::oneshot;

use crate::admin::{self, Bootstrapped, Serving};
use crate::app::App;
use crate::clock::Clock;
use crate::config::{ClockStart, Config};
use crate::resources::integrity;
use crate::store::Storage;

/// It serves on a thread of its own until this goes.
pub(super) struct Running {
    pub(super) address: SocketAddr,
    pub(super) demo: Bootstrapped,
    app: Arc<App>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

type Begun = Result<(SocketAddr, Bootstrapped, Arc<App>), String>;

impl Running {
    /// Starts a server with these flags, and none of the variables and files of its surroundings.
    ///
    /// # Errors
    /// A sentence: what is wrong with the settings.
    pub(super) fn start(flags: &[&str], change: impl FnOnce(&mut Config)) -> Result<Running, String> {
        const OWN: [&str; 5] = ["orgd", "--test", "--dev=true", "--in-memory", "--ids=1"];
        let has_ids = flags.iter().any(|flag| flag.starts_with("--ids"));
        let own = &OWN[..OWN.len() - usize::from(has_ids)];
        let mut config = Config::of_words(own.iter().chain(flags).copied())?;
        change(&mut config);
        let (begins, begun) = mpsc::channel();
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::spawn(move || run(config, &begins, stopped));
        let begun: Begun = begun.recv().unwrap_or_else(|_| Err("the server has ended".into()));
        let (address, demo, app) = begun?;
        Ok(Running { address, demo, app, stop: Some(stop), thread: Some(thread) })
    }
}

fn run(config: Config, begins: &mpsc::Sender<Begun>, stopped: oneshot::Receiver<()>) {
    let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build() {
        Ok(runtime) => runtime,
        Err(cause) => return drop(begins.send(Err(cause.to_string()))),
    };
    runtime.block_on(async {
        let (listener, begun) = match begin(config).await {
            Ok(begun) => begun,
            Err(sentence) => return drop(begins.send(Err(sentence))),
        };
        let app = Arc::clone(&begun.2);
        drop(begins.send(Ok(begun)));
        crate::serve(app, listener, async { drop(stopped.await) }).await;
    });
}

async fn begin(config: Config) -> Result<(TcpListener, (SocketAddr, Bootstrapped, Arc<App>)), String> {
    let clock = Clock::default();
    match config.testing.clock {
        Some(ClockStart::Frozen(time)) => clock.set(time, true),
        Some(ClockStart::Ahead(seconds)) => clock.set(clock.now().plus_seconds(seconds), false),
        None => {}
    }
    let opening =
        admin::open_to_serve(Serving { is_local: true }, config, Storage::memory(), Arc::new(clock));
    let app = opening.await?;
    let demo = admin::demo(&app).await.map_err(|cause| cause.to_string())?;
    let demo = demo.ok_or("there is no demo owner")?.made;
    let listener = TcpListener::bind("127.0.0.1:0").await.map_err(|cause| cause.to_string())?;
    let address = listener.local_addr().map_err(|cause| cause.to_string())?;
    Ok((listener, (address, demo, app)))
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.stop.take());
        let ended = self.thread.take().map(JoinHandle::join);
        if std::thread::panicking() {
            return;
        }
        assert!(!matches!(ended, Some(Err(_))), "orgd: the server has panicked");
        let problems = integrity::check(&self.app.store);
        assert!(
            problems.as_ref().is_ok_and(Vec::is_empty),
            "orgd: the data of the server is not whole: {problems:#?}"
        );
    }
}
