//! Which entries of the audit log a request asks for.

use std::net::IpAddr;

use serde_json::Value;

use super::Entry;
use crate::api::Call;
use crate::api::call::parse_uuid;
use crate::api::cursor::ordering;
use crate::clock::Time;
use crate::error::{Result, invalid, invalid_choice};
use crate::ids::{ProjectId, UserId};
use crate::store::Order;

/// The conditions of a request; an entry that fails one is left out. Empty lists let everything pass.
#[derive(Clone, Debug, Default)]
pub(super) struct Filter {
    pub(super) start: Option<Time>,
    /// Without it.
    pub(super) end: Option<Time>,
    users: Vec<UserId>,
    pub(super) scopes: Vec<String>,
    pub(super) items: Vec<String>,
    activities: Vec<String>,
    clients: Vec<String>,
    addresses: Vec<AddressPattern>,
    pub(super) projects: Vec<ProjectId>,
    /// In lower case.
    text: Option<String>,
    details: Vec<DetailFilter>,
    is_system: Option<bool>,
    is_impersonated: Option<bool>,
}

impl Filter {
    /// Reads the parameters; unknown ones are ignored.
    ///
    /// # Errors
    /// 400, with the parameter's name.
    pub(super) fn of(call: &Call) -> Result<Filter> {
        if call.query("schema").is_some() {
            return Err(invalid("schema", "invalid_choice", "Only the format of this API is offered."));
        }
        Ok(Filter {
            start: filled(call, "start_date").map(|text| time("start_date", text)).transpose()?,
            end: filled(call, "end_date").map(end_of).transpose()?,
            users: parsed(call, "users", |text| parse_uuid(text).map(UserId))?,
            scopes: texts(call, "scopes")?,
            items: texts(call, "item_ids")?,
            activities: texts(call, "activities")?,
            clients: texts(call, "clients")?,
            addresses: addresses(call)?,
            projects: parsed(call, "team_ids", |text| text.parse().ok().map(ProjectId))?,
            text: filled(call, "search_text").map(str::to_lowercase),
            details: details(call)?,
            is_system: flag(call, "is_system")?,
            is_impersonated: flag(call, "was_impersonated")?,
        })
    }

    /// The filters of the older path: one user, `scope` besides `scopes`, one item.
    ///
    /// # Errors
    /// 400, with the parameter's name.
    pub(super) fn of_project_log(call: &Call) -> Result<Filter> {
        let mut filter = Filter {
            users: parsed(call, "user", |text| parse_uuid(text).map(UserId))?,
            scopes: texts(call, "scopes")?,
            items: texts(call, "item_id")?,
            ..Filter::default()
        };
        filter.scopes.extend(texts(call, "scope")?);
        Ok(filter)
    }

    /// Whether nothing but the time is asked for.
    pub(super) fn is_open(&self) -> bool {
        self.start.is_none() && self.end.is_none() && self.admits_all()
    }

    fn admits_all(&self) -> bool {
        let lists = [&self.scopes, &self.items, &self.activities, &self.clients];
        lists.iter().all(|list| list.is_empty())
            && self.users.is_empty()
            && self.addresses.is_empty()
            && self.projects.is_empty()
            && self.details.is_empty()
            && self.text.is_none()
            && self.is_system.is_none()
            && self.is_impersonated.is_none()
    }

    pub(super) fn admits(&self, entry: &Entry) -> bool {
        let among = |list: &[String], text: &str| list.is_empty() || list.iter().any(|item| item == text);
        among(&self.scopes, &entry.scope)
            && among(&self.items, &entry.item)
            && among(&self.activities, &entry.activity)
            && (self.clients.is_empty()
                || entry.client.as_ref().is_some_and(|client| self.clients.contains(client)))
            && (self.users.is_empty() || entry.user.is_some_and(|user| self.users.contains(&user)))
            && (self.projects.is_empty()
                || entry.project.is_some_and(|project| self.projects.contains(&project)))
            && self.start.is_none_or(|start| entry.created_at >= start)
            && self.end.is_none_or(|end| entry.created_at < end)
            && self.is_system.is_none_or(|is_system| is_system == entry.user.is_none())
            // Nobody acts as somebody else here.
            && self.is_impersonated != Some(true)
            && (self.addresses.is_empty()
                || entry.address.is_some_and(|address| self.addresses.iter().any(|known| known.is(address))))
            && self.text.as_ref().is_none_or(|text| entry.detail.text().to_lowercase().contains(text))
            && self.admits_detail(entry)
    }

