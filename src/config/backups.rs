//! Backups that the server makes on its own.

use std::path::PathBuf;
use std::str::FromStr;

use clap::Args;

/// Where backups lie, how often one is made, and how long they are kept.
#[derive(Clone, Args)]
#[command(next_help_heading = "Backups")]
pub struct Backups {
    /// Folder for backups, made where there is none. Unset: the server makes none.
    #[arg(long = "backup-dir", env = "ORGD_BACKUP_DIR", value_name = "FOLDER")]
    pub dir: Option<PathBuf>,

    /// How often a backup is made: hours or days, such as `6h` or `1d`.
    #[arg(long = "backup-every", env = "ORGD_BACKUP_EVERY", default_value = "1d", value_name = "TIME")]
    pub every: Every,

    /// Which backups are kept: the newest of so many hours, days, weeks, months and years.
    #[arg(long = "backup-keep", env = "ORGD_BACKUP_KEEP", default_value = "7d,4w,6m", value_name = "TIERS")]
    pub keep: Keep,

    #[command(flatten)]
    pub s3: BackupS3,
}

/// A bucket that each backup is put into as well.
#[derive(Clone, Args)]
pub struct BackupS3 {
    /// Bucket that each backup is put into as well; needs --backup-dir. Old ones are removed by rules of the bucket.
    #[arg(
        id = "backup_s3_bucket",
        long = "backup-s3-bucket",
        env = "ORGD_BACKUP_S3_BUCKET",
        value_name = "NAME"
    )]
    pub bucket: Option<String>,

    /// Address of the server that has the bucket. Unset: Amazon's of the region.
    #[arg(
        id = "backup_s3_endpoint",
        long = "backup-s3-endpoint",
        env = "ORGD_BACKUP_S3_ENDPOINT",
        value_name = "URL"
    )]
    pub endpoint: Option<String>,

    /// Region of the bucket.
    #[arg(
        id = "backup_s3_region",
        long = "backup-s3-region",
        env = "ORGD_BACKUP_S3_REGION",
        default_value = "us-east-1",
        value_name = "NAME"
    )]
    pub region: String,

    /// What the names of backups in the bucket begin with.
    #[arg(
        id = "backup_s3_prefix",
        long = "backup-s3-prefix",
        env = "ORGD_BACKUP_S3_PREFIX",
        default_value = "",
        hide_default_value = true,
        value_name = "TEXT"
    )]
    pub prefix: String,

    /// Identifier of the key for the bucket.
    #[arg(
        id = "backup_s3_access_key_id",
        long = "backup-s3-access-key-id",
        env = "ORGD_BACKUP_S3_ACCESS_KEY_ID",
        value_name = "ID"
    )]
    pub access_key_id: Option<String>,

    /// The key itself; no flag, which would show it in the list of processes.
    #[arg(skip)]
    pub secret_access_key: Option<String>,
}

impl Backups {
    /// Secrets come from the environment or from files only.
    pub(super) fn with_secrets(mut self) -> Result<Backups, String> {
        self.s3.secret_access_key = super::secret("ORGD_BACKUP_S3_SECRET_ACCESS_KEY")?;
        Ok(self)
    }

    /// What is wrong with settings that depend on each other.
    pub(super) fn problem(&self) -> Option<String> {
        if self.s3.bucket.is_some() && self.dir.is_none() {
            let needs = "--backup-s3-bucket (ORGD_BACKUP_S3_BUCKET) needs --backup-dir (ORGD_BACKUP_DIR): a backup is \
                         proved there before it is sent";
            return Some(needs.to_owned());
        }
        let is_half = self.s3.access_key_id.is_some() != self.s3.secret_access_key.is_some();
        let belong = "ORGD_BACKUP_S3_ACCESS_KEY_ID and ORGD_BACKUP_S3_SECRET_ACCESS_KEY belong together";
        is_half.then(|| belong.to_owned())
    }
}

/// A time between two backups, in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Every(pub i64);

/// Which backups are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keep(pub Vec<Tier>);

/// The newest backups of so many periods are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tier {
    pub count: usize,
    pub unit: KeepUnit,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeepUnit {
    Hours,
    Days,
    Weeks,
    Months,
    Years,
}

/// A whole number from 1 on, and the letter after it.
fn number_and_letter(text: &str) -> Option<(usize, char)> {
    let text = text.trim();
    let letter = text.chars().next_back()?;
    let number =
        text[..text.len() - letter.len_utf8()].parse().ok().filter(|number| (1..=10_000).contains(number))?;
    Some((number, letter.to_ascii_lowercase()))
}

impl FromStr for Every {
    type Err = String;

    fn from_str(text: &str) -> Result<Every, String> {
        let seconds = match number_and_letter(text) {
            Some((number, 'h')) => number * 60 * 60,
            Some((number, 'd')) => number * 24 * 60 * 60,
            _ => return Err("hours or days, such as 6h or 1d".into()),
        };
        i64::try_from(seconds).map(Every).map_err(|_| "a shorter time".into())
    }
}

impl FromStr for Keep {
    type Err = String;

    fn from_str(text: &str) -> Result<Keep, String> {
        let tier = |text: &str| {
            let (count, letter) = number_and_letter(text)?;
            let unit = match letter {
                'h' => KeepUnit::Hours,
                'd' => KeepUnit::Days,
                'w' => KeepUnit::Weeks,
                'm' => KeepUnit::Months,
                'y' => KeepUnit::Years,
                _ => return None,
            };
            Some(Tier { count, unit })
        };
        let tiers = text.split(',').map(tier).collect::<Option<Vec<Tier>>>();
        tiers.map(Keep).ok_or_else(|| {
            "numbers of hours, days, weeks, months or years between commas, such as 24h,7d,4w,6m,1y".into()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_tiers_are_numbers_with_a_letter() {
        assert_eq!("6h".parse(), Ok(Every(21_600)));
        assert_eq!(" 2D".parse(), Ok(Every(172_800)));
        for wrong in ["", "h", "0h", "1", "1m", "-1h", "1.5h", "1é", "99999h"] {
            assert!(wrong.parse::<Every>().is_err(), "{wrong}");
        }
        let tier = |count, unit| Tier { count, unit };
        let wanted = vec![tier(7, KeepUnit::Days), tier(4, KeepUnit::Weeks), tier(6, KeepUnit::Months)];
        assert_eq!("7d, 4W,6m".parse(), Ok(Keep(wanted)));
        for wrong in ["", "7d,", "7", "d", "0d", "7x"] {
            assert!(wrong.parse::<Keep>().is_err(), "{wrong}");
        }
    }
}
