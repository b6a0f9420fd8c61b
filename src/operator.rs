//! What the operator does at the machine itself: opening the file, the first owner, locked-out people.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, Mac};
use serde::Serialize;
use sha2::Sha256;
use uuid::Uuid;

use crate::api::{Call, Level};
use crate::app::App;
use crate::auth::{hash, password};
use crate::clock::{Clock, Ids, Time};
use crate::config::Config;
use crate::error::{Error, Result};
use crate::resources::organizations::{NAME_CHARS_MAX, Organization};
use crate::resources::{
    self, api_keys, instance, organizations, projects, sessions, signup, two_factor, users,
};
use crate::store::{Place, Store, Tx, WriteTx};
use crate::vault::Vault;

/// Opens the data file and gives a new one its secret.
///
/// # Errors
/// One sentence for the operator.
pub async fn open(config: Config, place: Place, clock: Arc<Clock>) -> std::result::Result<Arc<App>, String> {
    let budgets = config.budgets();
    let file = match &place {
        Place::File(path) => Some(path.clone()),
        Place::Backend(_) => None,
    };
    let store = Store::open(place, budgets.cache, resources::tables()).map_err(|cause| cause.to_string())?;
    let ids = Ids::default();
    let vault = match (&config.exports.secret_key, file) {
        (Some(text), _) => Vault::of(text).map_err(|cause| format!("ORGD_SECRET_KEY: {cause}"))?,
        (None, Some(path)) => Vault::beside(&path, &ids)?,
        (None, None) => Vault::of(&ids.base62::<32>())?,
    };
    let app = App::new(config, store, clock, ids, vault);
    let fresh = app.ids.bytes::<32>();
    app.store.write(move |tx| instance::prepare(tx, fresh)).await.map_err(|cause| cause.to_string())?;
    Ok(Arc::new(app))
}

