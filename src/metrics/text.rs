//! The text form that Prometheus reads, version 0.0.4.

use std::fmt::Write;

use super::value::Histogram;

/// What kind of numbers a family has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Counter,
    Gauge,
    Histogram,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        }
    }
}

/// Names of labels and their values.
pub(super) type Labels<'a> = &'a [(&'a str, &'a str)];

/// The text of all families.
#[derive(Default)]
pub struct Text(String);

impl Text {
    /// Begins a family. Every one is written once.
    pub fn family(&mut self, name: &'static str, kind: Kind, help: &str) -> Family<'_> {
        // Writing to memory does not fail.
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {}", kind.name());
        Family { text: &mut self.0, name }
    }

    /// A family of one number without labels.
    pub fn single(&mut self, name: &'static str, kind: Kind, help: &str, value: impl Into<f64>) {
        self.family(name, kind, help).value(&[], value);
    }

    /// The whole text.
    pub fn finish(self) -> String {
        self.0
    }
}

/// A family that is being written.
pub struct Family<'a> {
    text: &'a mut String,
    name: &'static str,
}

impl Family<'_> {
    /// Writes a number.
    pub fn value(&mut self, labels: Labels<'_>, value: impl Into<f64>) {
        self.line("", labels, None, &value.into());
    }

    /// Writes a count, to the last digit.
    pub fn count(&mut self, labels: Labels<'_>, count: u64) {
        self.line("", labels, None, &count);
    }

    /// Writes the buckets, sum and count of a histogram.
    pub fn histogram(&mut self, labels: Labels<'_>, histogram: &Histogram) {
        let mut all = 0;
        for (bound, count) in histogram.buckets() {
            let bound = if bound.is_finite() { bound.to_string() } else { "+Inf".to_owned() };
            self.line("_bucket", labels, Some(&bound), &count);
            all = count;
        }
        self.line("_sum", labels, None, &histogram.sum());
        self.line("_count", labels, None, &all);
    }

    fn line(&mut self, suffix: &str, labels: Labels<'_>, bound: Option<&str>, value: &dyn std::fmt::Display) {
        self.text.push_str(self.name);
        self.text.push_str(suffix);
        let all = labels.iter().copied().chain(bound.map(|bound| ("le", bound)));
        let mut before = '{';
        for (name, value) in all {
            self.text.push(before);
            self.text.push_str(name);
            self.text.push_str("=\"");
            push_escaped(self.text, value);
            self.text.push('"');
            before = ',';
        }
        if before == ',' {
            self.text.push('}');
        }
        let _ = writeln!(self.text, " {value}");
    }
}

fn push_escaped(text: &mut String, value: &str) {
    for letter in value.chars() {
        match letter {
            '\\' => text.push_str("\\\\"),
            '"' => text.push_str("\\\""),
            '\n' => text.push_str("\\n"),
            other => text.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_are_written_as_prometheus_reads_them() {
        let mut text = Text::default();
        text.single("orgd_up", Kind::Gauge, "Whether it is up.", 1);
        let mut family = text.family("orgd_files_total", Kind::Counter, "Files.");
        family.count(&[("name", "a\"b\\c\nd"), ("kind", "é")], u64::MAX);
        family.value(&[], 0.25);
        let amounts = Histogram::of_amounts();
        amounts.record(2);
        text.family("orgd_sizes", Kind::Histogram, "Sizes.").histogram(&[("a", "b")], &amounts);
        let text = text.finish();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(
            lines[..6],
            [
                "# HELP orgd_up Whether it is up.",
                "# TYPE orgd_up gauge",
                "orgd_up 1",
                "# HELP orgd_files_total Files.",
                "# TYPE orgd_files_total counter",
                "orgd_files_total{name=\"a\\\"b\\\\c\\nd\",kind=\"é\"} 18446744073709551615",
            ]
        );
        assert_eq!(lines[6], "orgd_files_total 0.25");
        assert_eq!(lines[9], "orgd_sizes_bucket{a=\"b\",le=\"1\"} 0");
        assert_eq!(lines[10], "orgd_sizes_bucket{a=\"b\",le=\"2\"} 1");
        assert_eq!(
            lines[19..],
            [
                "orgd_sizes_bucket{a=\"b\",le=\"+Inf\"} 1",
                "orgd_sizes_sum{a=\"b\"} 2",
                "orgd_sizes_count{a=\"b\"} 1",
            ]
        );
    }
}
