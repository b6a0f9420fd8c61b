//! What a body says, field by field: each value has the type of its field.
//! Invariant: a handler that calls `finish` reads every field that its list lets a body hold, or says that it
//! ignores it; builds with debug assertions check that.

use std::marker::PhantomData;
use std::mem::discriminant;

use serde_json::Value;
use uuid::Uuid;

use super::fields::{self, Checked, FieldInfo, FieldKind, Rule};
use crate::clock::Time;
use crate::error::Result;
use crate::ids::{MembershipId, RoleId, UserId};
use crate::store::Json;

/// A field that a body may hold, with the type of its value.
pub struct Field<T> {
    info: FieldInfo,
    value: PhantomData<fn() -> T>,
}

impl<T> Field<T> {
    const fn new(name: &'static str, kind: FieldKind) -> Field<T> {
        Field { info: FieldInfo::new(name, kind), value: PhantomData }
    }

    /// Its entry in a list.
    pub const fn info(&self) -> FieldInfo {
        self.info
    }

    pub const fn name(&self) -> &'static str {
        self.info.name
    }

    pub const fn required(self) -> Field<T> {
        Field { info: self.info.required(), value: PhantomData }
    }

    pub const fn nullable(self) -> Field<Option<T>> {
        Field { info: self.info.nullable(), value: PhantomData }
    }

    pub const fn blank(self) -> Field<T> {
        Field { info: self.info.blank(), value: PhantomData }
    }

    /// A field of answers only: no form has it, so only its entry in a list is left.
    pub const fn read_only(self) -> FieldInfo {
        self.info.read_only()
    }

    pub const fn write_only(self) -> Field<T> {
        Field { info: self.info.write_only(), value: PhantomData }
    }

    /// See [`FieldInfo::optional`].
    pub const fn optional(self) -> Field<T> {
        Field { info: self.info.optional(), value: PhantomData }
    }

    /// Says in the OpenAPI document what the name does not.
    pub const fn described(self, description: &'static str) -> Field<T> {
        Field { info: self.info.described(description), value: PhantomData }
    }

    pub const fn rule(self, rule: Rule) -> Field<T> {
        Field { info: self.info.rule(rule), value: PhantomData }
    }
}

impl Field<String> {
    pub const fn text(name: &'static str, chars_max: usize) -> Field<String> {
        Field::new(name, FieldKind::Text { chars_max: Some(chars_max) })
    }

    pub const fn long_text(name: &'static str) -> Field<String> {
        Field::new(name, FieldKind::Text { chars_max: None })
    }

    pub const fn email(name: &'static str) -> Field<String> {
        Field::new(name, FieldKind::Email)
    }

    pub const fn secret(name: &'static str, chars_max: usize) -> Field<String> {
        Field::new(name, FieldKind::Secret { chars_max })
    }

    pub const fn fraction(name: &'static str) -> Field<String> {
        Field::new(name, FieldKind::Fraction)
    }

    pub const fn text_choice(name: &'static str, is_choice: fn(&str) -> bool) -> Field<String> {
        Field::new(name, FieldKind::TextChoice(is_choice))
    }
}

impl Field<bool> {
    pub const fn boolean(name: &'static str) -> Field<bool> {
        Field::new(name, FieldKind::Boolean)
    }
}

impl Field<i64> {
    pub const fn integer(name: &'static str, min: i64, max: i64) -> Field<i64> {
        Field::new(name, FieldKind::Integer { min, max })
    }
}

impl Field<u32> {
    /// A whole number that is stored in 32 bits. Numbers beyond them are dropped, so where the bounds are
    /// wider the handler refuses them first.
    pub const fn number(name: &'static str, min: i64, max: i64) -> Field<u32> {
        Field::new(name, FieldKind::Integer { min, max })
    }
}

impl Field<u8> {
    pub const fn choice(name: &'static str, choices: &'static [i64]) -> Field<u8> {
        let mut place = 0;
        while place < choices.len() {
            assert!(0 <= choices[place] && choices[place] <= u8::MAX as i64, "a choice has 8 bits");
            place += 1;
        }
        Field::new(name, FieldKind::Choice(choices))
    }
}

