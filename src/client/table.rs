//! Tables: fitted to a terminal, or plain for programs.

use super::text;

/// Columns between two.
const GAP: usize = 2;
/// No column is made narrower.
const NARROWEST: usize = 4;

/// The rows as lines for a terminal of this width.
pub(super) fn fitted(titles: &[&str], rows: &[Vec<String>], columns: usize, bold: bool) -> String {
    let rows: Vec<Vec<String>> =
        rows.iter().map(|row| row.iter().map(|cell| text::line(cell).into_owned()).collect()).collect();
    let natural = (0..titles.len()).map(|place| {
        let cells = rows.iter().filter_map(|row| row.get(place));
        cells.map(|cell| text::width(cell)).chain([text::width(titles[place])]).max().unwrap_or(0)
    });
    let widths = shrunk(natural.collect(), columns);
    let mut shown = String::new();
    if !titles.is_empty() {
        let head = line(titles.iter().copied(), &widths);
        shown.push_str(&if bold { format!("\u{1b}[1m{head}\u{1b}[0m\n") } else { format!("{head}\n") });
    }
    for row in &rows {
        shown.push_str(&line(row.iter().map(String::as_str), &widths));
        shown.push('\n');
    }
    shown
}

/// The widths, the widest made narrower until all fit.
fn shrunk(mut widths: Vec<usize>, columns: usize) -> Vec<usize> {
    let gaps = GAP * widths.len().saturating_sub(1);
    let available = columns.saturating_sub(gaps);
    loop {
        let total: usize = widths.iter().sum();
        let Some(widest) = widths.iter_mut().max_by_key(|width| **width) else { return widths };
        if total <= available || *widest <= NARROWEST {
            return widths;
        }
        *widest -= 1;
    }
}

fn line<'a>(cells: impl Iterator<Item = &'a str>, widths: &[usize]) -> String {
    let fit = |(cell, columns): (&str, &usize)| text::padded(&text::fitted(cell, *columns), *columns);
    let cells: Vec<String> = cells.zip(widths).map(fit).collect();
    cells.join(&" ".repeat(GAP)).trim_end().to_owned()
}

/// The rows as lines with tabs: nothing is cut, and there are no titles.
pub(super) fn plain(rows: &[Vec<String>]) -> String {
    let mut shown = String::new();
    for row in rows {
        let cells: Vec<_> = row.iter().map(|cell| text::line(cell)).collect();
        shown.push_str(&cells.join("\t"));
        shown.push('\n');
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    const TITLES: [&str; 4] = ["EMAIL", "NAME", "LEVEL", "ID"];

    fn rows() -> Vec<Vec<String>> {
        let row = |cells: [&str; 4]| cells.map(str::to_owned).to_vec();
        vec![
            row(["ada@example.com", "Ada Lovelace", "owner", "0192a6f0-0000-7000-8000-000000000001"]),
            row([
                "tokyo-office@example.co.jp",
                "東京本社の皆さん",
                "admin",
                "0192a6f0-0000-7000-8000-000000000002",
            ]),
            row(["grace@example.com", "Grace 👩‍💻🇺🇸 Hopper", "member", "0192a6f0-0000-7000-8000-000000000003"]),
            row(["evil@example.com", "\u{1b}[2J\tgone", "", "0192a6f0-0000-7000-8000-000000000004"]),
        ]
    }

    #[test]
    fn a_table_fits_the_terminal() {
        let shown = [60, 80, 200].map(|columns| {
            let shown = fitted(&TITLES, &rows(), columns, false);
            for line in shown.lines() {
                assert!(text::width(line) <= columns, "{line:?} takes {}", text::width(line));
            }
            format!("{columns} columns\n{shown}")
        });
        let expected = include_str!("tables.txt");
        let found = shown.join("\n");
        assert!(found == expected, "src/client/tables.txt would be\n{found}");
        assert!(!found.contains('\u{1b}'));
    }

    #[test]
    fn programs_get_all_of_it() {
        let shown = plain(&rows());
        assert_eq!(shown.lines().count(), 4);
        assert!(shown.lines().all(|line| line.split('\t').count() == 4), "{shown}");
        assert!(shown.contains("東京本社の皆さん\tadmin\t0192a6f0-0000-7000-8000-000000000002\n"));
        assert!(shown.contains("\u{fffd}[2J gone\t\t"));
    }

    #[test]
    fn a_title_is_bold_where_that_is_wanted() {
        assert!(fitted(&["A"], &[], 80, true).starts_with("\u{1b}[1mA\u{1b}[0m\n"));
        assert_eq!(fitted(&["A"], &[], 80, false), "A\n");
        assert_eq!(fitted(&["A", "B"], &[vec!["x".repeat(99), "y".repeat(99)]], 0, false).lines().count(), 2);
    }
}
