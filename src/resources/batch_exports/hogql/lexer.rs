//! The words and signs of a query.

use super::{Fault, Outcome, QUERY_BYTES_MAX};

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Token {
    /// A name or a keyword, as it was written.
    Word(String),
    /// A name in backticks or double quotes; never a keyword.
    Quoted(String),
    Text(String),
    Integer(i64),
    Float(f64),
    Sign(&'static str),
}

/// Longer signs come before their fronts.
const SIGNS: &[&str] = &[
    "->", "::", "||", "==", "!=", "<>", "<=", ">=", "??", "?", ":", "(", ")", "[", "]", "{", "}", ",", ".",
    ";", "+", "-", "*", "/", "%", "=", "<", ">",
];

/// The tokens of a query, without blanks and comments.
pub(super) fn tokens(query: &str) -> Outcome<Vec<Token>> {
    check_length(query)?;
    let mut rest = query;
    let mut tokens = Vec::new();
    loop {
        rest = without_blanks(rest)?;
        let Some(first) = rest.chars().next() else { return Ok(tokens) };
        let (token, length) = match first {
            '\'' => quoted(rest, '\'', Token::Text)?,
            '`' | '"' => quoted(rest, first, Token::Quoted)?,
            '0'..='9' => number(rest)?,
            '.' if !follows_a_name(&tokens) && rest[1..].starts_with(|next: char| next.is_ascii_digit()) => {
                number(rest)?
            }
            _ if is_of_name(first) => {
                let length = rest.find(|letter| !is_of_name(letter)).unwrap_or(rest.len());
                (Token::Word(rest[..length].to_owned()), length)
            }
            _ => {
                let sign = SIGNS.iter().find(|sign| rest.starts_with(**sign)).ok_or(Fault::Unparsable)?;
                (Token::Sign(sign), sign.len())
            }
        };
        tokens.push(token);
        rest = &rest[length..];
    }
}

pub(super) fn check_length(query: &str) -> Outcome<()> {
    if query.len() > QUERY_BYTES_MAX {
        return Err(Fault::Invalid(format!("The query is longer than {QUERY_BYTES_MAX} bytes")));
    }
    Ok(())
}

fn is_of_name(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || matches!(letter, '_' | '$')
}

/// Whether a dot here looks into what stands before it.
fn follows_a_name(tokens: &[Token]) -> bool {
    matches!(tokens.last(), Some(Token::Word(_) | Token::Quoted(_) | Token::Sign("]" | ")")))
}

fn without_blanks(text: &str) -> Outcome<&str> {
    // Editors leave the mark of byte order at the front of files.
    let mut rest = text;
    loop {
        rest = rest.trim_start_matches(|letter: char| letter.is_whitespace() || letter == '\u{feff}');
        rest = if rest.starts_with("--") || rest.starts_with("//") {
            rest.find(['\n', '\r']).map_or("", |end| &rest[end..])
        } else if let Some(comment) = rest.strip_prefix("/*") {
            comment.split_once("*/").ok_or(Fault::Unparsable)?.1
        } else {
            return Ok(rest);
        };
    }
}

/// What stands between two quotes, and its length with them. A quote inside is doubled or escaped.
fn quoted(text: &str, quote: char, token: fn(String) -> Token) -> Outcome<(Token, usize)> {
    let mut inside = String::new();
    let mut letters = text.char_indices().skip(1);
    while let Some((place, letter)) = letters.next() {
        if letter == quote {
            if !text[place + 1..].starts_with(quote) {
                return Ok((token(inside), place + 1));
            }
            letters.next();
            inside.push(quote);
        } else if letter == '\\' {
            let (_, escaped) = letters.next().ok_or(Fault::Unparsable)?;
            inside.push(unescaped(escaped, &mut letters)?);
        } else {
            inside.push(letter);
        }
    }
    Err(Fault::Unparsable)
}

fn unescaped(letter: char, letters: &mut impl Iterator<Item = (usize, char)>) -> Outcome<char> {
    Ok(match letter {
        'b' => '\u{8}',
        'f' => '\u{c}',
        'r' => '\r',
        'n' => '\n',
        't' => '\t',
        '0' => '\0',
        'a' => '\u{7}',
        'v' => '\u{b}',
        '\\' | '\'' | '"' | '`' => letter,
        'x' => {
            let mut digit =
                || letters.next().and_then(|(_, digit)| digit.to_digit(16)).ok_or(Fault::Unparsable);
            let code = digit()? * 16 + digit()?;
            char::from_u32(code).ok_or(Fault::Unparsable)?
        }
        _ => return Err(Fault::Unparsable),
    })
}

/// The escapes of `quoted` for what can't stand in quotes as it is.
pub(super) fn escaped(text: &str, quote: char) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push(quote);
    for letter in text.chars() {
        let escape = match letter {
            '\u{8}' => 'b',
            '\u{c}' => 'f',
            '\r' => 'r',
            '\n' => 'n',
            '\t' => 't',
            '\0' => '0',
            '\u{7}' => 'a',
            '\u{b}' => 'v',
            '\\' => '\\',
            _ if letter == quote => quote,
            _ => {
                out.push(letter);
                continue;
            }
        };
        out.extend(['\\', escape]);
    }
    out.push(quote);
    out
}

