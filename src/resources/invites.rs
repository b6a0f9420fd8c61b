//! Invites to an organization.
//! Invariant: an address has at most one invite in an organization, the newest. An invite's id opens
//! nothing; its link carries a token of its own, which is stored as a hash and, sealed, to be shown again.
//! An invite opens only while whoever sent it could send it still.

mod find;
mod make;
mod project_access;
mod shown;
mod tokens;

use std::collections::HashMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::outbox::Occasion;
use super::{Resource, organizations, outbox, projects, users};
use crate::api::fields::Checked;
use crate::api::level::LEVELS;
use crate::api::{Call, Ctx, Field, FieldInfo, Form, InOrganization, Input, Level, Paging, Reply, Within};
use crate::app::{Route, Tag, read, scope, tagged, write};
use crate::clock::Time;
use crate::config::{BULK_INVITES_MAX, INVITE_SECONDS};
use crate::error::{Result, denied, invalid_body, not_found};
use crate::ids::{InviteId, OrganizationId, UserId};
use crate::store::{Index, Order, Parent, Table, Tx, WriteTx, by_uuid};

use find::stands;
pub use find::{Loaded, by_token, is_awaited, of_mail};
use find::{of_address, open_to};
use make::{End, Wanted, end, make};
pub use project_access::{ProjectAccess, give};
pub use shown::{
    Row, find_page, giveable_projects, link_of, load, may_remove, may_send_again, renew, send_again,
};
pub use tokens::{Token, prepare};

pub static RESOURCE: Resource =
    Resource::of(routes).tables(&[&INVITES]).samples(samples).seals(&[tokens::show_sealed]);

