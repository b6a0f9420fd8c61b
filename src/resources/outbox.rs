//! Mails that wait to be sent. A row is written in the same transaction as what it tells of; the
//! mailer sends it after the commit, and tries again until it is sent or too old.
//! Invariant: no token lies open here. A link holds the mail's identifier in its place until it is sent; the token lies
//! sealed beside it, or with its invite.

mod letters;

use serde::{Deserialize, Serialize};

use super::invites::Invite;
use super::{Resource, invites, members, organizations, trusted_time, users};
use crate::api::Ctx;
use crate::backoff::Backoff;
use crate::clock::Time;
use crate::config::INVITE_SECONDS;
use crate::error::{Result, not_found};
use crate::ids::{InviteId, MailId, OrganizationId};
use crate::metrics;
use crate::store::{Parent, Table, Tx, WriteTx};
use crate::vault::{Sealed, Vault};
use letters::Part;
pub use letters::{Letter, Occurred};

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Mail {
    pub to: String,
    pub subject: String,
    pub text: String,
    pub html: String,
    pub created_at: Time,
    pub attempts: u32,
    pub next_attempt_at: Time,
}

/// By identifier, so in the order of their making. The mail of an invite has the invite's.
pub static OUTBOX: Table<MailId, Mail> =
    Table::new("outbox").belongs_to(&[&Parent::of(&invites::INVITES, |(_, id)| *id).optional()]);

/// What else is known of a mail that waits.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Note {
    /// The token of its link, sealed for this mail.
    token: Option<Sealed>,
    /// Why the last try failed.
    last_error: Option<String>,
}

static NOTES: Table<MailId, Note> = Table::new("outbox_notes").belongs_to(&[&Parent::of(&OUTBOX, |id| *id)]);

/// A mail that was given up, without what it said.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Failed {
    pub to: String,
    pub subject: String,
    pub queued_at: Time,
    pub failed_at: Time,
    pub tries: u32,
    /// What the mail server said last.
    pub error: String,
}

/// By the identifier of the mail.
static FAILED: Table<MailId, Failed> = Table::new("outbox_failed").harmless();

pub static RESOURCE: Resource =
    Resource::inner().tables(&[&OUTBOX, &NOTES, &FAILED]).samples(samples).seals(&[show_sealed]);

/// Mails are given up after this.
pub const MAIL_SECONDS: i64 = 3 * 24 * 60 * 60;
/// So long, and so many at most, are failed mails shown to the operator.
const FAILED_SECONDS: i64 = 7 * 24 * 60 * 60;
const FAILED_MAX: usize = 1000;
/// The first retry comes after this, each later one after twice the wait, up to the longest.
const RETRY: Backoff = Backoff { first: 30.0, factor: 2.0, max: 3600.0 };

/// What somebody who is invited follows.
pub fn invite_link(ctx: &Ctx, token: &str) -> String {
    format!("{}/signup/{token}", site(ctx))
}

/// Why somebody is invited.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Occasion {
    Invite,
    /// To finish the set-up of the organization.
    Delegation,
}

/// Queues the mail of an invite; false without a mail server. While it waits, its link holds the invite's id in
/// place of the token, so that the data file holds no token in the clear.
pub fn push_invite(
    ctx: &Ctx,
    tx: &WriteTx,
    organization: OrganizationId,
    id: InviteId,
    invite: &Invite,
    occasion: Occasion,
) -> Result<bool> {
    let inviter = users::find(tx, invite.created_by)?;
    let letter = Letter::Invite {
        inviter: &inviter.full_name(),
        inviter_email: &inviter.email,
        organization: &organizations::find(tx, organization)?.name,
        level: members::label(invite.level),
        message: invite.message.as_deref().unwrap_or_default(),
        is_delegation: occasion == Occasion::Delegation,
        until: invite.created_at.plus_seconds(INVITE_SECONDS),
        path: format!("/signup/{id}"),
    };
    let to = Recipient { email: &invite.target_email, first_name: &invite.first_name };
    // The mail is found again by the identifier of its invite.
    queue(ctx, tx, MailId(id.0), to, &letter)
}

