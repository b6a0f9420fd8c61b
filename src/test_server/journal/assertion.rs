//! What is said to have been called, and whether it was.

use std::fmt::Write;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::super::paths::{KnownPaths, PathPattern};
use super::Entry;
use crate::error::{Result, invalid, invalid_body};

/// How many entries a verdict names.
const NEAREST: usize = 3;
/// How many steps an order may have.
const STEPS_MAX: usize = 100;

/// Which requests are meant.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    pub method: Option<String>,
    pub path: Option<PathPattern>,
    /// Only those for paths that the server does not have.
    pub is_unknown: bool,
    /// Only those with a greater number.
    pub after: u64,
}

impl Filter {
    /// Reads what is given of a filter.
    ///
    /// # Errors
    /// 400 for what is no path, and for one that no route has unless `is_any`.
    pub fn read(
        known: &KnownPaths,
        method: Option<&str>,
        path: Option<&str>,
        is_any: bool,
    ) -> Result<Filter> {
        let method = method.map(str::to_ascii_uppercase);
        let path = path.map(PathPattern::read).transpose()?;
        let resolve = |path| if is_any { Ok(path) } else { known.resolve(path, method.as_deref()) };
        let path = path.map(resolve).transpose()?;
        Ok(Filter { method, path, is_unknown: false, after: 0 })
    }

    fn fits_method(&self, entry: &Entry) -> bool {
        self.method.as_ref().is_none_or(|method| *method == entry.method)
    }

    fn fits_path(&self, entry: &Entry) -> bool {
        let is_kind = !self.is_unknown || entry.row.is_none();
        is_kind && self.path.as_ref().is_none_or(|path| path.matches(&entry.path, entry.row.as_deref()))
    }

    pub fn matches(&self, entry: &Entry) -> bool {
        entry.n > self.after && self.fits_method(entry) && self.fits_path(entry)
    }
}

/// What is asserted, as it is sent.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Sent {
    method: Option<String>,
    path: Option<String>,
    #[serde(default)]
    any_path: bool,
    json: Option<Value>,
    key: Option<String>,
    status: Option<u16>,
    #[serde(default)]
    after: u64,
    count: Option<usize>,
    at_least: Option<usize>,
    #[serde(default)]
    never: bool,
    in_order: Option<Vec<Value>>,
    wait_ms: Option<u64>,
}

/// Which requests a step means.
#[derive(Clone, Debug)]
struct Step {
    filter: Filter,
    json: Option<Value>,
    key: Option<String>,
    status: Option<u16>,
}

#[derive(Clone, Debug)]
enum Claim {
    Count(usize),
    AtLeast(usize),
    InOrder(Vec<Step>),
}

/// What is asserted.
pub struct Assertion {
    pub filter: Filter,
    step: Step,
    claim: Claim,
    /// How long it may take to become true, in milliseconds.
    pub wait_ms: Option<u64>,
}

/// Whether it is so.
#[derive(Debug, Serialize)]
pub struct Verdict {
    pub ok: bool,
    pub count: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub nearest: Vec<u64>,
}

impl Step {
    fn read(known: &KnownPaths, sent: &Sent) -> Result<Step> {
        let filter = Filter::read(known, sent.method.as_deref(), sent.path.as_deref(), sent.any_path)?;
        let filter = Filter { after: sent.after, ..filter };
        Ok(Step { filter, json: sent.json.clone(), key: sent.key.clone(), status: sent.status })
    }

    /// In what a request with the right method and path differs.
    fn differences(&self, entry: &Entry) -> Vec<String> {
        let mut found = Vec::new();
        if let Some(wanted) = &self.json {
            match entry.content.value() {
                None => found.push("json: there is none".to_owned()),
                Some(sent) => compare("json", wanted, &sent, &mut found),
            }
        }
        if let Some(key) = &self.key
            && entry.key.as_ref() != Some(key)
        {
            found.push(format!("key: {}, not {key}", entry.key.as_deref().unwrap_or("none")));
        }
        if let Some(status) = self.status
            && entry.status != Some(status)
        {
            let is = entry.status.map_or_else(|| "none".to_owned(), |status| status.to_string());
            found.push(format!("status: {is}, not {status}"));
        }
        found
    }

    fn matches(&self, entry: &Entry) -> bool {
        self.filter.matches(entry) && self.differences(entry).is_empty()
    }

    fn name(&self) -> String {
        let method = self.filter.method.as_deref().unwrap_or("*");
        let path = self.filter.path.as_ref().map_or_else(|| "*".to_owned(), ToString::to_string);
        format!("{method} {path}")
    }
}

