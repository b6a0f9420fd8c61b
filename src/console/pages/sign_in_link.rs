//! The link that `--dev` prints. Opening it signs in, so it works from this machine only, and once.

use std::sync::Arc;

use crate::api::{Call, Method, Reply, Within};
use crate::app::route::async_;
use crate::app::{App, Route, public};
use crate::auth::cookies;
use crate::console::frame::to;
use crate::console::refusal;
use crate::error::{Result, not_found};
use crate::resources::sessions::{self, Browser};

pub(super) fn routes() -> Vec<Route> {
    let path = "/login/link/{token}";
    vec![Route::page(Method::Get, path, public(), Within::Nothing, async_(open), refusal::page)]
}

async fn open(app: Arc<App>, call: Arc<Call>) -> Result<Reply> {
    if app.config.mode().is_none() || !call.is_from_this_machine() {
        return Err(not_found());
    }
    // Whoever reloads the page is signed in already, or signs in as usual.
    let Some(user) = app.sign_in_link.take(call.param("token")) else { return Ok(to("/")) };
    let entered = app.store.write({
        let (call, browser) = (Arc::clone(&call), Browser::of(&call));
        move |tx| sessions::log_in(&call, tx, &browser, user)
    });
    let entered = entered.await?;
    cookies::set(&call, &entered.token, to("/"))
}
