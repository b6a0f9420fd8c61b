//! Background tasks and how each one's last run ended.

use maud::{Markup, html};

use super::SERVER;
use crate::api::Reply;
use crate::app::session;
use crate::console::page::{Page, page};
use crate::console::parts::{Tone, counted, empty, head, live, table, tag, time};
use crate::console::visit::Visit;
use crate::error::Result;
use crate::resources::users;
use crate::store::Tx;
use crate::task_results::TaskResult;

pub(super) fn pages() -> Vec<Page> {
    vec![page("/instance/tasks", session(), SERVER, show)]
}

fn show(visit: &Visit, tx: &Tx) -> Result<Reply> {
    users::require_operator(visit, tx)?;
    let results = visit.app.task_results.all();
    let failed = results.values().filter(|result| result.outcome.is_err()).count();
    let state = match failed {
        0 => "All is well.".to_owned(),
        some => format!("{} in the last run.", counted(some as u64, "task failed", "tasks failed")),
    };
    visit.show(tx, "Tasks", &html! {
        (head("Tasks", state, None))
        @if results.is_empty() {
            (empty("Nothing has run yet", "What the server does in the background shows here after its first run.", None))
        } @else {
            (live("tasks", "/instance/tasks", 10, table("Tasks", &["Task", "Last run", "Took", "Result"],
                results.iter().map(|(name, result)| line(name, result)))))
        }
    })
}

fn line(name: &str, result: &TaskResult) -> [Markup; 4] {
    [
        html! { (name.replace('_', " ")) },
        time(result.started_at),
        html! { (result.took.as_millis()) " ms" },
        match &result.outcome {
            Ok(()) => tag(Tone::Good, "Done"),
            Err(sentence) => html! { (tag(Tone::Bad, "Failed")) small { (sentence) } },
        },
    ]
}
