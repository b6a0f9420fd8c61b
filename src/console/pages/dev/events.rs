//! The events that were captured last.

use maud::{Markup, html};

use crate::api::Reply;
use crate::console::parts::{code_block, counted, details, empty, head, live, search, table, time};
use crate::console::visit::Visit;
use crate::error::Result;
use crate::resources::test_server::events::{Shown, Wanted, find};
use crate::test_server::TestServer;

const SHOWN_MAX: usize = 200;

pub(super) fn list(visit: &Visit, server: &TestServer) -> Result<Reply> {
    let typed = visit.query("q").unwrap_or_default();
    let event = Some(typed).filter(|name| !name.is_empty());
    let wanted = Wanted { token: None, event, distinct_id: None, limit: SHOWN_MAX };
    let events = visit.app.store.read(|tx| find(tx, &wanted))?;
    let unknown = server.events.unknown();
    let state = format!(
        "{}; {} with the token of no project.",
        counted(events.len() as u64, "event", "events"),
        counted(unknown, "request came", "requests came")
    );
    Ok(visit.show_dev(
        "Events",
        &html! {
            (head("Events", state, None))
            (search("Event", "signed up", typed))
            @if events.is_empty() {
                (empty("No event yet", "What an app sends shows here as soon as it is stored.", None))
            } @else {
                (live("events", &visit.address(), 2,
                    table("Events", &["Event", "Person", "Project", "Time"], events.iter().rev().map(line))))
            }
        },
    ))
}

fn line(event: &Shown) -> [Markup; 4] {
    let properties = serde_json::from_str::<serde_json::Value>(event.properties.text()).unwrap_or_default();
    [
        html! { (details(&event.event, code_block(&event.uuid.to_string(), "the properties", &format!("{properties:#}")))) },
        html! { (event.distinct_id) },
        html! { (event.project_id) },
        time(event.timestamp),
    ]
}
