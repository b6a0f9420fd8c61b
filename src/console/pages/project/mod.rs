//! The pages of a project.

mod access;
mod overview;
mod settings;
mod tokens;

use maud::{Markup, html};

use crate::api::{InProject, Level, Within};
use crate::console::frame::base;
use crate::console::layout::Item;
use crate::console::page::Page;
use crate::console::parts;
use crate::console::visit::Visit;
use crate::error::{Result, not_found};
use crate::resources::projects::{self, Short};
use crate::resources::{members, organizations};
use crate::store::Tx;

/// Where the pages of a project are.
const BASE: &str = "/project/{id}";
const HERE: Within = Within::Project("id");

pub(super) fn pages() -> Vec<Page> {
    let all = [overview::pages(), settings::pages(), access::pages(), tokens::pages()];
    all.into_iter().flatten().collect()
}

/// A project, as its pages name it.
struct Here {
    at: InProject,
    project: Short,
    /// The person's level in the organization.
    level: Level,
    /// Where the pages of the project are.
    base: String,
    /// Where the projects of the organization are listed.
    list: String,
}

impl Here {
    fn of(visit: &Visit, tx: &Tx) -> Result<Here> {
        let at = visit.project()?;
        let user = visit.user()?;
        let organization = organizations::find(tx, at.organization)?;
        Ok(Here {
            at,
            project: projects::seen(tx, at.id, user)?.ok_or_else(not_found)?,
            level: members::level_of(tx, at.organization, user)?.ok_or_else(not_found)?,
            base: format!("/project/{}", at.id),
            list: format!("{}/projects", base(at.organization, &organization)),
        })
    }

    /// Whether the person may do there what only its admins may.
    fn is_admin(&self) -> bool {
        self.at.level >= Level::Admin
    }

    /// The path of a page of the project.
    fn path(&self, tail: &str) -> String {
        format!("{}/{tail}", self.base)
    }

    /// The way up and the pages of the project, of which `current` is open.
    fn top(&self, current: &str) -> Markup {
        let item = |label: &'static str, tail: &str| {
            let path = if tail.is_empty() { self.base.clone() } else { self.path(tail) };
            Item::new(label, path, tail == current)
        };
        let mut items = vec![item("Overview", ""), item("Settings", "settings")];
        if self.is_admin() {
            items.extend([item("Access", "access"), item("Secret token", "secret-token")]);
        }
        let above = [(self.list.as_str(), "Projects"), (self.base.as_str(), self.project.name.as_str())];
        let above = if current.is_empty() { &above[..1] } else { &above[..] };
        html! {
            (parts::crumbs(above))
            (parts::tabs(&format!("Pages of {}", self.project.name), &items))
        }
    }
}
