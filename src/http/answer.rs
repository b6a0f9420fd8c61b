//! The body of an answer: what is at hand, and after it what is read while it is sent.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};

use super::pulse::Pulse;
use crate::api::reply::Rest;

pub(super) struct AnswerBody {
    whole: Bytes,
    rest: Option<Rest>,
    /// Where it is to end early.
    cut: Option<Box<Cut>>,
}

/// An answer that breaks off on the way.
pub(super) struct Cut {
    bytes_left: usize,
    /// Ends when what was sent before is on the wire.
    sent: Pin<Box<dyn Future<Output = ()> + Send + Sync>>,
}

impl Cut {
    /// After so many bytes of the body.
    pub(super) fn after(bytes: usize, pulse: Option<Arc<Pulse>>, is_http2: bool) -> Cut {
        /// How long to look away while the peer does not read.
        const NAP: Duration = Duration::from_millis(1);
        /// What is queued of a stream that is reset is dropped, so that it is given time to be sent.
        const STREAM_TIME: Duration = Duration::from_millis(50);
        let sent = async move {
            // The connection writes what it has before it asks for more again.
            tokio::task::yield_now().await;
            while pulse.as_ref().is_some_and(|pulse| pulse.is_stalled()) {
                tokio::time::sleep(NAP).await;
            }
            if is_http2 {
                tokio::time::sleep(STREAM_TIME).await;
            }
        };
        Cut { bytes_left: bytes, sent: Box::pin(sent) }
    }
}

impl From<Bytes> for AnswerBody {
    fn from(whole: Bytes) -> AnswerBody {
        AnswerBody::new(whole, None)
    }
}

impl AnswerBody {
    pub(super) fn new(whole: Bytes, rest: Option<Rest>) -> AnswerBody {
        AnswerBody { whole, rest, cut: None }
    }

    /// Ends it early: at least one byte is missing.
    pub(super) fn cut(&mut self, mut cut: Cut) {
        if self.rest.is_none() {
            cut.bytes_left = cut.bytes_left.min(self.whole.len().saturating_sub(1));
        }
        self.cut = Some(Box::new(cut));
    }

    /// The next piece of at most so many bytes, and a failure where the answer breaks off.
    pub(super) fn poll_next(
        &mut self,
        context: &mut Context<'_>,
        bytes_max: usize,
    ) -> Poll<Option<io::Result<Bytes>>> {
        let Some(mut cut) = self.cut.take() else { return Poll::Ready(self.next(bytes_max)) };
        let polled = self.poll_cut(&mut cut, context, bytes_max);
        self.cut = Some(cut);
        polled
    }

    fn poll_cut(
        &mut self,
        cut: &mut Cut,
        context: &mut Context<'_>,
        bytes_max: usize,
    ) -> Poll<Option<io::Result<Bytes>>> {
        if cut.bytes_left > 0
            && let Some(piece) = self.next(bytes_max.min(cut.bytes_left))
        {
            cut.bytes_left -= piece.as_ref().map_or(0, Bytes::len);
            return Poll::Ready(Some(piece));
        }
        ready!(cut.sent.as_mut().poll(context));
        Poll::Ready(Some(Err(io::ErrorKind::ConnectionAborted.into())))
    }

    /// The next piece of at most so many bytes.
    fn next(&mut self, bytes_max: usize) -> Option<io::Result<Bytes>> {
        while self.whole.is_empty() {
            match self.rest.as_mut()?.piece() {
                Ok(Some(piece)) => self.whole = piece.into(),
                Ok(None) => self.rest = None,
                // The status has been sent: all that is left is to break off, so that nobody takes it for whole.
                Err(failure) => {
                    self.rest = None;
                    return Some(Err(io::Error::other(failure.to_string())));
                }
            }
        }
        let length = self.whole.len().min(bytes_max);
        Some(Ok(self.whole.split_to(length)))
    }

    pub(super) fn is_at_end(&self) -> bool {
        self.whole.is_empty() && self.rest.is_none() && self.cut.is_none()
    }

    pub(super) fn size(&self) -> SizeHint {
        match self.rest {
            None => SizeHint::with_exact(self.whole.len() as u64),
            Some(_) => SizeHint::new(),
        }
    }
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        self.poll_next(context, usize::MAX).map(|piece| piece.map(|piece| piece.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        self.is_at_end()
    }

    fn size_hint(&self) -> SizeHint {
        self.size()
    }
}
