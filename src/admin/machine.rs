//! What the system says of the machine and its limits. Nothing of it names anybody: numbers, and words of the system.

use std::fs;
use std::path::{Path, PathBuf};

use serde::Serialize;

/// The machine, as far as the process may use it; `None` where the system does not say.
#[derive(Debug, Serialize)]
pub struct Machine {
    pub system: Option<String>,
    pub kernel: Option<String>,
    pub architecture: &'static str,
    pub cores: Option<usize>,
    pub memory_bytes: Option<u64>,
    /// Of the control group that the process is in, or one above it.
    pub cgroup_memory_bytes: Option<u64>,
    pub cgroup_cores: Option<f64>,
}

/// Where a file lies.
#[derive(Debug, Serialize)]
pub struct Disk {
    pub file_system: Option<String>,
    pub disk_bytes: Option<u64>,
    pub disk_free_bytes: Option<u64>,
}

/// Looks at the machine.
pub(super) fn machine() -> Machine {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let cgroup = read("/proc/self/cgroup");
    let least = |files: Vec<PathBuf>, number: fn(&str) -> Option<f64>| {
        let found = files.iter().filter_map(|file| number(&fs::read_to_string(file).ok()?));
        found.min_by(f64::total_cmp)
    };
    let memory_files =
        [of_groups(&cgroup, "", "memory.max"), of_groups(&cgroup, "memory", "memory.limit_in_bytes")];
    Machine {
        system: system(&read("/etc/os-release")),
        kernel: kernel(&read("/proc/sys/kernel/osrelease")),
        architecture: std::env::consts::ARCH,
        cores: std::thread::available_parallelism().ok().map(std::num::NonZero::get),
        memory_bytes: memory(&read("/proc/meminfo")),
        cgroup_memory_bytes: least(memory_files.concat(), bytes).map(|bytes| bytes as u64),
        cgroup_cores: least(of_groups(&cgroup, "", "cpu.max"), cores),
    }
}

/// Looks at the disk that a file lies on.
pub(super) fn disk(file: &Path) -> Disk {
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let file = fs::canonicalize(file).unwrap_or_else(|_| file.to_owned());
    let about = rustix::fs::statvfs(&file).ok();
    let bytes = |blocks: fn(&rustix::fs::StatVfs) -> u64| {
        about.as_ref().map(|about| blocks(about).saturating_mul(about.f_frsize))
    };
    Disk {
        file_system: file_system(&mounts, &file),
        disk_bytes: bytes(|about| about.f_blocks),
        disk_free_bytes: bytes(|about| about.f_bavail),
    }
}

/// The short names of the system and of its version.
fn system(os_release: &str) -> Option<String> {
    let field = |name: &str| {
        let value = os_release.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='))?;
        Some(word(value.trim_matches('"')))
    };
    let version = field("VERSION_ID").map_or_else(String::new, |version| format!(" {version}"));
    Some(field("ID")? + &version)
}

/// Letters that words of the system are made of, and not many of them.
fn word(text: &str) -> String {
    let is_plain = |letter: &char| letter.is_ascii_alphanumeric() || ".-_".contains(*letter);
    text.chars().filter(is_plain).take(24).collect()
}

/// The number of the kernel, without the name that somebody may have given it.
fn kernel(release: &str) -> Option<String> {
    let end = release.find(|letter: char| !letter.is_ascii_digit() && letter != '.').unwrap_or(release.len());
    Some(release[..end].to_owned()).filter(|number| !number.is_empty())
}

fn memory(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    Some(line.split_whitespace().next()?.parse::<u64>().ok()? * 1024)
}

/// The files of this name of the control group that the process is in, and of all above it: of the second version, or of a
/// controller of the first.
fn of_groups(cgroup: &str, controller: &str, file: &str) -> Vec<PathBuf> {
    let own = cgroup.lines().find_map(|line| {
        let (_, line) = line.split_once(':')?;
        line.strip_prefix(controller)?.strip_prefix(":/")
    });
    let Some(own) = own else { return Vec::new() };
    let root = Path::new("/sys/fs/cgroup").join(controller);
    let place = root.join(own);
    place.ancestors().take_while(|path| path.starts_with(&root)).map(|path| path.join(file)).collect()
}

