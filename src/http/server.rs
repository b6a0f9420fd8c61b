//! Accepting connections, within limits, until the server is stopped.

use std::borrow::Cow;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::{BoxFuture, Either};
use futures_util::{FutureExt, TryFutureExt};
use hyper::body::Incoming;
use hyper::header::HeaderName;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper::{HeaderMap, Request};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rustls::ServerConfig;
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout};
use tracing::{debug, warn};

use super::forwarded::{self, Door};
use super::observed::Broken;
use super::pulse::{ConnectionPlace, Connections, Pulse};
use super::respond::HttpResponse;
use super::tls::shake_hands;
use super::wire::{Begun, Pieces, Socket, WatchedSocket};
use super::{metrics_door, service};
use crate::app::{App, Traffic};
use crate::config::HEAD_BYTES_MAX;
use crate::error::{Error, Result};
use crate::metrics;

/// How long to wait after the system refused a connection, for want of file handles say.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Requests that one HTTP/2 connection may have under way.
const STREAMS_MAX: u32 = 200;
/// Every HTTP/2 connection begins with these letters; no HTTP/1 request does.
const HTTP2_PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// How long a peer may take to agree that an idle connection ends.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// Where connections come in.
pub struct Listeners {
    /// Serves; over TLS where there is a certificate.
    pub main: TcpListener,
    /// Sends everybody on to HTTPS.
    pub redirect: Option<TcpListener>,
    /// Answers with metrics and nothing else.
    pub metrics: Option<TcpListener>,
}

impl From<TcpListener> for Listeners {
    fn from(main: TcpListener) -> Listeners {
        Listeners { main, redirect: None, metrics: None }
    }
}

impl Listeners {
    /// The next connection, and whether it is to be sent on.
    async fn accept(&self) -> io::Result<(TcpStream, SocketAddr, bool)> {
        let Some(redirect) = &self.redirect else {
            return self.main.accept().await.map(|(stream, peer)| (stream, peer, false));
        };
        let (accepted, is_redirect) = tokio::select! {
            accepted = self.main.accept() => (accepted, false),
            accepted = redirect.accept() => (accepted, true),
        };
        accepted.map(|(stream, peer)| (stream, peer, is_redirect))
    }
}

/// Whose requests a listener takes.
#[derive(Clone)]
pub(crate) enum Served {
    /// Those of one server.
    One(Arc<App>),
    /// Those of whichever server is chosen, request by request.
    Chosen(Arc<dyn Choose>),
}

/// Chooses the server of each request.
pub(crate) trait Choose: Send + Sync {
    /// Whose settings and certificates are those of the connections.
    fn model(&self) -> &Arc<App>;

    /// Learns where it is reached, and what counts its connections.
    fn listens(&self, address: Option<SocketAddr>, traffic: Traffic);

    /// The server with this value of the header `Orgd-Fork`, where nothing has to be waited for.
    fn open(&self, fork: Option<&str>) -> Option<Arc<App>>;

    /// # Errors
    /// There is no such server.
    fn choose<'a>(&'a self, fork: Option<&'a str>) -> BoxFuture<'a, Result<Arc<App>>>;

    /// No connection is accepted any more: whatever waits for something else ends.
    fn closed(&self);
}

const ORGD_FORK: HeaderName = HeaderName::from_static("orgd-fork");

/// Which server a request names. What is no text, or several, is the name of none.
fn named_fork(headers: &HeaderMap) -> Option<Cow<'_, str>> {
    let mut all = headers.get_all(ORGD_FORK).iter().map(|value| String::from_utf8_lossy(value.as_bytes()));
    let first = all.next()?;
    Some(all.fold(first, |names, name| names + ", " + name))
}

impl Served {
    /// Whose settings and certificates are those of the connections.
    fn model(&self) -> &Arc<App> {
        match self {
            Served::One(app) => app,
            Served::Chosen(choose) => choose.model(),
        }
    }

    fn listens(&self, address: Option<SocketAddr>, traffic: Traffic) {
        match self {
            Served::One(app) => {
                address.map(|address| app.address.set(address));
                let _ = app.traffic.set(traffic);
            }
            Served::Chosen(choose) => choose.listens(address, traffic),
        }
    }

    fn closed(&self) {
        match self {
            Served::One(app) => {
                let _ = app.test_server.as_ref().inspect(|server| server.stop());
            }
            Served::Chosen(choose) => choose.closed(),
        }
    }

