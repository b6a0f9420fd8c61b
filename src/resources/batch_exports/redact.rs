//! Keeps secrets, and what servers of private networks answer, out of errors and logs.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

/// How much of an answer is shown.
const EXCERPT_CHARS_MAX: usize = 500;
/// Replaces what a server with a private address answers: exports must not reveal the network around this
/// server.
const HIDDEN: &str = "(what a server in a private network answers is not shown)";
const REDACTED: &str = "***";

/// Removes the secrets of one destination from texts.
pub struct Redactor {
    /// In every encoding, longer ones first: one may contain another.
    secrets: Vec<String>,
}

impl Redactor {
    pub fn new(secrets: &[String]) -> Redactor {
        // Very short secrets would remove ordinary words as well, and are none.
        const CHARS_MIN: usize = 4;
        let secrets = secrets.iter().filter(|secret| secret.len() >= CHARS_MIN);
        let mut secrets: Vec<String> = secrets.flat_map(|secret| secret_encodings(secret)).collect();
        secrets.sort_unstable_by_key(|secret| std::cmp::Reverse(secret.len()));
        Redactor { secrets }
    }

    /// The text with every secret replaced.
    pub fn redact(&self, text: String) -> String {
        self.secrets.iter().fold(text, |text, secret| text.replace(secret.as_str(), REDACTED))
    }

    /// The beginning of what a destination answered, where that may be shown. Secrets are replaced before the
    /// text is cut: half a secret would not be recognised.
    pub fn redacted_excerpt(&self, text: String, is_public: bool) -> String {
        if is_public { self.redact(text).chars().take(EXCERPT_CHARS_MAX).collect() } else { HIDDEN.into() }
    }
}

/// A secret as it may be part of a text: plain, in JSON, in a URL, and in XML, where quotes have two spellings.
fn secret_encodings(secret: &str) -> [String; 5] {
    const IN_URLS: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
    let quoted = Value::from(secret).to_string();
    let in_xml = secret.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    [
        secret.to_owned(),
        quoted[1..quoted.len() - 1].to_owned(),
        utf8_percent_encode(secret, IN_URLS).to_string(),
        in_xml.replace('"', "&quot;").replace('\'', "&apos;"),
        in_xml.replace('"', "&#34;").replace('\'', "&#39;"),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_removed_in_every_encoding_and_before_the_text_is_cut() {
        let secrets = ["sesame/+ \"of\" it", "sesame", "abc", "R&D's"].map(str::to_owned);
        let redactor = Redactor::new(&secrets);
        for (text, wanted) in [
            ("open sesame/+ \"of\" it now", "open *** now"),
            ("{\"token\":\"sesame/+ \\\"of\\\" it\"}", "{\"token\":\"***\"}"),
            ("?token=sesame%2F%2B%20%22of%22%20it&x", "?token=***&x"),
            ("<Key>sesame/+ &quot;of&quot; it</Key>", "<Key>***</Key>"),
            ("<Key>sesame/+ &#34;of&#34; it</Key>", "<Key>***</Key>"),
            ("<Key>R&amp;D&apos;s, R&amp;D&#39;s</Key>", "<Key>***, ***</Key>"),
            ("sesame alone", "*** alone"),
            ("abc is no secret", "abc is no secret"),
        ] {
            assert_eq!(redactor.redacted_excerpt(text.into(), true), wanted);
        }
        let filler = "é".repeat(EXCERPT_CHARS_MAX - 2);
        let cut = redactor.redacted_excerpt(format!("{filler}sesame"), true);
        assert_eq!(cut, format!("{filler}**"));
        assert_eq!(redactor.redacted_excerpt("sesame".into(), false), HIDDEN);
    }
}
