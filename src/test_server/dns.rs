//! The table that stands for the DNS: in test mode it is all there is, so that nothing depends on the machine.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::future::BoxFuture;
use serde_json::{Map, Value, json};
use tokio::sync::watch;

use super::faults::{Action, Faults};
use crate::dns::{Answering, StandIn};
use crate::error::{Error, Result, invalid};

const NAMES_MAX: usize = 1000;
const VALUES_MAX: usize = 20;
/// The longest name, and the longest string in a TXT record, in bytes.
const NAME_BYTES_MAX: usize = 253;
const TXT_BYTES_MAX: usize = 255;
/// How many CNAMEs are followed.
const HOPS_MAX: usize = 8;

/// What is said of one name.
#[derive(Clone, Debug, Default)]
struct Records {
    txt: Vec<String>,
    cname: Option<String>,
    a: Vec<std::net::Ipv4Addr>,
}

/// Names with their records.
#[derive(Default)]
pub struct DnsTable(Mutex<BTreeMap<String, Records>>);

impl DnsTable {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Records>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts these records in place of all that there were.
    ///
    /// # Errors
    /// 400 for what is no table; nothing is changed then.
    pub fn replace(&self, table: &Value) -> Result<()> {
        let Value::Object(table) = table else {
            return Err(invalid_table("", "An object of names is wanted."));
        };
        if table.len() > NAMES_MAX {
            return Err(invalid_table("", "There can be 1000 names."));
        }
        let mut read = BTreeMap::new();
        for (name, records) in table {
            read.insert(plain(name)?, records_of(name, records)?);
        }
        *self.lock() = read;
        Ok(())
    }

    /// The same table, to be changed on its own.
    pub fn copy(&self) -> DnsTable {
        DnsTable(Mutex::new(self.lock().clone()))
    }

    /// Empties the table.
    pub fn empty(&self) {
        self.lock().clear();
    }

    /// The table as it was given.
    pub fn shown(&self) -> Value {
        let table = self.lock();
        let shown = table.iter().map(|(name, records)| {
            let mut kinds = Map::new();
            if !records.txt.is_empty() {
                kinds.insert("TXT".into(), json!(records.txt));
            }
            if let Some(target) = &records.cname {
                kinds.insert("CNAME".into(), json!(target));
            }
            if !records.a.is_empty() {
                kinds.insert("A".into(), json!(records.a));
            }
            (name.clone(), Value::Object(kinds))
        });
        Value::Object(shown.collect())
    }

    /// Whether the table says anything of the name.
    pub fn has(&self, name: &str) -> bool {
        plain(name).is_ok_and(|name| self.lock().contains_key(&name))
    }

    /// The texts of a name, CNAMEs followed.
    pub fn txt(&self, name: &str) -> Vec<Vec<u8>> {
        self.followed(name, |records| records.txt.iter().map(|text| text.clone().into_bytes()).collect())
    }

    /// Where the name's own CNAME leads.
    pub fn cname(&self, name: &str) -> Option<String> {
        self.lock().get(&plain(name).ok()?)?.cname.clone()
    }

    /// The IPv4 addresses of a name, CNAMEs followed.
    pub fn addresses(&self, name: &str) -> Vec<IpAddr> {
        self.followed(name, |records| records.a.iter().copied().map(Into::into).collect())
    }

    fn followed<T>(&self, name: &str, of: impl Fn(&Records) -> Vec<T>) -> Vec<T> {
        let table = self.lock();
        let Ok(mut name) = plain(name) else { return Vec::new() };
        for _ in 0..HOPS_MAX {
            match table.get(&name) {
                Some(Records { cname: Some(target), .. }) => name.clone_from(target),
                Some(records) => return of(records),
                None => return Vec::new(),
            }
        }
        Vec::new()
    }
}

/// The names that a server asks about.
pub(super) struct Names {
    pub(super) table: Arc<DnsTable>,
    pub(super) faults: Arc<Faults>,
    pub(super) stopping: watch::Receiver<bool>,
    /// Whether there are no names but those of the table.
    pub(super) is_all: bool,
}

impl StandIn for Names {
    fn answering<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Answering> {
        Box::pin(async move {
            if let Some(fired) = self.faults.meet_dns(name) {
                let silence = match fired.plan.action {
                    Some(Action::Silence(time)) => time,
                    _ => std::time::Duration::ZERO,
                };
                let mut stopping = self.stopping.clone();
                tokio::select! {
                    () = tokio::time::sleep(fired.plan.delay + silence) => {}
                    _ = stopping.wait_for(|is_stopping| *is_stopping) => {}
                }
                if fired.plan.action.is_some() {
                    return Answering::Nobody;
                }
            }
            if self.is_all || self.table.has(name) { Answering::StandIn } else { Answering::NameServers }
        })
    }

