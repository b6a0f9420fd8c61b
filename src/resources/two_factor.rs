//! The second factor: a time-based code (RFC 6238) from the user's own device, and recovery codes for
//! when that is lost.
//! Invariant: a code opens one log-in at most, a recovery code as well; of recovery codes only the
//! SHA-256 is stored, and the secret that codes are made of is sealed. A change of the second factor takes
//! the password, given just now, and ends what was begun with the old one.

mod flows;

use std::sync::Arc;

use hmac::{Hmac, Mac};
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use totp_rs::{Algorithm, Builder, Secret, Totp};

use super::outbox::Letter;
use super::sessions::{self, Browser};
use super::users::{self, Happening};
use super::{Resource, status};
use crate::api::{Call, Ctx, Field, FieldInfo, Reply, Within};
use crate::app::{App, Route, Tag, async_, public, read, session, tagged};
use crate::auth::{cookies, hash, password};
use crate::clock::{Ids, Time};
use crate::error::{Error, Result, invalid_body};
use crate::ids::UserId;
use crate::store::{Parent, Table, Tx, WriteTx};
use crate::vault::{Sealed, Vault};

pub use flows::{
    NewSecret, is_awaited, log_in, log_in_again, new_recovery_codes, new_secret, show_secret, switch_off,
    validate,
};

pub static RESOURCE: Resource =
    Resource::of(routes).tables(&[&DEVICES]).samples(samples).seals(&[show_sealed]);

fn routes() -> Vec<Route> {
    const TAG: Tag = Tag {
        name: "two_factor",
        noun: "two-factor",
        about: "The second step of a log-in: codes from an authenticator app, and recovery codes.",
    };

    let at = |tail: &str| format!("/api/users/{{uuid}}/two_factor_{tail}/");
    let routes = vec![
        // By GET as well, as clients of PostHog know it: it changes nothing.
        Route::get(at("start_setup"), session(), Within::Nothing, async_(show_setup))
            .without_second_factor()
            .responds(200, SETUP)
            .about(
                "Show a new secret, by GET",
                "The same as POST, as clients of PostHog know it. More than ten minutes after the \
                 log-in the password is needed, by POST.",
            ),
        Route::post(at("start_setup"), session(), Within::Nothing, async_(show_setup))
            .without_second_factor()
            .accepts(PROOF)
            .responds(200, SETUP)
            .about(
                "Show a new secret",
                "A secret and an `otpauth://` link for an authenticator app. Changes nothing until a \
                 code of it is validated.",
            ),
        Route::post(at("validate"), session(), Within::Nothing, async_(post_validate))
            .without_second_factor()
            .accepts(STEP)
            .responds(200, SUCCESS)
            .about("Switch the second step on", "With a code of the new secret. Ends all other sessions."),
        Route::get(at("status"), session(), Within::Nothing, read(status))
            .without_second_factor()
            .responds(200, STATUS)
            .about("See whether the second step is on", "And how many recovery codes are left."),
        Route::post(at("backup_codes"), session(), Within::Nothing, async_(post_recovery_codes))
            .without_second_factor()
            .accepts(PROOF)
            .responds(200, CODES)
            .about("Make recovery codes", "Ten, shown this once; the older ones stop working."),
        Route::post(at("disable"), session(), Within::Nothing, async_(post_disable))
            .without_second_factor()
            .accepts(PROOF)
            .responds(200, SUCCESS)
            .about("Switch the second step off", "Ends all other sessions."),
        Route::post("/api/login/token/", public(), Within::Nothing, async_(post_log_in))
            .accepts(STEP)
            .responds(200, SUCCESS)
            .about(
                "Give the code of the second step",
                "Within ten minutes of the password. Takes a code of the app or a recovery code.",
            ),
    ];
    tagged(TAG, routes)
}

type Key = [u8; 20];

/// What a user has set up.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Device {
    secret: Stored,
    confirmed_at: Time,
    /// The time step of the last code that was taken; neither it nor an older one is taken again.
    last_step: u64,
    recovery_codes: Vec<[u8; 32]>,
}