fn number(text: &str) -> Outcome<(Token, usize)> {
    let digits = |from: usize| {
        let rest = &text[from..];
        from + rest.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(rest.len())
    };
    let mut end = digits(0);
    let whole = end;
    if text[end..].starts_with('.') {
        end = digits(end + 1);
    }
    if text[end..].starts_with(['e', 'E']) {
        let sign = usize::from(text[end + 1..].starts_with(['+', '-']));
        end = digits(end + 1 + sign);
    }
    // A number that continues as a name is none, and `1e` is no number.
    if text[end..].starts_with(is_of_name) {
        return Err(Fault::Unparsable);
    }
    let token = if end == whole {
        Token::Integer(text[..end].parse().map_err(|_| Fault::Unparsable)?)
    } else {
        let number: f64 = text[..end].parse().map_err(|_| Fault::Unparsable)?;
        Token::Float(Some(number).filter(|number| number.is_finite()).ok_or(Fault::Unparsable)?)
    };
    Ok((token, end))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn word(text: &str) -> Token {
        Token::Word(text.into())
    }

    #[test]
    fn a_query_falls_into_words_and_signs() {
        for (query, wanted) in [
            ("a.$b_1", vec![word("a"), Token::Sign("."), word("$b_1")]),
            ("a>=1", vec![word("a"), Token::Sign(">="), Token::Integer(1)]),
            ("1.5 .5 2. 1e3", vec![1.5, 0.5, 2.0, 1000.0].into_iter().map(Token::Float).collect()),
            ("a.5", vec![word("a"), Token::Sign("."), Token::Integer(5)]),
            ("'it''s' 'it\\'s'", vec![Token::Text("it's".into()), Token::Text("it's".into())]),
            ("'\\n\\x41\\\\é'", vec![Token::Text("\nA\\é".into())]),
            ("`a``b` \"c d\"", vec![Token::Quoted("a`b".into()), Token::Quoted("c d".into())]),
            ("a -- b\n/* c * / */ d // e", vec![word("a"), word("d")]),
            ("\u{feff}a\u{a0}b", vec![word("a"), word("b")]),
            ("", vec![]),
        ] {
            assert_eq!(tokens(query), Ok(wanted), "{query}");
        }
    }

    #[test]
    fn what_is_no_token_does_not_parse() {
        for query in [
            "'open",
            "`open",
            "'\\",
            "'\\q'",
            "'\\xZ'",
            "1a",
            "1e",
            "1e+",
            "a ~ b",
            "é",
            "/* open",
            "!",
            "99999999999999999999",
            "1e999",
        ] {
            assert_eq!(tokens(query), Err(Fault::Unparsable), "{query}");
        }
    }

    #[test]
    fn escapes_are_read_back() {
        let text = "a'b\"c`d\\e\n\r\t\0\u{7}\u{8}\u{b}\u{c}é\u{1f600}";
        for quote in ['\'', '`', '"'] {
            let (token, length) = quoted(&escaped(text, quote), quote, Token::Text).unwrap();
            assert_eq!((token, length), (Token::Text(text.into()), escaped(text, quote).len()));
        }
    }
}
