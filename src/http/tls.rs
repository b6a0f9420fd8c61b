//! The beginning of a connection over TLS.

use std::io;
use std::sync::Arc;

use rustls::ServerConfig;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::wire::WatchedSocket;

/// The first byte of every connection over TLS.
const HANDSHAKE: u8 = 0x16;
/// What a client reads that speaks plain HTTP here.
const PLAIN: &[u8] = b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nConnection: close\r\nContent-Length: 48\r\n\r\nThis port speaks HTTPS: begin with https://host\n";
/// Bytes of a plain request that are read, so that the answer is not lost with what was not.
const PLAIN_BYTES_READ: usize = 16 * 1024;

/// Agrees with the peer on keys.
pub(super) async fn shake_hands(
    mut socket: WatchedSocket,
    config: Arc<ServerConfig>,
) -> io::Result<TlsStream<WatchedSocket>> {
    let first = socket.peek().await?;
    if first == HANDSHAKE {
        return TlsAcceptor::from(config).accept(socket).await;
    }
    if first.is_ascii_uppercase() {
        let mut request = vec![0; PLAIN_BYTES_READ];
        let _ = socket.read(&mut request).await?;
        socket.write_all(PLAIN).await?;
        socket.shutdown().await?;
    }
    Err(io::Error::new(io::ErrorKind::InvalidData, "the peer does not speak TLS"))
}
