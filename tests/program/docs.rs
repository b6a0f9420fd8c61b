//! The commands of README.md and docs/: each is run, and what the pages show of its output is compared.
//!
//! A fenced block says what it is by the words after its fence:
//!
//! - `sh`: commands, run in one folder for each page; variables live until the end of the page;
//! - `sh server`: one command that serves until the page ends or starts another server;
//! - `sh needs-postgresql`: skipped where there is no PostgreSQL;
//! - `sh not-run (reason)`: counted in `tests/data/docs_not_run.txt`;
//! - `json output`, `text output`: the output of the commands above. `…` stands for any text, and a key `…` for
//!   any more keys.
//!
//! All other words name a language that is only shown.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use regex::Regex;
use serde_json::Value;
use tempfile::TempDir;

use crate::postgres::{self, PASSWORD, Postgres};
use crate::s3::{self, S3};
use crate::support::{Serving, orgd, run};

const SHOWN_ONLY: &[&str] = &["go", "hcl", "ini", "js", "json", "nginx", "python", "text", "yaml"];
/// Where the servers of the pages listen.
const SERVER: &str = "127.0.0.1:8010";
const BUCKETS: &str = "127.0.0.1:9000";

struct Block {
    line: usize,
    info: String,
    text: String,
}

struct Page {
    name: String,
    text: String,
}

fn pages() -> Vec<Page> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let listed = fs::read_dir(root.join("docs")).expect("a folder");
    let mut paths: Vec<PathBuf> = listed.map(|entry| entry.expect("an entry").path()).collect();
    paths.push(root.join("README.md"));
    paths.retain(|path| path.extension().is_some_and(|ending| ending == "md"));
    paths.sort();
    let read = |path: PathBuf| Page {
        name: path.strip_prefix(root).expect("below the root").to_string_lossy().into_owned(),
        text: fs::read_to_string(&path).expect("text"),
    };
    paths.into_iter().map(read).collect()
}

impl Page {
    fn blocks(&self) -> Vec<Block> {
        let mut blocks: Vec<Block> = Vec::new();
        let mut is_open = false;
        for (number, line) in self.text.lines().enumerate() {
            match line.trim_start().strip_prefix("```") {
                Some(info) if !is_open => {
                    blocks.push(Block {
                        line: number + 1,
                        info: info.trim().to_owned(),
                        text: String::new(),
                    });
                    is_open = true;
                }
                Some(_) => is_open = false,
                None if is_open => {
                    let block = blocks.last_mut().expect("a block is open");
                    block.text.push_str(line);
                    block.text.push('\n');
                }
                None => {}
            }
        }
        assert!(!is_open, "{}: the last block has no end", self.name);
        blocks
    }

    fn not_run(&self) -> usize {
        self.blocks().iter().filter(|block| block.info.starts_with("sh not-run")).count()
    }
}

/// A page whose commands are being run.
struct Reader<'a> {
    page: &'a Page,
    folder: TempDir,
    server: Option<Serving>,
    /// What the page says, and what it is here.
    meanings: BTreeMap<&'static str, String>,
    output: String,
    _buckets: Option<S3>,
}

impl<'a> Reader<'a> {
    fn of(page: &'a Page) -> Reader<'a> {
        let folder = tempfile::tempdir().expect("a folder");
        // An answer that is an error ends the command with one.
        fs::write(folder.path().join(".curlrc"), "fail-with-body\n").expect("the folder can be written to");
        let mut meanings = BTreeMap::new();
        let buckets = page.text.contains(BUCKETS).then(|| S3::with_bucket("events"));
        if let Some(buckets) = &buckets {
            meanings.insert(BUCKETS, buckets.url().trim_start_matches("http://").to_owned());
            meanings.insert("key-of-the-bucket", s3::KEY.to_owned());
            meanings.insert("secret-of-the-bucket", s3::SECRET.to_owned());
        }
        Reader { page, folder, server: None, meanings, output: String::new(), _buckets: buckets }
    }

    fn place(&self, block: &Block) -> String {
        format!("{}:{}", self.page.name, block.line)
    }

    /// The text with the addresses, keys and tokens of this run.
    fn meant(&self, text: &str) -> String {
        self.meanings.iter().fold(text.to_owned(), |text, (said, meant)| text.replace(said, meant))
    }

    /// A shell in the folder, with the program of this build first on its path, as arguments of `before`.
    fn shell(&self, before: &[&str]) -> Command {
        let program = Path::new(env!("CARGO_BIN_EXE_orgd"));
        let mut path = vec![program.parent().expect("a folder").to_owned()];
        path.extend(std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()));
        // For the cleared settings of the surroundings.
        let clean = orgd(&[]);
        let mut words = before.iter().copied().chain(["bash"]);
        let mut shell = Command::new(words.next().expect("a word"));
        shell.args(words);
        for (name, value) in clean.get_envs() {
            if value.is_none() {
                shell.env_remove(name);
            }
        }
        shell.env_remove("XDG_CONFIG_HOME");
        shell.current_dir(self.folder.path()).env("HOME", self.folder.path()).env("no_proxy", "127.0.0.1");
        shell.env("PATH", std::env::join_paths(path).expect("a path"));
        shell
    }

