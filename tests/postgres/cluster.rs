//! A PostgreSQL server on loopback, one for each process of tests, with and without TLS, and what can go
//! wrong between it and its clients.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};

use serde_json::{Value, json};
use tokio_postgres::{NoTls, SimpleQueryMessage};

/// Its superuser.
const USER: &str = "tester-of-everything";
pub const PASSWORD: &str = "a-password-of-the-test";

/// Makes a cluster, serves it until nobody holds the other end of its input any more, and removes it: so it
/// goes with the process of the tests, however that ends.
const KEEPER: &str = r#"
set -e
bin=$1 folder=$2 user=$3 port=$4 tls=$5
"$bin/initdb" --pgdata="$folder/data" --username="$user" --pwfile="$folder/password" \
    --auth=scram-sha-256 --encoding=UTF8 --locale=C --no-sync >&2
"$bin/postgres" -D "$folder/data" -h 127.0.0.1 -p "$port" -k "" -F -c hba_file="$folder/hba" -c ssl="$tls" \
    -c ssl_cert_file="$folder/certificate" -c ssl_key_file="$folder/key" -c lc_messages=C &
server=$!
cat || true
kill -QUIT "$server"
wait "$server" || true
rm -rf "$folder"
"#;

struct Cluster {
    port: u16,
    /// In PEM form.
    certificate: PathBuf,
}

static PLAIN: LazyLock<Cluster> = LazyLock::new(|| Cluster::start(false));
static ENCRYPTED: LazyLock<Cluster> = LazyLock::new(|| Cluster::start(true));

/// Why tests that need PostgreSQL cannot run on this machine; `None` where they can.
///
/// # Panics
/// Where they cannot although `ORGD_TESTS_NEED_ALL` is set.
pub fn missing() -> Option<&'static str> {
    let reason = "PostgreSQL is not installed (initdb and postgres, on PATH or below /usr/lib/postgresql)";
    let is_missing = programs().is_none();
    assert!(!is_missing || std::env::var_os("ORGD_TESTS_NEED_ALL").is_none(), "{reason}");
    is_missing.then_some(reason)
}

/// The folder of `initdb` and `postgres`.
fn programs() -> Option<PathBuf> {
    let on_path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders: Vec<PathBuf> = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path().join("bin"))
        .collect();
    folders.sort();
    let has_both = |folder: &PathBuf| folder.join("initdb").exists() && folder.join("postgres").exists();
    folders.into_iter().rev().chain(std::env::split_paths(&on_path)).find(has_both)
}

impl Cluster {
    fn start(tls: bool) -> Cluster {
        let bin = programs().expect("PostgreSQL is installed");
        let folder = tempfile::tempdir().expect("a folder").keep();
        let names = ["127.0.0.1".to_owned(), "0.0.0.0".to_owned()];
        let made = rcgen::generate_simple_self_signed(names).expect("a certificate");
        let write = |name: &str, text: &str| {
            let path = folder.join(name);
            std::fs::write(&path, text).expect("the folder can be written to");
            std::fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).expect("our file");
            path
        };
        write("key", &made.signing_key.serialize_pem());
        let certificate = write("certificate", &made.cert.pem());
        write("password", PASSWORD);
        // The tests look in without TLS; all others must come with it where there is any.
        let kind = if tls { "hostssl" } else { "host" };
        write(
            "hba",
            &format!(
                "host all {USER} 127.0.0.1/32 scram-sha-256\n{kind} all all 127.0.0.1/32 scram-sha-256\n"
            ),
        );
        let port =
            TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("a port").port();
        keep(&bin, &folder, port, tls);
        Cluster { port, certificate }
    }
}