impl Assertion {
    /// Reads an assertion.
    ///
    /// # Errors
    /// 400 for what is none.
    pub fn read(known: &KnownPaths, body: &Value) -> Result<Assertion> {
        let sent = read_sent(body)?;
        let claims = [sent.count.is_some(), sent.at_least.is_some(), sent.never, sent.in_order.is_some()];
        if claims.into_iter().filter(|given| *given).count() != 1 {
            let detail = "One of `count`, `at_least`, `never` and `in_order` is wanted.";
            return Err(invalid_body("invalid_input", detail));
        }
        let step = Step::read(known, &sent)?;
        let claim = match (&sent.in_order, sent.count, sent.at_least) {
            (Some(steps), ..) => Claim::InOrder(steps_of(known, steps)?),
            (None, Some(count), _) => Claim::Count(count),
            (None, None, Some(count)) => Claim::AtLeast(count),
            (None, None, None) => Claim::Count(0),
        };
        Ok(Assertion { filter: step.filter.clone(), step, claim, wait_ms: sent.wait_ms })
    }

    /// Whether it is so, of all entries that there are.
    pub(super) fn judge(&self, entries: &[&Entry]) -> Verdict {
        if let Claim::InOrder(steps) = &self.claim {
            return in_order(steps, entries, self.filter.after);
        }
        let count = entries.iter().filter(|entry| self.step.matches(entry)).count();
        let (ok, wanted) = match self.claim {
            Claim::AtLeast(least) => (count >= least, format!("at least {least}")),
            Claim::Count(exact) => (count == exact, exact.to_string()),
            Claim::InOrder(_) => (false, String::new()),
        };
        if ok {
            return Verdict { ok, count, why: None, nearest: Vec::new() };
        }
        self.refuse(entries, count, &wanted)
    }

    fn refuse(&self, entries: &[&Entry], count: usize, wanted: &str) -> Verdict {
        let (why, nearest) = if count > 0 {
            let matching = entries.iter().filter(|entry| self.step.matches(entry)).map(|entry| entry.n);
            let why = format!("{} and not {wanted}", requests(count, "match", "matches"));
            (why, last(matching.collect()))
        } else {
            self.nearly(entries)
                .or_else(|| self.by_other_methods(entries))
                .unwrap_or_else(|| self.alike(entries))
        };
        Verdict { ok: false, count, why: Some(why), nearest }
    }

    /// The requests with the right method and path, and in what they differ; those first that differ in least.
    fn nearly(&self, entries: &[&Entry]) -> Option<(String, Vec<u64>)> {
        let meant = entries.iter().filter(|entry| self.filter.matches(entry));
        let mut all: Vec<(Vec<String>, u64)> =
            meant.map(|entry| (self.step.differences(entry), entry.n)).collect();
        all.sort_by_key(|(differences, _)| differences.len());
        let least = all.first()?.0.join("; ");
        let why = format!("{} but for {least}", requests(all.len(), "match", "matches"));
        Some((why, all.into_iter().take(NEAREST).map(|(_, n)| n).collect()))
    }

    /// The requests with the right path and another method.
    fn by_other_methods(&self, entries: &[&Entry]) -> Option<(String, Vec<u64>)> {
        let is_there = |entry: &&&Entry| entry.n > self.filter.after && self.filter.fits_path(entry);
        let there: Vec<&&Entry> = entries.iter().filter(is_there).collect();
        let mut methods: Vec<&str> = there.iter().map(|entry| entry.method.as_ref()).collect();
        methods.sort_unstable();
        methods.dedup();
        let why = format!(
            "{}, but by {}",
            requests(there.len(), "have the path", "has the path"),
            methods.join(", ")
        );
        (!there.is_empty()).then(|| (why, last(there.iter().map(|entry| entry.n).collect())))
    }

    /// The requests whose paths are most alike.
    fn alike(&self, entries: &[&Entry]) -> (String, Vec<u64>) {
        let wanted = self.step.name();
        let later = entries.iter().filter(|entry| entry.n > self.filter.after);
        let mut all: Vec<(f64, u64)> = later
            .map(|entry| {
                let name = format!("{} {}", entry.method, entry.row.as_deref().unwrap_or(&entry.path));
                (strsim::normalized_damerau_levenshtein(&wanted, &name), entry.n)
            })
            .collect();
        all.sort_by(|a, b| b.0.total_cmp(&a.0).then(b.1.cmp(&a.1)));
        ("no request has the path".to_owned(), all.into_iter().take(NEAREST).map(|(_, n)| n).collect())
    }
}

