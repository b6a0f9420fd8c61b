//! What is wrong with a proxy record, found out now: checks of its name's DNS and of what answers there.

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use tokio::time::timeout;
use url::Url;

use super::{Finding, ProxyRecord, Status, get};
use crate::api::{Call, Ctx, Field, FieldInfo, Level, Reply};
use crate::app::App;
use crate::clock::Time;
use crate::error::{Envelope, Error, Result};
use crate::ids::ProxyRecordId;
use crate::outbound::GetRequest;
use crate::resources::places;

const LOOK_TIME_MAX: Duration = Duration::from_secs(5);
/// How long the name's own answer may take.
const LIVE_TIME_MAX: Duration = Duration::from_secs(5);
const LIVE_BYTES_MAX: usize = 4 * 1024;

const RECORD: &[FieldInfo] = &[
    Field::text("name", 256).read_only(),
    Field::text("type", 10).read_only(),
    Field::text("value", 256).read_only(),
];
const REMEDIATION: &[FieldInfo] = &[
    Field::text_choice("type", |_| true).read_only().described("`dns`, `config`, `wait` or `retry`."),
    Field::text("summary", 1000).read_only(),
    Field::objects("records", RECORD).read_only(),
];
const CHECK: &[FieldInfo] = &[
    Field::text("id", 20).read_only(),
    Field::text("name", 100).read_only(),
    Field::text_choice("status", |_| true)
        .read_only()
        .described("`passed`, `warned`, `failed` or `skipped`."),
    Field::text("detail", 1000).read_only(),
    Field::object("remediation", REMEDIATION).nullable().read_only(),
];
const SUMMARY: &[FieldInfo] = &[
    Field::text_choice("status", |_| true).read_only().described("`healthy`, `warn` or `fail`."),
    Field::text("primary_issue", 20).nullable().read_only().described("The check that matters most."),
    Field::text("next_action", 1000).nullable().read_only(),
];
pub(super) const FIELDS: &[FieldInfo] = &[
    Field::time("ran_at").read_only(),
    Field::object("summary", SUMMARY).read_only(),
    Field::objects("checks", CHECK).read_only(),
];

/// What was found out.
#[derive(Serialize)]
pub struct Diagnosis {
    pub ran_at: Time,
    summary: Summary,
    pub checks: Vec<Check>,
}

#[derive(Serialize)]
struct Summary {
    status: &'static str,
    primary_issue: Option<&'static str>,
    next_action: Option<String>,
}

/// One thing that was looked at.
#[derive(Clone, Debug, Serialize)]
pub struct Check {
    id: &'static str,
    pub name: &'static str,
    pub status: Outcome,
    pub detail: String,
    pub remediation: Option<Remediation>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    Skipped,
    Passed,
    Warned,
    Failed,
}

/// What somebody can do about it.
#[derive(Clone, Debug, Serialize)]
pub struct Remediation {
    #[serde(rename = "type")]
    kind: &'static str,
    pub summary: String,
    records: Vec<DnsRecord>,
}

#[derive(Clone, Debug, Serialize)]
struct DnsRecord {
    name: String,
    #[serde(rename = "type")]
    kind: &'static str,
    value: String,
}

impl Remediation {
    /// Wait, change a setting, try again.
    fn to(kind: &'static str, summary: impl Into<String>) -> Option<Remediation> {
        Some(Remediation { kind, summary: summary.into(), records: Vec::new() })
    }

    /// The CNAME that the record needs.
    fn cname(record: &ProxyRecord, summary: String) -> Option<Remediation> {
        let needed =
            DnsRecord { name: record.domain.clone(), kind: "CNAME", value: record.target_cname.clone() };
        Some(Remediation { kind: "dns", summary, records: vec![needed] })
    }
}

/// Runs the checks. Nothing is stored: the background task alone changes the record's state.
pub(super) async fn post_diagnose(app: Arc<App>, call: Arc<Call>) -> Result<Reply> {
    let id: ProxyRecordId = call.id("id")?;
    let record = app.store.read(|tx| {
        let at = places::again(tx, &call)?.in_organization()?;
        get(tx, at.require(Level::Admin)?, id)
    })?;
    match diagnose(&app, &call, id, &record).await {
        Err(Error::Throttled { retry_after_seconds }) => just_ran(retry_after_seconds),
        diagnosis => Reply::ok(&diagnosis?),
    }
}