fn routes() -> Vec<Route> {
    const TAG: Tag = Tag {
        name: "invites",
        noun: "invite",
        about: "Invites to an organization. The link of an invite carries a token of its own; its id \
         opens nothing.",
    };

    let all = "/api/organizations/{organization_id}/invites/";
    let one = "/api/organizations/{organization_id}/invites/{id}/";
    let bulk = "/api/organizations/{organization_id}/invites/bulk/";
    let organization = Within::Organization("organization_id");
    let link_of_one = "/api/organizations/{organization_id}/invites/{id}/link/";
    let delegate = "/api/organizations/{organization_id}/invites/delegate/";
    let routes = vec![
        Route::get(all, scope("organization_member:read"), organization, read(list))
            .responds_page(FIELDS)
            .about("List open invites", "Members see those up to their own level."),
        Route::post(all, scope("organization_member:write"), organization, write(post))
            .accepts(FIELDS)
            .responds(201, FIELDS)
            .about(
                "Invite somebody",
                "Up to the caller's own level; plain members where `members_can_invite` is on. Replaces \
                 older invites of the same address, and sends a mail where mail is set up. To send an \
                 invite again, post it again with `combine_pending_invites`.",
            ),
        Route::delete(one, scope("organization_member:write"), organization, write(delete))
            .responds_nothing()
            .about("Take an invite back", "Admins any, others their own."),
        Route::post(bulk, scope("organization_member:write"), organization, write(post_many))
            .accepts_list_of(FIELDS)
            .responds_list(FIELDS)
            .about("Invite several people", "A list of invites, all or none of which are made."),
        Route::post(delegate, scope("organization_member:write"), organization, write(post_delegate))
            .accepts(DELEGATE)
            .responds(201, FIELDS)
            .about(
                "Ask somebody to finish the set-up",
                "From admin level on: an invite at admin level, with a mail that says so.",
            ),
        Route::get(link_of_one, scope("organization_member:write"), organization, read(link))
            .responds(200, LINK)
            .about(
                "Show the link of an invite",
                "For those who could send the invite: whoever has the link can join.",
            ),
    ];
    tagged(TAG, routes)
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Invite {
    pub target_email: String,
    pub first_name: String,
    pub level: Level,
    pub message: Option<String>,
    pub emailing_attempt_made: bool,
    pub created_by: UserId,
    pub created_at: Time,
    pub updated_at: Time,
    /// `None` only in files of older schemas, until they are opened.
    pub token: Option<Token>,
    /// Projects that whoever accepts it gets access to besides.
    pub private_project_access: Vec<ProjectAccess>,
}

/// By organization, and by time.
pub(super) static INVITES: Table<(OrganizationId, InviteId), Invite> = Table::new("invites")
    .counted(by_uuid)
    .indexed(&[&BY_TOKEN, &BY_EMAIL])
    .belongs_to(&[&Parent::of(&organizations::ORGANIZATIONS, |organization| *organization)]);
/// Organization and id, by the SHA-256 of the token.
static BY_TOKEN: Index<(OrganizationId, InviteId), Invite, [u8; 32], (OrganizationId, InviteId)> =
    Index::unique("invites_by_token", |key, invite| Some((invite.token.as_ref()?.hash, *key)));
/// By address in lower case: invite and organization.
static BY_EMAIL: Index<(OrganizationId, InviteId), Invite, (String, InviteId), OrganizationId> =
    Index::new("invites_by_email", |(organization, id), invite| {
        Some(((invite.target_email.to_lowercase(), *id), *organization))
    });

const TARGET_EMAIL: Field<String> = Field::email("target_email").required();
const FIRST_NAME: Field<String> = Field::text("first_name", 30).blank();
const LEVEL: Field<u8> = Field::choice("level", LEVELS).described("1 member, 8 admin, 15 owner.");
const MESSAGE: Field<Option<String>> = Field::long_text("message").blank().nullable();
const SEND_EMAIL: Field<bool> =
    Field::boolean("send_email").write_only().described("False: no mail is sent.");
const COMBINE_PENDING_INVITES: Field<bool> = Field::boolean("combine_pending_invites")
    .write_only()
    .described("Takes the highest levels of the open invites that this one replaces.");
const PRIVATE_PROJECT_ACCESS: Field<Option<Value>> = Field::list("private_project_access")
    .nullable()
    .described("Projects to give access to: `{\"id\", \"level\"}`, the level 1 or `member`, 8 or `admin`.");
pub const FIELDS: &[FieldInfo] = &[
    Field::uuid("id").read_only(),
    TARGET_EMAIL.info(),
    FIRST_NAME.info(),
    Field::boolean("emailing_attempt_made").read_only(),
    LEVEL.info(),
    Field::boolean("is_expired").read_only(),
    Field::object("created_by", users::BASIC).nullable().read_only(),
    Field::time("created_at").read_only(),
    Field::time("updated_at").read_only(),
    MESSAGE.info(),
    SEND_EMAIL.info(),
    COMBINE_PENDING_INVITES.info(),
    PRIVATE_PROJECT_ACCESS.info(),
];

const DELEGATE_MESSAGE: Field<Option<String>> = Field::text("message", 1000).blank().nullable();
const STEP_AT_DELEGATION: Field<Option<String>> = Field::text("step_at_delegation", 64)
    .blank()
    .nullable()
    .write_only()
    .described("Accepted; nothing is kept of it.");
const DELEGATE: &[FieldInfo] = &[TARGET_EMAIL.info(), DELEGATE_MESSAGE.info(), STEP_AT_DELEGATION.info()];

const LINK: &[FieldInfo] = &[Field::text("link", 2000).read_only()];

#[derive(Serialize)]
struct Link {
    link: String,
}

#[derive(Serialize)]
struct Wire<'a> {
    id: InviteId,
    target_email: &'a str,
    first_name: &'a str,
    emailing_attempt_made: bool,
    level: Level,
    is_expired: bool,
    created_by: Option<users::Basic<'a>>,
    created_at: Time,
    updated_at: Time,
    message: Option<&'a str>,
    private_project_access: Option<Vec<project_access::ProjectAccessWire>>,
}

fn wire<'a>(ctx: &Ctx, id: InviteId, invite: &'a Invite, creator: Option<&'a users::Profile>) -> Wire<'a> {
    Wire {
        id,
        target_email: &invite.target_email,
        first_name: &invite.first_name,
        emailing_attempt_made: invite.emailing_attempt_made,
        level: invite.level,
        is_expired: invite.is_expired(ctx.now),
        created_by: creator.map(users::Profile::basic),
        created_at: invite.created_at,
        updated_at: invite.updated_at,
        message: invite.message.as_deref(),
        private_project_access: project_access::wire(&invite.private_project_access),
    }
}

impl Invite {
    pub fn is_expired(&self, now: Time) -> bool {
        self.created_at.plus_seconds(INVITE_SECONDS) < now
    }
}

