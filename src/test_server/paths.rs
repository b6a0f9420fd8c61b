//! Which paths are meant: a route's template, or a pattern; and which routes there are, so that a path that names none
//! is noticed.

use std::fmt;
use std::sync::OnceLock;

use crate::error::{Error, Result, invalid};

const BYTES_MAX: usize = 1024;
/// How many routes a refusal names.
const NEAREST: usize = 3;

/// A path as a programme of faults or an assertion names it. `{name}` and `*` are any one segment, `**` is any number of
/// them.
#[derive(Clone, Debug)]
pub struct PathPattern {
    text: String,
    /// Without the names of its parameters.
    anonymous: String,
    segments: Vec<Segment>,
    /// Whether it is the template of a route: then what is meant is that route, and not one that looks like it.
    is_template: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Segment {
    Text(String),
    One,
    Rest,
}

impl fmt::Display for PathPattern {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.text)
    }
}

/// A path without the names of its parameters, and without a slash at its end.
fn anonymous(path: &str) -> String {
    let segments = path.trim_matches('/').split('/');
    let plain = segments.map(|segment| if is_parameter(segment) { "{}" } else { segment });
    plain.collect::<Vec<_>>().join("/")
}

fn is_parameter(segment: &str) -> bool {
    segment.starts_with('{') && segment.ends_with('}')
}

fn segments_of(path: &str) -> Vec<&str> {
    match path.trim_matches('/') {
        "" => Vec::new(),
        path => path.split('/').collect(),
    }
}

impl PathPattern {
    /// Reads a pattern. `*` alone is any path.
    ///
    /// # Errors
    /// 400 for what is no pattern.
    pub fn read(text: &str) -> Result<PathPattern> {
        let wrong = |detail: &'static str| Err(invalid("path", "invalid_input", detail));
        let text = if text == "*" { "/**" } else { text };
        if !text.starts_with('/') {
            return wrong("A path begins with a slash.");
        }
        if text.len() > BYTES_MAX || text.contains(['?', '#']) {
            return wrong("A path has at most 1024 bytes, and neither a query nor a fragment.");
        }
        let segment = |text: &str| match text {
            "**" => Segment::Rest,
            "*" => Segment::One,
            text if is_parameter(text) => Segment::One,
            text => Segment::Text(text.to_owned()),
        };
        let segments: Vec<Segment> = segments_of(text).into_iter().map(segment).collect();
        if segments.iter().filter(|segment| **segment == Segment::Rest).count() > 1 {
            return wrong("A path has at most one `**`.");
        }
        Ok(PathPattern { text: text.to_owned(), anonymous: anonymous(text), segments, is_template: false })
    }

    /// Whether nothing but what controls the server can be meant.
    pub fn is_control(&self) -> bool {
        self.segments.first() == Some(&Segment::Text("_orgd".to_owned()))
    }

    /// Whether a request for this decoded path is meant, whose route has this template.
    pub fn matches(&self, path: &str, template: Option<&str>) -> bool {
        if self.is_template {
            return template.is_some_and(|template| anonymous(template) == self.anonymous);
        }
        fits(&self.segments, &segments_of(path), |_| false)
    }
}

/// Whether the segments fit the pattern. `is_open` says which of them stand for any text.
fn fits(pattern: &[Segment], path: &[&str], is_open: fn(&str) -> bool) -> bool {
    match (pattern.split_first(), path.split_first()) {
        (None, None) => true,
        (Some((Segment::Rest, pattern)), _) => {
            (0..=path.len()).any(|skipped| fits(pattern, &path[skipped..], is_open))
        }
        (Some((wanted, pattern)), Some((segment, path))) => {
            let is_same = match wanted {
                Segment::Text(text) => text == segment || is_open(segment),
                Segment::One | Segment::Rest => true,
            };
            is_same && fits(pattern, path, is_open)
        }
        _ => false,
    }
}

