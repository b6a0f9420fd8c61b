//! One event of a batch. What is wrong with it drops it, and nothing else.

use serde_json::Value;
use uuid::Uuid;

use super::{REQUEST_TIMESTAMP, SDK_INFO};
use crate::api::Call;
use crate::clock::{Time, iso8601};
use crate::resources::capture::REQUEST_BYTES_MAX;
use crate::resources::capture::event::{self, Checked, IP};
use crate::resources::capture::object::Object;
use crate::resources::capture::skew;
use crate::resources::elements;
use crate::resources::events::CapturedEvent;
use crate::resources::persons::Update;
use crate::store::Json;

const NAME_BYTES_MAX: usize = 200;
const SDK_INFO_BYTES_MAX: usize = 200;

/// Distinct ids that many senders share by mistake, in any case: such events have no person.
const SHARED_BY_MISTAKE: &[&str] = &[
    "0",
    "00000000-0000-0000-0000-000000000000",
    "[object object]",
    "anonymous",
    "anonymous-user",
    "backend",
    "distinct_id",
    "distinctid",
    "email",
    "false",
    "guest",
    "id",
    "nan",
    "none",
    "not_authenticated",
    "null",
    "system",
    "true",
    "undefined",
    "user",
];

/// What is known of the sender.
pub(super) struct Sender {
    now: Time,
    /// What the sender's clock showed when the request was sent.
    sent_at: Option<Time>,
    /// Name and version of the SDK.
    sdk: Option<(String, String)>,
    /// `None` where the project keeps none.
    ip: Option<String>,
}

impl Sender {
    pub(super) fn of(call: &Call, ip: Option<String>) -> Sender {
        let info = call.header(SDK_INFO).filter(|info| info.len() <= SDK_INFO_BYTES_MAX);
        // The name may hold a slash itself, as scoped packages do.
        let sdk = info.and_then(|info| info.trim().rsplit_once('/'));
        let sdk = sdk.map(|(name, version)| (name.to_owned(), version.to_owned()));
        let sent_at = call.header(REQUEST_TIMESTAMP).and_then(Time::parse);
        Sender { now: call.now, sent_at, sdk, ip }
    }
}

/// Reads an event, with what is to be said of one that is good; the error is why it is dropped.
pub(super) fn read(
    text: &str,
    uuid: Uuid,
    sender: &Sender,
) -> Result<(CapturedEvent, Option<&'static str>), &'static str> {
    if text.len() > REQUEST_BYTES_MAX {
        return Err("event_too_big");
    }
    let mut item = event::parse(text).map_err(|_| "rejected")?;
    let name = named(item.remove("event"), "missing_event_name", "event_name_too_long")?;
    let distinct_id = named(item.remove("distinct_id"), "missing_distinct_id", "distinct_id_too_large")?;
    let distinct_id = distinct_id.trim().to_owned();
    let said = item.text("timestamp").as_deref().and_then(iso8601::read);
    let said = said.filter(|read| read.has_offset).ok_or("invalid_event_timestamp")?.time;
    let options = Options::of(item.remove("options"))?;
    let mut properties = item.take_object("properties").ok_or("malformed_event_properties")?;
    let time = match sender.sent_at.filter(|_| options.disable_skew_correction != Some(true)) {
        Some(sent_at) => skew::shifted(said, sent_at, sender.now),
        None => said,
    };
    let is_shared = SHARED_BY_MISTAKE.contains(&distinct_id.to_lowercase().as_str());
    put_back(&mut properties, item, options, sender);
    let elements_chain = match name.as_str() {
        "$autocapture" => elements::take_chain(|name| properties.remove(name)),
        _ => String::new(),
    };
    let mut person = Update::of(&name, |name| properties.get(name));
    person.unprofiled |= is_shared;
    let sent = CapturedEvent {
        uuid: Some(uuid),
        event: name,
        distinct_id,
        timestamp: skew::kept(time, sender.now),
        properties: Json::of(&properties),
        elements_chain,
        person,
    };
    let checked = Checked { sent, has_ip: properties.has(IP), token: None, has_unreadable_time: false };
    Ok((checked.sent(sender.ip.as_deref()), is_shared.then_some("person_processing_disabled")))
}

/// A text that must be there, and not too long.
fn named(
    value: Option<Value>,
    missing: &'static str,
    too_long: &'static str,
) -> Result<String, &'static str> {
    match value {
        Some(Value::String(text)) if text.trim().is_empty() => Err(missing),
        Some(Value::String(text)) if text.trim().len() > NAME_BYTES_MAX => Err(too_long),
        Some(Value::String(text)) => Ok(text),
        _ => Err(missing),
    }
}

/// Properties that the protocol carries beside the properties.
fn put_back(properties: &mut Object<'_>, mut item: Object<'_>, options: Options, sender: &Sender) {
    let mut put = |name: &'static str, value: Option<Value>| {
        if let Some(value) = value {
            properties.put(name, value);
        }
    };
    let mut text = |name: &str| item.remove(name).filter(Value::is_string);
    put("$session_id", text("session_id"));
    put("$window_id", text("window_id"));
    put("$cookieless_mode", options.cookieless_mode.map(Value::from));
    put("$ignore_sent_at", options.disable_skew_correction.map(Value::from));
    put("$product_tour_id", options.product_tour_id.map(Value::from));
    put("$process_person_profile", options.process_person_profile.map(Value::from));
    if let Some((name, version)) = &sender.sdk {
        for (property, said) in [("$lib", name), ("$lib_version", version)] {
            if !properties.has(property) {
                properties.put(property, said.as_str().into());
            }
        }
    }
}

/// What a sender says of an event beside its properties.
#[derive(Default)]
struct Options {
    cookieless_mode: Option<bool>,
    disable_skew_correction: Option<bool>,
    process_person_profile: Option<bool>,
    product_tour_id: Option<String>,
}

impl Options {
    fn of(value: Option<Value>) -> Result<Options, &'static str> {
        const INVALID: &str = "invalid_options";
        let object = match value {
            None | Some(Value::Null) => return Ok(Options::default()),
            Some(Value::Object(object)) => object,
            Some(_) => return Err(INVALID),
        };
        let boolean = |name: &str| match object.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => truth(value).map(Some).ok_or(INVALID),
        };
        let product_tour_id = match object.get("product_tour_id") {
            None | Some(Value::Null) => None,
            Some(Value::String(text)) => Some(text.clone()),
            Some(Value::Number(number)) if !number.is_f64() => Some(number.to_string()),
            Some(_) => return Err(INVALID),
        };
        Ok(Options {
            cookieless_mode: boolean("cookieless_mode")?,
            disable_skew_correction: boolean("disable_skew_correction")?,
            process_person_profile: boolean("process_person_profile")?,
            product_tour_id,
        })
    }
}

/// A boolean, as SDKs of many languages write it.
fn truth(value: &Value) -> Option<bool> {
    match value {
        Value::Bool(value) => Some(*value),
        Value::Number(number) => number.as_f64().map(|number| number != 0.0),
        Value::String(text) => match text.trim().to_ascii_lowercase().as_str() {
            "true" | "1" => Some(true),
            "false" | "0" => Some(false),
            _ => None,
        },
        _ => None,
    }
}
