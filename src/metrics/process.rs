//! What the system says of this process.

use std::fs;

/// Numbers of the process; `None` where the system does not say.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Process {
    pub cpu_seconds: Option<f64>,
    pub resident_bytes: Option<u64>,
    pub virtual_bytes: Option<u64>,
    pub threads: Option<u64>,
    pub open_files: Option<u64>,
    pub open_files_max: Option<u64>,
}

/// Reads the numbers of this process.
pub fn process() -> Process {
    let read = |name: &str| fs::read_to_string(format!("/proc/self/{name}")).unwrap_or_default();
    let open_files = fs::read_dir("/proc/self/fd").ok().map(|files| files.count() as u64);
    Process { open_files, ..of_texts(&read("status"), &read("stat"), &read("limits")) }
}

fn of_texts(status: &str, stat: &str, limits: &str) -> Process {
    let number = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
        line.split_whitespace().next()?.parse::<u64>().ok()
    };
    let bytes = |name: &str| Some(number(name)? * 1024);
    let limit = limits.lines().find_map(|line| line.strip_prefix("Max open files"));
    Process {
        cpu_seconds: cpu_seconds(stat),
        resident_bytes: bytes("VmRSS"),
        virtual_bytes: bytes("VmSize"),
        threads: number("Threads"),
        open_files: None,
        open_files_max: limit.and_then(|limit| limit.split_whitespace().next()?.parse().ok()),
    }
}

/// Time on the processor, in the kernel and outside.
fn cpu_seconds(stat: &str) -> Option<f64> {
    /// Linux shows this unit to programs on every machine that this program runs on.
    const TICKS_PER_SECOND: f64 = 100.0;
    // The name of the program, in parentheses, may hold anything.
    let (_, rest) = stat.rsplit_once(')')?;
    let mut ticks = rest.split_whitespace().skip(11).map_while(|ticks| ticks.parse::<u32>().ok());
    let (user, system) = (ticks.next()?, ticks.next()?);
    Some((f64::from(user) + f64::from(system)) / TICKS_PER_SECOND)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_texts_of_the_system_are_read_and_none_is_needed() {
        let status = "Name:\torgd\nVmSize:\t  2048 kB\nVmRSS:\t    1024 kB\nThreads:\t7\n";
        let stat = "12 (a) b) S 1 12 12 0 -1 4194560 100 0 0 0 150 50 0 0 20 0 7 0 100 0 0";
        let limits = "Limit  Soft Limit  Hard Limit  Units\nMax open files            1024                 4096                 files\n";
        let found = of_texts(status, stat, limits);
        let wanted = Process {
            cpu_seconds: Some(2.0),
            resident_bytes: Some(1024 * 1024),
            virtual_bytes: Some(2048 * 1024),
            threads: Some(7),
            open_files: None,
            open_files_max: Some(1024),
        };
        assert_eq!(found, wanted);
        assert_eq!(of_texts("", "", ""), Process::default());
        assert_eq!(of_texts("VmRSS:\n", "12 (orgd) S 1", "Max open files unlimited"), Process::default());
        assert!(process().resident_bytes.is_some_and(|bytes| bytes > 0));
    }
}
