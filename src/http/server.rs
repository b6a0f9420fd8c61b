//! Accepting connections, within limits, until the server is told to stop.

use std::future::Future;
use std::net::IpAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tracing::{debug, warn};

use super::service;
use crate::app::App;
use crate::config::HEAD_BYTES_MAX;

/// How long to wait after the system refused a connection, for want of file handles say.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Requests that one HTTP/2 connection may have under way.
const STREAMS_MAX: u32 = 200;
/// Every HTTP/2 connection begins with these letters; no HTTP/1 method does.
const HTTP2_PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// As many of them as tell the two apart.
const HTTP2_LETTERS: usize = 3;

/// Serves until `stop` comes, then lets requests under way finish, within the drain time.
pub(crate) async fn serve(app: Arc<App>, listener: TcpListener, stop: impl Future<Output = ()>) {
    let slots = Arc::new(Semaphore::new(app.config.connections_max));
    let (stopping, _) = watch::channel(());
    let mut stop = std::pin::pin!(stop);
    loop {
        let next = async {
            let slot = Arc::clone(&slots).acquire_owned().await;
            (slot, listener.accept().await)
        };
        let (slot, accepted) = tokio::select! {
            next = next => next,
            () = &mut stop => break,
        };
        match accepted {
            Ok((stream, peer)) => {
                let connection = connection(Arc::clone(&app), stream, peer.ip(), stopping.subscribe());
                tokio::spawn(async move {
                    connection.await;
                    drop(slot);
                });
            }
            Err(cause) => {
                warn!(%cause, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listener);
    let time = Duration::from_secs(app.config.drain_seconds_max);
    let _ = stopping.send(());
    // Closed once every connection has let go of its end.
    if tokio::time::timeout(time, stopping.closed()).await.is_err() {
        warn!("some requests were still under way when the time to drain was over");
    }
}

async fn connection(app: Arc<App>, stream: TcpStream, peer: IpAddr, mut stopping: watch::Receiver<()>) {
    // An IPv4 caller on an IPv6 socket is the same caller.
    let peer = match peer {
        IpAddr::V6(address) => address.to_ipv4_mapped().map_or(peer, IpAddr::V4),
        IpAddr::V4(_) => peer,
    };
    let _ = stream.set_nodelay(true);
    let head_time = Duration::from_secs(app.config.header_seconds_max);
    let mut first = [0; HTTP2_LETTERS];
    let Ok(Ok(seen)) = tokio::time::timeout(head_time, stream.peek(&mut first)).await else { return };
    let service = service_fn(move |request| service::answer(Arc::clone(&app), peer, request));
    let outcome = if first[..seen] == HTTP2_PREFACE[..HTTP2_LETTERS] {
        // hyper waits for the whole preface as long as it takes, so it is read here, in time.
        let (mut reading, writing) = stream.into_split();
        let mut preface = [0; HTTP2_PREFACE.len()];
        let arrived = tokio::time::timeout(head_time, reading.read_exact(&mut preface)).await;
        if !matches!(arrived, Ok(Ok(_))) || preface != HTTP2_PREFACE {
            return;
        }
        let io = TokioIo::new(tokio::io::join(HTTP2_PREFACE.chain(reading), writing));
        let mut builder = http2::Builder::new(TokioExecutor::new());
        builder
            .timer(TokioTimer::new())
            .keep_alive_interval(head_time)
            .keep_alive_timeout(head_time)
            .max_concurrent_streams(STREAMS_MAX)
            .max_header_list_size(u32::try_from(HEAD_BYTES_MAX).unwrap_or(u32::MAX));
        let connection = builder.serve_connection(io, service);
        finish(connection, &mut stopping, http2::Connection::graceful_shutdown).await
    } else {
        let mut builder = http1::Builder::new();
        builder.timer(TokioTimer::new()).header_read_timeout(head_time).max_buf_size(HEAD_BYTES_MAX);
        let connection = builder.serve_connection(TokioIo::new(stream), service);
        finish(connection, &mut stopping, http1::Connection::graceful_shutdown).await
    };
    if let Err(cause) = outcome {
        debug!(%cause, "a connection ended badly");
    }
}

/// Serves a connection to its end; when the server stops, to the end of what is under way.
async fn finish<C: Future>(
    connection: C,
    stopping: &mut watch::Receiver<()>,
    shut_down: impl FnOnce(Pin<&mut C>),
) -> C::Output {
    let mut connection = pin!(connection);
    tokio::select! {
        biased;
        outcome = connection.as_mut() => return outcome,
        _ = stopping.changed() => shut_down(connection.as_mut()),
    }
    connection.await
}