/// The first version has a number for what has no limit.
fn bytes(text: &str) -> Option<f64> {
    const NONE: f64 = 1e18;
    text.trim().parse().ok().filter(|bytes| *bytes < NONE)
}

/// Processor time in each period, by the length of the period.
fn cores(text: &str) -> Option<f64> {
    let mut numbers = text.split_whitespace().map(|number| number.parse::<f64>().ok());
    let (time, period) = (numbers.next()??, numbers.next()??);
    (period > 0.0).then(|| time / period)
}

/// The kind of the file system that is mounted where the file lies.
fn file_system(mounts: &str, file: &Path) -> Option<String> {
    let mount = |line: &str| {
        let (before, after) = line.split_once(" - ")?;
        let place = PathBuf::from(unescaped(before.split(' ').nth(4)?));
        file.starts_with(&place)
            .then(|| (place.components().count(), word(after.split(' ').next().unwrap_or_default())))
    };
    // Of two at the same place, the later one hides the earlier.
    mounts.lines().filter_map(mount).max_by_key(|(depth, _)| *depth).map(|(_, kind)| kind)
}

/// A path of the list of mounts, where spaces and the like are octal numbers.
fn unescaped(text: &str) -> String {
    let mut plain = text.to_owned();
    for (code, letter) in [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")] {
        plain = plain.replace(code, letter);
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_texts_of_the_system_are_read_and_none_is_needed() {
        let text = |text: &str| Some(text.to_owned());
        assert_eq!(system("NAME=\"X of Ada\"\nID=debian\nVERSION_ID=\"13\"\n"), text("debian 13"));
        assert_eq!(system("ID=arch\n"), text("arch"));
        assert_eq!(system(""), None);
        assert_eq!(kernel("6.12.5-ada-made-this\n"), text("6.12.5"));
        assert_eq!(kernel(""), None);
        assert_eq!(memory("MemTotal:        2048 kB\nMemFree: 1 kB\n"), Some(2 * 1024 * 1024));
        assert_eq!(memory("MemTotal:"), None);
        assert_eq!((bytes("1048576\n"), bytes("max\n"), bytes("")), (Some(1_048_576.0), None, None));
        assert_eq!(bytes("9223372036854771712\n"), None);
        assert_eq!((cores("150000 100000\n"), cores("max 100000\n"), cores("1 0")), (Some(1.5), None, None));
        let cgroup = "4:memory:/c\n1:name=x:/y\n0::/a/b\n";
        let paths = |texts: &[&str]| texts.iter().map(PathBuf::from).collect::<Vec<_>>();
        assert_eq!(
            of_groups(cgroup, "", "m"),
            paths(&["/sys/fs/cgroup/a/b/m", "/sys/fs/cgroup/a/m", "/sys/fs/cgroup/m"])
        );
        assert_eq!(
            of_groups(cgroup, "memory", "m"),
            paths(&["/sys/fs/cgroup/memory/c/m", "/sys/fs/cgroup/memory/m"])
        );
        assert!(of_groups("1:name=x:/y\n", "memory", "m").is_empty());
        assert!(machine().cores.is_some());
    }

    #[test]
    fn a_file_lies_on_the_mount_that_is_nearest_to_it() {
        let mounts = "1 0 8:1 / / rw - ext4 /dev/a rw\n2 1 0:1 / /data rw shared:1 - xfs /dev/b rw\n\
                      3 1 0:2 / /data\\040of/ada rw - fuse.sshfs ada@host:/ rw\n4 1 0:3 / /data rw - zfs pool rw\nodd\n";
        let on = |file: &str| file_system(mounts, Path::new(file));
        assert_eq!(on("/orgd.redb").as_deref(), Some("ext4"));
        assert_eq!(on("/data/orgd.redb").as_deref(), Some("zfs"));
        assert_eq!(on("/database/orgd.redb").as_deref(), Some("ext4"));
        assert_eq!(on("/data of/ada/orgd.redb").as_deref(), Some("fuse.sshfs"));
        assert_eq!(file_system("", Path::new("/orgd.redb")), None);
        assert!(disk(Path::new("/")).disk_free_bytes.is_some());
    }
}