    /// Answers a request by the server that it is for.
    fn answer(
        &self,
        from: forwarded::Connection,
        began: Instant,
        request: Request<Incoming>,
    ) -> impl Future<Output = std::result::Result<HttpResponse, Broken>> + use<> {
        let open = match self {
            // An ordinary server knows nothing of the header.
            Served::One(app) if app.test_server.is_none() => Some(Arc::clone(app)),
            Served::One(app) => Some(Arc::clone(app)).filter(|_| named_fork(request.headers()).is_none()),
            Served::Chosen(choose) => choose.open(named_fork(request.headers()).as_deref()),
        };
        if let Some(app) = open {
            // In a box: it would be moved about, and every idle connection would pay for its size.
            return Either::Left(Box::pin(service::answer(app, from, began, request)));
        }
        let served = self.clone();
        Either::Right(Box::pin(async move {
            let fork = named_fork(request.headers()).map(Cow::into_owned);
            match served.choose(fork.as_deref()).await {
                Ok(app) => service::answer(app, from, began, request).await,
                Err(failure) => Ok(service::refuse_unserved(served.model(), from, request, &failure).await),
            }
        }))
    }

    /// # Errors
    /// There is no such server.
    async fn choose(&self, fork: Option<&str>) -> Result<Arc<App>> {
        match (self, fork) {
            (Served::One(app), None) => Ok(Arc::clone(app)),
            (Served::One(_), Some(_)) => {
                Err(Error::NotFound("There are no forks: this server's data is in a file.".into()))
            }
            (Served::Chosen(choose), fork) => choose.choose(fork).await,
        }
    }
}

