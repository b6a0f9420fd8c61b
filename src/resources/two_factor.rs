//! The second factor: a time-based code (RFC 6238) from the user's own device, and recovery codes for
//! when that is lost.
//! Holds always: a code opens one log-in at most, a recovery code as well; of recovery codes only the
//! SHA-256 is stored.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use totp_rs::{Algorithm, Builder, Secret, Totp};
use uuid::Uuid;

use super::check::expect;
use super::{sessions, users};
use crate::api::{Call, Field, Reply, Route, Within, public, read, session, steps, write};
use crate::app::App;
use crate::auth::hash;
use crate::clock::Time;
use crate::error::{Error, Result, invalid_body};
use crate::store::{Problems, Table, Tx, WriteTx};

pub fn rows() -> Vec<Route> {
    let at = |tail: &str| format!("/api/users/{{uuid}}/two_factor_{tail}/");
    vec![
        // A GET that writes, as clients of PostHog know it.
        Route::get(at("start_setup"), session(), Within::Nothing, write(start_setup)).gives(200, SETUP),
        Route::post(at("start_setup"), session(), Within::Nothing, write(start_setup)).gives(200, SETUP),
        Route::post(at("validate"), session(), Within::Nothing, write(validate))
            .takes(TOKEN)
            .gives(200, SUCCESS),
        Route::get(at("status"), session(), Within::Nothing, read(status)).gives(200, STATUS),
        Route::post(at("backup_codes"), session(), Within::Nothing, write(new_recovery_codes))
            .gives(200, CODES),
        Route::post(at("disable"), session(), Within::Nothing, write(disable)).gives(200, SUCCESS),
        Route::post("/api/login/token/", public(), Within::Nothing, steps(log_in))
            .takes(TOKEN)
            .gives(200, SUCCESS),
    ]
}

type Key = [u8; 20];

/// What a user has set up.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct TwoFactor {
    /// A secret that was shown but not proved yet.
    pending: Option<Key>,
    device: Option<Device>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Device {
    secret: Key,
    confirmed_at: Time,
    /// The time step of the last code that was taken; neither it nor an older one is taken again.
    last_step: u64,
    recovery_codes: Vec<[u8; 32]>,
}

/// By user.
pub(super) const DEVICES: Table<Uuid, TwoFactor> = Table::new("two_factor");

const STEP_SECONDS: u64 = 30;
/// Codes of one step before and behind are taken too: clocks differ.
const SKEW_STEPS: u16 = 1;
const RECOVERY_CODES: usize = 10;
/// How long after the password the code may come.
const LOG_IN_SECONDS: i64 = 10 * 60;

const TOKEN: &[Field] = &[Field::text("token", 50).required().write_only()];
const SUCCESS: &[Field] = &[Field::boolean("success").read_only()];
const SETUP: &[Field] = &[
    Field::boolean("success").read_only(),
    Field::text("secret", 50).read_only(),
    Field::text("otpauth_url", 1000).read_only(),
];
const STATUS: &[Field] = &[
    Field::boolean("is_enabled").read_only(),
    Field::texts("backup_codes", None).read_only(),
    Field::integer("backup_codes_left", 0, i64::MAX).read_only(),
    Field::text("method", 10).nullable().read_only(),
];
const CODES: &[Field] = &[Field::texts("backup_codes", None).read_only()];

#[derive(Serialize)]
struct Success {
    success: bool,
}

#[derive(Serialize)]
struct Setup {
    success: bool,
    secret: String,
    otpauth_url: String,
}

#[derive(Serialize)]
struct Status {
    is_enabled: bool,
    /// Codes are shown once, when they are made.
    backup_codes: [(); 0],
    backup_codes_left: usize,
    method: Option<&'static str>,
}

#[derive(Serialize)]
struct Codes {
    backup_codes: Vec<String>,
}

/// Shows a new secret for the user's authenticator app.
fn start_setup(call: &Call, tx: &WriteTx) -> Result<Reply> {
    let user = users::own(call)?;
    sessions::fresh(call)?;
    let mut record = of(tx, user)?;
    if record.device.is_some() {
        return Err(invalid_body("2fa_already_enabled", "2FA is enabled already. Disable it first."));
    }
    let key = call.ids.bytes();
    record.pending = Some(key);
    tx.put(&DEVICES, &user, &record)?;
    let totp = totp(key, &users::find(tx, user)?.email)?;
    let otpauth_url = totp.to_url().map_err(unusable)?;
    Reply::ok(&Setup { success: true, secret: totp.secret().to_base32(), otpauth_url })
}

