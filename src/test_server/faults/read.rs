//! A rule, out of the JSON that says it.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;

use super::super::paths::{Glob, KnownPaths, PathPattern};
use super::{Action, CannedAnswer, CannedBody, Draft, Match, Plan, RequestMatch};
use crate::error::{Result, invalid, invalid_body};

pub const RULES_MAX: usize = 100;
const BODY_BYTES_MAX: usize = 1024 * 1024;
const CUT_BYTES_MAX: u64 = 1024 * 1024 * 1024;
const SILENCE_SECONDS_MAX: u64 = 120;
const DELAY_MILLIS_MAX: u64 = 60_000;
const HEADERS_MAX: usize = 50;
const HEADER_BYTES_MAX: usize = 4096;
const METHODS: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];
/// Headers that belong to the connection, and the length, which follows from the body.
const RESERVED: [&str; 9] = [
    "connection",
    "content-length",
    "keep-alive",
    "orgd-mode",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "x-request-id",
];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SentRule {
    #[serde(rename = "match")]
    matches: SentMatch,
    #[serde(default)]
    skip: u64,
    times: Option<u64>,
    #[serde(default)]
    any_path: bool,
    answer: Option<SentAnswer>,
    cut_after_bytes: Option<u64>,
    reset: Option<bool>,
    silence_s: Option<u64>,
    delay_ms: Option<u64>,
    #[serde(default)]
    after_commit: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SentMatch {
    method: Option<String>,
    path: Option<String>,
    key: Option<String>,
    mail: Option<String>,
    dns: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SentAnswer {
    status: u16,
    #[serde(default)]
    headers: BTreeMap<String, Value>,
    json: Option<Value>,
    text: Option<String>,
}

/// The rules of a whole programme: an object with the list `faults`, or the list itself.
///
/// # Errors
/// 400 for the first rule that is none, with its place.
pub fn all_of(known: &KnownPaths, programme: &Value) -> Result<Vec<Draft>> {
    let list = match programme {
        Value::Array(list) => Some(list),
        Value::Object(pairs) if pairs.len() == 1 => pairs.get("faults").and_then(Value::as_array),
        _ => None,
    };
    let Some(list) = list else {
        return Err(invalid_body("invalid_input", "An object with the list `faults` is wanted."));
    };
    if list.len() > RULES_MAX {
        return Err(invalid("faults", "too_many", format!("There can be {RULES_MAX} rules.")));
    }
    let read = |(place, rule)| {
        let place = format!("faults__{place}");
        one_of(known, rule).map_err(|cause| cause.within(place))
    };
    list.iter().enumerate().map(read).collect()
}

/// One rule.
///
/// # Errors
/// 400 for what is none.
pub fn one_of(known: &KnownPaths, given: &Value) -> Result<Draft> {
    let sent = SentRule::deserialize(given)
        .map_err(|cause| invalid_body("invalid_input", format!("This is no rule: {cause}.")))?;
    let is_any = sent.any_path;
    let matches = match_of(known, &sent.matches, is_any)?;
    let plan = plan_of(&sent)?;
    check_fit(&matches, &plan)?;
    Ok(Draft { given: given.clone(), matches, skip: sent.skip, times: sent.times, plan })
}

fn match_of(known: &KnownPaths, sent: &SentMatch, is_any: bool) -> Result<Match> {
    let is_request = sent.method.is_some() || sent.path.is_some() || sent.key.is_some();
    match (&sent.mail, &sent.dns, is_request) {
        (Some(mail), None, false) => return Ok(Match::Mail(Glob::new(mail))),
        (None, Some(name), false) => return Ok(Match::Dns(Glob::new(name.trim_end_matches('.')))),
        (None, None, true) => {}
        _ => {
            let detail = "`method`, `path` and `key` of a request are wanted, or `mail`, or `dns`.";
            return Err(invalid("match", "invalid_input", detail));
        }
    }
    let method = sent.method.as_deref().map(str::to_ascii_uppercase);
    if let Some(method) = &method
        && !METHODS.contains(&method.as_str())
    {
        return Err(invalid("method", "invalid_choice", format!("One of {} is wanted.", METHODS.join(", "))));
    }
    let pattern = PathPattern::read(sent.path.as_deref().unwrap_or("*"))?;
    if pattern.is_control() {
        return Err(invalid("path", "invalid_input", "What controls the server never fails."));
    }
    let path = if is_any { pattern } else { known.resolve(pattern, method.as_deref())? };
    Ok(Match::Request(RequestMatch { method, path, key: sent.key.clone() }))
}

fn number(name: &'static str, given: Option<u64>, range: RangeInclusive<u64>) -> Result<Option<u64>> {
    match given {
        Some(number) if !range.contains(&number) => {
            let (least, most) = range.into_inner();
            Err(invalid(name, "invalid_input", format!("A number from {least} to {most} is wanted.")))
        }
        other => Ok(other),
    }
}

fn plan_of(sent: &SentRule) -> Result<Plan> {
    if sent.times == Some(0) {
        return Err(invalid("times", "invalid_input", "A rule fires once at least."));
    }
    let cut = number("cut_after_bytes", sent.cut_after_bytes, 0..=CUT_BYTES_MAX)?;
    let silence = number("silence_s", sent.silence_s, 1..=SILENCE_SECONDS_MAX)?;
    let delay = number("delay_ms", sent.delay_ms, 1..=DELAY_MILLIS_MAX)?;
    if sent.reset == Some(false) {
        return Err(invalid("reset", "invalid_input", "Only `true` is wanted, or nothing."));
    }
    let mut actions = Vec::new();
    if let Some(answer) = &sent.answer {
        actions.push(Action::Answer(Arc::new(answer_of(answer)?)));
    }
    actions.extend(cut.map(|bytes| Action::Cut(usize::try_from(bytes).unwrap_or(usize::MAX))));
    actions.extend(sent.reset.map(|_| Action::Reset));
    actions.extend(silence.map(|seconds| Action::Silence(Duration::from_secs(seconds))));
    if actions.len() > 1 || (actions.is_empty() && delay.is_none()) {
        let detail = "One of `answer`, `cut_after_bytes`, `reset` and `silence_s` is wanted, or `delay_ms`.";
        return Err(invalid_body("invalid_input", detail));
    }
    Ok(Plan {
        delay: Duration::from_millis(delay.unwrap_or(0)),
        is_after_commit: sent.after_commit,
        action: actions.pop(),
    })
}

/// What can be done depends on what is done to.
fn check_fit(matches: &Match, plan: &Plan) -> Result<()> {
    let fits = match (matches, &plan.action) {
        (Match::Request(_), _) => true,
        (_, _) if plan.is_after_commit => false,
        (_, Some(Action::Cut(_))) => false,
        (Match::Mail(_), Some(Action::Answer(answer))) => {
            (400..600).contains(&answer.status) && answer.headers.is_empty()
        }
        (Match::Dns(_), Some(Action::Answer(_))) => false,
        _ => true,
    };
    if fits {
        return Ok(());
    }
    let detail = "A mail can be answered with a status from 400 to 599, reset, delayed or left without an answer; a \
                  question to the DNS the same, but for the answer.";
    Err(invalid_body("invalid_input", detail))
}

fn answer_of(sent: &SentAnswer) -> Result<CannedAnswer> {
    if !(200..600).contains(&sent.status) {
        return Err(invalid("status", "invalid_input", "A status from 200 to 599 is wanted."));
    }
    if sent.headers.len() > HEADERS_MAX {
        return Err(invalid("headers", "too_many", format!("There can be {HEADERS_MAX} headers.")));
    }
    let headers = sent.headers.iter().map(|(name, value)| header(name, value)).collect::<Result<_>>()?;
    let body = match (&sent.json, &sent.text) {
        (Some(_), Some(_)) => {
            return Err(invalid("text", "invalid_input", "One of `json` and `text` is wanted."));
        }
        (Some(json), None) => Some(CannedBody::Json(json.to_string())),
        (None, Some(text)) => Some(CannedBody::Text(text.clone())),
        (None, None) => None,
    };
    let has_none = [204, 205, 304].contains(&sent.status);
    match &body {
        Some(_) if has_none => Err(invalid("json", "invalid_input", "An answer of this status has no body.")),
        Some(CannedBody::Json(text) | CannedBody::Text(text)) if text.len() > BODY_BYTES_MAX => {
            Err(invalid("json", "max_length", "A body has at most 1 MiB."))
        }
        _ => Ok(CannedAnswer { status: sent.status, headers, body }),
    }
}

fn header(name: &str, value: &Value) -> Result<(String, String)> {
    let wrong = |detail: String| Err(invalid("headers", "invalid_input", detail));
    let value = match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        _ => return wrong(format!("{name:?}: a text is wanted.")),
    };
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    let is_value = |byte: u8| byte == b'\t' || (b' '..=b'~').contains(&byte);
    if name.is_empty() || name.len() + value.len() > HEADER_BYTES_MAX || !name.bytes().all(is_name) {
        return wrong(format!("{name:?} is no name of a header."));
    }
    if !value.bytes().all(is_value) {
        return wrong(format!("{name:?}: this is no value of a header."));
    }
    let name = name.to_ascii_lowercase();
    if RESERVED.contains(&name.as_str()) {
        return wrong(format!("{name:?} is the server's own."));
    }
    Ok((name, value))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn known() -> KnownPaths {
        let known = KnownPaths::default();
        known.know([("GET", "/api/a/".to_owned()), ("POST", "/api/a/{id}/".to_owned())].into_iter());
        known
    }

    fn with(rest: &Value) -> Value {
        let mut rule = json!({"match": {"path": "/api/a/"}});
        if let (Value::Object(rule), Value::Object(rest)) = (&mut rule, rest) {
            rule.extend(rest.clone());
        }
        rule
    }

    #[test]
    fn a_rule_is_checked_on_both_sides_of_every_edge() {
        let known = known();
        for good in [
            json!({"answer": {"status": 200}}),
            json!({"answer": {"status": 599, "headers": {"Retry-After": 2, "x": "y z"}}}),
            json!({"answer": {"status": 500, "text": "x".repeat(BODY_BYTES_MAX)}}),
            json!({"answer": {"status": 200, "json": null}}),
            json!({"answer": {"status": 304}}),
            json!({"cut_after_bytes": 0}),
            json!({"silence_s": 1}),
            json!({"silence_s": 120, "delay_ms": 60_000}),
            json!({"delay_ms": 1, "after_commit": true, "skip": 5, "times": 1}),
            json!({"reset": true, "match": {"path": "/x"}, "any_path": true}),
            json!({"reset": true, "match": {"key": "ci"}}),
            json!({"reset": true, "match": {"method": "get"}}),
            json!({"answer": {"status": 450}, "match": {"mail": "*"}}),
            json!({"silence_s": 1, "match": {"dns": "example.com."}}),
        ] {
            assert!(one_of(&known, &with(&good)).is_ok(), "{good}");
        }
        for bad in [
            json!({}),
            json!({"skip": 1}),
            json!({"answer": {}}),
            json!({"answer": {"status": 199}}),
            json!({"answer": {"status": 600}}),
            json!({"answer": {"status": 200, "text": "x".repeat(BODY_BYTES_MAX + 1)}}),
            json!({"answer": {"status": 200, "json": 1, "text": "x"}}),
            json!({"answer": {"status": 204, "json": {}}}),
            json!({"answer": {"status": 200, "headers": {"Content-Length": "1"}}}),
            json!({"answer": {"status": 200, "headers": {"a b": "1"}}}),
            json!({"answer": {"status": 200, "headers": {"a": "1\r\nb: 2"}}}),
            json!({"answer": {"status": 200, "headers": {"a": []}}}),
            json!({"answer": {"status": 503}, "reset": true}),
            json!({"reset": false}),
            json!({"silence_s": 0}),
            json!({"silence_s": 121}),
            json!({"delay_ms": 60_001}),
            json!({"delay_ms": 0}),
            json!({"cut_after_bytes": -1}),
            json!({"times": 0, "reset": true}),
            json!({"reset": true, "probability": 0.5}),
            json!({"reset": true, "match": {"path": "/x"}}),
            json!({"reset": true, "match": {"path": "/api/a/", "method": "PATCH"}}),
            json!({"reset": true, "match": {"path": "/api/a/", "method": "BREW"}}),
            json!({"reset": true, "match": {"path": "/_orgd/faults"}, "any_path": true}),
            json!({"reset": true, "match": {}}),
            json!({"reset": true, "match": {"mail": "*", "path": "/api/a/"}}),
            json!({"reset": true, "after_commit": true, "match": {"mail": "*"}}),
            json!({"answer": {"status": 250}, "match": {"mail": "*"}}),
            json!({"answer": {"status": 500}, "match": {"dns": "*"}}),
            json!({"cut_after_bytes": 1, "match": {"dns": "*"}}),
        ] {
            assert!(one_of(&known, &with(&bad)).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_programme_says_which_of_its_rules_is_none() {
        let known = known();
        let rule = with(&json!({"reset": true}));
        assert_eq!(all_of(&known, &json!({"faults": [rule, rule]})).unwrap().len(), 2);
        assert_eq!(all_of(&known, &json!([rule])).unwrap().len(), 1);
        let refused =
            all_of(&known, &json!({"faults": [rule, with(&json!({"silence_s": 121}))]})).unwrap_err();
        assert_eq!(refused.envelope().attr, Some("faults__1__silence_s"));
        for bad in [json!({}), json!({"fault": []}), json!(1), json!({"faults": vec![rule.clone(); 101]})] {
            assert!(all_of(&known, &bad).is_err(), "{bad}");
        }
        assert!(all_of(&known, &json!({"faults": vec![rule; 100]})).is_ok());
    }
}
