//! The components of pages: typed functions from plain data to markup.

use std::fmt::Display;

use maud::{Markup, Render, html};

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

/// A table. The first cell of a line names it; a column without a head holds the line's action.
pub fn table<L>(caption: &str, heads: &[&str], lines: impl IntoIterator<Item = L>) -> Markup
where
    L: IntoIterator<Item = Markup>,
{
    let lines: Vec<Vec<Markup>> = lines.into_iter().map(|line| line.into_iter().collect()).collect();
    let is_amount = |place: usize| {
        let mut cells = lines.iter().filter_map(|line| line.get(place));
        cells.next().is_some_and(|cell| cell.0.starts_with("<span class=\"amount\">"))
    };
    let amounts: Vec<bool> = (0..heads.len()).map(is_amount).collect();
    html! {
        table role="table" {
            caption.hidden { (caption) }
            thead role="rowgroup" {
                tr role="row" {
                    @for (head, is_amount) in heads.iter().zip(&amounts) {
                        th class=[is_amount.then_some("amounts")] scope="col" role="columnheader" {
                            @if head.is_empty() { span.hidden { "Action" } } @else { (head) }
                        }
                    }
                }
            }
            tbody role="rowgroup" { @for line in &lines { (table_line(heads, &amounts, line)) } }
        }
    }
}

fn table_line(heads: &[&str], amounts: &[bool], cells: &[Markup]) -> Markup {
    html! {
        tr role="row" {
            @for ((place, cell), head) in cells.iter().enumerate().zip(heads) {
                @if place == 0 {
                    th scope="row" role="rowheader" { (cell) }
                } @else if head.is_empty() {
                    td.action role="cell" { (cell) }
                } @else {
                    td class=[amounts[place].then_some("amounts")] role="cell" data-label=(head) { (cell) }
                }
            }
        }
    }
}

/// The name of a table's line, with a second line of smaller text.
pub fn name(first: impl Render, second: impl Render) -> Markup {
    html! { span.name { (first) } small { (second) } }
}

/// Which part of a list a page shows.
#[derive(Clone, Copy, Debug)]
pub struct Shown {
    pub total: u64,
    pub limit: u64,
    pub offset: u64,
}

/// "51–100 of 230" with the ways on. `address` is this page's path with its query, of which all else is kept.
pub fn pager(address: &str, shown: Shown) -> Markup {
    let Shown { total, limit, offset } = shown;
    let last = total.min(offset.saturating_add(limit));
    html! {
        @if total > limit || offset > 0 {
            nav.pager aria-label="Pages of the list" {
                p aria-live="polite" {
                    @if offset < last { (grouped(offset + 1)) "–" (grouped(last)) " of " (grouped(total)) }
                    @else { "Nothing here: the list has " (grouped(total)) }
                }
                @if offset > 0 {
                    a.button rel="prev" href=(at_offset(address, limit, offset.saturating_sub(limit))) { "Previous" }
                }
                @if last < total {
                    a.button rel="next" href=(at_offset(address, limit, offset.saturating_add(limit))) { "Next" }
                }
            }
        }
    }
}

/// A pager of lists that are not counted: the addresses of the pages before and after.
pub fn cursor_pager(previous: Option<&str>, next: Option<&str>) -> Markup {
    html! {
        @if previous.is_some() || next.is_some() {
            nav.pager aria-label="Pages of the list" {
                @if let Some(path) = previous { a.button rel="prev" href=(path) { "Newer" } }
                @if let Some(path) = next { a.button rel="next" href=(path) { "Older" } }
            }
        }
    }
}

fn at_offset(address: &str, limit: u64, offset: u64) -> String {
    let (path, query) = address.split_once('?').unwrap_or((address, ""));
    let kept =
        form_urlencoded::parse(query.as_bytes()).filter(|(name, _)| name != "limit" && name != "offset");
    let mut next = form_urlencoded::Serializer::for_suffix(format!("{path}?"), path.len() + 1);
    next.extend_pairs(kept);
    if query.contains("limit=") {
        next.append_pair("limit", &limit.to_string());
    }
    if offset > 0 {
        next.append_pair("offset", &offset.to_string());
    }
    next.finish().trim_end_matches('?').to_owned()
}

