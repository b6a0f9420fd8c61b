//! Settings of newer clients that nothing here reads, but for one: kept as one JSON object beside the record of settings,
//! so that the next of them is a line here and no stored byte changes.

use serde_json::{Map, Value, json};

use crate::api::fields::{FREE_BYTES_MAX, bytes_of};
use crate::api::{Field, FieldInfo, Form};
use crate::error::{Result, invalid};
use crate::store::Json;

/// What becomes of the value that is there when a new one is sent.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Keeps {
    Nothing,
    /// The keys that the new value does not have.
    Keys,
}

/// From one line a setting, `name: type = default, what it keeps, its field`: the fields, the defaults and how a form
/// fills the object. Without a default it is not shown before it is set.
macro_rules! newer {
    ($($name:ident: $type:ty = $default:expr, $keeps:ident, $field:ident($($argument:expr),*)$(.$with:ident($($value:expr)?))*;)*) => {
        /// The field of each setting.
        pub(super) struct Fields {
            $(pub(super) $name: Field<$type>,)*
        }

        pub(super) const NEWER: Fields = Fields {
            $($name: Field::$field(stringify!($name), $($argument),*)$(.$with($($value)?))*,)*
        };

        fn defaults() -> Map<String, Value> {
            let all: [(&str, Option<Value>); _] = [$((stringify!($name), $default),)*];
            all.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()
        }

        fn fill_all(stored: &mut Map<String, Value>, form: &mut Form) -> Result<()> {
            $(
                if let Some(sent) = form.peek(NEWER.$name) {
                    keep(stored, stringify!($name), Keeps::$keeps, sent.to_json())?;
                }
                form.ignore(NEWER.$name);
            )*
            Ok(())
        }
    };
}

newer! {
    base_currency: String = Some(json!("USD")), Nothing, text_choice(is_currency);
    business_model: Option<String> = Some(Value::Null), Nothing, text_choice(is_business_model).nullable();
    conversations_enabled: Option<bool> = Some(Value::Null), Nothing, boolean().nullable();
    conversations_settings: Option<Json> = Some(Value::Null), Nothing, json().nullable();
    logs_settings: Option<Json> = Some(Value::Null), Nothing, json().nullable();
    session_recording_trigger_groups: Option<Json> = Some(Value::Null), Nothing, json().nullable();
    proactive_tasks_enabled: Option<bool> = Some(Value::Null), Nothing, boolean().nullable();
    feature_flag_confirmation_enabled: Option<bool> = Some(json!(false)), Nothing, boolean().nullable();
    feature_flag_confirmation_message: Option<String> = Some(Value::Null), Nothing, long_text().blank().nullable();
    default_evaluation_contexts_enabled: Option<bool> = Some(json!(false)), Nothing, boolean().nullable();
    require_evaluation_contexts: Option<bool> = Some(json!(false)), Nothing, boolean().nullable();
    web_analytics_pre_aggregated_tables_enabled: Option<bool> = Some(json!(false)), Nothing, boolean().nullable();
    tags: Vec<String> = Some(json!([])), Nothing, texts(None);
    customer_analytics_config: Value = Some(json!({})), Keys, object(CUSTOMER_ANALYTICS);
    workflows_config: Value = Some(json!({})), Keys, object(WORKFLOWS);
    marketing_analytics_config: Value = Some(json!({})), Keys, object(MARKETING_ANALYTICS);
    feature_flag_policy_config: Value = Some(json!({})), Keys, object(FEATURE_FLAG_POLICY);
    revenue_analytics_config: Value = Some(json!({})), Keys, object(REVENUE_ANALYTICS);
    receive_org_level_activity_logs: Option<bool> = Some(Value::Null), Nothing, boolean().nullable();
    session_recording_retention_period: Option<String> = Some(Value::Null), Nothing, text_choice(is_retention).nullable();
    autocapture_web_vitals_allowed_metrics: Option<Json> = None, Nothing, json().nullable().optional();
    capture_dead_clicks: Option<Json> = None, Nothing, json().nullable().optional();
    cookieless_server_hash_mode: Option<Json> = None, Nothing, json().nullable().optional();
    default_data_theme: Option<Json> = None, Nothing, json().nullable().optional();
    drop_events_older_than_seconds: Option<Json> = None, Nothing, json().nullable().optional();
    flags_persistence_default: Option<Json> = None, Nothing, json().nullable().optional();
    human_friendly_comparison_periods: Option<Json> = None, Nothing, json().nullable().optional();
    onboarding_tasks: Option<Json> = None, Nothing, json().nullable().optional();
    product_description: Option<Json> = None, Nothing, json().nullable().optional();
    recording_ttl_days: Option<Json> = None, Nothing, json().nullable().optional();
    session_recording_event_trigger_config: Option<Json> = None, Nothing, json().nullable().optional();
    session_recording_masking_config: Option<Json> = None, Nothing, json().nullable().optional();
    session_recording_trigger_match_type_config: Option<Json> = None, Nothing, json().nullable().optional();
    session_recording_url_blocklist_config: Option<Json> = None, Nothing, json().nullable().optional();
    session_recording_url_trigger_config: Option<Json> = None, Nothing, json().nullable().optional();
    survey_config: Option<Json> = None, Nothing, json().nullable().optional();
}

