//! From a page's body to its answer: what stands around it for this person, and the headers.

use std::sync::OnceLock;

use maud::Markup;

use super::layout::{self, Frame, Group, Item, Person, Theme};
use super::pages::dev;
use super::visit::Visit;
use super::words::Said;
use crate::api::{InOrganization, Level, Place, Reply};
use crate::app::route::Refused;
use crate::auth::cookies;
use crate::error::{Result, not_found};
use crate::ids::OrganizationId;
use crate::resources::members;
use crate::resources::organizations::{self, Organization};
use crate::resources::users::{self, User};
use crate::store::Tx;

/// What the form that led here has done.
const SAID: &str = "orgd_said";
const SAID_SECONDS: i64 = 60;
/// The colours that a person wants.
pub(super) const THEME: &str = "orgd_theme";

/// What a page may do: nothing but show itself, with the files of this server.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
     form-action 'self'; frame-ancestors 'none'; base-uri 'none'";

/// An organization, as its pages name it.
pub(super) struct Here {
    pub(super) at: InOrganization,
    pub(super) organization: Organization,
    /// Where its pages are, without a slash at the end.
    pub(super) base: String,
}

impl Here {
    fn of(tx: &Tx, at: InOrganization) -> Result<Here> {
        let organization = organizations::find(tx, at.id)?;
        let base = base(at.id, &organization);
        Ok(Here { at, organization, base })
    }

    /// Whether the person has this level or a higher one.
    pub(super) fn is(&self, level: Level) -> bool {
        self.at.level >= level
    }

    /// The path of a page of the organization.
    pub(super) fn path(&self, tail: &str) -> String {
        format!("{}/{tail}", self.base)
    }
}

/// Pages of these names are about no organization.
const TAKEN: [&str; 4] = ["confirm-creation", "create", "create-first", "switch"];

/// Where the pages of an organization are.
pub(super) fn base(id: OrganizationId, organization: &Organization) -> String {
    let slug = organization.slug.as_str();
    if TAKEN.contains(&slug) { format!("/organization/{id}") } else { format!("/organization/{slug}") }
}

impl Visit {
    /// The organization that the page, or its project, belongs to.
    pub(super) fn here(&self, tx: &Tx) -> Result<Here> {
        let at = match self.place() {
            Place::Project(project) => {
                let level = members::level_of(tx, project.organization, self.user()?)?;
                InOrganization { id: project.organization, level: level.ok_or_else(not_found)? }
            }
            place => place.in_organization()?,
        };
        Here::of(tx, at)
    }

    /// The address of the same page by the name of its organization, where it is asked for as that of the current one.
    pub(super) fn address_by_name(&self, tx: &Tx) -> Result<Option<String>> {
        const CURRENT: &str = "/organization/@current";
        let address = self.address();
        let Some(tail) = address.strip_prefix(CURRENT) else { return Ok(None) };
        Ok(Some(format!("{}{tail}", self.here(tx)?.base)))
    }

    /// The page, with everything around it.
    pub(super) fn show(&self, tx: &Tx, title: &str, body: &Markup) -> Result<Reply> {
        let id = self.user()?;
        let user = users::find(tx, id)?;
        let here = match self.place() {
            Place::Nothing => {
                users::current_organization(tx, id, &user)?.map(|at| Here::of(tx, at)).transpose()?
            }
            Place::Organization(_) | Place::Project(_) => Some(self.here(tx)?),
        };
        let name = user.full_name();
        let frame = Frame {
            person: Some(Person { name: &name, email: &user.email, token: self.token() }),
            organization: here
                .as_ref()
                .map(|here| layout::Organization { name: &here.organization.name, path: &here.base }),
            navigation: navigation(self.path.as_str(), here.as_ref(), &user),
            ..self.frame(title)
        };
        Ok(self.answer(frame.page(body)))
    }

    /// A page without anything around it, for people who need not be signed in.
    pub(super) fn show_bare(&self, title: &str, body: &Markup) -> Reply {
        self.answer(self.frame(title).bare(body))
    }

    /// A page of a development or test server, for whoever reaches it.
    pub(super) fn show_dev(&self, title: &str, body: &Markup) -> Reply {
        let group = Group { title: "Test server", items: dev::items(&self.path) };
        let frame = Frame { navigation: vec![group], bar: Some(dev::BAR), ..self.frame(title) };
        self.answer(frame.page(body))
    }

    /// The same for a page whose address opens something.
    pub(super) fn show_secret(&self, title: &str, body: &Markup) -> Reply {
        let frame = Frame { is_secret: true, ..self.frame(title) };
        self.answer(frame.bare(body)).with("x-robots-tag", "noindex")
    }

    /// The token that each form of a page carries for somebody who is signed in; empty for a stranger.
    pub(super) fn token(&self) -> &str {
        self.csrf.as_deref().unwrap_or_default()
    }

