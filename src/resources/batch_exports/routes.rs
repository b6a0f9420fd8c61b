//! The routes of batch exports: those of PostHog's API of 2024 below an organization, and all below a project.

use super::backfill_handlers::{self, CANCELLED, STARTED};
use super::form::FIELDS;
use super::{handlers, logs, run_handlers, runs, test_steps};
use crate::api::Within;
use crate::app::{Route, Tag, async_, read, scope, tagged, write};

/// A path that exports are reached below.
struct Prefix {
    path: &'static str,
    /// Where the list is at home, and where one export is.
    list: Within,
    one: Within,
}

const ORGANIZATION: Prefix = Prefix {
    path: "/api/organizations/{organization_id}/batch_exports/",
    list: Within::Organization("organization_id"),
    one: Within::ProjectBy(handlers::project_of_export),
};

const PROJECT: Prefix = Prefix {
    path: "/api/projects/{project_id}/batch_exports/",
    list: Within::Project("project_id"),
    one: Within::Project("project_id"),
};

/// An older name of the same.
const ENVIRONMENT: Prefix = Prefix { path: "/api/environments/{project_id}/batch_exports/", ..PROJECT };

impl Prefix {
    fn at(&self, tail: &str) -> String {
        format!("{}{tail}", self.path)
    }
}

/// The routes of batch exports.
pub(super) fn all() -> Vec<Route> {
    const TAG: Tag = Tag {
        name: "batch_exports",
        noun: "batch export",
        about: "Scheduled exports of events and persons over HTTP, to S3, PostgreSQL and Redshift; \
         their runs, backfills and logs.",
    };

    let every = [ORGANIZATION, PROJECT, ENVIRONMENT];
    let of_2024 = every.iter().flat_map(|prefix| routes_of_one(prefix).into_iter().chain(actions(prefix)));
    let below_projects = [PROJECT, ENVIRONMENT];
    let newer = below_projects
        .iter()
        .flat_map(|prefix| [runs_of(prefix), backfills_of(prefix), tests_of(prefix)].into_iter().flatten());
    tagged(TAG, of_2024.chain(newer).collect())
}

fn routes_of_one(prefix: &Prefix) -> Vec<Route> {
    let (all, one) = (prefix.at(""), prefix.at("{id}/"));
    let (reads, writes) = (scope("batch_export:read"), scope("batch_export:write"));
    vec![
        Route::get(&*all, reads, prefix.list, read(handlers::list)).responds_page(FIELDS).about(
            "List batch exports",
            "Those of the project, or those of the organization's projects that the caller sees, with their \
             latest runs.",
        ),
        Route::post(&*all, writes, prefix.list, write(handlers::post))
            .accepts(FIELDS)
            .responds(201, FIELDS)
            .about(
                "Create a batch export",
                "For the project, or the caller's current one, in the caller's name. Secrets of the destination \
                 are stored sealed and never shown.",
            ),
        Route::get(&*one, reads, prefix.one, read(handlers::show))
            .responds(200, FIELDS)
            .about("Retrieve a batch export", "With its latest runs."),
        Route::put(&*one, writes, prefix.one, write(handlers::patch))
            .accepts(FIELDS)
            .responds(200, FIELDS)
            .about(
                "Replace a batch export",
                "Whoever changes who receives the secrets sends them again, or gets 400.",
            ),
        Route::patch(&*one, writes, prefix.one, write(handlers::patch))
            .accepts(FIELDS)
            .responds(200, FIELDS)
            .about(
                "Change a batch export",
                "Only the fields that are sent change. Whoever changes who receives the secrets sends \
                 them again, or gets 400.",
            ),
        Route::delete(&*one, writes, prefix.one, write(handlers::delete))
            .responds_nothing()
            .about("Delete a batch export", "With its runs, backfills and logs."),
    ]
}

fn actions(prefix: &Prefix) -> Vec<Route> {
    let (reads, writes) = (scope("batch_export:read"), scope("batch_export:write"));
    vec![
        Route::post(prefix.at("{id}/backfill/"), writes, prefix.one, write(backfill_handlers::post_2024))
            .accepts(FIELDS)
            .responds(200, FIELDS)
            .about(
                "Export a range of the past",
                "Runs one interval of the export after the other, from `start_at` to `end_at`. The \
                 answer's `backfill_id` names it. Below projects, `backfills/` says more about it.",
            ),
        Route::post(prefix.at("{id}/pause/"), writes, prefix.one, write(handlers::pause))
            .accepts(FIELDS)
            .responds(200, FIELDS)
            .about("Pause a batch export", "No run is made until it is unpaused; runs under way go on."),
        Route::post(prefix.at("{id}/unpause/"), writes, prefix.one, write(handlers::unpause))
            .accepts(FIELDS)
            .responds(200, FIELDS)
            .about(
                "Resume a batch export",
                "Runs are made in the caller's name from now on. `backfill: true` makes up for what \
                 the pause left out.",
            ),
        // The page shows no scope for it; a key that may read exports may read what they tell.
        Route::get(prefix.at("{id}/logs/"), reads, prefix.one, read(logs::list))
            .responds_page(logs::FIELDS)
            .about("List a batch export's log", "The newest entries, without further pages.")
            .queries(LOG_QUERIES),
    ]
}

