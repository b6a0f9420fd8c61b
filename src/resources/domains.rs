//! Domains of an organization, proved by a TXT record.
//! Invariant: any organization may claim a name, once; at most one of them has verified it. A name never
//! changes; what a domain means is set only while it is verified.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::audit::{self, Change, scope as audited};
use super::{Resource, organizations, places, sessions};
use crate::api::idn::ascii_name;
use crate::api::{Call, Ctx, Field, FieldInfo, InOrganization, Input, Level, Paging, Reply, Within};
use crate::app::{App, Route, Tag, async_, read, scope, tagged, write};
use crate::clock::Time;
use crate::dns::{Dns, NoAnswer};
use crate::error::{Error, Result, invalid, invalid_body, not_found};
use crate::ids::{DomainId, OrganizationId};
use crate::store::{Index, Order, Parent, Table, Tx, WriteTx, by_uuid};

pub static RESOURCE: Resource = Resource::of(routes).tables(&[&DOMAINS]).samples(samples);

fn routes() -> Vec<Route> {
    const TAG: Tag =
        Tag { name: "domains", noun: "domain", about: "Domains of an organization, proved by a TXT record." };

    let all = "/api/organizations/{organization_id}/domains/";
    let one = "/api/organizations/{organization_id}/domains/{id}/";
    let verify_one = "/api/organizations/{organization_id}/domains/{id}/verify/";
    let organization = Within::Organization("organization_id");
    let routes = vec![
        Route::get(all, scope("organization:read"), organization, read(list))
            .responds_page(FIELDS)
            .about("List domains", "Verified ones and claims."),
        Route::post(all, scope("organization:write"), organization, write(post))
            .accepts(FIELDS)
            .responds(201, FIELDS)
            .about(
                "Claim a domain",
                "From admin level on. The answer's `verification_challenge` belongs into a TXT record \
                 of `_posthog-challenge.<domain>`.",
            ),
        Route::get(one, scope("organization:read"), organization, read(show))
            .responds(200, FIELDS)
            .about("Retrieve a domain", "With its challenge and when it was verified."),
        Route::put(one, scope("organization:write"), organization, write(patch))
            .accepts(FIELDS)
            .responds(200, FIELDS)
            .about(
                "Replace a domain's settings",
                "From admin level on. Settings are for verified domains only; the name never changes.",
            ),
        Route::patch(one, scope("organization:write"), organization, write(patch))
            .accepts(FIELDS)
            .responds(200, FIELDS)
            .about(
                "Change a domain",
                "Only the fields that are sent change. From admin level on; settings are for verified \
                 domains only, and the name never changes.",
            ),
        Route::delete(one, scope("organization:write"), organization, write(delete))
            .responds_nothing()
            .about(
                "Remove a domain",
                "From admin level on. Another organization can verify the name from then on.",
            ),
        Route::post(verify_one, scope("organization:write"), organization, async_(post_verify))
            .accepts(FIELDS)
            .responds(200, FIELDS)
            .about(
                "Verify a domain",
                "From admin level on. Looks the TXT record up, for three seconds at the most; \
                 `is_verified` says whether it was found.",
            ),
    ];
    tagged(TAG, routes)
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Domain {
    pub domain: String,
    pub verified_at: Option<Time>,
    pub verification_challenge: String,
    pub last_verification_retry: Option<Time>,
    pub jit_provisioning_enabled: bool,
    /// Kept and shown. There is no identity provider here that it could send anybody to.
    pub sso_enforcement: String,
    pub saml_entity_id: Option<String>,
    pub saml_acs_url: Option<String>,
    pub saml_x509_cert: Option<String>,
}

/// By organization, and by time.
pub(super) static DOMAINS: Table<(OrganizationId, DomainId), Domain> = Table::new("domains")
    .counted(by_uuid)
    .indexed(&[&VERIFIED, &IN_ORDER])
    .belongs_to(&[&Parent::of(&organizations::ORGANIZATIONS, |organization| *organization)]);
/// Organization and domain of each verified name.
static VERIFIED: Index<(OrganizationId, DomainId), Domain, String, (OrganizationId, DomainId)> =
    Index::unique("domains_by_name", |key, domain| domain.verified_at.map(|_| (domain.domain.clone(), *key)));
/// By organization and name, as they are listed.
static IN_ORDER: Index<(OrganizationId, DomainId), Domain, (OrganizationId, String), DomainId> =
    Index::unique("domains_in_order", |(organization, id): &(OrganizationId, DomainId), domain: &Domain| {
        Some(((*organization, domain.domain.clone()), *id))
    })
    .counted(by_uuid);

const DOMAIN: Field<String> = Field::text("domain", 128).required();
const JIT_PROVISIONING_ENABLED: Field<bool> = Field::boolean("jit_provisioning_enabled").described(
    "Whoever signs up with an address under the domain becomes a member, where the server allows it.",
);
const SSO_ENFORCEMENT: Field<String> = Field::text("sso_enforcement", 28)
    .blank()
    .described("Stored and shown; there is no identity provider here.");
const SAML_ENTITY_ID: Field<Option<String>> = Field::text("saml_entity_id", 512).blank().nullable();
const SAML_ACS_URL: Field<Option<String>> = Field::text("saml_acs_url", 512).blank().nullable();
const SAML_X509_CERT: Field<Option<String>> = Field::long_text("saml_x509_cert").blank().nullable();
pub const FIELDS: &[FieldInfo] = &[
    Field::uuid("id").read_only(),
    DOMAIN.info(),
    Field::boolean("is_verified").read_only(),
    Field::time("verified_at").nullable().read_only(),
    Field::text("verification_challenge", 128).read_only(),
    JIT_PROVISIONING_ENABLED.info(),
    SSO_ENFORCEMENT.info(),
    Field::boolean("has_saml").read_only(),
    SAML_ENTITY_ID.info(),
    SAML_ACS_URL.info(),
    SAML_X509_CERT.info(),
];

/// Settings that a domain may have before it is verified.
pub const STANDS_UNPROVED: &[&str] = &["saml_entity_id", "saml_acs_url", "saml_x509_cert"];

#[derive(Serialize)]
struct Wire<'a> {
    id: DomainId,
    domain: &'a str,
    is_verified: bool,
    verified_at: Option<Time>,
    verification_challenge: &'a str,
    jit_provisioning_enabled: bool,
    sso_enforcement: &'a str,
    has_saml: bool,
    saml_entity_id: Option<&'a str>,
    saml_acs_url: Option<&'a str>,
    saml_x509_cert: Option<&'a str>,
}

