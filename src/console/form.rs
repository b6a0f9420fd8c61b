//! Forms out of lists of fields: the kind of a field decides its control. What was refused is shown again
//! with every error of every field. Invariant: a secret is never shown again.

use maud::{Markup, Render, html};
use serde_json::Value;

use super::parts::Look;
use super::words;
use crate::api::fields::{FieldInfo, FieldKind, check_all};
use crate::error::Error;

/// Hidden field: the names of the boxes of a form, since an unticked box sends nothing.
pub const BOXES: &str = "boxes";
/// Hidden field: an identifier that makes the second sending of a form harmless.
pub const ONCE: &str = "once";
/// Hidden field: proof that the form is ours.
pub const TOKEN: &str = "csrfmiddlewaretoken";

/// One field of a form.
#[derive(Clone, Debug)]
pub struct Control<'a> {
    field: FieldInfo,
    label: String,
    help: String,
    choices: Option<Vec<(String, String)>>,
    autocomplete: Option<&'a str>,
    is_long: bool,
    is_kept: bool,
    takes_focus: bool,
    before: Option<Markup>,
    after: Option<Markup>,
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

    fn is_list(&self) -> bool {
        matches!(self.field.kind, FieldKind::Texts { .. } | FieldKind::Integers | FieldKind::List)
    }

    fn is_box(&self) -> bool {
        matches!(self.field.kind, FieldKind::Boolean)
    }

    /// Whether nothing is a fine value.
    fn is_optional(&self) -> bool {
        self.is_kept || self.field.nullable || self.field.blank || (self.is_list() && !self.field.required)
    }

    fn is_about(&self, attr: &str) -> bool {
        let name = self.field.name;
        attr == name
            || attr.strip_prefix(name).is_some_and(|rest| rest.starts_with("__"))
            || attr.strip_suffix(name).is_some_and(|rest| rest.ends_with("__"))
    }
}

/// What is wrong: with which control, by its place, and a sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Fault {
    control: Option<usize>,
    sentence: String,
}

struct Button<'a> {
    words: &'a str,
    look: Look,
    sends: Option<(&'a str, &'a str)>,
}

/// A form that posts to the page that shows it.
pub struct Form<'a> {
    id: &'a str,
    action: Option<&'a str>,
    hidden: Vec<(&'a str, String)>,
    controls: Vec<Control<'a>>,
    values: Value,
    refusal: Option<&'a Error>,
    buttons: Vec<Button<'a>>,
    cancel: Option<&'a str>,
    end: Option<Markup>,
}

