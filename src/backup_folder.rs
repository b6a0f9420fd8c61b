//! The folder of scheduled backups: what lies there, what is kept for how long, and when the last good one was made.
//!
//! A backup gets its name when it is proved, so the names are all that has to be looked at.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::Notify;

use crate::clock::Time;
use crate::config::{Backups, Keep, KeepUnit};

type Outcome<T> = Result<T, String>;

const BEGINNING: &str = "orgd-";
const ENDING: &str = ".redb";
/// What stands before the ending of one that somebody wanted.
const BY_HAND: &str = "-by-hand";
/// For so long, none is removed that somebody wanted.
const BY_HAND_SECONDS: i64 = 7 * 24 * 60 * 60;

/// Why a backup is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Occasion {
    Schedule,
    /// Somebody wanted it.
    ByHand,
}

/// A backup in the folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    pub name: String,
    pub path: PathBuf,
    pub taken: Time,
    pub occasion: Occasion,
    pub bytes: u64,
}

/// The name of a backup of this moment.
pub fn name_of(taken: Time, occasion: Occasion) -> String {
    let seconds = Time(0).plus_seconds(taken.unix_seconds());
    let word = if occasion == Occasion::ByHand { BY_HAND } else { "" };
    format!("{BEGINNING}{}{word}{ENDING}", stamp(seconds))
}

/// What a backup's name says of it; `None` for all other files.
fn read_name(name: &str) -> Option<(Time, Occasion)> {
    let text = name.strip_prefix(BEGINNING)?.strip_suffix(ENDING)?;
    let (text, occasion) = match text.strip_suffix(BY_HAND) {
        Some(text) => (text, Occasion::ByHand),
        None => (text, Occasion::Schedule),
    };
    let part = |range: std::ops::Range<usize>| text.get(range);
    let time = format!(
        "{}-{}-{}T{}:{}:{}Z",
        part(0..4)?,
        part(4..6)?,
        part(6..8)?,
        part(9..11)?,
        part(11..13)?,
        part(13..15)?
    );
    let time = Time::parse(&time).filter(|time| name_of(*time, occasion) == name)?;
    Some((time, occasion))
}

/// The backups in the folder, the newest first.
///
/// # Errors
/// One sentence for the operator: the folder can't be read.
pub fn list(folder: &Path) -> Outcome<Vec<Kept>> {
    let cannot = |cause: std::io::Error| format!("cannot read the folder {}: {cause}", folder.display());
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(cannot)? {
        let entry = entry.map_err(cannot)?;
        let Ok(name) = entry.file_name().into_string() else { continue };
        let Some((taken, occasion)) = read_name(&name) else { continue };
        // One that is removed meanwhile is none.
        let Some(about) = entry.metadata().ok().filter(std::fs::Metadata::is_file) else { continue };
        found.push(Kept { name, path: entry.path(), taken, occasion, bytes: about.len() });
    }
    found.sort_by_key(|kept| std::cmp::Reverse(kept.taken));
    Ok(found)
}

/// When the newest good backup in the folder was made. One of a clock that was ahead is none.
pub fn last_good(folder: &Path, now: Time) -> Option<Time> {
    list(folder).ok()?.iter().map(|kept| kept.taken).find(|taken| *taken <= now)
}

/// Why backups are not as they should be, in a sentence: the last good one is older than twice the time between two
/// of them. `None` where all is well, or the server makes none.
pub fn doubt(settings: &Backups, started_at: Time, now: Time) -> Option<String> {
    let folder = settings.dir.as_deref()?;
    let last = last_good(folder, now);
    // A server that has just begun to make some gets the time for it.
    let since = last.unwrap_or(started_at);
    if now <= since.plus_seconds(2 * settings.every.0) {
        return None;
    }
    let folder = folder.display();
    Some(match last {
        Some(last) => format!("The last good backup in {folder} is of {last}, which is too long ago."),
        None => format!("There is no good backup in {folder}."),
    })
}

/// A time as a part of a file's name.
pub fn stamp(time: Time) -> String {
    time.to_string().replace(['-', ':'], "")
}

