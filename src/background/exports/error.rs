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
    /// Another attempt may succeed after so many seconds, by what the destination says.
    Throttled { error: String, seconds: i64 },
    /// No attempt can succeed.
    Fatal(String),
    /// This server failed.
    Internal(Error),
}

impl AttemptError {
    /// The same with its text changed.
    pub(super) fn map(self, change: impl FnOnce(String) -> String) -> AttemptError {
        match self {
            AttemptError::Retryable(error) => AttemptError::Retryable(change(error)),
            AttemptError::Throttled { error, seconds } => {
                AttemptError::Throttled { error: change(error), seconds }
            }
            AttemptError::Fatal(error) => AttemptError::Fatal(change(error)),
            other => other,
        }
    }

    /// One that another attempt may overcome, after the time that the destination names, if it does.
    pub(super) fn later(error: String, seconds: Option<i64>) -> AttemptError {
        match seconds {
            Some(seconds) => AttemptError::Throttled { error, seconds },
            None => AttemptError::Retryable(error),
        }
    }
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
