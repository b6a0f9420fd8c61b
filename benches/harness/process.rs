//! A server process, and what it uses.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use super::Cgroup;

pub struct Process {
    child: Child,
    pub address: String,
}

impl Process {
    /// The program on this file.
    pub fn orgd(data: &Path) -> Process {
        Process::limited(data, &[], None)
    }

    /// The program with more settings, in a control group where one is given.
    pub fn limited(data: &Path, more: &[&str], group: Option<&Cgroup>) -> Process {
        let program = env!("CARGO_BIN_EXE_orgd");
        let mut command = match group {
            None => Command::new(program),
            // A shell goes there first, and becomes the program.
            Some(group) => {
                let mut shell = Command::new("sh");
                shell.args(["-c", "echo $$ > \"$0\" && exec \"$@\""]).arg(group.processes()).arg(program);
                shell
            }
        };
        command.args(["serve", "--listen", "127.0.0.1:0"]).args(more).arg("--data").arg(data);
        command.env("ORGD_RATE_LIMIT", "off");
        // Destinations of exports are on this machine.
        command.env("ORGD_OUTBOUND_ALLOW", "127.0.0.0/8");
        Process::of(command)
    }

    /// A test server with more settings, in memory.
    pub fn test(more: &[&str]) -> Process {
        let mut command = Command::new(env!("CARGO_BIN_EXE_orgd"));
        command.args(["serve", "--test", "--log-level", "info"]).args(more);
        Process::of(command)
    }

    /// Whether it still runs.
    pub fn lives(&mut self) -> bool {
        self.child.try_wait().is_ok_and(|ended| ended.is_none())
    }

    /// This very program as a bare server that answers what the file holds.
    pub fn baseline(answer: &Path) -> Process {
        let mut command = Command::new(std::env::current_exe().expect("this program"));
        command.arg("--baseline").arg(answer);
        Process::of(command)
    }

    /// This very program as a plain server on a new file.
    pub fn plain(data: &Path) -> Process {
        let mut command = Command::new(std::env::current_exe().expect("this program"));
        command.arg("--plain").arg(data);
        Process::of(command)
    }

    fn of(mut command: Command) -> Process {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("it starts");
        let mut lines = BufReader::new(child.stderr.take().expect("its output")).lines();
        let address = lines
            .find_map(|line| Some(line.ok()?.split_once("http://")?.1.trim().to_owned()))
            .expect("it says where it listens");
        std::thread::spawn(move || lines.for_each(drop));
        Process { child, address }
    }

    /// Processor time used so far, in seconds.
    pub fn cpu_seconds(&self) -> f64 {
        let stat = self.read("stat");
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        let ticks: f64 = fields[11..13].iter().map(|ticks| ticks.parse::<f64>().expect("ticks")).sum();
        ticks / 100.0
    }

    /// Resident memory, in MiB.
    pub fn resident_mib(&self) -> f64 {
        self.memory_mib("VmRSS:")
    }

    /// The most resident memory that it has had, in MiB.
    pub fn peak_mib(&self) -> f64 {
        self.memory_mib("VmHWM:")
    }

    fn memory_mib(&self, name: &str) -> f64 {
        let status = self.read("status");
        let line = status.lines().find(|line| line.starts_with(name)).expect("a line of memory");
        line.split_whitespace().nth(1).and_then(|kib| kib.parse::<f64>().ok()).expect("a size") / 1024.0
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(format!("/proc/{}/{name}", self.child.id()))
            .expect("Linux shows its processes")
    }

    /// Ends it at once, as a crash does.
    pub fn kill(mut self) {
        self.child.kill().expect("it runs");
        self.child.wait().expect("it ends");
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
