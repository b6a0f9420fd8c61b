//! Environments below a project: PostHog has given them up, and answers 403 whoever asks. A project is its own only one,
//! below `/api/environments/` too.

use super::Resource;
use crate::api::{Call, Reply, Within};
use crate::app::{Route, Tag, read, signed_in, tagged};
use crate::error::{Result, denied, not_found};
use crate::store::Tx;

pub static RESOURCE: Resource = Resource::of(routes);

const ID: &str = "id";

fn routes() -> Vec<Route> {
    const TAG: Tag = Tag {
        name: "environments",
        noun: "environment",
        about: "There are none below a project: it is its own only one.",
    };
    const ALL: &str = "/api/projects/{project_id}/environments/";
    const ONE: &str = "/api/projects/{project_id}/environments/{id}/";
    let project = Within::Project("project_id");
    let refusal = |route: Route, summary, id| route.about(summary, "Always 403.").called(id);
    let routes = vec![
        refusal(
            Route::get(ALL, signed_in(), project, read(refuse)),
            "List environments",
            "projects_environments_list",
        ),
        refusal(
            Route::post(ALL, signed_in(), project, read(refuse)),
            "Create an environment",
            "projects_environments_create",
        ),
        refusal(
            Route::get(ONE, signed_in(), project, read(refuse)),
            "Retrieve an environment",
            "projects_environments_retrieve",
        ),
        refusal(
            Route::put(ONE, signed_in(), project, read(refuse)),
            "Replace an environment",
            "projects_environments_update",
        ),
        refusal(
            Route::patch(ONE, signed_in(), project, read(refuse)),
            "Change an environment",
            "projects_environments_partial_update",
        ),
        refusal(
            Route::delete(ONE, signed_in(), project, read(refuse)),
            "Delete an environment",
            "projects_environments_destroy",
        ),
    ];
    tagged(TAG, routes)
}

fn refuse(call: &Call, _: &Tx) -> Result<Reply> {
    call.place.in_project()?;
    let id = call.param(ID);
    let is_number = id.parse::<u32>().is_ok_and(|number| number > 0);
    if !id.is_empty() && !is_number {
        return Err(not_found());
    }
    Err(denied("A project has no environments besides itself."))
}
