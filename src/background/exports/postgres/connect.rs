//! Getting a session: several attempts with growing pauses, by the clock of the program.

use super::errors;
use super::table::Dialect;
use crate::background::exports::job::{Job, Outcome, Stop};
use crate::outbound::Reach;
use crate::outbound::postgres::{Database, Session, Unreached};

const ATTEMPTS: u32 = 5;
const ATTEMPT_SECONDS_MAX: i64 = 30;
/// The pause behind the first attempt; each further one is twice as long.
const PAUSE_SECONDS_FIRST: i64 = 1;

pub(super) async fn session(job: &Job) -> Outcome<Session> {
    let database = database(job)?;
    let mut is_late = false;
    for attempt in 1..=ATTEMPTS {
        let last_moment = job.now().plus_seconds(ATTEMPT_SECONDS_MAX);
        let opened = tokio::select! {
            opened = Session::open(&database) => Some(opened),
            () = job.until(last_moment) => None,
        };
        is_late = opened.is_none();
        let cause = match opened {
            Some(Ok(session)) => return Ok(session),
            Some(Err(Unreached::Refused(error))) if errors::is_refusal_for_good(&error) => {
                let told = job.told(errors::message(&error));
                return Err(Stop::Fatal(format!("OperationalError: connection failed: {told}")));
            }
            Some(Err(Unreached::Refused(error))) => job.told(errors::message(&error)),
            Some(Err(Unreached::Failed(cause))) => job.told(cause),
            None => format!("no answer within {ATTEMPT_SECONDS_MAX} seconds"),
        };
        let next = job.now().plus_seconds(PAUSE_SECONDS_FIRST << (attempt - 1));
        job.warn(format!("Attempt {attempt} of {ATTEMPTS} to connect failed: {cause}")).await?;
        if attempt < ATTEMPTS {
            job.until(next).await;
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
    Ok(Database {
        host: text("host"),
        port,
        name: text("database"),
        user: text("user"),
        password: text("password"),
        roots: if job.flag("has_self_signed_cert") { None } else { job.roots() },
        reach: Reach::Anywhere,
    })
}