/// The secret of a device in the file.
#[derive(Clone, Debug, Serialize, Deserialize)]
enum Stored {
    /// As files of schema 2 hold it; sealed at the next start.
    Open(Key),
    /// Its base-32 form, sealed for its user.
    Sealed(Sealed),
}

impl Stored {
    fn seal(vault: &Vault, ids: &Ids, user: UserId, key: Key) -> Result<Stored> {
        let text = Secret::new_stack(key).to_base32();
        Ok(Stored::Sealed(vault.seal(ids, &purpose(user), &text)?))
    }

    /// `None` where it was sealed with another key than the server has.
    fn open(&self, vault: &Vault, user: UserId) -> Option<Key> {
        match self {
            Stored::Open(key) => Some(*key),
            Stored::Sealed(sealed) => {
                let secret = Secret::try_from_base32(vault.open(&purpose(user), sealed)?).ok()?;
                secret.as_bytes().try_into().ok()
            }
        }
    }
}

/// A sealed secret opens for its own user only.
fn purpose(user: UserId) -> Vec<u8> {
    [b"two_factor ".as_slice(), user.0.as_bytes()].concat()
}

/// By user.
pub(super) static DEVICES: Table<UserId, Device> =
    Table::new("two_factor").belongs_to(&[&Parent::of(&users::USERS, |user| *user)]);

const STEP_SECONDS: u64 = 30;
/// Codes of the step before and the step after are taken too: clocks differ.
const SKEW_STEPS: u16 = 1;
const RECOVERY_CODES: usize = 10;
/// A secret that is shown is good until the end of the next period of this length.
const SETUP_SECONDS: i64 = 10 * 60;
/// How long after the password the code may come.
pub(super) const LOG_IN_SECONDS: i64 = 10 * 60;

const CURRENT_PASSWORD: Field<String> =
    Field::secret("current_password", password::CHARS_MAX).blank().write_only();
const PROOF: &[FieldInfo] = &[CURRENT_PASSWORD.info()];
const TOKEN: Field<String> = Field::text("token", 50).required().write_only();
pub const STEP: &[FieldInfo] = &[TOKEN.info()];
const SUCCESS: &[FieldInfo] = &[Field::boolean("success").read_only()];
const SETUP: &[FieldInfo] = &[
    Field::boolean("success").read_only(),
    Field::text("secret", 50).read_only(),
    Field::text("otpauth_url", 1000).read_only(),
];
const STATUS: &[FieldInfo] = &[
    Field::boolean("is_enabled").read_only(),
    Field::texts("backup_codes", None).read_only(),
    Field::integer("backup_codes_left", 0, i64::MAX).read_only(),
    Field::text("method", 10).nullable().read_only(),
];
const CODES: &[FieldInfo] = &[Field::texts("backup_codes", None).read_only()];

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

/// The secret that the calling session is shown in a period. Worked out, not stored: to show it changes
/// nothing, and only the session itself can prove it.
fn pending(ctx: &Ctx, tx: &Tx, period: i64) -> Result<Key> {
    let (hash, session) = sessions::current(ctx, tx)?;
    let mut signer = Hmac::<Sha256>::new_from_slice(&status::secret(tx)?)
        .map_err(|cause| Error::internal(format!("the instance's secret is unusable: {cause}")))?;
    signer.update(b"two-factor setup");
    signer.update(&hash);
    // In one session, each one that is set up is another.
    signer.update(&session.setups.to_be_bytes());
    signer.update(&period.to_be_bytes());
    let mut key = Key::default();
    let length = key.len();
    key.copy_from_slice(&signer.finalize().into_bytes()[..length]);
    Ok(key)
}

fn period(now: Time) -> i64 {
    now.unix_seconds().div_euclid(SETUP_SECONDS)
}

async fn show_setup(app: Arc<App>, call: Arc<Call>) -> Result<Reply> {
    users::require_self(&call)?;
    let current_password = call.form(PROOF)?.only(CURRENT_PASSWORD);
    let NewSecret { secret, otpauth_url } = new_secret(&app, &call, current_password).await?;
    Reply::ok(&Setup { success: true, secret, otpauth_url })
}

async fn post_validate(app: Arc<App>, call: Arc<Call>) -> Result<Reply> {
    users::require_self(&call)?;
    let token: String = call.form(STEP)?.only(TOKEN).unwrap_or_default();
    validate(&app, &call, token).await?;
    Reply::ok(&Success { success: true })
}

