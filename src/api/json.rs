//! JSON as clients send it, which is not always JSON: what it holds, before it is parsed, and what can be mended.
//! Nothing here is done for text that the parser takes, but for one walk that counts.

use std::ops::Range;

use serde_json::Value;

/// What the text holds, about; what is in strings does not count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub values: usize,
    /// Of these, commas that lie in no list and no object.
    pub outer_commas: usize,
    names: usize,
    bytes: usize,
    /// Whether any number has an exponent, and so may be larger than programs can hold.
    pub has_exponents: bool,
}

impl Counts {
    pub fn of(text: &[u8]) -> Counts {
        let mut counts = Counts { bytes: text.len(), ..Counts::default() };
        let (mut depth, mut before) = (0_usize, 0);
        let mut bytes = text.iter();
        while let Some(byte) = bytes.next() {
            match byte {
                b'"' => skip_string(&mut bytes),
                b',' => {
                    counts.values += 1;
                    counts.outer_commas += usize::from(depth == 0);
                }
                b'[' | b'{' => {
                    counts.values += 1;
                    depth += 1;
                }
                b']' | b'}' => depth = depth.saturating_sub(1),
                b':' => counts.names += 1,
                b'e' | b'E' => counts.has_exponents |= before == b'.' || u8::is_ascii_digit(&before),
                _ => {}
            }
            before = *byte;
        }
        counts
    }

    /// What the JSON takes at the most once it is parsed, in bytes: each value's place in a list that grows by
    /// doubling, each name's in a map, and the texts, which numbers are too.
    pub fn parsed_bytes(self) -> usize {
        const VALUE_BYTES: usize = 2 * size_of::<Value>() + 16;
        const NAME_BYTES: usize = 2 * size_of::<(usize, String)>() + 48;
        self.bytes + self.values * VALUE_BYTES + self.names * NAME_BYTES
    }
}

/// Goes on behind the end of a string.
fn skip_string(bytes: &mut std::slice::Iter<'_, u8>) {
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => break,
            b'\\' => drop(bytes.next()),
            _ => {}
        }
    }
}

/// The text without the byte order mark that some editors and languages put before it.
pub fn without_mark(text: &[u8]) -> &[u8] {
    text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text)
}

/// Parses the text. Half a pair of surrogates, which is no character, becomes U+FFFD.
///
/// # Errors
/// It is no JSON, or a number in it is larger than programs can hold.
pub fn parse(text: Vec<u8>) -> Result<Value, serde_json::Error> {
    let has_exponents = Counts::of(&text).has_exponents;
    parse_counted(text, has_exponents)
}

/// As [`parse`], where it is known whether any number has an exponent.
///
/// # Errors
/// As [`parse`].
pub fn parse_counted(mut text: Vec<u8>, has_exponents: bool) -> Result<Value, serde_json::Error> {
    if has_exponents && let Some(place) = too_large(&text) {
        return Err(serde::de::Error::custom(format!("number out of range at byte {}", place.start)));
    }
    match serde_json::from_slice(without_mark(&text)) {
        Err(_) if mend_surrogates(&mut text) => serde_json::from_slice(without_mark(&text)),
        other => other,
    }
}

fn too_large(text: &[u8]) -> Option<Range<usize>> {
    let mut scan = Scan::default();
    std::iter::from_fn(|| scan.next(text)).find(|fault| fault.kind == Kind::TooLarge).map(|fault| fault.place)
}

/// Replaces each half of a pair of surrogates, in place: the escape of U+FFFD is as long. Says whether there were any.
fn mend_surrogates(text: &mut [u8]) -> bool {
    let mut scan = Scan::default();
    let mut is_mended = false;
    while let Some(fault) = scan.next(text) {
        if fault.kind == Kind::Surrogate {
            text[fault.place].copy_from_slice(fault.kind.instead());
            is_mended = true;
        }
    }
    is_mended
}

/// How long the text is when everything is mended that can be; `None` where nothing can.
pub fn mended_len(text: &[u8]) -> Option<usize> {
    let mut scan = Scan::default();
    let mut len = text.len();
    let mut is_faulty = false;
    while let Some(fault) = scan.next(text) {
        len = len - fault.place.len() + fault.kind.instead().len();
        is_faulty = true;
    }
    is_faulty.then_some(len)
}

