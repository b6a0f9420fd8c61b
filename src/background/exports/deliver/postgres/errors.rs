//! The names of a database's errors, and which of them no other attempt can overcome.

use tokio_postgres::Error;

use crate::background::exports::error::AttemptError;
use crate::background::exports::redact::Redactor;

/// SQLSTATEs that no other attempt can overcome, by the names that psycopg, and so PostHog, uses.
const FATAL: &[(&str, &str)] = &[
    ("22001", "StringDataRightTruncation"),
    ("23502", "NotNullViolation"),
    ("23505", "UniqueViolation"),
    ("28000", "InvalidAuthorizationSpecification"),
    ("28P01", "InvalidPassword"),
    ("3D000", "InvalidCatalogName"),
    ("3F000", "InvalidSchemaName"),
    ("42501", "InsufficientPrivilege"),
    ("42703", "UndefinedColumn"),
    // There is no unique key for insert-or-update.
    ("42P10", "MissingPrimaryKeyError"),
    ("53100", "DiskFull"),
];

/// Others whose name says more than their class.
const NAMED: &[(&str, &str)] = &[
    ("22003", "NumericValueOutOfRange"),
    ("22007", "InvalidDatetimeFormat"),
    ("22P02", "InvalidTextRepresentation"),
    ("22P05", "UntranslatableCharacter"),
    ("23503", "ForeignKeyViolation"),
    ("23514", "CheckViolation"),
    ("25006", "ReadOnlySqlTransaction"),
    ("40001", "SerializationFailure"),
    ("40P01", "DeadlockDetected"),
    ("42601", "SyntaxError"),
    ("42804", "DatatypeMismatch"),
    ("42883", "UndefinedFunction"),
    ("42P01", "UndefinedTable"),
    ("53200", "OutOfMemory"),
    ("53300", "TooManyConnections"),
    ("55P03", "LockNotAvailable"),
    ("57014", "QueryCanceled"),
    ("57P01", "AdminShutdown"),
    ("57P02", "CrashShutdown"),
    ("57P03", "CannotConnectNow"),
];

const CLASSES: &[(&str, &str)] = &[
    ("0A", "NotSupportedError"),
    ("22", "DataError"),
    ("23", "IntegrityError"),
    ("42", "ProgrammingError"),
    ("25", "InternalError"),
    ("XX", "InternalError"),
];

/// What an error means for the attempt. A lost connection counts as one that may come
/// back: connecting has its own, smaller number of attempts.
pub(super) fn attempt_error(redactor: &Redactor, error: &Error, is_public: bool) -> AttemptError {
    let code = error.code().map_or("", |code| code.code());
    let described = |name: &str| format!("{name}: {}", described(redactor, error, is_public));
    match of(FATAL, code) {
        Some(name) => AttemptError::Fatal(described(name)),
        None => AttemptError::Retryable(described(name(code))),
    }
}

fn name(code: &str) -> &'static str {
    let class = code.get(..2).unwrap_or_default();
    of(NAMED, code).or_else(|| of(CLASSES, class)).unwrap_or("OperationalError")
}

fn of(names: &[(&str, &'static str)], code: &str) -> Option<&'static str> {
    names.iter().find(|(known, _)| *known == code).map(|(_, name)| *name)
}

/// What is shown of an error: of a server in a private network, nothing but its code.
pub(super) fn described(redactor: &Redactor, error: &Error, is_public: bool) -> String {
    match error.code() {
        Some(code) if !is_public => format!("the server answered with SQLSTATE {}", sqlstate(code.code())),
        Some(_) => redactor.redacted_excerpt(message(error), is_public),
        None => redactor.redact(crate::outbound::reason(error)),
    }
}

/// A code of five letters and digits, as the protocol has it, or `unknown`.
fn sqlstate(code: &str) -> &str {
    let is_code = code.len() == 5 && code.bytes().all(|byte| byte.is_ascii_alphanumeric());
    if is_code { code } else { "unknown" }
}

/// The server's sentence with the place in the data that it is about, but none of the data.
fn message(error: &Error) -> String {
    let Some(answer) = error.as_db_error() else { return crate::outbound::reason(error) };
    let place = answer.where_().and_then(|place| place.lines().next()).map(without_data);
    match place {
        Some(place) => format!("{} ({place})", answer.message()),
        None => answer.message().to_owned(),
    }
}

/// `COPY events, line 1, column event: "the value"` without the value.
fn without_data(place: &str) -> &str {
    place.split_once(": ").map_or(place, |(front, _)| front)
}

/// Whether a server that refuses this session will refuse the next one too.
pub(super) fn is_permanent(error: &Error) -> bool {
    error.code().is_some_and(|code| of(FATAL, code.code()).is_some())
}

/// Whether something could not be created because it exists.
pub(super) fn is_already_there(error: &Error) -> bool {
    error.code().is_some_and(|code| matches!(code.code(), "23505" | "42P07" | "42710"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_have_the_names_of_psycopg() {
        for (code, wanted) in [
            ("57P01", "AdminShutdown"),
            ("22012", "DataError"),
            ("42704", "ProgrammingError"),
            ("08006", "OperationalError"),
            ("58030", "OperationalError"),
            ("XX001", "InternalError"),
            ("", "OperationalError"),
        ] {
            assert_eq!(name(code), wanted, "{code}");
        }
    }

    #[test]
    fn the_place_of_an_error_is_shown_without_the_data() {
        assert_eq!(
            without_data("COPY events, line 1, column event: \"hidden: 1\""),
            "COPY events, line 1, column event"
        );
        assert_eq!(without_data("COPY a\"b, line 2"), "COPY a\"b, line 2");
    }
}
