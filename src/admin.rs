//! What the operator does at the machine itself: opening the file, the first owner, locked-out people.

mod accounts;
mod demo;
mod files;
mod listed;
mod machine;
pub mod overview;
mod serving;
pub mod support;

use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::sync::Arc;

use serde::Serialize;
use serde_json::json;

use crate::api::{Actor, Ctx, Input, Level, Source};
use crate::app::App;
use crate::auth::password;
use crate::clock::{Clock, Ids, Time};
use crate::config::Config;
use crate::error::{Error, Result};
use crate::ids::{InviteId, OrganizationId, ProjectId, UserId};
use crate::resources::secrets::{self, Fit};
use crate::resources::{
    self, api_keys, domains, invites, organizations, proxy_records, sessions, signup, status, trusted_time,
    two_factor, users,
};
use crate::store::{Storage, Store, Tx, WriteTx, damaged};
use crate::vault::{Readers, Vault, readers};
pub use accounts::{Deleted, delete_user, make_owner, set_active, set_operator};
pub use demo::{Demo, demo};
pub use files::{apply_file, export_file};
pub use listed::{OrganizationSummary, UserSummary, each_organization, each_user};
use serving::Gate;
pub use serving::Serving;

const AT_THE_MACHINE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// Opens the data file and gives a new one its secret.
///
/// # Errors
/// One sentence for the operator.
pub async fn open(
    config: Config,
    place: Storage,
    clock: Arc<Clock>,
) -> std::result::Result<Arc<App>, String> {
    open_for(None, config, place, clock).await
}

/// Opens it for a server, unless such a server may not have it.
///
/// # Errors
/// One sentence for the operator; nothing is written to the file then.
pub async fn open_to_serve(
    serving: Serving,
    config: Config,
    place: Storage,
    clock: Arc<Clock>,
) -> std::result::Result<Arc<App>, String> {
    open_for(Some(serving), config, place, clock).await
}

async fn open_for(
    serving: Option<Serving>,
    config: Config,
    place: Storage,
    clock: Arc<Clock>,
) -> std::result::Result<Arc<App>, String> {
    let budgets = config.budgets();
    let shown = place.to_string();
    let (file, may_make_key) = match &place {
        Storage::File(path) => (Some(path.clone()), true),
        Storage::Untouched(path) => (Some(path.clone()), false),
        Storage::Memory(_) | Storage::Backend(_) | Storage::Logged { .. } => (None, true),
    };
    let given = match (&config.exports.secret_key, &file) {
        (Some(text), _) => Some(Vault::of(text).map_err(|cause| format!("ORGD_SECRET_KEY: {cause}"))?),
        (None, Some(path)) => Vault::beside(path)?,
        (None, None) => None,
    };
    if let (Some(path), Some(_), None) = (&file, &given, &config.exports.secret_key)
        && path.metadata().is_ok_and(|about| about.len() == 0)
        && !config.new_secret_key
    {
        return Err(format!(
            "{shown} is empty, though the key beside it is that of a file which was not: put a good copy in its \
             place, or start once with --new-secret-key to begin anew"
        ));
    }
    let store = Store::open(place, budgets.cache, resources::registry::tables())
        .map_err(|cause| cause.to_string())?;
    if let Some(path) = &file
        && readers(path) != Readers::Owner
    {
        let path = path.display();
        tracing::warn!("{path} can be read by others: chmod 600 {path}");
    }
    // Nothing but damage makes these fail on a file that could be opened.
    let sentence = |cause: Error| damaged(&shown, &cause.to_string());
    let gate = match serving {
        Some(serving) => Gate::of(&store, &config, serving)?,
        None => Gate::default(),
    };
    let ids = gate.ids();
    let key = KeySource { file, may_make_key, may_change: config.new_secret_key };
    let fit = store.read(|tx| secrets::fit(tx, given.as_ref())).map_err(&sentence)?;
    let vault = key.vault(given, fit, &ids)?;
    let probe = if vault.is_locked() {
        None
    } else {
        let is_marked = fit == Fit::Fits && store.read(secrets::is_marked).map_err(&sentence)?;
        let seal = || {
            let sealed = vault.seal(&ids, secrets::PURPOSE, secrets::TEXT);
            sealed.map_err(|cause| cause.to_string())
        };
        if is_marked { None } else { Some(seal()?) }
    };
    let app = App::new(config, store, clock, ids, vault);
    let (fresh, now) = (app.ids.bytes::<32>(), app.clock.now());
    let (ids, vault, is_new_key) = (Arc::clone(&app.ids), Arc::clone(&app.vault), app.config.new_secret_key);
    let prepared = app.store.write(move |tx| {
        gate.pass(tx)?;
        status::prepare(tx, fresh)?;
        probe.as_ref().map_or(Ok(()), |probe| secrets::mark(tx, probe))?;
        invites::prepare(tx, &ids, &vault, is_new_key)?;
        secrets::seal_open(tx, &vault, &ids)?;
        trusted_time::prepare(tx, now)
    });
    prepared.await.map_err(&sentence)?;
    Ok(Arc::new(app))
}

