//! What the server prints before it listens: how to begin, and who was made at the start.

use std::net::SocketAddr;
use std::sync::Arc;

use orgd::admin::{self, BootstrapOwner, Bootstrapped, Demo};
use orgd::app::App;
use orgd::config::Config;
use orgd::resources;

use super::output::complain;
use super::owner::{SETTING_NAMES, sentence_by};
use super::seed::{self, Begun};
use super::{CommandResult, sentence};

/// Makes who is to be made at the start, and says how to begin, unless standard output is for programs. Returns what a
/// development server begins with.
pub(super) async fn greet(app: &Arc<App>, scheme: &str, address: SocketAddr) -> Result<Begun, String> {
    let is_for_people = app.config.testing.ready.is_none();
    if app.config.mode().is_some() {
        let begun = seed::begin(app).await?;
        if let Some(demo) = begun.demo.as_ref().filter(|_| is_for_people) {
            greet_developer(app, scheme, address, demo);
        }
        return Ok(begun);
    }
    greet_operator(app, scheme, address, is_for_people).await?;
    Ok(Begun { demo: None, seeded: None })
}

fn greet_developer(app: &App, scheme: &str, address: SocketAddr, demo: &Demo) {
    let Demo { made, password } = demo;
    if let Some(password) = password {
        say!(
            "Demo owner {} with password {password}, project {} ({})",
            made.email,
            made.project_id,
            made.project_api_token
        );
    }
    say!("API key: {}", made.api_key);
    if app.config.has_console() {
        let token = app.ids.base62::<32>();
        app.sign_in_link.set(&token, made.user_id);
        say!("Open in a browser, signed in, once:\n  {scheme}://{address}/login/link/{token}");
    }
    say!("Or try:\n  {}", example(scheme, address, made));
}

/// Makes the first owner of an empty file where there is to be one, and says how to make them where not.
async fn greet_operator(
    app: &Arc<App>,
    scheme: &str,
    address: SocketAddr,
    is_for_people: bool,
) -> CommandResult {
    let empty = app.store.read(resources::users::none_yet).map_err(sentence)?;
    if !empty {
        return Ok(());
    }
    let wanted = &app.config.bootstrap;
    if let Some(email) = &wanted.email {
        let owner = BootstrapOwner {
            email: email.clone(),
            first_name: "Owner".into(),
            organization: wanted.organization.clone().unwrap_or_else(|| "Organization".into()),
            password: wanted.password.clone(),
            api_key: wanted.api_key.clone(),
        };
        let has_key = owner.api_key.is_some();
        let made = admin::bootstrap(app, owner).await;
        let made = made.map_err(|cause| sentence_by(&SETTING_NAMES, cause))?;
        announce(
            is_for_people,
            &format!(
                "Bootstrapped the first owner {} of {} ({})",
                made.email, made.organization_name, made.organization_id
            ),
        );
        if !has_key {
            announce(is_for_people, &format!("API key, shown this once: {}", made.api_key));
        }
        return Ok(());
    }
    if !is_for_people {
        return Ok(());
    }
    say!("The data file is empty. Make its first owner from this machine:");
    if app.config.has_console() {
        say!("  {}/setup", address_for_people(&app.config, scheme, address));
        say!("or with");
    }
    say!("  {}", sign_up_example(scheme, address));
    say!("From elsewhere, type the set-up code, or send it in the header X-Setup-Code: {}", app.setup_code);
    Ok(())
}

/// Standard output may be for programs.
fn announce(is_for_people: bool, sentence: &str) {
    if is_for_people {
        say!("{sentence}");
    } else {
        complain(sentence);
    }
}

/// Where a browser reaches the server.
fn address_for_people(config: &Config, scheme: &str, address: SocketAddr) -> String {
    match &config.site_url {
        Some(site) => site.trim_end_matches('/').to_owned(),
        None if address.ip().is_unspecified() => format!("{scheme}://localhost:{}", address.port()),
        None => format!("{scheme}://{address}"),
    }
}

fn example(scheme: &str, address: SocketAddr, made: &Bootstrapped) -> String {
    format!(
        "curl -H 'Authorization: Bearer {}' {scheme}://{address}/api/organizations/@current/",
        made.api_key
    )
}

fn sign_up_example(scheme: &str, address: SocketAddr) -> String {
    format!(
        "curl -c orgd.cookies -H 'Content-Type: application/json' -d '{{\"first_name\": \"Ada\", \"email\": \"ada@example.com\", \"password\": \"change-this-Passphrase\", \"organization_name\": \"Acme\"}}' {scheme}://{address}/api/signup/"
    )
}
