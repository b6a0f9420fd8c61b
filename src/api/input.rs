//! The fields that a command is given, before they are checked: by a request, a page's form, a file.

use serde_json::Value;

use super::fields::FieldInfo;
use super::form::Form;
use crate::error::Result;

/// Named values. A command checks its caller first, then these, so whoever may not do something learns nothing
/// about its fields.
pub struct Input<'a> {
    /// Why there are none is an error of whoever wants them.
    pub value: Result<&'a Value>,
    /// Whether every value is text, as forms send them.
    pub is_text: bool,
    /// Whether required fields may be left out: a change, not a new object.
    pub is_partial: bool,
}

impl<'a> Input<'a> {
    /// The fields of a new object.
    pub fn of(value: &'a Value) -> Input<'a> {
        Input { value: Ok(value), is_text: false, is_partial: false }
    }

    /// Checks the values against `fields`.
    ///
    /// # Errors
    /// The first field that is wrong; or there are no values.
    pub fn form(self, fields: &'static [FieldInfo]) -> Result<Form> {
        Form::check(fields, self.value?, self.is_text, self.is_partial)
    }
}

/// The fields of a command that waits for something first: they outlive the request that they came with.
#[derive(Clone, Debug)]
pub struct Values {
    value: Value,
    is_text: bool,
}

impl Values {
    /// The fields of a new object.
    pub fn of(value: Value) -> Values {
        Values { value, is_text: false }
    }

    /// The fields of a form, whose values are all text.
    pub fn of_form(value: Value) -> Values {
        Values { value, is_text: true }
    }

    /// A field by its name, unchecked.
    pub fn field(&self, name: &str) -> Option<&Value> {
        field(&self.value, self.is_text, name)
    }

    /// The same, for a command.
    pub fn input(&self) -> Input<'_> {
        Input { is_text: self.is_text, ..Input::of(&self.value) }
    }
}

/// A field by its name; of a form's field that comes again, the last, as in Django.
pub fn field<'a>(value: &'a Value, is_text: bool, name: &str) -> Option<&'a Value> {
    match value.get(name)? {
        Value::Array(items) if is_text => items.last(),
        found => Some(found),
    }
}
