//! Programmes of faults: what is to go wrong, for which requests, and how often.
//! Invariant: rules are tried in their order, the first with something left fires, and one at most for a request.

mod read;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::Serialize;
use serde_json::Value;

use super::paths::{Glob, KnownPaths, PathPattern};
use crate::error::{Error, Result, invalid_body, not_found};
pub use read::{RULES_MAX, all_of, one_of};

/// What a rule looks at.
#[derive(Clone, Debug)]
pub enum Match {
    Request(RequestMatch),
    /// Mails to addresses like this one.
    Mail(Glob),
    /// Questions of this server about names like this one.
    Dns(Glob),
}

#[derive(Clone, Debug)]
pub struct RequestMatch {
    method: Option<String>,
    path: PathPattern,
    /// The label of the caller's key.
    key: Option<String>,
}

/// What a rule does.
#[derive(Clone, Debug)]
pub struct Plan {
    /// How long it waits first, or after the commit.
    pub delay: Duration,
    /// Whether the request is carried out before anything goes wrong.
    pub is_after_commit: bool,
    pub action: Option<Action>,
}

#[derive(Clone, Debug)]
pub enum Action {
    Answer(Arc<CannedAnswer>),
    /// The answer ends after so many bytes of its body.
    Cut(usize),
    /// The connection is reset.
    Reset,
    /// Nothing comes for so long, then the connection ends.
    Silence(Duration),
}

/// An answer that a rule gives in place of the server's own.
#[derive(Debug)]
pub struct CannedAnswer {
    pub status: u16,
    /// In lower case.
    pub headers: Vec<(String, String)>,
    /// `None`: the server's own for that status.
    pub body: Option<CannedBody>,
}

#[derive(Debug)]
pub enum CannedBody {
    Json(String),
    Text(String),
}

/// A rule as it was read.
#[derive(Clone, Debug)]
pub struct Draft {
    /// As it was given.
    given: Value,
    matches: Match,
    skip: u64,
    /// For ever, where there is none.
    times: Option<u64>,
    plan: Plan,
}

#[derive(Debug)]
struct Rule {
    id: String,
    draft: Draft,
    seen: u64,
    fired: u64,
}

/// A rule that fired, and what it does.
#[derive(Clone, Debug)]
pub struct Fired {
    pub id: String,
    pub plan: Plan,
}

/// A rule as it is shown.
#[derive(Serialize)]
pub struct Shown {
    pub id: String,
    pub seen: u64,
    pub fired: u64,
    /// `None`: for ever.
    pub left: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<&'static str>,
    pub rule: Value,
}

/// All rules of a server.
#[derive(Default)]
pub struct Faults {
    rules: Mutex<Rules>,
    /// How many there are, for requests that no rule can be about.
    count: AtomicUsize,
}

#[derive(Default)]
struct Rules {
    list: Vec<Rule>,
    last: u64,
}

impl Rule {
    fn left(&self) -> Option<u64> {
        self.draft.times.map(|times| times.saturating_sub(self.fired))
    }

    /// Whether it fires for what matches it.
    fn meet(&mut self) -> bool {
        self.seen += 1;
        let fires = self.seen > self.draft.skip && self.left() != Some(0);
        self.fired += u64::from(fires);
        fires
    }

    fn shown(&self) -> Shown {
        const ON_HTTP2: &str = "Over HTTP/2 a reset is a RST_STREAM.";
        let is_reset = matches!(self.draft.plan.action, Some(Action::Reset));
        let is_request = matches!(self.draft.matches, Match::Request(_));
        Shown {
            id: self.id.clone(),
            seen: self.seen,
            fired: self.fired,
            left: self.left(),
            note: (is_reset && is_request).then_some(ON_HTTP2),
            rule: self.draft.given.clone(),
        }
    }
}

impl Faults {
    fn lock(&self) -> MutexGuard<'_, Rules> {
        self.rules.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The same rules, which have met nothing yet.
    pub fn copy(&self) -> Faults {
        let rules = self.lock();
        let anew = |rule: &Rule| Rule { id: rule.id.clone(), draft: rule.draft.clone(), seen: 0, fired: 0 };
        let list: Vec<Rule> = rules.list.iter().map(anew).collect();
        let count = AtomicUsize::new(list.len());
        Faults { rules: Mutex::new(Rules { list, last: rules.last }), count }
    }

