//! How an attempt reaches its destination: connections, time limits, and its worker.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::watch;

use crate::app::App;
use crate::background::exports::turns::Seat;
use crate::clock::Time;
use crate::outbound::postgres::{ConnectError, Database, Roots, Session};
use crate::outbound::{SendError, SendRequest, SendResponse};

/// The connections of one attempt.
pub(in crate::background::exports) struct Transport {
    app: Arc<App>,
    /// `None` for what is no attempt at an export.
    seat: Option<Arc<Seat>>,
    /// Whether the destination has answered in this attempt.
    has_answered: AtomicBool,
}

impl Transport {
    pub(in crate::background::exports) fn new(app: &Arc<App>, seat: Arc<Seat>) -> Transport {
        Transport { app: Arc::clone(app), seat: Some(seat), has_answered: AtomicBool::new(false) }
    }

    /// For what waits for no turn among exports.
    pub(super) fn unseated(app: &Arc<App>) -> Transport {
        Transport { app: Arc::clone(app), seat: None, has_answered: AtomicBool::new(false) }
    }

    /// Sends a request. Before the destination has answered once, it must give a sign of life every few
    /// seconds.
    pub(super) async fn send(&self, request: SendRequest) -> Result<SendResponse, SendError> {
        let (progress, mut signs) = watch::channel(());
        let seconds = self.first_answer_seconds();
        let late = SendError::late(&request.url, seconds.unsigned_abs());
        let mut sending = pin!(self.app.outbound.send(request, progress.clone()));
        while !self.has_answered() {
            let response = tokio::select! {
                biased;
                response = &mut sending => response,
                // `progress` lives as long as this function.
                Ok(()) = signs.changed() => continue,
                () = self.until(self.now().plus_seconds(seconds)) => return Err(late),
            };
            self.has_answered.store(response.is_ok(), Ordering::Relaxed);
            return response;
        }
        sending.await
    }

    /// Whether the destination has answered in this attempt.
    pub(super) fn has_answered(&self) -> bool {
        self.has_answered.load(Ordering::Relaxed)
    }

    /// Opens a session with a database.
    pub(super) async fn session(&self, to: &Database<'_>) -> Result<Session, ConnectError> {
        self.app.outbound.session(to).await
    }

    /// How long a destination may be silent before its first answer.
    pub(super) fn first_answer_seconds(&self) -> i64 {
        self.app.config.exports.export_first_answer_seconds.into()
    }

    /// The certificates that those of databases are checked against.
    pub(super) fn roots(&self) -> Roots {
        self.app.config.exports.export_root_certs.clone()
    }

    pub(super) fn now(&self) -> Time {
        self.app.clock.now()
    }

    /// Waits until then by the program's clock.
    pub(in crate::background::exports) async fn until(&self, due: Time) {
        self.app.clock.reached(due).await;
    }

    /// Waits until then, and leaves the worker to other attempts meanwhile.
    pub(super) async fn rest_until(&self, due: Time) {
        match &self.seat {
            Some(seat) => seat.rest(self.until(due)).await,
            None => self.until(due).await,
        }
    }
}