/// The routes of the server: method and template.
#[derive(Default)]
pub struct KnownPaths(OnceLock<Vec<(&'static str, String)>>);

impl KnownPaths {
    /// Is given the routes once, before anybody asks.
    pub fn know(&self, routes: impl Iterator<Item = (&'static str, String)>) {
        let _ = self.0.set(routes.collect());
    }

    fn all(&self) -> &[(&'static str, String)] {
        self.0.get().map_or(&[], Vec::as_slice)
    }

    /// The pattern, as what it means here.
    ///
    /// # Errors
    /// 400 where no route has such a path, or none with that method.
    pub fn resolve(&self, pattern: PathPattern, method: Option<&str>) -> Result<PathPattern> {
        let known = self.all();
        let is_template = known.iter().any(|(_, path)| anonymous(path) == pattern.anonymous);
        let meant = |path: &str| {
            if is_template {
                anonymous(path) == pattern.anonymous
            } else {
                fits(&pattern.segments, &segments_of(path), is_parameter)
            }
        };
        let methods: Vec<&str> =
            known.iter().filter(|(_, path)| meant(path)).map(|(method, _)| *method).collect();
        // What is not served by a route of its own: HEAD by that of GET, OPTIONS by all.
        let wanted = match method {
            Some("HEAD") => Some("GET"),
            Some("OPTIONS") | None => None,
            other => other,
        };
        if methods.is_empty() {
            return Err(self.unknown(&pattern));
        }
        if wanted.is_some_and(|wanted| !methods.contains(&wanted)) {
            let mut methods = methods;
            methods.sort_unstable();
            methods.dedup();
            let detail = format!(
                "No route has this method at {pattern}; there is {}. `\"any_path\": true` says that it is meant.",
                methods.join(", ")
            );
            return Err(invalid("method", "no_route", detail));
        }
        Ok(PathPattern { is_template, ..pattern })
    }

    fn unknown(&self, pattern: &PathPattern) -> Error {
        let mut by_likeness: Vec<(f64, &str)> = Vec::new();
        for (_, path) in self.all() {
            if by_likeness.iter().any(|(_, known)| known == path) {
                continue;
            }
            let likeness = strsim::normalized_damerau_levenshtein(&anonymous(path), &pattern.anonymous);
            by_likeness.push((likeness, path));
        }
        by_likeness.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(b.1)));
        let nearest: Vec<&str> = by_likeness.into_iter().take(NEAREST).map(|(_, path)| path).collect();
        let detail = format!(
            "No route has the path {pattern}. The nearest are {}. `\"any_path\": true` says that it is meant.",
            nearest.join(", ")
        );
        invalid("path", "no_route", detail)
    }
}

/// A text with `*` for any number of letters, compared without regard to case.
#[derive(Clone, Debug)]
pub struct Glob(String);

impl Glob {
    pub fn new(text: &str) -> Glob {
        Glob(text.to_lowercase())
    }

    pub fn matches(&self, text: &str) -> bool {
        let text = text.to_lowercase();
        let mut parts = self.0.split('*');
        let first = parts.next().unwrap_or_default();
        let Some(mut rest) = text.strip_prefix(first) else { return false };
        let Some(last) = parts.next_back() else { return rest.is_empty() };
        for part in parts {
            match rest.find(part) {
                Some(at) => rest = &rest[at + part.len()..],
                None => return false,
            }
        }
        rest.len() >= last.len() && rest.ends_with(last)
    }
}

impl fmt::Display for Glob {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

/// Three paths, each with GET and POST, for unit tests of what matches paths.
#[cfg(test)]
pub(super) fn few_paths() -> KnownPaths {
    let known = KnownPaths::default();
    let paths = ["/api/a/", "/api/a/{id}/", "/api/b/"];
    let all = paths.iter().flat_map(|path| ["GET", "POST"].map(|method| (method, (*path).to_owned())));
    known.know(all);
    known
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known() -> KnownPaths {
        let known = KnownPaths::default();
        let routes = [
            ("GET", "/api/organizations/{organization_id}/invites/"),
            ("POST", "/api/organizations/{organization_id}/invites/"),
            ("DELETE", "/api/organizations/{organization_id}/invites/{id}/"),
            ("POST", "/api/organizations/{organization_id}/invites/bulk/"),
            ("GET", "/api/projects/"),
            ("GET", "/"),
        ];
        known.know(routes.into_iter().map(|(method, path)| (method, path.to_owned())));
        known
    }

    #[test]
    fn a_template_means_its_route_and_a_pattern_whatever_fits() {
        let known = known();
        let resolve = |text: &str| known.resolve(PathPattern::read(text).unwrap(), None).unwrap();
        let one = Some("/api/organizations/{organization_id}/invites/{id}/");
        let bulk = Some("/api/organizations/{organization_id}/invites/bulk/");
        let path = "/api/organizations/7/invites/bulk/";
        for (pattern, template, wanted) in [
            ("/api/organizations/{id}/invites/{id}/", one, true),
            ("/api/organizations/{id}/invites/{id}", one, true),
            ("/api/organizations/{id}/invites/{id}/", bulk, false),
            ("/api/organizations/{id}/invites/bulk/", bulk, true),
            ("/api/organizations/*/invites/*/", bulk, true),
            ("/api/organizations/7/invites/*", one, true),
            ("/api/organizations/8/invites/*", one, false),
            ("/api/**", bulk, true),
            ("/api/**/bulk/", bulk, true),
            ("/**/bulk", bulk, true),
            ("*", None, true),
            ("/", bulk, false),
        ] {
            assert_eq!(resolve(pattern).matches(path, template), wanted, "{pattern} {template:?}");
        }
        assert!(resolve("/api/**").matches("/api/", None) && !resolve("/api/**").matches("/apis/", None));
    }

    #[test]
    fn a_path_that_no_route_has_is_refused_with_the_nearest_ones() {
        let known = known();
        for (method, path, wanted) in [
            (
                None,
                "/api/organizations/{id}/invite/",
                "The nearest are /api/organizations/{organization_id}/invites/, ",
            ),
            (Some("PATCH"), "/api/projects/", "there is GET"),
            (Some("PUT"), "/api/organizations/*/invites/*", "there is DELETE, POST"),
            (None, "/nothing/**", "The nearest are "),
        ] {
            let refused = known.resolve(PathPattern::read(path).unwrap(), method).unwrap_err();
            assert!(refused.to_string().contains(wanted), "{path}: {refused}");
        }
        for (method, path) in [("HEAD", "/api/projects/"), ("OPTIONS", "/api/projects"), ("GET", "/")] {
            assert!(known.resolve(PathPattern::read(path).unwrap(), Some(method)).is_ok(), "{method} {path}");
        }
        for bad in ["api/", "/a?b", "/**/a/**", ""] {
            assert!(PathPattern::read(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_star_stands_for_any_letters() {
        for (glob, text, wanted) in [
            ("*", "", true),
            ("*", "a@b.co", true),
            ("*@b.co", "A@B.co", true),
            ("*@b.co", "a@b.com", false),
            ("a*a", "a", false),
            ("a*a", "aa", true),
            ("a*b*c", "a-b-b-c", true),
            ("a*b*c", "a-c-b", false),
            ("a", "ab", false),
        ] {
            assert_eq!(Glob::new(glob).matches(text), wanted, "{glob} {text}");
        }
    }
}
