//! The names of a database's errors, and which of them no other attempt can overcome.

use tokio_postgres::Error;

use crate::background::exports::error::AttemptError;
use crate::resources::batch_exports::redact::Redactor;

/// What an error means for the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// Another attempt may succeed.
    Later,
    /// None can.
    Never,
}

use Fate::{Later, Never};

/// SQLSTATEs, and after them classes of them (their first two letters), by the names that psycopg, and so PostHog,
/// uses. What is in no class is of a server that nobody knows, and may pass.
const STATES: &[(&str, &str, Fate)] = &[
    ("22001", "StringDataRightTruncation", Never),
    ("22003", "NumericValueOutOfRange", Never),
    ("22007", "InvalidDatetimeFormat", Never),
    ("22P02", "InvalidTextRepresentation", Never),
    ("22P05", "UntranslatableCharacter", Never),
    ("23502", "NotNullViolation", Never),
    ("23503", "ForeignKeyViolation", Never),
    ("23505", "UniqueViolation", Never),
    ("23514", "CheckViolation", Never),
    // After a failover the server of before may only be read.
    ("25006", "ReadOnlySqlTransaction", Later),
    ("28000", "InvalidAuthorizationSpecification", Never),
    ("28P01", "InvalidPassword", Never),
    ("3D000", "InvalidCatalogName", Never),
    ("3F000", "InvalidSchemaName", Never),
    ("40001", "SerializationFailure", Later),
    ("40P01", "DeadlockDetected", Later),
    ("42501", "InsufficientPrivilege", Never),
    ("42601", "SyntaxError", Never),
    ("42703", "UndefinedColumn", Never),
    ("42804", "DatatypeMismatch", Never),
    ("42809", "WrongObjectType", Never),
    ("42883", "UndefinedFunction", Never),
    ("42P01", "UndefinedTable", Never),
    ("42P10", "InvalidColumnReference", Never),
    ("53100", "DiskFull", Later),
    ("53200", "OutOfMemory", Later),
    ("53300", "TooManyConnections", Later),
    ("55P03", "LockNotAvailable", Later),
    ("57014", "QueryCanceled", Later),
    ("57P01", "AdminShutdown", Later),
    ("57P02", "CrashShutdown", Later),
    ("57P03", "CannotConnectNow", Later),
    ("P0001", "RaiseException", Never),
    ("08", "OperationalError", Later),
    // Triggers of the table, and what they call.
    ("09", "ProgrammingError", Never),
    ("0A", "NotSupportedError", Never),
    ("21", "ProgrammingError", Never),
    ("22", "DataError", Never),
    ("23", "IntegrityError", Never),
    ("24", "InternalError", Later),
    ("25", "InternalError", Later),
    ("27", "IntegrityError", Never),
    ("28", "OperationalError", Never),
    ("2D", "InternalError", Never),
    ("2F", "OperationalError", Never),
    ("38", "InternalError", Never),
    ("39", "InternalError", Never),
    ("3D", "ProgrammingError", Never),
    ("3F", "ProgrammingError", Never),
    ("40", "OperationalError", Later),
    ("42", "ProgrammingError", Never),
    ("44", "ProgrammingError", Never),
    ("53", "OperationalError", Later),
    // A row that is too large for the table or an index.
    ("54", "OperationalError", Never),
    ("55", "OperationalError", Later),
    ("57", "OperationalError", Later),
    ("58", "OperationalError", Later),
    ("P0", "ProgrammingError", Never),
    ("XX", "InternalError", Later),
];

/// Name and fate of a code.
fn state(code: &str) -> (&'static str, Fate) {
    let class = code.get(..2).unwrap_or_default();
    let found = |wanted: &str| STATES.iter().find(|(known, ..)| *known == wanted);
    let state = found(code).or_else(|| found(class));
    state.map_or(("OperationalError", Later), |(_, name, fate)| (name, *fate))
}

/// What an error means for the attempt. A lost connection may come back.
pub(super) fn attempt_error(redactor: &Redactor, error: &Error, is_public: bool) -> AttemptError {
    let (name, fate) = state(code(error));
    let described = format!("{name}: {}", described(redactor, error, is_public));
    match fate {
        Later => AttemptError::Retryable(described),
        Never => AttemptError::Fatal(described),
    }
}

fn code(error: &Error) -> &str {
    error.code().map_or("", |code| code.code())
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
    state(code(error)).1 == Never
}

/// Whether something could not be created because it exists.
pub(super) fn is_already_there(error: &Error) -> bool {
    matches!(code(error), "23505" | "42P07" | "42710")
}

/// Whether there is no unique key for insert-or-update.
pub(super) fn is_keyless(error: &Error) -> bool {
    code(error) == "42P10"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_have_the_names_of_psycopg_and_say_whether_they_can_pass() {
        for (codes, name, fate) in [
            (&["57P01"][..], "AdminShutdown", Later),
            (&["22012", "22021", "22023"], "DataError", Never),
            (&["22P02"], "InvalidTextRepresentation", Never),
            (&["23514"], "CheckViolation", Never),
            (&["23001", "23P01"], "IntegrityError", Never),
            (&["42704", "428C9", "42P16"], "ProgrammingError", Never),
            (&["42809"], "WrongObjectType", Never),
            (&["42P10"], "InvalidColumnReference", Never),
            (&["0A000"], "NotSupportedError", Never),
            (&["P0001"], "RaiseException", Never),
            (&["P0002", "P0004", "44000"], "ProgrammingError", Never),
            (&["08000", "08006", "40003", "53000", "53400"], "OperationalError", Later),
            (&["55000", "55006", "57P05", "58000", "58030"], "OperationalError", Later),
            (&["53100"], "DiskFull", Later),
            (&["54000"], "OperationalError", Never),
            (&["25P02", "25P03", "XX000", "XX001"], "InternalError", Later),
            (&["", "ZZ123", "1", "é"], "OperationalError", Later),
        ] {
            for code in codes {
                assert_eq!(state(code), (name, fate), "{code}");
            }
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