/// What pages and the task that makes backups know of each other.
#[derive(Default)]
pub struct Desk {
    is_wanted: AtomicBool,
    is_busy: AtomicBool,
    wanted: Notify,
}

impl Desk {
    /// Lets a backup be made at once.
    pub fn want(&self) {
        self.is_wanted.store(true, Ordering::Release);
        self.wanted.notify_one();
    }

    /// Whether one is being made, or about to be.
    pub fn is_busy(&self) -> bool {
        self.is_wanted() || self.is_busy.load(Ordering::Acquire)
    }

    /// Ends when somebody wants one.
    pub async fn wanted(&self) {
        self.wanted.notified().await;
    }

    /// Whether somebody wants one.
    pub fn is_wanted(&self) -> bool {
        self.is_wanted.load(Ordering::Acquire)
    }

    /// Says for as long as what is returned lives that one is being made, for whoever has wanted one by now.
    pub fn begin(&self) -> Busy<'_> {
        self.is_busy.store(true, Ordering::Release);
        self.is_wanted.store(false, Ordering::Release);
        Busy(self)
    }
}

/// While a backup is being made.
pub struct Busy<'a>(&'a Desk);

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.0.is_busy.store(false, Ordering::Release);
    }
}

/// A backup that is called so, if there is one: no path can be named.
pub fn find(folder: &Path, name: &str) -> Option<Kept> {
    list(folder).ok()?.into_iter().find(|kept| kept.name == name)
}

/// Removes the backups that are kept no longer, and says which. Those that somebody wanted are kept for a week, and
/// then by the same tiers as the others, but apart from them: neither takes the place of the other.
///
/// # Errors
/// One sentence for the operator.
pub fn thin_out(folder: &Path, keep: &Keep) -> Outcome<Vec<String>> {
    let all = list(folder)?;
    let newest = all.first().map(|kept| kept.taken);
    let (by_hand, scheduled): (Vec<Kept>, Vec<Kept>) =
        all.into_iter().partition(|kept| kept.occasion == Occasion::ByHand);
    let is_recent =
        |kept: &Kept| newest.is_some_and(|newest| newest < kept.taken.plus_seconds(BY_HAND_SECONDS));
    let over = by_hand.iter().filter(|kept| !is_recent(kept) && !is_kept(&by_hand, kept, keep));
    let over = over.chain(scheduled.iter().filter(|kept| !is_kept(&scheduled, kept, keep)));
    let mut removed = Vec::new();
    for kept in over {
        std::fs::remove_file(&kept.path)
            .map_err(|cause| format!("cannot remove {}: {cause}", kept.path.display()))?;
        removed.push(kept.name.clone());
    }
    Ok(removed)
}

/// Whether it is the newest of all, or the newest of a period that a tier still has a place for.
fn is_kept(all: &[Kept], one: &Kept, keep: &Keep) -> bool {
    let is_newest = all.first().is_some_and(|newest| newest == one);
    is_newest
        || keep.0.iter().any(|tier| {
            let mut periods: Vec<i64> = Vec::new();
            for kept in all {
                let period = period(kept.taken, tier.unit);
                if periods.last() != Some(&period) {
                    if periods.len() == tier.count {
                        return false;
                    }
                    periods.push(period);
                    if kept == one {
                        return true;
                    }
                }
            }
            false
        })
}

