//! The client: the commands that use an API, orgd's or PostHog's, over the network or on a data file of this machine.
//!
//! `nouns` says which commands there are, as data: help, manual pages, completions and tests walk that table, and `run`
//! carries out any of its lines. A `Target` is where a request goes. Invariant: a key is sent to the host that it was given for,
//! and to no other; what a server answers is bounded, and never reaches a terminal with control characters in it.

mod host;
mod profiles;
mod target;

#[cfg(feature = "client")]
mod api;
#[cfg(feature = "client")]
mod auth;
#[cfg(feature = "client")]
mod body;
#[cfg(feature = "client")]
mod confirm;
#[cfg(feature = "client")]
mod find;
#[cfg(feature = "client")]
mod given;
#[cfg(feature = "client")]
mod nouns;
#[cfg(feature = "client")]
mod output;
#[cfg(feature = "client")]
mod pages;
#[cfg(feature = "client")]
mod run;
#[cfg(feature = "client")]
mod table;
#[cfg(feature = "client")]
mod text;

#[cfg(feature = "client")]
pub use given::Given;
pub use host::Host;
#[cfg(feature = "client")]
pub use nouns::{Column, Does, Id, Kind, NOUNS, Named, Noun, Part, Shows, Take, Verb};
#[cfg(feature = "client")]
pub use output::{Screen, complain};
pub use profiles::{Profile, Profiles};
#[cfg(feature = "client")]
pub use run::run;
pub use target::{Answer, Ask, Choice, Server, Target, settings_of};

/// Why a command did not do what was wanted.
#[derive(Debug)]
pub struct Failure {
    /// With which the program ends.
    pub code: u8,
    pub sentence: String,
    /// What to do about it.
    pub advice: Option<String>,
}

impl Failure {
    /// It was tried.
    pub const FAILED: u8 = 1;
    /// What was typed can't be meant.
    pub const USAGE: u8 = 2;
    /// There is no key, or it opens nothing.
    pub const NO_KEY: u8 = 4;

    /// What was typed can't be meant.
    pub fn usage(sentence: impl Into<String>) -> Failure {
        Failure { code: Failure::USAGE, sentence: sentence.into(), advice: None }
    }

    /// There is no key.
    pub fn no_key(sentence: impl Into<String>) -> Failure {
        Failure { code: Failure::NO_KEY, sentence: sentence.into(), advice: None }
    }

    /// The same, with what to do about it.
    #[must_use]
    pub fn advise(self, advice: impl Into<String>) -> Failure {
        Failure { advice: Some(advice.into()), ..self }
    }
}

impl From<String> for Failure {
    fn from(sentence: String) -> Failure {
        Failure { code: Failure::FAILED, sentence, advice: None }
    }
}

impl From<&str> for Failure {
    fn from(sentence: &str) -> Failure {
        sentence.to_owned().into()
    }
}

impl From<crate::control::Failure> for Failure {
    fn from(failure: crate::control::Failure) -> Failure {
        failure.sentence.into()
    }
}
