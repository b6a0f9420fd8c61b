//! `orgd plan`, `orgd apply`, `orgd export -f`, `orgd fmt` and `orgd schema`: an organization in a file.

use std::fs;
use std::io::{IsTerminal, Read};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use orgd::client::Choice;
use orgd::config::is_of_variable;
use orgd::org_file::export::Wish;
use orgd::org_file::plan::{Options, Plan, REMOVALS_MAX};
use orgd::org_file::{self, Fault, Places, fmt, references, schema, show};
use serde_json::{Value, json};

use super::data::DataOption;
use super::target::{Target, Trouble, one_sentence};
use super::{CommandResult, print_json};

/// Exit code of a plan that changes something.
const CHANGES: u8 = 2;
/// Longest file that is read, in bytes; the reader says what is too long.
const BYTES_MAX: u64 = 16 * 1024 * 1024;

/// Where the organizations are.
#[derive(Args)]
pub(super) struct Where {
    #[command(flatten)]
    file: DataOption,
    #[command(flatten)]
    server: OfServer,
}

/// A server, by its address or by a profile.
#[derive(Args)]
pub(super) struct OfServer {
    /// A server, such as https://orgd.example.com, with ORGD_KEY or ORGD_KEY_FILE: a key of an owner with scope `*`.
    #[arg(long, env = "ORGD_URL", value_name = "URL")]
    url: Option<String>,
    /// A server and its key, as `orgd auth login` has stored them.
    #[arg(long, env = "ORGD_PROFILE", value_name = "NAME")]
    profile: Option<String>,
    /// Sends the key and secrets over http, where others on the way can read them.
    #[arg(long)]
    allow_http: bool,
}

impl Where {
    fn target(self) -> Result<Target, String> {
        let OfServer { url, profile, allow_http } = self.server;
        let typed = |name, value: &Option<String>| value.clone().filter(|value| !is_of_variable(name, value));
        let is_set = url.is_some() || profile.is_some();
        let (url, profile) = (typed("ORGD_URL", &url), typed("ORGD_PROFILE", &profile));
        let data = self.file.data.to_string_lossy().into_owned();
        let is_data_typed = data != "./orgd.redb" && !is_of_variable("ORGD_DATA", &data);
        match url.as_ref().or(profile.as_ref()) {
            Some(server) if is_data_typed => {
                let flag = if url.is_some() { "--url" } else { "--profile" };
                Err(format!("--data and {flag} are both given: {server} or {data}, one of them must go"))
            }
            _ if is_data_typed || !is_set => Ok(Target::Data(self.file.data)),
            _ => {
                let choice = Choice { url, profile, allow_http, ..Choice::default() };
                choice.target().map(Target::Server).map_err(one_sentence)
            }
        }
    }
}

#[derive(Args)]
pub(super) struct PlanOf {
    /// The file; `-` for standard input. May be given several times: their lists are put together.
    #[arg(short, long = "file", required = true, value_name = "FILE")]
    file: Vec<PathBuf>,
    #[command(flatten)]
    at: Where,
    #[command(flatten)]
    wanted: Wanted,
    /// Prints the plan as JSON.
    #[arg(long)]
    json: bool,
    /// Writes the plan to this file, for `orgd apply`.
    #[arg(short, long, value_name = "PLAN")]
    out: Option<PathBuf>,
    /// Ends with 0 though there is something to do.
    #[arg(long)]
    exit_zero: bool,
}

/// What is wanted besides what the file says.
#[derive(Args)]
struct Wanted {
    /// Removes what lists of the file do not have, of these kinds: projects, members, roles, invites, exports, domains,
    /// proxies, plugins; or `all`, which leaves out projects, members and domains.
    #[arg(long, value_delimiter = ',', value_name = "KINDS")]
    prune: Vec<String>,
    /// Replaces secrets of what is there already; without it they are sent only with what is made.
    #[arg(long)]
    secrets: bool,
    /// Does the rest where something cannot be done.
    #[arg(long)]
    skip_blocked: bool,
    /// Refuses more removals than this.
    #[arg(long, default_value_t = REMOVALS_MAX, value_name = "NUMBER")]
    max_removals: u64,
}

impl From<Wanted> for Options {
    fn from(wanted: Wanted) -> Options {
        let Wanted { prune, secrets, skip_blocked, max_removals } = wanted;
        Options { prune, secrets, skip_blocked, max_removals }
    }
}