/// Whom a mail is for.
#[derive(Clone, Copy)]
pub struct Recipient<'a> {
    pub email: &'a str,
    pub first_name: &'a str,
}

impl users::User {
    /// The user, under their address.
    pub fn recipient(&self) -> Recipient<'_> {
        Recipient { email: &self.email, first_name: &self.first_name }
    }
}

/// Whether this server sends mails.
pub fn is_on(ctx: &Ctx) -> bool {
    ctx.config.sends_mail()
}

/// Queues a mail; does nothing without a mail server.
///
/// # Errors
/// None but of the data file.
pub fn push(ctx: &Ctx, tx: &WriteTx, to: Recipient<'_>, letter: &Letter<'_>) -> Result<()> {
    queue(ctx, tx, ctx.new_id(), to, letter).map(drop)
}

/// Queues a mail whose link ends with a token, which waits sealed; does nothing without a mail server. `letter` makes
/// the mail of what stands for the token meanwhile.
///
/// # Errors
/// 503 where nothing can be sealed.
pub fn push_with_token<'a>(
    ctx: &Ctx,
    tx: &WriteTx,
    to: Recipient<'_>,
    token: &str,
    letter: impl FnOnce(MailId) -> Letter<'a>,
) -> Result<()> {
    let id: MailId = ctx.new_id();
    if queue(ctx, tx, id, to, &letter(id))? {
        let token = Some(ctx.vault.seal(&ctx.ids, &purpose(id), token)?);
        tx.put(&NOTES, &id, &Note { token, last_error: None })?;
    }
    Ok(())
}

/// A sealed token opens for its own mail only.
fn purpose(id: MailId) -> Vec<u8> {
    [b"mail".as_slice(), id.0.as_bytes()].concat()
}

/// Queues a mail under this identifier, where it may wait already; false without a mail server.
fn queue(ctx: &Ctx, tx: &WriteTx, id: MailId, to: Recipient<'_>, letter: &Letter<'_>) -> Result<bool> {
    if !is_on(ctx) {
        return Ok(false);
    }
    let site = site(ctx);
    let host = site.split_once("://").map_or(site.as_str(), |(_, host)| host);
    let greeting = match to.first_name {
        "" => "Hello,".to_owned(),
        first_name => format!("Hello {},", letters::plain(first_name)),
    };
    let mut parts = vec![Part::Line(greeting)];
    parts.extend(letter.parts(host));
    let mail = Mail {
        to: to.email.into(),
        subject: letter.subject(),
        text: text_of(&parts, &site),
        html: html_of(&parts, &site),
        created_at: ctx.now,
        attempts: 0,
        next_attempt_at: ctx.now,
    };
    tx.delete(&NOTES, &id)?;
    tx.put(&OUTBOX, &id, &mail)?;
    Ok(true)
}

fn text_of(parts: &[Part], site: &str) -> String {
    let mut text = String::new();
    for part in parts {
        match part {
            Part::Line(line) => text.push_str(line),
            Part::Quote(quote) => {
                text.push_str(&quote.lines().map(|line| format!("> {line}")).collect::<Vec<_>>().join("\n"));
            }
            Part::Link(_, path) => text.push_str(&format!("{site}{path}")),
        }
        text.push_str("\n\n");
    }
    text
}

fn html_of(parts: &[Part], site: &str) -> String {
    let mut html = String::from("<!doctype html><html><body>");
    for part in parts {
        html.push_str(&match part {
            Part::Line(line) => format!("<p>{}</p>", escaped(line)),
            Part::Quote(quote) => format!("<blockquote>{}</blockquote>", escaped(quote)),
            Part::Link(word, path) => {
                format!("<p><a href=\"{}\">{word}</a></p>", escaped(&format!("{site}{path}")))
            }
        });
    }
    html.push_str("</body></html>");
    html
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
        .replace('\n', "<br>")
}

/// The address under which people reach this server.
pub fn site(ctx: &Ctx) -> String {
    let site = ctx.config.site_url.as_deref().unwrap_or(&ctx.origin);
    site.trim_end_matches('/').to_owned()
}

/// A mail that waits, without what it says: that may open something.
pub struct Waiting {
    pub id: MailId,
    pub to: String,
    pub subject: String,
    pub queued_at: Time,
    pub tries: u32,
    pub last_error: Option<String>,
    pub next_try_at: Time,
}