/// Starts the keeper and waits until its server takes connections.
fn keep(bin: &Path, folder: &Path, port: u16, tls: bool) {
    let is_root = Command::new("id").arg("-u").output().expect("id runs").stdout == b"0\n";
    let mut command = Command::new("sh");
    if is_root {
        // PostgreSQL does not run as root.
        let user = if Command::new("id").arg("postgres").output().expect("id runs").status.success() {
            "postgres"
        } else {
            "nobody"
        };
        let given = Command::new("chown").args(["-R", user]).arg(folder).status().expect("chown runs");
        assert!(given.success());
        command = Command::new("setpriv");
        command.args([&format!("--reuid={user}"), "--clear-groups", "sh"]);
    }
    command.args(["-c", KEEPER, "sh"]).arg(bin).arg(folder).args([
        USER,
        &port.to_string(),
        if tls { "on" } else { "off" },
    ]);
    command.current_dir("/").stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut keeper = command.spawn().expect("the keeper starts");
    let mut output = BufReader::new(keeper.stderr.take().expect("it is piped"));
    let mut all = String::new();
    while !all.contains("ready to accept connections") {
        let size = output.read_line(&mut all).expect("text");
        assert!(size > 0, "PostgreSQL does not start: {all}");
    }
    // Its output is read as long as this process lives, and so its input stays open.
    std::thread::spawn(move || {
        let _input = keeper.stdin.take();
        let _ = std::io::copy(&mut output, &mut std::io::sink());
        keeper.wait()
    });
}

/// An empty database of a test's own, whose user may do anything in it.
pub struct Postgres {
    pub port: u16,
    pub name: String,
    /// What its certificate is checked against.
    pub certificate: PathBuf,
}

impl Postgres {
    /// Without TLS.
    ///
    /// # Panics
    /// Where PostgreSQL is `missing`.
    pub fn start() -> Postgres {
        Postgres::of(&PLAIN)
    }

    /// With TLS, for its user with nothing else.
    ///
    /// # Panics
    /// Where PostgreSQL is `missing`.
    pub fn encrypted() -> Postgres {
        Postgres::of(&ENCRYPTED)
    }

    fn of(cluster: &Cluster) -> Postgres {
        static MADE: AtomicU32 = AtomicU32::new(0);
        let name = format!("database-{}", MADE.fetch_add(1, Ordering::Relaxed));
        let Cluster { port, certificate } = cluster;
        let made = Postgres { port: *port, name, certificate: certificate.clone() };
        ask(
            made.port,
            "postgres",
            &format!("CREATE ROLE \"user of {}\" LOGIN PASSWORD '{PASSWORD}'", made.name),
        );
        ask(made.port, "postgres", &format!("CREATE DATABASE \"{0}\" OWNER \"user of {0}\"", made.name));
        made
    }

    pub fn user(&self) -> String {
        format!("user of {}", self.name)
    }

    /// What an export needs to know.
    pub fn config(&self) -> Value {
        json!({"host": "127.0.0.1", "port": self.port, "database": self.name, "user": self.user(), "password": PASSWORD})
    }

    /// Runs statements as the superuser.
    #[track_caller]
    pub fn run(&self, statements: &str) {
        ask(self.port, &self.name, statements);
    }

    /// What a query gives, each row as an object.
    #[track_caller]
    pub fn rows(&self, query: &str) -> Vec<Value> {
        let rows = ask(self.port, &self.name, &format!("SELECT row_to_json(q)::text FROM ({query}) AS q"));
        rows.iter().map(|row| serde_json::from_str(row).expect("JSON")).collect()
    }

    /// The rows of a table; none where there is no such table.
    #[track_caller]
    pub fn count(&self, table: &str) -> u64 {
        let found = self.rows(&format!("SELECT to_regclass('{table}') IS NOT NULL AS found"));
        if found[0]["found"] == false {
            return 0;
        }
        self.rows(&format!("SELECT count(*) AS n FROM {table}"))[0]["n"].as_u64().expect("a number")
    }
}

/// The first values of the rows.
#[track_caller]
fn ask(port: u16, database: &str, statements: &str) -> Vec<String> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime starts");
    let answer = runtime.block_on(async {
        let mut config = tokio_postgres::Config::new();
        config.host("127.0.0.1").port(port).user(USER).password(PASSWORD).dbname(database);
        let (client, connection) = config.connect(NoTls).await.expect("the server is there");
        tokio::spawn(connection);
        client.simple_query(statements).await
    });
    let messages = answer.unwrap_or_else(|error| panic!("{statements}: {error:?}"));
    let values = messages.iter().filter_map(|message| match message {
        SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
        _ => None,
    });
    values.collect()
}

