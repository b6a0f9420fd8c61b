//! A server of its own for each test, in this process, with its file in memory.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, LazyLock};
use std::thread::JoinHandle;
use std::time::Duration;

use orgd::admin::{self, Serving};
use orgd::app::App;
use orgd::config::{Config, Switch};
use orgd::outbound::AddressPolicy;
use orgd::resources::integrity;
use orgd::store::Storage;
use redb::backends::InMemoryBackend;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use ureq::Agent;

use super::people::agent;
use super::{NameServer, Org, Person};

/// Rows as bytes: table, key, record.
pub type Rows = Vec<(&'static str, Vec<u8>, Vec<u8>)>;

/// Tables that background tasks write: runs of exports, the latest time that was seen, mails that go out, the next
/// look at proxy records.
const OF_TASKS: &[&str] = &[
    "batch_export_backfills",
    "batch_export_backfills_open",
    "batch_export_logs",
    "batch_export_run_commits",
    "batch_export_runs",
    "batch_export_runs_open",
    "batch_exports_schedule",
    "counts",
    "instance",
    "outbox",
    "outbox_notes",
    "proxy_records_due",
];
/// Tables whose records note when something was last used, or what a background task found.
const KEYS_ONLY: &[&str] = &["api_keys", "proxy_records", "sessions"];

/// Knows no name. No test asks the name servers of the machine that it runs on.
static EMPTY_DNS: LazyLock<NameServer> = LazyLock::new(NameServer::start);

/// A running server. When it goes, it stops and its data file is checked.
pub struct Server {
    pub address: SocketAddr,
    pub app: Arc<App>,
    pub(super) agent: Agent,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<Arc<App>>>,
    /// Makes addresses of people differ.
    people: AtomicU32,
}

impl Server {
    /// With open sign-up and no limits.
    pub fn start() -> Server {
        Server::with(|_| {})
    }

    /// With settings changed.
    pub fn with(change: impl FnOnce(&mut Config)) -> Server {
        let memory = || Box::new(InMemoryBackend::new());
        Server::open(Storage::Logged { file: memory(), log: memory() }, change)
    }

    /// A test server, which is controlled by the paths below `/_orgd/`.
    pub fn controlled(change: impl FnOnce(&mut Config)) -> Server {
        Server::open(Storage::memory(), |config| {
            config.testing.test = true;
            config.testing.in_memory = true;
            config.testing.ids = Some(1);
            change(config);
        })
    }

    /// On a file that outlives the server.
    pub fn on_file(path: &Path) -> Server {
        Server::open(Storage::File(path.to_owned()), |_| {})
    }

    /// On any place, with settings changed.
    pub fn open(place: Storage, change: impl FnOnce(&mut Config)) -> Server {
        let mut config = Config::from_env().expect("the environment holds no odd settings");
        config.open_signup = true;
        config.dns_server = Some(EMPTY_DNS.address);
        config.rate_limit = Some(Switch::Off);
        // What exports deliver to is on this machine.
        config.outbound_allow = AddressPolicy::parse("127.0.0.0/8,::1,0.0.0.0").expect("a list");
        // Tests let days pass at once, in which nobody uses their session.
        config.session_idle_seconds = orgd::config::SESSION_SECONDS;
        // No test calls anybody outside of this machine.
        config.plugins.plugin_repository_url = String::new();
        change(&mut config);
        let (started, running) = std::sync::mpsc::channel();
        let (stop, stopped) = oneshot::channel::<()>();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
            runtime.expect("a runtime starts").block_on(async {
                let opening = admin::open_to_serve(Serving { is_local: true }, config, place, Arc::default());
                let app = opening.await.expect("the file opens");
                let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
                let address = listener.local_addr().expect("the socket has an address");
                started.send((address, Arc::clone(&app))).expect("the test waits");
                orgd::serve(app, listener, async { drop(stopped.await) }).await
            })
        });
        let (address, app) = running.recv().expect("the server starts");
        Server {
            address,
            app,
            agent: agent(),
            stop: Some(stop),
            thread: Some(thread),
            people: AtomicU32::new(0),
        }
    }

    /// Lets time pass.
    pub fn pass(&self, time: Duration) {
        self.app.clock.advance(time);
    }

    pub fn pass_days(&self, days: u64) {
        self.pass(Duration::from_secs(days * 24 * 60 * 60));
    }

    /// Every row of the data file that only requests change, to prove that one changed nothing.
    pub fn rows(&self) -> Rows {
        self.rows_but(OF_TASKS, KEYS_ONLY)
    }

    /// Every row of the data file.
    pub fn all_rows(&self) -> Rows {
        self.rows_but(&[], &[])
    }

    fn rows_but(&self, left_out: &[&str], keys_only: &[&str]) -> Rows {
        let store = &self.app.store;
        let tables = store.tables().iter().filter(|table| !left_out.contains(&table.name));
        let read = store.read(|tx| {
            let mut rows = Vec::new();
            for table in tables {
                let keep = |value: Vec<u8>| if keys_only.contains(&table.name) { Vec::new() } else { value };
                let dumped = tx.dump(table)?.into_iter();
                rows.extend(dumped.map(|(key, value)| (table.name, key, keep(value))));
            }
            Ok(rows)
        });
        read.expect("the file can be read")
    }

    /// Lets every proxy record that is due be looked at.
    pub fn follow_proxies(&self) {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime starts");
        runtime.block_on(orgd::background::proxy_records::check_due(&self.app)).expect("the store works");
    }

    /// Waits for what background tasks do.
    #[track_caller]
    pub fn until(&self, what: &str, mut holds: impl FnMut() -> bool) {
        let started = std::time::Instant::now();
        while !holds() {
            assert!(started.elapsed() < Duration::from_secs(60), "it never came true that {what}");
            // Leaves the processor to what is waited for.
            std::thread::park_timeout(Duration::from_millis(2));
        }
    }

    /// Somebody who shows nothing.
    pub fn anyone(&self) -> Person {
        Person::unknown(self, String::new())
    }

    /// Somebody with an address that nobody else has, not signed up yet.
    pub fn somebody(&self, name: &str) -> Person {
        let number = self.people.fetch_add(1, Ordering::Relaxed);
        Person::unknown(self, format!("{name}{number}@example.com"))
    }

    /// A new organization with its owner.
    pub fn org(&self) -> Org {
        Org::sign_up(self, self.somebody("owner"), "Acme")
    }

    /// The owner of another organization.
    pub fn stranger(&self) -> Person {
        Org::sign_up(self, self.somebody("stranger"), "Elsewhere").owner
    }

    /// Ends it; what it was at the end.
    fn stop(&mut self) -> Arc<App> {
        drop(self.stop.take());
        match self.thread.take() {
            Some(thread) => thread.join().expect("the server does not panic"),
            None => Arc::clone(&self.app),
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if std::thread::panicking() {
            return;
        }
        let app = self.stop();
        let problems = integrity::check(&app.store).expect("the file can be read");
        assert!(problems.is_empty(), "the data file is not whole: {problems:#?}");
    }
}