/// Where the secret key may come from.
struct KeySource {
    /// The data file that it lies beside.
    file: Option<PathBuf>,
    may_make_key: bool,
    /// Whether the operator gives up what was sealed with another key.
    may_change: bool,
}

impl KeySource {
    /// The vault with the key that was given, or a new one where no secret depends on an old one.
    fn vault(&self, given: Option<Vault>, fit: Fit, ids: &Ids) -> std::result::Result<Vault, String> {
        if fit == Fit::Differs && !self.may_change {
            tracing::error!(
                "the data file holds secrets, and their secret key is missing or is another one: they cannot be read, batch exports wait, and no secret can be stored. Restore the key (the .key file beside the data file, or ORGD_SECRET_KEY), or start once with --new-secret-key: what was sealed is lost then and has to be entered again"
            );
            return Ok(Vault::locked());
        }
        if fit == Fit::Differs {
            tracing::warn!(
                "the secret key was changed: secrets that were sealed before have to be entered again"
            );
        }
        match (given, &self.file) {
            (Some(vault), _) => Ok(vault),
            (None, Some(path)) if self.may_make_key => Vault::make_beside(path, ids),
            (None, Some(_)) => Ok(Vault::locked()),
            (None, None) => Vault::of(&ids.base62::<32>()),
        }
    }
}

/// Who is to own an empty file.
#[derive(Clone)]
pub struct BootstrapOwner {
    pub email: String,
    pub first_name: String,
    pub organization: String,
    /// `None`: nobody can log in; only the key opens anything.
    pub password: Option<String>,
    /// `None`: a random one.
    pub api_key: Option<String>,
}

/// What was made for the first owner.
#[derive(Clone, Debug, Serialize)]
pub struct Bootstrapped {
    pub email: String,
    pub user_id: UserId,
    pub organization_id: OrganizationId,
    pub organization_name: String,
    pub project_id: ProjectId,
    pub project_api_token: String,
    pub api_key: String,
}

/// Makes the first owner with an organization, a project and a key with scope `*`.
///
/// # Errors
/// When the file has users already, or a field of the owner breaks a rule, which the error then names.
pub async fn bootstrap(app: &Arc<App>, owner: BootstrapOwner) -> Result<Bootstrapped> {
    let (ids, cost) = (Arc::clone(&app.ids), app.config.hash_cost());
    let given = owner.password.clone();
    let password_hash = app
        .run_cpu_bound(AT_THE_MACHINE, move || {
            given
                .map(|given| {
                    password::check_strength(&given)?;
                    password::hash(&ids, cost, &given)
                })
                .transpose()
        })
        .await??;
    if owner.api_key.as_deref().is_some_and(|key| key.len() < 20) {
        let detail = "The API key must have at least 20 letters.";
        return Err(crate::error::invalid("api_key", "invalid_input", detail));
    }
    let ctx = ctx(app);
    let write = app.store.write(move |tx| {
        if !users::none_yet(tx)? {
            return Err(crate::error::invalid_body("invalid_input", "This data file has users already."));
        }
        make_first_owner(&ctx, tx, &owner, password_hash.clone())
    });
    write.await
}

/// What the operator's commands run with.
fn ctx(app: &App) -> Ctx {
    let source = Source { client: Some("orgd admin".into()), ..Source::default() };
    app.ctx(String::new(), Actor::Operator(None), source)
}

fn make_first_owner(
    ctx: &Ctx,
    tx: &WriteTx,
    owner: &BootstrapOwner,
    password_hash: Option<String>,
) -> Result<Bootstrapped> {
    let (user, _) = signup::operator_user(ctx, tx, &owner.email, &owner.first_name, password_hash)?;
    let named = json!({"name": owner.organization});
    let made = organizations::create(ctx, tx, user, Input::of(&named))
        .map_err(|error| error.renamed("organization"))?;
    let named = json!({"label": "bootstrap", "scopes": ["*"]});
    let (_, value) = api_keys::create(ctx, tx, user, owner.api_key.clone(), Input::of(&named))?;
    Ok(Bootstrapped {
        email: owner.email.clone(),
        user_id: user,
        organization_id: made.id,
        organization_name: made.organization.name,
        project_id: made.project.id,
        project_api_token: made.project.api_token,
        api_key: value,
    })
}

/// Sets a user's password and ends all their sessions.
pub async fn reset_password(app: &Arc<App>, email: String, new: String) -> Result<()> {
    let (ids, cost) = (Arc::clone(&app.ids), app.config.hash_cost());
    let new_hash = app
        .run_cpu_bound(AT_THE_MACHINE, move || {
            password::check_strength(&new)?;
            password::hash(&ids, cost, &new)
        })
        .await??;
    let ctx = ctx(app);
    let write = app.store.write(move |tx| {
        let uuid = by_address(tx, &email)?;
        users::reset_password(&ctx, tx, uuid, new_hash.clone())
    });
    write.await
}