    fn serve(&mut self, block: &Block) {
        self.server = None;
        let mut shell = self.shell(&[]);
        shell.env("ORGD_LISTEN", "127.0.0.1:0").args(["-c", &self.meant(&block.text)]);
        let server = Serving::of(&mut shell);
        self.output = server.said.join("\n");
        self.meanings.insert(SERVER, server.base.trim_start_matches("http://").to_owned());
        for (said, pattern) in [("phx_…", r"phx_\w+"), ("phc_…", r"phc_\w+")] {
            let found = Regex::new(pattern).expect("a pattern").find(&self.output);
            if let Some(found) = found {
                self.meanings.insert(said, found.as_str().to_owned());
            }
        }
        self.server = Some(server);
    }

    fn run(&mut self, block: &Block) {
        let script = format!(
            "set -ea\n[ ! -f .variables ] || . ./.variables\n{}\nexport -p > .variables\n",
            self.meant(&block.text)
        );
        // What waits for something that never comes must end.
        let mut shell = self.shell(&["timeout", "300"]);
        shell.args(["-o", "pipefail", "-c", &script]).stdin(Stdio::null());
        let output = shell.output().expect("bash runs");
        self.output = String::from_utf8(output.stdout).expect("text");
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{}: {}{errors}", self.place(block), self.output);
    }

    /// Whether there is one.
    fn find_postgresql(&mut self) -> bool {
        if postgres::missing().is_some() {
            return false;
        }
        let database = Postgres::start();
        let config = database.config();
        let text = |name: &str| config[name].as_str().expect("a text").to_owned();
        self.meanings.insert("5432", config["port"].to_string());
        self.meanings.insert("\"warehouse\"", format!("{:?}", text("database")));
        self.meanings.insert("\"exporter\"", format!("{:?}", text("user")));
        self.meanings.insert("password-of-the-table", PASSWORD.to_owned());
        true
    }

    fn compare(&self, block: &Block) {
        let place = self.place(block);
        if block.info.starts_with("json") {
            let wanted: Value =
                serde_json::from_str(&block.text).unwrap_or_else(|why| panic!("{place}: {why}"));
            let actual: Value = serde_json::from_str(&self.output)
                .unwrap_or_else(|why| panic!("{place}: {why}: {}", self.output));
            assert!(fits(&wanted, &actual), "{place}: the output is {actual:#}");
        } else {
            // The page's own address stands in it, whatever the key and the token are.
            let wanted =
                block.text.replace(SERVER, self.meanings.get(SERVER).map_or(SERVER, |address| address));
            assert!(matches(wanted.trim(), self.output.trim()), "{place}: the output is\n{}", self.output);
        }
    }
}

/// Whether a text is what the page shows, where `…` is any text.
fn matches(wanted: &str, actual: &str) -> bool {
    let pattern = wanted.split('…').map(regex::escape).collect::<Vec<_>>().join("(?s:.*)");
    Regex::new(&format!("^{pattern}$")).expect("a pattern").is_match(actual)
}

fn fits(wanted: &Value, actual: &Value) -> bool {
    match (wanted, actual) {
        (Value::Object(wanted), Value::Object(actual)) => {
            let is_open = wanted.contains_key("…");
            let known = wanted.iter().filter(|(name, _)| *name != "…");
            let all =
                known.clone().all(|(name, value)| actual.get(name).is_some_and(|other| fits(value, other)));
            all && (is_open || actual.len() == known.count())
        }
        (Value::Array(wanted), Value::Array(actual)) => {
            wanted.len() == actual.len()
                && wanted.iter().zip(actual).all(|(wanted, actual)| fits(wanted, actual))
        }
        (Value::String(wanted), Value::String(actual)) => matches(wanted, actual),
        // Whatever it is.
        (Value::String(wanted), _) => wanted == "…",
        _ => wanted == actual,
    }
}

