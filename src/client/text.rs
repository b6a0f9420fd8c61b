//! Text of other people, as a terminal may show it.

use std::borrow::Cow;

use unicode_width::UnicodeWidthStr;

/// What stands for a character that does something instead of being shown.
const REPLACEMENT: char = '\u{fffd}';
/// What ends a text that was cut.
const ELLIPSIS: char = '…';
/// Of a longer text, no more is looked at when it is fitted.
const CHARS_MAX: usize = 1000;

/// Whether a terminal, or whoever reads it, could be led astray by the character.
fn acts(letter: char) -> bool {
    letter.is_control()
        // Characters that turn the direction of what follows, and ends of lines and of paragraphs.
        || matches!(letter, '\u{200e}' | '\u{200f}' | '\u{061c}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}')
        // Letters that are never seen.
        || matches!(letter, '\u{e0000}'..='\u{e007f}')
}

/// On one line, without anything that acts.
pub(super) fn line(text: &str) -> Cow<'_, str> {
    if !text.contains(acts) {
        return Cow::Borrowed(text);
    }
    let shown = |letter| match letter {
        '\t' | '\n' | '\r' | '\u{2028}' | '\u{2029}' => ' ',
        letter if acts(letter) => REPLACEMENT,
        letter => letter,
    };
    Cow::Owned(text.chars().map(shown).collect())
}

/// The same on several lines.
pub(super) fn lines(text: &str) -> String {
    text.split('\n').map(|one| line(one.trim_end_matches('\r'))).collect::<Vec<_>>().join("\n")
}

/// JSON with escapes for all that acts. In JSON, such characters stand in texts only.
pub(super) fn json(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for letter in text.chars() {
        if letter != '\n' && acts(letter) {
            let mut units = [0; 2];
            for unit in letter.encode_utf16(&mut units) {
                safe.push_str(&format!("\\u{unit:04x}"));
            }
        } else {
            safe.push(letter);
        }
    }
    safe
}

/// How many columns of a terminal a text takes.
pub(super) fn width(text: &str) -> usize {
    text.width()
}

/// The beginning of a text that takes so many columns at most, with a sign where something is missing.
pub(super) fn fitted(text: &str, columns: usize) -> String {
    if width(text) <= columns {
        return text.to_owned();
    }
    let ends = text.char_indices().map(|(place, letter)| place + letter.len_utf8()).take(CHARS_MAX);
    let fitting = ends.take_while(|end| width(&text[..*end]) < columns).last().unwrap_or(0);
    // What joins two signs joins nothing at the end.
    let front = text[..fitting].trim_end_matches(['\u{200d}', ' ']);
    format!("{front}{ELLIPSIS}")
}

/// The text with spaces up to so many columns.
pub(super) fn padded(text: &str, columns: usize) -> String {
    let missing = columns.saturating_sub(width(text));
    format!("{text}{}", " ".repeat(missing))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_acts_is_left() {
        for (text, shown) in [
            ("Ada", "Ada"),
            ("\u{1b}[31mred\u{1b}[0m", "\u{fffd}[31mred\u{fffd}[0m"),
            ("\u{9b}31m", "\u{fffd}31m"),
            ("\u{1b}]0;title\u{7}", "\u{fffd}]0;title\u{fffd}"),
            ("a\tb\nc\rd", "a b c d"),
            ("\u{202e}evil", "\u{fffd}evil"),
            ("\u{0}\u{7f}", "\u{fffd}\u{fffd}"),
            ("東京 👩‍💻 é", "東京 👩‍💻 é"),
        ] {
            assert_eq!(line(text), shown);
        }
        assert_eq!(lines("a\r\nb\u{1b}"), "a\nb\u{fffd}");
        let odd = serde_json::json!({"name": "\u{1b}\u{9b}\u{7f}\u{202e}\u{e0041}é\n"});
        let safe = json(&odd.to_string());
        assert!(!safe.contains(acts), "{safe}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&safe).expect("JSON"), odd);
    }

    #[test]
    fn a_text_is_cut_by_columns_and_not_by_letters() {
        for (text, columns, shown) in [
            ("Engineers", 9, "Engineers"),
            ("Engineers", 8, "Enginee…"),
            ("東京本社", 8, "東京本社"),
            ("東京本社", 7, "東京本…"),
            ("東京本社", 6, "東京…"),
            ("東京本社", 1, "…"),
            ("a b", 2, "a…"),
        ] {
            assert_eq!(fitted(text, columns), shown);
        }
        for text in ["👩‍👩‍👧‍👦 family", "🇵🇹 Lisboa", "e\u{301}te\u{301}", "한국어 팀", "👍🏽👍🏽👍🏽"]
        {
            for columns in 1..12 {
                let cut = fitted(text, columns);
                assert!(width(&cut) <= columns, "{text} in {columns}: {cut} takes {}", width(&cut));
                assert_eq!(width(&padded(&cut, 12)), 12);
            }
        }
        assert!(fitted(&"x".repeat(1_000_000), 2000).chars().count() <= CHARS_MAX + 1);
    }
}
