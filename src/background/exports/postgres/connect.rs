//! Getting a session: several attempts with growing pauses, by the clock of the program. In the pauses the
//! worker is left to others.

use super::errors;
use super::table::Dialect;
use crate::background::exports::job::{Job, Outcome, Stop};
use crate::outbound::postgres::{Database, Session, Unreached};

const ATTEMPTS: u32 = 5;
/// The pause behind the first attempt; each further one is twice as long.
const PAUSE_SECONDS_FIRST: i64 = 1;

pub(super) async fn session(job: &Job) -> Outcome<Session> {
    let database = database(job)?;
    let seconds = job.first_answer_seconds();
    let mut is_late = false;
    for attempt in 1..=ATTEMPTS {
        let last_moment = job.now().plus_seconds(seconds);
        let opened = tokio::select! {
            opened = job.session(&database) => Some(opened),
            () = job.until(last_moment) => None,
        };
        is_late = opened.is_none();
        let cause = match opened {
            Some(Ok(session)) => return Ok(session),
            Some(Err(Unreached::Forbidden(refused))) => return Err(refused.into()),
            Some(Err(Unreached::Refused { error, is_public })) => {
                let told = errors::told(job, &error, is_public);
                if errors::is_refusal_for_good(&error) {
                    return Err(Stop::Fatal(format!("OperationalError: connection failed: {told}")));
                }
                told
            }
            Some(Err(Unreached::Failed(cause))) => job.without_secrets(cause),
            None => format!("no answer within {seconds} seconds"),
        };
        let next = job.now().plus_seconds(PAUSE_SECONDS_FIRST << (attempt - 1));
        job.warn(format!("Attempt {attempt} of {ATTEMPTS} to connect failed: {cause}")).await?;
        if attempt < ATTEMPTS {
            job.rest_until(next).await;
        }
    }
    let told = if is_late {
        format!(
            "Timed-out while trying to connect for {ATTEMPTS} attempts. Is the server running at '{}', port '{}' and accepting TCP/IP connections?",
            database.host, database.port
        )
    } else {
        format!("Failed to connect after {ATTEMPTS} attempts. Please review connection configuration.")
    };
    Err(Stop::Fatal(format!("PostgreSQLConnectionError: {told}")))
}

fn database(job: &Job) -> Outcome<Database<'_>> {
    let text = |name: &str| job.text(name).unwrap_or_default();
    let port = match job.number("port") {
        None => Dialect::of(job).port(),
        Some(port) => u16::try_from(port)
            .map_err(|_| Stop::Fatal(format!("ValueError: {port} is not the number of a port")))?,
    };
    let host = text("host");
    if host.is_empty() || host.contains(['/', '\\', '\0', '@']) {
        return Err(Stop::Fatal("ValueError: The host must be the name or the address of a server".into()));
    }
    Ok(Database {
        host,
        port,
        name: text("database"),
        user: text("user"),
        password: text("password"),
        roots: (!job.flag("has_self_signed_cert")).then(|| job.roots()),
    })
}