/// A choice of a select: value and words.
pub type Choice<'a> = (&'a str, &'a str);

/// A select of a filter. The choice with an empty value stands for everything.
#[derive(Clone, Copy, Debug)]
pub struct Select<'a> {
    pub name: &'a str,
    pub label: &'a str,
    pub choices: &'a [Choice<'a>],
    pub chosen: &'a str,
}

/// A field to search by its text.
pub fn search(label: &str, hint: &str, typed: &str) -> Markup {
    filters(label, Some((hint, typed)), &[], &[])
}

/// A form that narrows a list down: a text (`q`: hint, and what was typed), selects, and fields of the page's own
/// (from `filter_field`).
pub fn filters(label: &str, text: Option<(&str, &str)>, selects: &[Select<'_>], more: &[Markup]) -> Markup {
    html! {
        form.filters method="get" role="search" aria-label=(label) {
            @if let Some((hint, typed)) = text {
                (filter_field("q", label, html! {
                    input #filter-q type="search" name="q" value=(typed) placeholder=(hint) dir="auto" maxlength="200";
                }))
            }
            @for select in selects {
                (filter_field(select.name, select.label, html! {
                    select id={ "filter-" (select.name) } name=(select.name) {
                        @for (value, words) in select.choices {
                            option value=(value) selected[*value == select.chosen] { (words) }
                        }
                    }
                }))
            }
            @for field in more { (field) }
            button type="submit" { @if selects.is_empty() && more.is_empty() { "Search" } @else { "Filter" } }
        }
    }
}

/// A control of a filter form with its label; the control's id is `filter-` and the name.
pub fn filter_field(name: &str, label: &str, control: impl Render) -> Markup {
    html! { div.filter { label for={ "filter-" (name) } { (label) } (control) } }
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

/// A button that does one thing by POST, such as "Check now".
pub fn deed(path: &str, token: &str, words: &str, more: &str, look: Look) -> Markup {
    html! {
        form.deed method="post" action=(path) {
            input type="hidden" name="csrfmiddlewaretoken" value=(token);
            button.(look.class()) type="submit" {
                (words) @if !more.is_empty() { span.hidden { " " (more) } }
            }
        }
    }
}

/// How a button looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Look {
    #[default]
    Plain,
    /// The one that the page is for.
    Primary,
    /// It takes something away.
    Danger,
}

impl Look {
    pub(super) fn class(self) -> &'static str {
        match self {
            Look::Plain => "plain",
            Look::Primary => "primary",
            Look::Danger => "danger",
        }
    }
}

/// A page that asks before something is lost.
#[derive(Clone, Debug, Default)]
pub struct Confirm<'a> {
    /// "Remove Ada Lovelace?"
    pub question: &'a str,
    /// What is lost, and whom it touches; each a sentence.
    pub lost: Vec<Markup>,
    /// What stays.
    pub kept: Vec<Markup>,
    /// What the button does: "Remove member".
    pub deed: &'a str,
    /// Where Cancel leads.
    pub cancel: &'a str,
    pub token: &'a str,
    /// The name to be typed in the field `name`, for what is large.
    pub name: Option<&'a str>,
    /// Whether another name was typed.
    pub is_wrong: bool,
}

impl Confirm<'_> {
    /// What is typed in the field of the name is `typed`; whether it is the name that was to be typed.
    pub fn is_name(wanted: &str, typed: &str) -> bool {
        wanted.trim() == typed.trim()
    }
}

