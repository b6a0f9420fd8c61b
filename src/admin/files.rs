//! Organizations in files, as the operator applies and exports them.

use std::sync::Arc;

use serde_json::Value;

use super::ctx;
use crate::app::App;
use crate::error::Result;
use crate::resources::org_file::export::{self, Wish};
use crate::resources::org_file::plan::{Options, Plan};
use crate::resources::org_file::service::{self, Job};
use crate::resources::org_file::{May, read_value};

/// Plans a file, or applies it.
///
/// # Errors
/// What is wrong with the file, or cannot be done: nothing was, then.
pub async fn apply_file(
    app: &Arc<App>,
    file: &Value,
    options: Options,
    base: Option<String>,
    is_trial: bool,
) -> Result<Plan> {
    let job = Job {
        ctx: ctx(app),
        document: Arc::new(read_value(file)?),
        options,
        may: May::on(app, true),
        base: base.filter(|_| !is_trial),
        is_silent: false,
    };
    if is_trial { service::plan(app, job).await } else { service::apply(app, job).await }
}

/// Organizations as a file.
///
/// # Errors
/// One is not there.
pub fn export_file(app: &Arc<App>, wish: &Wish) -> Result<String> {
    let ctx = ctx(app);
    app.store.read(|tx| export::export(&ctx, tx, wish))
}