fn wire(id: DomainId, domain: &Domain) -> Wire<'_> {
    let saml = [&domain.saml_entity_id, &domain.saml_acs_url, &domain.saml_x509_cert].map(Option::as_deref);
    let [saml_entity_id, saml_acs_url, saml_x509_cert] = saml;
    Wire {
        id,
        domain: &domain.domain,
        is_verified: domain.verified_at.is_some(),
        verified_at: domain.verified_at,
        verification_challenge: &domain.verification_challenge,
        jit_provisioning_enabled: domain.jit_provisioning_enabled,
        sso_enforcement: &domain.sso_enforcement,
        has_saml: saml.iter().all(|part| part.is_some_and(|text| !text.is_empty())),
        saml_entity_id,
        saml_acs_url,
        saml_x509_cert,
    }
}

fn list(call: &Call, tx: &Tx) -> Result<Reply> {
    let organization = call.place.in_organization()?.id;
    let paging = Paging::of(call);
    let (total, rows) = find_page(tx, organization, paging)?;
    paging.reply(call, total, &rows.iter().map(|(id, domain)| wire(*id, domain)).collect::<Vec<_>>())
}

/// How many domains an organization has, and a page of them, by name.
///
/// # Errors
/// None but of the data file.
pub fn find_page(
    tx: &Tx,
    organization: OrganizationId,
    paging: Paging,
) -> Result<(u64, Vec<(DomainId, Domain)>)> {
    let (total, page) = tx.page(&IN_ORDER, &organization, Order::Ascending, paging.offset, paging.limit)?;
    let rows = page.into_iter().map(|(_, id)| Ok((id, get(tx, organization, id)?)));
    Ok((total, rows.collect::<Result<Vec<_>>>()?))
}

