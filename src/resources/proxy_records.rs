//! Proxy records: names of an organization that are to lead to a proxy here.
//! Invariant: a name belongs to one record of the instance, whatever its case; a record has a row in
//! `DUE` as long as the background task has to look at it again.

mod diagnosis;
mod finding;

use serde::{Deserialize, Serialize};
use serde_json::json;
use sha2::{Digest, Sha256};

use super::audit::{self, Change, scope as audited};
use super::{Resource, organizations, sessions, users};
use crate::api::idn::ascii_name;
use crate::api::{Call, Ctx, Field, FieldInfo, InOrganization, Input, Level, Paging, Reply, Within};
use crate::app::{Route, Tag, async_, read, scope, tagged, write};
use crate::backoff::Backoff;
use crate::clock::Time;
use crate::config::Config;
use crate::error::{Result, invalid, invalid_body, not_found};
use crate::ids::{OrganizationId, ProxyRecordId, UserId};
use crate::store::{Index, Order, Parent, Table, Tx, WriteTx, by_uuid, hex};
pub use diagnosis::{Check, Diagnosis, Outcome, Remediation, diagnose};
pub use finding::Finding;

pub static RESOURCE: Resource = Resource::of(routes).tables(&[&RECORDS]).samples(samples);

fn routes() -> Vec<Route> {
    const TAG: Tag = Tag {
        name: "proxy_records",
        noun: "proxy record",
        about: "Names of an organization that lead to its reverse proxy, watched in the DNS.",
    };

    let all = "/api/organizations/{organization_id}/proxy_records/";
    let one = "/api/organizations/{organization_id}/proxy_records/{id}/";
    let again = "/api/organizations/{organization_id}/proxy_records/{id}/retry/";
    let diagnose = "/api/organizations/{organization_id}/proxy_records/{id}/diagnose/";
    let organization = Within::Organization("organization_id");
    let routes = vec![
        Route::get(all, scope("organization:read"), organization, read(list))
            .responds_page(FIELDS)
            .with_beside_page(&[MAX_PROXY_RECORDS])
            .about("List proxy records", "With their states."),
        Route::post(all, scope("organization:write"), organization, write(post))
            .accepts(FIELDS)
            .responds(201, FIELDS)
            .about(
                "Create a proxy record",
                "From admin level on. Let the domain's CNAME lead to the answer's `target_cname`; the \
                 state follows the DNS.",
            ),
        Route::get(one, scope("organization:read"), organization, read(show))
            .responds(200, FIELDS)
            .about("Retrieve a proxy record", "`message` says what is missing or wrong."),
        Route::put(one, scope("organization:write"), organization, write(patch))
            .accepts(FIELDS)
            .responds(200, FIELDS)
            .about("Replace a proxy record", "From admin level on. Another domain starts anew."),
        Route::patch(one, scope("organization:write"), organization, write(patch))
            .accepts(FIELDS)
            .responds(200, FIELDS)
            .about("Change a proxy record", "From admin level on. Another domain starts anew."),
        Route::delete(one, scope("organization:write"), organization, write(delete))
            .responds_nothing()
            .about("Delete a proxy record", "From admin level on."),
        Route::post(again, scope("organization:write"), organization, write(post_retry))
            .responds(200, FIELDS)
            .about(
                "Look at a proxy record again",
                "From admin level on. Starts anew where the record is erroring or timed out.",
            ),
        Route::post(diagnose, scope("organization:write"), organization, async_(diagnosis::post_diagnose))
            .responds(200, diagnosis::FIELDS)
            .about(
                "Find out what is wrong with a proxy record",
                "From admin level on, once in 30 seconds. Looks at the DNS of the name and, where the record is \
                 valid, at what answers there. Changes nothing.",
            ),
    ];
    tagged(TAG, routes)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// For the name's CNAME.
    Waiting,
    /// For somebody to end TLS for the name.
    Issuing,
    Valid,
    /// On the API page; nothing here warns.
    Warning,
    Erroring,
    Deleting,
    TimedOut,
}

impl Status {
    const ALL: [Status; 7] = [
        Status::Waiting,
        Status::Issuing,
        Status::Valid,
        Status::Warning,
        Status::Erroring,
        Status::Deleting,
        Status::TimedOut,
    ];

