//! The whole document around a page: head, header, navigation, footer.

use maud::{DOCTYPE, Markup, html};

use super::assets;
use super::words::Said;

/// The name in titles and in the header.
const PRODUCT: &str = "orgd";

/// What colours a person wants.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Theme {
    /// Those of their system.
    #[default]
    System,
    Light,
    Dark,
}

impl Theme {
    /// The theme of this name, else that of the system.
    pub fn named(name: &str) -> Theme {
        match name {
            "light" => Theme::Light,
            "dark" => Theme::Dark,
            _ => Theme::System,
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Theme::System => "system",
            Theme::Light => "light",
            Theme::Dark => "dark",
        }
    }

    /// What the document says; the style sheet follows the system else.
    fn attribute(self) -> Option<&'static str> {
        (self != Theme::System).then(|| self.name())
    }
}

/// Who is signed in.
#[derive(Clone, Copy, Debug)]
pub struct Person<'a> {
    pub name: &'a str,
    pub email: &'a str,
    /// The token that each of their forms carries.
    pub token: &'a str,
}

/// The organization that a page is about.
#[derive(Clone, Copy, Debug)]
pub struct Organization<'a> {
    pub name: &'a str,
    /// Where its first page is.
    pub path: &'a str,
}

/// Pages that belong together in the navigation.
#[derive(Clone, Debug, Default)]
pub struct Group<'a> {
    pub title: &'a str,
    pub items: Vec<Item<'a>>,
}

/// A page in the navigation, or in tabs.
#[derive(Clone, Debug, Default)]
pub struct Item<'a> {
    pub label: &'a str,
    pub path: String,
    /// Whether the page is this one, or lies below it.
    pub is_current: bool,
}

impl<'a> Item<'a> {
    pub fn new(label: &'a str, path: impl Into<String>, is_current: bool) -> Item<'a> {
        Item { label, path: path.into(), is_current }
    }
}

/// A page with everything around it. `Frame { title, person, ..Frame::default() }` leaves out what a page has not.
#[derive(Clone, Debug, Default)]
pub struct Frame<'a> {
    /// The page's name, as its heading says it.
    pub title: &'a str,
    pub person: Option<Person<'a>>,
    pub organization: Option<Organization<'a>>,
    pub navigation: Vec<Group<'a>>,
    pub theme: Theme,
    /// What the form that led here has done.
    pub said: Option<Said>,
    /// Whether the page shows again a form that was refused.
    pub is_wrong: bool,
    /// What every page must say, such as "Test server".
    pub bar: Option<&'a str>,
    /// Whether search engines must stay away and the address is a secret: pages with a token in their path.
    pub is_secret: bool,
}