#[derive(Args)]
pub(super) struct Apply {
    /// A plan that `orgd plan -o` has written.
    #[arg(required_unless_present = "file", conflicts_with = "file", value_name = "PLAN")]
    plan: Option<PathBuf>,
    /// The file; `-` for standard input. May be given several times: their lists are put together.
    #[arg(short, long = "file", value_name = "FILE")]
    file: Vec<PathBuf>,
    #[command(flatten)]
    at: Where,
    #[command(flatten)]
    wanted: Wanted,
    /// Does not ask.
    #[arg(short, long)]
    yes: bool,
    /// Prints what was done as JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
pub(super) struct Fmt {
    /// The file; `-` for standard input.
    #[arg(short, long = "file", required = true, value_name = "FILE")]
    file: PathBuf,
    /// Writes the file anew instead of printing it.
    #[arg(short, long)]
    write: bool,
    /// Prints nothing; fails where the file is not in its form.
    #[arg(long, conflicts_with = "write")]
    check: bool,
}

#[derive(Args)]
pub(super) struct Schema {
    /// Of what.
    #[arg(value_parser = ["org-file"])]
    of: String,
}

/// What `orgd export -f` takes.
#[derive(Args)]
pub(super) struct ToFile {
    /// Writes organizations into this file; `-` for standard output. A name that ends in `.json` gets JSON.
    #[arg(short, long = "file", value_name = "FILE")]
    pub(super) file: Option<PathBuf>,
    /// Only this organization, by slug or identifier; may be given several times. With --file.
    #[arg(long, value_name = "SLUG", requires = "file")]
    org: Vec<String>,
    /// Leaves identifiers and tokens out: a template. With --file.
    #[arg(long, requires = "file")]
    no_ids: bool,
    #[command(flatten)]
    server: OfServer,
}

/// A file that was read by the client.
struct Loaded {
    value: Value,
    places: Places,
    /// By their place.
    names: Vec<PathBuf>,
}

fn load(files: &[PathBuf]) -> Result<Loaded, String> {
    let texts = files.iter().map(|file| text_of(file)).collect::<Result<Vec<_>, _>>()?;
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let read = org_file::read(&texts).map_err(|faults| {
        let lines = faults.iter().map(|fault| shown(fault, files));
        lines.collect::<Vec<_>>().join("\norgd: ")
    })?;
    if references::has_plain(&read.value) {
        return Err("a secret does not stand in the file itself: write {env: NAME} or {file: PATH}".into());
    }
    Ok(Loaded { value: read.value, places: read.places, names: files.to_vec() })
}

/// `org.yaml:14:5: what is wrong`.
fn shown(fault: &Fault, files: &[PathBuf]) -> String {
    let name =
        files.get(usize::from(fault.at.file)).map(|file| file.display().to_string()).unwrap_or_default();
    let path = if fault.path.is_empty() { String::new() } else { format!("{}: ", fault.path) };
    match fault.at.line {
        0 => format!("{name}: {path}{}", fault.text),
        line => format!("{name}:{line}:{}: {path}{}", fault.at.column, fault.text),
    }
}

fn text_of(file: &Path) -> Result<String, String> {
    let cannot = |cause: std::io::Error| format!("cannot read {}: {cause}", file.display());
    let mut text = String::new();
    if file == Path::new("-") {
        std::io::stdin().lock().take(BYTES_MAX).read_to_string(&mut text).map_err(cannot)?;
    } else {
        let file = fs::File::open(file).map_err(cannot)?;
        file.take(BYTES_MAX).read_to_string(&mut text).map_err(cannot)?;
    }
    Ok(text)
}

impl Loaded {
    /// The file with the secrets that it refers to.
    fn with_secrets(&self) -> Result<Value, String> {
        let mut value = self.value.clone();
        references::resolve(&mut value)?;
        Ok(value)
    }