const NOT_VALID: &str = "token_invalid";

/// Gives the caller a second factor: the device whose secret, as it was shown to their session, the code belongs to.
/// Ends all their other sessions.
///
/// # Errors
/// 400 for a wrong code, for a secret that was shown too long ago, and where there is a second factor already.
pub fn enable(ctx: &Ctx, tx: &WriteTx, token: &str) -> Result<()> {
    let wrong = || invalid_body(NOT_VALID, "Token is not valid");
    let user = ctx.user()?;
    if is_enabled(tx, user)? {
        return Err(wrong());
    }
    let now = period(ctx.now);
    let find = |period: i64| -> Result<Option<(Key, u64)>> {
        let key = pending(ctx, tx, period)?;
        Ok(step_of(key, token, ctx.now)?.map(|step| (key, step)))
    };
    let Some((key, last_step)) = find(now)?.map_or_else(|| find(now - 1), |found| Ok(Some(found)))? else {
        let is_late = find(now - 2)?.is_some() || find(now - 3)?.is_some();
        let expired = "2FA setup session expired. Please start setup again.";
        return Err(if is_late { invalid_body("setup_expired", expired) } else { wrong() });
    };
    let secret = Stored::seal(&ctx.vault, &ctx.ids, user, key)?;
    let device = Device { secret, confirmed_at: ctx.now, last_step, recovery_codes: Vec::new() };
    tx.put(&DEVICES, &user, &device)?;
    sessions::second_factor_changed(ctx, tx, true)?;
    tell(ctx, tx, user, &Letter::SecondFactorOn { at: users::occurred(ctx) })?;
    users::record(ctx, tx, user, &Happening::SecondFactor { is_enabled: true })
}

fn status(call: &Call, tx: &Tx) -> Result<Reply> {
    let device = of(tx, users::require_self(call)?)?;
    Reply::ok(&Status {
        is_enabled: device.is_some(),
        backup_codes: [],
        backup_codes_left: device.as_ref().map_or(0, |device| device.recovery_codes.len()),
        method: device.map(|_| "TOTP"),
    })
}

async fn post_recovery_codes(app: Arc<App>, call: Arc<Call>) -> Result<Reply> {
    users::require_self(&call)?;
    let current_password = call.form(PROOF)?.only(CURRENT_PASSWORD);
    Reply::ok(&Codes { backup_codes: new_recovery_codes(&app, &call, current_password).await? })
}

/// Gives the caller new recovery codes, in place of all older ones, and ends their other sessions. Only hashes of the
/// codes are stored.
///
/// # Errors
/// 400 without a second factor.
pub fn renew_recovery_codes(ctx: &Ctx, tx: &WriteTx) -> Result<Vec<String>> {
    const ALPHABET: &[u8] = b"abcdefghijkmnpqrstuvwxyz23456789";
    let user = ctx.user()?;
    let mut device = enabled(tx, user)?;
    let codes: Vec<String> = (0..RECOVERY_CODES).map(|_| ctx.ids.letters(ALPHABET, 10)).collect();
    device.recovery_codes = codes.iter().map(|code| hash(code)).collect();
    tx.put(&DEVICES, &user, &device)?;
    sessions::second_factor_changed(ctx, tx, true)?;
    users::record(ctx, tx, user, &Happening::RecoveryCodes)?;
    Ok(codes)
}

async fn post_disable(app: Arc<App>, call: Arc<Call>) -> Result<Reply> {
    users::require_self(&call)?;
    let current_password = call.form(PROOF)?.only(CURRENT_PASSWORD);
    switch_off(&app, &call, current_password).await?;
    Reply::ok(&Success { success: true })
}

/// Takes the caller's second factor away, and ends their other sessions.
///
/// # Errors
/// 400 without one.
pub fn disable(ctx: &Ctx, tx: &WriteTx) -> Result<()> {
    let user = ctx.user()?;
    enabled(tx, user)?;
    tx.delete(&DEVICES, &user)?;
    sessions::second_factor_changed(ctx, tx, false)?;
    tell(ctx, tx, user, &Letter::SecondFactorOff { at: users::occurred(ctx) })?;
    users::record(ctx, tx, user, &Happening::SecondFactor { is_enabled: false })
}

