//! Background tasks: each keeps the result of its last run.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::support::Server;

fn tasks_that_ran(server: &Server) -> BTreeSet<&'static str> {
    server.app.task_results.all().into_keys().collect()
}

#[test]
fn every_task_runs_at_the_start_and_keeps_its_result() {
    let server = Server::with(|config| config.smtp_url = Some("smtp://127.0.0.1:1".into()));
    let wanted = BTreeSet::from(["batch_exports", "mailer", "proxy_records", "retention", "session_cleanup"]);
    server.until("every task has run", || tasks_that_ran(&server) == wanted);
    for (task, result) in server.app.task_results.all() {
        assert_eq!(result.outcome, Ok(()), "{task}");
        assert!(result.started_at <= server.app.clock.now(), "{task}");
    }
}

#[test]
fn a_task_that_is_not_needed_has_no_result() {
    let server = Server::with(|config| config.smtp_url = None);
    server.until("the others have run", || tasks_that_ran(&server).len() == 4);
    assert!(!tasks_that_ran(&server).contains("mailer"));
}

#[test]
fn a_task_runs_again_when_its_time_has_come() {
    let server = Server::start();
    let last = || server.app.task_results.all().get("session_cleanup").map(|result| result.started_at);
    server.until("sessions were cleaned up", || last().is_some());
    let first = last();
    server.pass(Duration::from_secs(60 * 60));
    server.until("sessions were cleaned up again", || last() > first);
}
