//! `orgd admin`.

use std::path::PathBuf;

use clap::Subcommand;
use orgd::control::Request;
use serde_json::Value;

use super::data::ask_lines;
use super::owner::{named, option_names};
use super::{CommandResult, print_json, read_line};

#[derive(clap::Args)]
pub(super) struct Admin {
    /// The data file.
    #[arg(long, global = true, env = "ORGD_DATA", default_value = "./orgd.redb", value_name = "FILE")]
    data: PathBuf,
    /// Prints everything as JSON, an object in a line.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

/// The user that a command is about.
#[derive(clap::Args)]
struct OfUser {
    /// E-mail address of the user.
    #[arg(long)]
    email: String,
}

#[derive(Subcommand)]
enum Command {
    /// Prints every user as a JSON object in a line.
    ListUsers,
    /// Prints every organization with its owners as a JSON object in a line.
    ListOrganizations,
    /// Sets a user's password, and prints it where none was given.
    ResetPassword {
        #[command(flatten)]
        user: OfUser,
        /// Reads the new password from standard input.
        #[arg(long)]
        password_stdin: bool,
    },
    /// Prints a link by which a user can choose a new password, once, within an hour.
    ResetLink(OfUser),
    /// Takes the second factor from a user who has lost it; their password stays.
    RemoveTwoFactor(OfUser),
    /// Ends all sessions of a user; keys and the password stay.
    EndSessions(OfUser),
    /// Closes a user's account: they can't log in, and their keys open nothing. What they have stays.
    Deactivate(OfUser),
    /// Opens a user's account again.
    Activate(OfUser),
    /// Deletes a user with their keys and memberships; what they have made stays. Prints what went with them.
    DeleteUser {
        #[command(flatten)]
        user: OfUser,
        /// Deletes the organizations as well in which they are alone, with everything in them.
        #[arg(long)]
        with_organizations: bool,
    },
    /// Makes a user an owner of an organization, a member of it or not.
    MakeOwner {
        #[command(flatten)]
        user: OfUser,
        /// Identifier or slug of the organization.
        #[arg(long)]
        organization: String,
    },
    /// Makes a user an operator, who sees the pages of the instance.
    MakeOperator(OfUser),
    /// Makes a user an ordinary one again; the last operator stays one.
    RemoveOperator(OfUser),
    /// Takes a domain from all organizations that claim it or have a proxy record of it; prints each.
    FreeDomain {
        /// Name of the domain.
        #[arg(long)]
        domain: String,
    },
    /// Takes back all open invites to an address, so that somebody can take it; prints each.
    FreeAddress {
        /// The e-mail address.
        #[arg(long)]
        email: String,
        /// Takes the address from the account that uses it as well, and logs that account out.
        #[arg(long)]
        account: bool,
    },
}

impl Command {
    /// What is asked of the server. May read a password first.
    fn request(self) -> Result<Request, String> {
        Ok(match self {
            Command::ListUsers => Request::ListUsers,
            Command::ListOrganizations => Request::ListOrganizations,
            Command::ResetPassword { user: OfUser { email }, password_stdin } => {
                let password = if password_stdin { Some(read_line()?) } else { None };
                Request::ResetPassword { email, password }
            }
            Command::ResetLink(OfUser { email }) => Request::ResetLink { email },
            Command::RemoveTwoFactor(OfUser { email }) => Request::RemoveTwoFactor { email },
            Command::EndSessions(OfUser { email }) => Request::EndSessions { email },
            Command::Deactivate(OfUser { email }) => Request::SetActive { email, is_active: false },
            Command::Activate(OfUser { email }) => Request::SetActive { email, is_active: true },
            Command::DeleteUser { user: OfUser { email }, with_organizations } => {
                Request::DeleteUser { email, with_organizations }
            }
            Command::MakeOwner { user: OfUser { email }, organization } => {
                Request::MakeOwner { email, organization }
            }
            Command::MakeOperator(OfUser { email }) => Request::SetOperator { email, is_operator: true },
            Command::RemoveOperator(OfUser { email }) => Request::SetOperator { email, is_operator: false },
            Command::FreeDomain { domain } => Request::FreeDomain { domain },
            Command::FreeAddress { email, account } => Request::FreeAddress { email, account },
        })
    }
}

/// Runs one of them.
pub(super) async fn run(Admin { data, json, command }: Admin) -> CommandResult {
    let request = command.request()?;
    let print = |line: Value| if json { print_json(&line) } else { print_for_people(&line) };
    let outcome = ask_lines(&data, request, print).await;
    outcome.map_err(|failure| named(&option_names(true), failure))
}

/// What is alone in its line is printed without its name, as scripts take it.
fn print_for_people(line: &Value) -> CommandResult {
    match line.as_object().map(|fields| fields.iter().collect::<Vec<_>>()).as_deref() {
        Some([(_, Value::String(text))]) => {
            say!("{text}");
            Ok(())
        }
        _ => print_json(line),
    }
}