/// All mails that wait, oldest first.
///
/// # Errors
/// None but of the data file.
pub fn waiting(tx: &Tx) -> Result<Vec<Waiting>> {
    let mails = tx.all(&OUTBOX)?.into_iter().map(|(id, mail)| {
        Ok(Waiting {
            id,
            to: mail.to,
            subject: mail.subject,
            queued_at: mail.created_at,
            tries: mail.attempts,
            last_error: tx.get(&NOTES, &id)?.and_then(|note| note.last_error),
            next_try_at: mail.next_attempt_at,
        })
    });
    mails.collect()
}

/// How many mails wait, and how many were given up in the last days. Reads none.
///
/// # Errors
/// None but of the data file.
pub fn counts(tx: &Tx) -> Result<(u64, u64)> {
    Ok((tx.len(&OUTBOX.info())?, tx.len(&FAILED.info())?))
}

/// The mails that were given up in the last days, newest first.
///
/// # Errors
/// None but of the data file.
pub fn failed(tx: &Tx) -> Result<Vec<(MailId, Failed)>> {
    let mut all = tx.all(&FAILED)?;
    all.sort_by_key(|(_, mail)| std::cmp::Reverse(mail.failed_at));
    Ok(all)
}

/// Queues a mail to the calling operator, which shows whether mail arrives.
///
/// # Errors
/// 403 for whoever is not the operator.
pub fn push_test(ctx: &Ctx, tx: &WriteTx) -> Result<()> {
    users::require_operator(ctx, tx)?;
    let user = users::find(tx, ctx.user()?)?;
    push(ctx, tx, user.recipient(), &Letter::Test)
}

/// Lets a mail that waits be tried now. For the operator.
///
/// # Errors
/// 404 where there is none.
pub fn retry(ctx: &Ctx, tx: &WriteTx, id: MailId) -> Result<()> {
    users::require_operator(ctx, tx)?;
    let mail = tx.get(&OUTBOX, &id)?.ok_or_else(not_found)?;
    Ok(tx.put(&OUTBOX, &id, &Mail { next_attempt_at: ctx.now, ..mail })?)
}

/// Gives a mail up that waits, or forgets one that was given up. For the operator.
///
/// # Errors
/// 404 where there is none.
pub fn remove(ctx: &Ctx, tx: &WriteTx, id: MailId) -> Result<()> {
    users::require_operator(ctx, tx)?;
    if tx.get(&FAILED, &id)?.is_some() {
        return Ok(tx.delete(&FAILED, &id)?);
    }
    tx.get(&OUTBOX, &id)?.ok_or_else(not_found)?;
    Ok(tx.delete(&OUTBOX, &id)?)
}

/// Mails whose turn has come, and when the next one's comes.
pub type Due = (Vec<(MailId, Mail)>, Option<Time>);

/// The mails whose turn has come, oldest first, `limit` at most.
pub fn due(tx: &Tx, now: Time, limit: usize) -> Result<Due> {
    let (due, later): (Vec<_>, Vec<_>) =
        tx.all(&OUTBOX)?.into_iter().partition(|(_, mail)| mail.next_attempt_at <= now);
    let next = later.iter().map(|(_, mail)| mail.next_attempt_at).min();
    Ok((due.into_iter().take(limit).collect(), next))
}

/// A mail that is due, as it is sent.
pub enum Outgoing {
    Ready(Mail),
    /// Its invite was taken back meanwhile.
    Gone,
    /// The token of its link was sealed with another key.
    Unreadable,
}

/// Makes a mail ready to be sent: its link gets its token.
pub fn outgoing(tx: &Tx, vault: &Vault, id: MailId) -> Result<Outgoing> {
    let Some(mut mail) = tx.get(&OUTBOX, &id)? else { return Ok(Outgoing::Gone) };
    let invite_id = InviteId(id.0);
    let token = match invites::of_mail(tx, &mail.to, invite_id)? {
        Some(invite) => invite.open_token(vault, invite_id),
        None => match tx.get(&NOTES, &id)?.and_then(|note| note.token) {
            Some(sealed) => vault.open(&purpose(id), &sealed),
            None => return Ok(Outgoing::Ready(mail)),
        },
    };
    let Some(token) = token else { return Ok(Outgoing::Unreadable) };
    let stored = format!("/{id}");
    let real = format!("/{token}");
    mail.text = mail.text.replace(&stored, &real);
    mail.html = mail.html.replace(&stored, &real);
    Ok(Outgoing::Ready(mail))
}

