//! Names of hosts beyond ASCII, as DNS and SMTP want them: labels in Punycode, lower case.

use std::borrow::Cow;

/// The name as DNS has it. A name that is ASCII stays as it is; one that has no such form stays too, and is refused by
/// whatever rule follows.
pub fn ascii_name(name: &str) -> Cow<'_, str> {
    if name.is_ascii() || name.contains('%') {
        return Cow::Borrowed(name);
    }
    match url::Host::parse(name) {
        Ok(url::Host::Domain(ascii)) => Cow::Owned(ascii),
        _ => Cow::Borrowed(name),
    }
}

/// The e-mail address with its domain as DNS has it.
pub fn ascii_address(address: &str) -> Cow<'_, str> {
    match address.rsplit_once('@') {
        Some((local, domain)) if !domain.is_ascii() => Cow::Owned(format!("{local}@{}", ascii_name(domain))),
        _ => Cow::Borrowed(address),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_beyond_ascii_change() {
        for (name, ascii) in [
            ("example.com", "example.com"),
            ("Example.COM", "Example.COM"),
            ("münchen.example", "xn--mnchen-3ya.example"),
            ("MÜNCHEN.example", "xn--mnchen-3ya.example"),
            ("пример.рф", "xn--e1afmkfd.xn--p1ai"),
            ("xn--mnchen-3ya.example", "xn--mnchen-3ya.example"),
            ("ü%2e.example", "ü%2e.example"),
            ("ü b.example", "ü b.example"),
        ] {
            assert_eq!(ascii_name(name), ascii);
        }
        assert_eq!(ascii_address("Ada@münchen.example"), "Ada@xn--mnchen-3ya.example");
        assert_eq!(ascii_address("ädä@example.com"), "ädä@example.com");
    }
}