/// A first code proves that the app has the secret.
fn validate(call: &Call, tx: &WriteTx) -> Result<Reply> {
    let user = users::own(call)?;
    sessions::fresh(call)?;
    let token: String = call.form(TOKEN)?.take("token").unwrap_or_default();
    let mut record = of(tx, user)?;
    let step = match record.pending {
        Some(key) => step_of(key, &token, call.now)?.map(|step| (key, step)),
        None => None,
    };
    let Some((secret, last_step)) = step else {
        return Err(invalid_body("token_invalid", "Token is not valid"));
    };
    let device = Device { secret, confirmed_at: call.now, last_step, recovery_codes: Vec::new() };
    record = TwoFactor { pending: None, device: Some(device) };
    tx.put(&DEVICES, &user, &record)?;
    sessions::second_step_done_by(call, tx, user)?;
    Reply::ok(&Success { success: true })
}

fn status(call: &Call, tx: &Tx) -> Result<Reply> {
    let device = of(tx, users::own(call)?)?.device;
    Reply::ok(&Status {
        is_enabled: device.is_some(),
        backup_codes: [],
        backup_codes_left: device.as_ref().map_or(0, |device| device.recovery_codes.len()),
        method: device.map(|_| "TOTP"),
    })
}

/// New recovery codes, in place of all older ones.
fn new_recovery_codes(call: &Call, tx: &WriteTx) -> Result<Reply> {
    const ALPHABET: &[u8] = b"abcdefghijkmnpqrstuvwxyz23456789";
    let (user, mut device) = proved(call, tx)?;
    let codes: Vec<String> = (0..RECOVERY_CODES).map(|_| call.ids.letters(ALPHABET, 10)).collect();
    device.recovery_codes = codes.iter().map(|code| hash(code)).collect();
    tx.put(&DEVICES, &user, &TwoFactor { pending: None, device: Some(device) })?;
    Reply::ok(&Codes { backup_codes: codes })
}

fn disable(call: &Call, tx: &WriteTx) -> Result<Reply> {
    let (user, _) = proved(call, tx)?;
    tx.delete(&DEVICES, &user)?;
    Reply::ok(&Success { success: true })
}

/// The caller's device, if he has shown lately, and with both factors, that he is who he says.
fn proved(call: &Call, tx: &Tx) -> Result<(Uuid, Device)> {
    let user = users::own(call)?;
    sessions::fresh(call)?;
    let device = of(tx, user)?.device;
    let device = device.ok_or_else(|| invalid_body("2fa_not_enabled", "2FA must be enabled first"))?;
    if !sessions::is_second_step_done(call)? {
        return Err(verification_required());
    }
    Ok((user, device))
}

/// 403 for a session that gave no code though its user has a device.
pub fn verification_required() -> Error {
    Error::Denied { code: "two_factor_verification_required", detail: "2FA verification required".into() }
}

/// 403 for a session whose user has no device though an organization demands one.
pub fn setup_required() -> Error {
    Error::Denied { code: "two_factor_setup_required", detail: "2FA setup required".into() }
}

/// The second step of a log-in: a code of the device, or a recovery code.
async fn log_in(app: Arc<App>, call: Arc<Call>) -> Result<Reply> {
    let token: String = call.form(TOKEN)?.take("token").unwrap_or_default();
    let user = app.store.read(|tx| awaited(&call, tx))?;
    if app.config.lock_out() && app.throttles.second_step(user, call.now).is_err() {
        return Err(invalid_body("2fa_too_many_attempts", "Too many attempts."));
    }
    let write = app.store.write(move |tx| {
        let user = awaited(&call, tx)?;
        if !take(tx, user, &token, call.now)? {
            return Err(invalid_body("2fa_invalid", "Invalid authentication code"));
        }
        sessions::complete(&call, tx, user, Reply::ok(&Success { success: true })?)
    });
    let reply = write.await;
    if reply.is_ok() {
        app.throttles.second_step_worked(user);
    }
    reply
}