impl<'a> Form<'a> {
    /// A form; `token` is that of the session, where there is one.
    pub fn new(token: Option<&str>) -> Form<'a> {
        Form {
            id: "form",
            action: None,
            hidden: token.map(|token| (TOKEN, token.to_owned())).into_iter().collect(),
            controls: Vec::new(),
            values: Value::Null,
            refusal: None,
            buttons: Vec::new(),
            cancel: None,
            end: None,
        }
    }

    /// The beginning of the ids in it, where a page has several forms.
    pub fn named(mut self, id: &'a str) -> Form<'a> {
        self.id = id;
        self
    }

    /// Another page to post to.
    pub fn to(mut self, path: &'a str) -> Form<'a> {
        self.action = Some(path);
        self
    }

    /// A hidden field.
    pub fn hidden(mut self, name: &'a str, value: impl Into<String>) -> Form<'a> {
        self.hidden.push((name, value.into()));
        self
    }

    /// Makes a second sending harmless.
    pub fn once(self, id: impl Into<String>) -> Form<'a> {
        self.hidden(ONCE, id)
    }

    /// Fields of a resource, in the order of `names`.
    ///
    /// # Panics
    /// Where the list has no such field.
    pub fn fields(self, list: &[FieldInfo], names: &[&str]) -> Form<'a> {
        names.iter().fold(self, |form, name| form.field(list, name, |control| control))
    }

    /// One field of a resource, with words or choices of this page's own.
    ///
    /// # Panics
    /// Where the list has no such field.
    pub fn field(
        self,
        list: &[FieldInfo],
        name: &str,
        with: impl FnOnce(Control<'a>) -> Control<'a>,
    ) -> Form<'a> {
        let field = list.iter().find(|field| field.name == name);
        let field = field.unwrap_or_else(|| panic!("there is no field {name}"));
        self.control(with(Control::new(*field)))
    }

    /// A field that this page declares.
    pub fn control(mut self, control: Control<'a>) -> Form<'a> {
        self.controls.push(control);
        self
    }

    /// What the fields hold: an object.
    pub fn show(mut self, values: Value) -> Form<'a> {
        self.values = values;
        self
    }

    /// Why the form was refused, with what was typed: shown instead of what is.
    pub fn refused(mut self, refusal: Option<(&'a Error, Value)>) -> Form<'a> {
        if let Some((error, typed)) = refusal {
            self.refusal = Some(error);
            self.values = typed;
        }
        self
    }

    /// A button that sends the form; the first is the one that Enter presses.
    pub fn button(mut self, words: &'a str) -> Form<'a> {
        let look = if self.buttons.is_empty() { Look::Primary } else { Look::Plain };
        self.buttons.push(Button { words, look, sends: None });
        self
    }

    /// A button that sends a name and a value as well.
    pub fn button_for(mut self, words: &'a str, name: &'a str, value: &'a str) -> Form<'a> {
        self.buttons.push(Button { words, look: Look::Plain, sends: Some((name, value)) });
        self
    }

    /// A button that takes something away.
    pub fn danger(mut self, words: &'a str) -> Form<'a> {
        self.buttons.push(Button { words, look: Look::Danger, sends: None });
        self
    }

    /// The way out.
    pub fn cancel(mut self, path: &'a str) -> Form<'a> {
        self.cancel = Some(path);
        self
    }

    /// What stands after the fields, before the buttons.
    pub fn end(mut self, markup: Markup) -> Form<'a> {
        self.end = Some(markup);
        self
    }

    /// Whether it is shown again because it was refused.
    pub fn is_wrong(&self) -> bool {
        self.refusal.is_some()
    }

    /// What is wrong with it, with links to the fields: the first thing in the page. Nothing where all is well.
    pub fn summary(&self) -> Markup {
        let faults = self.faults();
        let is_of_fields = faults.iter().any(|fault| fault.control.is_some());
        html! {
            @if !faults.is_empty() {
                div.notice.bad.summary role="alert" tabindex="-1" data-focus {
                    @if is_of_fields { p.title { "Check these fields" } }
                    ul role="list" { @for fault in &faults { li { (self.summary_line(fault)) } } }
                }
            }
        }
    }

    fn summary_line(&self, fault: &Fault) -> Markup {
        let Some(place) = fault.control else { return html! { (fault.sentence) } };
        let control = &self.controls[place];
        let is_group = control.is_list() && control.choices.is_some();
        let target = if is_group { format!("{}-0", self.id_of(control)) } else { self.id_of(control) };
        html! { a href={ "#" (target) } { (control.label) ": " (fault.sentence) } }
    }

    /// All that is wrong, in the order of the fields; what is about no field comes last.
    fn faults(&self) -> Vec<Fault> {
        let Some(refusal) = self.refusal else { return Vec::new() };
        let infos: Vec<FieldInfo> =
            self.controls.iter().filter(|it| !it.is_kept).map(|it| it.field).collect();
        let checked = if matches!(refusal, Error::Invalid { .. }) && self.values.is_object() {
            check_all(&infos, &self.values, true, true)
        } else {
            Vec::new()
        };
        let mut faults: Vec<Fault> = checked.iter().map(|error| self.fault(error)).collect();
        let own = self.fault(refusal);
        let is_known = |fault: &Fault| fault.control == own.control && own.control.is_some();
        if !faults.iter().any(is_known) {
            faults.push(own);
        }
        faults.sort_by_key(|fault| fault.control.unwrap_or(usize::MAX));
        faults
    }

    fn fault(&self, error: &Error) -> Fault {
        let envelope = error.envelope();
        let attr = envelope.attr.unwrap_or_default();
        let exact = self.controls.iter().position(|control| control.field.name == attr);
        let control = exact.or_else(|| self.controls.iter().position(|control| control.is_about(attr)));
        let kind = control.map(|place| self.controls[place].field.kind);
        Fault { control, sentence: words::fault(kind, envelope.code, &envelope.detail) }
    }

    fn id_of(&self, control: &Control<'_>) -> String {
        format!("{}-{}", self.id, control.field.name)
    }

    fn boxes(&self) -> Option<String> {
        let names: Vec<&str> =
            self.controls.iter().filter(|it| it.is_box()).map(|control| control.field.name).collect();
        (!names.is_empty()).then(|| names.join(" "))
    }

    fn rows(&self) -> Markup {
        let faults = self.faults();
        html! {
            @for (place, control) in self.controls.iter().enumerate() {
                @let fault = faults.iter().find(|fault| fault.control == Some(place));
                @if let Some(before) = &control.before { (before) }
                (Row { control, id: self.id_of(control), value: self.values.get(control.field.name),
                       fault: fault.map(|fault| fault.sentence.as_str()), is_again: self.is_wrong() })
                @if let Some(after) = &control.after { (after) }
            }
        }
    }

    fn buttons(&self) -> Markup {
        html! {
            div.buttons {
                @for button in &self.buttons {
                    button.(button.look.class()) type="submit" name=[button.sends.map(|(name, _)| name)]
                        value=[button.sends.map(|(_, value)| value)] { (button.words) }
                }
                @if let Some(path) = self.cancel { a.button href=(path) { "Cancel" } }
            }
        }
    }
}

impl Render for Form<'_> {
    fn render(&self) -> Markup {
        html! {
            form method="post" action=[self.action] {
                @for (name, value) in &self.hidden { input type="hidden" name=(name) value=(value); }
                @if let Some(names) = self.boxes() { input type="hidden" name=(BOXES) value=(names); }
                (self.rows())
                @if let Some(end) = &self.end { (end) }
                @if !self.buttons.is_empty() { (self.buttons()) }
            }
        }
    }
}

/// One field as it is shown.
struct Row<'a> {
    control: &'a Control<'a>,
    id: String,
    value: Option<&'a Value>,
    fault: Option<&'a str>,
    /// Whether the form was refused: the summary has the focus.
    is_again: bool,
}

impl Render for Row<'_> {
    fn render(&self) -> Markup {
        if self.control.is_box() {
            return self.tick();
        }
        if self.control.is_list() && self.control.choices.is_some() {
            return self.ticks();
        }
        html! {
            div.field.wrong[self.fault.is_some()] {
                label for=(self.id) { (self.label()) }
                (self.entry())
                (self.texts())
            }
        }
    }
}

impl Row<'_> {
    fn label(&self) -> Markup {
        let is_optional = self.control.is_optional() && !self.control.is_kept;
        html! { (self.control.label) @if is_optional { span.soft { " (optional)" } } }
    }

    fn help(&self) -> String {
        let kept = if self.control.is_kept { "It is set. Leave this empty to keep it." } else { "" };
        [self.control.help.as_str(), kept]
            .into_iter()
            .filter(|text| !text.is_empty())
            .collect::<Vec<_>>()
            .join(" ")
    }

    /// Help and error, which the control names.
    fn texts(&self) -> Markup {
        let help = self.help();
        html! {
            @if !help.is_empty() { p.help id={ (self.id) "-help" } { (help) } }
            @if let Some(fault) = self.fault {
                p.error id={ (self.id) "-error" } { span.hidden { "Error: " } (fault) }
            }
        }
    }

    fn described_by(&self) -> Option<String> {
        let help = (!self.help().is_empty()).then(|| format!("{}-help", self.id));
        let error = self.fault.map(|_| format!("{}-error", self.id));
        let ids: Vec<String> = help.into_iter().chain(error).collect();
        (!ids.is_empty()).then(|| ids.join(" "))
    }

    fn is_required(&self) -> bool {
        !self.control.is_optional()
    }

    fn invalid(&self) -> Option<&'static str> {
        self.fault.map(|_| "true")
    }

    fn text(&self) -> String {
        match (self.control.field.kind, self.value) {
            (FieldKind::Secret { .. }, _) | (_, None | Some(Value::Null)) => String::new(),
            // Without seconds and zone, as the control wants it.
            (FieldKind::Time, Some(Value::String(text))) => text.chars().take(16).collect(),
            (_, Some(Value::Array(items))) if self.control.is_list() => {
                items.iter().map(text_of).collect::<Vec<_>>().join("\n")
            }
            (_, Some(Value::Array(items))) => items.last().map(text_of).unwrap_or_default(),
            (_, Some(value)) => text_of(value),
        }
    }

    fn entry(&self) -> Markup {
        let control = self.control;
        if let Some(choices) = &control.choices {
            return self.select(choices);
        }
        let free =
            matches!(control.field.kind, FieldKind::Json | FieldKind::Object(_) | FieldKind::Objects(_));
        if control.is_long || control.is_list() || free {
            return self.area(free);
        }
        self.input()
    }

    fn input(&self) -> Markup {
        let control = self.control;
        let (kind, inputmode, chars_max) = match control.field.kind {
            FieldKind::Email => ("email", None, Some(254)),
            FieldKind::Secret { chars_max } => ("password", None, Some(chars_max)),
            FieldKind::Integer { .. } | FieldKind::Choice(_) => ("text", Some("numeric"), Some(20)),
            FieldKind::Fraction => ("text", Some("decimal"), Some(20)),
            FieldKind::Time => ("datetime-local", None, None),
            FieldKind::Text { chars_max } => ("text", words::inputmode(control.field.name), chars_max),
            _ => ("text", None, None),
        };
        let class = match inputmode {
            Some("numeric" | "decimal") => Some("short"),
            _ => words::is_code(control.field.name).then_some("code"),
        };
        let is_code = words::is_code(control.field.name) || kind == "email";
        html! {
            input class=[class] id=(self.id) type=(kind) name=(control.field.name) value=(self.text()) maxlength=[chars_max]
                inputmode=[inputmode] autocomplete=[self.autocomplete(kind)] required[self.is_required()]
                autofocus[control.takes_focus && !self.is_again] dir=[(kind == "text").then_some("auto")]
                spellcheck=[is_code.then_some("false")] autocapitalize=[is_code.then_some("none")]
                aria-describedby=[self.described_by()] aria-invalid=[self.invalid()];
        }
    }

    /// Secrets of other services must not be filled with the person's own password.
    fn autocomplete(&self, kind: &str) -> Option<&str> {
        self.control.autocomplete.or_else(|| (kind == "password").then_some("new-password"))
    }

    fn area(&self, is_code: bool) -> Markup {
        let control = self.control;
        let chars_max = match control.field.kind {
            FieldKind::Text { chars_max } => chars_max,
            _ => None,
        };
        let is_code = is_code || words::is_code(control.field.name);
        html! {
            textarea class=[is_code.then_some("code")] id=(self.id) name=(control.field.name) rows="5" maxlength=[chars_max] dir="auto"
                required[self.is_required()] spellcheck=[is_code.then_some("false")]
                aria-describedby=[self.described_by()] aria-invalid=[self.invalid()]
                // The first line break of a text area is not part of its text.
                { "\n" (self.text()) }
        }
    }

    fn select(&self, choices: &[(String, String)]) -> Markup {
        let chosen = self.text();
        let is_known = choices.iter().any(|(value, _)| *value == chosen);
        let has_nothing = choices.iter().any(|(value, _)| value.is_empty());
        html! {
            select id=(self.id) name=(self.control.field.name) required[self.is_required()]
                aria-describedby=[self.described_by()] aria-invalid=[self.invalid()] {
                @if !has_nothing && (self.control.is_optional() || !is_known) {
                    option value="" { @if self.control.is_optional() { "None" } @else { "Choose" } }
                }
                @for (value, words) in choices {
                    option value=(value) selected[*value == chosen] { (words) }
                }
            }
        }
    }

    fn tick(&self) -> Markup {
        let is_ticked = match self.value {
            Some(Value::Bool(is_ticked)) => *is_ticked,
            Some(Value::String(text)) => ["true", "on", "1"].contains(&text.as_str()),
            _ => false,
        };
        html! {
            div.field.tick.wrong[self.fault.is_some()] {
                input id=(self.id) type="checkbox" name=(self.control.field.name) value="true" checked[is_ticked]
                    aria-describedby=[self.described_by()] aria-invalid=[self.invalid()];
                label for=(self.id) { (self.control.label) }
                (self.texts())
            }
        }
    }

    fn ticks(&self) -> Markup {
        let chosen: Vec<String> = match self.value {
            Some(Value::Array(items)) => items.iter().map(text_of).collect(),
            Some(Value::Null) | None => Vec::new(),
            Some(one) => vec![text_of(one)],
        };
        html! {
            fieldset.field.wrong[self.fault.is_some()] aria-describedby=[self.described_by()] {
                legend { (self.label()) }
                (self.texts())
                @for (place, (value, words)) in self.control.choices.iter().flatten().enumerate() {
                    div.tick {
                        input id={ (self.id) "-" (place) } type="checkbox" name=(self.control.field.name)
                            value=(value) checked[chosen.contains(value)];
                        label for={ (self.id) "-" (place) } { (words) }
                    }
                }
            }
        }
    }
}

