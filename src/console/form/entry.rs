//! A field as it is shown: label, control, help and error.

use maud::{Markup, Render, html};
use serde_json::Value;

use super::control::Control;
use crate::api::fields::FieldKind;
use crate::console::words;

/// One field as it is shown.
pub(super) struct Entry<'a> {
    pub(super) control: &'a Control<'a>,
    pub(super) id: String,
    pub(super) value: Option<&'a Value>,
    pub(super) fault: Option<&'a str>,
    /// Whether the form was refused: the summary has the focus.
    pub(super) is_again: bool,
}

impl Render for Entry<'_> {
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
                (self.control())
                (self.texts())
            }
        }
    }
}

impl Entry<'_> {
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

    fn control(&self) -> Markup {
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

    /// Secrets of other services must not be filled with the person's own password, nor what stands beside them with
    /// the person's name.
    fn autocomplete(&self, kind: &str) -> Option<&str> {
        self.control.autocomplete.or(match kind {
            "password" => Some("new-password"),
            "text" => Some("off"),
            _ => None,
        })
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