fn read(page: &Page) {
    let mut reader = Reader::of(page);
    let mut was_run = true;
    for block in page.blocks() {
        match block.info.as_str() {
            "sh" => reader.run(&block),
            "sh server" => reader.serve(&block),
            "sh needs-postgresql" if reader.find_postgresql() => reader.run(&block),
            "json output" | "text output" if was_run => reader.compare(&block),
            "sh needs-postgresql" | "json output" | "text output" => {}
            info if info.starts_with("sh not-run (") => {}
            info => assert!(SHOWN_ONLY.contains(&info), "{}: what is {info:?}?", reader.place(&block)),
        }
        was_run = !block.info.starts_with("sh n") || block.info == "sh needs-postgresql";
    }
}

/// Whether the programs that the pages use are here. Says so where not.
fn has_programs() -> bool {
    let missing: Vec<&str> = ["bash", "curl", "awk", "sed", "grep", "timeout"]
        .into_iter()
        .filter(|program| {
            let found =
                Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
            found.is_err()
        })
        .collect();
    let sentence = format!("the commands of the documentation need {missing:?}");
    assert!(missing.is_empty() || std::env::var_os("ORGD_TESTS_NEED_ALL").is_none(), "{sentence}");
    if !missing.is_empty() {
        let _ = writeln!(std::io::stderr(), "SKIPPED: {sentence}");
    }
    missing.is_empty()
}

#[test]
fn the_commands_of_every_page_work_as_shown() {
    if !has_programs() {
        return;
    }
    let pages = pages();
    std::thread::scope(|scope| {
        for page in &pages {
            scope.spawn(|| read(page));
        }
    });
}

#[test]
fn pages_without_commands_say_so_and_commands_that_are_not_run_are_counted() {
    let mut counted = String::new();
    for page in pages() {
        let has_commands = page.blocks().iter().any(|block| block.info.starts_with("sh"));
        let is_marked = page.text.contains("<!-- no commands: ");
        assert!(has_commands != is_marked, "{}: has it commands or not?", page.name);
        if page.not_run() > 0 {
            counted.push_str(&format!("{} {}\n", page.name, page.not_run()));
        }
    }
    assert_eq!(counted, include_str!("../data/docs_not_run.txt"), "commands of the pages that no test runs");
}

#[test]
fn commands_within_sentences_exist() {
    let span = Regex::new(r"`orgd ([a-z][^`]*)`").expect("a pattern");
    for page in pages() {
        for found in span.captures_iter(&page.text) {
            let arguments: Vec<&str> = found[1].split_whitespace().chain(["--help"]).collect();
            assert!(run(&arguments).status.success(), "{}: {}", page.name, &found[0]);
        }
    }
}

#[test]
fn every_flag_of_the_server_is_in_the_tables_of_settings_and_none_besides() {
    let help = run(&["serve", "--help"]);
    let help = String::from_utf8(help.stdout).expect("text");
    let flag = Regex::new(r"(?m)^\s+(?:-\w, )?(--[a-z-]+)").expect("a pattern");
    let flags: Vec<&str> =
        flag.captures_iter(&help).map(|found| found.get(1).expect("a flag").as_str()).collect();
    let pages = pages();
    let page = pages.iter().find(|page| page.name == "docs/configuration.md").expect("the page");
    let tables = Regex::new(r"(?m)^\| `(--[a-z-]+)[^|]*\|").expect("a pattern");
    let listed: Vec<&str> =
        tables.captures_iter(&page.text).map(|found| found.get(1).expect("a flag").as_str()).collect();
    assert!(listed.len() > 20, "the tables are not where they were");
    for name in &listed {
        assert!(flags.contains(name), "{name} is no flag of the server");
    }
    for name in flags.iter().filter(|name| !["--help", "--version"].contains(name)) {
        let variable = format!("ORGD_{}", name.trim_start_matches('-').replace('-', "_").to_uppercase());
        assert!(listed.contains(name) || page.text.contains(&variable), "{name} is in no table");
    }
    let secrets = help.split_once("Environment, without a flag:").expect("a section").1;
    let names = Regex::new(r"(?m)^  (ORGD_\w+)").expect("a pattern");
    for found in names.captures_iter(secrets) {
        assert!(page.text.contains(&format!("`{}`", &found[1])), "{} is in no table", &found[1]);
    }
}