fn post(call: &Call, tx: &WriteTx) -> Result<Reply> {
    let (id, domain) = create(call, tx, call.place.in_organization()?, call.input())?;
    Reply::created(&wire(id, &domain))
}

fn show(call: &Call, tx: &Tx) -> Result<Reply> {
    let organization = call.place.in_organization()?.id;
    let id = call.id("id")?;
    Reply::ok(&wire(id, &get(tx, organization, id)?))
}

fn patch(call: &Call, tx: &WriteTx) -> Result<Reply> {
    let id = call.id("id")?;
    let domain = update(call, tx, call.place.in_organization()?, id, call.input())?;
    Reply::ok(&wire(id, &domain))
}

fn delete(call: &Call, tx: &WriteTx) -> Result<Reply> {
    remove(call, tx, call.place.in_organization()?, call.id("id")?)?;
    Reply::no_content()
}

/// Asks the DNS between two transactions. Whatever it says, the answer is 200 with the domain as it is, unless
/// the proof comes too late.
async fn post_verify(app: Arc<App>, call: Arc<Call>) -> Result<Reply> {
    let domain = app.store.read(|tx| {
        let at = places::again(tx, &call)?.in_organization()?;
        find_to_verify(&call, tx, at, call.id("id")?)
    })?;
    let proved = domain.is_proved_by(&domain.look_up(&app.dns).await.unwrap_or_default());
    let write = app.store.write(move |tx| {
        let (at, id) = (places::again(tx, &call)?.in_organization()?, call.id("id")?);
        Reply::ok(&wire(id, &verify(&call, tx, at, id, proved)?))
    });
    write.await
}

/// The claim whose proof is to be looked up.
///
/// # Errors
/// As for `verify`.
pub fn find_to_verify(ctx: &Ctx, tx: &Tx, at: InOrganization, id: DomainId) -> Result<Domain> {
    let organization = at.require(Level::Admin)?;
    sessions::require_recent_login(ctx)?;
    require_unverified(tx, organization, id)
}

impl Domain {
    /// The name whose TXT record proves the domain.
    pub fn record_name(&self) -> String {
        format!("_posthog-challenge.{}", self.domain)
    }

    /// The TXT records that stand there now.
    ///
    /// # Errors
    /// Where the DNS gives no answer.
    pub async fn look_up(&self, dns: &Dns) -> std::result::Result<Vec<Vec<u8>>, NoAnswer> {
        dns.txt(&self.record_name()).await
    }

    /// Whether one of the records is the proof.
    pub fn is_proved_by(&self, records: &[Vec<u8>]) -> bool {
        records.iter().any(|text| text.as_slice() == self.verification_challenge.as_bytes())
    }
}

