//! The seed of a development or test server.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use orgd::admin::{self, Demo};
use orgd::app::App;
use orgd::config::Config;
use orgd::resources::org_file::{self, Seeded};
use orgd::resources::users;
use orgd::routes;
use serde_json::Value;

use super::{CommandResult, sentence};

/// What a server begins with.
pub(super) struct Begun {
    /// Whose key it shows.
    pub(super) demo: Option<Demo>,
    pub(super) seeded: Option<Seeded>,
}

fn read(path: &Path) -> Result<String, String> {
    fs::read_to_string(path).map_err(|cause| format!("--seed: cannot read {}: {cause}", path.display()))
}

/// Takes the clock that the seed wants into the settings: what it makes is made by that clock.
pub(super) fn prepare(config: &mut Config) -> CommandResult {
    let Some(path) = &config.testing.seed else { return Ok(()) };
    match org_file::clock_of(&read(path)?)? {
        Some(clock) => config.testing.take_clock(&clock),
        None => Ok(()),
    }
}

/// Makes what the seed says, or else the demo owner. A data file that has users was seeded before.
pub(super) async fn begin(app: &Arc<App>) -> Result<Begun, String> {
    let is_wanted = app.config.testing.in_memory || app.store.read(users::none_yet).map_err(sentence)?;
    let mut seeded = None;
    if let Some(path) = app.config.testing.seed.as_ref().filter(|_| is_wanted) {
        let made = org_file::seed(app, &read(path)?).await?;
        stage(app, &made)?;
        seeded = Some(made);
    }
    Ok(Begun { demo: admin::demo(app).await.map_err(sentence)?, seeded })
}

/// Has the server fail, and the DNS answer, as the seed says.
fn stage(app: &App, seeded: &Seeded) -> CommandResult {
    let Some(server) = &app.test_server else { return Ok(()) };
    routes::introduce(&server.paths);
    if let Some(faults) = &seeded.faults {
        let programme = serde_json::json!({"faults": faults});
        let programme: &Value = if faults.is_array() { &programme } else { faults };
        server.faults.load(&server.paths, programme).map_err(|cause| format!("seed: faults: {cause}"))?;
    }
    if let Some(names) = &seeded.dns {
        server.dns.replace(names).map_err(|cause| format!("seed: dns: {cause}"))?;
    }
    Ok(())
}