    /// Puts rules in place of all that there were.
    pub fn replace(&self, drafts: Vec<Draft>) {
        let mut rules = self.lock();
        rules.list.clear();
        for draft in drafts {
            rules.add(draft);
        }
        self.count.store(rules.list.len(), Ordering::Release);
    }

    /// Adds a rule at the end.
    ///
    /// # Errors
    /// 400 where there are as many as there can be.
    pub fn add(&self, draft: Draft) -> Result<Shown> {
        let mut rules = self.lock();
        if rules.list.len() >= RULES_MAX {
            return Err(invalid_body("too_many", format!("There can be {RULES_MAX} rules.")));
        }
        let shown = rules.add(draft);
        self.count.store(rules.list.len(), Ordering::Release);
        Ok(shown)
    }

    /// Removes a rule.
    ///
    /// # Errors
    /// 404 where there is none.
    pub fn remove(&self, id: &str) -> Result<()> {
        let mut rules = self.lock();
        let place = rules.list.iter().position(|rule| rule.id == id).ok_or_else(not_found)?;
        rules.list.remove(place);
        self.count.store(rules.list.len(), Ordering::Release);
        Ok(())
    }

    /// How often any of them has fired.
    pub fn fired_in_all(&self) -> u64 {
        self.lock().list.iter().map(|rule| rule.fired).sum()
    }

    pub fn shown(&self) -> Vec<Shown> {
        self.lock().list.iter().map(Rule::shown).collect()
    }

    /// The rule that fires for a request. `key` gives the label of its key, and is asked once at most.
    pub fn meet_request(
        &self,
        method: &str,
        path: &str,
        template: Option<&str>,
        key: Option<&str>,
    ) -> Option<Fired> {
        self.meet(|matches| match matches {
            Match::Request(request) => {
                // A browser's question before a request is no request.
                request.method.as_deref().map_or(method != "OPTIONS", |wanted| wanted == method)
                    && request.path.matches(path, template)
                    && request.key.as_deref().is_none_or(|wanted| Some(wanted) == key)
            }
            Match::Mail(_) | Match::Dns(_) => false,
        })
    }

    /// The rule that fires for a mail to this address.
    pub fn meet_mail(&self, to: &str) -> Option<Fired> {
        self.meet(|matches| matches!(matches, Match::Mail(glob) if glob.matches(to)))
    }

    /// The rule that fires for a question about this name.
    pub fn meet_dns(&self, name: &str) -> Option<Fired> {
        self.meet(|matches| matches!(matches, Match::Dns(glob) if glob.matches(name)))
    }

    fn meet(&self, is_met: impl Fn(&Match) -> bool) -> Option<Fired> {
        if self.count.load(Ordering::Acquire) == 0 {
            return None;
        }
        let mut rules = self.lock();
        let mut meant = rules.list.iter_mut().filter(|rule| is_met(&rule.draft.matches));
        let rule = meant.find_map(|rule| rule.meet().then_some(rule))?;
        Some(Fired { id: rule.id.clone(), plan: rule.draft.plan.clone() })
    }

    /// Why it is not so that every rule has fired; the rules that have not.
    pub fn silent(&self) -> Vec<(String, String)> {
        let rules = self.lock();
        let silent = rules.list.iter().filter(|rule| rule.fired == 0);
        silent.map(|rule| (rule.id.clone(), rule.draft.given["match"].to_string())).collect()
    }

    /// How often a rule has fired.
    ///
    /// # Errors
    /// 404 where there is none.
    pub fn fired(&self, id: &str) -> Result<u64> {
        self.lock().list.iter().find(|rule| rule.id == id).map(|rule| rule.fired).ok_or_else(not_found)
    }

    /// Reads a file of rules, and puts them in place of all that there were.
    ///
    /// # Errors
    /// The first rule that is none.
    pub fn load(&self, known: &KnownPaths, programme: &Value) -> std::result::Result<(), Error> {
        self.replace(all_of(known, programme)?);
        Ok(())
    }
}

