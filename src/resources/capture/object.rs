//! An object of a request, read no deeper than it has to be: most of what events hold is stored as it came.
//! Invariant: what is read here is what serde_json reads, value for value and in the same order. Text for which that is
//! not plain to see is refused, and is then read whole.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer as _, Error as _, MapAccess, Visitor};
use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::api::json::Counts;

/// Of more members it would take long to see that no two have the same name.
const MEMBERS_MAX: usize = 128;
/// Objects within objects are read again for each level.
const LEVELS_MAX: usize = 4;
/// Lists and objects within a value: far fewer than the levels at which serde_json gives up.
const BRACKETS_MAX: usize = 64;
/// Names that serde_json itself gives a meaning.
const RESERVED: &str = "$serde_json::";

/// Members by name, in their order; no two have the same name.
#[derive(Default)]
pub(super) struct Object<'a>(Vec<(Cow<'a, str>, Part<'a>)>);

/// What a member is.
enum Part<'a> {
    /// A text without escapes, a number without exponent, a boolean or null: it is written as it was read.
    Text(&'a RawValue),
    Object(Object<'a>),
    Value(Value),
}

impl<'a> Object<'a> {
    /// Reads the text of an object.
    ///
    /// # Errors
    /// It is none, or is to be read whole.
    pub(super) fn read(text: &'a str) -> Result<Object<'a>, serde_json::Error> {
        Level(0).read(text)
    }

    fn place(&self, name: &str) -> Option<usize> {
        self.0.iter().position(|(known, _)| known == name)
    }

    fn part(&self, name: &str) -> Option<&Part<'a>> {
        Some(&self.0[self.place(name)?].1)
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.place(name).is_some()
    }

    pub(super) fn get(&self, name: &str) -> Option<Value> {
        self.part(name).map(Part::value)
    }

    /// The member, where it is a text.
    pub(super) fn text(&self, name: &str) -> Option<Cow<'_, str>> {
        match self.part(name)? {
            Part::Text(raw) => unquoted(raw).map(Cow::Borrowed),
            Part::Value(Value::String(text)) => Some(text.as_str().into()),
            Part::Object(_) | Part::Value(_) => None,
        }
    }

    /// Takes the member out, and leaves the others in their order.
    pub(super) fn remove(&mut self, name: &str) -> Option<Value> {
        Some(self.take(name)?.into_value())
    }

    fn take(&mut self, name: &str) -> Option<Part<'a>> {
        let place = self.place(name)?;
        Some(self.0.remove(place).1)
    }

    /// Takes out the object of that name: an empty one where there is none or null, and nothing where it is not one.
    pub(super) fn take_object(&mut self, name: &str) -> Option<Object<'a>> {
        match self.take(name) {
            None => Some(Object::default()),
            Some(Part::Object(object)) => Some(object),
            Some(Part::Text(raw)) => (raw.get() == "null").then(Object::default),
            Some(Part::Value(Value::Object(map))) => Some(map.into()),
            Some(Part::Value(value)) => value.is_null().then(Object::default),
        }
    }

    /// Puts the member in the place of one of that name, or at the end.
    pub(super) fn put(&mut self, name: &'a str, value: Value) {
        match self.place(name) {
            Some(place) => self.0[place].1 = Part::Value(value),
            None => self.0.push((name.into(), Part::Value(value))),
        }
    }
}

impl From<Map<String, Value>> for Object<'_> {
    fn from(map: Map<String, Value>) -> Self {
        Object(map.into_iter().map(|(name, value)| (name.into(), Part::Value(value))).collect())
    }
}

impl Serialize for Object<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, part) in &self.0 {
            match part {
                Part::Text(raw) => map.serialize_entry(name, raw)?,
                Part::Object(object) => map.serialize_entry(name, object)?,
                Part::Value(value) => map.serialize_entry(name, value)?,
            }
        }
        map.end()
    }
}

/// The text between the quotes, of a text without escapes.
fn unquoted(raw: &RawValue) -> Option<&str> {
    raw.get().strip_prefix('"')?.strip_suffix('"')
}