    /// As it is shown.
    pub fn name(self) -> &'static str {
        match self {
            Status::Waiting => "waiting",
            Status::Issuing => "issuing",
            Status::Valid => "valid",
            Status::Warning => "warning",
            Status::Erroring => "erroring",
            Status::Deleting => "deleting",
            Status::TimedOut => "timed_out",
        }
    }
}

fn is_status(text: &str) -> bool {
    Status::ALL.iter().any(|status| status.name() == text)
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProxyRecord {
    pub domain: String,
    pub target_cname: String,
    pub status: Status,
    pub message: Option<String>,
    pub created_at: Time,
    pub updated_at: Time,
    pub created_by: UserId,
    /// Since when the name's CNAME is waited for.
    pub waiting_since: Time,
    /// Looks in vain since then.
    pub looks: u32,
    /// When the next look is due; `None` where no look is due.
    pub next_look_at: Option<Time>,
}

/// By organization, and by time.
pub(super) static RECORDS: Table<(OrganizationId, ProxyRecordId), ProxyRecord> = Table::new("proxy_records")
    .counted(by_uuid)
    .indexed(&[&BY_DOMAIN, &DUE])
    .belongs_to(&[&Parent::of(&organizations::ORGANIZATIONS, |organization| *organization)]);
/// By name in lower case.
static BY_DOMAIN: Index<
    (OrganizationId, ProxyRecordId),
    ProxyRecord,
    String,
    (OrganizationId, ProxyRecordId),
> = Index::unique("proxy_records_by_domain", |key, record| Some((record.domain.to_lowercase(), *key)));
/// By the time of the next look: the organization of the record.
pub static DUE: Index<
    (OrganizationId, ProxyRecordId),
    ProxyRecord,
    ([u8; 8], ProxyRecordId),
    OrganizationId,
> = Index::new("proxy_records_due", |(organization, id), record| {
    record.next_look_at.map(|at| ((at.0.to_be_bytes(), *id), *organization))
});

/// How many records an organization may have.
pub const RECORDS_MAX: u64 = 100;
/// A name that never gets its CNAME is given up after this.
const WAITING_SECONDS_MAX: i64 = 7 * 24 * 60 * 60;
/// The first look in vain is repeated after this; each later wait is longer by a tenth, up to the longest.
const LOOK_AGAIN: Backoff = Backoff { first: 3.0, factor: 1.1, max: 300.0 };
/// How often a name that has had its CNAME is looked at again.
const WATCH_SECONDS: i64 = 60 * 60;

const DOMAIN: Field<String> = Field::text("domain", 64).required();
const MAX_PROXY_RECORDS: FieldInfo = Field::integer("max_proxy_records", 0, i64::MAX)
    .read_only()
    .described("How many an organization may have.");
pub const FIELDS: &[FieldInfo] = &[
    Field::uuid("id").read_only(),
    DOMAIN.info(),
    Field::text("target_cname", 256).read_only().described("Where the domain's CNAME is to lead."),
    Field::text_choice("status", is_status).read_only(),
    Field::text("message", 1024).nullable().read_only(),
    Field::time("created_at").read_only(),
    Field::time("updated_at").read_only(),
    Field::integer("created_by", 0, i64::MAX).nullable().read_only(),
];

#[derive(Serialize)]
struct Wire<'a> {
    id: ProxyRecordId,
    domain: &'a str,
    target_cname: &'a str,
    status: Status,
    message: Option<&'a str>,
    created_at: Time,
    updated_at: Time,
    created_by: Option<u32>,
}

fn wire<'a>(tx: &Tx, id: ProxyRecordId, record: &'a ProxyRecord) -> Result<Wire<'a>> {
    Ok(Wire {
        id,
        domain: &record.domain,
        target_cname: &record.target_cname,
        status: record.status,
        message: record.message.as_deref(),
        created_at: record.created_at,
        updated_at: record.updated_at,
        created_by: users::get(tx, record.created_by)?.map(|user| user.number),
    })
}

/// A page, and how many records there may be.
#[derive(Serialize)]
struct Listed<P> {
    #[serde(flatten)]
    page: P,
    max_proxy_records: u64,
}

