//! Invites to an organization.
//! Holds always: an address has at most one invite in an organization, the newest.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use super::{members, outbox, users};
use crate::api::fields::Checked;
use crate::api::level::LEVELS;
use crate::api::{Body, Call, Field, Form, Kind, Level, Paging, Reply, Route, Within, read, scope, write};
use crate::clock::Time;
use crate::config::{BULK_INVITES_MAX, INVITE_SECONDS};
use crate::error::{Result, denied, invalid_body, not_found};
use crate::store::{Order, Table, Tx, WriteTx, by_uuid};

pub fn rows() -> Vec<Route> {
    let all = "/api/organizations/{organization_id}/invites/";
    let one = "/api/organizations/{organization_id}/invites/{id}/";
    let bulk = "/api/organizations/{organization_id}/invites/bulk/";
    let organization = Within::Organization("organization_id");
    vec![
        Route::get(all, scope("organization_member:read"), organization, read(list)).gives_page(FIELDS),
        Route::post(all, scope("organization_member:write"), organization, write(create))
            .takes(FIELDS)
            .gives(201, FIELDS),
        Route::delete(one, scope("organization_member:write"), organization, write(remove)).gives_nothing(),
        Route::post(bulk, scope("organization_member:write"), organization, write(create_many))
            .takes_list_of(FIELDS)
            .gives_list(FIELDS),
    ]
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Invite {
    pub target_email: String,
    pub first_name: String,
    pub level: Level,
    pub message: Option<String>,
    pub emailing_attempt_made: bool,
    pub created_by: Uuid,
    pub created_at: Time,
    pub updated_at: Time,
}

/// By organization, and by time.
pub(super) const INVITES: Table<(Uuid, Uuid), Invite> = Table::new("invites").counted(by_uuid);
/// The organization of each invite.
pub(super) const BY_ID: Table<Uuid, Uuid> = Table::new("invites_by_id");
/// By address in lower case: invite and organization.
pub(super) const BY_EMAIL: Table<(String, Uuid), Uuid> = Table::new("invites_by_email");

pub const FIELDS: &[Field] = &[
    Field::uuid("id").read_only(),
    Field::new("target_email", Kind::Email).required(),
    Field::text("first_name", 30).blank(),
    Field::boolean("emailing_attempt_made").read_only(),
    Field::new("level", Kind::Choice(LEVELS)),
    Field::boolean("is_expired").read_only(),
    Field::new("created_by", Kind::Object(users::BASIC)).nullable().read_only(),
    Field::time("created_at").read_only(),
    Field::time("updated_at").read_only(),
    Field::long_text("message").blank().nullable(),
    Field::boolean("send_email").write_only(),
    Field::boolean("combine_pending_invites").write_only(),
];

#[derive(Serialize)]
struct Wire<'a> {
    id: Uuid,
    target_email: &'a str,
    first_name: &'a str,
    emailing_attempt_made: bool,
    level: Level,
    is_expired: bool,
    created_by: Option<users::Basic<'a>>,
    created_at: Time,
    updated_at: Time,
    message: Option<&'a str>,
}

fn wire<'a>(call: &Call, id: Uuid, invite: &'a Invite, creator: Option<&'a users::User>) -> Wire<'a> {
    Wire {
        id,
        target_email: &invite.target_email,
        first_name: &invite.first_name,
        emailing_attempt_made: invite.emailing_attempt_made,
        level: invite.level,
        is_expired: invite.is_expired(call.now),
        created_by: creator.map(|user| user.basic(invite.created_by)),
        created_at: invite.created_at,
        updated_at: invite.updated_at,
        message: invite.message.as_deref(),
    }
}

impl Invite {
    pub fn is_expired(&self, now: Time) -> bool {
        self.created_at.plus_seconds(INVITE_SECONDS) < now
    }
}

