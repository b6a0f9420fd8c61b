//! `orgd admin`.

use std::path::PathBuf;

use clap::Subcommand;
use orgd::control::Request;
use serde_json::Value;

use super::data::{DataOption, ask_lines};
use super::owner::{named, option_names};
use super::{CommandResult, print_json, read_line};

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
    let data = command.data();
    let request = match command {
        Admin::ResetPassword { email, password_stdin, .. } => {
            let password = if password_stdin { Some(read_line()?) } else { None };
            Request::ResetPassword { email, password }
        }
        Admin::ResetLink { email, .. } => Request::ResetLink { email },
        Admin::RemoveTwoFactor { email, .. } => Request::RemoveTwoFactor { email },
        Admin::EndSessions { email, .. } => Request::EndSessions { email },
        Admin::FreeDomain { domain, .. } => Request::FreeDomain { domain },
        Admin::FreeAddress { email, account, .. } => Request::FreeAddress { email, account },
        Admin::ListUsers { .. } => Request::ListUsers,
    };
    let outcome = ask_lines(&data, request, |line| print_for_people(&line)).await;
    outcome.map_err(|failure| named(&option_names(true), failure))
}

/// What is alone in its line is printed without its name, as scripts take it.
fn print_for_people(line: &Value) -> CommandResult {
    match line.as_object().map(|fields| fields.iter().collect::<Vec<_>>()).as_deref() {
        Some([(_, Value::String(text))]) => {
            println!("{text}");
            Ok(())
        }
        _ => print_json(line),
    }
}
