//! Sends what waits in the outbox, and tries again later what could not be sent.

use std::sync::Arc;
use std::time::Duration;

use lettre::message::{Mailbox, MultiPart};
use lettre::{AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor};
use tracing::{error, info, warn};
use uuid::Uuid;

use crate::app::App;
use crate::clock::Time;
use crate::error::Result;
use crate::resources::outbox::{self, Mail, Outgoing};

type Transport = AsyncSmtpTransport<Tokio1Executor>;

/// Mails of one turn.
const BATCH: usize = 20;
/// The longest time without a look at the outbox.
const NAP_SECONDS_MAX: i64 = 30;
/// How long the mail server may take for each step.
const SMTP_TIME: Duration = Duration::from_secs(20);

/// Checks the mail settings, so that a mistake shows at the start and not with the first invite.
pub fn check(smtp_url: &str, from: &str) -> std::result::Result<(), String> {
    transport(smtp_url)?;
    from.parse::<Mailbox>().map(drop).map_err(|cause| format!("ORGD_MAIL_FROM is not an address: {cause}"))
}

fn transport(url: &str) -> std::result::Result<Transport, String> {
    let builder = Transport::from_url(url)
        .map_err(|cause| format!("ORGD_SMTP_URL is not the address of a mail server: {cause}"))?;
    Ok(builder.timeout(Some(SMTP_TIME)).build())
}

/// Runs as long as the server does; ends at once where no mail server is set.
pub async fn run(app: Arc<App>) {
    let Some(url) = app.config.smtp_url.as_deref() else { return };
    let (transport, from) = match (transport(url), app.config.mail_from.parse::<Mailbox>()) {
        (Ok(transport), Ok(from)) => (transport, from),
        _ => return,
    };
    let mail = app.store.watch(&[outbox::OUTBOX.info()]);
    loop {
        // What is sent while its end can't be written down would be sent again.
        app.store.healed().await;
        let wake = match turn(&app, &transport, &from).await {
            Ok(next) => next,
            Err(cause) => {
                error!(%cause, "the outbox could not be read");
                app.clock.now().plus_seconds(NAP_SECONDS_MAX)
            }
        };
        tokio::select! {
            () = mail.notified() => {}
            () = app.clock.until(wake) => {}
        }
    }
}

/// Sends what is due; says when more will be.
async fn turn(app: &Arc<App>, transport: &Transport, from: &Mailbox) -> Result<Time> {
    let now = app.clock.now();
    let (due, next) = app.store.read(|tx| outbox::due(tx, now, BATCH))?;
    let all_sent = due.len() < BATCH;
    for (id, mail) in due {
        send(app, transport, from, id, mail).await?;
    }
    if !all_sent {
        return Ok(now);
    }
    let nap_end = now.plus_seconds(NAP_SECONDS_MAX);
    Ok(next.map_or(nap_end, |next| next.min(nap_end)))
}

async fn send(app: &Arc<App>, transport: &Transport, from: &Mailbox, id: Uuid, mail: Mail) -> Result<()> {
    let outcome = match app.store.read(|tx| outbox::outgoing(tx, &app.vault, id))? {
        Outgoing::Gone => return Ok(()),
        Outgoing::Unreadable => Err("its invite's link was sealed with another secret key".to_owned()),
        Outgoing::Ready(mail) => message(from, &mail),
    };
    let outcome = match outcome {
        Ok(message) => transport.send(message).await.map(drop).map_err(|cause| {
            let for_good = cause.is_permanent();
            (for_good, cause.to_string())
        }),
        Err(cause) => Err((true, cause)),
    };
    let done = match &outcome {
        Ok(()) => {
            info!(mail = %id, attempt = mail.attempts + 1, "a mail was sent");
            true
        }
        Err((for_good, cause)) => {
            warn!(mail = %id, attempt = mail.attempts + 1, for_good, %cause, "a mail could not be sent");
            *for_good
        }
    };
    let now = app.clock.now();
    app.store.write(move |tx| outbox::settle(tx, id, done, now)).await
}

fn message(from: &Mailbox, mail: &Mail) -> std::result::Result<Message, String> {
    let to: Mailbox = mail.to.parse().map_err(|cause| format!("the address is unusable: {cause}"))?;
    Message::builder()
        .from(from.clone())
        .to(to)
        .subject(&mail.subject)
        .multipart(MultiPart::alternative_plain_html(mail.text.clone(), mail.html.clone()))
        .map_err(|cause| format!("the mail could not be put together: {cause}"))
}