/// Serves until `stop` comes, then lets requests under way finish, within the drain time.
pub(crate) async fn serve(served: Served, mut listeners: Listeners, stop: impl Future<Output = ()>) {
    let app = Arc::clone(served.model());
    let address = listeners.main.local_addr().ok();
    let port = address.map_or(0, |address| address.port());
    let door = if app.certificates.get().is_some() { Door::Https } else { Door::Http };
    let config = &app.config;
    let connections = Connections::new(config.connections_max, config.connections_per_address());
    let counted = Arc::clone(&connections);
    served.listens(address, Arc::new(move || counted.traffic()));
    let _metrics = metrics_door::open(&app, listeners.metrics.take());
    let (stopping, _) = watch::channel(());
    let mut stop = pin!(stop);
    loop {
        let next = async {
            match listeners.accept().await {
                Ok((stream, peer, is_redirect)) => {
                    // An IPv4 caller on an IPv6 socket is the same caller.
                    let peer = peer.ip().to_canonical();
                    let place = connections.admit(peer, config.trust_proxy.hold(peer)).await;
                    let door = if is_redirect { Door::Redirect { port } } else { door };
                    Ok((stream, forwarded::Connection { peer, door }, place))
                }
                Err(cause) => Err(cause),
            }
        };
        let accepted = tokio::select! {
            next = next => next,
            () = &mut stop => break,
        };
        match accepted {
            Ok((stream, from, Some(place))) => {
                metrics::CONNECTIONS.one();
                tokio::spawn(connection(served.clone(), stream, from, place, stopping.subscribe()));
            }
            Ok((_, from, None)) => {
                metrics::CONNECTIONS_REFUSED.one();
                debug!(peer = %from.peer, "an address has its share of connections; one more is closed")
            }
            Err(cause) => {
                metrics::CONNECTIONS_FAILED.one();
                warn!(%cause, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listeners);
    served.closed();
    let time = Duration::from_secs(app.config.drain_seconds_max);
    let _ = stopping.send(());
    // Closed once every connection has let go of its end.
    if timeout(time, stopping.closed()).await.is_err() {
        warn!("some requests were still under way when the time to drain was over");
    }
}

/// One connection, from its first byte to its end. It holds its place until then.
async fn connection(
    served: Served,
    stream: TcpStream,
    from: forwarded::Connection,
    place: ConnectionPlace,
    mut stopping: watch::Receiver<()>,
) {
    let (app, pulse) = (Arc::clone(served.model()), &place.pulse);
    let _ = stream.set_nodelay(true);
    let idle_time = Duration::from_secs(app.config.header_seconds_max);
    let certificates = app.certificates.get().filter(|_| from.door == Door::Https);
    let opening = open(stream, idle_time, certificates.map(|certificates| certificates.server()));
    let opened = tokio::select! {
        biased;
        opened = timeout(idle_time, opening) => opened,
        () = pulse.unwanted() => return,
        _ = stopping.changed() => return,
    };
    let Ok(Ok((mut socket, first))) = opened else { return };
    let is_http2 = first == HTTP2_PREFACE;
    // Over HTTP/2 writing may be no more than the answer to a ping.
    if !is_http2 {
        socket.writes_answers(Arc::clone(pulse));
    }
    let io = TokioIo::new(Begun::new(first, socket));
    let answer = |request: Request<Incoming>| {
        let running = pulse.request();
        let answer = Arc::clone(pulse).answering(served.answer(from, running.began, request));
        // Combinators: an async block would hold the future twice, and every connection pays for its size.
        answer.inspect(move |_| drop(running))
    };
    let outcome = if is_http2 {
        let service = service_fn(|request| {
            let (answer, pulse) = (answer(request), Arc::clone(pulse));
            answer.map_ok(|answer| answer.map(|body| Pieces::new(body, pulse)))
        });
        let mut builder = http2::Builder::new(TokioExecutor::new());
        builder
            .timer(TokioTimer::new())
            .max_concurrent_streams(STREAMS_MAX)
            .max_header_list_size(u32::try_from(HEAD_BYTES_MAX).unwrap_or(u32::MAX));
        let connection = builder.serve_connection(io, service);
        attend(connection, pulse, idle_time, &mut stopping, http2::Connection::graceful_shutdown).await
    } else {
        let service = service_fn(answer);
        let mut builder = http1::Builder::new();
        builder.timer(TokioTimer::new()).header_read_timeout(None).max_buf_size(HEAD_BYTES_MAX);
        let connection = builder.serve_connection(io, service);
        attend(connection, pulse, idle_time, &mut stopping, http1::Connection::graceful_shutdown).await
    };
    if let Some(Err(cause)) = outcome {
        debug!(%cause, "a connection ended badly");
    }
}

/// Shakes hands where the connection is one over TLS, and reads the first bytes of what follows.
async fn open(
    stream: TcpStream,
    idle_time: Duration,
    tls: Option<Arc<ServerConfig>>,
) -> io::Result<(Socket, Bytes)> {
    let socket = WatchedSocket::new(stream, idle_time);
    let mut socket = match tls {
        None => Socket::Plain(socket),
        // In a box: every connection would pay for the size of a handshake.
        Some(config) => Socket::Tls(Box::new(Box::pin(shake_hands(socket, config)).await?)),
    };
    let first = first_bytes(&mut socket).await?;
    Ok((socket, first))
}

/// The first bytes of a connection: as many as tell the two versions of HTTP apart.
async fn first_bytes(stream: &mut Socket) -> io::Result<Bytes> {
    let mut bytes = [0; HTTP2_PREFACE.len()];
    let mut length = 0;
    while length < bytes.len() && bytes[..length] == HTTP2_PREFACE[..length] {
        match stream.read(&mut bytes[length..]).await? {
            0 => break,
            read => length += read,
        }
    }
    Ok(Bytes::copy_from_slice(&bytes[..length]))
}

/// Serves a connection to its end, which comes early where nothing happens for too long or another one needs its
/// place; when the server stops, after what is under way. `None` where the peer did not agree to the end.
async fn attend<C: Future>(
    connection: C,
    pulse: &Pulse,
    idle_time: Duration,
    stopping: &mut watch::Receiver<()>,
    shut_down: impl Fn(Pin<&mut C>),
) -> Option<C::Output> {
    let mut connection = pin!(connection);
    // Since when it has been about to end.
    let mut ending: Option<Instant> = None;
    loop {
        let (time, from) = match ending {
            Some(since) => (CLOSE_TIMEOUT, pulse.last().max(since)),
            None => (idle_time, pulse.last()),
        };
        let end = if pulse.is_idle() { from + time } else { Instant::now() + time };
        tokio::select! {
            biased;
            outcome = connection.as_mut() => return Some(outcome),
            _ = stopping.changed(), if ending.is_none() => {
                ending = Some(Instant::now());
                shut_down(connection.as_mut());
            }
            () = pulse.unwanted() => return None,
            () = sleep_until(end) => {
                let is_over = pulse.is_idle() && pulse.last() <= from;
                if is_over && ending.is_some() {
                    return None;
                }
                if is_over {
                    ending = Some(Instant::now());
                    shut_down(connection.as_mut());
                }
            }
        }
    }
}
