//! `orgd admin`.

use std::path::PathBuf;

use clap::Subcommand;
use orgd::admin;
use orgd::store::Storage;

use super::data::{DataOption, is_there, open};
use super::owner::{option_names, sentence_by};
use super::{CommandResult, print_json, read_line, sentence};

#[derive(Subcommand)]
pub(super) enum Admin {
    /// Sets a user's password, and prints it where none was given.
    ResetPassword {
        #[command(flatten)]
        file: DataOption,
        /// E-mail address of the user.
        #[arg(long)]
        email: String,
        /// Reads the new password from standard input.
        #[arg(long)]
        password_stdin: bool,
    },
    /// Prints a link by which a user can choose a new password, once, within an hour, when the server runs again.
    ResetLink {
        #[command(flatten)]
        file: DataOption,
        /// E-mail address of the user.
        #[arg(long)]
        email: String,
    },
    /// Takes the second factor from a user who has lost it; their password stays.
    RemoveTwoFactor {
        #[command(flatten)]
        file: DataOption,
        /// E-mail address of the user.
        #[arg(long)]
        email: String,
    },
    /// Ends all sessions of a user; keys and the password stay.
    EndSessions {
        #[command(flatten)]
        file: DataOption,
        /// E-mail address of the user.
        #[arg(long)]
        email: String,
    },
    /// Takes a domain from all organizations that claim it or have a proxy record of it; prints each.
    FreeDomain {
        #[command(flatten)]
        file: DataOption,
        /// Name of the domain.
        #[arg(long)]
        domain: String,
    },
    /// Takes back all open invites to an address, so that somebody can take it; prints each.
    FreeAddress {
        #[command(flatten)]
        file: DataOption,
        /// The e-mail address.
        #[arg(long)]
        email: String,
        /// Takes the address from the account that uses it as well, and logs that account out.
        #[arg(long)]
        account: bool,
    },
    /// Prints every user as a JSON object in a line.
    ListUsers {
        #[command(flatten)]
        file: DataOption,
    },
}

impl Admin {
    fn data(&self) -> PathBuf {
        match self {
            Admin::ResetPassword { file, .. }
            | Admin::ResetLink { file, .. }
            | Admin::RemoveTwoFactor { file, .. }
            | Admin::EndSessions { file, .. }
            | Admin::FreeDomain { file, .. }
            | Admin::FreeAddress { file, .. }
            | Admin::ListUsers { file } => file.data.clone(),
        }
    }
}

/// Runs one of them.
pub(super) async fn run(command: Admin) -> CommandResult {
    let reads_password = matches!(command, Admin::ResetPassword { password_stdin: true, .. });
    let given = if reads_password { Some(read_line()?) } else { None };
    let data = command.data();
    is_there(&data)?;
    let app = open(Storage::File(data.clone()), data).await?;
    match command {
        Admin::ResetPassword { email, .. } => {
            let password = given.clone().unwrap_or_else(|| admin::random_password(&app.ids));
            let reset = admin::reset_password(&app, email, password.clone()).await;
            reset.map_err(|cause| sentence_by(&option_names(true), cause))?;
            if given.is_none() {
                println!("{password}");
            }
            Ok(())
        }
        Admin::ResetLink { email, .. } => {
            println!("{}", admin::reset_link(&app, email).await.map_err(sentence)?);
            Ok(())
        }
        Admin::RemoveTwoFactor { email, .. } => admin::remove_two_factor(&app, email).await.map_err(sentence),
        Admin::EndSessions { email, .. } => admin::end_sessions(&app, email).await.map_err(sentence),
        Admin::FreeDomain { domain, .. } => {
            let freed = admin::free_domain(&app, domain).await.map_err(sentence)?;
            freed.iter().try_for_each(print_json)
        }
        Admin::FreeAddress { email, account, .. } => {
            let freed = admin::free_address(&app, email, account).await.map_err(sentence)?;
            freed.iter().try_for_each(print_json)
        }
        Admin::ListUsers { .. } => admin::list_users(&app).map_err(sentence)?.iter().try_for_each(print_json),
    }
}
