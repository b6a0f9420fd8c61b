//! Files over the network: by owners, with keys that open everything.

use std::sync::Arc;

use serde::Serialize;
use serde_json::Value;

use super::compare::May;
use super::document;
use super::export::{self, Wish};
use super::plan::{Options, Plan};
use super::service::{self, Job};
use crate::api::{Call, Field, FieldInfo, Reply, Within};
use crate::app::{App, Route, Tag, async_, read, scope, tagged};
use crate::auth;
use crate::error::{Result, invalid};
use crate::resources::Resource;
use crate::store::Tx;

pub static RESOURCE: Resource = Resource::of(routes);

fn routes() -> Vec<Route> {
    const TAG: Tag = Tag {
        name: "organization_files",
        noun: "organization file",
        about: "An organization as a file, which is compared and applied as a whole.",
    };
    let routes = vec![
        Route::post("/api/orgd/apply/", scope("*"), Within::Nothing, async_(post))
            .accepts(FIELDS)
            .responds(200, PLAN)
            .queries(&[("dry_run", "True: says what would be done, and does nothing.")])
            .about(
                "Apply an organization file",
                "In one write or not at all, by an owner of every organization in it, with a key that has all \
                 scopes and no limits. `base` is that of the plan that is carried out; where what is stored has \
                 changed since, the answer is 409.",
            )
            .called("orgd_apply"),
        Route::get("/api/orgd/export/", scope("*"), Within::Nothing, read(show))
            .responds(200, EXPORT)
            .queries(&[
                ("organization", "Identifier or slug; may be there several times. Without it, all that the caller owns."),
                ("without_ids", "True: leaves identifiers and tokens out."),
            ])
            .about("Export organizations as a file", "Without secrets; those that are set are named.")
            .called("orgd_export"),
    ];
    tagged(TAG, routes)
}

const FILE: Field<Value> =
    Field::object("file", &[]).required().described("The file as JSON, `{secret: …}` for secrets.");
const BASE: Field<Option<String>> =
    Field::text("base", 100).nullable().described("What the plan was made from. Needed to apply.");
const PRUNE: Field<Vec<String>> =
    Field::texts("prune", Some(20)).described("Kinds of which is removed what the file does not have.");
const SECRETS: Field<bool> =
    Field::boolean("secrets").described("Whether secrets of what is there are replaced.");
const SKIP_BLOCKED: Field<bool> =
    Field::boolean("skip_blocked").described("Whether the rest is done where something is blocked.");
const MAX_REMOVALS: Field<i64> =
    Field::integer("max_removals", 0, i64::MAX).described("More removals are refused. Without it, 10.");
const FIELDS: &[FieldInfo] =
    &[FILE.info(), BASE.info(), PRUNE.info(), SECRETS.info(), SKIP_BLOCKED.info(), MAX_REMOVALS.info()];

const PLAN: &[FieldInfo] = &[
    Field::integer("format", 0, i64::MAX).read_only(),
    Field::text("base", 100).read_only(),
    Field::json("changes").read_only(),
    Field::json("not_in_file").read_only(),
    Field::json("prunable").read_only(),
    Field::json("blocked").read_only(),
    Field::json("notes").read_only(),
    Field::json("summary").read_only(),
];
const EXPORT: &[FieldInfo] = &[Field::long_text("file").read_only().described("YAML.")];

/// 403 for a key that is limited: a file may name anything.
fn admit(call: &Call) -> Result<()> {
    auth::unlimited(&call.caller()?.via, "neither applies nor exports files")
}

async fn post(app: Arc<App>, call: Arc<Call>) -> Result<Reply> {
    admit(&call)?;
    let is_trial = is_true(call.query("dry_run"));
    let mut form = call.form(FIELDS)?;
    let file: Value = form.take(FILE).unwrap_or_default();
    let base = form.take(BASE).flatten();
    let defaults = Options::default();
    let options = Options {
        prune: form.take(PRUNE).unwrap_or_default(),
        secrets: form.take(SECRETS).unwrap_or(defaults.secrets),
        skip_blocked: form.take(SKIP_BLOCKED).unwrap_or(defaults.skip_blocked),
        max_removals: form
            .take(MAX_REMOVALS)
            .map_or(defaults.max_removals, |most: i64| most.max(0).cast_unsigned()),
    };
    form.finish();
    if base.is_none() && !is_trial {
        let detail = "Plan first, with ?dry_run=true, and send the `base` of the plan.";
        return Err(invalid("base", "required", detail));
    }
    let job = Job {
        ctx: call.ctx.clone(),
        document: Arc::new(document::read_value(&file)?),
        options,
        may: May::on(&app, false),
        base: base.filter(|_| !is_trial),
        is_silent: false,
    };
    let plan: Plan =
        if is_trial { service::plan(&app, job).await? } else { service::apply(&app, job).await? };
    Reply::ok(&plan)
}

fn is_true(text: Option<&str>) -> bool {
    text.is_some_and(|text| ["", "1", "true", "yes", "on"].contains(&text.to_ascii_lowercase().as_str()))
}

#[derive(Serialize)]
struct Exported {
    file: String,
}

fn show(call: &Call, tx: &Tx) -> Result<Reply> {
    admit(call)?;
    let organizations = call
        .query
        .iter()
        .filter(|(name, _)| name == "organization")
        .map(|(_, value)| value.clone())
        .collect();
    let wish = Wish { organizations, without_ids: is_true(call.query("without_ids")) };
    Reply::ok(&Exported { file: export::export(&call.ctx, tx, &wish)? })
}