fn by_address(tx: &Tx, email: &str) -> Result<UserId> {
    let unknown = || crate::error::invalid_body("invalid_input", "No user has this address.");
    users::by_email(tx, email)?.ok_or_else(unknown)
}

/// A link by which a user can choose a new password, once, within an hour; the user is found by their address.
///
/// # Errors
/// Nobody has the address.
pub async fn reset_link(app: &Arc<App>, email: String) -> Result<String> {
    let ctx = Ctx { origin: app.own_address(), ..ctx(app) };
    app.store.write(move |tx| users::reset_link(&ctx, tx, by_address(tx, &email)?)).await
}

/// Takes the second factor from a user who has lost it, and ends all their sessions.
pub async fn remove_two_factor(app: &Arc<App>, email: String) -> Result<()> {
    let ctx = ctx(app);
    app.store.write(move |tx| two_factor::remove(&ctx, tx, by_address(tx, &email)?)).await
}

/// Ends all sessions of a user, and all log-ins that wait for their second step.
pub async fn end_sessions(app: &Arc<App>, email: String) -> Result<()> {
    let ctx = ctx(app);
    app.store.write(move |tx| sessions::end_all(&ctx, tx, by_address(tx, &email)?)).await
}

/// What held a name or an address, and holds it no more.
#[derive(Serialize)]
#[serde(rename_all = "snake_case", tag = "freed")]
pub enum Freed {
    /// A claim to a domain.
    Domain {
        domain: String,
        organization_id: OrganizationId,
        organization_name: String,
        was_verified: bool,
    },
    ProxyRecord {
        domain: String,
        organization_id: OrganizationId,
        organization_name: String,
    },
    /// An open invite, taken back.
    Invite {
        invite_id: InviteId,
        organization_id: OrganizationId,
        organization_name: String,
        level: Level,
    },
    /// An account, which has another address now and is logged out everywhere.
    Account {
        user_id: UserId,
        email: String,
    },
}

fn unless_empty(freed: Vec<Freed>, detail: &'static str) -> Result<Vec<Freed>> {
    if freed.is_empty() { Err(crate::error::invalid_body("invalid_input", detail)) } else { Ok(freed) }
}

/// Takes a domain from all organizations that claim it or have a proxy record of it.
///
/// # Errors
/// There is none.
pub async fn free_domain(app: &Arc<App>, name: String) -> Result<Vec<Freed>> {
    let ctx = ctx(app);
    let write = app.store.write(move |tx| {
        let mut freed = Vec::new();
        for (organization_id, domain) in domains::free(&ctx, tx, &name.to_lowercase())? {
            let organization_name = organizations::find(tx, organization_id)?.name;
            let was_verified = domain.verified_at.is_some();
            let domain = domain.domain;
            freed.push(Freed::Domain { domain, organization_id, organization_name, was_verified });
        }
        if let Some((organization_id, record)) = proxy_records::free(&ctx, tx, &name)? {
            let organization_name = organizations::find(tx, organization_id)?.name;
            freed.push(Freed::ProxyRecord { domain: record.domain, organization_id, organization_name });
        }
        unless_empty(freed, "No organization claims this domain.")
    });
    write.await
}

/// Takes back all open invites of an address and, with `account`, moves the account that uses it to an address
/// at which nobody can be reached. Its memberships and keys stay.
///
/// # Errors
/// There is nothing to take.
pub async fn free_address(app: &Arc<App>, email: String, account: bool) -> Result<Vec<Freed>> {
    let ctx = ctx(app);
    let write = app.store.write(move |tx| {
        let mut freed = Vec::new();
        for invites::Loaded { organization, id, invite } in invites::take_back_all_to(&ctx, tx, &email)? {
            freed.push(Freed::Invite {
                invite_id: id,
                organization_id: organization,
                organization_name: organizations::find(tx, organization)?.name,
                level: invite.level,
            });
        }
        if account && let Some(uuid) = users::by_email(tx, &email)? {
            freed.push(Freed::Account { user_id: uuid, email: users::free_address(&ctx, tx, uuid)? });
        }
        unless_empty(freed, "Nothing was found that holds this address.")
    });
    write.await
}

/// A random password for somebody who is locked out.
pub fn random_password(ids: &Ids) -> String {
    ids.base62::<18>()
}

/// What is wrong with a clock that is earlier than the build of the program.
pub fn doubt_about(now: Time, made: Time) -> Option<String> {
    (now < made).then(|| format!("the clock says {now}, but this program was made at {made}: set the clock"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_before_the_making_of_the_program_is_doubted() {
        let made = Time::parse("2026-11-26T12:00:00Z").unwrap();
        assert_eq!(doubt_about(made, made), None);
        assert_eq!(doubt_about(made.plus_seconds(1), made), None);
        let doubt = doubt_about(Time(0), made).unwrap();
        assert!(doubt.contains("1970-01-01T00:00:00Z") && doubt.contains("2026-11-26T12:00:00Z"), "{doubt}");
    }
}
