//! What the server keeps of the authority that issues its certificate: the account there, the certificate, and tries that
//! failed.
//! Invariant: keys lie here sealed only. A certificate stays until another one takes its place.

use serde::{Deserialize, Serialize};

use super::Resource;
use crate::backoff::Backoff;
use crate::clock::{Ids, Time};
use crate::config::Acme;
use crate::error::Result;
use crate::store::{Table, Tx, WriteTx};
use crate::vault::{Sealed, Vault};

/// An account at an authority.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Account {
    /// What it is opened with, in the form of the library.
    credentials: Sealed,
    contact: Option<String>,
}

/// The certificate that the server shows.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Certificate {
    wanted: Wanted,
    /// As PEM, the server's own first.
    chain: String,
    /// As PEM.
    key: Sealed,
}

/// What is asked of whom.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wanted {
    pub directory: String,
    /// In the order of the alphabet.
    pub names: Vec<String>,
}

impl Wanted {
    /// What the settings want.
    pub fn of(settings: &Acme) -> Wanted {
        let mut names = settings.domains.clone();
        names.sort();
        names.dedup();
        Wanted { directory: settings.directory.to_string(), names }
    }
}

/// Tries since the last one that succeeded.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Tries {
    wanted: Wanted,
    failures: u32,
    next_at: Time,
    /// Whether the authority itself has said how long to wait.
    is_told: bool,
    sentence: String,
}

/// By the address of the authority's directory.
static ACCOUNTS: Table<String, Account> = Table::new("acme_accounts").harmless();
static CERTIFICATES: Table<String, Certificate> = Table::new("acme_certificates").harmless();
static TRIES: Table<String, Tries> = Table::new("acme_tries").harmless();

pub static RESOURCE: Resource =
    Resource::inner().tables(&[&ACCOUNTS, &CERTIFICATES, &TRIES]).samples(samples).seals(&[show_sealed]);

/// The key of the only row of a table.
const ONLY: &str = "server";
/// Authorities count orders that fail: Let's Encrypt takes five an hour for a name. Each stays below such limits.
const REFUSED: Backoff = Backoff { first: 5.0 * 60.0, factor: 2.0, max: 6.0 * 3600.0 };
/// Where nothing was asked, nobody counts.
const UNREACHED: Backoff = Backoff { first: 30.0, factor: 2.0, max: 3600.0 };
/// The wait where none could be written down.
pub const WAIT_SECONDS: i64 = 5 * 60;
/// Nobody is believed who wants a longer wait.
const WAIT_SECONDS_MAX: i64 = 7 * 24 * 3600;

/// A certificate as it was kept, and its key, as PEM.
pub struct Kept {
    pub wanted: Wanted,
    pub chain: String,
    pub key: String,
}

/// The certificate that was kept; `None` where there is none, or its key was sealed with another secret key.
///
/// # Errors
/// None but of the data file.
pub fn kept(tx: &Tx, vault: &Vault) -> Result<Option<Kept>> {
    let Some(Certificate { wanted, chain, key }) = tx.get(&CERTIFICATES, &ONLY.to_owned())? else {
        return Ok(None);
    };
    Ok(vault.open(CERTIFICATE_PURPOSE, &key).map(|key| Kept { wanted, chain, key }))
}

const CERTIFICATE_PURPOSE: &[u8] = b"acme certificate";

fn account_purpose(directory: &str) -> Vec<u8> {
    [b"acme account ", directory.as_bytes()].concat()
}

/// An account as it is used.
pub struct Opened {
    pub credentials: String,
    pub contact: Option<String>,
}

/// The account at an authority, where there is one that can be opened.
///
/// # Errors
/// None but of the data file.
pub fn account(tx: &Tx, vault: &Vault, directory: &str) -> Result<Option<Opened>> {
    let Some(Account { credentials, contact }) = tx.get(&ACCOUNTS, &directory.to_owned())? else {
        return Ok(None);
    };
    let opened = vault.open(&account_purpose(directory), &credentials);
    Ok(opened.map(|credentials| Opened { credentials, contact }))
}

