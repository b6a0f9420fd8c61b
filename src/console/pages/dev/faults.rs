//! What is to go wrong, and what did.

use std::sync::Arc;

use maud::{Markup, html};

use crate::api::Reply;
use crate::console::parts::{Look, Tone, amount, code, counted, deed, empty, head, live, table, tag};
use crate::console::visit::Visit;
use crate::console::words::Said;
use crate::error::Result;
use crate::resources::test_server;
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
    let heads = ["Rule", "What", "Seen", "Fired", "Left", ""];
    Ok(visit.show_dev(
        "Faults",
        &html! {
            (head("Faults", state, None))
            @if rules.is_empty() {
                (empty("Nothing goes wrong", html! { "Let something: " (code(example)) }, None))
            } @else {
                (live("faults", "/dev/faults", 2, table("Rules", &heads, rules.iter().map(line))))
                (deed("/dev/faults/all/remove", "", "Remove all rules", "", Look::Danger))
            }
        },
    ))
}

/// Removes a rule, or `all` of them.
pub(super) async fn remove(visit: Arc<Visit>) -> Result<Reply> {
    let faults = &test_server::of(&visit.app)?.faults;
    match visit.param("id") {
        "all" => faults.replace(Vec::new()),
        id => faults.remove(id)?,
    }
    Ok(visit.done("/dev/faults", Said::Saved))
}

fn line(rule: &Shown) -> [Markup; 6] {
    [
        html! { (rule.id) },
        code(rule.rule.to_string()),
        amount(rule.seen),
        html! { @if rule.fired == 0 { (tag(Tone::Warn, "never")) } @else { (rule.fired) } },
        html! { @match rule.left { Some(left) => (left), None => "for ever" } },
        deed(&format!("/dev/faults/{}/remove", rule.id), "", "Remove", &rule.id, Look::Danger),
    ]
}