impl Field<Uuid> {
    pub const fn uuid(name: &'static str) -> Field<Uuid> {
        Field::new(name, FieldKind::Uuid)
    }
}

impl<T: From<Uuid>> Field<T> {
    /// An identifier.
    pub const fn id(name: &'static str) -> Field<T> {
        Field::new(name, FieldKind::Uuid)
    }
}

impl Field<Time> {
    pub const fn time(name: &'static str) -> Field<Time> {
        Field::new(name, FieldKind::Time)
    }
}

impl Field<Vec<String>> {
    pub const fn texts(name: &'static str, chars_max: Option<usize>) -> Field<Vec<String>> {
        Field::new(name, FieldKind::Texts { chars_max, nullable_items: false })
    }
}

impl Field<Vec<Option<String>>> {
    pub const fn nullable_texts(name: &'static str, chars_max: Option<usize>) -> Field<Vec<Option<String>>> {
        Field::new(name, FieldKind::Texts { chars_max, nullable_items: true })
    }
}

impl Field<Vec<i64>> {
    pub const fn integers(name: &'static str) -> Field<Vec<i64>> {
        Field::new(name, FieldKind::Integers)
    }
}

impl Field<Json> {
    pub const fn json(name: &'static str) -> Field<Json> {
        Field::new(name, FieldKind::Json)
    }
}

impl Field<Value> {
    /// A list of anything; a rule looks into it.
    pub const fn list(name: &'static str) -> Field<Value> {
        Field::new(name, FieldKind::List)
    }

    /// An object with these fields.
    pub const fn object(name: &'static str, fields: &'static [FieldInfo]) -> Field<Value> {
        Field::new(name, FieldKind::Object(fields))
    }

    /// A list of such objects.
    pub const fn objects(name: &'static str, fields: &'static [FieldInfo]) -> Field<Value> {
        Field::new(name, FieldKind::Objects(fields))
    }
}

/// The checked body: what was sent, field by field.
#[derive(Debug)]
pub struct Form {
    values: Vec<(&'static str, Checked)>,
    fields: &'static [FieldInfo],
    /// What the handler has neither read nor ignored so far. Empty without debug assertions.
    unread: Vec<&'static str>,
}

impl Form {
    /// The values of `body`, checked; see `fields::check`.
    ///
    /// # Errors
    /// The first field that is wrong.
    pub fn check(fields: &'static [FieldInfo], body: &Value, from_form: bool, partial: bool) -> Result<Form> {
        Ok(Form::new(fields, fields::check(fields, body, from_form, partial)?))
    }

    fn new(fields: &'static [FieldInfo], values: Vec<(&'static str, Checked)>) -> Form {
        let unread = if cfg!(debug_assertions) {
            fields.iter().filter(|field| !field.read_only).map(|field| field.name).collect()
        } else {
            Vec::new()
        };
        Form { values, fields, unread }
    }

    /// Whether the body has the field.
    pub fn has<T>(&self, field: Field<T>) -> bool {
        self.peek(field).is_some()
    }

    /// The value that was sent, left in the form.
    pub fn peek<T>(&self, field: Field<T>) -> Option<&Checked> {
        self.is_of_list(&field.info);
        self.values.iter().find(|(known, _)| *known == field.info.name).map(|(_, value)| value)
    }

    /// The value that was sent, out of the form.
    pub fn take<T: FromChecked>(&mut self, field: Field<T>) -> Option<T> {
        self.is_of_list(&field.info);
        T::from_checked(self.take_checked(field.info.name)?)
    }

    /// Writes the value over `into` where one was sent.
    pub fn set<T: FromChecked, U: From<T>>(&mut self, field: Field<T>, into: &mut U) {
        if let Some(value) = self.take(field) {
            *into = value.into();
        }
    }

    /// Says that the field may be sent and changes nothing here.
    pub fn ignore<T>(&mut self, field: Field<T>) {
        self.is_of_list(&field.info);
        self.mark_read(field.info.name);
    }