/// Keeps an account, in the place of one before.
///
/// # Errors
/// 503 where nothing can be sealed.
pub fn keep_account(tx: &WriteTx, vault: &Vault, ids: &Ids, directory: &str, account: &Opened) -> Result<()> {
    let credentials = vault.seal(ids, &account_purpose(directory), &account.credentials)?;
    Ok(tx.put(
        &ACCOUNTS,
        &directory.to_owned(),
        &Account { credentials, contact: account.contact.clone() },
    )?)
}

/// Forgets an account that the authority does not know.
///
/// # Errors
/// None but of the data file.
pub fn forget_account(tx: &WriteTx, directory: &str) -> Result<()> {
    Ok(tx.delete(&ACCOUNTS, &directory.to_owned())?)
}

/// Keeps a new certificate; the tries before are forgotten.
///
/// # Errors
/// 503 where nothing can be sealed.
pub fn keep_certificate(tx: &WriteTx, vault: &Vault, ids: &Ids, new: &Kept) -> Result<()> {
    let key = vault.seal(ids, CERTIFICATE_PURPOSE, &new.key)?;
    let certificate = Certificate { wanted: new.wanted.clone(), chain: new.chain.clone(), key };
    tx.delete(&TRIES, &ONLY.to_owned())?;
    Ok(tx.put(&CERTIFICATES, &ONLY.to_owned(), &certificate)?)
}

/// Why a try failed.
pub struct Failure {
    pub sentence: String,
    /// Whether the authority has seen it.
    pub was_seen: bool,
    /// How long the authority says to wait.
    pub wait_seconds: Option<i64>,
}

/// When to try again what has failed, and why it has.
pub struct Waiting {
    pub until: Time,
    /// Whether the authority itself has said so: then nobody tries sooner.
    pub is_told: bool,
    pub sentence: String,
}

/// The wait after tries that failed, for the same names at the same authority.
///
/// # Errors
/// None but of the data file.
pub fn waiting(tx: &Tx, wanted: &Wanted) -> Result<Option<Waiting>> {
    let tries = tx.get(&TRIES, &ONLY.to_owned())?.filter(|tries| tries.wanted == *wanted);
    Ok(tries.map(|Tries { next_at, is_told, sentence, .. }| Waiting { until: next_at, is_told, sentence }))
}

/// Notes a try that failed, and says when to try again.
///
/// # Errors
/// None but of the data file.
pub fn note_failure(tx: &WriteTx, wanted: &Wanted, failure: &Failure, now: Time) -> Result<Time> {
    let before = tx.get(&TRIES, &ONLY.to_owned())?.filter(|tries| tries.wanted == *wanted);
    let failures = before.map_or(0, |tries| tries.failures);
    let backoff = if failure.was_seen { REFUSED } else { UNREACHED };
    let told = failure.wait_seconds.map(|seconds| now.plus_seconds(seconds.clamp(0, WAIT_SECONDS_MAX)));
    let own = backoff.retry_at(now, failures);
    let next_at = told.map_or(own, |told| told.max(own));
    let tries = Tries {
        wanted: wanted.clone(),
        failures: failures.saturating_add(1),
        next_at,
        is_told: told.is_some(),
        sentence: failure.sentence.clone(),
    };
    tx.put(&TRIES, &ONLY.to_owned(), &tries)?;
    Ok(next_at)
}

/// Shows the keys.
fn show_sealed(tx: &Tx, look: super::secrets::Look<'_>) -> Result<()> {
    for (directory, account) in tx.all(&ACCOUNTS)? {
        look(&account_purpose(&directory), &account.credentials);
    }
    for (_, certificate) in tx.all(&CERTIFICATES)? {
        look(CERTIFICATE_PURPOSE, &certificate.key);
    }
    Ok(())
}

fn samples(all: &mut super::samples::Samples) {
    use super::samples::{NOW, text};
    let wanted = Wanted { directory: text("https://a.example/"), names: vec![text("b.example")] };
    let account = Account { credentials: Sealed::sample(), contact: Some(text("a@example.com")) };
    all.add(&ACCOUNTS, text("https://a.example/"), account);
    let certificate = Certificate { wanted: wanted.clone(), chain: text("c"), key: Sealed::sample() };
    all.add(&CERTIFICATES, text(ONLY), certificate);
    let tries = Tries { wanted, failures: 2, next_at: NOW, is_told: true, sentence: text("s") };
    all.add(&TRIES, text(ONLY), tries);
}