/// What happens once on the way to a server.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Mishap {
    /// The connection breaks after so many bytes.
    CutAfter(usize),
    /// Nothing comes through after so many bytes.
    HoldAfter(usize),
    /// The connection breaks before the server gets `COMMIT`.
    CutBeforeCommit,
    /// The connection breaks after the server has obeyed `COMMIT`, before it says so.
    CutAfterCommit,
}

/// A way to a server with one mishap on it. Later connections come through.
pub struct Way {
    pub port: u16,
    shared: Arc<Shared>,
}

struct Shared {
    mishap: Mishap,
    to: u16,
    has_happened: AtomicBool,
    open: AtomicUsize,
}

impl Way {
    pub fn to(server: &Postgres, mishap: Mishap) -> Way {
        Way::from(TcpListener::bind("127.0.0.1:0").expect("a port is free"), server, mishap)
    }

    /// Without a mishap, from this end.
    pub fn on(listener: TcpListener, server: &Postgres) -> Way {
        Way::from(listener, server, Mishap::CutAfter(usize::MAX))
    }

    fn from(listener: TcpListener, server: &Postgres, mishap: Mishap) -> Way {
        let port = listener.local_addr().expect("an address").port();
        let shared = Shared {
            mishap,
            to: server.port,
            has_happened: AtomicBool::new(false),
            open: AtomicUsize::new(0),
        };
        let shared = Arc::new(shared);
        let way = Way { port, shared: Arc::clone(&shared) };
        // Ends with the process: it waits for connections as long as the test may open one.
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let shared = Arc::clone(&shared);
                shared.open.fetch_add(1, Ordering::SeqCst);
                std::thread::spawn(move || {
                    let _ = shared.carry(&client);
                    shared.open.fetch_sub(1, Ordering::SeqCst);
                });
            }
        });
        way
    }

    pub fn has_happened(&self) -> bool {
        self.shared.has_happened.load(Ordering::SeqCst)
    }

    /// Whether nobody is on the way any more.
    pub fn is_empty(&self) -> bool {
        self.shared.open.load(Ordering::SeqCst) == 0
    }
}

impl Shared {
    /// Carries bytes both ways until either side ends.
    fn carry(&self, client: &TcpStream) -> std::io::Result<()> {
        let server = TcpStream::connect(SocketAddr::from(([127, 0, 0, 1], self.to)))?;
        let is_muted = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let mut buffer = [0; 64 * 1024];
                while let Ok(size) = (&server).read(&mut buffer) {
                    let is_over = size == 0 || is_muted.load(Ordering::SeqCst);
                    if is_over || (&mut &*client).write_all(&buffer[..size]).is_err() {
                        break;
                    }
                }
                close(client, &server);
            });
            let _ = self.carry_there(client, &server, &is_muted);
            close(client, &server);
        });
        Ok(())
    }

    fn carry_there(
        &self,
        mut client: &TcpStream,
        mut server: &TcpStream,
        is_muted: &AtomicBool,
    ) -> std::io::Result<()> {
        let mut buffer = [0; 64 * 1024];
        let mut carried = 0;
        let mut is_held = false;
        loop {
            let size = client.read(&mut buffer)?;
            if size == 0 {
                return Ok(());
            }
            carried += size;
            let is_commit = buffer[..size].windows(7).any(|bytes| bytes == b"COMMIT\0");
            let happens = match self.mishap {
                Mishap::CutAfter(bytes) | Mishap::HoldAfter(bytes) => carried > bytes,
                Mishap::CutBeforeCommit | Mishap::CutAfterCommit => is_commit,
            };
            if happens && !self.has_happened.swap(true, Ordering::SeqCst) {
                match self.mishap {
                    Mishap::CutAfter(_) | Mishap::CutBeforeCommit => return Ok(()),
                    Mishap::HoldAfter(_) => is_held = true,
                    Mishap::CutAfterCommit => is_muted.store(true, Ordering::SeqCst),
                }
            }
            if !is_held {
                server.write_all(&buffer[..size])?;
            }
        }
    }
}

fn close(client: &TcpStream, server: &TcpStream) {
    let _ = client.shutdown(Shutdown::Both);
    let _ = server.shutdown(Shutdown::Both);
}