fn enabled(tx: &Tx, user: UserId) -> Result<Device> {
    of(tx, user)?.ok_or_else(|| invalid_body("2fa_not_enabled", "2FA must be enabled first"))
}

/// How many recovery codes the user has left; `None` without a second factor.
///
/// # Errors
/// None but of the data file.
pub fn recovery_codes_left(tx: &Tx, user: UserId) -> Result<Option<usize>> {
    Ok(of(tx, user)?.map(|device| device.recovery_codes.len()))
}

/// The code of 403 where an organization demands a second factor that the session lacks.
pub const SETUP_REQUIRED: &str = "two_factor_setup_required";

/// 403 for a session whose user has no device though an organization demands one.
pub fn setup_required() -> Error {
    Error::Denied { code: SETUP_REQUIRED, detail: "2FA setup required".into() }
}

async fn post_log_in(app: Arc<App>, call: Arc<Call>) -> Result<Reply> {
    let token: String = call.form(STEP)?.only(TOKEN).unwrap_or_default();
    let entered = log_in(&app, &call, &Browser::of(&call), token).await?;
    cookies::set(&call, &entered.token, Reply::ok(&Success { success: true })?)
}

const INVALID: &str = "2fa_invalid";
const UNREADABLE: &str = "2fa_unreadable";

/// Mails the user what happened to their second factor.
fn tell(ctx: &Ctx, tx: &WriteTx, user: UserId, letter: &Letter<'_>) -> Result<()> {
    users::tell(ctx, tx, &users::find(tx, user)?, letter)
}

/// Takes a code, once.
///
/// # Errors
/// 400 for a wrong one. Without the key that sealed the device's secret only recovery codes can be right.
fn take(ctx: &Ctx, tx: &WriteTx, user: UserId, token: &str) -> Result<()> {
    let wrong = || invalid_body(INVALID, "Invalid authentication code");
    let mut device = of(tx, user)?.ok_or_else(wrong)?;
    let token: String = token.chars().filter(|letter| !letter.is_whitespace()).collect();
    let secret = device.secret.open(&ctx.vault, user);
    let step = secret.map_or(Ok(None), |key| step_of(key, &token, ctx.now))?;
    let hashed = hash(&token.to_lowercase());
    if let Some(step) = step.filter(|step| *step > device.last_step) {
        device.last_step = step;
    } else if let Some(place) = device.recovery_codes.iter().position(|code| *code == hashed) {
        device.recovery_codes.remove(place);
        let left = device.recovery_codes.len();
        tell(ctx, tx, user, &Letter::RecoveryCodeUsed { at: users::occurred(ctx), left })?;
    } else if secret.is_none() {
        let detail = "Codes can't be checked, because the server's secret key is another one than when you set 2FA up. Use a recovery code, or let the operator remove your second factor.";
        return Err(invalid_body(UNREADABLE, detail));
    } else {
        return Err(wrong());
    }
    Ok(tx.put(&DEVICES, &user, &device)?)
}

/// Seals what older files hold open. Does nothing the second time.
pub fn seal_all(vault: &Vault, ids: &Ids, tx: &WriteTx) -> Result<()> {
    if vault.is_locked() {
        return Ok(());
    }
    for (user, mut device) in tx.all(&DEVICES)? {
        if let Stored::Open(key) = device.secret {
            device.secret = Stored::seal(vault, ids, user, key)?;
            tx.put(&DEVICES, &user, &device)?;
        }
    }
    Ok(())
}

/// Shows the sealed secret of every device.
fn show_sealed(tx: &Tx, look: super::secrets::Look<'_>) -> Result<()> {
    for (user, device) in tx.all(&DEVICES)? {
        if let Stored::Sealed(sealed) = &device.secret {
            look(&purpose(user), sealed);
        }
    }
    Ok(())
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
    Error::internal(format!("a second factor is unusable: {cause}"))
}