/// The text with everything mended: what is no character becomes U+FFFD, what is no finite number becomes null.
/// `len` is that of [`mended_len`].
pub fn mended(text: &[u8], len: usize) -> Vec<u8> {
    let mut scan = Scan::default();
    let mut out = Vec::with_capacity(len);
    let mut copied = 0;
    while let Some(fault) = scan.next(text) {
        out.extend_from_slice(&text[copied..fault.place.start]);
        out.extend_from_slice(fault.kind.instead());
        copied = fault.place.end;
    }
    out.extend_from_slice(&text[copied..]);
    out
}

/// What is wrong at a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// An escape of half a pair of surrogates.
    Surrogate,
    /// Bytes in a string that are not UTF-8.
    Bytes,
    /// `NaN` and `Infinity`, as Python writes them.
    NotFinite,
    /// A number that no program can hold.
    TooLarge,
}

impl Kind {
    fn instead(self) -> &'static [u8] {
        match self {
            Kind::Surrogate => b"\\ufffd",
            Kind::Bytes => "\u{fffd}".as_bytes(),
            Kind::NotFinite | Kind::TooLarge => b"null",
        }
    }
}

struct Fault {
    place: Range<usize>,
    kind: Kind,
}

/// A walk over text that should be JSON, from fault to fault. Of text that is none at all it finds nothing that
/// would make it any.
#[derive(Default)]
struct Scan {
    at: usize,
    in_string: bool,
}

impl Scan {
    /// The next fault. Its place has been walked over.
    fn next(&mut self, text: &[u8]) -> Option<Fault> {
        while let Some(byte) = text.get(self.at) {
            let (len, fault) = match byte {
                b'"' => {
                    self.in_string = !self.in_string;
                    (1, None)
                }
                b'\\' if self.in_string => escape(&text[self.at..]),
                0x80.. if self.in_string => character(&text[self.at..]),
                b'N' | b'I' | b'-' | b'0'..=b'9' if !self.in_string => number(&text[self.at..]),
                _ => (1, None),
            };
            let place = self.at..(self.at + len).min(text.len());
            self.at = place.end;
            if let Some(kind) = fault {
                return Some(Fault { place, kind });
            }
        }
        None
    }
}

/// How long the escape is that begins here, and what is wrong with it.
fn escape(text: &[u8]) -> (usize, Option<Kind>) {
    match unit(text) {
        None => (2, None),
        Some(0xd800..=0xdbff) => match text.get(6..).and_then(unit) {
            Some(0xdc00..=0xdfff) => (12, None),
            _ => (6, Some(Kind::Surrogate)),
        },
        Some(0xdc00..=0xdfff) => (6, Some(Kind::Surrogate)),
        Some(_) => (6, None),
    }
}

