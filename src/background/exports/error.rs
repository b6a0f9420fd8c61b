//! Why an attempt ends early.

use crate::error::Error;
use crate::outbound::Refused;

/// Why an attempt ends without having delivered everything.
#[derive(Debug)]
pub(super) enum AttemptError {
    /// The run was ended, or its export deleted.
    Ended,
    /// Another attempt may succeed.
    Retryable(String),
    /// No attempt can succeed.
    Fatal(String),
    /// This server failed.
    Internal(Error),
}

pub(super) type Result<T> = std::result::Result<T, AttemptError>;

impl From<Error> for AttemptError {
    fn from(cause: Error) -> AttemptError {
        AttemptError::Internal(cause)
    }
}

impl From<Refused> for AttemptError {
    /// What the address policy refuses now, it will refuse again.
    fn from(refused: Refused) -> AttemptError {
        AttemptError::Fatal(format!("AddressNotAllowedError: {refused}"))
    }
}
