//! Forms out of lists of fields: the kind of a field decides its control. What was refused is shown again
//! with every error of every field. Invariant: a secret is never shown again.

mod control;
mod entry;

use maud::{Markup, Render, html};
use serde_json::Value;

pub use control::Control;
use entry::Entry;

use super::parts::Look;
use super::words;
use crate::api::fields::{FieldInfo, check_all};
use crate::error::Error;

/// Hidden field: the names of the boxes of a form, since an unticked box sends nothing.
pub const BOXES: &str = "boxes";
/// Hidden field: an identifier that makes the second sending of a form harmless.
pub const ONCE: &str = "once";
/// Hidden field: proof that the form is ours.
pub const TOKEN: &str = "csrfmiddlewaretoken";

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
    user: Option<&'a str>,
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
            user: None,
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

    /// Whose password the form asks for, so that browsers find and keep the right one.
    pub fn of_user(mut self, email: &'a str) -> Form<'a> {
        self.user = Some(email);
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
                (Entry { control, id: self.id_of(control), value: self.values.get(control.field.name),
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
                @if let Some(email) = self.user {
                    input type="text" name="username" autocomplete="username" value=(email) hidden;
                }
                @if let Some(names) = self.boxes() { input type="hidden" name=(BOXES) value=(names); }
                (self.rows())
                @if let Some(end) = &self.end { (end) }
                @if !self.buttons.is_empty() { (self.buttons()) }
            }
        }
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