/// The user whose code the session of this call waits for.
fn awaited(call: &Call, tx: &Tx) -> Result<Uuid> {
    let expired = "Login attempt has expired. Re-enter username/password.";
    let earliest = call.now.plus_seconds(-LOG_IN_SECONDS);
    sessions::awaiting_second_step(call, tx, earliest)?.ok_or_else(|| invalid_body("2fa_expired", expired))
}

/// Takes a code, once.
fn take(tx: &WriteTx, user: Uuid, token: &str, now: Time) -> Result<bool> {
    let Some(mut device) = of(tx, user)?.device else { return Ok(false) };
    let token: String = token.chars().filter(|letter| !letter.is_whitespace()).collect();
    let hashed = hash(&token.to_lowercase());
    if let Some(step) = step_of(device.secret, &token, now)?.filter(|step| *step > device.last_step) {
        device.last_step = step;
    } else if let Some(place) = device.recovery_codes.iter().position(|code| *code == hashed) {
        device.recovery_codes.remove(place);
    } else {
        return Ok(false);
    }
    tx.put(&DEVICES, &user, &TwoFactor { pending: None, device: Some(device) })?;
    Ok(true)
}

fn totp(key: Key, account: &str) -> Result<Totp> {
    Builder::new()
        .with_algorithm(Algorithm::SHA1)
        .with_digits(6)
        .with_skew(SKEW_STEPS)
        .with_step_duration(STEP_SECONDS)
        .with_secret(Secret::new_stack(key))
        .with_account_name(account)
        .with_issuer(Some("orgd"))
        .build()
        .map_err(unusable)
}

fn unusable(cause: totp_rs::TotpError) -> Error {
    Error::Internal(format!("a second factor is unusable: {cause}"))
}

/// The time step that the code belongs to, if it is one of now.
fn step_of(key: Key, token: &str, now: Time) -> Result<Option<u64>> {
    let seconds = u64::try_from(now.unix_seconds()).unwrap_or(0);
    Ok(totp(key, "")?.check(token, seconds))
}

fn of(tx: &Tx, user: Uuid) -> Result<TwoFactor> {
    Ok(tx.get(&DEVICES, &user)?.unwrap_or_default())
}

/// Whether the user logs in with a second factor.
pub fn is_enabled(tx: &Tx, user: Uuid) -> Result<bool> {
    Ok(of(tx, user)?.device.is_some())
}

/// Takes the second factor from a user who has lost it; the operator's help.
pub fn remove(tx: &WriteTx, user: Uuid) -> Result<()> {
    Ok(tx.delete(&DEVICES, &user)?)
}

/// What must hold of this table.
pub(super) fn check(tx: &Tx, problems: &mut Problems) -> Result<()> {
    for (user, _) in tx.all(&DEVICES)? {
        expect(problems, users::get(tx, user)?.is_some(), || {
            format!("a second factor belongs to no user: {user}")
        });
    }
    Ok(())
}

/// Everything that can be set up, for the test of the stored bytes.
#[cfg(test)]
pub(super) fn sample(now: Time) -> TwoFactor {
    let device =
        Device { secret: [7; 20], confirmed_at: now, last_step: 57_613_231, recovery_codes: vec![[8; 32]] };
    TwoFactor { pending: Some([9; 20]), device: Some(device) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first test vector of RFC 6238, cut to six digits.
    #[test]
    fn codes_are_those_of_the_standard() {
        let key = *b"12345678901234567890";
        let at = |seconds: i64| Time(seconds * crate::clock::SECOND_MICROS);
        assert_eq!(step_of(key, "287082", at(59)).unwrap(), Some(1));
        assert_eq!(step_of(key, "287082", at(89)).unwrap(), Some(1));
        assert_eq!(step_of(key, "287082", at(90)).unwrap(), None);
        assert_eq!(step_of(key, "287083", at(59)).unwrap(), None);
        for odd in ["", "28708", "2870820", "abcdef", "２８７０８２"] {
            assert_eq!(step_of(key, odd, at(59)).unwrap(), None, "{odd}");
        }
    }
}