fn list(call: &Call, tx: &Tx) -> Result<Reply> {
    let (organization, _) = members::require(call, Level::Member)?;
    let paging = Paging::of(call);
    let (total, page) = tx.page(&INVITES, &organization, Order::Descending, paging.offset, paging.limit)?;
    let creators = page.iter().map(|(_, invite)| users::get(tx, invite.created_by));
    let creators = creators.collect::<Result<Vec<_>>>()?;
    let pairs = page.iter().zip(&creators);
    let rows = pairs.map(|(((_, id), invite), creator)| wire(call, *id, invite, creator.as_ref()));
    paging.reply(call, total, &rows.collect::<Vec<Wire<'_>>>())
}

fn create(call: &Call, tx: &WriteTx) -> Result<Reply> {
    let (organization, mine) = members::require(call, Level::Member)?;
    let (id, invite) = make(call, tx, organization, mine, call.form(FIELDS)?)?;
    let creator = users::find(tx, invite.created_by)?;
    Reply::created(&wire(call, id, &invite, Some(&creator)))
}

/// All or nothing: the first bad entry refuses the whole array.
fn create_many(call: &Call, tx: &WriteTx) -> Result<Reply> {
    let (organization, mine) = members::require(call, Level::Member)?;
    let body = call.body.value()?;
    // An empty body equals no entries where it is not JSON at all; a lone object is no array.
    let Value::Array(entries) = body else {
        let detail = "This endpoint needs an array of data for bulk invite creation.";
        return Err(invalid_body("invalid_input", detail));
    };
    if entries.len() > BULK_INVITES_MAX {
        let detail = format!("A maximum of {BULK_INVITES_MAX} invites can be sent in a single request.");
        return Err(invalid_body("max_length", detail));
    }
    let from_form = matches!(call.body, Body::Form(_));
    let mut forms = Vec::new();
    for (place, entry) in entries.iter().enumerate() {
        let form = crate::api::fields::check(FIELDS, entry, from_form, false);
        forms.push(form.map_err(|error| error.within(place))?);
    }
    // Of two entries with one address the last wins.
    let address = |form: &Form| match form.peek("target_email") {
        Some(Checked::Text(email)) => email.to_lowercase(),
        _ => String::new(),
    };
    let last: HashMap<String, usize> = forms.iter().map(address).zip(0..).collect();
    let mut made = Vec::new();
    for (place, form) in forms.into_iter().enumerate() {
        if last.get(&address(&form)) != Some(&place) {
            continue;
        }
        made.push(make(call, tx, organization, mine, form)?);
    }
    let creator = users::find(tx, call.user()?)?;
    let rows: Vec<Wire<'_>> =
        made.iter().map(|(id, invite)| wire(call, *id, invite, Some(&creator))).collect();
    Reply::ok(&rows)
}

fn remove(call: &Call, tx: &WriteTx) -> Result<Reply> {
    let (organization, _) = members::require(call, Level::Member)?;
    let id = call.uuid("id")?;
    let invite = tx.get(&INVITES, &(organization, id))?.ok_or_else(not_found)?;
    delete(tx, organization, id, &invite)?;
    Reply::no_content()
}

fn make(
    call: &Call,
    tx: &WriteTx,
    organization: Uuid,
    mine: Level,
    mut form: Form,
) -> Result<(Uuid, Invite)> {
    let mut invite = Invite {
        target_email: form.take("target_email").map(lower_domain).unwrap_or_default(),
        first_name: String::new(),
        level: Level::Member,
        message: None,
        emailing_attempt_made: false,
        created_by: call.user()?,
        created_at: call.now,
        updated_at: call.now,
    };
    form.set("first_name", &mut invite.first_name);
    form.set("message", &mut invite.message);
    if let Some(level) = form.take::<i64>("level").and_then(Level::of) {
        invite.level = level;
    }
    if invite.level > mine {
        let detail = "You cannot invite a user with a higher permission level than your own.";
        return Err(denied(detail));
    }
    if let Some(user) = users::by_email(tx, &invite.target_email)?
        && members::level_of(tx, organization, user)?.is_some()
    {
        let detail = "A user with this email address already belongs to the organization.";
        return Err(invalid_body("invalid_input", detail));
    }
    let combine = form.take::<bool>("combine_pending_invites").unwrap_or(false);
    for (old_id, old) in of_address(tx, organization, &invite.target_email)? {
        if combine && !old.is_expired(call.now) {
            invite.level = invite.level.max(old.level);
        }
        delete(tx, organization, old_id, &old)?;
    }
    let id = call.new_uuid();
    let wanted = form.take::<bool>("send_email").unwrap_or(true);
    invite.emailing_attempt_made = wanted && outbox::push_invite(call, tx, organization, id, &invite)?;
    tx.put(&BY_ID, &id, &organization)?;
    tx.put(&BY_EMAIL, &(invite.target_email.to_lowercase(), id), &organization)?;
    tx.put(&INVITES, &(organization, id), &invite)?;
    Ok((id, invite))
}

fn lower_domain(address: String) -> String {
    match address.rsplit_once('@') {
        Some((local, domain)) => format!("{local}@{}", domain.to_lowercase()),
        None => address,
    }
}

/// The invites of an address in one organization.
fn of_address(tx: &Tx, organization: Uuid, email: &str) -> Result<Vec<(Uuid, Invite)>> {
    let mut found = Vec::new();
    for ((_, id), home) in tx.scan(&BY_EMAIL, &email.to_lowercase(), Order::Ascending)? {
        if home == organization
            && let Some(invite) = tx.get(&INVITES, &(organization, id))?
        {
            found.push((id, invite));
        }
    }
    Ok(found)
}

/// An invite and its organization.
pub fn by_id(tx: &Tx, id: Uuid) -> Result<Option<(Uuid, Invite)>> {
    let Some(organization) = tx.get(&BY_ID, &id)? else { return Ok(None) };
    Ok(tx.get(&INVITES, &(organization, id))?.map(|invite| (organization, invite)))
}

/// The address has joined: its invites to this organization are used up. Those of other organizations
/// stay, for joining one is no answer to another.
pub fn use_up(tx: &WriteTx, organization: Uuid, email: &str) -> Result<()> {
    for (id, invite) in of_address(tx, organization, email)? {
        delete(tx, organization, id, &invite)?;
    }
    Ok(())
}

fn delete(tx: &WriteTx, organization: Uuid, id: Uuid, invite: &Invite) -> Result<()> {
    tx.delete(&BY_EMAIL, &(invite.target_email.to_lowercase(), id))?;
    tx.delete(&BY_ID, &id)?;
    outbox::cancel(tx, id)?;
    Ok(tx.delete(&INVITES, &(organization, id))?)
}

/// Removes all invites, together with the organization.
pub fn delete_all_of(tx: &WriteTx, organization: Uuid) -> Result<()> {
    for ((_, id), invite) in tx.scan(&INVITES, &organization, Order::Ascending)? {
        delete(tx, organization, id, &invite)?;
    }
    Ok(())
}