    /// What a target says of the file, with its place.
    fn placed(&self, trouble: Trouble) -> String {
        let Trouble { sentence, field } = trouble;
        let Some(at) = field.as_ref().and_then(|path| self.places.find(path)) else { return sentence };
        let path = field.unwrap_or_default();
        shown(&Fault { path, at, text: sentence }, &self.names)
    }
}

/// Says what applying the file would do.
pub(super) async fn plan(wanted: PlanOf) -> Result<ExitCode, String> {
    let loaded = load(&wanted.file)?;
    let target = wanted.at.target()?;
    let options = Options::from(wanted.wanted);
    let plan = planned(&loaded, &target, &options).await?;
    if let Some(out) = &wanted.out {
        let saved = saved(&plan, &target, &options, &loaded.value)?;
        let text = serde_json::to_string_pretty(&saved).map_err(|cause| cause.to_string())?;
        fs::write(out, text + "\n").map_err(|cause| format!("cannot write {}: {cause}", out.display()))?;
    }
    if wanted.json {
        print_json(&named(&plan, &target)?)?;
    } else {
        show!("{}", show::text(&plan, &target.to_string()));
    }
    Ok(if plan.is_empty() || wanted.exit_zero { ExitCode::SUCCESS } else { ExitCode::from(CHANGES) })
}

async fn planned(loaded: &Loaded, target: &Target, options: &Options) -> Result<Plan, String> {
    let plan = target.apply(&loaded.with_secrets()?, options, None, true).await;
    plan.map_err(|trouble| loaded.placed(trouble))
}

fn named(plan: &Plan, target: &Target) -> Result<Value, String> {
    let mut value = serde_json::to_value(plan).map_err(|cause| cause.to_string())?;
    value["target"] = target.to_string().into();
    Ok(value)
}

/// A plan with all that applying it takes. Secrets are not in it, for the file refers to them.
fn saved(plan: &Plan, target: &Target, options: &Options, file: &Value) -> Result<Value, String> {
    let mut value = named(plan, target)?;
    value["options"] = json!(options);
    value["file"] = file.clone();
    Ok(value)
}

/// Applies a file, or a plan that was made before.
pub(super) async fn apply(wanted: Apply) -> CommandResult {
    let target = wanted.at.target()?;
    let (loaded, options, base) = match &wanted.plan {
        Some(path) => {
            let (loaded, options, base) = of_plan(path, &target)?;
            (loaded, options, Some(base))
        }
        None => (load(&wanted.file)?, Options::from(wanted.wanted), None),
    };
    let plan = planned(&loaded, &target, &options).await?;
    if base.as_ref().is_some_and(|base| *base != plan.base) {
        return Err("what is stored has changed since the plan was made: plan again".into());
    }
    if !wanted.json {
        show!("{}", show::text(&plan, &target.to_string()));
    }
    if !plan.blocked.is_empty() && !options.skip_blocked {
        return Err(format!(
            "{} blocked: nothing was done; --skip-blocked does the rest",
            plan.blocked.len()
        ));
    }
    if plan.summary.remove > options.max_removals {
        let (removals, most) = (plan.summary.remove, options.max_removals);
        return Err(format!(
            "{removals} removals are more than --max-removals allows, {most}: nothing was done"
        ));
    }
    if !plan.changes.is_empty() {
        confirm(wanted.yes)?;
        let done = target.apply(&loaded.with_secrets()?, &options, Some(&plan.base), false).await;
        done.map_err(|trouble| loaded.placed(trouble))?;
    }
    match wanted.json {
        true => print_json(&named(&plan, &target)?),
        false if plan.changes.is_empty() => Ok(()),
        false => {
            say!("Done.");
            Ok(())
        }
    }
}

fn confirm(yes: bool) -> CommandResult {
    if yes {
        return Ok(());
    }
    if !std::io::stdin().is_terminal() {
        return Err("nothing was done: --yes is wanted where nobody can be asked".into());
    }
    show!("Apply? [y/N] ");
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).map_err(|cause| cause.to_string())?;
    match line.trim().to_lowercase().as_str() {
        "y" | "yes" => Ok(()),
        _ => Err("nothing was done".into()),
    }
}

fn of_plan(path: &Path, target: &Target) -> Result<(Loaded, Options, String), String> {
    let odd = |what: &str| format!("{} is no plan that `orgd plan -o` has written: {what}", path.display());
    let mut saved: Value = serde_json::from_str(&text_of(path)?).map_err(|cause| odd(&cause.to_string()))?;
    let options = serde_json::from_value(saved["options"].take()).map_err(|cause| odd(&cause.to_string()))?;
    let base = saved["base"].as_str().ok_or_else(|| odd("it has no base"))?.to_owned();
    if saved["target"] != target.to_string().as_str() {
        return Err(format!("the plan is for {}, and this is {target}", saved["target"]));
    }
    let value = saved["file"].take();
    if !value.is_object() || references::has_plain(&value) {
        return Err(odd("it has no file"));
    }
    Ok((Loaded { value, places: Places::default(), names: Vec::new() }, options, base))
}

/// Writes organizations into a file.
pub(super) async fn export(wanted: ToFile, file: DataOption) -> CommandResult {
    let ToFile { file: to, org, no_ids, server } = wanted;
    let to = to.ok_or("--file FILE or --all TO is wanted")?;
    let target = Where { file, server }.target()?;
    let wish = Wish { organizations: org, without_ids: no_ids };
    let mut text = target.export(&wish).await.map_err(|trouble| trouble.sentence)?;
    if to.extension().is_some_and(|ending| ending == "json") {
        let read = org_file::read(&[&text]).map_err(|faults| format!("{faults:?}"))?;
        text = serde_json::to_string_pretty(&read.value).map_err(|cause| cause.to_string())? + "\n";
    }
    if to == Path::new("-") {
        show!("{text}");
        return Ok(());
    }
    fs::write(&to, text).map_err(|cause| format!("cannot write {}: {cause}", to.display()))
}

/// Brings a file into its one form.
pub(super) fn format(wanted: &Fmt) -> CommandResult {
    let text = text_of(&wanted.file)?;
    let files = std::slice::from_ref(&wanted.file);
    let formatted = fmt::formatted(&text).map_err(|faults| {
        faults.iter().map(|fault| shown(fault, files)).collect::<Vec<_>>().join("\norgd: ")
    })?;
    let name = wanted.file.display();
    if wanted.check {
        return if text == formatted {
            Ok(())
        } else {
            Err(format!("{name} is not in its form: orgd fmt -w -f {name}"))
        };
    }
    if !wanted.write || wanted.file == Path::new("-") {
        show!("{formatted}");
        return Ok(());
    }
    if text == formatted {
        return Ok(());
    }
    fs::write(&wanted.file, formatted).map_err(|cause| format!("cannot write {name}: {cause}"))
}

/// Prints a JSON Schema.
pub(super) fn schema(_: &Schema) -> CommandResult {
    let text = serde_json::to_string_pretty(&schema::document()).map_err(|cause| cause.to_string())?;
    say!("{text}");
    Ok(())
}
