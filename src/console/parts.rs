//! The components of pages: typed functions from plain data to markup.

mod deeds;
mod lists;

use std::fmt::Display;

use maud::{Markup, Render, html};

pub use deeds::{Confirm, Danger, Look, danger_zone, deed};
pub use lists::{
    Choice, Select, Shown, cursor_pager, filter_field, filters, name, pager, search, select, table,
};

use super::layout::{self, Item};
use crate::clock::Time;

/// How something is meant; words say it as well, colour is second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tone {
    #[default]
    Plain,
    Good,
    Warn,
    Bad,
}

impl Tone {
    pub(super) fn class(self) -> &'static str {
        match self {
            Tone::Plain => "plain",
            Tone::Good => "good",
            Tone::Warn => "warn",
            Tone::Bad => "bad",
        }
    }
}

/// The top of a page: its one heading, one sentence of state, and the one primary action (path and words).
pub fn head(title: &str, state: impl Render, action: Option<(&str, &str)>) -> Markup {
    let state = state.render();
    html! {
        div.head {
            div {
                h1 dir="auto" { (title) }
                @if !state.0.is_empty() { p.state { (state) } }
            }
            @if let Some((path, words)) = action { a.button.primary href=(path) { (words) } }
        }
    }
}

/// The way to the pages above this one, before `head`: path and words of each.
pub fn crumbs(above: &[(&str, &str)]) -> Markup {
    html! {
        nav.crumbs aria-label="Above this page" {
            ol role="list" { @for (path, words) in above { li { a href=(path) dir="auto" { (words) } } } }
        }
    }
}

/// A section below the heading of the page.
pub fn section(title: &str, body: impl Render) -> Markup {
    html! { section { h2 { (title) } (body) } }
}

/// Something that must be seen.
pub fn notice(tone: Tone, body: impl Render) -> Markup {
    let role = if tone == Tone::Bad { "alert" } else { "status" };
    html! { div class={ "notice " (tone.class()) } role=(role) { (body) } }
}

/// One word of state.
pub fn tag(tone: Tone, word: &str) -> Markup {
    html! { span class={ "tag " (tone.class()) } { (word) } }
}

/// A number with its thousands apart. A column of a table whose cells are amounts stands on the right.
pub fn amount(number: u64) -> Markup {
    html! { span.amount { (grouped(number)) } }
}

/// 1234567 as "1,234,567".
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let groups: Vec<&str> = digits
        .as_bytes()
        .rchunks(3)
        .rev()
        .map(|group| std::str::from_utf8(group).unwrap_or_default())
        .collect();
    groups.join(",")
}

/// "1 person", "2 people".
pub fn counted(number: u64, one: &str, many: &str) -> String {
    format!("{} {}", grouped(number), if number == 1 { one } else { many })
}

/// What stands where a list is empty: what would be here, why one wants it, and the one action (path and words).
pub fn empty(title: &str, text: impl Render, action: Option<(&str, &str)>) -> Markup {
    html! {
        div.empty {
            p.title { (title) }
            p { (text) }
            @if let Some((path, words)) = action { a.button href=(path) { (words) } }
        }
    }
}

/// A value to be taken away: a key, a link, a DNS record. `id` is unique in the page.
pub fn secret(id: &str, label: &str, value: &str) -> Markup {
    html! {
        div.field.secret {
            label for=(id) { (label) }
            div.pair {
                input.code id=(id) type="text" value=(value) readonly autocomplete="off" spellcheck="false";
                (copy(id, label))
            }
        }
    }
}

/// A button that copies the text of the element `id`; only where scripts run.
pub fn copy(id: &str, what: &str) -> Markup {
    html! { button type="button" data-copy=(id) hidden { "Copy" span.hidden { " " (what) } } }
}

/// Text of machines, with a button that copies it.
pub fn code_block(id: &str, what: &str, text: &str) -> Markup {
    html! {
        div.code-block {
            pre tabindex="0" role="region" aria-label=(what) { code id=(id) { (text) } }
            (copy(id, what))
        }
    }
}

/// An identifier or another short text of machines.
pub fn code(text: impl Render) -> Markup {
    html! { code { (text) } }
}

/// How far something is, with its sentence: "71 of 96 hours".
pub fn progress(done: u64, total: u64, sentence: &str) -> Markup {
    html! {
        div.progress {
            progress max=(total.max(1)) value=(done.min(total)) aria-label=(sentence) {}
            span { (sentence) }
        }
    }
}

/// Facts about one thing: what, and its value.
pub fn facts<'a>(all: impl IntoIterator<Item = (&'a str, Markup)>) -> Markup {
    html! {
        dl.facts { @for (what, value) in all { div { dt { (what) } dd { (value) } } } }
    }
}