impl Rules {
    fn add(&mut self, draft: Draft) -> Shown {
        self.last += 1;
        let rule = Rule { id: format!("x{}", self.last), draft, seen: 0, fired: 0 };
        let shown = rule.shown();
        self.list.push(rule);
        shown
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::test_server::paths::few_paths as known;

    fn faults(rules: &Value) -> Faults {
        let faults = Faults::default();
        faults.load(&known(), &json!({"faults": rules})).unwrap_or_else(|cause| panic!("{rules}: {cause}"));
        faults
    }

    /// Which rules fire for one request after the other.
    fn fired(faults: &Faults, requests: &[(&str, &str)]) -> Vec<String> {
        let meet = |(method, path): &(&str, &str)| {
            let template = path.starts_with("/api/").then_some(*path);
            faults.meet_request(method, path, template, Some("ci")).map_or_else(String::new, |fired| fired.id)
        };
        requests.iter().map(meet).collect()
    }

    #[test]
    fn the_first_rule_with_something_left_fires_and_one_for_a_request() {
        let rules = faults(&json!([
            {"match": {"path": "/api/a/"}, "skip": 1, "times": 2, "reset": true},
            {"match": {"method": "POST", "path": "/api/a/"}, "times": 1, "delay_ms": 1},
            {"match": {"path": "/api/**", "key": "ci"}, "answer": {"status": 503}},
            {"match": {"path": "/api/**"}, "reset": true},
        ]));
        let (get, post) = (("GET", "/api/a/"), ("POST", "/api/a/"));
        assert_eq!(
            fired(&rules, &[post, get, post, post, get, ("GET", "/x"), ("GET", "/api/b/")]),
            ["x2", "x1", "x1", "x3", "x3", "", "x3"]
        );
        let shown: Vec<_> = rules.shown().iter().map(|rule| (rule.seen, rule.fired, rule.left)).collect();
        assert_eq!(shown, [(5, 2, Some(0)), (2, 1, Some(0)), (3, 3, None), (0, 0, None)]);
        assert_eq!(rules.silent(), [("x4".to_owned(), json!({"path": "/api/**"}).to_string())]);
        assert_eq!((rules.fired("x1").unwrap(), rules.fired("x9").is_err()), (2, true));
    }

    #[test]
    fn rules_come_and_leave_and_their_names_are_not_given_again() {
        let rules = faults(&json!([{"match": {"path": "/api/a/"}, "reset": true}]));
        let draft = |rule: Value| one_of(&known(), &rule).unwrap();
        let added = rules.add(draft(json!({"match": {"path": "/api/b/"}, "reset": true}))).unwrap();
        assert_eq!(added.id, "x2");
        rules.remove("x1").unwrap();
        assert!(rules.remove("x1").is_err());
        assert_eq!(fired(&rules, &[("GET", "/api/a/"), ("GET", "/api/b/")]), ["", "x2"]);
        rules.replace(Vec::new());
        assert_eq!(fired(&rules, &[("GET", "/api/b/")]), [""]);
        for number in 0..RULES_MAX {
            let rule = json!({"match": {"path": "/api/a/"}, "delay_ms": 1});
            assert_eq!(rules.add(draft(rule)).unwrap().id, format!("x{}", number + 3));
        }
        assert!(rules.add(draft(json!({"match": {"path": "/api/a/"}, "delay_ms": 1}))).is_err());
    }

    #[test]
    fn mails_and_names_have_rules_of_their_own() {
        let rules = faults(&json!([
            {"match": {"mail": "*@example.com"}, "times": 1, "answer": {"status": 450}},
            {"match": {"dns": "*example.com"}, "silence_s": 1},
        ]));
        assert!(rules.meet_mail("a@example.org").is_none());
        assert_eq!(rules.meet_mail("A@Example.com").unwrap().id, "x1");
        assert!(rules.meet_mail("a@example.com").is_none());
        assert_eq!(rules.meet_dns("_challenge.example.com").unwrap().id, "x2");
        assert!(rules.meet_request("GET", "/", None, None).is_none());
    }
}