/// Newest first.
fn list(call: &Call, tx: &Tx) -> Result<Reply> {
    let organization = call.place.in_organization()?.id;
    let paging = Paging::of(call);
    let (total, page) = find_page(tx, organization, paging)?;
    let rows = page.iter().map(|(id, record)| wire(tx, *id, record));
    let rows = rows.collect::<Result<Vec<Wire<'_>>>>()?;
    let page = paging.page(call, total, &rows);
    Reply::ok(&Listed { page, max_proxy_records: RECORDS_MAX })
}

/// How many records an organization has, and a page of them, newest first.
///
/// # Errors
/// None but of the data file.
pub fn find_page(
    tx: &Tx,
    organization: OrganizationId,
    paging: Paging,
) -> Result<(u64, Vec<(ProxyRecordId, ProxyRecord)>)> {
    let (total, page) = tx.page(&RECORDS, &organization, Order::Descending, paging.offset, paging.limit)?;
    Ok((total, page.into_iter().map(|((_, id), record)| (id, record)).collect()))
}

fn post(call: &Call, tx: &WriteTx) -> Result<Reply> {
    let (id, record) = create(call, tx, call.place.in_organization()?, call.input())?;
    Reply::created(&wire(tx, id, &record)?)
}

fn show(call: &Call, tx: &Tx) -> Result<Reply> {
    let organization = call.place.in_organization()?.id;
    let id = call.id("id")?;
    Reply::ok(&wire(tx, id, &get(tx, organization, id)?)?)
}

fn patch(call: &Call, tx: &WriteTx) -> Result<Reply> {
    let id = call.id("id")?;
    let record = update(call, tx, call.place.in_organization()?, id, call.input())?;
    Reply::ok(&wire(tx, id, &record)?)
}

fn delete(call: &Call, tx: &WriteTx) -> Result<Reply> {
    remove(call, tx, call.place.in_organization()?, call.id("id")?)?;
    Reply::no_content()
}

fn post_retry(call: &Call, tx: &WriteTx) -> Result<Reply> {
    let id = call.id("id")?;
    let record = retry(call, tx, call.place.in_organization()?, id)?;
    Reply::ok(&wire(tx, id, &record)?)
}

/// Makes a record of a name, whose CNAME is waited for from then on. From admin level on.
///
/// # Errors
/// 403 below admin, and for a session whose password was given long ago; 400 for no host name, for one that has a
/// record already, and where the organization has as many records as one may have.
pub fn create(
    ctx: &Ctx,
    tx: &WriteTx,
    at: InOrganization,
    input: Input<'_>,
) -> Result<(ProxyRecordId, ProxyRecord)> {
    create_as(ctx, tx, at, ctx.new_id(), input)
}

/// The same with an identifier that is given.
///
/// # Errors
/// As for `create`.
pub fn create_as(
    ctx: &Ctx,
    tx: &WriteTx,
    at: InOrganization,
    id: ProxyRecordId,
    input: Input<'_>,
) -> Result<(ProxyRecordId, ProxyRecord)> {
    let organization = at.require(Level::Admin)?;
    sessions::require_recent_login(ctx)?;
    let domain = input.form(FIELDS)?.only(DOMAIN).unwrap_or_default();
    let domain = ascii_name(&domain).into_owned();
    require_free(tx, &domain, None)?;
    if tx.count(&RECORDS, &organization)? >= RECORDS_MAX {
        let detail = format!("Maximum of {RECORDS_MAX} proxy records per organization.");
        return Err(invalid_body("invalid_input", detail));
    }
    let record = ProxyRecord {
        target_cname: target_cname(&ctx.config, organization, &domain),
        domain,
        status: Status::Waiting,
        message: None,
        created_at: ctx.now,
        updated_at: ctx.now,
        created_by: ctx.user()?,
        waiting_since: ctx.now,
        looks: 0,
        next_look_at: Some(ctx.now),
    };
    tx.insert(&RECORDS, &(organization, id), &record)?;
    audit::record(ctx, tx, organization, Change::created(audited::PROXY_RECORD, id, &record.domain))?;
    Ok((id, record))
}