fn text_of(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

/// The lines of a text area that holds one thing a line, without empty ones.
pub fn lines(text: &str) -> Vec<&str> {
    text.lines().map(str::trim).filter(|line| !line.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::api::form::Field;
    use crate::error::{denied, invalid, invalid_body};

    const FIELDS: &[FieldInfo] = &[
        Field::text("name", 5).required().info(),
        Field::email("email").info(),
        Field::secret("password", 128).required().info(),
        Field::boolean("enforce_2fa").nullable().info(),
        Field::choice("level", &[1, 8, 15]).info(),
        Field::texts("tags", Some(3)).info(),
    ];
    const ALL: &[&str] = &["name", "email", "password", "enforce_2fa", "level", "tags"];

    fn shown(refusal: Option<(&Error, Value)>) -> (String, String) {
        let form = Form::new(Some("token")).fields(FIELDS, ALL).refused(refusal).button("Save");
        (form.summary().0, form.render().0)
    }

    #[test]
    fn the_kind_decides_the_control() {
        let (summary, form) = shown(None);
        assert_eq!(summary, "");
        for part in [
            "<input type=\"hidden\" name=\"csrfmiddlewaretoken\" value=\"token\">",
            "<input type=\"hidden\" name=\"boxes\" value=\"enforce_2fa\">",
            "type=\"text\" name=\"name\" value=\"\" maxlength=\"5\"",
            "type=\"email\" name=\"email\"",
            "type=\"password\" name=\"password\"",
            "type=\"checkbox\" name=\"enforce_2fa\" value=\"true\"",
            "<select id=\"form-level\" name=\"level\" required",
            "<option value=\"8\">Admin</option>",
            "<textarea id=\"form-tags\" name=\"tags\"",
            "<button class=\"primary\" type=\"submit\">Save</button>",
        ] {
            assert!(form.contains(part), "{part} in {form}");
        }
    }

    #[test]
    fn all_errors_are_shown_with_what_was_typed_but_never_a_secret() {
        let error = invalid("name", "max_length", "Ensure this field has no more than 5 characters.");
        let typed = json!({"name": "too long", "email": "x", "password": "hunter2", "level": "7", "tags": ["a", "long"]});
        let (summary, form) = shown(Some((&error, typed)));
        for part in ["#form-name", "#form-email", "#form-level", "#form-tags", "role=\"alert\""] {
            assert!(summary.contains(part), "{part} in {summary}");
        }
        for part in [
            "value=\"too long\"",
            "aria-describedby=\"form-name-error\" aria-invalid=\"true\"",
            "At most 5 characters.",
            "\na\nlong</textarea>",
        ] {
            assert!(form.contains(part), "{part} in {form}");
        }
        assert!(!form.contains("hunter2") && !summary.contains("form-password"), "{form}");
    }

    #[test]
    fn a_refusal_stands_where_it_belongs() {
        for (error, control) in [
            (invalid("password", "blank", "x"), Some(2)),
            (invalid("tags__1", "null", "x"), Some(5)),
            (invalid("destination__config__name", "required", "x"), Some(0)),
            (invalid("surname", "required", "x"), None),
            (invalid_body("invalid_input", "x"), None),
            (denied("x"), None),
        ] {
            let typed = json!({"name": "Ada", "email": "a@b.co", "level": "1"});
            let form = Form::new(None).fields(FIELDS, ALL).refused(Some((&error, typed)));
            let places: Vec<_> = form.faults().iter().map(|fault| fault.control).collect();
            assert_eq!(places, [control], "{error:?}");
        }
    }

    #[test]
    fn a_secret_that_is_kept_may_be_left_empty() {
        let error = invalid_body("x", "x");
        let form = Form::new(None)
            .field(FIELDS, "password", Control::kept)
            .refused(Some((&error, json!({"password": ""}))));
        assert_eq!(form.faults().len(), 1);
        let text = form.render().0;
        assert!(text.contains("Leave this empty to keep it.") && !text.contains(" required"), "{text}");
    }

    #[test]
    fn lines_are_read_without_blanks() {
        assert_eq!(lines(" a@b.co \r\n\r\nc@d.co"), ["a@b.co", "c@d.co"]);
    }
}
