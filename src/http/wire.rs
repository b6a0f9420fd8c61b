//! A socket whose peer must read what it is sent, and an answer that goes out in pieces.

use std::future::Future;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep, sleep_until};
use tokio_rustls::server::TlsStream;

use super::answer::AnswerBody;
use super::pulse::Pulse;

/// A peer that reads less than this in the time it has does not read, in bytes.
const PROGRESS_BYTES: usize = 4 * 1024;
/// The pieces of an answer over HTTP/2: each shows that the peer still takes some.
const PIECE_BYTES: usize = 16 * 1024;

/// A socket on which writing fails once the peer has not read for too long.
pub(super) struct WatchedSocket {
    stream: TcpStream,
    time: Duration,
    /// Since when bytes have been waiting to be read, and how many were read since.
    waiting: Option<(Instant, usize)>,
    alarm: Option<Pin<Box<Sleep>>>,
    /// Where writing means progress of an answer. Over HTTP/2 it may be the answer to a ping.
    pulse: Option<Arc<Pulse>>,
}

impl WatchedSocket {
    pub(super) fn new(stream: TcpStream, time: Duration) -> WatchedSocket {
        WatchedSocket { stream, time, waiting: None, alarm: None, pulse: None }
    }

    /// The first byte that comes, which is read again later.
    pub(super) async fn peek(&self) -> io::Result<u8> {
        let mut first = [0];
        match self.stream.peek(&mut first).await? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(first[0]),
        }
    }

    /// Judges what came of writing: how much the peer took, or that it takes nothing now.
    fn watch(
        &mut self,
        context: &mut Context<'_>,
        written: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        let Poll::Ready(outcome) = written else { return self.wait(context) };
        if let (Ok(bytes), Some((_, read))) = (&outcome, &mut self.waiting) {
            *read += bytes;
            if *read >= PROGRESS_BYTES {
                self.went_forward();
            }
        }
        Poll::Ready(outcome)
    }

    /// The peer has read enough, or everything.
    fn went_forward(&mut self) {
        self.waiting = None;
        if let Some(pulse) = &self.pulse {
            pulse.stall(false);
            pulse.beat();
        }
    }

    /// Waits for the peer, as long as it may take.
    fn wait(&mut self, context: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let (since, _) = *self.waiting.get_or_insert_with(|| (Instant::now(), 0));
        if let Some(pulse) = &self.pulse {
            pulse.stall(true);
        }
        let end = since + self.time;
        let alarm = self.alarm.get_or_insert_with(|| Box::pin(sleep_until(end)));
        // It is left alone while writing goes well, so it may ring for a wait that is over.
        if alarm.deadline() != end {
            alarm.as_mut().reset(end);
        }
        match alarm.as_mut().poll(context) {
            Poll::Ready(()) => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl Drop for WatchedSocket {
    fn drop(&mut self) {
        if self.pulse.as_ref().is_some_and(|pulse| pulse.is_to_reset()) {
            // Closed so, it tells the peer of a reset and not of an end.
            let _ = self.stream.set_zero_linger();
        }
    }
}

impl AsyncRead for WatchedSocket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for WatchedSocket {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.watch(context, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.watch(context, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        // Nothing is left to be written then.
        if self.waiting.is_some() {
            self.went_forward();
        }
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

/// What requests are read from. One type, so that the protocols are compiled once.
pub(super) enum Socket {
    Plain(WatchedSocket),
    /// In a box, for a plain one should not pay for its size.
    Tls(Box<TlsStream<WatchedSocket>>),
}

impl Socket {
    /// From now on writing means that an answer makes progress.
    pub(super) fn writes_answers(&mut self, pulse: Arc<Pulse>) {
        let socket = match self {
            Socket::Plain(socket) => socket,
            Socket::Tls(stream) => stream.get_mut().0,
        };
        socket.pulse = Some(pulse);
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Socket::Plain(socket) => Pin::new(socket).poll_read(context, buffer),
            Socket::Tls(stream) => Pin::new(stream).poll_read(context, buffer),
        }
    }
}

/// A socket with what was read from it before, which is read again.
pub(super) struct Begun {
    before: Bytes,
    socket: Socket,
}

impl Begun {
    pub(super) fn new(before: Bytes, socket: Socket) -> Begun {
        Begun { before, socket }
    }
}

impl AsyncRead for Begun {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.before.is_empty() {
            return Pin::new(&mut self.socket).poll_read(context, buffer);
        }
        let length = self.before.len().min(buffer.remaining());
        buffer.put_slice(&self.before.split_to(length));
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Begun {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match &mut self.socket {
            Socket::Plain(socket) => Pin::new(socket).poll_write(context, bytes),
            Socket::Tls(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &mut self.socket {
            Socket::Plain(socket) => Pin::new(socket).poll_write_vectored(context, slices),
            Socket::Tls(stream) => Pin::new(stream).poll_write_vectored(context, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match &self.socket {
            Socket::Plain(socket) => socket.is_write_vectored(),
            Socket::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.socket {
            Socket::Plain(socket) => Pin::new(socket).poll_flush(context),
            Socket::Tls(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.socket {
            Socket::Plain(socket) => Pin::new(socket).poll_shutdown(context),
            Socket::Tls(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}

/// The body of an answer over HTTP/2, where a peer says how much it takes: what waits for that is not on the
/// wire, so only the pieces show its progress.
pub(super) struct Pieces {
    left: AnswerBody,
    pulse: Arc<Pulse>,
}

impl Pieces {
    pub(super) fn new(whole: AnswerBody, pulse: Arc<Pulse>) -> Pieces {
        Pieces { left: whole, pulse }
    }
}

impl Body for Pieces {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let piece = ready!(self.left.poll_next(context, PIECE_BYTES));
        if piece.is_some() {
            self.pulse.beat();
        }
        Poll::Ready(piece.map(|piece| piece.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        self.left.is_at_end()
    }

    fn size_hint(&self) -> SizeHint {
        self.left.size()
    }
}