    fn frame<'a>(&'a self, title: &'a str) -> Frame<'a> {
        Frame {
            title,
            theme: Theme::named(self.cookie(THEME).unwrap_or_default()),
            said: self.cookie(SAID).and_then(Said::of),
            is_wrong: self.is_refused(),
            ..Frame::default()
        }
    }

    fn answer(&self, page: Markup) -> Reply {
        let reply = html(200, page);
        // It is said once.
        if self.cookie(SAID).is_some() { cookies::note(self, SAID, "", 0, reply) } else { reply }
    }

    /// The page by `show`, for pages with a live region: 304 without rendering where nothing was committed since the
    /// reader has seen it.
    pub(super) fn live(&self, tx: &Tx, show: impl FnOnce() -> Result<Reply>) -> Result<Reply> {
        // Counts of commits begin anew with each start of the server.
        static START: OnceLock<String> = OnceLock::new();
        let start = START.get_or_init(|| self.ids.base62::<8>());
        let tag = format!("\"{start}-{}\"", tx.generation());
        if self.header("if-none-match") == Some(&tag) {
            return Ok(guarded(Reply::text(304, HTML, "").with("etag", tag)));
        }
        Ok(show()?.with("etag", tag))
    }

    /// Leads on to another page, which says what was done.
    pub(super) fn done(&self, path: &str, said: Said) -> Reply {
        cookies::note(self, SAID, said.code(), SAID_SECONDS, to(path))
    }
}

/// Leads to another page of ours.
pub(super) fn to(path: &str) -> Reply {
    guarded(Reply::text(303, HTML, "").with("location", path))
}

const HTML: &str = "text/html; charset=utf-8";

fn html(status: u16, page: Markup) -> Reply {
    guarded(Reply::text(status, HTML, page.into_string()))
}

/// With the headers that every page has.
fn guarded(reply: Reply) -> Reply {
    reply
        .with("content-security-policy", POLICY)
        .with("cross-origin-opener-policy", "same-origin")
        .with("cross-origin-resource-policy", "same-origin")
        .with("permissions-policy", "camera=(), microphone=(), geolocation=()")
        .with("cache-control", "no-store")
}

/// A page about a request that was refused.
pub(super) fn refusal(refused: &Refused<'_>, status: u16, title: &str, body: &Markup) -> Reply {
    let theme = Theme::named(cookies::value(refused.cookies, THEME).unwrap_or_default());
    html(status, Frame { title, theme, ..Frame::default() }.bare(body))
}

/// The pages that the person may see, as far as they lie in the organization or concern the instance.
fn navigation<'a>(path: &str, here: Option<&'a Here>, user: &User) -> Vec<Group<'a>> {
    let mut groups = Vec::new();
    if let Some(here) = here {
        groups.push(Group { title: &here.organization.name, items: of_organization(path, here) });
    }
    if user.is_staff {
        let pages = [
            ("Status", "status"),
            ("Users", "users"),
            ("Backups", "backups"),
            ("Outbox", "outbox"),
            ("Tasks", "tasks"),
        ];
        let item = |(label, tail)| {
            let page = format!("/instance/{tail}");
            let is_current = is_at(path, &page);
            Item::new(label, page, is_current)
        };
        groups.push(Group { title: "Instance", items: pages.map(item).into() });
    }
    groups
}

fn of_organization<'a>(path: &str, here: &Here) -> Vec<Item<'a>> {
    const PAGES: [(&str, &str, Level); 12] = [
        ("Overview", "", Level::Member),
        ("Members", "members", Level::Member),
        ("Invites", "invites", Level::Member),
        ("Roles", "roles", Level::Member),
        ("Projects", "projects", Level::Member),
        ("Exports", "exports", Level::Member),
        ("Plugins", "plugins", Level::Member),
        ("Domains", "domains", Level::Member),
        ("Proxies", "proxies", Level::Member),
        ("API keys", "keys", Level::Admin),
        ("Audit log", "audit", Level::Admin),
        ("Settings", "settings", Level::Admin),
    ];
    let seen = PAGES.into_iter().filter(|(_, _, level)| here.is(*level));
    seen.map(|(label, tail, _)| {
        let page = if tail.is_empty() { here.base.clone() } else { here.path(tail) };
        let is_current = match tail_of(path) {
            Some(shown) if tail.is_empty() => shown.is_empty(),
            Some(shown) => is_at(shown, tail),
            None => tail == "projects" && path.starts_with("/project/"),
        };
        Item::new(label, page, is_current)
    })
    .collect()
}

/// What follows the organization in the path of one of its pages, however that names it.
fn tail_of(path: &str) -> Option<&str> {
    let rest = path.strip_prefix("/organization/").filter(|rest| !TAKEN.contains(rest))?;
    Some(rest.split_once('/').map_or("", |(_, tail)| tail))
}

/// Whether the path is that of the page or lies below it.
fn is_at(path: &str, page: &str) -> bool {
    path.strip_prefix(page).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}
