//! `Accept` and `Accept-Encoding`: what a caller can make use of.

/// One entry of such a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Choice<'a> {
    pub(super) name: &'a str,
    /// Not where its weight is zero.
    pub(super) is_wanted: bool,
}

/// The entries of a header, in its order; empty ones are passed over.
pub(super) fn choices(header: &str) -> impl Iterator<Item = Choice<'_>> {
    header.split(',').filter_map(|entry| {
        let mut parts = entry.split(';').map(str::trim);
        let name = parts.next().filter(|name| !name.is_empty())?;
        Some(Choice { name, is_wanted: !parts.any(is_zero_weight) })
    })
}

/// `q=0`, with up to three zeros after the point.
fn is_zero_weight(parameter: &str) -> bool {
    let Some((name, value)) = parameter.split_once('=') else { return false };
    name.trim_end().eq_ignore_ascii_case("q") && value.trim().parse::<f32>().is_ok_and(|weight| weight == 0.0)
}

/// Whether an `Accept` header wants JSON by name.
pub(super) fn names_json(header: &str) -> bool {
    choices(header).any(|choice| choice.is_wanted && choice.name.eq_ignore_ascii_case("application/json"))
}

/// Whether an `Accept` header admits JSON. The entry that names it most closely decides; an empty header admits
/// everything.
pub(super) fn admits_json(header: &str) -> bool {
    let closeness = |name: &str| match name.to_ascii_lowercase().as_str() {
        "application/json" => 3,
        "application/*" => 2,
        "*/*" => 1,
        _ => 0,
    };
    let mut is_empty = true;
    let mut best = (0, false);
    for choice in choices(header) {
        is_empty = false;
        let closeness = closeness(choice.name);
        if closeness > best.0 || (closeness == best.0 && choice.is_wanted) {
            best = (closeness, closeness > 0 && choice.is_wanted);
        }
    }
    is_empty || best.1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_admitted_by_the_entry_that_names_it_most_closely() {
        for (header, is_admitted) in [
            ("", true),
            (" , ", true),
            ("*/*", true),
            ("application/*", true),
            ("Application/JSON", true),
            ("application/json; indent=4; q=0.001", true),
            ("text/html, */*;q=0.1", true),
            ("text/html", false),
            ("application/json;q=0", false),
            ("application/json; Q = 0.000, */*", false),
            ("*/*;q=0, application/json", true),
            ("application/*;q=0, */*", false),
            ("application/json;q=0, application/json", true),
        ] {
            assert_eq!(admits_json(header), is_admitted, "{header}");
        }
    }

    #[test]
    fn weights_of_zero_are_seen_and_odd_ones_are_not() {
        let wanted = |header| choices(header).map(|choice| choice.is_wanted).collect::<Vec<_>>();
        assert_eq!(
            wanted("gzip;q=0, br;q=0.5,, gzip; q=0.00, gzip;q=x, gzip;q"),
            [false, true, false, true, true]
        );
    }
}