const CUSTOMER_ANALYTICS: &[FieldInfo] = &[
    Field::json("activity_event").nullable().optional().info(),
    Field::json("signup_pageview_event").nullable().optional().info(),
    Field::json("signup_event").nullable().optional().info(),
    Field::json("subscription_event").nullable().optional().info(),
    Field::json("payment_event").nullable().optional().info(),
    Field::integer("account_group_type_index", i64::MIN, i64::MAX).nullable().optional().info(),
];
const WORKFLOWS: &[FieldInfo] = &[
    Field::boolean("capture_workflows_engagement_events").optional().info(),
    Field::text_choice("email_tracking_consent_mode", is_consent_mode).optional().info(),
];
const MARKETING_ANALYTICS: &[FieldInfo] = &[Field::json("sources_map").optional().info()];
const FEATURE_FLAG_POLICY: &[FieldInfo] = &[Field::boolean("require_tags").nullable().optional().info()];
const REVENUE_ANALYTICS: &[FieldInfo] = &[];

/// Where the JSON object is shown: what is stored over the defaults.
pub(super) fn shown(stored: &Json) -> Map<String, Value> {
    let mut all = defaults();
    if let Value::Object(stored) = stored.value() {
        all.extend(stored);
    }
    all
}

/// Takes over what the body says.
pub(super) fn fill(stored: &mut Json, form: &mut Form) -> Result<()> {
    let mut all = match stored.value() {
        Value::Object(all) => all,
        _ => Map::new(),
    };
    fill_all(&mut all, form)?;
    *stored = Json::of(&all);
    Ok(())
}

/// Whether the project's log shows what happens to its organization as well.
pub(super) fn receives_organization_entries(stored: &Json) -> bool {
    stored.value()[NEWER.receive_org_level_activity_logs.name()] == Value::Bool(true)
}

/// An object may have keys of later clients, but not without end.
fn keep(stored: &mut Map<String, Value>, name: &'static str, keeps: Keeps, sent: Value) -> Result<()> {
    let merged = match (stored.remove(name), sent) {
        (Some(Value::Object(mut old)), Value::Object(new)) if keeps == Keeps::Keys => {
            old.extend(new);
            Value::Object(old)
        }
        (_, sent) => sent,
    };
    if bytes_of(&merged) > FREE_BYTES_MAX {
        let detail = format!("Ensure this field has at most {FREE_BYTES_MAX} bytes.");
        return Err(invalid(name, "max_length", detail));
    }
    stored.insert(name.to_owned(), merged);
    Ok(())
}

fn is_business_model(text: &str) -> bool {
    ["b2b", "b2c", "other", ""].contains(&text)
}

fn is_retention(text: &str) -> bool {
    ["30d", "90d", "1y", "5y"].contains(&text)
}

fn is_consent_mode(text: &str) -> bool {
    ["off", "opt_out", "opt_in"].contains(&text)
}

/// The codes of ISO 4217 that money is counted in, and Bitcoin.
const CURRENCIES: &str = "AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BHD BIF BMD BND BOB BRL BSD BTC BTN \
     BWP BYN BZD CAD CDF CHF CLP CNY COP CRC CUP CVE CZK DJF DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD \
     GNF GTQ GYD HKD HNL HRK HTG HUF IDR ILS INR IQD IRR ISK JMD JOD JPY KES KGS KHR KMF KPW KRW KWD KYD KZT LAK LBP \
     LKR LRD LSL LYD MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD OMR PAB PEN PGK \
     PHP PKR PLN PYG QAR RON RSD RUB RWF SAR SBD SCR SDG SEK SGD SHP SLE SLL SOS SRD SSP STN SVC SYP SZL THB TJS TMT \
     TND TOP TRY TTD TWD TZS UAH UGX USD UYU UZS VES VND VUV WST XAF XCD XOF XPF YER ZAR ZMW ZWL";

fn is_currency(code: &str) -> bool {
    CURRENCIES.split(' ').any(|known| known == code)
}
