//! Events a day, as bars with their table.

use maud::{Markup, html};

use crate::console::chart::{Bar, bars};
use crate::console::parts::{self, Tone, amount, counted, day, day_in_words, table};
use crate::resources::events::Day;

/// How many days a chart shows.
pub(super) const DAYS: u32 = 30;

/// The chart of these days, and below it the numbers.
pub(super) fn chart(days: &[Day]) -> Markup {
    let total: u64 = days.iter().map(|day| day.events).sum();
    let sentence = format!("{} in the last {} days.", counted(total, "event", "events"), days.len());
    let bar = |day: &Day| Bar {
        label: format!("{}: {}", day_in_words(day.start), parts::grouped(day.events)),
        value: day.events,
        tone: Tone::Plain,
    };
    let lines = days.iter().rev().map(|of| [day(of.start), amount(of.events)]);
    html! {
        (bars(&sentence, &days.iter().map(bar).collect::<Vec<_>>()))
        @if total > 0 { (parts::details("The numbers", table("Events a day", &["Day", "Events"], lines))) }
    }
}
