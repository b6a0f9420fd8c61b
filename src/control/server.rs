//! The server's side of the socket.

use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncWriteExt, BufReader, BufWriter};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, oneshot};
use tokio::task::{AbortHandle, JoinHandle, JoinSet};

use super::place::reach;
use super::wire::{Envelope, Said, read_line, say, send};
use super::{Failure, REQUEST_BYTES_MAX, REQUESTS_MAX, Request, STREAMS_MAX, VERSION, pipe, run, socket_of};
use crate::app::App;

/// How long a request may take to arrive.
const REQUEST_TIME_MAX: Duration = Duration::from_secs(10);
/// How long the peer may take for a piece of the answer.
const PIECE_TIME_MAX: Duration = Duration::from_secs(120);
/// Connections whose request has not arrived; the oldest makes way for a newer one.
const SILENT_MAX: usize = 8;

/// The socket of a running server. It is removed when this is dropped.
pub struct Listening {
    listener: UnixListener,
    path: PathBuf,
    /// What is at the path as long as nobody has put something else there.
    made: (u64, u64),
    own_uid: u32,
}

impl Listening {
    /// Makes the socket beside the data file, which must be open: a socket that is there already is one that an earlier
    /// server has left.
    ///
    /// # Errors
    /// A sentence for the operator.
    pub fn beside(data: &Path) -> Result<Listening, String> {
        let path = socket_of(data);
        let shown = path.display();
        Listening::at(&path).map_err(|cause| format!("cannot make the socket {shown}: {cause}"))
    }

    fn at(path: &Path) -> io::Result<Listening> {
        match fs::symlink_metadata(path) {
            Ok(about) if !about.file_type().is_socket() => {
                return Err(io::Error::other("something else is in its place"));
            }
            _ => {}
        }
        // It gets its name when others can't connect any more.
        let mut hidden = path.as_os_str().to_owned();
        hidden.push("~");
        let hidden = PathBuf::from(hidden);
        let _ = fs::remove_file(&hidden);
        let listener = UnixListener::bind(&reach(&hidden)?.path)?;
        fs::set_permissions(&hidden, fs::Permissions::from_mode(0o600))?;
        fs::rename(&hidden, path)?;
        let own_uid = UnixStream::pair()?.0.peer_cred()?.uid();
        Ok(Listening { listener, path: path.to_owned(), made: identity(path)?, own_uid })
    }

    /// Answers from now on.
    pub fn start(self, app: Arc<App>) -> Answering {
        let (stop, stopped) = oneshot::channel();
        let (end, ended) = oneshot::channel();
        let task = tokio::spawn(self.serve(app, stopped, ended));
        Answering { stop: Some(stop), end, task }
    }

    async fn serve(self, app: Arc<App>, stopped: oneshot::Receiver<()>, ended: oneshot::Receiver<()>) {
        let door = Arc::new(Door {
            app,
            permits: Semaphore::new(REQUESTS_MAX),
            streams: Semaphore::new(STREAMS_MAX),
            silent: Mutex::default(),
            own_uid: self.own_uid,
        });
        let mut connections = JoinSet::new();
        let accept = async {
            loop {
                match self.listener.accept().await {
                    Ok((stream, _)) => admit(&door, stream, &mut connections),
                    // Of these, the lack of descriptors passes.
                    Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
                }
                while connections.try_join_next().is_some() {}
            }
        };
        tokio::select! {
            () = accept => {}
            _ = stopped => {}
        }
        drop(self);
        tokio::select! {
            () = async { while connections.join_next().await.is_some() {} } => {}
            _ = ended => {}
        }
        connections.shutdown().await;
    }
}

