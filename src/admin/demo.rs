//! The demo owner of a development server.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, Mac};
use serde_json::json;
use sha2::Sha256;

use super::{BootstrapOwner, Bootstrapped, bootstrap, ctx};
use crate::api::{Input, Level};
use crate::app::App;
use crate::auth::hash;
use crate::error::{Error, Result, invalid_body};
use crate::ids::UserId;
use crate::resources::{api_keys, members, organizations, projects, status, users};
use crate::store::Tx;

const EMAIL: &str = "demo@example.com";

/// The demo owner, and how to log in.
pub struct Demo {
    pub made: Bootstrapped,
    /// `None` where the key that was given is somebody else's.
    pub password: Option<String>,
}

/// The demo owner, made on an empty file and loaded again on a file that has them. Their key is derived from the file's
/// secret, so that it can be shown again though only its hash is stored. `None` on a copy of a file that has users and no
/// demo owner, unless the key that was given is one of theirs.
pub async fn demo(app: &Arc<App>) -> Result<Option<Demo>> {
    let (empty, secret) = app.store.read(|tx| Ok((users::none_yet(tx)?, status::secret(tx)?)))?;
    let testing = &app.config.testing;
    let given = testing.api_key.clone().or_else(|| app.config.bootstrap.api_key.clone());
    let is_given = given.is_some();
    let api_key = given.map_or_else(|| derived_key(&secret), Ok)?;
    let password = derived(&secret, "demo password")?[..20].to_owned();
    if empty {
        let owner = BootstrapOwner {
            email: EMAIL.into(),
            first_name: "Demo".into(),
            organization: "Demo".into(),
            password: Some(password.clone()),
            api_key: Some(api_key),
        };
        let mut made = bootstrap(app, owner).await?;
        if let Some(token) = &testing.project_token {
            pin_token(app, &made, token.clone()).await?;
            made.project_api_token.clone_from(token);
        }
        return Ok(Some(Demo { made, password: Some(password) }));
    }
    let found = app.store.read(|tx| {
        let key = api_keys::by_hash(tx, &hash(&api_key))?;
        key.map(|key| of_owner(tx, key.user, &api_key)).transpose()
    })?;
    let found = match found.flatten() {
        None if testing.seed.is_some() => give_key(app, api_key.clone()).await?,
        found => found,
    };
    let made = match found {
        Some(made) if made.email == EMAIL || testing.seed.is_some() || (testing.in_memory && is_given) => {
            made
        }
        _ if testing.in_memory && !is_given => return Ok(None),
        _ if is_given => return Err(key_differs(testing.api_key.is_some())),
        _ => return Err(invalid_body("invalid_input", GONE)),
    };
    if testing.project_token.as_ref().is_some_and(|token| *token != made.project_api_token) {
        return Err(invalid_body("invalid_input", TOKEN_DIFFERS));
    }
    let password = (made.email == EMAIL).then_some(password);
    Ok(Some(Demo { made, password }))
}

const GONE: &str = "This data file has users, but no demo owner with their key and organization: start without --dev, or \
                    with another file.";
const TOKEN_DIFFERS: &str = "--project-token is not the token of the demo project in this data file: start without it, or \
                             with another file.";

fn key_differs(is_flag: bool) -> Error {
    let name = if is_flag { "--api-key" } else { "ORGD_BOOTSTRAP_API_KEY" };
    let detail = format!(
        "{name} is not the key of a demo owner in this data file: start without it, or with another file."
    );
    invalid_body("invalid_input", detail)
}

async fn pin_token(app: &Arc<App>, made: &Bootstrapped, token: String) -> Result<()> {
    let (ctx, at) = (ctx(app), (made.organization_id, made.project_id));
    app.store.write(move |tx| projects::pin_token(&ctx, tx, at, &token)).await
}

/// Gives the first owner of the first organization a key; `None` where there is none.
async fn give_key(app: &Arc<App>, api_key: String) -> Result<Option<Bootstrapped>> {
    let ctx = ctx(app);
    let write = app.store.write(move |tx| {
        let Some(owner) = first_owner(tx)? else { return Ok(None) };
        let named = json!({"label": "orgd", "scopes": ["*"]});
        api_keys::create(&ctx, tx, owner, Some(api_key.clone()), Input::of(&named))?;
        of_owner(tx, owner, &api_key)
    });
    write.await
}

fn first_owner(tx: &Tx) -> Result<Option<UserId>> {
    for row in organizations::every(tx)? {
        let levels = members::levels(tx, row?.0)?;
        if let Some((owner, _)) = levels.into_iter().find(|(_, level)| *level == Level::Owner) {
            return Ok(Some(owner));
        }
    }
    Ok(None)
}

/// The owner of a key with their organization and their first project; `None` where they have none.
fn of_owner(tx: &Tx, user: UserId, api_key: &str) -> Result<Option<Bootstrapped>> {
    let found = users::find(tx, user)?;
    let Some(organization) = users::current_organization(tx, user, &found)? else { return Ok(None) };
    let projects = projects::visible_in(tx, organization.id, user, Level::Owner)?;
    let Some(project) = projects.into_iter().next() else { return Ok(None) };
    Ok(Some(Bootstrapped {
        email: found.email,
        user_id: user,
        organization_id: organization.id,
        organization_name: organizations::find(tx, organization.id)?.name,
        project_id: project.id,
        project_api_token: project.api_token,
        api_key: api_key.to_owned(),
    }))
}

/// Whether the file has the demo owner with the key that is derived from its secret.
pub(super) fn has_derived_key(tx: &Tx) -> Result<bool> {
    let Some(user) = users::by_email(tx, EMAIL)? else { return Ok(false) };
    let key = derived_key(&status::secret(tx)?)?;
    Ok(api_keys::by_hash(tx, &hash(&key))?.is_some_and(|key| key.user == user))
}

fn derived_key(secret: &[u8]) -> Result<String> {
    Ok(format!("phx_{}", derived(secret, "demo key")?))
}

fn derived(secret: &[u8], purpose: &str) -> Result<String> {
    let mut signer = Hmac::<Sha256>::new_from_slice(secret)
        .map_err(|cause| Error::internal(format!("the instance's secret is unusable: {cause}")))?;
    signer.update(purpose.as_bytes());
    Ok(URL_SAFE_NO_PAD.encode(signer.finalize().into_bytes()).replace(['-', '_'], "x"))
}