    fn admits_detail(&self, entry: &Entry) -> bool {
        if self.details.is_empty() {
            return true;
        }
        let detail = entry.detail.value();
        self.details.iter().all(|wanted| wanted.admits(&detail))
    }
}

/// The order of the entries: the newest first unless the request says otherwise.
///
/// # Errors
/// 400 for another order than by time.
pub(super) fn order(call: &Call) -> Result<Order> {
    Ok(ordering(call, &["created_at"])?.1)
}

/// A parameter that says something: a form sends the others empty.
fn filled<'a>(call: &'a Call, name: &str) -> Option<&'a str> {
    call.query(name).filter(|text| !text.is_empty())
}

fn time(name: &'static str, text: &str) -> Result<Time> {
    let wrong = || invalid(name, "invalid_input", "Datetime has wrong format. Use ISO 8601.");
    Time::parse(text.trim()).ok_or_else(wrong)
}

/// The end is inclusive: that of a day is the day's last moment.
fn end_of(text: &str) -> Result<Time> {
    const DAY_MICROS: i64 = 24 * 3600 * 1_000_000;
    let time = time("end_date", text)?;
    let is_day = text.trim().len() == "2024-12-31".len();
    Ok(Time(time.0.saturating_add(if is_day { DAY_MICROS } else { 1 })))
}

fn flag(call: &Call, name: &'static str) -> Result<Option<bool>> {
    match call.query(name) {
        None | Some("") => Ok(None),
        Some("true" | "True" | "1") => Ok(Some(true)),
        Some("false" | "False" | "0") => Ok(Some(false)),
        Some(_) => Err(invalid(name, "invalid", "Must be a valid boolean.")),
    }
}

/// How many values one list may have.
const VALUES_MAX: usize = 200;

/// The values of a list: repeated, with commas between, or a JSON array.
fn texts(call: &Call, name: &'static str) -> Result<Vec<String>> {
    let mut found = Vec::new();
    for (_, text) in call.query.iter().filter(|(known, _)| known == name) {
        match serde_json::from_str::<Vec<Value>>(text) {
            Ok(items) => found.extend(items.iter().map(plain)),
            Err(_) => found.extend(text.split(',').map(|part| part.trim().to_owned())),
        }
    }
    found.retain(|text| !text.is_empty());
    if found.len() > VALUES_MAX {
        return Err(invalid(name, "max_length", format!("No more than {VALUES_MAX} values.")));
    }
    Ok(found)
}

/// A value as text, without the quotes of a string.
fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn parsed<T>(call: &Call, name: &'static str, parse: impl Fn(&str) -> Option<T>) -> Result<Vec<T>> {
    let parse = |text: &String| parse(text).ok_or_else(|| invalid_choice(name, text));
    texts(call, name)?.iter().map(parse).collect()
}

/// An address, or its beginning and `*`.
#[derive(Clone, Debug, PartialEq, Eq)]
enum AddressPattern {
    Exact(IpAddr),
    /// Texts that follow each other in the address, with anything between.
    Parts(Vec<String>),
}

impl AddressPattern {
    fn parse(text: &str) -> Option<AddressPattern> {
        if let Ok(address) = text.parse() {
            return Some(AddressPattern::Exact(address));
        }
        let is_part = |byte: u8| byte.is_ascii_hexdigit() || b".:*".contains(&byte);
        let is_pattern = text.len() <= 45 && text.contains('*') && text.bytes().all(is_part);
        is_pattern.then(|| AddressPattern::Parts(text.to_lowercase().split('*').map(str::to_owned).collect()))
    }

    fn is(&self, address: IpAddr) -> bool {
        match self {
            AddressPattern::Exact(known) => *known == address,
            AddressPattern::Parts(parts) => matches_parts(parts, &address.to_string()),
        }
    }
}

fn matches_parts(parts: &[String], text: &str) -> bool {
    let [first, middle @ .., last] = parts else { return false };
    let Some(mut rest) = text.strip_prefix(first.as_str()) else { return false };
    for part in middle {
        let Some(place) = rest.find(part.as_str()) else { return false };
        rest = &rest[place + part.len()..];
    }
    rest.ends_with(last.as_str())
}

