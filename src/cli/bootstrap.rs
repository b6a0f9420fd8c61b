//! `orgd bootstrap`.

use orgd::admin::{self, BootstrapOwner};
use orgd::store::Storage;

use super::data::{DataOption, config_of, open};
use super::owner::{option_names, sentence_by};
use super::{CommandResult, print_json, read_line};

#[derive(clap::Args)]
pub(super) struct Bootstrap {
    #[command(flatten)]
    file: DataOption,
    /// E-mail address of the owner.
    #[arg(long)]
    email: String,
    /// Name of the organization.
    #[arg(long)]
    organization: String,
    /// Name by which the owner is greeted.
    #[arg(long, default_value = "Owner")]
    first_name: String,
    /// Reads the password from standard input; without it, only the key opens anything.
    #[arg(long)]
    password_stdin: bool,
}

/// Makes the first owner, and prints what was made as a JSON object.
pub(super) async fn run(wanted: Bootstrap) -> CommandResult {
    let Bootstrap { file, email, organization, first_name, password_stdin } = wanted;
    let given = if password_stdin { Some(read_line()?) } else { None };
    let names = option_names(password_stdin);
    let settings = config_of(file.data.clone())?.bootstrap;
    let app = open(Storage::File(file.data.clone()), file.data).await?;
    let password = given.or(settings.password);
    let owner = BootstrapOwner { email, first_name, organization, password, api_key: settings.api_key };
    let made = admin::bootstrap(&app, owner).await.map_err(|cause| sentence_by(&names, cause))?;
    print_json(&made)
}