/// Shows the sealed token of every mail.
fn show_sealed(tx: &Tx, look: super::secrets::Look<'_>) -> Result<()> {
    for (id, note) in tx.all(&NOTES)? {
        if let Some(token) = &note.token {
            look(&purpose(id), token);
        }
    }
    Ok(())
}

/// How a try at a mail ended.
#[derive(Clone, Debug)]
pub enum Tried {
    Sent,
    /// Why it is not tried again.
    Refused(String),
    /// Why it is to be tried again.
    Failed(String),
}

/// A try at a mail that was queued at `queued_at` is over: it is gone, or waits for its next turn. One that was queued
/// again meanwhile stays as it is.
pub fn settle(tx: &WriteTx, id: MailId, queued_at: Time, tried: &Tried, now: Time) -> Result<()> {
    const ERROR_CHARS_MAX: usize = 300;
    let Some(mut mail) = tx.get(&OUTBOX, &id)?.filter(|mail| mail.created_at == queued_at) else {
        return Ok(());
    };
    let too_old = mail.created_at.plus_seconds(MAIL_SECONDS) <= trusted_time::of(tx, now)?;
    let (counter, failure) = match tried {
        Tried::Sent => (&metrics::MAILS_SENT, None),
        Tried::Failed(cause) if !too_old => (&metrics::MAILS_POSTPONED, Some((cause, false))),
        Tried::Failed(cause) | Tried::Refused(cause) => (&metrics::MAILS_REFUSED, Some((cause, true))),
    };
    tx.tally(counter, 1);
    let Some((cause, is_over)) = failure else { return Ok(tx.delete(&OUTBOX, &id)?) };
    let cause: String = cause.chars().take(ERROR_CHARS_MAX).collect();
    mail.attempts += 1;
    if is_over {
        return give_up(tx, id, mail, cause, now);
    }
    mail.next_attempt_at = RETRY.retry_at(now, mail.attempts - 1);
    tx.put(&OUTBOX, &id, &mail)?;
    let mut note = tx.get(&NOTES, &id)?.unwrap_or_default();
    note.last_error = Some(cause);
    Ok(tx.put(&NOTES, &id, &note)?)
}

/// Puts a mail with the failed ones, and forgets those that are older than they are of use.
fn give_up(tx: &WriteTx, id: MailId, mail: Mail, error: String, now: Time) -> Result<()> {
    tx.delete(&OUTBOX, &id)?;
    let failed = Failed {
        to: mail.to,
        subject: mail.subject,
        queued_at: mail.created_at,
        failed_at: now,
        tries: mail.attempts,
        error,
    };
    tx.put(&FAILED, &id, &failed)?;
    let all = tx.all(&FAILED)?;
    let beyond = all.len().saturating_sub(FAILED_MAX);
    for (place, (old, mail)) in all.into_iter().enumerate() {
        if place < beyond || mail.failed_at.plus_seconds(FAILED_SECONDS) < now {
            tx.delete(&FAILED, &old)?;
        }
    }
    Ok(())
}

fn samples(all: &mut super::samples::Samples) {
    use super::samples::{NOW, ONE, text};
    all.add(
        &OUTBOX,
        ONE.into(),
        Mail {
            to: text("a@example.com"),
            subject: text("s"),
            text: text("t"),
            html: text("h"),
            created_at: NOW,
            attempts: 2,
            next_attempt_at: NOW,
        },
    );
    let failed = Failed {
        to: text("a@example.com"),
        subject: text("s"),
        queued_at: NOW,
        failed_at: NOW,
        tries: 3,
        error: text("550 no"),
    };
    all.add(&FAILED, ONE.into(), failed);
    all.add(&NOTES, ONE.into(), Note { token: Some(Sealed::sample()), last_error: Some(text("e")) });
}