/// Gives a record another name, which starts from the beginning; the same name changes nothing. From admin level on.
///
/// # Errors
/// As for `create`; 404 where the organization has no such record; 400 for one that is being deleted.
pub fn update(
    ctx: &Ctx,
    tx: &WriteTx,
    at: InOrganization,
    id: ProxyRecordId,
    input: Input<'_>,
) -> Result<ProxyRecord> {
    let organization = at.require(Level::Admin)?;
    sessions::require_recent_login(ctx)?;
    let before = get(tx, organization, id)?;
    if before.status == Status::Deleting {
        return Err(invalid_body("invalid_input", "This proxy record is being deleted."));
    }
    let wanted = input.form(FIELDS)?.only(DOMAIN).map(|domain: String| ascii_name(&domain).into_owned());
    let Some(domain) = wanted.filter(|domain| *domain != before.domain) else { return Ok(before) };
    require_free(tx, &domain, Some(id))?;
    let target_cname = target_cname(&ctx.config, organization, &domain);
    let record = ProxyRecord { domain, target_cname, ..before.clone() }.restarted(ctx.now);
    tx.replace(&RECORDS, &(organization, id), &before, &record)?;
    audit::record(ctx, tx, organization, updated(id, &before, &record)?)?;
    Ok(record)
}

/// Deletes a record: at once where nothing was set up for it; otherwise the background task takes it down first.
/// From admin level on.
///
/// # Errors
/// 403 below admin, and for a session whose password was given long ago; 404 where the organization has no such record.
pub fn remove(ctx: &Ctx, tx: &WriteTx, at: InOrganization, id: ProxyRecordId) -> Result<()> {
    let organization = at.require(Level::Admin)?;
    sessions::require_recent_login(ctx)?;
    let before = get(tx, organization, id)?;
    match before.status {
        Status::Waiting | Status::Erroring | Status::TimedOut => {
            tx.delete(&RECORDS, &(organization, id))?;
        }
        Status::Deleting => return Ok(()),
        Status::Issuing | Status::Valid | Status::Warning => {
            let next_look_at = Some(ctx.now);
            let record = ProxyRecord { next_look_at, ..before.clone().turned(Status::Deleting, "", ctx.now) };
            tx.replace(&RECORDS, &(organization, id), &before, &record)?;
        }
    }
    audit::record(ctx, tx, organization, Change::deleted(audited::PROXY_RECORD, id, &before.domain))
}

/// Waits for the name's CNAME again, from the beginning. From admin level on.
///
/// # Errors
/// 403 below admin, and for a session whose password was given long ago; 404 where the organization has no such record;
/// 400 in a state that needs no other try.
pub fn retry(ctx: &Ctx, tx: &WriteTx, at: InOrganization, id: ProxyRecordId) -> Result<ProxyRecord> {
    let organization = at.require(Level::Admin)?;
    sessions::require_recent_login(ctx)?;
    let before = get(tx, organization, id)?;
    if !may_retry(&before) {
        let detail = format!("Cannot retry proxy in {} state.", before.status.name());
        return Err(invalid_body("invalid_input", detail));
    }
    let record = before.clone().restarted(ctx.now);
    tx.replace(&RECORDS, &(organization, id), &before, &record)?;
    audit::record(ctx, tx, organization, updated(id, &before, &record)?)?;
    Ok(record)
}

/// Whether the record is in a state that needs another try.
pub fn may_retry(record: &ProxyRecord) -> bool {
    matches!(record.status, Status::Erroring | Status::TimedOut)
}

/// What the audit log says of a change that somebody made; what the background task finds is none.
fn updated(id: ProxyRecordId, before: &ProxyRecord, record: &ProxyRecord) -> Result<Change> {
    let state = |record: &ProxyRecord| json!({"domain": record.domain, "target_cname": record.target_cname, "status": record.status});
    let changes = audit::differences(audited::PROXY_RECORD, &state(before), &state(record))?;
    Ok(Change::updated(audited::PROXY_RECORD, id, &record.domain, changes))
}

