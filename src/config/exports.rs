//! Events and where they are exported to.

use clap::Args;

use crate::outbound::postgres::Roots;

/// Settings of the event store and of batch exports.
#[derive(Clone, Args)]
#[command(next_help_heading = "Events and batch exports")]
pub struct Exports {
    /// Events are kept for so many days; 0 keeps them for ever.
    #[arg(long, env = "ORGD_EVENTS_DAYS_MAX", default_value_t = 90, value_name = "DAYS")]
    pub events_days_max: u32,

    /// All events together take so many MiB at most, then the oldest of the largest projects go; 0 is without
    /// limit.
    #[arg(long, env = "ORGD_EVENTS_MIB_MAX", default_value_t = 10 * 1024, value_name = "MIB")]
    pub events_mib_max: u64,

    /// The events of one project take so many MiB at most; 0: whatever the others leave of the limit of all.
    #[arg(long, env = "ORGD_EVENTS_PROJECT_MIB_MAX", default_value_t = 0, value_name = "MIB")]
    pub events_project_mib_max: u64,

    /// Batch exports that run at once; more have to wait.
    #[arg(long, env = "ORGD_EXPORT_WORKERS", default_value_t = 4, value_name = "COUNT", value_parser = super::positive)]
    pub export_workers: usize,

    /// Lets batch exports run every 5 or 15 minutes.
    #[arg(long, env = "ORGD_EXPORT_HIGH_FREQUENCY", default_value_t = false, num_args = 0..=1, default_missing_value = "true", action = clap::ArgAction::Set)]
    pub export_high_frequency: bool,

    /// What the certificates of PostgreSQL and Redshift on other machines are checked against: the system's
    /// root certificates, or a file with others in PEM form.
    #[arg(long, env = "ORGD_EXPORT_ROOT_CERTS", default_value = "system", value_name = "system|FILE", value_parser = Roots::named)]
    pub export_root_certs: Roots,

    /// Seconds without a sign of life that a destination gets before its first answer.
    #[arg(long, env = "ORGD_EXPORT_FIRST_ANSWER_SECONDS", default_value_t = 10, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(1..=86_400))]
    pub export_first_answer_seconds: u32,

    /// The key that seals the secrets of export destinations; without one, the key file beside the data file.
    #[arg(skip)]
    pub secret_key: Option<String>,
}

impl Exports {
    /// The key comes from the environment or a file only: a flag would show it in the list of processes.
    pub(super) fn with_secrets(mut self) -> Result<Exports, String> {
        self.secret_key = super::secret("ORGD_SECRET_KEY")?;
        Ok(self)
    }
}