/// Claims a domain. From admin level on. What only a verified domain may say is checked, but a new domain starts
/// without.
///
/// # Errors
/// 403 below admin, and for a session whose password was given long ago; 400 for wrong fields, for no domain name, and for one that this organization claims or another
/// has verified.
pub fn create(ctx: &Ctx, tx: &WriteTx, at: InOrganization, input: Input<'_>) -> Result<(DomainId, Domain)> {
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
    id: DomainId,
    input: Input<'_>,
) -> Result<(DomainId, Domain)> {
    let organization = at.require(Level::Admin)?;
    sessions::require_recent_login(ctx)?;
    let mut form = input.form(FIELDS)?;
    let mut domain = Domain {
        domain: ascii_name(&form.take(DOMAIN).unwrap_or_default()).into_owned(),
        verified_at: None,
        verification_challenge: URL_SAFE_NO_PAD.encode(ctx.ids.bytes::<32>()),
        last_verification_retry: None,
        jit_provisioning_enabled: false,
        sso_enforcement: String::new(),
        saml_entity_id: None,
        saml_acs_url: None,
        saml_x509_cert: None,
    };
    form.ignore(JIT_PROVISIONING_ENABLED);
    form.ignore(SSO_ENFORCEMENT);
    fill_saml(&mut domain, form);
    let is_own = tx.has(&IN_ORDER, &(organization, domain.domain.clone()))?;
    if is_own || tx.has(&VERIFIED, &domain.domain)? {
        return Err(taken());
    }
    if !is_domain(&domain.domain) {
        return Err(invalid("domain", "invalid_input", "Please enter a valid domain or subdomain name."));
    }
    tx.insert(&DOMAINS, &(organization, id), &domain)?;
    audit::record(ctx, tx, organization, Change::created(audited::DOMAIN, id, &domain.domain))?;
    Ok((id, domain))
}

fn taken() -> Error {
    invalid("domain", "unique", "domain with this domain already exists.")
}

/// Changes what a domain means. From admin level on. The name itself can't be changed, for that would carry a
/// proof over to another name; it is ignored.
///
/// # Errors
/// 403 below admin, and for a session whose password was given long ago; 404 where the organization has no such domain; 400 for wrong fields, and for what only a
/// verified domain may say.
pub fn update(ctx: &Ctx, tx: &WriteTx, at: InOrganization, id: DomainId, input: Input<'_>) -> Result<Domain> {
    let [before, domain] = changed(ctx, tx, at, id, input)?;
    tx.replace(&DOMAINS, &(at.id, id), &before, &domain)?;
    audit::record(ctx, tx, at.id, updated(id, &before, &domain)?)?;
    Ok(domain)
}

/// All that can be set, by field: as it is, and as the input would make it.
///
/// # Errors
/// As for `update`.
pub fn preview(
    ctx: &Ctx,
    tx: &Tx,
    at: InOrganization,
    id: DomainId,
    input: Input<'_>,
) -> Result<[Map<String, Value>; 2]> {
    let [before, after] = changed(ctx, tx, at, id, input)?;
    Ok([state_of(&before), state_of(&after)])
}

