//! The first page of a project: its token, how to send events, and what arrives.

use maud::{Markup, html};
use uuid::Uuid;

use super::{BASE, HERE, Here};
use crate::api::Reply;
use crate::app::session;
use crate::clock::Ids;
use crate::console::page::{Page, page};
use crate::console::pages::days;
use crate::console::parts::{self, code_block, counted, details, empty, head, section, table, time};
use crate::console::visit::Visit;
use crate::error::Result;
use crate::resources::events::{self, Event};
use crate::store::Tx;

pub(super) fn pages() -> Vec<Page> {
    vec![page(BASE, session(), HERE, show)]
}

/// So many events are shown.
const EVENTS: usize = 10;
/// How often the page looks for new ones.
const SECONDS: u32 = 2;

fn show(visit: &Visit, tx: &Tx) -> Result<Reply> {
    let here = Here::of(visit, tx)?;
    let name = &here.project.name;
    let days = events::daily(tx, &[here.at.id], visit.now, days::DAYS)?;
    let newest = events::newest_of(tx, here.at.id, EVENTS, |_| true)?;
    let kept = events::count(tx, here.at.id)?;
    visit.show(
        tx,
        name,
        &html! {
            (here.top(""))
            (head(name, format!("Project no. {}, {} kept", here.at.id, counted(kept, "event", "events")), None))
            (parts::secret("token", "Project token", &here.project.api_token))
            p.help { "It is public: it sends events, and reads nothing." }
            (section("Send events", snippets(&visit.origin, &here.project.api_token, newest.is_empty())))
            (section("Events a day", days::chart(&days)))
            (section("Last events", parts::live("events", &here.base, SECONDS, last_events(&newest))))
        },
    )
}

fn last_events(newest: &[(Uuid, Event)]) -> Markup {
    if newest.is_empty() {
        return empty("No event yet", "Send one with a snippet from above, and it appears here.", None);
    }
    let line = |(id, event): &(Uuid, Event)| {
        [parts::name(&event.event, &event.distinct_id), time(event.timestamp), time(Ids::time_of(*id))]
    };
    table("Last events", &["Event", "Happened", "Arrived"], newest.iter().map(line))
}

/// The same event in several languages, with the address of this server. Those of a project in use are folded away.
fn snippets(origin: &str, token: &str, is_new: bool) -> Markup {
    let curl = format!(
        "curl {origin}/i/v0/e/ \\\n  -H 'Content-Type: application/json' \\\n  -d '{{\"api_key\": \"{token}\", \
         \"event\": \"hello\", \"distinct_id\": \"me\"}}'"
    );
    let script = format!(
        "import posthog from 'posthog-js'\n\nposthog.init('{token}', {{ api_host: '{origin}' }})\n\
         posthog.capture('hello')"
    );
    let python = format!(
        "from posthog import Posthog\n\nposthog = Posthog('{token}', host='{origin}')\n\
         posthog.capture('hello', distinct_id='me')\nposthog.shutdown()"
    );
    html! {
        @if is_new { (code_block("curl", "curl", &curl)) } @else { (details("curl", code_block("curl", "curl", &curl))) }
        (details("JavaScript", code_block("javascript", "JavaScript", &script)))
        (details("Python", code_block("python", "Python", &python)))
    }
}