fn requests(count: usize, many: &str, one: &str) -> String {
    if count == 1 { format!("1 request {one}") } else { format!("{count} requests {many}") }
}

/// The last few.
fn last(mut numbers: Vec<u64>) -> Vec<u64> {
    numbers.split_off(numbers.len().saturating_sub(NEAREST))
}

fn read_sent(body: &Value) -> Result<Sent> {
    Sent::deserialize(body).map_err(|cause| invalid_body("invalid_input", cause.to_string()))
}

fn steps_of(known: &KnownPaths, sent: &[Value]) -> Result<Vec<Step>> {
    if !(1..=STEPS_MAX).contains(&sent.len()) {
        return Err(invalid("in_order", "invalid_input", "An order has 1 to 100 steps."));
    }
    let steps = sent.iter().enumerate().map(|(place, body)| {
        let step = read_sent(body)?;
        let has_claim = step.count.is_some() || step.at_least.is_some() || step.never;
        if has_claim || step.in_order.is_some() || step.wait_ms.is_some() || step.after > 0 {
            let detail = "A step has `method`, `path`, `any_path`, `json`, `key` and `status`.";
            return Err(invalid(format!("in_order__{place}"), "invalid_input", detail));
        }
        Step::read(known, &step).map_err(|cause| cause.within(format!("in_order__{place}")))
    });
    steps.collect()
}

/// Whether the steps were taken one after the other, whatever came in between.
fn in_order(steps: &[Step], entries: &[&Entry], after: u64) -> Verdict {
    let mut rest = entries.iter().filter(|entry| entry.n > after);
    let mut last = None;
    for (place, step) in steps.iter().enumerate() {
        match rest.find(|entry| step.matches(entry)) {
            Some(entry) => last = Some(entry.n),
            None => {
                let mut why = format!("step {}, {}, does not come", place + 1, step.name());
                if let Some(last) = last {
                    let _ = write!(why, " after request {last}");
                }
                let anywhere: Vec<u64> =
                    entries.iter().filter(|entry| step.matches(entry)).map(|entry| entry.n).collect();
                return Verdict { ok: false, count: place, why: Some(why), nearest: self::last(anywhere) };
            }
        }
    }
    Verdict { ok: true, count: steps.len(), why: None, nearest: Vec::new() }
}

/// Whether all that is wanted is there: objects may have more, lists may not.
fn compare(place: &str, wanted: &Value, sent: &Value, differences: &mut Vec<String>) {
    match (wanted, sent) {
        (Value::Object(wanted), Value::Object(sent)) => {
            for (name, wanted) in wanted {
                let place = format!("{place}.{name}");
                match sent.get(name) {
                    Some(sent) => compare(&place, wanted, sent, differences),
                    None => differences.push(format!("{place}: missing, not {}", short(wanted))),
                }
            }
        }
        (Value::Array(wanted), Value::Array(sent)) if wanted.len() == sent.len() => {
            for (index, (wanted, sent)) in wanted.iter().zip(sent).enumerate() {
                compare(&format!("{place}.{index}"), wanted, sent, differences);
            }
        }
        (Value::Number(a), Value::Number(b))
            if a == b || (a.as_f64().is_some() && a.as_f64() == b.as_f64()) => {}
        _ if wanted == sent => {}
        _ => differences.push(format!("{place}: {}, not {}", short(sent), short(wanted))),
    }
}

