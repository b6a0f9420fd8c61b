//! The names of files, by the templates of the prefix.

use crate::background::exports::error::{AttemptError, Result};
use crate::background::exports::plan::Plan;
use crate::clock::Time;
use crate::resources::batch_exports::isoformat;

/// The names of a run's files.
pub(super) struct Names {
    /// Without a number and an ending.
    base: String,
    ending: String,
}

impl Names {
    pub(super) fn of(plan: &Plan, ending: String) -> Result<Names> {
        let (start, end) = (plan.run.start, plan.run.end);
        let prefix = filled(plan.settings.text("prefix").unwrap_or_default(), start, end, plan.model.name())
            .map_err(|name| {
                AttemptError::Fatal(format!(
                    "InvalidS3Key: An invalid S3 key was provided: unknown template '{name}'"
                ))
            })?;
        let range = format!("{}-{}", bound(start), isoformat(end));
        let prefix = prefix.trim_start_matches('/');
        let gap = if prefix.is_empty() || prefix.ends_with('/') { "" } else { "/" };
        Ok(Names { base: format!("{prefix}{gap}{range}"), ending })
    }

    pub(super) fn file(&self, number: Option<usize>) -> String {
        let number = number.map(|number| format!("-{number}")).unwrap_or_default();
        format!("{}{number}{}", self.base, self.ending)
    }

    pub(super) fn manifest(&self) -> String {
        format!("{}_manifest.json", self.base)
    }
}

fn bound(time: Option<Time>) -> String {
    time.map_or_else(|| "START".to_owned(), isoformat)
}

/// The prefix with its templates filled in; an unknown one is the error.
fn filled(prefix: &str, start: Option<Time>, end: Time, table: &str) -> std::result::Result<String, String> {
    let time = end.to_string();
    let mut filled = String::new();
    let mut rest = prefix;
    while let Some((front, after)) = rest.split_once('{') {
        let (name, after) = after.split_once('}').ok_or_else(|| after.to_owned())?;
        filled.push_str(front);
        let value = match name {
            "year" => time[0..4].to_owned(),
            "month" => time[5..7].to_owned(),
            "day" => time[8..10].to_owned(),
            "hour" => time[11..13].to_owned(),
            "minute" => time[14..16].to_owned(),
            "second" => time[17..19].to_owned(),
            "data_interval_start" => bound(start),
            "data_interval_end" => isoformat(end),
            "table" => table.to_owned(),
            unknown => return Err(unknown.to_owned()),
        };
        filled.push_str(&value);
        rest = after;
    }
    filled.push_str(rest);
    Ok(filled)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_of_the_prefix_are_filled_from_the_end_of_the_interval() {
        let (start, end) =
            (Time::parse("2023-04-25T13:30:00Z"), Time::parse("2023-04-25T14:30:05Z").unwrap());
        let fill = |prefix: &str| filled(prefix, start, end, "events");
        assert_eq!(
            fill("a/{year}-{month}-{day}/{hour}{minute}{second}/{table}").unwrap(),
            "a/2023-04-25/143005/events"
        );
        let both = fill("{data_interval_start}_{data_interval_end}").unwrap();
        assert_eq!(both, "2023-04-25T13:30:00+00:00_2023-04-25T14:30:05+00:00");
        assert_eq!(fill("plain").unwrap(), "plain");
        assert_eq!(fill("{unknown}"), Err("unknown".into()));
        assert_eq!(fill("{year"), Err("year".into()));
    }
}