/// Runs the checks for an administrator of the record's organization.
///
/// # Errors
/// 429 where they were run just now.
pub async fn diagnose(app: &App, ctx: &Ctx, id: ProxyRecordId, record: &ProxyRecord) -> Result<Diagnosis> {
    app.throttles.diagnosis(ctx.user()?, id, ctx.now)?;
    let looking = Finding::of(&app.dns, &record.domain, &record.target_cname);
    let finding = timeout(LOOK_TIME_MAX, looking).await.unwrap_or(Finding::Silence);
    let live = if record.status == Status::Valid { Some(is_live(app, record).await) } else { None };
    let checks = checks(record, &finding, live);
    Ok(Diagnosis { ran_at: ctx.now, summary: summary(&checks), checks })
}

/// PostHog's answer to whoever does not wait.
fn just_ran(retry_after_seconds: u32) -> Result<Reply> {
    let detail = "A diagnostic was just run for this proxy. Please wait a few seconds before trying again.";
    let reply = Reply::json(429, &Envelope::new(429, "throttled_error", "throttled", detail))?;
    Ok(reply.with("retry-after", retry_after_seconds.to_string()))
}

/// Whether the name answers over TLS, and with what.
async fn is_live(app: &App, record: &ProxyRecord) -> std::result::Result<u16, String> {
    let url = Url::parse(&format!("https://{}/_livez", record.domain)).map_err(|cause| cause.to_string())?;
    let request = GetRequest {
        url,
        is_of_operator: false,
        authorization: None,
        time_max: LIVE_TIME_MAX,
        bytes_max: LIVE_BYTES_MAX,
    };
    app.outbound.get(request).await.map(|answer| answer.status).map_err(|cause| cause.to_string())
}

type Live = Option<std::result::Result<u16, String>>;

/// All checks, in the order in which a name is set up. `live` is `None` where the name was not requested.
fn checks(record: &ProxyRecord, finding: &Finding, live: Live) -> Vec<Check> {
    const NO_CERTIFICATES: &str =
        "This server issues no certificates: whatever ends TLS for the name answers for them.";
    let skipped = |id, name| Check {
        id,
        name,
        status: Outcome::Skipped,
        detail: NO_CERTIFICATES.into(),
        remediation: None,
    };
    vec![
        cname(record, finding),
        cloudflare(record, finding),
        skipped("caa", "CAA records"),
        skipped("http_challenge", "HTTP challenge"),
        live_event(record, live),
        skipped("cert_expiry", "Certificate"),
    ]
}

fn cname(record: &ProxyRecord, finding: &Finding) -> Check {
    let ProxyRecord { domain, target_cname, .. } = record;
    let set = || Remediation::cname(record, format!("Set the CNAME of {domain} to {target_cname}."));
    let (status, detail, remediation) = match finding {
        Finding::Leads => (Outcome::Passed, format!("{domain} leads to {target_cname}."), None),
        Finding::LeadsTo(other) => (
            Outcome::Failed,
            format!("The CNAME of {domain} leads to {other} instead of {target_cname}."),
            set(),
        ),
        Finding::Cloudflare => (Outcome::Failed, format!("{domain} shows no CNAME."), no_cloudflare(record)),
        Finding::Nothing => (Outcome::Failed, format!("{domain} has no CNAME."), set()),
        Finding::Silence => (
            Outcome::Warned,
            format!("The DNS gives no answer for {domain}."),
            Remediation::to("wait", "Wait a minute and run the checks again."),
        ),
    };
    Check { id: "cname", name: "CNAME record", status, detail, remediation }
}

fn no_cloudflare(record: &ProxyRecord) -> Option<Remediation> {
    let domain = &record.domain;
    let summary = format!("Switch Cloudflare's proxying of {domain} off, so that its CNAME can be seen.");
    Remediation::cname(record, summary)
}

fn cloudflare(record: &ProxyRecord, finding: &Finding) -> Check {
    let domain = &record.domain;
    let (status, detail, remediation) = match finding {
        Finding::Cloudflare => (
            Outcome::Warned,
            format!("{domain} has addresses of Cloudflare's proxies instead of a CNAME."),
            no_cloudflare(record),
        ),
        Finding::Silence => (Outcome::Skipped, "The DNS gives no answer.".into(), None),
        Finding::Leads | Finding::LeadsTo(_) | Finding::Nothing => {
            (Outcome::Passed, format!("{domain} is not proxied by Cloudflare."), None)
        }
    };
    Check { id: "cloudflare", name: "Cloudflare proxying", status, detail, remediation }
}