/// The number of the hour, day, week (from Monday), month or year that a moment lies in, in UTC.
fn period(time: Time, unit: KeepUnit) -> i64 {
    let seconds = time.unix_seconds();
    let days = seconds.div_euclid(24 * 60 * 60);
    let text = time.to_string();
    let number = |range: std::ops::Range<usize>| text[range].parse::<i64>().unwrap_or(0);
    match unit {
        KeepUnit::Hours => seconds.div_euclid(60 * 60),
        KeepUnit::Days => days,
        // 1970 began on a Thursday.
        KeepUnit::Weeks => (days + 3).div_euclid(7),
        KeepUnit::Months => number(0..4) * 12 + number(5..7),
        KeepUnit::Years => number(0..4),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(time: &str) -> Kept {
        let taken = Time::parse(time).unwrap();
        let occasion = Occasion::Schedule;
        Kept { name: name_of(taken, occasion), path: PathBuf::new(), taken, occasion, bytes: 0 }
    }

    #[test]
    fn a_name_says_when_and_others_are_none() {
        let second = Time::parse("2026-11-27T00:50:12Z").unwrap();
        for (occasion, wanted) in [
            (Occasion::Schedule, "orgd-20261127T005012Z.redb"),
            (Occasion::ByHand, "orgd-20261127T005012Z-by-hand.redb"),
        ] {
            let name = name_of(Time::parse("2026-11-27T00:50:12.5Z").unwrap(), occasion);
            assert_eq!(name, wanted);
            assert_eq!(read_name(&name), Some((second, occasion)));
        }
        for other in [
            "orgd-20261127T005012Z.redb.part",
            "orgd-20261127T005012Z.redb.key",
            "orgd-20261127T005012Z",
            "orgd-20261327T005012Z.redb",
            "orgd-20261127x005012Z.redb",
            "orgd-2026é127T005012Z.redb",
            "orgd-.redb",
            "orgd-by-hand.redb",
            "orgd-20261127T005012Z-by-hand-by-hand.redb",
            "orgd-20261127T005012Z-by-foot.redb",
            "orgd.redb",
        ] {
            assert_eq!(read_name(other), None, "{other}");
        }
    }

    #[test]
    fn neither_kind_of_backup_takes_the_place_of_the_other() {
        let folder = tempfile::tempdir().unwrap();
        let at = |time: &str| Time::parse(&format!("2026-11-{time}:00Z")).unwrap();
        let (day, hand) = (Occasion::Schedule, Occasion::ByHand);
        let all = [
            ("27T13:00", day, true),
            ("27T12:00", hand, true),
            ("27T11:00", hand, true),
            ("27T10:00", day, false),
            ("26T10:00", day, true),
            // A week before the newest of all, and a second more.
            ("20T13:01", hand, true),
            ("20T13:00", hand, false),
            ("10T13:00", hand, false),
            ("09T13:00", day, false),
        ];
        for (time, occasion, _) in all {
            std::fs::write(folder.path().join(name_of(at(time), occasion)), "x").unwrap();
        }
        let removed = thin_out(folder.path(), &"2d".parse().unwrap()).unwrap();
        let wanted: Vec<String> =
            all.iter().filter(|one| !one.2).map(|(time, occasion, _)| name_of(at(time), *occasion)).collect();
        let mut sorted = removed.clone();
        sorted.sort();
        sorted.reverse();
        assert_eq!(sorted, wanted);
    }

    #[test]
    fn tiers_keep_the_newest_of_each_period() {
        // Two a day for ninety days, the newest first.
        let start = Time::parse("2026-11-27T13:00:00Z").unwrap();
        let all: Vec<Kept> =
            (0..180).map(|number| kept(&start.plus_seconds(-12 * 60 * 60 * number).to_string())).collect();
        let left = |keep: &str| -> Vec<String> {
            let keep: Keep = keep.parse().unwrap();
            let left = all.iter().filter(|one| is_kept(&all, one, &keep));
            left.map(|one| one.taken.to_string()[..13].to_owned()).collect()
        };
        assert_eq!(left("3d"), ["2026-11-27T13", "2026-11-26T13", "2026-11-25T13"]);
        assert_eq!(left("2h"), ["2026-11-27T13", "2026-11-27T01"]);
        assert_eq!(left("2d,3w"), ["2026-11-27T13", "2026-11-26T13", "2026-11-22T13", "2026-11-15T13"]);
        assert_eq!(left("1d,3m"), ["2026-11-27T13", "2026-10-31T13", "2026-09-30T13"]);
        assert_eq!(left("5y"), ["2026-11-27T13"]);
        assert_eq!(left("500h").len(), 180);
    }
}