/// Refuses what is no host name, and the name of another record than `own`, which may change its own name's case.
fn require_free(tx: &Tx, domain: &str, own: Option<ProxyRecordId>) -> Result<()> {
    if !is_host_name(domain) {
        let detail = "Enter a domain name on its own, like e.example.com, with no protocol, port, or path.";
        return Err(invalid("domain", "invalid_input", detail));
    }
    let owner = tx.get(&BY_DOMAIN, &domain.to_lowercase())?;
    if owner.is_some_and(|(_, id)| Some(id) != own) {
        return Err(invalid("domain", "unique", "proxy record with this domain already exists."));
    }
    Ok(())
}

fn is_host_name(name: &str) -> bool {
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|letter| letter.is_ascii_alphanumeric() || letter == b'-')
    };
    let Some((_, last)) = name.rsplit_once('.') else { return false };
    // An IPv4 address looks like a name, but for its last part.
    name.split('.').all(is_label) && !last.bytes().all(|letter| letter.is_ascii_digit())
}

/// Where the name's CNAME has to lead: the same for the same name of the same organization.
fn target_cname(config: &Config, organization: OrganizationId, domain: &str) -> String {
    let digest = Sha256::digest(format!("{organization}{domain}"));
    let front = hex(&digest[..10]);
    format!("{front}.{}", config.proxy_base_cname)
}

impl ProxyRecord {
    /// In another state. `message` is for people; at most 1024 characters of it are kept.
    fn turned(self, status: Status, message: &str, now: Time) -> ProxyRecord {
        let message = Some(message.chars().take(1024).collect());
        ProxyRecord { status, message, updated_at: now, ..self }
    }

    /// After a look: in another state, or as it was where nothing is new.
    fn found(self, status: Status, message: &str, next_look_at: Option<Time>, now: Time) -> ProxyRecord {
        let record = ProxyRecord { next_look_at, ..self };
        if record.status == status && record.message.as_deref().unwrap_or_default() == message {
            return record;
        }
        record.turned(status, message, now)
    }

    /// At the beginning.
    fn restarted(self, now: Time) -> ProxyRecord {
        ProxyRecord {
            status: Status::Waiting,
            message: None,
            updated_at: now,
            waiting_since: now,
            looks: 0,
            next_look_at: Some(now),
            ..self
        }
    }
}

/// The record after a look: the whole of its state machine.
pub fn after_look(
    record: ProxyRecord,
    finding: &Finding,
    tls_ends_elsewhere: bool,
    now: Time,
) -> ProxyRecord {
    let is_over = record.waiting_since.plus_seconds(WAITING_SECONDS_MAX) <= now;
    let watched = Some(now.plus_seconds(WATCH_SECONDS));
    match (record.status, finding) {
        (Status::Deleting | Status::TimedOut, _) => record,
        (_, Finding::Leads) if tls_ends_elsewhere => record.found(Status::Valid, "", watched, now),
        (_, Finding::Leads) => record.found(Status::Issuing, TLS_IS_MISSING, watched, now),
        (Status::Waiting, _) if is_over => {
            let message = "The CNAME did not appear within 7 days. Set it, then try again.";
            record.found(Status::TimedOut, message, None, now)
        }
        (Status::Waiting, _) => {
            let message = trouble(&record, finding);
            let next_look_at = Some(LOOK_AGAIN.retry_at(now, record.looks));
            let looks = record.looks.saturating_add(1);
            ProxyRecord { looks, ..record }.found(Status::Waiting, &message, next_look_at, now)
        }
        // Silence says nothing about a name that was right before.
        (_, Finding::Silence) => ProxyRecord { next_look_at: watched, ..record },
        _ => {
            let message = trouble(&record, finding);
            record.found(Status::Erroring, &message, watched, now)
        }
    }
}

const TLS_IS_MISSING: &str = "The CNAME is right. This server issues no certificates: let a proxy in front of it end TLS for this name, then set ORGD_PROXY_TLS=external.";

