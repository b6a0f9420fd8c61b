//! Times in queries: a moment, or how long ago, as `-7d`.

use jiff::tz::TimeZone;
use jiff::{Span, Timestamp};

use crate::api::Call;
use crate::clock::Time;
use crate::error::{Result, invalid};

/// The time of a query parameter, if it has one.
///
/// # Errors
/// 400 for what is no time.
pub(super) fn of_query(call: &Call, name: &'static str) -> Result<Option<Time>> {
    const DETAIL: &str = "Datetime has wrong format. Use one of these formats instead: YYYY-MM-DDThh:mm[:ss[.uuuuuu]][+HH:MM|-HH:MM|Z].";
    let Some(text) = call.query(name) else { return Ok(None) };
    let time = Time::parse(text).or_else(|| ago(text.trim(), call.now));
    time.map(Some).ok_or_else(|| invalid(name, "invalid_input", DETAIL))
}

/// `-` with a number and a unit: `y`, `q`, `m`, `w`, `d`, `h`, `M` for minutes, `s`.
fn ago(text: &str, now: Time) -> Option<Time> {
    let text = text.strip_prefix('-')?;
    let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let is_number = number.bytes().all(|byte| byte.is_ascii_digit());
    let number: i64 = match number {
        "" => 1,
        _ if is_number => number.parse().ok()?,
        _ => return None,
    };
    let span = Span::new();
    let span = match unit {
        "y" => span.try_years(number),
        "q" => span.try_months(number.checked_mul(3)?),
        "m" => span.try_months(number),
        "w" => span.try_weeks(number),
        "d" => span.try_days(number),
        "h" => span.try_hours(number),
        "M" => span.try_minutes(number),
        "s" => span.try_seconds(number),
        _ => return None,
    };
    let now = Timestamp::from_microsecond(now.0).ok()?.to_zoned(TimeZone::UTC);
    let then = now.checked_sub(span.ok()?).ok()?;
    Some(Time(then.timestamp().as_microsecond()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_may_be_said_by_how_long_ago_it_was() {
        let now = Time::parse("2024-03-31T12:00:00Z").unwrap();
        for (text, wanted) in [
            ("-7d", Some("2024-03-24T12:00:00Z")),
            ("-24h", Some("2024-03-30T12:00:00Z")),
            ("-h", Some("2024-03-31T11:00:00Z")),
            ("-5M", Some("2024-03-31T11:55:00Z")),
            ("-30s", Some("2024-03-31T11:59:30Z")),
            ("-2w", Some("2024-03-17T12:00:00Z")),
            ("-1m", Some("2024-02-29T12:00:00Z")),
            ("-1q", Some("2023-12-31T12:00:00Z")),
            ("-1y", Some("2023-03-31T12:00:00Z")),
            ("7d", None),
            ("-", None),
            ("-7", None),
            ("-x", None),
            ("--7d", None),
            ("-7é", None),
            ("-99999999999999999999d", None),
            ("-9223372036854775807q", None),
            ("-99999y", None),
        ] {
            assert_eq!(ago(text, now), wanted.and_then(Time::parse), "{text}");
        }
    }
}