    fn txt(&self, name: &str) -> Vec<Vec<u8>> {
        self.table.txt(name)
    }

    fn cname(&self, name: &str) -> Option<String> {
        self.table.cname(name)
    }

    fn addresses(&self, name: &str) -> Vec<IpAddr> {
        self.table.addresses(name)
    }
}

fn invalid_table(name: &str, detail: &'static str) -> Error {
    if name.is_empty() {
        return crate::error::invalid_body("invalid_input", detail);
    }
    invalid(name.to_owned(), "invalid_input", detail)
}

/// A name in lower case and without its final dot.
fn plain(name: &str) -> Result<String> {
    let plain = name.trim_end_matches('.').to_lowercase();
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_*".contains(&byte))
    };
    if plain.len() > NAME_BYTES_MAX || !plain.split('.').all(is_label) {
        return Err(invalid_table(name, "This is no domain name."));
    }
    Ok(plain)
}

fn records_of(name: &str, given: &Value) -> Result<Records> {
    let Value::Object(kinds) = given else {
        return Err(invalid_table(name, "An object of TXT, CNAME or A is wanted."));
    };
    let mut records = Records::default();
    for (kind, values) in kinds {
        let values = texts(name, values)?;
        match kind.as_str() {
            "TXT" if values.iter().all(|text| text.len() <= TXT_BYTES_MAX) => records.txt = values,
            "TXT" => return Err(invalid_table(name, "A TXT record has at most 255 bytes.")),
            "CNAME" if values.len() == 1 => records.cname = Some(plain(&values[0])?),
            "CNAME" => return Err(invalid_table(name, "A name has one CNAME.")),
            "A" => {
                let read = values.iter().map(|text| text.parse()).collect::<std::result::Result<_, _>>();
                records.a = read.map_err(|_| invalid_table(name, "A is an IPv4 address."))?;
            }
            _ => return Err(invalid_table(name, "TXT, CNAME and A are known.")),
        }
    }
    if records.cname.is_some() && !(records.txt.is_empty() && records.a.is_empty()) {
        return Err(invalid_table(name, "A name with a CNAME has nothing else."));
    }
    Ok(records)
}

/// One text, or a list of them.
fn texts(name: &str, given: &Value) -> Result<Vec<String>> {
    let wrong = || invalid_table(name, "A text or a list of up to 20 texts is wanted.");
    match given {
        Value::String(text) => Ok(vec![text.clone()]),
        Value::Array(items) if items.len() <= VALUES_MAX => {
            items.iter().map(|item| item.as_str().map(str::to_owned).ok_or_else(wrong)).collect()
        }
        _ => Err(wrong()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_in_any_case_and_cnames_are_followed() {
        let table = DnsTable::default();
        let given = json!({
            "Deep.example.com.": {"CNAME": "a.example.com"},
            "a.example.com": {"TXT": ["one", "two"], "A": "127.0.0.9"},
            "loop.example.com": {"CNAME": "loop.example.com"},
        });
        table.replace(&given).unwrap();
        assert_eq!(table.txt("DEEP.example.com"), [b"one", b"two"]);
        assert_eq!(table.addresses("deep.example.com").len(), 1);
        assert_eq!(table.cname("deep.example.com").as_deref(), Some("a.example.com"));
        assert_eq!(table.cname("a.example.com"), None);
        assert!(table.txt("loop.example.com").is_empty() && table.txt("nothing.example.com").is_empty());
        assert_eq!(table.shown()["deep.example.com"], json!({"CNAME": "a.example.com"}));
    }

    #[test]
    fn what_is_no_table_changes_nothing() {
        let table = DnsTable::default();
        table.replace(&json!({"a.co": {"TXT": "kept"}})).unwrap();
        let long = "x".repeat(256);
        for bad in [
            json!([]),
            json!({"a..b": {}}),
            json!({"": {}}),
            json!({"a.co": "x"}),
            json!({"a.co": {"MX": "x"}}),
            json!({"a.co": {"A": "::1"}}),
            json!({"a.co": {"TXT": long}}),
            json!({"a.co": {"TXT": [1]}}),
            json!({"a.co": {"CNAME": ["b.co", "c.co"]}}),
            json!({"a.co": {"CNAME": "b.co", "TXT": "x"}}),
        ] {
            assert!(table.replace(&bad).is_err(), "{bad}");
        }
        assert_eq!(table.txt("a.co"), [b"kept"]);
    }
}
