//! Durations as people write them: a whole number and `s`, `m`, `h` or `d`.

/// The seconds of `90s`, `15m`, `72h` or `4d`.
pub fn seconds(text: &str) -> Option<i64> {
    let letter = text.chars().next_back()?;
    let unit = match letter {
        's' => 1,
        'm' => 60,
        'h' => 60 * 60,
        'd' => 24 * 60 * 60,
        _ => return None,
    };
    let number = &text[..text.len() - 1];
    if number.is_empty() || !number.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    number.parse::<i64>().ok()?.checked_mul(unit)
}

#[cfg(test)]
mod tests {
    use super::seconds;

    #[test]
    fn a_duration_is_a_number_and_a_letter() {
        for (text, wanted) in [
            ("90s", Some(90)),
            ("15m", Some(900)),
            ("72h", Some(259_200)),
            ("4d", Some(345_600)),
            ("0s", Some(0)),
            ("", None),
            ("s", None),
            ("4", None),
            ("-4d", None),
            ("+4d", None),
            ("4 d", None),
            ("4D", None),
            ("4é", None),
            ("1.5h", None),
            ("9223372036854775807s", Some(i64::MAX)),
            ("9223372036854775807m", None),
            ("99999999999999999999s", None),
        ] {
            assert_eq!(seconds(text), wanted, "{text}");
        }
    }
}
