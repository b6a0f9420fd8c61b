//! What callers show of themselves: credentials, passwords, scopes, and the limits on guessing them. Pure: nothing
//! here reads the data file.

pub mod blocks;
pub mod cookies;
pub mod guesses;
pub mod password;
pub mod scopes;
pub mod throttle;

use sha2::{Digest, Sha256};

use crate::api::Via;
use crate::error::{Result, denied};

/// What a request shows of its caller. The first credential found decides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Credential {
    /// The hash of the key.
    Key {
        hash: [u8; 32],
        found_in: FoundIn,
    },
    /// The hash of the cookie.
    Session {
        hash: [u8; 32],
        csrf: Csrf,
    },
    Nothing,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FoundIn {
    Header,
    Body,
    Query,
}

impl Credential {
    /// The hash of the session cookie.
    pub fn session(&self) -> Option<[u8; 32]> {
        match self {
            Credential::Session { hash, .. } => Some(*hash),
            _ => None,
        }
    }

    /// The CSRF token that belongs to the session cookie.
    pub fn csrf(&self) -> Option<&str> {
        match self {
            Credential::Session { csrf, .. } => Some(&csrf.right),
            _ => None,
        }
    }
}

/// The token that pages of this site read from its cookie and repeat.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Csrf {
    pub has_cookie: bool,
    pub repeated: Option<String>,
    /// What it is for this session.
    pub right: String,
}

impl Csrf {
    /// Refuses a page that does not repeat the token of the session.
    ///
    /// # Errors
    /// 403.
    pub fn check(&self) -> Result<()> {
        let refuse = |reason: &str| Err(denied(format!("CSRF Failed: {reason}")));
        if !self.has_cookie {
            return refuse("CSRF cookie not set.");
        }
        let Some(repeated) = &self.repeated else { return refuse("CSRF token missing.") };
        if repeated.len() != self.right.len() {
            return refuse("CSRF token from the 'X-Csrftoken' HTTP header has incorrect length.");
        }
        // Hashes are compared, so that the time taken reveals nothing of the token.
        if hash(repeated) != hash(&self.right) {
            return refuse("CSRF token from the 'X-Csrftoken' HTTP header incorrect.");
        }
        Ok(())
    }
}

/// Tokens are stored and looked up by this.
pub fn hash(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}

/// 403 for a key that is limited to some organizations or projects; `what` says what it does not do.
pub fn unlimited(via: &Via, what: &str) -> Result<()> {
    match via.limited_key() {
        None => Ok(()),
        Some(_) => {
            Err(denied(format!("An API key that is limited to some organizations or projects {what}.")))
        }
    }
}
