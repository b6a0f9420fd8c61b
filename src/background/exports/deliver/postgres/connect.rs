//! Opening a session: several tries with growing pauses, by the program's clock. The worker is left to other
//! attempts during the pauses. A server that is not there after that may be there for a later attempt.

use super::errors;
use super::table::Dialect;
use crate::background::exports::deliver::Transport;
use crate::background::exports::error::{AttemptError, Result};
use crate::background::exports::note::Notes;
use crate::background::exports::plan::Plan;
use crate::backoff::Backoff;
use crate::outbound::postgres::{ConnectError, Database, Session};

const TRIES: u32 = 5;
const RETRY: Backoff = Backoff { first: 1.0, factor: 2.0, max: f64::INFINITY };

pub(super) async fn session(plan: &Plan, notes: &Notes, transport: &Transport) -> Result<Session> {
    let database = database(plan, transport)?;
    let seconds = transport.first_answer_seconds();
    let mut is_late = false;
    for failures in 0..TRIES {
        let deadline = transport.now().plus_seconds(seconds);
        let opened = tokio::select! {
            opened = transport.session(&database) => Some(opened),
            () = transport.until(deadline) => None,
        };
        is_late = opened.is_none();
        let cause = match opened {
            Some(Ok(session)) => return Ok(session),
            Some(Err(cause)) => failure(plan, cause)?,
            None => format!("no answer within {seconds} seconds"),
        };
        let next = RETRY.retry_at(transport.now(), failures);
        let number = failures + 1;
        let warning = format!("Attempt {number} of {TRIES} to connect failed: {cause}");
        notes.warn(&plan.redactor, warning).await?;
        if number < TRIES {
            transport.rest_until(next).await;
        }
    }
    let error = if is_late {
        format!(
            "Timed-out while trying to connect for {TRIES} attempts. Is the server running at '{}', port '{}' and accepting TCP/IP connections?",
            database.host, database.port
        )
    } else {
        format!("Failed to connect after {TRIES} attempts. Please review connection configuration.")
    };
    Err(AttemptError::Retryable(format!("PostgreSQLConnectionError: {error}")))
}

/// Why there is no session, where another try may open one.
fn failure(plan: &Plan, cause: ConnectError) -> Result<String> {
    match cause {
        ConnectError::Forbidden(refused) => Err(refused.into()),
        ConnectError::Failed(cause) => Ok(plan.redactor.redact(cause)),
        ConnectError::Insecure(cause) => {
            Err(AttemptError::Fatal(format!("OperationalError: connection failed: {cause}")))
        }
        ConnectError::Refused { error, is_public } => {
            let described = errors::described(&plan.redactor, &error, is_public);
            if errors::is_permanent(&error) {
                let error = format!("OperationalError: connection failed: {described}");
                return Err(AttemptError::Fatal(error));
            }
            Ok(described)
        }
    }
}

fn database<'a>(plan: &'a Plan, transport: &Transport) -> Result<Database<'a>> {
    let text = |name: &str| plan.settings.text(name).unwrap_or_default();
    let port = match plan.settings.number("port") {
        None => Dialect::of(plan).port(),
        Some(port) => u16::try_from(port)
            .map_err(|_| AttemptError::Fatal(format!("ValueError: {port} is not the number of a port")))?,
    };
    let host = text("host");
    if host.is_empty() || host.contains(['/', '\\', '\0', '@']) {
        let error = "ValueError: The host must be the name or the address of a server";
        return Err(AttemptError::Fatal(error.into()));
    }
    Ok(Database {
        host,
        port,
        name: text("database"),
        user: text("user"),
        password: text("password"),
        roots: (!plan.settings.flag("has_self_signed_cert")).then(|| transport.roots()),
    })
}