/// A value in a sentence.
fn short(value: &Value) -> String {
    const LETTERS_MAX: usize = 80;
    let text = value.to_string();
    match text.char_indices().nth(LETTERS_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::tests::arrival;
    use super::super::{Content, Journal, Limits};
    use super::*;
    use crate::test_server::paths::few_paths as known;

    fn journal() -> Journal {
        let journal = Journal::new(Limits::SERVER);
        let sent = [
            ("POST", "/api/a/", json!({"level": 1, "name": "x", "list": [1, {"a": 2, "b": 3}]})),
            ("GET", "/api/b/", json!({})),
            ("POST", "/api/a/", json!({"level": 8})),
            ("GET", "/unknown", json!({})),
        ];
        for (method, path, body) in sent {
            let number = journal.arrive(arrival(method, path));
            journal.read_body(number, Content::of_json(&body), &[0; 32]);
            journal.finish(number, Some(200), 1);
        }
        journal
    }

    fn judge(journal: &Journal, body: Value) -> (bool, usize, String, Vec<u64>) {
        let assertion = Assertion::read(&known(), &body).unwrap_or_else(|cause| panic!("{body}: {cause}"));
        let verdict = journal.judge(&assertion).expect("nothing was dropped");
        (verdict.ok, verdict.count, verdict.why.unwrap_or_default(), verdict.nearest)
    }

    #[test]
    fn what_was_called_is_counted_and_what_was_not_is_explained() {
        let journal = journal();
        let a = "/api/a/";
        for (body, ok, count, why, nearest) in [
            (json!({"path": a, "count": 2}), true, 2, "", &[][..]),
            (json!({"path": "/api/*", "at_least": 3}), true, 3, "", &[]),
            (json!({"path": a, "method": "GET", "never": true}), true, 0, "", &[]),
            (json!({"path": a, "json": {"list": [1, {"a": 2.0}]}, "count": 1}), true, 1, "", &[]),
            (json!({"path": "*", "json": {}, "count": 4}), true, 4, "", &[]),
            (json!({"path": a, "after": 1, "count": 1}), true, 1, "", &[]),
            (json!({"path": a, "count": 1}), false, 2, "2 requests match and not 1", &[1, 3]),
            (json!({"path": a, "never": true}), false, 2, "2 requests match and not 0", &[1, 3]),
            (
                json!({"path": a, "json": {"level": 15}, "count": 1}),
                false,
                0,
                "2 requests match but for json.level: 1, not 15",
                &[1, 3],
            ),
            (
                json!({"path": a, "json": {"level": 8, "name": "x"}, "at_least": 1}),
                false,
                0,
                "2 requests match but for json.level: 1, not 8",
                &[1, 3],
            ),
            (
                json!({"path": a, "json": {"list": [1]}, "after": 2, "at_least": 1}),
                false,
                0,
                "1 request matches but for json.list: missing, not [1]",
                &[3],
            ),
            (
                json!({"path": "/api/b/", "method": "POST", "count": 1}),
                false,
                0,
                "1 request has the path, but by GET",
                &[2],
            ),
            (json!({"path": "/api/a/{id}/", "count": 1}), false, 0, "no request has the path", &[3, 2, 1]),
            (
                json!({"path": a, "key": "ci", "count": 1}),
                false,
                0,
                "2 requests match but for key: none, not ci",
                &[1, 3],
            ),
            (json!({"path": a, "status": 200, "count": 2}), true, 2, "", &[]),
        ] {
            assert_eq!(
                judge(&journal, body.clone()),
                (ok, count, why.to_owned(), nearest.to_vec()),
                "{body}"
            );
        }
    }

    #[test]
    fn an_order_is_one_step_after_the_other() {
        let journal = journal();
        let step = |path: &str| json!({"path": path});
        let order = |steps: &[Value]| judge(&journal, json!({"in_order": steps}));
        assert!(order(&[step("/api/a/"), step("/api/b/"), step("/api/a/")]).0);
        assert!(order(&[step("/api/a/"), step("/api/a/")]).0);
        let (ok, count, why, nearest) = order(&[step("/api/b/"), step("/api/a/"), step("/api/b/")]);
        assert_eq!((ok, count, nearest), (false, 2, vec![2]));
        assert_eq!(why, "step 3, * /api/b/, does not come after request 3");
    }

    #[test]
    fn what_is_no_assertion_is_refused_and_dropped_entries_are_no_silence() {
        for bad in [
            json!({}),
            json!([]),
            json!({"path": "/api/a/"}),
            json!({"path": "/api/a/", "count": 1, "never": true}),
            json!({"path": "/api/c/", "never": true}),
            json!({"path": "/api/a/", "count": -1}),
            json!({"path": "/api/a/", "cuont": 1}),
            json!({"in_order": []}),
            json!({"in_order": [{"path": "/api/a/", "count": 1}]}),
            json!({"in_order": [{"path": "/api/c/"}]}),
        ] {
            assert!(Assertion::read(&known(), &bad).is_err(), "{bad}");
        }
        let journal = Journal::new(Limits { entries_max: 2, bytes_max: 1 << 20 });
        for _ in 0..3 {
            journal.arrive(arrival("GET", "/api/a/"));
        }
        let judge =
            |body| journal.judge(&Assertion::read(&known(), &body).unwrap()).map(|verdict| verdict.ok);
        assert_eq!(judge(json!({"path": "/api/a/", "count": 2})), None);
        assert_eq!(judge(json!({"path": "/api/a/", "after": 1, "count": 2})), Some(true));
        assert_eq!(judge(json!({"path": "/api/b/", "never": true})), None);
    }
}