const LOG_QUERIES: &[(&str, &str)] = &[
    ("limit", "How many entries, 1 to 500."),
    ("after", "Only entries later than this time."),
    ("before", "Only entries before this time."),
    ("level", "Only this level; may be given several times."),
    ("search", "Only messages that hold this text."),
    ("instance_id", "Only entries of this run or backfill."),
];

fn runs_of(prefix: &Prefix) -> Vec<Route> {
    let at = |tail: &str| prefix.at(&format!("{{id}}/runs/{tail}"));
    let (reads, writes) = (scope("batch_export:read"), scope("batch_export:write"));
    vec![
        Route::get(at(""), reads, prefix.one, read(run_handlers::list))
            .responds_page(runs::FIELDS)
            .about("List runs", "Those of the last seven days, where the query names no other bounds.")
            .queries(&[
                ("cursor", "The page, as `next` and `previous` name it."),
                ("status", "Only runs of this status; may be given several times."),
                ("ordering", "`created_at` or `data_interval_start`, with `-` for descending."),
                ("after", "Only runs that were made at this time or later; also as `-7d`."),
                ("before", "Only runs that were made at this time or before."),
                ("start", "In the order of intervals: only those that begin at this time or later."),
                ("end", "In the order of intervals: only those that end at this time or before."),
            ]),
        Route::get(at("{run_id}/"), reads, prefix.one, read(run_handlers::show))
            .responds(200, runs::FIELDS)
            .about("Retrieve a run", "How far it is, and why it failed."),
        Route::get(at("{run_id}/logs/"), reads, prefix.one, read(run_handlers::show_logs))
            .responds_page(logs::FIELDS)
            .about("List a run's log", "The newest entries, without further pages.")
            .queries(LOG_QUERIES),
        Route::post(at("{run_id}/retry/"), writes, prefix.one, write(run_handlers::retry))
            .responds(201, STARTED)
            .about("Run an interval again", "A backfill of exactly this run's interval."),
        Route::post(at("{run_id}/cancel/"), writes, prefix.one, write(run_handlers::cancel))
            .responds(200, CANCELLED)
            .about("Cancel a run", "One that is not over. A backfill that it belongs to goes on."),
    ]
}

fn backfills_of(prefix: &Prefix) -> Vec<Route> {
    let at = |tail: &str| prefix.at(&format!("{{id}}/backfills/{tail}"));
    let (reads, writes) = (scope("batch_export:read"), scope("batch_export:write"));
    vec![
        Route::get(at(""), reads, prefix.one, read(backfill_handlers::list))
            .responds_page(backfill_handlers::FIELDS)
            .about("List backfills", "With how far they are.")
            .queries(&[
                ("cursor", "The page, as `next` and `previous` name it."),
                ("ordering", "`created_at` or `start_at`, with `-` for descending."),
            ]),
        Route::post(at(""), writes, prefix.one, write(backfill_handlers::post))
            .accepts(FIELDS)
            .responds(201, STARTED)
            .about(
                "Start a backfill",
                "Runs one interval of the export after the other, from `start_at` to `end_at`. Of daily and \
                 weekly exports these may be dates. Five may run in a project at once.",
            ),
        Route::get(at("{backfill_id}/"), reads, prefix.one, read(backfill_handlers::show))
            .responds(200, backfill_handlers::FIELDS)
            .about("Retrieve a backfill", "With how far it is."),
        Route::post(at("{backfill_id}/cancel/"), writes, prefix.one, write(backfill_handlers::cancel))
            .responds(200, CANCELLED)
            .about("Cancel a backfill", "With its run that is not over. What was exported stays."),
    ]
}

fn tests_of(prefix: &Prefix) -> Vec<Route> {
    let (reads, writes) = (scope("batch_export:read"), scope("batch_export:write"));
    vec![
        Route::get(prefix.at("test/"), reads, prefix.list, read(test_steps::list))
            .responds(200, test_steps::LIST)
            .about("List the tests of a destination", "The steps, without results.")
            .queries(&[("destination", "The type of the destination.")]),
        Route::post(prefix.at("run_test_step_new/"), writes, prefix.list, async_(test_steps::run_new))
            .accepts(test_steps::NEW)
            .responds(200, test_steps::STEP)
            .about(
                "Test a destination",
                "Runs step number `step` against the destination of a batch export that is not stored yet.",
            ),
        Route::post(prefix.at("{id}/run_test_step/"), writes, prefix.one, async_(test_steps::run_stored))
            .accepts(test_steps::NEW)
            .responds(200, test_steps::STEP)
            .about(
                "Test a batch export's destination",
                "As above. What the body leaves out is as it is stored, secrets included.",
            ),
    ]
}
