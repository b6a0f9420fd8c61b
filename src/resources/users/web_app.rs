//! What the web app keeps of a user and nothing here reads. The record holds it as one JSON text, where a setting that
//! is missing has its default: a new one needs no step of the data file.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{find, replace, require_self};
use crate::api::{Call, Ctx, Field, FieldInfo, Form, Input, Reply, Within};
use crate::app::{Route, read, scope, write};
use crate::error::{Error, Result};
use crate::store::{Json, Tx, WriteTx};

pub(super) fn routes() -> Vec<Route> {
    let home = "/api/user_home_settings/@me/";
    vec![
        Route::get(home, scope("user:read"), Within::Nothing, read(show_home))
            .responds(200, HOME)
            .about("Retrieve the caller's home page", "The tabs and the start page of the web app."),
        Route::patch(home, scope("user:write"), Within::Nothing, write(patch_home))
            .accepts(HOME)
            .responds(200, HOME)
            .about("Change the caller's home page", "Stored and shown; nothing here reads it."),
        Route::get("/api/users/{uuid}/github_login/", scope("user:read"), Within::Nothing, read(show_github))
            .responds(200, GITHUB)
            .about("See the caller's GitHub account", "Always null: nobody logs in by GitHub here."),
    ]
}

/// All of it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct WebApp {
    shown: Shown,
    home: Home,
}

/// What the user's own record shows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Shown {
    allow_impersonation: Option<bool>,
    allow_sidebar_suggestions: Option<bool>,
    hide_mcp_hints: Option<bool>,
    passkeys_enabled_for_2fa: Option<bool>,
    shortcut_position: Option<String>,
    ui_configuration: Option<Value>,
}

impl Default for Shown {
    fn default() -> Shown {
        Shown {
            allow_impersonation: Some(true),
            allow_sidebar_suggestions: Some(true),
            hide_mcp_hints: Some(false),
            passkeys_enabled_for_2fa: Some(false),
            shortcut_position: None,
            ui_configuration: None,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
struct Home {
    tabs: Value,
    homepage: Option<Value>,
}

impl Default for Home {
    fn default() -> Home {
        Home { tabs: json!([]), homepage: None }
    }
}

fn is_shortcut_position(text: &str) -> bool {
    ["above", "below", "hidden"].contains(&text)
}

pub(super) const ALLOW_IMPERSONATION: Field<Option<bool>> = Field::boolean("allow_impersonation")
    .nullable()
    .described("Stored and shown; nobody impersonates anybody here.");
pub(super) const ALLOW_SIDEBAR_SUGGESTIONS: Field<Option<bool>> =
    Field::boolean("allow_sidebar_suggestions").nullable();
pub(super) const HIDE_MCP_HINTS: Field<Option<bool>> = Field::boolean("hide_mcp_hints").nullable();
pub(super) const PASSKEYS_ENABLED_FOR_2FA: Field<Option<bool>> = Field::boolean("passkeys_enabled_for_2fa")
    .nullable()
    .described("Stored and shown; there are no passkeys here.");
pub(super) const SHORTCUT_POSITION: Field<Option<String>> =
    Field::text_choice("shortcut_position", is_shortcut_position).nullable();
pub(super) const UI_CONFIGURATION: Field<Option<Json>> =
    Field::json("ui_configuration").nullable().described("Stored and shown; nothing here reads it.");
const TABS: Field<Value> = Field::list("tabs");
const HOMEPAGE: Field<Option<Json>> = Field::json("homepage").nullable();
const HOME: &[FieldInfo] = &[TABS.info(), HOMEPAGE.info()];
const GITHUB: &[FieldInfo] = &[Field::text("github_login", 100).nullable().read_only()];

impl WebApp {
    pub(super) fn of(stored: &Json) -> Result<WebApp> {
        serde_json::from_str(stored.text())
            .map_err(|cause| Error::failed("the settings of a user's web app are unreadable", cause))
    }

    pub(super) fn shown(self) -> Shown {
        self.shown
    }

    pub(super) fn fill(&mut self, form: &mut Form) {
        let Shown {
            allow_impersonation,
            allow_sidebar_suggestions,
            hide_mcp_hints,
            passkeys_enabled_for_2fa,
            shortcut_position,
            ui_configuration,
        } = &mut self.shown;
        form.set(ALLOW_IMPERSONATION, allow_impersonation);
        form.set(ALLOW_SIDEBAR_SUGGESTIONS, allow_sidebar_suggestions);
        form.set(HIDE_MCP_HINTS, hide_mcp_hints);
        form.set(PASSKEYS_ENABLED_FOR_2FA, passkeys_enabled_for_2fa);
        form.set(SHORTCUT_POSITION, shortcut_position);
        if let Some(wanted) = form.take(UI_CONFIGURATION) {
            *ui_configuration = wanted.map(|json| json.value());
        }
    }
}

fn show_home(call: &Call, tx: &Tx) -> Result<Reply> {
    let user = find(tx, call.user()?)?;
    Reply::ok(&WebApp::of(&user.settings.web_app)?.home)
}

fn patch_home(call: &Call, tx: &WriteTx) -> Result<Reply> {
    Reply::ok(&update_home(call, tx, call.input())?)
}

fn show_github(call: &Call, _tx: &Tx) -> Result<Reply> {
    require_self(call)?;
    Reply::ok(&json!({"github_login": null}))
}

/// Changes the caller's home page.
///
/// # Errors
/// 400 for wrong fields.
fn update_home(ctx: &Ctx, tx: &WriteTx, input: Input<'_>) -> Result<Home> {
    let uuid = ctx.user()?;
    let before = find(tx, uuid)?;
    let mut user = before.clone();
    let mut web_app = WebApp::of(&user.settings.web_app)?;
    let mut form = input.form(HOME)?;
    form.set(TABS, &mut web_app.home.tabs);
    if let Some(wanted) = form.take(HOMEPAGE) {
        web_app.home.homepage = wanted.map(|json| json.value());
    }
    form.finish();
    user.settings.web_app = Json::of(&web_app);
    replace(tx, uuid, &before, &user)?;
    Ok(web_app.home)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setting_that_is_not_stored_has_its_default() {
        assert_eq!(WebApp::of(&Json::of(&json!({}))).unwrap(), WebApp::default());
        let stored = json!({"shown": {"hide_mcp_hints": true}, "gone": 1});
        let read = WebApp::of(&Json::of(&stored)).unwrap().shown;
        assert_eq!(read, Shown { hide_mcp_hints: Some(true), ..Shown::default() });
    }
}