    /// The value of the only field that the body may hold.
    pub fn only<T: FromChecked>(mut self, field: Field<T>) -> Option<T> {
        let value = self.take(field);
        self.finish();
        value
    }

    /// Says that a command which follows reads the rest, out of the same values.
    pub fn leave_rest(self) {}

    /// Says that the handler has read all that it reads.
    pub fn finish(self) {
        debug_assert!(self.unread.is_empty(), "fields are neither read nor ignored: {:?}", self.unread);
    }

    fn take_checked(&mut self, name: &'static str) -> Option<Checked> {
        self.mark_read(name);
        let place = self.values.iter().position(|(known, _)| *known == name)?;
        Some(self.values.swap_remove(place).1)
    }

    fn mark_read(&mut self, name: &'static str) {
        if cfg!(debug_assertions) {
            self.unread.retain(|unread| *unread != name);
        }
    }

    /// A field of another list is never sent here.
    fn is_of_list(&self, field: &FieldInfo) {
        debug_assert!(
            self.fields
                .iter()
                .any(|known| known.name == field.name
                    && discriminant(&known.kind) == discriminant(&field.kind)),
            "field {} is not in the list of the form",
            field.name
        );
    }
}

/// The type of a field's value.
pub trait FromChecked: Sized {
    /// `None` for a value of another field's kind.
    fn from_checked(value: Checked) -> Option<Self>;
}

macro_rules! from_checked {
    ($($type:ty, $pattern:pat => $value:expr;)*) => {$(
        impl FromChecked for $type {
            fn from_checked(value: Checked) -> Option<Self> {
                match value {
                    $pattern => $value,
                    _ => None,
                }
            }
        }
    )*};
}

from_checked! {
    String, Checked::Text(text) => Some(text);
    bool, Checked::Boolean(value) => Some(value);
    i64, Checked::Integer(value) => Some(value);
    u8, Checked::Integer(value) => u8::try_from(value).ok();
    u32, Checked::Integer(value) => u32::try_from(value).ok();
    Uuid, Checked::Uuid(value) => Some(value);
    UserId, Checked::Uuid(value) => Some(UserId(value));
    MembershipId, Checked::Uuid(value) => Some(MembershipId(value));
    RoleId, Checked::Uuid(value) => Some(RoleId(value));
    Time, Checked::Time(value) => Some(value);
    Vec<Option<String>>, Checked::Texts(items) => Some(items);
    Vec<String>, Checked::Texts(items) => items.into_iter().collect();
    Vec<i64>, Checked::Integers(items) => Some(items);
    Value, Checked::Json(value) => Some(value);
    Json, Checked::Json(value) => Some(Json::of(&value));
}

impl<T: FromChecked> FromChecked for Option<T> {
    fn from_checked(value: Checked) -> Option<Self> {
        match value {
            Checked::Null => Some(None),
            other => T::from_checked(other).map(Some),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const NAME: Field<String> = Field::text("name", 5).required();
    const SIZE: Field<Option<i64>> = Field::integer("size", 0, 10).nullable();
    const FIELDS: &[FieldInfo] = &[Field::uuid("id").read_only(), NAME.info(), SIZE.info()];

    fn form() -> Form {
        Form::check(FIELDS, &json!({"name": "a", "size": 1}), false, false).unwrap()
    }

    #[test]
    fn a_field_is_read_or_ignored() {
        let mut form = form();
        let mut name = String::new();
        form.set(NAME, &mut name);
        form.ignore(SIZE);
        form.finish();
        assert_eq!(name, "a");
    }

    #[test]
    #[cfg(debug_assertions)]
    #[should_panic(expected = "[\"size\"]")]
    fn a_forgotten_field_is_noticed() {
        form().only(NAME);
    }

    #[test]
    #[cfg(debug_assertions)]
    #[should_panic(expected = "not in the list")]
    fn a_field_of_another_list_is_noticed() {
        form().has(Field::boolean("on"));
    }
}