/// The number of an escape like `\ud83d`.
fn unit(text: &[u8]) -> Option<u16> {
    let digits = text.strip_prefix(b"\\u")?.get(..4)?;
    if !digits.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    u16::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

/// How long the character is that begins here with a byte beyond ASCII.
fn character(text: &[u8]) -> (usize, Option<Kind>) {
    let front = &text[..text.len().min(4)];
    let good = match std::str::from_utf8(front) {
        Ok(good) => good,
        Err(cause) if cause.valid_up_to() > 0 => {
            std::str::from_utf8(&front[..cause.valid_up_to()]).unwrap_or_default()
        }
        // Java writes each half of a pair as three bytes.
        Err(_) if matches!(front, [0xed, 0xa0..=0xbf, 0x80..=0xbf, ..]) => return (3, Some(Kind::Bytes)),
        Err(cause) => return (cause.error_len().unwrap_or(front.len()), Some(Kind::Bytes)),
    };
    (good.chars().next().map_or(1, char::len_utf8), None)
}

/// How long the number is that begins here, and whether it is none that a program can hold. An integer of any length
/// is one.
fn number(text: &[u8]) -> (usize, Option<Kind>) {
    for name in [&b"NaN"[..], b"Infinity", b"-Infinity"] {
        if text.starts_with(name) {
            return (name.len(), Some(Kind::NotFinite));
        }
    }
    let is_part = |byte: &&u8| byte.is_ascii_digit() || b"+-.eE".contains(byte);
    let token = &text[..text.iter().take_while(is_part).count()];
    let has_exponent = token.iter().any(|byte| b"eE".contains(byte));
    let value = || std::str::from_utf8(token).ok()?.parse::<f64>().ok();
    let is_too_large = has_exponent && value().is_some_and(f64::is_infinite);
    (token.len().max(1), is_too_large.then_some(Kind::TooLarge))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all_mended(text: &[u8]) -> Vec<u8> {
        let len = mended_len(text).unwrap_or(text.len());
        let out = mended(text, len);
        assert_eq!(out.len(), len);
        out
    }

    #[test]
    fn what_is_no_character_or_no_number_is_replaced() {
        for (text, wanted) in [
            (r#"["a\ud83d"]"#, r#"["a\ufffd"]"#),
            (r#"["\uD83D\uDE00"]"#, r#"["\uD83D\uDE00"]"#),
            (r#"["\udc00"]"#, r#"["\ufffd"]"#),
            (r#"["\ude00\ud83d"]"#, r#"["\ufffd\ufffd"]"#),
            (r#"["\ud83d\ud83d\ude00"]"#, r#"["\ufffd\ud83d\ude00"]"#),
            (r#"["\ud83d\n"]"#, r#"["\ufffd\n"]"#),
            (r#"["\\ud83d"]"#, r#"["\\ud83d"]"#),
            (r#"["\\\ud83d"]"#, r#"["\\\ufffd"]"#),
            (r#"{"\ud83d": 1}"#, r#"{"\ufffd": 1}"#),
            (r"[NaN, -Infinity,Infinity]", r"[null, null,null]"),
            (r#"["NaN", "Infinity"]"#, r#"["NaN", "Infinity"]"#),
            (r"[1e400, -1E+999, 1.5e308, 1e-999]", r"[null, null, 1.5e308, 1e-999]"),
            (r#"{"NaN":NaN}"#, r#"{"NaN":null}"#),
            (r#"["\u12"#, r#"["\u12"#),
            (r#"["\"#, r#"["\"#),
        ] {
            assert_eq!(String::from_utf8(all_mended(text.as_bytes())).unwrap(), wanted, "{text}");
        }
        let digits = format!("[{}]", "9".repeat(400));
        assert_eq!(all_mended(digits.as_bytes()), digits.as_bytes());
        assert_eq!(all_mended(b"[\"a\xffb\xc3\xa9\xe2\x82\"]"), "[\"a\u{fffd}bé\u{fffd}\"]".as_bytes());
        assert_eq!(all_mended(b"[\"\xed\xa0\xbd\"]"), "[\"\u{fffd}\"]".as_bytes());
        assert_eq!(all_mended("[\"日本😀\"]".as_bytes()), "[\"日本😀\"]".as_bytes());
    }

    #[test]
    fn a_body_of_the_api_is_mended_where_it_is_no_text_and_refused_where_it_is_no_number() {
        let parsed = |text: &str| parse(text.as_bytes().to_vec()).map(|value| value.to_string());
        assert_eq!(parsed(r#"{"a":"\ud83d"}"#).unwrap(), "{\"a\":\"\u{fffd}\"}");
        assert_eq!(parsed("\u{feff}[1]").unwrap(), "[1]");
        assert_eq!(parsed("[123456789012345678901234567890]").unwrap(), "[123456789012345678901234567890]");
        for bad in ["[NaN]", "[1e400]", "[Infinity]", r#"["\ud83d]"#, "[", "", r#"["\ud83d", NaN]"#] {
            assert!(parsed(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_is_in_strings_does_not_count() {
        let counts = Counts::of(br#"{"a,[{": [1, 2e3], "b\",": "1e5"}"#);
        assert_eq!((counts.values, counts.names, counts.has_exponents), (4, 2, true));
        let outer = |text: &[u8]| Counts::of(text).outer_commas;
        assert_eq!((outer(br#"{"a": [1, 2], "b": 3} , [4, 5],"6,7""#), outer(b"1")), (2, 0));
        assert!(!Counts::of(br#"[true, false, "1e400", null]"#).has_exponents);
    }

    #[test]
    fn what_json_becomes_is_no_less_than_what_it_takes() {
        let many = format!("[{}]", "1,".repeat(1000));
        assert!(Counts::of(many.as_bytes()).parsed_bytes() > 1000 * size_of::<Value>());
    }
}
