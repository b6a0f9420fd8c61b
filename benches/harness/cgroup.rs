//! A bound on the memory of a process that the kernel keeps to: a group of its own, below this process's.

use std::fs;
use std::path::PathBuf;

pub struct Cgroup {
    folder: PathBuf,
}

impl Cgroup {
    /// A group whose processes together may take so many bytes.
    pub fn of_bytes(bytes: usize) -> Result<Cgroup, String> {
        let own = fs::read_to_string("/proc/self/cgroup").map_err(|cause| cause.to_string())?;
        // One line for each hierarchy: of the first version `n:controllers:path`, of the second `0::path`.
        let lines = || own.lines().filter_map(|line| line.split_once(':')?.1.split_once(':'));
        let first = lines().find(|(names, _)| names.split(',').any(|name| name == "memory"));
        let (root, path, limit) = match (first, lines().find(|(names, _)| names.is_empty())) {
            (Some((_, path)), _) => ("/sys/fs/cgroup/memory", path, "memory.limit_in_bytes"),
            (None, Some((_, path))) => ("/sys/fs/cgroup", path, "memory.max"),
            (None, None) => return Err("this system has no control groups".into()),
        };
        let name = format!("orgd-bench-{}", std::process::id());
        let folder = PathBuf::from(format!("{root}{path}")).join(name);
        fs::create_dir(&folder).map_err(|cause| format!("{}: {cause}", folder.display()))?;
        let group = Cgroup { folder };
        let file = group.folder.join(limit);
        fs::write(&file, bytes.to_string()).map_err(|cause| format!("{}: {cause}", file.display()))?;
        Ok(group)
    }

    /// The file that takes the numbers of processes.
    pub fn processes(&self) -> PathBuf {
        self.folder.join("cgroup.procs")
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        let _ = fs::remove_dir(&self.folder);
    }
}