/// Who is to own an empty file.
#[derive(Clone)]
pub struct FirstOwner {
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
pub struct Made {
    pub email: String,
    pub user_id: Uuid,
    pub organization_id: Uuid,
    pub organization_name: String,
    pub project_id: u32,
    pub project_api_token: String,
    pub api_key: String,
}

/// Makes the first owner with an organization, a project and a key with scope `*`.
///
/// # Errors
/// When the file has users already, or what was given breaks a rule.
pub async fn bootstrap(app: &Arc<App>, owner: FirstOwner) -> Result<Made> {
    let ids = Arc::clone(&app.ids);
    let given = owner.password.clone();
    let password_hash = app
        .slowly(move || {
            given
                .map(|given| {
                    password::check_strength(&given)?;
                    password::hash(&ids, &given)
                })
                .transpose()
        })
        .await??;
    if owner.api_key.as_deref().is_some_and(|key| key.len() < 20) {
        return Err(crate::error::invalid_body(
            "invalid_input",
            "The API key must have at least 20 letters.",
        ));
    }
    let name_chars = owner.organization.trim().chars().count();
    if name_chars == 0 || name_chars > NAME_CHARS_MAX {
        let detail = format!("The organization's name must have 1 to {NAME_CHARS_MAX} characters.");
        return Err(crate::error::invalid_body("invalid_input", detail));
    }
    let call = Call::by_operator(
        Arc::clone(&app.config),
        Arc::clone(&app.ids),
        Arc::clone(&app.vault),
        app.clock.now(),
    );
    let write = app.store.write(move |tx| {
        if !users::none_yet(tx)? {
            return Err(crate::error::invalid_body("invalid_input", "This data file has users already."));
        }
        make_owner(&call, tx, &owner, password_hash.clone())
    });
    write.await
}

fn make_owner(call: &Call, tx: &WriteTx, owner: &FirstOwner, password_hash: Option<String>) -> Result<Made> {
    let (user, _) = signup::operator_user(call, tx, &owner.email, &owner.first_name, password_hash)?;
    let name = owner.organization.trim().to_owned();
    let organization = organizations::found(call, tx, user, Organization::new(&name, call.now))?;
    let value = owner.api_key.clone().unwrap_or_else(|| format!("phx_{}", call.ids.base62::<35>()));
    let mut key = api_keys::blank(call, user);
    key.label = "bootstrap".into();
    key.scopes = vec!["*".into()];
    api_keys::insert(tx, &mut key, &value)?;
    let (project_id, project_api_token) = first_project(tx, organization, user)?;
    Ok(Made {
        email: owner.email.clone(),
        user_id: user,
        organization_id: organization,
        organization_name: name,
        project_id,
        project_api_token,
        api_key: value,
    })
}

fn first_project(tx: &Tx, organization: Uuid, owner: Uuid) -> Result<(u32, String)> {
    let all = projects::visible_in(tx, organization, owner, Level::Owner)?;
    let first = all.first().ok_or_else(crate::error::not_found)?;
    Ok((first.id, first.api_token.clone()))
}

const DEMO_EMAIL: &str = "demo@example.com";

/// For local work: the demo owner, made on an empty file and told again on a file that has him. His key
/// comes from the file's secret, so that it can be told again though only its hash is stored.
pub async fn demo(app: &Arc<App>) -> Result<(Made, String)> {
    let (empty, secret) = app.store.read(|tx| Ok((users::none_yet(tx)?, instance::secret(tx)?)))?;
    let api_key = format!("phx_{}", derived(&secret, "demo key")?);
    let demo_password = derived(&secret, "demo password")?[..20].to_owned();
    if empty {
        let owner = FirstOwner {
            email: DEMO_EMAIL.into(),
            first_name: "Demo".into(),
            organization: "Demo".into(),
            password: Some(demo_password.clone()),
            api_key: Some(api_key),
        };
        return Ok((bootstrap(app, owner).await?, demo_password));
    }
    let made = app.store.read(|tx| told_again(tx, &api_key))?;
    Ok((made, demo_password))
}

fn told_again(tx: &Tx, api_key: &str) -> Result<Made> {
    let gone = || {
        crate::error::invalid_body(
            "invalid_input",
            "This data file has users, but no demo owner with his key and organization: start without --dev, or with another file.",
        )
    };
    let user = users::by_email(tx, DEMO_EMAIL)?.ok_or_else(gone)?;
    api_keys::by_hash(tx, &hash(api_key))?.filter(|key| key.user == user).ok_or_else(gone)?;
    let (organization, _) =
        users::current_organization(tx, user, &users::find(tx, user)?)?.ok_or_else(gone)?;
    let (project_id, project_api_token) = first_project(tx, organization, user).map_err(|_| gone())?;
    Ok(Made {
        email: DEMO_EMAIL.into(),
        user_id: user,
        organization_id: organization,
        organization_name: organizations::find(tx, organization)?.name,
        project_id,
        project_api_token,
        api_key: api_key.to_owned(),
    })
}

fn derived(secret: &[u8], purpose: &str) -> Result<String> {
    let mut signer = Hmac::<Sha256>::new_from_slice(secret)
        .map_err(|cause| Error::Internal(format!("the instance's secret is unusable: {cause}")))?;
    signer.update(purpose.as_bytes());
    Ok(URL_SAFE_NO_PAD.encode(signer.finalize().into_bytes()).replace(['-', '_'], "x"))
}

/// Sets a user's password and ends all his sessions.
pub async fn reset_password(app: &Arc<App>, email: String, new: String) -> Result<()> {
    let ids = Arc::clone(&app.ids);
    let new_hash = app
        .slowly(move || {
            password::check_strength(&new)?;
            password::hash(&ids, &new)
        })
        .await??;
    let write = app.store.write(move |tx| {
        let uuid = by_address(tx, &email)?;
        let before = users::find(tx, uuid)?;
        let mut user = before.clone();
        user.password_hash = Some(new_hash.clone());
        sessions::end_others(tx, uuid, None)?;
        users::replace(tx, uuid, &before, &user)
    });
    write.await
}

fn by_address(tx: &Tx, email: &str) -> Result<Uuid> {
    let unknown = || crate::error::invalid_body("invalid_input", "No user has this address.");
    users::by_email(tx, email)?.ok_or_else(unknown)
}

/// Takes the second factor from a user who has lost it, and ends all his sessions.
pub async fn remove_two_factor(app: &Arc<App>, email: String) -> Result<()> {
    let write = app.store.write(move |tx| {
        let uuid = by_address(tx, &email)?;
        two_factor::remove(tx, uuid)?;
        sessions::end_others(tx, uuid, None)
    });
    write.await
}

/// A user, as the operator sees him.
#[derive(Serialize)]
pub struct Listed {
    pub user_id: Uuid,
    pub email: String,
    pub first_name: String,
    pub date_joined: Time,
    pub organizations: Vec<organizations::Basic>,
}

/// All users, oldest first.
pub fn list_users(app: &App) -> Result<Vec<Listed>> {
    app.store.read(|tx| {
        let all = users::all(tx)?.into_iter().map(|(user_id, user)| {
            Ok(Listed {
                user_id,
                email: user.email,
                first_name: user.first_name,
                date_joined: user.date_joined,
                organizations: organizations::basics_of(tx, user_id)?,
            })
        });
        all.collect()
    })
}

/// A random password for somebody who is locked out.
pub fn random_password(ids: &Ids) -> String {
    ids.base62::<18>()
}