impl<'a> Part<'a> {
    fn of(raw: &'a RawValue, level: Level) -> Result<Part<'a>, serde_json::Error> {
        let text = raw.get();
        let is_text = match text.as_bytes().first() {
            Some(b'"') => !text.as_bytes().contains(&b'\\'),
            Some(b'-' | b'0'..=b'9') => !text.bytes().any(|byte| matches!(byte, b'e' | b'E')),
            Some(b'{') if level.0 < LEVELS_MAX => return Level(level.0 + 1).read(text).map(Part::Object),
            Some(b'{' | b'[') => false,
            _ => true,
        };
        if is_text {
            return Ok(Part::Text(raw));
        }
        let brackets = text.bytes().filter(|byte| matches!(byte, b'[' | b'{')).count();
        if brackets > BRACKETS_MAX || Counts::of(text.as_bytes()).has_exponents {
            return Err(serde_json::Error::custom("to be read whole"));
        }
        serde_json::from_str(text).map(Part::Value)
    }

    fn value(&self) -> Value {
        match self {
            Part::Text(raw) => match unquoted(raw) {
                Some(text) => text.into(),
                None => serde_json::from_str(raw.get()).unwrap_or_default(),
            },
            Part::Object(object) => {
                let members = object.0.iter().map(|(name, part)| (name.to_string(), part.value()));
                Value::Object(members.collect())
            }
            Part::Value(value) => value.clone(),
        }
    }

    fn into_value(self) -> Value {
        match self {
            Part::Value(value) => value,
            other => other.value(),
        }
    }
}

/// How many objects the object lies in that is being read.
#[derive(Clone, Copy)]
struct Level(usize);

impl Level {
    fn read<'a>(self, text: &'a str) -> Result<Object<'a>, serde_json::Error> {
        let mut reader = serde_json::Deserializer::from_str(text);
        let object = reader.deserialize_map(self)?;
        reader.end()?;
        Ok(object)
    }
}

#[derive(Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'de> Visitor<'de> for Level {
    type Value = Object<'de>;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("an object")
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Object<'de>, M::Error> {
        let mut object = Object(Vec::with_capacity(8));
        while let Some(Name(name)) = map.next_key()? {
            let part = Part::of(map.next_value()?, self).map_err(M::Error::custom)?;
            match object.place(&name) {
                Some(place) => object.0[place].1 = part,
                None if object.0.len() == MEMBERS_MAX || name.starts_with(RESERVED) => {
                    return Err(M::Error::custom("to be read whole"));
                }
                None => object.0.push((name, part)),
            }
        }
        Ok(object)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read_here_is_what_is_read_whole() {
        let deep = format!("{{\"a\":{}1{}}}", "[".repeat(60), "]".repeat(60));
        let deeper = r#"{"a":"#.repeat(12) + "1" + &"}".repeat(12);
        for text in [
            "{}",
            " {\t} ",
            r#"{"a": 1, "b" : -0, "c": 1.50, "d": 123456789012345678901234567890, "e": true, "f":null, "g": "x y"}"#,
            r#"{"a": "1", "b": {"c": [1, {"d" : "\u00e9\/\n"}], "e": {}}, "f": [ ], "a": {"z": 1, "z": 2}}"#,
            r#"{"\u0061": 1, "a": "\"", "é\n": "日本\u007f"}"#,
            &deep,
            &deeper,
        ] {
            let whole: Map<String, Value> = serde_json::from_str(text).unwrap();
            let read = Object::read(text).unwrap();
            assert_eq!(serde_json::to_string(&read).unwrap(), serde_json::to_string(&whole).unwrap());
            for (name, value) in &whole {
                assert_eq!(read.get(name).as_ref(), Some(value), "{text}");
            }
        }
    }

    #[test]
    fn what_is_not_plain_is_left_to_be_read_whole() {
        let many: Vec<String> = (0..=MEMBERS_MAX).map(|number| format!("\"{number}\":1")).collect();
        let many = format!("{{{}}}", many.join(","));
        let deep = format!("{{\"a\":{}1{}}}", "[".repeat(65), "]".repeat(65));
        for text in [
            "[]",
            "{",
            "{} x",
            r#"{"a": 1e5}"#,
            r#"{"a": [1E400]}"#,
            r#"{"a": "\ud83d"}"#,
            r#"{"$serde_json::private::Number": "1"}"#,
            r#"{"a": {"$serde_json::private::Number": "1"}}"#,
            &many,
            &deep,
        ] {
            assert!(Object::read(text).is_err(), "{text}");
        }
    }

    #[test]
    fn members_keep_their_order() {
        let mut object = Object::read(r#"{"a": 1, "b": {"c": 2}, "d": null, "e": "x", "f": 5}"#).unwrap();
        assert_eq!((object.text("e").as_deref(), object.text("a")), (Some("x"), None));
        assert!(object.take_object("f").is_none() && !object.has("f"));
        assert_eq!(serde_json::to_string(&object.take_object("b").unwrap()).unwrap(), r#"{"c":2}"#);
        assert_eq!(object.remove("e"), Some("x".into()));
        object.put("a", "y".into());
        object.put("z", Value::Null);
        assert_eq!(serde_json::to_string(&object).unwrap(), r#"{"a":"y","d":null,"z":null}"#);
    }
}
