//! The second factor of a person: setting it up, recovery codes, switching it off.

use std::sync::Arc;

use maud::{Markup, Render, html};

use super::{OWN, require_just_logged_in};
use crate::api::Reply;
use crate::app::session;
use crate::console::form::Form;
use crate::console::page::{Page, page};
use crate::console::parts::{self, Confirm, Tone, code_block, counted, head, notice, secret};
use crate::console::refusal::SET_UP_SECOND_FACTOR;
use crate::console::visit::Visit;
use crate::console::words::{self, Said};
use crate::console::{frame::to, qr};
use crate::error::Result;
use crate::resources::two_factor::{self, STEP};
use crate::store::Tx;

const PATH: &str = "/settings/two-factor";
const CODES: &str = "/settings/two-factor/codes";
const OFF: &str = "/settings/two-factor/off";

pub(super) fn pages() -> Vec<Page> {
    let pages = vec![
        page(PATH, session(), OWN, show).works(set_up),
        page(SET_UP_SECOND_FACTOR, session(), OWN, show_demanded).works(set_up),
        page(CODES, session(), OWN, ask_for_codes).works(renew_codes),
        page(OFF, session(), OWN, ask_to_switch_off).works(switch_off),
    ];
    pages.into_iter().map(Page::without_second_factor).collect()
}

fn show(visit: &Visit, tx: &Tx) -> Result<Reply> {
    match two_factor::recovery_codes_left(tx, visit.user()?)? {
        Some(left) => show_status(visit, tx, left),
        None => {
            let body = setting_up(visit, tx, "A code from your phone is asked for after your password.")?;
            visit.show(tx, "Two-factor", &body)
        }
    }
}

/// The same for whoever goes nowhere without a second factor.
fn show_demanded(visit: &Visit, tx: &Tx) -> Result<Reply> {
    if two_factor::is_enabled(tx, visit.user()?)? {
        return Ok(to(visit.next()));
    }
    let why = "Your organization asks everybody for a second factor. Set it up to go on.";
    let body = setting_up(visit, tx, why)?;
    Ok(visit.show_bare("Two-factor", &body))
}

fn show_status(visit: &Visit, tx: &Tx, left: usize) -> Result<Reply> {
    let left = u64::try_from(left).unwrap_or(u64::MAX);
    let left = format!("{} left.", counted(left, "recovery code is", "recovery codes are"));
    let dangers = [parts::Danger {
        title: "Switch it off",
        text: "Your password alone will open your account. All other sessions end.",
        path: OFF,
        deed: "Switch off",
    }];
    visit.show(
        tx,
        "Two-factor",
        &html! {
            (head("Two-factor", "It is on.", None))
            (parts::section("Recovery codes", html! {
                p { "Each opens your account once when your phone is lost. " (left) }
                p { a.button href=(CODES) { "Make new codes" } }
            }))
            (parts::danger_zone(&dangers))
        },
    )
}

/// The code to scan, its secret in letters, and the field for the first code.
fn setting_up(visit: &Visit, tx: &Tx, why: &str) -> Result<Markup> {
    let shown = two_factor::show_secret(visit, tx)?;
    let groups: Vec<String> =
        shown.secret.as_bytes().chunks(4).map(|group| String::from_utf8_lossy(group).into_owned()).collect();
    let form = Form::new(Some(visit.token()))
        .field(STEP, "token", |control| control.help("Six digits from the app."))
        .refused(visit.refused())
        .button("Switch on");
    Ok(html! {
        (form.summary())
        (head("Two-factor", why, None))
        ol.tasks {
            li { p { "Open an authenticator app on your phone and scan this." }
                @if let Some(code) = qr::svg(&shown.otpauth_url, "QR code of the secret") { (code) } }
            li { p { "Or type the secret into the app:" } (secret("secret", "Secret", &groups.join(" "))) }
            li { p { "Then type the code that the app shows." } (form.render()) }
        }
    })
}

async fn set_up(visit: Arc<Visit>) -> Result<Reply> {
    let code = visit.typed("token").trim().to_owned();
    two_factor::validate(&visit.app, &visit, code).await.map_err(|error| error.about("token"))?;
    let codes = two_factor::new_recovery_codes(&visit.app, &visit, None).await?;
    let next = if visit.path == PATH { PATH } else { visit.next() };
    shown_once(&visit, &codes, next)
}

/// The recovery codes, in the one answer that holds them.
fn shown_once(visit: &Visit, codes: &[String], next: &str) -> Result<Reply> {
    let body = html! {
        (head("Your recovery codes", "Two-factor authentication is on.", None))
        (notice(Tone::Warn, html! { p { "Store them where you find them without your phone. " (words::SHOWN_ONCE) } }))
        (code_block("codes", "Recovery codes", &codes.join("\n")))
        p { "Each opens your account once, in place of a code from the app." }
        p { a.button.primary href=(next) { "I have stored them" } }
    };
    visit.app.store.read(|tx| visit.show(tx, "Your recovery codes", &body))
}

fn ask_for_codes(visit: &Visit, tx: &Tx) -> Result<Reply> {
    require_just_logged_in(visit)?;
    if !two_factor::is_enabled(tx, visit.user()?)? {
        return Ok(to(PATH));
    }
    let confirm = Confirm {
        question: "Make new recovery codes?",
        lost: vec![
            html! { "The codes that you have: they stop working at once." },
            html! { "All your other sessions." },
        ],
        deed: "Make new codes",
        cancel: PATH,
        token: visit.token(),
        ..Confirm::default()
    };
    visit.show(tx, "Recovery codes", &confirm.render())
}

async fn renew_codes(visit: Arc<Visit>) -> Result<Reply> {
    require_just_logged_in(&visit)?;
    let codes = two_factor::new_recovery_codes(&visit.app, &visit, None).await?;
    shown_once(&visit, &codes, PATH)
}

fn ask_to_switch_off(visit: &Visit, tx: &Tx) -> Result<Reply> {
    require_just_logged_in(visit)?;
    if !two_factor::is_enabled(tx, visit.user()?)? {
        return Ok(to(PATH));
    }
    let confirm = Confirm {
        question: "Switch two-factor authentication off?",
        lost: vec![
            html! { "The second factor and its recovery codes: your password alone will open your account." },
            html! { "All your other sessions." },
        ],
        deed: "Switch off",
        cancel: PATH,
        token: visit.token(),
        ..Confirm::default()
    };
    visit.show(tx, "Switch two-factor off", &confirm.render())
}

async fn switch_off(visit: Arc<Visit>) -> Result<Reply> {
    require_just_logged_in(&visit)?;
    two_factor::switch_off(&visit.app, &visit, None).await?;
    Ok(visit.done(PATH, Said::TwoFactorOff))
}
