//! orgd: the PostHog-compatible organization management API as one program with one data file.
//!
//! A request passes `http::server` → `http::service` → `routes` → `http::authorize` → a module of `resources` →
//! `store` → the file. ARCHITECTURE.md has the map and what must always hold.

pub mod admin;
pub mod api;
pub mod app;
pub mod auth;
pub mod background;
pub mod backoff;
pub mod backup;
pub mod backup_folder;
pub mod bytewise;
pub mod certificates;
pub mod client;
pub mod clock;
pub mod config;
#[cfg(feature = "console")]
pub mod console;
pub mod control;
pub mod dns;
pub mod error;
mod forks;
pub mod health;
mod http;
pub mod ids;
pub mod logging;
pub mod metrics;
pub mod notices;
pub mod outbound;
pub mod pool;
pub mod resources;
pub mod routes;
pub mod service_manager;
pub mod standard_output;
pub mod store;
pub mod task_results;
pub mod test_server;
#[cfg(feature = "testing")]
pub mod testing;
pub mod turns;
pub mod vault;
pub mod yielding_thread;

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;

use app::App;
pub use http::Listeners;
pub use resources::org_file;

/// Serves on the listeners until `stop` comes; then requests under way finish and background work ends. Returns the server
/// with its newest data: after a reset that is another one.
pub async fn serve(
    app: Arc<App>,
    listeners: impl Into<Listeners>,
    stop: impl Future<Output = ()>,
) -> Arc<App> {
    if let Some(server) = &app.test_server {
        routes::introduce(&server.paths);
    }
    let mut stop = pin!(stop);
    let listeners = match app.test_server {
        None => listeners.into(),
        Some(_) => match forks::serve(&app, listeners.into(), stop.as_mut()).await {
            Ok(newest) => return newest,
            Err(returned) => returned,
        },
    };
    let mut tasks = background::start(&app);
    http::serve(http::Served::One(Arc::clone(&app)), listeners, stop).await;
    tasks.shutdown().await;
    app
}