/// The time step that the code belongs to, if it is one of now.
fn step_of(key: Key, token: &str, now: Time) -> Result<Option<u64>> {
    let seconds = u64::try_from(now.unix_seconds()).unwrap_or(0);
    Ok(totp(key, "")?.check(token, seconds))
}

fn of(tx: &Tx, user: UserId) -> Result<Option<Device>> {
    Ok(tx.get(&DEVICES, &user)?)
}

/// Whether the user logs in with a second factor.
pub fn is_enabled(tx: &Tx, user: UserId) -> Result<bool> {
    Ok(tx.has(&DEVICES, &user)?)
}

/// Gives a user a second factor with this secret, in base 32, where they have none: for people whom the operator makes.
///
/// # Errors
/// 400 for what is no secret of 20 bytes.
pub fn set_up(ctx: &Ctx, tx: &WriteTx, user: UserId, secret: &str) -> Result<()> {
    let wrong = || {
        let detail = "Enter a secret of 20 bytes in base 32: 32 letters from A to Z and digits from 2 to 7.";
        crate::error::invalid("totp", "invalid_input", detail)
    };
    let secret = Secret::try_from_base32(secret).map_err(|_| wrong())?;
    let key: Key = secret.as_bytes().try_into().map_err(|_| wrong())?;
    if is_enabled(tx, user)? {
        return Ok(());
    }
    let secret = Stored::seal(&ctx.vault, &ctx.ids, user, key)?;
    let device = Device { secret, confirmed_at: ctx.now, last_step: 0, recovery_codes: Vec::new() };
    tx.put(&DEVICES, &user, &device)?;
    users::record(ctx, tx, user, &Happening::SecondFactor { is_enabled: true })
}

/// Takes the second factor from a user who has lost it, and ends all their sessions: the operator's help.
///
/// # Errors
/// None but of the data file.
pub fn remove(ctx: &Ctx, tx: &WriteTx, user: UserId) -> Result<()> {
    let had_one = is_enabled(tx, user)?;
    tx.delete(&DEVICES, &user)?;
    sessions::end_others(tx, user, None)?;
    if had_one {
        tell(ctx, tx, user, &Letter::SecondFactorOff { at: users::occurred(ctx) })?;
        users::record(ctx, tx, user, &Happening::SecondFactor { is_enabled: false })?;
    }
    Ok(())
}

/// A device, for the test of the stored bytes.
fn sample(now: Time) -> Device {
    let secret = Stored::Sealed(Sealed::sample());
    Device { secret, confirmed_at: now, last_step: 57_613_231, recovery_codes: vec![[8; 32]] }
}

fn samples(all: &mut super::samples::Samples) {
    use super::samples::{NOW, ONE};
    all.add(&DEVICES, ONE.into(), sample(NOW));
    all.variants(
        "second factor's secret",
        &crate::every!(Stored { Open([7; 20]), Sealed(Sealed::sample()) }),
    );
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::resources::registry;
    use crate::store::{Storage, Store};

    #[test]
    fn what_older_files_hold_open_is_sealed_once() {
        let folder = tempfile::tempdir().unwrap();
        let place = Storage::File(folder.path().join("orgd.redb"));
        let store = Store::open(place, 1024 * 1024, registry::tables()).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let vault = Arc::new(Vault::of(&"k".repeat(32)).unwrap());
        let (user, key) = (UserId(Uuid::from_u128(1)), [7; 20]);
        let open = Device { secret: Stored::Open(key), ..sample(Time(0)) };
        runtime.block_on(store.write(move |tx| Ok(tx.put(&DEVICES, &user, &open)?))).unwrap();
        let seal = || {
            let vault = Arc::clone(&vault);
            runtime.block_on(store.write(move |tx| seal_all(&vault, &Ids::default(), tx))).unwrap();
            match store.read(|tx| Ok(of(tx, user)?.unwrap().secret)).unwrap() {
                Stored::Sealed(sealed) => sealed,
                Stored::Open(_) => panic!("the secret lies open"),
            }
        };
        let sealed = seal();
        assert_eq!(seal(), sealed);
        let stored = Stored::Sealed(sealed);
        assert_eq!(stored.open(&vault, user), Some(key));
        assert_eq!(stored.open(&vault, UserId(Uuid::from_u128(2))), None, "it opens for its own user only");
    }

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
