//! The fields of an object, as data: what a body may hold, and how each value is checked. The same
//! lists make the OpenAPI document.
//!
//! Texts and codes are those of Django REST framework, which PostHog's clients know. Only the first
//! error is shown, in the order of the list.

use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::{idn, json};
use crate::clock::Time;
use crate::error::{Error, Result, invalid, invalid_body, invalid_choice};

/// Free text and free JSON in one field, in bytes.
pub const FREE_BYTES_MAX: usize = 256 * 1024;

/// What a field holds.
#[derive(Clone, Copy, Debug)]
pub enum FieldKind {
    /// Text of at most so many characters; blanks around it are cut off.
    Text {
        chars_max: Option<usize>,
    },
    Email,
    /// Text that is kept as it was sent: a password.
    Secret {
        chars_max: usize,
    },
    Boolean,
    Integer {
        min: i64,
        max: i64,
    },
    /// A number between 0 and 1 with two decimals, answered as text.
    Fraction,
    Uuid,
    Time,
    /// One of these numbers, also as text.
    Choice(&'static [i64]),
    /// One of the texts for which this holds.
    TextChoice(fn(&str) -> bool),
    /// Texts of at most so many characters; `nullable_items` lets items be null.
    Texts {
        chars_max: Option<usize>,
        nullable_items: bool,
    },
    Integers,
    /// A list of anything; a rule looks into it.
    List,
    /// Any JSON.
    Json,
    /// An object with these fields.
    Object(&'static [FieldInfo]),
    /// A list of such objects.
    Objects(&'static [FieldInfo]),
}

/// A rule on a value that passed its kind; for what kinds can't say.
pub type Rule = fn(&'static str, &Checked) -> Result<()>;

/// What a list says of one field. Those that a body may hold are `Field`s, which know the type of their value.
#[derive(Clone, Copy, Debug)]
pub struct FieldInfo {
    pub name: &'static str,
    pub kind: FieldKind,
    pub required: bool,
    pub nullable: bool,
    pub blank: bool,
    pub read_only: bool,
    pub write_only: bool,
    /// Left out of answers as long as there is nothing to say.
    pub optional: bool,
    pub rule: Option<Rule>,
    /// What the name does not say, for the OpenAPI document.
    pub description: Option<&'static str>,
}

impl FieldInfo {
    pub const fn new(name: &'static str, kind: FieldKind) -> FieldInfo {
        FieldInfo {
            name,
            kind,
            required: false,
            nullable: false,
            blank: false,
            read_only: false,
            write_only: false,
            optional: false,
            rule: None,
            description: None,
        }
    }

    pub const fn required(mut self) -> FieldInfo {
        self.required = true;
        self
    }

    pub const fn nullable(mut self) -> FieldInfo {
        self.nullable = true;
        self
    }

    pub const fn blank(mut self) -> FieldInfo {
        self.blank = true;
        self
    }

    pub const fn read_only(mut self) -> FieldInfo {
        self.read_only = true;
        self
    }

    pub const fn write_only(mut self) -> FieldInfo {
        self.write_only = true;
        self
    }

    /// Leaves it out of answers as long as there is nothing to say.
    pub const fn optional(mut self) -> FieldInfo {
        self.optional = true;
        self
    }

    /// Says in the OpenAPI document what the name does not.
    pub const fn described(mut self, description: &'static str) -> FieldInfo {
        self.description = Some(description);
        self
    }

    pub const fn rule(mut self, rule: Rule) -> FieldInfo {
        self.rule = Some(rule);
        self
    }
}

/// A value that passed its checks.
#[derive(Clone, Debug, PartialEq)]
pub enum Checked {
    Null,
    Text(String),
    Boolean(bool),
    Integer(i64),
    Uuid(Uuid),
    Time(Time),
    Texts(Vec<Option<String>>),
    Integers(Vec<i64>),
    Json(Value),
}

impl Checked {
    /// The same as JSON.
    pub fn to_json(&self) -> Value {
        match self {
            Checked::Null => Value::Null,
            Checked::Text(text) => json!(text),
            Checked::Boolean(value) => json!(value),
            Checked::Integer(value) => json!(value),
            Checked::Uuid(value) => json!(value),
            Checked::Time(value) => json!(value),
            Checked::Texts(items) => json!(items),
            Checked::Integers(items) => json!(items),
            Checked::Json(value) => value.clone(),
        }
    }
}

/// The values of `body`, each checked by its field. `partial` lets required fields be absent; `from_form` says that
/// every value is text. Unknown and read-only fields are ignored.
pub fn check(
    fields: &'static [FieldInfo],
    body: &Value,
    from_form: bool,
    partial: bool,
) -> Result<Vec<(&'static str, Checked)>> {
    let object = object(body)?;
    let mut values = Vec::new();
    for field in fields.iter().filter(|field| !field.read_only) {
        if let Some(checked) = check_field(field, object, from_form, partial)? {
            values.push((field.name, checked));
        }
    }
    Ok(values)
}

/// Every error that `check` could meet first, in the order of the list: for people, who see all of them at once.
pub fn check_all(fields: &[FieldInfo], body: &Value, from_form: bool, partial: bool) -> Vec<Error> {
    let object = match object(body) {
        Ok(object) => object,
        Err(error) => return vec![error],
    };
    let writable = fields.iter().filter(|field| !field.read_only);
    writable.filter_map(|field| check_field(field, object, from_form, partial).err()).collect()
}

fn object(body: &Value) -> Result<&Map<String, Value>> {
    match body {
        Value::Object(object) => Ok(object),
        Value::Null => Err(invalid_body("null", "No data provided")),
        other => {
            let detail = format!("Invalid data. Expected a dictionary, but got {}.", python_type_name(other));
            Err(invalid_body("invalid_input", detail))
        }
    }
}

fn check_field(
    field: &FieldInfo,
    object: &Map<String, Value>,
    from_form: bool,
    partial: bool,
) -> Result<Option<Checked>> {
    let Some(value) = object.get(field.name).map(|value| once(field.kind, value, from_form)) else {
        if field.required && !partial {
            return Err(invalid(field.name, "required", "This field is required."));
        }
        return Ok(None);
    };
    check_size(field, value)?;
    let checked = check_value(field, value, from_form)?;
    if let Some(rule) = field.rule {
        rule(field.name, &checked)?;
    }
    Ok(Some(checked))
}

/// Of a form's field that comes again, the last counts, unless the field is a list; as in Django.
fn once(kind: FieldKind, value: &Value, from_form: bool) -> &Value {
    let is_list = matches!(
        kind,
        FieldKind::Texts { .. } | FieldKind::Integers | FieldKind::List | FieldKind::Objects(_)
    );
    match value {
        Value::Array(items) if from_form && !is_list => items.last().unwrap_or(value),
        _ => value,
    }
}

/// What has no length of its own is bounded all the same: lists show it, and the audit log keeps it.
fn check_size(field: &FieldInfo, value: &Value) -> Result<()> {
    let is_free = match field.kind {
        FieldKind::Text { chars_max } | FieldKind::Texts { chars_max, .. } => chars_max.is_none(),
        FieldKind::List | FieldKind::Json | FieldKind::Integers => true,
        _ => false,
    };
    if is_free && bytes_of(value) > FREE_BYTES_MAX {
        let detail = format!("Ensure this field has at most {FREE_BYTES_MAX} bytes.");
        return Err(invalid(field.name, "max_length", detail));
    }
    Ok(())
}

/// About how many bytes the value takes as JSON.
pub fn bytes_of(value: &Value) -> usize {
    match value {
        Value::String(text) => text.len() + 2,
        Value::Array(items) => items.iter().map(|item| bytes_of(item) + 1).sum::<usize>() + 2,
        Value::Object(pairs) => {
            pairs.iter().map(|(name, item)| name.len() + bytes_of(item) + 4).sum::<usize>() + 2
        }
        Value::Number(number) => number.as_str().len(),
        Value::Null | Value::Bool(_) => 4,
    }
}

fn check_value(field: &FieldInfo, value: &Value, from_form: bool) -> Result<Checked> {
    let name = field.name;
    let is_text = matches!(field.kind, FieldKind::Text { .. } | FieldKind::Email | FieldKind::Secret { .. });
    // A form has no null: an empty value stands for it where the field is no text.
    let empty_in_form = from_form && !is_text && value.as_str() == Some("");
    if value.is_null() || (empty_in_form && field.nullable) {
        return if field.nullable {
            Ok(Checked::Null)
        } else {
            Err(invalid(name, "null", "This field may not be null."))
        };
    }
    match field.kind {
        FieldKind::Text { chars_max } => text(field, value, chars_max, "Not a valid string."),
        FieldKind::Secret { chars_max } => secret(field, value, chars_max),
        FieldKind::Email => email(field, value),
        FieldKind::Boolean => boolean(value)
            .map(Checked::Boolean)
            .ok_or_else(|| invalid(name, "invalid_input", "Must be a valid boolean.")),
        FieldKind::Integer { min, max } => integer_between(name, value, min, max),
        FieldKind::Fraction => fraction(name, value),
        FieldKind::Uuid => value
            .as_str()
            .and_then(|text| Uuid::try_parse(text.trim()).ok())
            .map(Checked::Uuid)
            .ok_or_else(|| invalid(name, "invalid_input", "Must be a valid UUID.")),
        FieldKind::Time => value.as_str().and_then(Time::parse).map(Checked::Time).ok_or_else(|| {
            invalid(name, "invalid_input", "Datetime has wrong format. Use one of these formats instead: YYYY-MM-DDThh:mm[:ss[.uuuuuu]][+HH:MM|-HH:MM|Z].")
        }),
        FieldKind::Choice(choices) => python_str(value)
            .parse()
            .ok()
            .filter(|number| choices.contains(number))
            .map(Checked::Integer)
            .ok_or_else(|| not_a_choice(name, value)),
        FieldKind::TextChoice(is_choice) => value
            .as_str()
            .filter(|text| is_choice(text))
            .map(|text| Checked::Text(text.into()))
            .ok_or_else(|| not_a_choice(name, value)),
        FieldKind::Texts { chars_max, nullable_items } => {
            texts(field, value, chars_max, nullable_items, from_form)
        }
        FieldKind::Integers => {
            let items = list(name, value, from_form)?;
            let numbers = items.iter().enumerate().map(|(place, item)| {
                integer(item).ok_or_else(|| invalid(format!("{name}__{place}"), "invalid_input", INTEGER))
            });
            Ok(Checked::Integers(numbers.collect::<Result<_>>()?))
        }
        FieldKind::List => Ok(Checked::Json(Value::Array(list(name, value, from_form)?.to_vec()))),
        FieldKind::Json => match value.as_str() {
            Some(text) if from_form => json::parse(text.as_bytes().to_vec())
                .map(Checked::Json)
                .map_err(|_| invalid(name, "invalid_input", "Value must be valid JSON.")),
            _ => Ok(Checked::Json(value.clone())),
        },
        FieldKind::Object(fields) => {
            check(fields, value, from_form, false).map_err(|error| error.within(name))?;
            Ok(Checked::Json(value.clone()))
        }
        FieldKind::Objects(fields) => {
            for (place, item) in list(name, value, from_form)?.iter().enumerate() {
                check(fields, item, from_form, false)
                    .map_err(|error| error.within(format!("{name}__{place}")))?;
            }
            Ok(Checked::Json(value.clone()))
        }
    }
}

const INTEGER: &str = "A valid integer is required.";

fn not_a_choice(name: &'static str, value: &Value) -> Error {
    invalid_choice(name, &python_str(value))
}

fn text(
    field: &FieldInfo,
    value: &Value,
    chars_max: Option<usize>,
    otherwise: &'static str,
) -> Result<Checked> {
    let name = field.name;
    let text = match value {
        Value::String(text) => text.trim().to_owned(),
        Value::Number(number) => number.to_string(),
        _ => return Err(invalid(name, "invalid_input", otherwise)),
    };
    if text.is_empty() {
        return if field.blank {
            Ok(Checked::Text(text))
        } else {
            Err(invalid(name, "blank", "This field may not be blank."))
        };
    }
    if let Some(max) = chars_max.filter(|max| text.chars().count() > *max) {
        return Err(too_long(name, max));
    }
    if text.contains('\0') {
        return Err(invalid(name, "null_characters_not_allowed", "Null characters are not allowed."));
    }
    Ok(Checked::Text(text))
}

fn secret(field: &FieldInfo, value: &Value, chars_max: usize) -> Result<Checked> {
    let name = field.name;
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        _ => return Err(invalid(name, "invalid_input", "Not a valid string.")),
    };
    if text.is_empty() && !field.blank {
        return Err(invalid(name, "blank", "This field may not be blank."));
    }
    if text.chars().count() > chars_max {
        return Err(too_long(name, chars_max));
    }
    Ok(Checked::Text(text))
}

fn too_long(name: &'static str, max: usize) -> Error {
    invalid(name, "max_length", format!("Ensure this field has no more than {max} characters."))
}

const EMAIL_CHARS_MAX: usize = 254;

fn email(field: &FieldInfo, value: &Value) -> Result<Checked> {
    const INVALID: &str = "Enter a valid email address.";
    let checked = text(field, value, Some(EMAIL_CHARS_MAX), INVALID)?;
    match &checked {
        Checked::Text(address) if is_email(address) => Ok(checked),
        _ => Err(invalid(field.name, "invalid_input", INVALID)),
    }
}

/// Django's rule: a dotted local part, and a domain of letters, digits and inner hyphens, or one that has such a form
/// in DNS.
pub fn is_email(address: &str) -> bool {
    let Some((local, domain)) = address.rsplit_once('@') else { return false };
    let domain = idn::ascii_name(domain);
    let is_atom = |atom: &str| {
        !atom.is_empty()
            && atom.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-!#$%&'*+/=?^_`{}|~".contains(&byte))
    };
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    let labels: Vec<&str> = domain.split('.').collect();
    local.split('.').all(is_atom)
        && (domain.eq_ignore_ascii_case("localhost")
            || (labels.len() > 1
                && labels.iter().all(|label| is_label(label))
                && labels.last().is_some_and(|last| last.len() > 1)))
}

fn boolean(value: &Value) -> Option<bool> {
    match value {
        Value::Bool(value) => Some(*value),
        Value::Number(number) if number.as_f64() == Some(1.0) => Some(true),
        Value::Number(number) if number.as_f64() == Some(0.0) => Some(false),
        Value::String(text) => match text.trim().to_ascii_lowercase().as_str() {
            "true" | "t" | "yes" | "y" | "on" | "1" => Some(true),
            "false" | "f" | "no" | "n" | "off" | "0" => Some(false),
            _ => None,
        },
        _ => None,
    }
}

/// A whole number, also as text and with zeros after a point.
fn integer(value: &Value) -> Option<i64> {
    let text = match value {
        Value::Number(number) => number.to_string(),
        Value::String(text) => text.trim().to_owned(),
        _ => return None,
    };
    let whole = match text.split_once('.') {
        Some((whole, zeros)) if zeros.bytes().all(|byte| byte == b'0') => whole,
        Some(_) => return None,
        None => &text,
    };
    match whole.parse() {
        Ok(number) => Some(number),
        // Beyond 64 bits it is still a number, only one that no range allows.
        Err(_) if is_digits(whole.strip_prefix('-').unwrap_or(whole)) => {
            Some(if whole.starts_with('-') { i64::MIN } else { i64::MAX })
        }
        Err(_) => None,
    }
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn integer_between(name: &'static str, value: &Value, min: i64, max: i64) -> Result<Checked> {
    let number = integer(value).ok_or_else(|| invalid(name, "invalid_input", INTEGER))?;
    if number > max {
        return Err(above(name, max));
    }
    if number < min {
        return Err(below(name, min));
    }
    Ok(Checked::Integer(number))
}

fn above(name: &'static str, max: impl std::fmt::Display) -> Error {
    invalid(name, "max_value", format!("Ensure this value is less than or equal to {max}."))
}

fn below(name: &'static str, min: impl std::fmt::Display) -> Error {
    invalid(name, "min_value", format!("Ensure this value is greater than or equal to {min}."))
}

/// Three digits in all, two of them after the point; precision is checked before the range.
fn fraction(name: &'static str, value: &Value) -> Result<Checked> {
    let not_a_number = || invalid(name, "invalid_input", "A valid number is required.");
    let text = match value {
        Value::Number(number) => number.to_string(),
        Value::String(text) => text.trim().to_owned(),
        _ => return Err(not_a_number()),
    };
    let number: f64 = text.parse().map_err(|_| not_a_number())?;
    let plain = text.trim_start_matches(['+', '-']);
    let is_plain = !plain.is_empty() && plain.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    if !number.is_finite() || !is_plain {
        return Err(not_a_number());
    }
    let (whole, decimals) = plain.split_once('.').unwrap_or((plain, ""));
    let whole = whole.trim_start_matches('0');
    if whole.len() + decimals.len() > 3 {
        let detail = "Ensure that there are no more than 3 digits in total.";
        return Err(invalid(name, "max_digits", detail));
    }
    if decimals.len() > 2 {
        let detail = "Ensure that there are no more than 2 decimal places.";
        return Err(invalid(name, "max_decimal_places", detail));
    }
    if number < 0.0 {
        return Err(below(name, 0));
    }
    if number > 1.0 {
        return Err(above(name, 1));
    }
    Ok(Checked::Text(format!("{number:.2}")))
}

fn list<'a>(name: &'static str, value: &'a Value, from_form: bool) -> Result<&'a [Value]> {
    match value {
        Value::Array(items) => Ok(items),
        Value::String(_) if from_form => Ok(std::slice::from_ref(value)),
        other => {
            let detail = format!("Expected a list of items but got type \"{}\".", python_type_name(other));
            Err(invalid(name, "not_a_list", detail))
        }
    }
}

fn texts(
    field: &FieldInfo,
    value: &Value,
    chars_max: Option<usize>,
    nullable_items: bool,
    from_form: bool,
) -> Result<Checked> {
    let name = field.name;
    let item_field = FieldInfo { nullable: nullable_items, blank: false, ..*field };
    let mut items = Vec::new();
    for (place, item) in list(name, value, from_form)?.iter().enumerate() {
        let checked = if item.is_null() && !nullable_items {
            Err(invalid(name, "null", "This field may not be null."))
        } else if item.is_null() {
            Ok(Checked::Null)
        } else {
            text(&item_field, item, chars_max, "Not a valid string.")
        };
        match checked {
            Ok(Checked::Text(text)) => items.push(Some(text)),
            Ok(_) => items.push(None),
            Err(Error::Invalid { code, detail, .. }) => {
                return Err(invalid(format!("{name}__{place}"), code, detail));
            }
            Err(other) => return Err(other),
        }
    }
    Ok(Checked::Texts(items))
}

/// The name of the value's type in Python, which PostHog's sentences use.
pub fn python_type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "NoneType",
        Value::Bool(_) => "bool",
        Value::Number(number) if number.is_f64() => "float",
        Value::Number(_) => "int",
        Value::String(_) => "str",
        Value::Array(_) => "list",
        Value::Object(_) => "dict",
    }
}

/// The value as Python would print it.
pub fn python_str(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Bool(true) => "True".into(),
        Value::Bool(false) => "False".into(),
        Value::Null => "None".into(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::form::{Field, Form};

    const NAME: Field<String> = Field::text("name", 5).required();
    const ON: Field<Option<bool>> = Field::boolean("on").nullable();
    const LEVEL: Field<u8> = Field::choice("level", &[1, 8]);
    const RATE: Field<Option<String>> = Field::fraction("rate").nullable();
    const TAGS: Field<Vec<String>> = Field::texts("tags", Some(3));
    const MAIL: Field<String> = Field::email("mail");
    const SIZE: Field<i64> = Field::integer("size", 0, 10);
    const FIELDS: &[FieldInfo] =
        &[NAME.info(), ON.info(), LEVEL.info(), RATE.info(), TAGS.info(), MAIL.info(), SIZE.info()];

    fn code(body: Value) -> String {
        match check(FIELDS, &body, false, true) {
            Err(Error::Invalid { attr, code, .. }) => format!("{}:{code}", attr.unwrap_or_default()),
            other => format!("{other:?}"),
        }
    }

    #[test]
    fn every_kind_refuses_what_it_cannot_hold() {
        for (body, wanted) in [
            (json!([]), ":invalid_input"),
            (json!(null), ":null"),
            (json!({"name": null}), "name:null"),
            (json!({"name": "  "}), "name:blank"),
            (json!({"name": "toolong"}), "name:max_length"),
            (json!({"name": true}), "name:invalid_input"),
            (json!({"name": "a\0"}), "name:null_characters_not_allowed"),
            (json!({"on": "maybe"}), "on:invalid_input"),
            (json!({"level": 7}), "level:invalid_choice"),
            (json!({"level": true}), "level:invalid_choice"),
            (json!({"rate": "x"}), "rate:invalid_input"),
            (json!({"rate": "NaN"}), "rate:invalid_input"),
            (json!({"rate": 0.555}), "rate:max_decimal_places"),
            (json!({"rate": 1.555}), "rate:max_digits"),
            (json!({"rate": -0.5}), "rate:min_value"),
            (json!({"rate": 1.5}), "rate:max_value"),
            (json!({"tags": "x"}), "tags:not_a_list"),
            (json!({"tags": ["x", "long"]}), "tags__1:max_length"),
            (json!({"tags": [null]}), "tags__0:null"),
            (json!({"mail": "x"}), "mail:invalid_input"),
            (json!({"mail": ["a@b.co"]}), "mail:invalid_input"),
            (json!({"size": 11}), "size:max_value"),
            (json!({"size": "0.5"}), "size:invalid_input"),
        ] {
            assert_eq!(code(body.clone()), wanted, "{body}");
        }
    }

    #[test]
    fn all_errors_come_in_the_order_of_the_list_and_the_first_is_the_one_that_a_client_sees() {
        let found = |body: &Value, partial| -> Vec<String> {
            let name = |error: &Error| match error {
                Error::Invalid { attr, code, .. } => {
                    format!("{}:{code}", attr.as_deref().unwrap_or_default())
                }
                other => panic!("{other:?}"),
            };
            check_all(FIELDS, body, false, partial).iter().map(name).collect()
        };
        let body = json!({"mail": "x", "size": 11, "level": 7, "on": true, "name": ""});
        assert_eq!(
            found(&body, true),
            ["name:blank", "level:invalid_choice", "mail:invalid_input", "size:max_value"]
        );
        assert_eq!(found(&json!({"size": 11}), false), ["name:required", "size:max_value"]);
        assert_eq!(found(&json!({"name": "a"}), false), [""; 0]);
        for body in [body, json!([]), json!(null), json!({"tags": ["long"]})] {
            assert_eq!(found(&body, true)[0], code(body));
        }
    }

    #[test]
    fn values_are_taken_in_the_forms_that_clients_send() {
        let body = json!({"name": 12, "on": "yes", "level": "8", "rate": 0.5, "size": "7.0", "extra": {}});
        let mut form = Form::check(FIELDS, &body, false, false).unwrap();
        assert_eq!(form.take(NAME).unwrap(), "12");
        assert_eq!(form.take(ON).unwrap(), Some(true));
        assert_eq!(form.take(LEVEL).unwrap(), 8);
        assert_eq!(form.take(RATE).unwrap().as_deref(), Some("0.50"));
        assert_eq!(form.take(SIZE).unwrap(), 7);
        assert!(!form.has(TAGS));
    }

    #[test]
    fn a_form_spells_null_as_nothing_and_lists_as_repetition() {
        let body = json!({"on": "", "tags": "a", "name": ["b", "c"], "level": ["1", "8"]});
        let mut form = Form::check(FIELDS, &body, true, true).unwrap();
        assert_eq!(form.take(ON).unwrap(), None);
        assert_eq!(form.take(TAGS).unwrap(), ["a"]);
        assert_eq!((form.take(NAME).unwrap(), form.take(LEVEL).unwrap()), ("c".to_owned(), 8));
        assert_eq!(code(json!({"name": ["b", "c"]})), "name:invalid_input");
    }

    #[test]
    fn addresses_are_judged_as_django_does() {
        for good in
            ["a@b.co", "a.b+c@d-e.example.com", "A@localhost", "a@b.c1", "a@bücher.example", "a@пример.рф"]
        {
            assert!(is_email(good), "{good}");
        }
        for bad in [
            "a",
            "@b.co",
            "a@",
            "a@b",
            "a..b@c.co",
            "a@-b.co",
            "a b@c.co",
            "a@b..co",
            "a@b.c",
            "ä@b.co",
            "a@ü",
            "a@ü%2e.co",
        ] {
            assert!(!is_email(bad), "{bad}");
        }
    }
}
