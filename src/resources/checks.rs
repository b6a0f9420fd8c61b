//! What should be so on every server, and what to do where it is not: for the operator, on pages and at the machine.

use serde::{Deserialize, Serialize};

use super::trusted_time;
use crate::app::App;
use crate::error::Result;
use crate::store::Tx;

/// Something that should be so.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Check {
    pub what: String,
    pub holds: bool,
    /// Where it is not so: why, and what to do.
    pub to_do: String,
}

/// All checks of this server.
///
/// # Errors
/// None but of the data file.
pub fn all(app: &App, tx: &Tx) -> Result<Vec<Check>> {
    let failed = app.task_results.all().values().filter(|result| result.outcome.is_err()).count();
    let checks = [
        (
            "The data file can be written",
            app.store.healthy(),
            "The data file cannot be written. Look for a full or failing disk; the server tries again.",
        ),
        (
            "Sealed secrets can be opened",
            !app.vault.is_locked(),
            "Sealed secrets cannot be opened. Put the key file back that belongs to this data file, and start again.",
        ),
        (
            "The clock is believed",
            !trusted_time::is_doubted(tx)?,
            "The clock is far ahead of the data file, so nothing is removed for its age. Set the clock right.",
        ),
        (
            "Background tasks succeed",
            failed == 0,
            "A background task fails. The list of tasks says which one, and why.",
        ),
        (
            "The certificate of HTTPS is good",
            app.certificate_in_doubt().is_none(),
            "The certificate of HTTPS is missing, has ended or ends soon. `orgd status` and the log say why.",
        ),
        (
            "Backups are made",
            app.config.backups.dir.is_some() && app.backups_in_doubt().is_none(),
            "There is no recent backup. Set ORGD_BACKUP_DIR, or make one with `orgd backup`.",
        ),
        (
            "Mail is set up",
            app.config.sends_mail(),
            "No mail server is set. Set ORGD_SMTP_URL and ORGD_SITE_URL, or pass links on yourself.",
        ),
    ];
    let check =
        |(what, holds, to_do): (&str, bool, &str)| Check { what: what.into(), holds, to_do: to_do.into() };
    Ok(checks.map(check).into())
}
