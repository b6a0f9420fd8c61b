//! The body of an answer: what is at hand, and after it what is read while it is sent.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};

use crate::api::reply::Rest;

pub(super) struct AnswerBody {
    pub(super) whole: Bytes,
    pub(super) rest: Option<Rest>,
}

impl From<Bytes> for AnswerBody {
    fn from(whole: Bytes) -> AnswerBody {
        AnswerBody { whole, rest: None }
    }
}

impl AnswerBody {
    /// The next piece of at most so many bytes.
    pub(super) fn next(&mut self, bytes_max: usize) -> Option<io::Result<Bytes>> {
        while self.whole.is_empty() {
            match self.rest.as_mut()?.next() {
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
        self.whole.is_empty() && self.rest.is_none()
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
        _context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        Poll::Ready(self.next(usize::MAX).map(|piece| piece.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        self.is_at_end()
    }

    fn size_hint(&self) -> SizeHint {
        self.size()
    }
}