fn list(call: &Call, tx: &Tx) -> Result<Reply> {
    let paging = Paging::of(call);
    let (total, rows) = find_page(call, tx, call.place.in_organization()?, "", paging)?;
    let rows = rows.iter().map(|row| wire(call, row.id, &row.invite, row.sender.as_ref()));
    paging.reply(call, total, &rows.collect::<Vec<Wire<'_>>>())
}

fn link(call: &Call, tx: &Tx) -> Result<Reply> {
    let link = link_of(call, tx, call.place.in_organization()?, call.id("id")?)?;
    Reply::ok(&Link { link })
}

/// What the invite gives of projects that are there still.
fn there(tx: &Tx, organization: OrganizationId, invite: &Invite) -> Result<Vec<ProjectAccess>> {
    let mut there = Vec::new();
    for access in &invite.private_project_access {
        if projects::is_of(tx, organization, access.project)? {
            there.push(*access);
        }
    }
    Ok(there)
}

fn post(call: &Call, tx: &WriteTx) -> Result<Reply> {
    let (id, invite) = create(call, tx, call.place.in_organization()?, call.input())?;
    let creator = users::Profile::load(tx, invite.created_by)?;
    Reply::created(&wire(call, id, &invite, creator.as_ref()))
}

fn post_many(call: &Call, tx: &WriteTx) -> Result<Reply> {
    let made = create_many(call, tx, call.place.in_organization()?, call.input())?;
    let creator = users::Profile::load(tx, call.user()?)?;
    let rows: Vec<Wire<'_>> =
        made.iter().map(|(id, invite)| wire(call, *id, invite, creator.as_ref())).collect();
    Reply::ok(&rows)
}

fn post_delegate(call: &Call, tx: &WriteTx) -> Result<Reply> {
    let (id, invite) = delegate(call, tx, call.place.in_organization()?, call.input())?;
    let creator = users::Profile::load(tx, invite.created_by)?;
    Reply::created(&wire(call, id, &invite, creator.as_ref()))
}

fn delete(call: &Call, tx: &WriteTx) -> Result<Reply> {
    remove(call, tx, call.place.in_organization()?, call.id("id")?)?;
    Reply::no_content()
}

/// Invites somebody, up to the actor's own level, and queues the mail of the invite. Earlier invites of the
/// address to this organization are replaced.
///
/// # Errors
/// 403 where the actor may not invite, and for a level above their own, also of an invite that would be replaced; 400
/// for wrong fields, for access to projects that the actor may not give, for whoever belongs to the organization, and
/// for an address under none of its verified domains where it demands one.
pub fn create(ctx: &Ctx, tx: &WriteTx, at: InOrganization, input: Input<'_>) -> Result<(InviteId, Invite)> {
    organizations::may_invite(tx, at)?;
    make(ctx, tx, at, Wanted::of(input.form(FIELDS)?)?)
}

/// Invites somebody at admin level, to finish the set-up of the organization. From admin level on.
///
/// # Errors
/// 403 below admin; else as for `create`.
pub fn delegate(ctx: &Ctx, tx: &WriteTx, at: InOrganization, input: Input<'_>) -> Result<(InviteId, Invite)> {
    at.require(Level::Admin)?;
    let mut form = input.form(DELEGATE)?;
    let wanted = Wanted {
        target_email: form.take(TARGET_EMAIL).unwrap_or_default(),
        first_name: String::new(),
        level: Level::Admin,
        message: form.take(DELEGATE_MESSAGE).flatten(),
        private_project_access: Vec::new(),
        combines: false,
        sends_mail: true,
        occasion: Occasion::Delegation,
    };
    form.ignore(STEP_AT_DELEGATION);
    form.finish();
    make(ctx, tx, at, wanted)
}

/// Makes the invites of a list. Of two with one address the last one counts.
///
/// # Errors
/// As for `create`: the first entry that is wrong refuses all. 400 for what is no list, and for too long a list.
pub fn create_many(
    ctx: &Ctx,
    tx: &WriteTx,
    at: InOrganization,
    input: Input<'_>,
) -> Result<Vec<(InviteId, Invite)>> {
    organizations::may_invite(tx, at)?;
    // An empty body equals no entries where it is not JSON at all; a lone object is no array.
    let Value::Array(entries) = input.value? else {
        let detail = "This endpoint needs an array of data for bulk invite creation.";
        return Err(invalid_body("invalid_input", detail));
    };
    if entries.len() > BULK_INVITES_MAX {
        let detail = format!("A maximum of {BULK_INVITES_MAX} invites can be sent in a single request.");
        return Err(invalid_body("max_length", detail));
    }
    let mut forms = Vec::new();
    for (place, entry) in entries.iter().enumerate() {
        let form = Form::check(FIELDS, entry, input.is_text, false);
        forms.push(form.map_err(|error| error.within(place))?);
    }
    let address = |form: &Form| match form.peek(TARGET_EMAIL) {
        Some(Checked::Text(email)) => email.to_lowercase(),
        _ => String::new(),
    };
    let last: HashMap<String, usize> = forms.iter().map(address).zip(0..).collect();
    let mut made = Vec::new();
    for (place, form) in forms.into_iter().enumerate() {
        if last.get(&address(&form)) == Some(&place) {
            let wanted = Wanted::of(form).map_err(|error| error.within(place))?;
            made.push(make(ctx, tx, at, wanted)?);
        }
    }
    Ok(made)
}

/// Takes an invite back: admins any, others their own.
///
/// # Errors
/// 404 where the organization has no such invite; 403 for an invite of somebody else.
pub fn remove(ctx: &Ctx, tx: &WriteTx, at: InOrganization, id: InviteId) -> Result<()> {
    let invite = tx.get(&INVITES, &(at.id, id))?.ok_or_else(not_found)?;
    if !may_remove(ctx, at, &invite)? {
        return Err(denied("Only admins and whoever sent an invite can take it back."));
    }
    end(ctx, tx, &Loaded { organization: at.id, id, invite }, End::TakenBack)
}

/// The open invites of an organization, the oldest first.
///
/// # Errors
/// None but of the data file.
pub fn open_of(tx: &Tx, organization: OrganizationId, now: Time) -> Result<Vec<(InviteId, Invite)>> {
    let mut all = tx.scan(&INVITES, &organization, Order::Ascending)?;
    all.retain(|(_, invite)| !invite.is_expired(now));
    Ok(all.into_iter().map(|((_, id), invite)| (id, invite)).collect())
}

/// Queues the mails of all open invites of an address once more. Nobody learns whether there are any.
///
/// # Errors
/// The storage failed.
pub fn resend(ctx: &Ctx, tx: &WriteTx, email: &str) -> Result<()> {
    for Loaded { organization, id, mut invite } in open_to(tx, email, ctx.now)? {
        if stands(tx, organization, &invite)?
            && outbox::push_invite(ctx, tx, organization, id, &invite, Occasion::Invite)?
            && !invite.emailing_attempt_made
        {
            invite.emailing_attempt_made = true;
            tx.put(&INVITES, &(organization, id), &invite)?;
        }
    }
    Ok(())
}

/// Takes back all open invites of an address, and says which they were.
pub fn take_back_all_to(ctx: &Ctx, tx: &WriteTx, email: &str) -> Result<Vec<Loaded>> {
    let open = open_to(tx, email, ctx.now)?;
    for invite in &open {
        end(ctx, tx, invite, End::TakenBack)?;
    }
    Ok(open)
}

/// Takes back the open invites that a user has sent and could not send any more at this level; with `None`,
/// for who is no member any more, all of them.
pub fn take_back_above(
    ctx: &Ctx,
    tx: &WriteTx,
    organization: OrganizationId,
    sender: UserId,
    level: Option<Level>,
) -> Result<()> {
    for ((_, id), invite) in tx.scan(&INVITES, &organization, Order::Ascending)? {
        if invite.created_by == sender && Some(invite.level) > level && !invite.is_expired(ctx.now) {
            end(ctx, tx, &Loaded { organization, id, invite }, End::TakenBack)?;
        }
    }
    Ok(())
}

/// The address has joined: its invites to this organization are used up. Those of other organizations
/// stay, for joining one is no answer to another.
pub fn on_joined(
    ctx: &Ctx,
    tx: &WriteTx,
    organization: OrganizationId,
    user: UserId,
    email: &str,
) -> Result<()> {
    for (id, invite) in of_address(tx, organization, email)? {
        end(ctx, tx, &Loaded { organization, id, invite }, End::Used(user))?;
    }
    Ok(())
}

fn samples(all: &mut super::samples::Samples) {
    use super::samples::{HASH, NOW, ONE, TWO, text};
    use crate::ids::ProjectId;
    use crate::vault::Sealed;
    all.add(
        &INVITES,
        (ONE.into(), TWO.into()),
        Invite {
            target_email: text("a@example.com"),
            first_name: text("A"),
            level: Level::Admin,
            message: Some(text("m")),
            emailing_attempt_made: true,
            created_by: ONE.into(),
            created_at: NOW,
            updated_at: NOW,
            token: Some(Token { hash: HASH, sealed: Sealed::sample() }),
            private_project_access: vec![ProjectAccess {
                project: ProjectId(7),
                level: Level::Admin,
                is_word: true,
            }],
        },
    );
}