impl Render for Confirm<'_> {
    fn render(&self) -> Markup {
        html! {
            @if self.is_wrong {
                div.notice.bad role="alert" tabindex="-1" data-focus {
                    p { a href="#confirm-name" { "That is not the name. Type it as it is shown." } }
                }
            }
            h1 dir="auto" { (self.question) }
            (sentences("What is lost", &self.lost))
            (sentences("What stays", &self.kept))
            form method="post" {
                input type="hidden" name="csrfmiddlewaretoken" value=(self.token);
                @if let Some(name) = self.name { (self.name_field(name)) }
                div.buttons {
                    button.danger type="submit" { (self.deed) }
                    a.button href=(self.cancel) { "Cancel" }
                }
            }
        }
    }
}

impl Confirm<'_> {
    fn name_field(&self, name: &str) -> Markup {
        html! {
            div.field {
                label for="confirm-name" { "Type " strong dir="auto" { (name) } " to confirm" }
                input #confirm-name type="text" name="name" required autocomplete="off" spellcheck="false" dir="auto"
                    aria-invalid=[self.is_wrong.then_some("true")];
            }
        }
    }
}

fn sentences(title: &str, all: &[Markup]) -> Markup {
    html! {
        @if !all.is_empty() {
            section { h2 { (title) } ul { @for sentence in all { li { (sentence) } } } }
        }
    }
}

/// One thing that cannot be undone.
#[derive(Clone, Copy, Debug)]
pub struct Danger<'a> {
    pub title: &'a str,
    pub text: &'a str,
    /// The page that asks.
    pub path: &'a str,
    pub deed: &'a str,
}

/// The last section of settings.
pub fn danger_zone(all: &[Danger<'_>]) -> Markup {
    html! {
        section.danger-zone {
            h2 { "Danger zone" }
            @for danger in all {
                div {
                    div { h3 { (danger.title) } p { (danger.text) } }
                    a.button.danger href=(danger.path) { (danger.deed) }
                }
            }
        }
    }
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
    let text = moment.to_string();
    html! { time datetime=(text) { (date_in_words(&text)) ", " (&text[11..16]) " UTC" } }
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
            button.quiet type="button" data-pause=(id) hidden { "Pause" }
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
    fn a_pager_keeps_the_query_and_leads_to_the_pages_beside() {
        for (address, offset, wanted) in [
            ("/a", 50, "/a?offset=50"),
            ("/a", 0, "/a"),
            ("/a?q=b+c%26&offset=50", 100, "/a?q=b+c%26&offset=100"),
            ("/a?limit=10&offset=50&q=%D7%90", 0, "/a?q=%D7%90&limit=50"),
        ] {
            assert_eq!(at_offset(address, 50, offset), wanted);
        }
        let text = |total, offset| pager("/a", Shown { total, limit: 50, offset }).0;
        assert_eq!(text(50, 0), "");
        assert!(text(230, 50).contains("51–100 of 230"));
        assert!(text(230, 50).contains("rel=\"prev\"") && text(230, 50).contains("rel=\"next\""));
        assert!(text(230, 0).contains("1–50 of 230") && !text(230, 0).contains("rel=\"prev\""));
        assert!(text(230, 200).contains("201–230 of 230") && !text(230, 200).contains("rel=\"next\""));
        assert!(text(3, 50).contains("the list has 3"));
    }

    #[test]
    fn a_table_says_the_column_of_each_cell_and_puts_amounts_on_the_right() {
        let line = [html! { "Ada" }, amount(1200), html! { a href="/x" { "Manage" } }];
        let text = table("People", &["Name", "Events", ""], [line]).0;
        assert!(text.contains("<th scope=\"row\" role=\"rowheader\">Ada</th>"), "{text}");
        assert!(text.contains("<td class=\"amounts\" role=\"cell\" data-label=\"Events\">"), "{text}");
        assert!(text.contains("<th class=\"amounts\" scope=\"col\""), "{text}");
        assert!(text.contains("<td class=\"action\" role=\"cell\">"), "{text}");
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
