//! The certificate that the server shows and its key: from files, which are read again when they change, or from an
//! authority that is asked for them.

mod pair;

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use arc_swap::ArcSwap;
use rustls::ServerConfig;
use tokio::sync::Notify;

use crate::clock::Time;
pub use pair::Life;
use pair::{Pair, Wrong};

/// What tells one state of a file from another.
type Stamp = Option<(SystemTime, u64)>;

/// The pair in use, and where it comes from.
pub struct Certificates {
    source: Source,
    pair: ArcSwap<Pair>,
    is_called: AtomicBool,
    called: Notify,
    answered: Notify,
}

enum Source {
    Files {
        chain: PathBuf,
        key: PathBuf,
        /// The files as they were when they were last read.
        stamps: Mutex<[Stamp; 2]>,
    },
    Authority {
        names: Vec<String>,
        /// What it must find here while it is asked, by the last part of the address.
        challenges: Mutex<HashMap<String, String>>,
        /// Why it could not be asked the last time.
        trouble: Mutex<Option<String>>,
    },
}

impl Certificates {
    /// Reads both files.
    ///
    /// # Errors
    /// One sentence for the operator.
    pub fn load(chain: &Path, key: &Path) -> Result<Certificates, String> {
        let stamps = Mutex::new([stamp(chain), stamp(key)]);
        let pair = Pair::read(chain, key)?;
        Ok(Certificates::new(Source::Files { chain: chain.to_owned(), key: key.to_owned(), stamps }, pair))
    }

    /// Waits for a certificate of an authority, and refuses handshakes until there is one: whoever is shown a
    /// certificate that nobody vouches for learns to accept such ones.
    ///
    /// # Errors
    /// None that we know of.
    pub fn of_authority(names: Vec<String>) -> Result<Certificates, String> {
        let source = Source::Authority { names, challenges: Mutex::default(), trouble: Mutex::default() };
        Ok(Certificates::new(source, Pair::none()?))
    }

    fn new(source: Source, pair: Pair) -> Certificates {
        let (is_called, called, answered) = (AtomicBool::new(false), Notify::new(), Notify::new());
        Certificates { source, pair: ArcSwap::from_pointee(pair), is_called, called, answered }
    }

    /// What a connection that begins now is served with.
    pub fn server(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.pair.load().server)
    }

    /// From when to when the certificate in use is good, where there is one that says so.
    pub fn life(&self) -> Option<Life> {
        self.pair.load().life
    }

    /// When the certificate in use ends, where that is known.
    pub fn ends_at(&self) -> Option<Time> {
        self.life().map(|life| life.until)
    }

    /// Whether an authority is asked for it.
    pub fn is_of_authority(&self) -> bool {
        matches!(self.source, Source::Authority { .. })
    }

    /// Has the files read again, whether they look changed or not, or the authority asked.
    pub fn call(&self) {
        if let Source::Files { stamps, .. } = &self.source {
            *lock(stamps) = [None; 2];
        }
        self.is_called.store(true, Ordering::Release);
        self.called.notify_one();
    }

    /// Ends when somebody has called.
    pub async fn called(&self) {
        self.called.notified().await;
    }

    /// Says that what was called for is done.
    pub fn answer(&self) {
        self.answered.notify_one();
    }

    /// Ends when it is. An authority takes its time, so nobody waits for one.
    pub async fn answered(&self) {
        if !self.is_of_authority() {
            self.answered.notified().await;
        }
    }

    /// Whether somebody has called since this was last looked at.
    pub fn take_call(&self) -> bool {
        self.is_called.swap(false, Ordering::AcqRel)
    }

    /// Reads the files again where they have changed, and says whether they had. The pair in use stays where the
    /// new one is broken.
    ///
    /// # Errors
    /// What is wrong with the new pair, once for each state of the files.
    pub fn refresh(&self) -> Result<bool, String> {
        let Source::Files { chain, key, stamps } = &self.source else { return Ok(false) };
        let now = [stamp(chain), stamp(key)];
        let before = std::mem::replace(&mut *lock(stamps), now);
        if before == now {
            return Ok(false);
        }
        self.pair.store(Arc::new(Pair::read(chain, key)?));
        Ok(true)
    }

    /// Shows new connections this pair, as PEM.
    ///
    /// # Errors
    /// What is wrong with it; the one in use stays.
    pub fn install(&self, chain: &str, key: &str) -> Result<(), String> {
        let pair = Pair::of(chain.as_bytes(), key.as_bytes())?.map_err(|wrong| match wrong {
            Wrong::Chain(words) => format!("the text of the certificate {words}"),
            Wrong::Key(words) => format!("the text of its key {words}"),
            Wrong::Apart => "the certificate and its key do not belong together".into(),
        })?;
        self.pair.store(Arc::new(pair));
        Ok(())
    }

    /// Keeps what the authority must find here; `None` takes it away.
    pub fn set_challenge(&self, token: &str, answer: Option<String>) {
        let Source::Authority { challenges, .. } = &self.source else { return };
        match answer {
            Some(answer) => lock(challenges).insert(token.to_owned(), answer),
            None => lock(challenges).remove(token),
        };
    }

    /// What is to be found here.
    pub fn challenge(&self, token: &str) -> Option<String> {
        let Source::Authority { challenges, .. } = &self.source else { return None };
        lock(challenges).get(token).cloned()
    }

    /// Keeps why the authority could not be asked.
    pub fn set_trouble(&self, sentence: Option<String>) {
        if let Source::Authority { trouble, .. } = &self.source {
            *lock(trouble) = sentence;
        }
    }

    /// Why the authority could not be asked the last time, if it could not.
    pub fn trouble(&self) -> Option<String> {
        let Source::Authority { trouble, .. } = &self.source else { return None };
        lock(trouble).clone()
    }

    /// What the operator should know about the certificate: there is none, or it ends.
    pub fn doubt(&self, now: Time) -> Option<String> {
        let pair = self.pair.load();
        let shown = match &self.source {
            Source::Files { chain, .. } => format!("the certificate in {}", chain.display()),
            Source::Authority { names, .. } => format!("the certificate for {}", names.join(", ")),
        };
        let trouble = self.trouble().map_or_else(String::new, |sentence| format!(": {sentence}"));
        match pair.life {
            None if self.is_of_authority() => Some(format!("{shown} is not there yet{trouble}")),
            Some(life) if life.until <= now => {
                Some(format!("{shown} ended on {}: clients will refuse it{trouble}", life.until))
            }
            Some(life) if life.is_nearly_over(now) => {
                Some(format!("{shown} ends on {}{trouble}", life.until))
            }
            _ => None,
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn stamp(path: &Path) -> Stamp {
    let about = fs::metadata(path).ok()?;
    Some((about.modified().ok()?, about.len()))
}
