//! Paths of PostHog's web app that clients and people know: each leads to the page that has what it names.

use crate::api::{Reply, Within};
use crate::app::session;
use crate::console::frame::to;
use crate::console::page::{Page, page};
use crate::console::visit::Visit;
use crate::error::Result;
use crate::resources::users;
use crate::store::Tx;

/// Path there, and path here. `@` at the beginning stands for the current organization, `#` for the current project.
const MOVED: &[(&str, &str)] = &[
    ("/settings", "/settings/profile"),
    ("/settings/user", "/settings/profile"),
    ("/settings/user-profile", "/settings/profile"),
    ("/settings/user-api-keys", "/settings/api-keys"),
    ("/settings/organization", "@settings"),
    ("/settings/organization-details", "@settings"),
    ("/settings/organization-members", "@members"),
    ("/settings/organization-invites", "@invites"),
    ("/settings/organization-roles", "@roles"),
    ("/settings/organization-proxy", "@proxies"),
    ("/settings/organization-authentication", "@domains"),
    ("/settings/organization-security", "@settings"),
    ("/settings/organization-danger-zone", "@settings"),
    ("/settings/project", "#settings"),
    ("/settings/project-details", "#settings"),
    ("/settings/project-access-control", "#access"),
    ("/settings/project-danger-zone", "#settings"),
    ("/settings/environment", "#settings"),
    ("/batch_exports", "@exports"),
    ("/batch_exports/{export_id}", "@exports/{export_id}"),
    ("/pipeline/destinations", "@exports"),
    ("/project/create", "@projects/new"),
    ("/instance/staff_users", "/instance/users"),
    ("/preflight", "/instance/status"),
];

pub(super) fn pages() -> Vec<Page> {
    MOVED
        .iter()
        .map(|(path, _)| page(*path, session(), Within::Nothing, lead).without_second_factor())
        .collect()
}

fn lead(visit: &Visit, tx: &Tx) -> Result<Reply> {
    let export = visit.param("export_id");
    let path = visit.path.trim_end_matches('/');
    let here = MOVED.iter().find(|(known, _)| known.replace("{export_id}", export) == path);
    let target = here.map_or("/", |(_, target)| target).replace("{export_id}", export);
    if let Some(tail) = target.strip_prefix('@') {
        return Ok(to(&format!("/organization/@current/{tail}")));
    }
    let Some(tail) = target.strip_prefix('#') else { return Ok(to(&target)) };
    let user = visit.user()?;
    let record = users::find(tx, user)?;
    let organization = users::current_organization(tx, user, &record)?;
    let project = users::current_project(tx, user, &record, organization)?;
    Ok(match project {
        Some(project) => to(&format!("/project/{}/{tail}", project.id)),
        None => to("/organization/@current/projects"),
    })
}