impl Frame<'_> {
    /// A page of somebody who is signed in.
    pub fn page(&self, body: &Markup) -> Markup {
        let has_navigation = self.navigation.iter().any(|group| !group.items.is_empty());
        self.document(html! {
            (self.header(has_navigation))
            div.frame.with-navigation[has_navigation] {
                @if has_navigation { (self.navigation()) }
                main #main tabindex="-1" { (self.said()) (body) }
            }
        })
    }

    /// A page without navigation: logging in, setting up, an error.
    pub fn bare(&self, body: &Markup) -> Markup {
        self.document(html! {
            (self.header(false))
            div.frame.bare { main #main tabindex="-1" { (self.said()) (body) } }
        })
    }

    fn document(&self, inside: Markup) -> Markup {
        html! {
            (DOCTYPE)
            html lang="en" data-theme=[self.theme.attribute()] {
                head {
                    meta charset="utf-8";
                    title { (self.full_title()) }
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    meta name="color-scheme" content=(self.color_scheme());
                    @if self.is_secret { meta name="robots" content="noindex"; }
                    link rel="stylesheet" href=(assets::STYLE.address());
                    link rel="icon" type="image/svg+xml" href=(assets::ICON.address());
                    script type="module" src=(assets::SCRIPT.address()) {}
                }
                body {
                    a.skip href="#main" { "Skip to the content" }
                    @if let Some(text) = self.bar { p.bar { (text) } }
                    (inside)
                    footer { p { (PRODUCT) " " (env!("CARGO_PKG_VERSION")) } }
                }
            }
        }
    }

    /// "Members · Acme · orgd".
    fn full_title(&self) -> String {
        let organization = self.organization.map(|organization| organization.name);
        let parts = [Some(self.title), organization, Some(PRODUCT)];
        let wrong = if self.is_wrong { "Error: " } else { "" };
        format!("{wrong}{}", parts.into_iter().flatten().collect::<Vec<_>>().join(" · "))
    }

    fn color_scheme(&self) -> &'static str {
        match self.theme {
            Theme::System => "light dark",
            Theme::Light => "light",
            Theme::Dark => "dark",
        }
    }

    fn header(&self, has_navigation: bool) -> Markup {
        html! {
            header.top {
                @if has_navigation {
                    button.quiet.only-narrow type="button" popovertarget="navigation" { "Menu" }
                }
                a.brand href="/" { (PRODUCT) }
                @if let Some(organization) = self.organization { (switch(organization)) }
                @if let Some(person) = self.person { (menu(person)) }
            }
        }
    }

    fn navigation(&self) -> Markup {
        html! {
            nav #navigation popover aria-label="Main" {
                button.quiet.only-narrow type="button" popovertarget="navigation" popovertargetaction="hide" {
                    "Close" span.hidden { " the menu" }
                }
                @for group in self.navigation.iter().filter(|group| !group.items.is_empty()) {
                    @if !group.title.is_empty() { p.group dir="auto" { (group.title) } }
                    (links(&group.items))
                }
            }
        }
    }

    fn said(&self) -> Markup {
        html! {
            @if let Some(said) = self.said { div.notice.good role="status" { p { (said.sentence()) } } }
        }
    }
}

/// A list of links, the current one marked.
pub(super) fn links(items: &[Item<'_>]) -> Markup {
    html! {
        ul role="list" {
            @for item in items {
                li { a href=(item.path) aria-current=[item.is_current.then_some("page")] { (item.label) } }
            }
        }
    }
}

fn switch(organization: Organization<'_>) -> Markup {
    html! {
        a.organization href=(organization.path) dir="auto" { (organization.name) }
        a.switch href="/organization/switch" { "Switch" span.hidden { " organization" } }
    }
}

fn menu(person: Person<'_>) -> Markup {
    const PAGES: [(&str, &str); 6] = [
        ("Profile", "/settings/profile"),
        ("Password", "/settings/password"),
        ("Two-factor", "/settings/two-factor"),
        ("Sessions", "/settings/sessions"),
        ("API keys", "/settings/api-keys"),
        ("Switch organization", "/organization/switch"),
    ];
    html! {
        button.quiet.person type="button" popovertarget="person" {
            span.hidden { "Your account: " } span.cut dir="auto" { (person.name) }
        }
        div #person.menu popover {
            p { strong dir="auto" { (person.name) } br; small { (person.email) } }
            ul role="list" {
                @for (label, path) in PAGES { li { a href=(path) { (label) } } }
            }
            form method="post" action="/logout" {
                input type="hidden" name="csrfmiddlewaretoken" value=(person.token);
                button type="submit" { "Sign out" }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_title_says_the_page_first_and_whether_it_is_wrong() {
        let organization = Some(Organization { name: "Acme", path: "/organization/acme" });
        let frame = Frame { title: "Members", organization, ..Frame::default() };
        assert_eq!(frame.full_title(), "Members · Acme · orgd");
        let frame = Frame { title: "Log in", is_wrong: true, ..Frame::default() };
        assert_eq!(frame.full_title(), "Error: Log in · orgd");
    }

    #[test]
    fn a_chosen_theme_stands_in_the_document() {
        for (name, wanted) in
            [("dark", Some("dark")), ("light", Some("light")), ("system", None), ("x", None)]
        {
            assert_eq!(Theme::named(name).attribute(), wanted, "{name}");
        }
    }
}