fn live_event(record: &ProxyRecord, live: Live) -> Check {
    let address = format!("https://{}/_livez", record.domain);
    let ends_tls = || {
        Remediation::to(
            "config",
            format!("Let whatever ends TLS for {} pass requests on to this server.", record.domain),
        )
    };
    let (status, detail, remediation) = match live {
        None => (Outcome::Skipped, "Runs once the record is valid.".into(), None),
        Some(Ok(200)) => (Outcome::Passed, format!("{address} answers."), None),
        Some(Ok(other)) => {
            (Outcome::Failed, format!("{address} answers {other} instead of 200."), ends_tls())
        }
        Some(Err(reason)) => (Outcome::Failed, reason, ends_tls()),
    };
    Check { id: "live_event", name: "Request through the proxy", status, detail, remediation }
}

/// The worst of the checks; of equally bad ones the first, since the others follow from it.
fn summary(checks: &[Check]) -> Summary {
    let worst = checks.iter().map(|check| check.status).max().unwrap_or(Outcome::Skipped);
    let status = match worst {
        Outcome::Skipped | Outcome::Passed => {
            return Summary { status: "healthy", primary_issue: None, next_action: None };
        }
        Outcome::Warned => "warn",
        Outcome::Failed => "fail",
    };
    let issue = checks.iter().find(|check| check.status == worst);
    let next_action = issue.and_then(|check| check.remediation.as_ref()).map(|what| what.summary.clone());
    Summary { status, primary_issue: issue.map(|check| check.id), next_action }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::UserId;

    fn record() -> ProxyRecord {
        let (now, created_by) = (Time(0), UserId(uuid::Uuid::from_u128(1)));
        ProxyRecord {
            domain: "e.example.com".into(),
            target_cname: "t.proxy.test".into(),
            status: Status::Valid,
            message: None,
            created_at: now,
            updated_at: now,
            created_by,
            waiting_since: now,
            looks: 0,
            next_look_at: None,
        }
    }

    #[test]
    fn the_worst_check_says_what_to_do() {
        use Outcome::{Failed, Passed, Skipped, Warned};
        let refused = || Some(Err("e.example.com could not be reached.".to_owned()));
        let elsewhere = Finding::LeadsTo("x.example.net".into());
        for (finding, live, outcomes, status, issue) in [
            (Finding::Leads, Some(Ok(200)), [Passed, Passed, Passed], "healthy", None),
            (Finding::Leads, None, [Passed, Passed, Skipped], "healthy", None),
            (Finding::Leads, Some(Ok(502)), [Passed, Passed, Failed], "fail", Some("live_event")),
            (Finding::Leads, refused(), [Passed, Passed, Failed], "fail", Some("live_event")),
            (elsewhere, refused(), [Failed, Passed, Failed], "fail", Some("cname")),
            (Finding::Nothing, None, [Failed, Passed, Skipped], "fail", Some("cname")),
            (Finding::Cloudflare, None, [Failed, Warned, Skipped], "fail", Some("cname")),
            (Finding::Silence, None, [Warned, Skipped, Skipped], "warn", Some("cname")),
            (Finding::Silence, Some(Ok(200)), [Warned, Skipped, Passed], "warn", Some("cname")),
        ] {
            let name = format!("{finding:?} {live:?}");
            let checks = checks(&record(), &finding, live);
            let ids: Vec<_> = checks.iter().map(|check| check.id).collect();
            assert_eq!(ids, ["cname", "cloudflare", "caa", "http_challenge", "live_event", "cert_expiry"]);
            assert_eq!([&checks[0], &checks[1], &checks[4]].map(|check| check.status), outcomes, "{name}");
            let Summary { status: summed, primary_issue, next_action } = summary(&checks);
            assert_eq!((summed, primary_issue), (status, issue), "{name}");
            assert_eq!(next_action.is_some(), issue.is_some(), "{name}");
            for check in &checks {
                let is_bad = check.status >= Warned;
                assert_eq!(check.remediation.is_some(), is_bad, "{name}: {}", check.id);
            }
        }
    }
}
