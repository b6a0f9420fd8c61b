//! Bodies in other encodings than UTF-8, as their `Content-Type` says.

use std::borrow::Cow;

/// An encoding that is not UTF-8.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Charset {
    Latin1,
    Windows1252,
    /// Little-endian, where no byte order mark says otherwise.
    Utf16,
    Utf16BigEndian,
}

/// What Windows-1252 has in place of the control characters 0x80 to 0x9f of ISO 8859-1.
const WINDOWS_1252: [char; 32] = [
    '€', '\u{81}', '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', '\u{8d}', 'Ž', '\u{8f}', '\u{90}',
    '‘', '’', '“', '”', '•', '–', '—', '˜', '™', 'š', '›', 'œ', '\u{9d}', 'ž', 'Ÿ',
];

impl Charset {
    /// A byte becomes at most so many.
    pub const GROWTH_MAX: usize = 3;

    /// The encoding that the bytes have to be read by. `None` where they are UTF-8, whatever is said of them (many clients
    /// name an encoding without using it), and where an encoding is named that nobody knows.
    pub fn needed(content_type: Option<&str>, bytes: &[u8]) -> Option<Charset> {
        let charset = Charset::named(content_type?)?;
        let is_wide = matches!(charset, Charset::Utf16 | Charset::Utf16BigEndian);
        (is_wide || std::str::from_utf8(bytes).is_err()).then_some(charset)
    }

    fn named(content_type: &str) -> Option<Charset> {
        let mut parameters = content_type.split(';').skip(1).filter_map(|part| part.split_once('='));
        let (_, name) = parameters.find(|(name, _)| name.trim().eq_ignore_ascii_case("charset"))?;
        match name.trim().trim_matches('"').to_ascii_lowercase().replace('_', "-").as_str() {
            "iso-8859-1" | "iso8859-1" | "latin1" | "latin-1" => Some(Charset::Latin1),
            "windows-1252" | "cp1252" => Some(Charset::Windows1252),
            "utf-16" | "utf16" | "utf-16le" => Some(Charset::Utf16),
            "utf-16be" => Some(Charset::Utf16BigEndian),
            _ => None,
        }
    }

    /// The text; what is no character becomes U+FFFD.
    pub fn decode(self, bytes: &[u8]) -> String {
        let wide = |bytes: &[u8], of: fn([u8; 2]) -> u16| {
            let units = bytes.chunks(2).map(|two| two.try_into().map_or(0xfffd, of));
            char::decode_utf16(units).map(|found| found.unwrap_or(char::REPLACEMENT_CHARACTER)).collect()
        };
        match (self, bytes) {
            (Charset::Latin1, _) => bytes.iter().copied().map(char::from).collect(),
            (Charset::Windows1252, _) => bytes.iter().copied().map(windows_1252).collect(),
            (_, [0xff, 0xfe, rest @ ..]) => wide(rest, u16::from_le_bytes),
            (_, [0xfe, 0xff, rest @ ..]) | (Charset::Utf16BigEndian, rest) => wide(rest, u16::from_be_bytes),
            (Charset::Utf16, _) => wide(bytes, u16::from_le_bytes),
        }
    }
}

fn windows_1252(byte: u8) -> char {
    match byte {
        0x80..=0x9f => WINDOWS_1252[usize::from(byte - 0x80)],
        _ => char::from(byte),
    }
}

/// The text of a form's name or value, whose bytes stand in the encoding that is named.
pub fn text<'a>(content_type: Option<&str>, bytes: &'a [u8]) -> Cow<'a, str> {
    match Charset::needed(content_type, bytes) {
        Some(charset) => Cow::Owned(charset.decode(bytes)),
        None => String::from_utf8_lossy(bytes),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_utf_8_is_read_as_it_says() {
        for (content_type, bytes, wanted) in [
            ("application/json; charset=iso-8859-1", &b"M\xfcnchen"[..], "München"),
            ("application/json;Charset=\"ISO_8859-1\"; x=y", b"M\xfcnchen", "München"),
            ("application/json; charset=latin1", "München".as_bytes(), "München"),
            ("application/json; charset=windows-1252", b"\x80\x9f\xfc", "€Ÿü"),
            ("application/json; charset=utf-16", b"\xff\xfea\0\xfc\0", "aü"),
            ("application/json; charset=utf-16", b"\xfe\xff\0a", "a"),
            ("application/json; charset=utf-16le", b"a\0=\xd8", "a\u{fffd}"),
            ("application/json; charset=utf-16be", b"\0a\0", "a\u{fffd}"),
            ("application/json; charset=utf-8", b"M\xfc", "M\u{fffd}"),
            ("application/json; charset=klingon", b"M\xfc", "M\u{fffd}"),
            ("application/json", b"M\xfc", "M\u{fffd}"),
        ] {
            assert_eq!(text(Some(content_type), bytes), wanted, "{content_type}");
        }
    }
}
