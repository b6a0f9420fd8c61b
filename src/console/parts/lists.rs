//! Lists: tables, and the ways to find something in them.

use maud::{Markup, Render, html};

use super::grouped;

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

/// A select in a cell of a table; `label` is what those hear who do not see the heads.
pub fn select(name: &str, label: &str, choices: &[Choice<'_>], chosen: &str) -> Markup {
    html! {
        select name=(name) aria-label=(label) {
            @for (value, words) in choices { option value=(value) selected[*value == chosen] { (words) } }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::amount;
    use super::*;

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
}
