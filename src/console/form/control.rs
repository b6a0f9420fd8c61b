//! One field of a form: what it is called, what may be chosen, how it is asked for.

use maud::Markup;

use crate::api::fields::{FieldInfo, FieldKind};
use crate::console::words;

/// One field of a form.
#[derive(Clone, Debug)]
pub struct Control<'a> {
    pub(super) field: FieldInfo,
    pub(super) label: String,
    pub(super) help: String,
    pub(super) choices: Option<Vec<(String, String)>>,
    pub(super) autocomplete: Option<&'a str>,
    pub(super) is_long: bool,
    pub(super) is_kept: bool,
    pub(super) takes_focus: bool,
    pub(super) before: Option<Markup>,
    pub(super) after: Option<Markup>,
}

impl<'a> Control<'a> {
    /// A field with its usual words.
    pub fn new(field: FieldInfo) -> Control<'a> {
        Control {
            field,
            label: words::label(field.name).into_owned(),
            help: words::help(field.name).to_owned(),
            choices: words::choices(field.name).map(|all| {
                let owned = |(value, label): &(&str, &str)| ((*value).to_owned(), (*label).to_owned());
                all.iter().map(owned).collect()
            }),
            autocomplete: words::autocomplete(field.name),
            is_long: words::is_long(field.name),
            is_kept: false,
            takes_focus: false,
            before: None,
            after: None,
        }
    }

    pub fn label(mut self, label: impl Into<String>) -> Control<'a> {
        self.label = label.into();
        self
    }

    pub fn help(mut self, help: impl Into<String>) -> Control<'a> {
        self.help = help.into();
        self
    }

    /// What may be chosen: value and words. A list of texts or numbers becomes boxes, anything else a select.
    pub fn choices<V: Into<String>, W: Into<String>>(
        mut self,
        all: impl IntoIterator<Item = (V, W)>,
    ) -> Control<'a> {
        self.choices = Some(all.into_iter().map(|(value, words)| (value.into(), words.into())).collect());
        self
    }

    /// What a browser may fill in, in the words of HTML.
    pub fn autocomplete(mut self, what: &'a str) -> Control<'a> {
        self.autocomplete = Some(what);
        self
    }

    /// Text of several lines.
    pub fn long(mut self) -> Control<'a> {
        self.is_long = true;
        self
    }

    /// A secret that is stored: left empty it stays.
    pub fn kept(mut self) -> Control<'a> {
        self.is_kept = true;
        self
    }

    /// The field that the page begins with.
    pub fn first(mut self) -> Control<'a> {
        self.takes_focus = true;
        self
    }

    /// What stands before it, such as a heading.
    pub fn before(mut self, markup: Markup) -> Control<'a> {
        self.before = Some(markup);
        self
    }

    /// What stands after it.
    pub fn after(mut self, markup: Markup) -> Control<'a> {
        self.after = Some(markup);
        self
    }

    pub(super) fn is_list(&self) -> bool {
        matches!(self.field.kind, FieldKind::Texts { .. } | FieldKind::Integers | FieldKind::List)
    }

    pub(super) fn is_box(&self) -> bool {
        matches!(self.field.kind, FieldKind::Boolean)
    }

    /// Whether nothing is a fine value.
    pub(super) fn is_optional(&self) -> bool {
        self.is_kept || self.field.nullable || self.field.blank || (self.is_list() && !self.field.required)
    }

    pub(super) fn is_about(&self, attr: &str) -> bool {
        let name = self.field.name;
        attr == name
            || attr.strip_prefix(name).is_some_and(|rest| rest.starts_with("__"))
            || attr.strip_suffix(name).is_some_and(|rest| rest.ends_with("__"))
    }
}