/// A step of a list that is worked through.
#[derive(Clone, Copy, Debug)]
pub struct Step<'a> {
    pub title: &'a str,
    pub text: &'a str,
    pub path: &'a str,
    pub action: &'a str,
    pub is_done: bool,
}

/// Steps in their order, each with its link or the word "Done".
pub fn steps(all: &[Step<'_>]) -> Markup {
    html! {
        ol.steps role="list" {
            @for step in all {
                li class=[step.is_done.then_some("done")] {
                    div { strong { (step.title) } p { (step.text) } }
                    @if step.is_done { (tag(Tone::Good, "Done")) } @else { a.button href=(step.path) { (step.action) } }
                }
            }
        }
    }
}

/// A moment: "3 Jan 2026, 14:05 UTC". Scripts show it in the reader's zone.
pub fn time(moment: Time) -> Markup {
    html! { time datetime=(moment.to_string()) { (self::moment(moment)) } }
}

/// The same as text.
pub fn moment(moment: Time) -> String {
    let text = moment.to_string();
    format!("{}, {} UTC", date_in_words(&text), &text[11..16])
}

/// A day in UTC: "3 Jan 2026".
pub fn day(moment: Time) -> Markup {
    let text = moment.to_string();
    html! { time datetime=(&text[..10]) { (date_in_words(&text)) } }
}

/// A moment, or a word where there was none.
pub fn time_or(moment: Option<Time>, otherwise: &str) -> Markup {
    html! { @if let Some(moment) = moment { (time(moment)) } @else { span.soft { (otherwise) } } }
}

/// A day in UTC, as text.
pub fn day_in_words(moment: Time) -> String {
    date_in_words(&moment.to_string())
}

/// From the text of a time, whose digits always stand at the same places.
fn date_in_words(text: &str) -> String {
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let month = text[5..7].parse::<usize>().ok().and_then(|month| MONTHS.get(month.wrapping_sub(1)));
    format!("{} {} {}", text[8..10].trim_start_matches('0'), month.unwrap_or(&""), &text[..4])
}

/// A link whose name is longer for those who hear it: "Manage" of whom.
pub fn link_to(path: impl Display, words: &str, more: &str) -> Markup {
    html! { a href=(path) { (words) span.hidden { " " (more) } } }
}

/// Pages of one thing.
pub fn tabs(label: &str, items: &[Item<'_>]) -> Markup {
    html! { nav.tabs aria-label=(label) { (layout::links(items)) } }
}

/// What is opened by whoever wants it.
pub fn details(summary: impl Render, body: impl Render) -> Markup {
    html! { details { summary { (summary) } div { (body) } } }
}

/// A part that follows the server, asked for every so many seconds; with a link for where no script runs.
/// `path` is this page's, `id` is unique in it.
pub fn live(id: &str, path: &str, seconds: u32, body: impl Render) -> Markup {
    html! {
        div.live-bar {
            button.quiet type="button" data-pause=(id) hidden { "Pause updates" }
            a href=(path) { "Refresh" }
        }
        div id=(id) data-live=(seconds) { (body) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_in_words() {
        let moment = Time::parse("2026-01-03T14:05:59.25Z").unwrap();
        assert_eq!(
            time(moment).0,
            "<time datetime=\"2026-01-03T14:05:59.250000Z\">3 Jan 2026, 14:05 UTC</time>"
        );
        assert_eq!(day(moment).0, "<time datetime=\"2026-01-03\">3 Jan 2026</time>");
        assert_eq!(time_or(None, "Never").0, "<span class=\"soft\">Never</span>");
        for edge in [Time::CALENDAR.start, Time(Time::CALENDAR.end.0 - 1), Time(i64::MAX), Time(i64::MIN)] {
            assert!(time(edge).0.ends_with(" UTC</time>"), "{edge}");
        }
    }

    #[test]
    fn numbers_are_written_in_groups() {
        for (number, text) in [(0, "0"), (999, "999"), (1000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(grouped(number), text);
        }
        assert_eq!(counted(1, "person", "people"), "1 person");
        assert_eq!(counted(1200, "person", "people"), "1,200 people");
    }

    #[test]
    fn what_people_typed_stays_text() {
        let hostile = "<script>alert(1)</script>\"'";
        let line = [html! { (hostile) }];
        for part in [
            head(hostile, hostile, None),
            tag(Tone::Plain, hostile),
            secret("a", hostile, hostile),
            code_block("a", hostile, hostile),
            table(hostile, &[hostile], [line]),
            search(hostile, hostile, hostile),
            Confirm { question: hostile, name: Some(hostile), ..Confirm::default() }.render(),
        ] {
            assert!(!part.0.contains("<script") && !part.0.contains("\"'"), "{}", part.0);
        }
    }
}
