//! What changes something: single buttons, and the questions before something is lost.

use maud::{Markup, Render, html};

use crate::console::form::TOKEN;

/// A button that does one thing by POST, such as "Check now".
pub fn deed(path: &str, token: &str, words: &str, more: &str, look: Look) -> Markup {
    html! {
        form.deed method="post" action=(path) {
            input type="hidden" name=(TOKEN) value=(token);
            button.(look.class()) type="submit" {
                (words) @if !more.is_empty() { span.hidden { " " (more) } }
            }
        }
    }
}

/// How a button looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Look {
    #[default]
    Plain,
    /// The one that the page is for.
    Primary,
    /// It takes something away.
    Danger,
}

impl Look {
    pub(in crate::console) fn class(self) -> &'static str {
        match self {
            Look::Plain => "plain",
            Look::Primary => "primary",
            Look::Danger => "danger",
        }
    }
}

/// A page that asks before something is lost.
#[derive(Clone, Debug, Default)]
pub struct Confirm<'a> {
    /// "Remove Ada Lovelace?"
    pub question: &'a str,
    /// What is lost, and whom it touches; each a sentence.
    pub lost: Vec<Markup>,
    /// What stays.
    pub kept: Vec<Markup>,
    /// What the button does: "Remove member".
    pub deed: &'a str,
    /// Where Cancel leads.
    pub cancel: &'a str,
    pub token: &'a str,
    /// The name to be typed in the field `name`, for what is large.
    pub name: Option<&'a str>,
    /// Whether another name was typed.
    pub is_wrong: bool,
}

impl Confirm<'_> {
    /// What is typed in the field of the name is `typed`; whether it is the name that was to be typed.
    pub fn is_name(wanted: &str, typed: &str) -> bool {
        wanted.trim() == typed.trim()
    }
}

impl Render for Confirm<'_> {
    fn render(&self) -> Markup {
        html! {
            @if self.is_wrong {
                div.notice.bad role="alert" tabindex="-1" data-focus {
                    p { a href="#confirm-name" { "That is not the name. Type it as it is shown." } }
                }
            }
            h1 dir="auto" { (self.question) }
            (sentences("What is lost", &self.lost))
            (sentences("What stays", &self.kept))
            form method="post" {
                input type="hidden" name=(TOKEN) value=(self.token);
                @if let Some(name) = self.name { (self.name_field(name)) }
                div.buttons {
                    button.danger type="submit" { (self.deed) }
                    a.button href=(self.cancel) { "Cancel" }
                }
            }
        }
    }
}

impl Confirm<'_> {
    fn name_field(&self, name: &str) -> Markup {
        html! {
            div.field {
                label for="confirm-name" { "Type " strong dir="auto" { (name) } " to confirm" }
                input #confirm-name type="text" name="name" required autocomplete="off" spellcheck="false" dir="auto"
                    aria-invalid=[self.is_wrong.then_some("true")];
            }
        }
    }
}

fn sentences(title: &str, all: &[Markup]) -> Markup {
    html! {
        @if !all.is_empty() {
            section { h2 { (title) } ul { @for sentence in all { li { (sentence) } } } }
        }
    }
}

/// One thing that cannot be undone.
#[derive(Clone, Copy, Debug)]
pub struct Danger<'a> {
    pub title: &'a str,
    pub text: &'a str,
    /// The page that asks.
    pub path: &'a str,
    pub deed: &'a str,
}

/// The last section of settings.
pub fn danger_zone(all: &[Danger<'_>]) -> Markup {
    html! {
        section.danger-zone {
            h2 { "Danger zone" }
            @for danger in all {
                div {
                    div { h3 { (danger.title) } p { (danger.text) } }
                    a.button.danger href=(danger.path) { (danger.deed) }
                }
            }
        }
    }
}
