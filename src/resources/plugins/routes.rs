//! The routes of plugins: thirteen for each of the five views.

use super::form::{FIELDS, NEW, UPDATES};
use super::views::{VIEWS, View};
use super::{handlers, install, repository, source};
use crate::api::Within;
use crate::app::{Route, async_, read, scope, tagged, write};

/// The same thirteen routes for each view.
pub(super) fn all() -> Vec<Route> {
    VIEWS
        .iter()
        .flat_map(|view| {
            tagged(view.tag, [routes_of_all(view), routes_of_one(view)].into_iter().flatten().collect())
        })
        .collect()
}

fn routes_of_one(view: &'static View) -> Vec<Route> {
    let at = |tail: &str| format!("/api/organizations/{{organization_id}}/{}/{tail}", view.segment);
    let (reads, writes) = (scope("plugin:read"), scope("plugin:write"));
    let home = Within::Organization("organization_id");
    vec![
        Route::get(at("{id}/"), reads, home, read(|call, tx| handlers::show(call, tx, view)))
            .responds(200, FIELDS)
            .about("Retrieve a plugin", "With what its code defines as `capabilities`."),
        Route::put(at("{id}/"), writes, home, write(|call, tx| handlers::patch(call, tx, view)))
            .accepts(FIELDS)
            .responds(200, FIELDS)
            .about("Replace a plugin's settings", "The `url` never changes."),
        Route::patch(at("{id}/"), writes, home, write(|call, tx| handlers::patch(call, tx, view)))
            .accepts(FIELDS)
            .responds(200, FIELDS)
            .about("Change a plugin", "Only the fields that are sent change; the `url` never does."),
        Route::delete(at("{id}/"), writes, home, write(|call, tx| handlers::delete(call, tx, view)))
            .responds_nothing()
            .about("Remove a plugin", "With its code."),
        Route::get(at("{id}/source/"), reads, home, read(|call, tx| source::show(call, tx, view)))
            .works_in(source::WORK_BYTES)
            .about("Show a plugin's code", "An object of file names and their texts."),
        Route::patch(
            at("{id}/update_source/"),
            writes,
            home,
            write(|call, tx| source::patch(call, tx, view)),
        )
        .works_in(source::WORK_BYTES)
        .about(
            "Change a plugin's code",
            "Takes an object of file names and their texts, for plugins of the type `source`; \
             null removes a file.",
        ),
        Route::get(
            at("{id}/check_for_updates/"),
            reads,
            home,
            async_(move |app, call| install::check_for_updates(app, call, view)),
        )
        .responds(200, UPDATES)
        .about(
            "Look for a newer version",
            "Asks where the plugin came from; `latest_tag` in the answer says what is there. What \
             is installed stays.",
        ),
        Route::post(
            at("{id}/upgrade/"),
            writes,
            home,
            async_(move |app, call| install::upgrade(app, call, view)),
        )
        .responds(200, FIELDS)
        .about("Install the newest version", "Fetches the code anew from where the plugin came from."),
    ]
}

fn routes_of_all(view: &'static View) -> Vec<Route> {
    let at = |tail: &str| format!("/api/organizations/{{organization_id}}/{}/{tail}", view.segment);
    let (reads, writes) = (scope("plugin:read"), scope("plugin:write"));
    let home = Within::Organization("organization_id");
    vec![
        Route::get(at(""), reads, home, read(|call, tx| handlers::list(call, tx, view)))
            .responds_page(FIELDS)
            .about(
                "List plugins",
                "Those of the organization and those that are there for everybody, as far as this \
             view shows them.",
            ),
        Route::post(at(""), writes, home, async_(handlers::post)).accepts(NEW).responds(201, FIELDS).about(
            "Install a plugin",
            "From a `url` (GitHub, GitLab, npm, a local folder), or empty with `plugin_type` \
             `source`. Its code is stored and searched, never run.",
        ),
        Route::get(at("activity/"), reads, home, read(handlers::show_activity))
            .about("List the activity of plugins", "Installs, changes and removals, the newest first.")
            .queries(&[("page", "Which page, from 1 on."), ("limit", "How many entries a page has.")]),
        Route::get(
            at("exports_unsubscribe_configs/"),
            reads,
            home,
            read(handlers::exports_unsubscribe_configs),
        )
        .about("List configurations that unsubscribe", "Always empty: plugins are not configured here."),
        Route::get(at("repository/"), reads, home, async_(repository::show)).about(
            "List well-known plugins",
            "The list that `ORGD_PLUGIN_REPOSITORY_URL` names, by default PostHog's.",
        ),
        Route::get(at("unused/"), reads, home, read(handlers::unused))
            .about("List unused plugins", "The numbers of all plugins: none is configured here."),
    ]
}
