//! `orgd bootstrap`.

use std::path::{Path, PathBuf};

use orgd::admin::{self, BootstrapOwner};
use orgd::config::is_of_variable;
use orgd::store::Storage;

use super::data::{DataOption, config_of, open};
use super::owner::{option_names, sentence_by};
use super::{CommandResult, print_json, read_line};

#[derive(clap::Args)]
pub(super) struct Bootstrap {
    #[command(flatten)]
    file: DataOption,
    /// E-mail address of the owner.
    #[arg(long, env = "ORGD_BOOTSTRAP_EMAIL", value_name = "ADDRESS")]
    email: Option<String>,
    /// Name of the organization.
    #[arg(long, env = "ORGD_BOOTSTRAP_ORGANIZATION", value_name = "NAME")]
    organization: Option<String>,
    /// Name by which the owner is greeted.
    #[arg(long, default_value = "Owner")]
    first_name: String,
    /// Reads the password from standard input; without it, and without ORGD_BOOTSTRAP_PASSWORD, only the key opens
    /// anything.
    #[arg(long)]
    password_stdin: bool,
}

/// Makes the first owner, and prints what was made as a JSON object.
pub(super) async fn run(wanted: Bootstrap) -> CommandResult {
    let data = wanted.file.data.clone();
    let new_files = NewFiles::beside(&data);
    let owner = wanted.owner()?;
    let mut names = option_names(wanted.password_stdin);
    let variables =
        [("ORGD_BOOTSTRAP_EMAIL", &owner.email), ("ORGD_BOOTSTRAP_ORGANIZATION", &owner.organization)];
    for ((_, shown), (name, value)) in names.iter_mut().zip(variables) {
        if is_of_variable(name, value) {
            *shown = name;
        }
    }
    let app = open(Storage::File(data.clone()), data).await;
    let is_of_others = |sentence: &String| sentence.ends_with("in use by another orgd process");
    let app = app.inspect_err(|sentence| {
        if !is_of_others(sentence) {
            new_files.remove()
        }
    })?;
    // While the file is open, nobody else can have begun to use it.
    let made = admin::bootstrap(&app, owner).await.inspect_err(|_| new_files.remove());
    print_json(&made.map_err(|cause| sentence_by(&names, cause))?)
}

impl Bootstrap {
    fn owner(&self) -> Result<BootstrapOwner, String> {
        let given = if self.password_stdin { Some(read_line()?) } else { None };
        let settings = config_of(self.file.data.clone())?.bootstrap;
        let wanted = |value: &Option<String>, name: &str| {
            value
                .clone()
                .ok_or_else(|| format!("--{name} (ORGD_BOOTSTRAP_{}) is wanted", name.to_uppercase()))
        };
        Ok(BootstrapOwner {
            email: wanted(&self.email, "email")?,
            first_name: self.first_name.clone(),
            organization: wanted(&self.organization, "organization")?,
            password: given.or(settings.password),
            api_key: settings.api_key,
        })
    }
}

/// The files that are not there yet, which a command that fails must not leave.
struct NewFiles(Vec<PathBuf>);

impl NewFiles {
    fn beside(data: &Path) -> NewFiles {
        if data.exists() {
            return NewFiles(Vec::new());
        }
        let mut key = data.as_os_str().to_owned();
        key.push(".key");
        let all = [data.to_owned(), PathBuf::from(key)];
        NewFiles(all.into_iter().filter(|path| !path.exists()).collect())
    }

    fn remove(&self) {
        for path in &self.0 {
            let _ = std::fs::remove_file(path);
        }
    }
}