/// A socket at which requests are answered.
pub struct Answering {
    stop: Option<oneshot::Sender<()>>,
    end: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Answering {
    /// Removes the socket; requests under way go on.
    pub fn stop(&mut self) {
        self.stop = None;
    }

    /// Ends what is still under way.
    pub async fn end(mut self) {
        self.stop();
        drop(self.end);
        let _ = self.task.await;
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        if identity(&self.path).is_ok_and(|found| found == self.made) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn identity(path: &Path) -> io::Result<(u64, u64)> {
    let about = fs::symlink_metadata(path)?;
    Ok((about.dev(), about.ino()))
}

/// What all connections share.
struct Door {
    app: Arc<App>,
    permits: Semaphore,
    streams: Semaphore,
    /// Those whose request has not arrived, oldest first.
    silent: Mutex<Vec<AbortHandle>>,
    own_uid: u32,
}

fn admit(door: &Arc<Door>, stream: UnixStream, connections: &mut JoinSet<()>) {
    let handle = connections.spawn(connection(Arc::clone(door), stream));
    let mut silent = door.silent.lock().unwrap_or_else(PoisonError::into_inner);
    silent.retain(|handle| !handle.is_finished());
    if silent.len() >= SILENT_MAX {
        silent.remove(0).abort();
    }
    silent.push(handle);
}

impl Door {
    /// The caller's request has arrived; it makes way for nobody any more.
    fn has_spoken(&self) {
        let own = tokio::task::try_id();
        let mut silent = self.silent.lock().unwrap_or_else(PoisonError::into_inner);
        silent.retain(|handle| Some(handle.id()) != own);
    }
}

async fn connection(door: Arc<Door>, stream: UnixStream) {
    let is_trusted = stream.peer_cred().is_ok_and(|peer| peer.uid() == door.own_uid || peer.uid() == 0);
    let (from, to) = stream.into_split();
    let mut to = BufWriter::new(to);
    let outcome = match is_trusted {
        true => answer(&door, BufReader::new(from), &mut to).await,
        false => Err("only the user that the server runs as and root are answered".into()),
    };
    let last = async {
        say(&mut to, &Said::last(outcome)).await?;
        to.shutdown().await
    };
    // Whoever does not take the end of the answer has not waited for it.
    let _ = tokio::time::timeout(PIECE_TIME_MAX, last).await;
}

/// Reads a request, and sends what comes of it but for the last line.
async fn answer(
    door: &Door,
    mut from: BufReader<OwnedReadHalf>,
    to: &mut BufWriter<OwnedWriteHalf>,
) -> Result<(), Failure> {
    let line = tokio::time::timeout(REQUEST_TIME_MAX, read_line(&mut from, REQUEST_BYTES_MAX)).await;
    door.has_spoken();
    let line = line.map_err(|_| "the request took too long")?;
    let line = line.map_err(|cause| cause.to_string())?.ok_or("no request came")?;
    let request = read(&line)?;
    let busy = || format!("{REQUESTS_MAX} requests are under way: try again when one has ended");
    let _permit = door.permits.try_acquire().map_err(|_| busy())?;
    let is_stream = matches!(request, Request::Rows);
    let full = |_| format!("{STREAMS_MAX} backups or exports are being made: try again when one has ended");
    let _stream = is_stream.then(|| door.streams.try_acquire()).transpose().map_err(full)?;
    tracing::info!(request = request.name(), "the operator asks");
    let (out, mut pieces) = pipe();
    let work = async {
        let outcome = run(&door.app, request, &out).await;
        drop(out);
        outcome
    };
    let pass_on = async {
        while let Some(piece) = pieces.recv().await {
            if !matches!(tokio::time::timeout(PIECE_TIME_MAX, send_now(to, piece)).await, Ok(Ok(()))) {
                break;
            }
        }
        // The work learns that nobody takes its answer.
        drop(pieces);
    };
    tokio::join!(work, pass_on).0
}

async fn send_now(to: &mut BufWriter<OwnedWriteHalf>, piece: super::Piece) -> io::Result<()> {
    send(to, piece).await?;
    to.flush().await
}

fn read(line: &[u8]) -> Result<Request, Failure> {
    let odd = |cause: serde_json::Error| format!("this is no request: {cause}");
    let envelope: Envelope = serde_json::from_slice(line).map_err(odd)?;
    if envelope.version != VERSION {
        let theirs = envelope.version;
        return Err(format!(
            "the server is orgd {VERSION}, this program is orgd {theirs}: use the server's program, or start the server \
             with this one"
        )
        .into());
    }
    Ok(serde_json::from_str(envelope.request.get()).map_err(odd)?)
}
