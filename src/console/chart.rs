//! Charts as SVG with a sentence; the numbers themselves stand in a table beside them.

use maud::{Markup, html};

use super::parts::{Tone, grouped};

/// One bar. Its label, a short one such as a day, is shown with its value where somebody points at it.
#[derive(Clone, Debug)]
pub struct Bar {
    pub label: String,
    pub value: u64,
    pub tone: Tone,
}

const HEIGHT: u64 = 60;
const STEP: u64 = 10;
const WIDTH: u64 = 8;
/// A few bars are not drawn wider than those of a chart of so many.
const BARS_MIN: usize = 14;

/// Bars from the oldest on the left; `sentence` says what they show, for those who don't see them.
pub fn bars(sentence: &str, all: &[Bar]) -> Markup {
    let greatest = all.iter().map(|bar| bar.value).max().unwrap_or(0);
    html! {
        figure.chart {
            svg role="img" aria-label=(sentence) viewBox={ "0 0 " (STEP * all.len().max(BARS_MIN) as u64) " " (HEIGHT) }
                preserveAspectRatio="none" {
                @for (place, bar) in all.iter().enumerate() {
                    @let height = scaled(bar.value, greatest);
                    rect class=(bar.tone.class()) x=(STEP * place as u64) y=(HEIGHT - height) width=(WIDTH)
                        height=(height) { title { (bar.label) ": " (grouped(bar.value)) } }
                }
            }
            (ends(all.first().map(|bar| bar.label.as_str()), all.last().map(|bar| bar.label.as_str())))
            figcaption { (sentence) }
        }
    }
}

/// A line of how something went, for a cell of a table.
pub fn sparkline(sentence: &str, values: &[u64]) -> Markup {
    let greatest = values.iter().copied().max().unwrap_or(0);
    let points: Vec<String> = values
        .iter()
        .enumerate()
        .map(|(place, value)| format!("{},{}", STEP * place as u64, HEIGHT - scaled(*value, greatest)))
        .collect();
    let width = STEP * values.len().saturating_sub(1).max(1) as u64;
    html! {
        svg.sparkline role="img" aria-label=(sentence) viewBox={ "0 -3 " (width) " " (HEIGHT + 6) }
            preserveAspectRatio="none" {
            polyline points=(points.join(" ")) {}
        }
    }
}

/// The share of the height; what is not nothing is always seen.
fn scaled(value: u64, greatest: u64) -> u64 {
    if value == 0 {
        return 0;
    }
    let height = u128::from(value) * u128::from(HEIGHT) / u128::from(greatest.max(1));
    u64::try_from(height).unwrap_or(HEIGHT).clamp(2, HEIGHT)
}

fn ends(first: Option<&str>, last: Option<&str>) -> Markup {
    html! {
        @if let (Some(first), Some(last)) = (first, last) {
            div.ends aria-hidden="true" { span { (first) } span { (last) } }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heights_are_shares_of_the_greatest() {
        for (value, greatest, wanted) in
            [(0, 0, 0), (0, 9, 0), (1, 1_000_000, 2), (5, 10, 30), (10, 10, 60), (u64::MAX, u64::MAX, 60)]
        {
            assert_eq!(scaled(value, greatest), wanted, "{value} of {greatest}");
        }
    }

    #[test]
    fn a_chart_without_values_is_drawn() {
        assert!(bars("Nothing yet", &[]).0.contains("viewBox=\"0 0 140 60\""));
        assert!(sparkline("Nothing yet", &[]).0.contains("points=\"\""));
    }
}