/// What a finding means for the people who wait; empty while there is just nothing yet.
fn trouble(record: &ProxyRecord, finding: &Finding) -> String {
    let ProxyRecord { domain, target_cname, status, .. } = record;
    match finding {
        Finding::Leads => String::new(),
        Finding::LeadsTo(other) => {
            format!("The CNAME of {domain} leads to {other}. It has to lead to {target_cname}.")
        }
        Finding::Cloudflare => format!(
            "Cloudflare proxying is enabled for {domain}: please disable it, so that its CNAME to {target_cname} can be seen."
        ),
        Finding::Nothing if *status == Status::Waiting => String::new(),
        Finding::Nothing => format!("{domain} has lost its CNAME to {target_cname}."),
        Finding::Silence => format!("The DNS gives no answer for {domain}; another look follows."),
    }
}

/// Organization and identifier of a record, and the record as it was looked at.
pub type Due = (OrganizationId, ProxyRecordId, ProxyRecord);

/// The records whose look is due, and when the next one's is.
pub fn due(tx: &Tx, now: Time, limit: u64) -> Result<(Vec<Due>, Option<Time>)> {
    let mut found = Vec::new();
    for ((at, id), organization) in tx.first(&DUE, limit)? {
        let at = Time(i64::from_be_bytes(at));
        if at > now {
            return Ok((found, Some(at)));
        }
        found.push((organization, id, get(tx, organization, id)?));
    }
    let next = found.last().map(|_| now);
    Ok((found, next))
}

/// A look is over: stores what it means, unless the record was changed meanwhile.
pub fn settle(
    tx: &WriteTx,
    (organization, id, looked_at): &Due,
    finding: &Finding,
    tls_ends_elsewhere: bool,
    now: Time,
) -> Result<()> {
    let unchanged = tx.get(&RECORDS, &(*organization, *id))?.is_some_and(|record| record == *looked_at);
    if !unchanged {
        return Ok(());
    }
    if looked_at.status == Status::Deleting {
        // Nothing was set up outside this file, so there is nothing more to take down.
        return Ok(tx.delete(&RECORDS, &(*organization, *id))?);
    }
    let record = after_look(looked_at.clone(), finding, tls_ends_elsewhere, now);
    Ok(tx.replace(&RECORDS, &(*organization, *id), looked_at, &record)?)
}

/// All records of an organization but those that are being deleted, the oldest first.
///
/// # Errors
/// None but of the data file.
pub fn all_of(tx: &Tx, organization: OrganizationId) -> Result<Vec<(ProxyRecordId, ProxyRecord)>> {
    let mut all = tx.scan(&RECORDS, &organization, Order::Ascending)?;
    all.retain(|(_, record)| record.status != Status::Deleting);
    Ok(all.into_iter().map(|((_, id), record)| (id, record)).collect())
}

/// A record of an organization.
///
/// # Errors
/// 404 where it has no such record.
pub fn get(tx: &Tx, organization: OrganizationId, id: ProxyRecordId) -> Result<ProxyRecord> {
    tx.get(&RECORDS, &(organization, id))?.ok_or_else(not_found)
}

/// Removes the record of a name, whatever its case, and gives it with its organization. For the operator.
///
/// # Errors
/// None but of the data file.
pub fn free(ctx: &Ctx, tx: &WriteTx, name: &str) -> Result<Option<(OrganizationId, ProxyRecord)>> {
    let Some((organization, id)) = tx.get(&BY_DOMAIN, &name.to_lowercase())? else { return Ok(None) };
    let record = get(tx, organization, id)?;
    tx.delete(&RECORDS, &(organization, id))?;
    audit::record(ctx, tx, organization, Change::deleted(audited::PROXY_RECORD, id, &record.domain))?;
    Ok(Some((organization, record)))
}

fn samples(all: &mut super::samples::Samples) {
    use super::samples::{NOW, ONE, TWO, text};
    all.add(
        &RECORDS,
        (ONE.into(), TWO.into()),
        ProxyRecord {
            domain: text("e.example.com"),
            target_cname: text("t.proxy.localhost"),
            status: Status::TimedOut,
            message: Some(text("m")),
            created_at: NOW,
            updated_at: NOW,
            created_by: ONE.into(),
            waiting_since: NOW,
            looks: 300,
            next_look_at: Some(NOW),
        },
    );
    let all_statuses =
        crate::every!(Status { Waiting, Issuing, Valid, Warning, Erroring, Deleting, TimedOut });
    all.variants("proxy record's status", &all_statuses);
}
