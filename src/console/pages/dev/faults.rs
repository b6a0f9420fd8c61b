//! What is to go wrong, and what did.

use maud::{Markup, html};

use crate::api::Reply;
use crate::console::parts::{Tone, amount, code, counted, empty, head, live, table, tag};
use crate::console::visit::Visit;
use crate::error::Result;
use crate::test_server::TestServer;
use crate::test_server::faults::Shown;

pub(super) fn list(visit: &Visit, server: &TestServer) -> Result<Reply> {
    let rules = server.faults.shown();
    let silent = rules.iter().filter(|rule| rule.fired == 0).count();
    let state = match rules.len() {
        0 => "All goes well.".to_owned(),
        all => format!("{}, {silent} of them never fired.", counted(all as u64, "rule", "rules")),
    };
    let example = format!(
        "curl -X POST -H 'Content-Type: application/json' {}/_orgd/faults -d '{}'",
        visit.origin, r#"{"match": {"path": "/api/projects/"}, "times": 1, "answer": {"status": 503}}"#
    );
    let heads = ["Rule", "What", "Seen", "Fired", "Left"];
    Ok(visit.show_dev(
        "Faults",
        &html! {
            (head("Faults", state, None))
            @if rules.is_empty() {
                (empty("Nothing goes wrong", html! { "Let something: " (code(example)) }, None))
            } @else {
                (live("faults", "/dev/faults", 2, table("Rules", &heads, rules.iter().map(line))))
            }
        },
    ))
}

fn line(rule: &Shown) -> [Markup; 5] {
    [
        html! { (rule.id) },
        code(rule.rule.to_string()),
        amount(rule.seen),
        html! { @if rule.fired == 0 { (tag(Tone::Warn, "never")) } @else { (rule.fired) } },
        html! { @match rule.left { Some(left) => (left), None => "for ever" } },
    ]
}