/// All that can be set, by field.
pub fn state_of(domain: &Domain) -> Map<String, Value> {
    let pairs: [(&str, Value); 6] = [
        ("domain", domain.domain.clone().into()),
        ("jit_provisioning_enabled", domain.jit_provisioning_enabled.into()),
        ("sso_enforcement", domain.sso_enforcement.clone().into()),
        ("saml_entity_id", domain.saml_entity_id.clone().into()),
        ("saml_acs_url", domain.saml_acs_url.clone().into()),
        ("saml_x509_cert", domain.saml_x509_cert.clone().into()),
    ];
    pairs.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// The domain as it is, and as the input would make it.
fn changed(ctx: &Ctx, tx: &Tx, at: InOrganization, id: DomainId, input: Input<'_>) -> Result<[Domain; 2]> {
    let organization = at.require(Level::Admin)?;
    sessions::require_recent_login(ctx)?;
    let before = get(tx, organization, id)?;
    let mut domain = before.clone();
    let mut form = input.form(FIELDS)?;
    let needs_proof = if form.has(JIT_PROVISIONING_ENABLED) {
        Some(JIT_PROVISIONING_ENABLED.name())
    } else {
        form.has(SSO_ENFORCEMENT).then_some(SSO_ENFORCEMENT.name())
    };
    if let (Some(name), None) = (needs_proof, domain.verified_at) {
        let detail = "This attribute cannot be updated until the domain is verified.";
        return Err(invalid(name, "verification_required", detail));
    }
    form.set(JIT_PROVISIONING_ENABLED, &mut domain.jit_provisioning_enabled);
    form.set(SSO_ENFORCEMENT, &mut domain.sso_enforcement);
    form.ignore(DOMAIN);
    fill_saml(&mut domain, form);
    Ok([before, domain])
}

fn fill_saml(domain: &mut Domain, mut form: crate::api::Form) {
    form.set(SAML_ENTITY_ID, &mut domain.saml_entity_id);
    form.set(SAML_ACS_URL, &mut domain.saml_acs_url);
    form.set(SAML_X509_CERT, &mut domain.saml_x509_cert);
    form.finish();
}

/// Gives a domain up: another organization can verify its name from then on. From admin level on.
///
/// # Errors
/// 403 below admin, and for a session whose password was given long ago; 404 where the organization has no such domain;
/// 400 where it lets the actor in.
pub fn remove(ctx: &Ctx, tx: &WriteTx, at: InOrganization, id: DomainId) -> Result<()> {
    let organization = at.require(Level::Admin)?;
    sessions::require_recent_login(ctx)?;
    let domain = get(tx, organization, id)?;
    if domain.verified_at.is_some() {
        organizations::may_give_up_domain(ctx, tx, organization, &domain.domain)?;
    }
    tx.delete(&DOMAINS, &(organization, id))?;
    audit::record(ctx, tx, organization, Change::deleted(audited::DOMAIN, id, &domain.domain))
}

/// What the audit log says of a change.
fn updated(id: DomainId, before: &Domain, domain: &Domain) -> Result<Change> {
    let state = |domain: &Domain| {
        json!({
            "domain": domain.domain,
            "verified_at": domain.verified_at,
            "jit_provisioning_enabled": domain.jit_provisioning_enabled,
            "sso_enforcement": domain.sso_enforcement,
            "saml_entity_id": domain.saml_entity_id,
            "saml_acs_url": domain.saml_acs_url,
            "saml_x509_cert": domain.saml_x509_cert,
        })
    };
    let changes = audit::differences(audited::DOMAIN, &state(before), &state(domain))?;
    Ok(Change::updated(audited::DOMAIN, id, &domain.domain, changes))
}

/// Notes a look at the DNS, and that the domain is `proved` where its proof was found. From admin level on. The
/// claims of other organizations stay when one is proved, but prove nothing any more.
///
/// # Errors
/// 403 below admin, and for a session whose password was given long ago; 404 where the organization has no such domain; 400 for one that is verified already, here or by
/// another organization.
pub fn verify(ctx: &Ctx, tx: &WriteTx, at: InOrganization, id: DomainId, proved: bool) -> Result<Domain> {
    let organization = at.require(Level::Admin)?;
    sessions::require_recent_login(ctx)?;
    let before = require_unverified(tx, organization, id)?;
    let mut domain = before.clone();
    if proved {
        if tx.has(&VERIFIED, &domain.domain)? {
            return Err(taken());
        }
        domain.verified_at = Some(ctx.now);
    }
    domain.last_verification_retry = Some(ctx.now);
    tx.replace(&DOMAINS, &(organization, id), &before, &domain)?;
    audit::record(ctx, tx, organization, updated(id, &before, &domain)?)?;
    Ok(domain)
}

fn require_unverified(tx: &Tx, organization: OrganizationId, id: DomainId) -> Result<Domain> {
    let domain = get(tx, organization, id)?;
    if domain.verified_at.is_some() {
        return Err(invalid_body("already_verified", "This domain has already been verified."));
    }
    Ok(domain)
}

/// PostHog's rule: lower-case labels with single hyphens inside, and letters only in the last one; besides, names beyond
/// ASCII in the form that DNS has.
fn is_domain(name: &str) -> bool {
    let is_word = |word: &str| {
        !word.is_empty() && word.bytes().all(|letter| letter.is_ascii_lowercase() || letter.is_ascii_digit())
    };
    // Labels beyond ASCII have two hyphens at the front.
    let inner = |label: &str| label.strip_prefix("xn--").unwrap_or(label).split('-').all(is_word);
    let Some((front, last)) = name.rsplit_once('.') else { return false };
    let is_last = last.len() >= 2 && last.bytes().all(|letter| letter.is_ascii_lowercase());
    front.split('.').all(inner) && (is_last || (last.starts_with("xn--") && inner(last)))
}

/// A domain of an organization.
///
/// # Errors
/// 404 where it has no such domain.
pub fn get(tx: &Tx, organization: OrganizationId, id: DomainId) -> Result<Domain> {
    tx.get(&DOMAINS, &(organization, id))?.ok_or_else(not_found)
}

/// The name of a domain that the address is under, as DNS has it.
pub fn domain_of(email: &str) -> Option<String> {
    let (_, name) = email.rsplit_once('@')?;
    Some(ascii_name(&name.to_lowercase()).into_owned())
}

/// The verified domain that the address is under, of whichever organization.
fn verified_above(tx: &Tx, email: &str) -> Result<Option<(OrganizationId, DomainId)>> {
    let Some(name) = domain_of(email) else { return Ok(None) };
    Ok(tx.get(&VERIFIED, &name)?)
}

/// Whether the address is under a domain that the organization has proved.
pub fn admits(tx: &Tx, organization: OrganizationId, email: &str) -> Result<bool> {
    Ok(verified_above(tx, email)?.is_some_and(|(home, _)| home == organization))
}

/// The organization that takes in whoever signs up with this address: it has proved the address's
/// domain and asks for it.
pub fn provisions(tx: &Tx, email: &str) -> Result<Option<OrganizationId>> {
    let Some((organization, id)) = verified_above(tx, email)? else { return Ok(None) };
    Ok(get(tx, organization, id)?.jit_provisioning_enabled.then_some(organization))
}

/// All domains of an organization, by name.
///
/// # Errors
/// None but of the data file.
pub fn all_of(tx: &Tx, organization: OrganizationId) -> Result<Vec<(DomainId, Domain)>> {
    let all = tx.scan(&IN_ORDER, &organization, Order::Ascending)?.into_iter();
    all.map(|(_, id)| Ok((id, get(tx, organization, id)?))).collect()
}

/// Takes a name from all organizations that claim it, and gives their claims. For the operator.
///
/// # Errors
/// None but of the data file.
pub fn free(ctx: &Ctx, tx: &WriteTx, name: &str) -> Result<Vec<(OrganizationId, Domain)>> {
    let mut freed = Vec::new();
    for ((organization, id), domain) in tx.all(&DOMAINS)? {
        if domain.domain == name {
            tx.delete(&DOMAINS, &(organization, id))?;
            audit::record(ctx, tx, organization, Change::deleted(audited::DOMAIN, id, name))?;
            freed.push((organization, domain));
        }
    }
    Ok(freed)
}

fn samples(all: &mut super::samples::Samples) {
    use super::samples::{NOW, ONE, TWO, text};
    all.add(
        &DOMAINS,
        (ONE.into(), TWO.into()),
        Domain {
            domain: text("example.com"),
            verified_at: Some(NOW),
            verification_challenge: text("c"),
            last_verification_retry: Some(NOW),
            jit_provisioning_enabled: true,
            sso_enforcement: text("saml"),
            saml_entity_id: Some(text("e")),
            saml_acs_url: None,
            saml_x509_cert: Some(text("x")),
        },
    );
}

#[cfg(test)]
mod tests {
    use super::is_domain;

    #[test]
    fn names_are_judged_as_posthog_does() {
        for good in ["example.com", "a.b-c.d1.example.com", "1.io"] {
            assert!(is_domain(good), "{good}");
        }
        for bad in [
            "",
            "com",
            ".com",
            "a..com",
            "Example.com",
            "a@b.com",
            "--alpha.com",
            "a--b.com",
            "a-.com",
            "one.two.c",
            "a.c1",
            "münchen.de",
            "a.com.",
            "a b.com",
            "a_b.com",
        ] {
            assert!(!is_domain(bad), "{bad}");
        }
    }
}
