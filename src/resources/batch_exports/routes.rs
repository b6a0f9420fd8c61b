//! The routes of batch exports.

use super::form::FIELDS;
use super::{backfills, handlers, logs};
use crate::api::Within;
use crate::app::{Route, Tag, read, scope, tagged, write};

/// The routes of batch exports.
pub(super) fn all() -> Vec<Route> {
    const TAG: Tag = Tag {
        name: "batch_exports",
        noun: "batch export",
        about: "Scheduled exports of events and persons over HTTP, to S3, PostgreSQL and Redshift; \
         their runs, backfills and logs.",
    };

    tagged(TAG, routes_of_one().into_iter().chain(actions()).collect())
}

fn routes_of_one() -> Vec<Route> {
    let all = "/api/organizations/{organization_id}/batch_exports/";
    let one = "/api/organizations/{organization_id}/batch_exports/{id}/";
    let (reads, writes) = (scope("batch_export:read"), scope("batch_export:write"));
    let organization = Within::Organization("organization_id");
    let project = Within::ProjectBy(handlers::project_of_export);
    vec![
        Route::get(all, reads, organization, read(handlers::list)).responds_page(FIELDS).about(
            "List batch exports",
            "Those of the projects that the caller sees, with their latest runs.",
        ),
        Route::post(all, writes, organization, write(handlers::post))
            .accepts(FIELDS)
            .responds(201, FIELDS)
            .about(
                "Create a batch export",
                "For the caller's current project, in the caller's name. Secrets of the destination \
             are stored sealed and never shown.",
            ),
        Route::get(one, reads, project, read(handlers::show))
            .responds(200, FIELDS)
            .about("Retrieve a batch export", "With its latest runs."),
        Route::put(one, writes, project, write(handlers::patch)).accepts(FIELDS).responds(200, FIELDS).about(
            "Replace a batch export",
            "Whoever changes who receives the secrets sends them again, or gets 400.",
        ),
        Route::patch(one, writes, project, write(handlers::patch))
            .accepts(FIELDS)
            .responds(200, FIELDS)
            .about(
                "Change a batch export",
                "Only the fields that are sent change. Whoever changes who receives the secrets sends \
             them again, or gets 400.",
            ),
        Route::delete(one, writes, project, write(handlers::delete))
            .responds_nothing()
            .about("Delete a batch export", "With its runs, backfills and logs."),
    ]
}

fn actions() -> Vec<Route> {
    let at = |tail: &str| format!("/api/organizations/{{organization_id}}/batch_exports/{{id}}/{tail}");
    let (reads, writes) = (scope("batch_export:read"), scope("batch_export:write"));
    let project = Within::ProjectBy(handlers::project_of_export);
    vec![
        Route::post(at("backfill/"), writes, project, write(backfills::post))
            .accepts(FIELDS)
            .responds(200, FIELDS)
            .about(
                "Export a range of the past",
                "Runs one interval of the export after the other, from `start_at` to `end_at`. The \
                 answer's `backfill_id` names it.",
            ),
        Route::post(at("pause/"), writes, project, write(handlers::pause))
            .accepts(FIELDS)
            .responds(200, FIELDS)
            .about("Pause a batch export", "No run is made until it is unpaused; runs under way go on."),
        Route::post(at("unpause/"), writes, project, write(handlers::unpause))
            .accepts(FIELDS)
            .responds(200, FIELDS)
            .about(
                "Resume a batch export",
                "Runs are made in the caller's name from now on. `backfill: true` makes up for what \
             the pause left out.",
            ),
        // The page shows no scope for it; a key that may read exports may read what they tell.
        Route::get(at("logs/"), reads, project, read(logs::list))
            .responds_page(logs::FIELDS)
            .about("List a batch export's log", "The newest entries, without further pages.")
            .queries(&[
                ("limit", "How many entries, 1 to 500."),
                ("after", "Only entries later than this time."),
                ("before", "Only entries before this time."),
                ("level", "Only this level; may be given several times."),
                ("search", "Only messages that hold this text."),
                ("instance_id", "Only entries of this run or backfill."),
            ]),
    ]
}
