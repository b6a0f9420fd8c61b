//! Slugs: what stands for an organization in addresses.

use std::borrow::Cow;

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

use super::{BY_SLUG, SLUG_CHARS_MAX};
use crate::api::Ctx;
use crate::error::{Result, denied};
use crate::store::Tx;

/// The slug of the name, followed by four random letters where it is taken.
pub(super) fn free_slug(ctx: &Ctx, tx: &Tx, name: &str) -> Result<String> {
    const TRIES: usize = 10;
    let plain = slug(name);
    let mut wanted = plain.clone();
    for _ in 0..TRIES {
        if tx.get(&BY_SLUG, &wanted)?.is_none() {
            return Ok(wanted);
        }
        let front: String = plain.chars().take(SLUG_CHARS_MAX - 5).collect();
        wanted = format!("{front}-{}", ctx.ids.letters(b"abcdefghijklmnopqrstuvwxyz", 4));
    }
    Err(denied("No free slug was found for this name; try another name."))
}

/// Whether the text can be the slug of an organization.
pub(super) fn is_slug(text: &str) -> bool {
    !text.is_empty() && slug(text) == text
}

/// Django's slug: ASCII letters, digits, `_` and single hyphens.
fn slug(name: &str) -> String {
    let mut slug = String::new();
    // Most names need no taking apart, which costs more than the rest.
    let plain = match name.is_ascii() {
        true => Cow::Borrowed(name),
        false => name.nfkd().filter(|letter| !is_combining_mark(*letter)).collect(),
    };
    for letter in plain.chars() {
        match letter.to_ascii_lowercase() {
            kept if kept.is_ascii_alphanumeric() || kept == '_' => slug.push(kept),
            gap if (gap.is_ascii_whitespace() || gap == '-') && !slug.ends_with('-') => slug.push('-'),
            _ => {}
        }
    }
    slug.trim_matches(['-', '_']).chars().take(SLUG_CHARS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::slug;

    #[test]
    fn a_slug_is_what_django_makes_of_the_name() {
        for (name, wanted) in [
            ("Acme, Inc.", "acme-inc"),
            ("  Zwölf  Bälle -- und_mehr ", "zwolf-balle-und_mehr"),
            ("日本", ""),
            ("--a--", "a"),
            ("_x_", "x"),
            ("ﬁne", "fine"),
        ] {
            assert_eq!(slug(name), wanted, "{name}");
        }
        assert_eq!(slug(&"a".repeat(64)).len(), 48);
    }
}