fn addresses(call: &Call) -> Result<Vec<AddressPattern>> {
    let wrong = || {
        let detail =
            "Invalid IP address format. Use a valid IPv4/IPv6 address or a wildcard like `203.0.113.*`.";
        invalid("ip_addresses", "invalid_input", detail)
    };
    let parse = |text: &String| AddressPattern::parse(text).ok_or_else(wrong);
    texts(call, "ip_addresses")?.iter().map(parse).collect()
}

/// What the values at a path of `detail` must be.
#[derive(Clone, Debug)]
struct DetailFilter {
    /// Names, of which those with `[]` hold lists.
    path: Vec<String>,
    operation: Operation,
    /// As texts.
    values: Vec<String>,
}

#[derive(Clone, Copy, Debug)]
enum Operation {
    Exact,
    Contains,
    In,
}

impl DetailFilter {
    fn admits(&self, detail: &Value) -> bool {
        values_at(detail, &self.path).into_iter().map(plain).any(|found| match self.operation {
            Operation::Contains => self.values.iter().any(|value| found.contains(value.as_str())),
            Operation::Exact | Operation::In => self.values.contains(&found),
        })
    }
}

/// The values at a path; of lists, those of all items.
fn values_at<'a>(value: &'a Value, path: &[String]) -> Vec<&'a Value> {
    let Some((name, rest)) = path.split_first() else { return vec![value] };
    let Some(inner) = value.get(name.trim_end_matches("[]")) else { return Vec::new() };
    match inner {
        Value::Array(items) if name.ends_with("[]") => {
            items.iter().flat_map(|item| values_at(item, rest)).collect()
        }
        inner => values_at(inner, rest),
    }
}

fn details(call: &Call) -> Result<Vec<DetailFilter>> {
    let Some(text) = call.query("detail_filters").filter(|text| !text.is_empty()) else {
        return Ok(Vec::new());
    };
    let wrong = |detail: &'static str| invalid("detail_filters", "invalid_input", detail);
    let Ok(Value::Object(filters)) = serde_json::from_str(text) else {
        return Err(wrong("A JSON object of paths is required."));
    };
    if filters.len() > VALUES_MAX {
        return Err(wrong("There are too many paths."));
    }
    let read = |(path, filter): (&String, &Value)| {
        if filter.get("value").is_none() {
            return Err(wrong("Each path needs an operation and a value."));
        }
        let operation = match filter["operation"].as_str() {
            None | Some("exact") => Operation::Exact,
            Some("contains") => Operation::Contains,
            Some("in") => Operation::In,
            Some(_) => return Err(wrong("An operation is one of exact, contains, in.")),
        };
        let values = match &filter["value"] {
            Value::Array(items) => items.iter().map(plain).collect(),
            value => vec![plain(value)],
        };
        Ok(DetailFilter { path: path.split('.').map(str::to_owned).collect(), operation, values })
    };
    filters.iter().map(read).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_address_is_found_exactly_or_by_its_parts() {
        let cases = [
            ("203.0.113.9", "203.0.113.9", true),
            ("203.0.113.9", "203.0.113.90", false),
            ("203.0.113.*", "203.0.113.90", true),
            ("203.0.113.*", "203.0.114.90", false),
            ("*.9", "203.0.113.9", true),
            ("2001:db8:*", "2001:db8::1", true),
            ("203.*.9", "203.0.113.9", true),
        ];
        for (pattern, address, is_found) in cases {
            let parsed = AddressPattern::parse(pattern).unwrap();
            assert_eq!(parsed.is(address.parse().unwrap()), is_found, "{pattern} {address}");
        }
        for wrong in ["203.0.113", "example.com", "", "203.0.113.0/24"] {
            assert_eq!(AddressPattern::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_path_reaches_into_lists() {
        let detail = json!({"changes": [{"field": "a"}, {"field": "b"}], "name": "n"});
        let path = |text: &str| text.split('.').map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(values_at(&detail, &path("changes[].field")), [&json!("a"), &json!("b")]);
        assert_eq!(values_at(&detail, &path("name")), [&json!("n")]);
        assert!(values_at(&detail, &path("changes[].none")).is_empty());
    }
}
