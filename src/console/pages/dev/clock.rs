//! The clock, and what was due on its way.

use std::sync::Arc;

use maud::{Markup, html};
use serde_json::json;

use super::again;
use crate::api::fields::FieldInfo;
use crate::api::{Field, Reply};
use crate::console::form::{Control, Form};
use crate::console::parts::{Look, Tone, amount, deed, head, notice, section, table, time};
use crate::console::visit::Visit;
use crate::console::words::Said;
use crate::error::Result;
use crate::resources::test_server::clock::{Advanced, Fired, Moved, Wanted, move_clock};
use crate::test_server::TestServer;

const PATH: &str = "/dev/clock";
const ADVANCE: FieldInfo = Field::text("advance", 20).info();
const SET: FieldInfo = Field::text("set", 40).info();

pub(super) fn show(visit: &Visit, _server: &TestServer) -> Result<Reply> {
    Ok(page(visit, None))
}

fn page(visit: &Visit, advanced: Option<&Advanced>) -> Reply {
    let clock = &visit.app.clock;
    let state = if clock.is_frozen() { "It stands still." } else { "It runs." };
    let advance = Form::new(None)
        .control(
            Control::new(ADVANCE)
                .label("By")
                .help("Such as 90s, 15m, 72h or 4d. It stops wherever a task is due.")
                .first(),
        )
        .show(json!({"advance": "1h"}));
    let set = Form::new(None)
        .named("set")
        .control(Control::new(SET).label("To").help("What was due meanwhile happens once, then."));
    let set = set.show(json!({"set": clock.now().to_string()}));
    let is_of_set = !visit.typed("set").is_empty();
    let (set, advance) = if is_of_set {
        (set.refused(visit.refused()), advance)
    } else {
        (set, advance.refused(visit.refused()))
    };
    let (other, words) =
        if clock.is_frozen() { ("run", "Let it run") } else { ("freeze", "Let it stand still") };
    visit.show_dev(
        "Clock",
        &html! {
            (advance.summary()) (set.summary())
            (head("Clock", html! { (time(clock.now())) ". " (state) }, None))
            @if let Some(advanced) = advanced { (outcome(advanced)) }
            (section("Advance it", advance.button("Advance")))
            (section("Set it", set.button("Set")))
            (deed(&format!("{PATH}?then={other}"), "", words, "", Look::Plain))
        },
    )
}

/// What an advance came to.
fn outcome(advanced: &Advanced) -> Markup {
    let line = |fired: &Fired| [html! { (fired.what) }, amount(fired.count), time(fired.at)];
    html! {
        @if !advanced.settled {
            (notice(Tone::Warn, html! { "It had to stop: " (advanced.open.join(", ")) "." }))
        }
        @if advanced.fired.is_empty() {
            p { "Nothing was due on the way." }
        } @else {
            (table("What was due", &["Task", "Times", "Last"], advanced.fired.iter().map(line)))
        }
    }
}

pub(super) async fn post(visit: Arc<Visit>) -> Result<Reply> {
    let given = |name: &str| Some(visit.typed(name).to_owned()).filter(|text| !text.is_empty());
    let frozen = match visit.query("then") {
        Some("freeze") => Some(true),
        Some("run") => Some(false),
        _ => None,
    };
    let wanted = Wanted { set: given("set"), advance: given("advance"), frozen, wait_s: None };
    match move_clock(&visit.app, wanted).await {
        Ok(Moved::Set) => Ok(visit.done(PATH, Said::Saved)),
        Ok(Moved::Advanced(advanced)) => Ok(page(&visit, Some(&advanced))),
        Err(error) => again(error, |error| Ok(page(&visit.refusing(error), None))),
    }
}
