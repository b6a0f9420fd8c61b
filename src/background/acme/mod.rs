//! Gets the server's certificate from an authority that speaks ACME, and another one when two thirds of its life are over.

mod order;

use std::sync::Arc;

use tracing::{error, info, warn};

use super::task::Task;
use crate::app::App;
use crate::certificates::Certificates;
use crate::clock::Time;
use crate::error::Result;
use crate::metrics;
use crate::resources::acme::{self, Failure, Kept, Waiting, Wanted};
use crate::store::Tx;

/// The task.
pub(super) struct Renewal {
    certificates: Arc<Certificates>,
    wanted: Wanted,
    /// What the certificate in use was wanted for.
    current: Option<Wanted>,
    /// A certificate that the data file has not taken yet. It is in use, and never asked for again.
    unkept: Option<Kept>,
    /// The wait after tries that failed.
    waiting: Option<Waiting>,
}

impl Renewal {
    /// Takes up what an earlier process has kept.
    pub(super) fn new(app: &App, certificates: Arc<Certificates>) -> Renewal {
        let wanted = Wanted::of(&app.config.tls.acme);
        let kept = app.store.read(|tx| Ok((acme::kept(tx, &app.vault)?, acme::waiting(tx, &wanted)?)));
        let (kept, waiting) = kept.unwrap_or_else(|cause| {
            error!(%cause, "what was kept of certificates cannot be read");
            (None, None)
        });
        let current = kept.and_then(|kept| match certificates.install(&kept.chain, &kept.key) {
            Ok(()) => Some(kept.wanted),
            Err(sentence) => {
                warn!("the certificate that was kept is of no use: {sentence}");
                None
            }
        });
        certificates.set_trouble(waiting.as_ref().map(|waiting| waiting.sentence.clone()));
        if let Some(sentence) = certificates.doubt(app.clock.now()) {
            warn!("{sentence}");
        }
        if current.is_none() {
            warn!("until there is a certificate, handshakes of HTTPS are refused");
        }
        Renewal { certificates, wanted, current, unkept: None, waiting }
    }

    /// When the authority is to be asked. `is_called`: the operator wants it sooner, and the authority does not mind.
    fn due(&self, is_called: bool) -> Time {
        let is_current = self.current.as_ref() == Some(&self.wanted);
        let wanted_at =
            self.certificates.life().filter(|_| is_current).map_or(Time(0), |life| life.two_thirds());
        let waiting = self.waiting.as_ref().filter(|waiting| waiting.is_told || !is_called);
        waiting.map_or(wanted_at, |waiting| waiting.until.max(wanted_at))
    }

    async fn renew(&mut self, app: &Arc<App>) -> Result<()> {
        let issued = order::issue(app, &self.wanted, &self.certificates).await.and_then(|issued| {
            let installed = self.certificates.install(&issued.chain, &issued.key);
            let odd = |cause| Failure {
                sentence: format!("what the authority has issued is of no use: {cause}"),
                was_seen: true,
                wait_seconds: None,
            };
            installed.map(|()| issued).map_err(odd)
        });
        match issued {
            Ok(issued) => self.take_up(app, issued).await,
            Err(failure) => self.note(app, failure).await,
        }
    }

    async fn take_up(&mut self, app: &Arc<App>, issued: Kept) -> Result<()> {
        metrics::CERTIFICATES_ISSUED.one();
        self.certificates.set_trouble(None);
        (self.current, self.waiting) = (Some(issued.wanted.clone()), None);
        let (names, until) = (issued.wanted.names.join(", "), self.certificates.ends_at());
        let until = until.map_or_else(String::new, |until| format!(", good until {until}"));
        info!("a certificate for {names} was issued{until}: new connections get it");
        self.unkept = Some(issued);
        self.keep(app).await
    }

    /// Has the data file take the certificate that it has not taken yet.
    async fn keep(&mut self, app: &Arc<App>) -> Result<()> {
        let Some(unkept) = &self.unkept else { return Ok(()) };
        let Kept { wanted, chain, key } = unkept;
        let new = Kept { wanted: wanted.clone(), chain: chain.clone(), key: key.clone() };
        let (vault, ids) = (Arc::clone(&app.vault), Arc::clone(&app.ids));
        app.store.write(move |tx| acme::keep_certificate(tx, &vault, &ids, &new)).await?;
        self.unkept = None;
        Ok(())
    }

    async fn note(&mut self, app: &Arc<App>, failure: Failure) -> Result<()> {
        metrics::CERTIFICATES_REFUSED.one();
        let now = app.clock.now();
        let sentence = failure.sentence.clone();
        self.certificates.set_trouble(Some(sentence.clone()));
        let is_told = failure.wait_seconds.is_some();
        // Where that cannot be written down, it is remembered.
        let until = now.plus_seconds(failure.wait_seconds.unwrap_or(0).max(acme::WAIT_SECONDS));
        self.waiting = Some(Waiting { until, is_told, sentence: sentence.clone() });
        let wanted = self.wanted.clone();
        let until = app.store.write(move |tx| acme::note_failure(tx, &wanted, &failure, now)).await?;
        self.waiting = Some(Waiting { until, is_told, sentence: sentence.clone() });
        error!("no certificate was issued: {sentence}; tried again at {until}");
        Ok(())
    }
}

impl Task for Renewal {
    const NAME: &'static str = "acme";
    const EVERY_SECONDS: i64 = 60 * 60;
    const ERROR_BACKOFF_SECONDS: i64 = 60;

    async fn turn(&mut self, app: &Arc<App>) -> Result<()> {
        let is_called = self.certificates.take_call();
        self.keep(app).await?;
        if self.due(is_called) <= app.clock.now() {
            self.renew(app).await?;
        } else if is_called {
            let trouble =
                self.certificates.trouble().map_or_else(String::new, |sentence| format!("; {sentence}"));
            info!("the authority is not asked before {}{trouble}", self.due(false));
        }
        if let Some(sentence) = self.certificates.doubt(app.clock.now()) {
            warn!("{sentence}");
        }
        Ok(())
    }

    fn next_due(&self, _app: &App, _tx: &Tx) -> Result<Option<Time>> {
        Ok(Some(self.due(false)))
    }

    async fn woken(&mut self) {
        self.certificates.called().await;
    }
}
