//! Mails that wait to be sent. A row is written in the same transaction as what it tells of; the
//! mailer sends it after the commit, and tries again until it is sent or too old.

use serde::{Deserialize, Serialize};

use super::invites::Invite;
use super::{Resource, invites, organizations, trusted_time, users};
use crate::api::Ctx;
use crate::backoff::Backoff;
use crate::clock::Time;
use crate::error::Result;
use crate::ids::{InviteId, MailId, OrganizationId};
use crate::store::{Parent, Table, Tx, WriteTx};
use crate::vault::Vault;

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

pub static RESOURCE: Resource = Resource::inner().tables(&[&OUTBOX]).samples(samples);

/// Mails are given up after this.
pub const MAIL_SECONDS: i64 = 3 * 24 * 60 * 60;
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
    if ctx.config.smtp_url.is_none() {
        return Ok(false);
    }
    let link = invite_link(ctx, &id.to_string());
    let name = organizations::find(tx, organization)?.name;
    let inviter = users::find(tx, invite.created_by)?;
    let greeting = match invite.first_name.as_str() {
        "" => "Hello,".to_owned(),
        first_name => format!("Hello {first_name},"),
    };
    let who = format!("{} ({})", inviter.first_name, inviter.email);
    let (subject, who) = match occasion {
        Occasion::Invite => (
            format!("{} invites you to {name}", inviter.first_name),
            format!("{who} invites you to join {name}."),
        ),
        Occasion::Delegation => (
            format!("{} asks you to finish the set-up of {name}", inviter.first_name),
            format!("{who} asks you to join {name} as an administrator and to finish its set-up."),
        ),
    };
    let message = invite.message.as_deref().unwrap_or_default();
    let until = "The link is good for three days.";
    push(
        ctx,
        tx,
        // The mail is found again by the identifier of its invite.
        MailId(id.0),
        &invite.target_email,
        subject,
        &[&greeting, &who, message, until],
        Some(("Join", &link)),
    )?;
    Ok(true)
}

/// Queues a mail that tells a member of a new one.
pub fn push_joined(ctx: &Ctx, tx: &WriteTx, to: &str, newcomer: &str, organization: &str) -> Result<()> {
    if ctx.config.smtp_url.is_none() {
        return Ok(());
    }
    let subject = format!("{newcomer} joined {organization}");
    let sentence = format!("{newcomer} has joined {organization}.");
    push(ctx, tx, ctx.new_id(), to, subject, &["Hello,", &sentence], Some(("Open", &site(ctx))))
}

fn push(
    ctx: &Ctx,
    tx: &WriteTx,
    id: MailId,
    to: &str,
    subject: String,
    paragraphs: &[&str],
    link: Option<(&str, &str)>,
) -> Result<()> {
    let mut text = String::new();
    let mut html = String::from("<!doctype html><html><body>");
    for paragraph in paragraphs.iter().filter(|paragraph| !paragraph.is_empty()) {
        text.push_str(paragraph);
        text.push_str("\n\n");
        html.push_str(&format!("<p>{}</p>", escaped(paragraph)));
    }
    if let Some((word, address)) = link {
        text.push_str(address);
        text.push('\n');
        html.push_str(&format!("<p><a href=\"{}\">{word}</a></p>", escaped(address)));
    }
    html.push_str("</body></html>");
    let subject = subject.replace(['\r', '\n'], " ");
    let mail = Mail {
        to: to.into(),
        subject,
        text,
        html,
        created_at: ctx.now,
        attempts: 0,
        next_attempt_at: ctx.now,
    };
    Ok(tx.put(&OUTBOX, &id, &mail)?)
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
        .replace('\n', "<br>")
}

fn site(ctx: &Ctx) -> String {
    let site = ctx.config.site_url.as_deref().unwrap_or(&ctx.origin);
    site.trim_end_matches('/').to_owned()
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
    /// The token of its invite was sealed with another key.
    Unreadable,
}

/// Makes a mail ready to be sent: an invite's link gets its token.
pub fn outgoing(tx: &Tx, vault: &Vault, id: MailId) -> Result<Outgoing> {
    let Some(mut mail) = tx.get(&OUTBOX, &id)? else { return Ok(Outgoing::Gone) };
    let invite_id = InviteId(id.0);
    let Some(invite) = invites::of_mail(tx, &mail.to, invite_id)? else { return Ok(Outgoing::Ready(mail)) };
    let Some(token) = invite.open_token(vault, invite_id) else { return Ok(Outgoing::Unreadable) };
    let (stored, real) = (format!("/signup/{id}"), format!("/signup/{token}"));
    mail.text = mail.text.replace(&stored, &real);
    mail.html = mail.html.replace(&stored, &real);
    Ok(Outgoing::Ready(mail))
}

/// A try at a mail that was queued at `queued_at` is over: it is gone, or waits for its next turn. One that was queued
/// again meanwhile stays as it is.
pub fn settle(tx: &WriteTx, id: MailId, queued_at: Time, sent: bool, now: Time) -> Result<()> {
    let Some(mut mail) = tx.get(&OUTBOX, &id)?.filter(|mail| mail.created_at == queued_at) else {
        return Ok(());
    };
    let too_old = mail.created_at.plus_seconds(MAIL_SECONDS) <= trusted_time::of(tx, now)?;
    if sent || too_old {
        return Ok(tx.delete(&OUTBOX, &id)?);
    }
    mail.next_attempt_at = RETRY.retry_at(now, mail.attempts);
    mail.attempts += 1;
    Ok(tx.put(&OUTBOX, &id, &mail)?)
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
}
