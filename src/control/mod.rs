//! The running server can be asked: a Unix socket beside the data file, for the operator at the machine.
//!
//! A `Request` is carried out by `run`, the same way in the server, which is reached through the socket, and in a
//! process of its own, which opens the file where no server holds it; `ask` decides. What comes of it are pieces: JSON
//! values, a line each, and bytes. Invariant: only the user that the server runs as and root are answered, and nothing
//! that is said here is written to the log.

mod call;
mod client;
mod out;
mod place;
mod run;
mod server;
mod wire;

use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::resources::org_file::plan::Options;
pub use call::{ApiAnswer, ApiCall};
pub use client::{Answer, ask, ask_server};
pub use out::{Gone, Out, Piece, Pieces, pipe};
pub use place::{is_there, socket_of};
pub use run::run;
pub use server::{Answering, Listening};

/// Which program this is; a server of another one is not asked.
pub const VERSION: &str = env!("ORGD_VERSION");
/// Longest request, in bytes: one with a whole file of an organization.
pub const REQUEST_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Streams of all rows at once: each keeps an old state of the data file, and with it the pages that the file could use
/// again.
pub const STREAMS_MAX: usize = 2;
/// Requests that are carried out at once.
pub const REQUESTS_MAX: usize = 8;

/// What the operator wants. Tagged from outside, for other tags would spoil numbers (serde_json's `arbitrary_precision`).
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Request {
    /// Every user, oldest first: a line each.
    ListUsers,
    /// Every organization, oldest first: a line each.
    ListOrganizations,
    /// Sets a user's password: a line that holds it where none was given.
    ResetPassword { email: String, password: Option<String> },
    /// A line with a link by which a user can choose a new password.
    ResetLink { email: String },
    /// Takes the second factor from a user.
    RemoveTwoFactor { email: String },
    /// Ends all sessions of a user.
    EndSessions { email: String },
    /// Takes a domain from whoever holds it: a line for each.
    FreeDomain { domain: String },
    /// Takes an address from invites and, if so wanted, from its account: a line for each.
    FreeAddress { email: String, account: bool },
    /// Deletes a user: a line that says what went with them.
    DeleteUser { email: String, with_organizations: bool },
    /// Makes a user an owner of the organization with this identifier or slug.
    MakeOwner { email: String, organization: String },
    /// Makes a user an operator of the instance, or takes that from them.
    SetOperator { email: String, is_operator: bool },
    /// Closes a user's account, or opens it again.
    SetActive { email: String, is_active: bool },
    /// A line with the state of the server, or of the file.
    Status,
    /// A line for a report of an error, without names and secrets.
    Support,
    /// Compares a file with what is stored, or applies it: a line with the plan.
    ApplyFile { file: serde_json::Value, options: Options, base: Option<String>, dry_run: bool },
    /// Organizations as a file: a line with its text.
    ExportFile { organizations: Vec<String>, without_ids: bool },
    /// Walks the file: a line with its digest, one for each problem, and one with their number.
    Check,
    /// A request to the API, carried out as the operator: a line with its answer, be it good or a refusal.
    Api(ApiCall),
    /// All rows of one state, as a stream of bytes: see `backup::RowStream`.
    Rows,
}

impl Request {
    /// What the log calls it.
    pub fn name(&self) -> &'static str {
        match self {
            Request::ListUsers => "list_users",
            Request::ResetPassword { .. } => "reset_password",
            Request::ResetLink { .. } => "reset_link",
            Request::RemoveTwoFactor { .. } => "remove_two_factor",
            Request::EndSessions { .. } => "end_sessions",
            Request::FreeDomain { .. } => "free_domain",
            Request::FreeAddress { .. } => "free_address",
            Request::ListOrganizations => "list_organizations",
            Request::DeleteUser { .. } => "delete_user",
            Request::MakeOwner { .. } => "make_owner",
            Request::SetOperator { .. } => "set_operator",
            Request::SetActive { .. } => "set_active",
            Request::Status => "status",
            Request::Support => "support",
            Request::ApplyFile { .. } => "apply_file",
            Request::ExportFile { .. } => "export_file",
            Request::Check => "check",
            Request::Api(_) => "api",
            Request::Rows => "rows",
        }
    }

    /// Whether it looks only: then a file that no server holds is opened without a write, and proved by its checksums.
    fn leaves_file_untouched(&self) -> bool {
        matches!(
            self,
            Request::Check
                | Request::Rows
                | Request::Status
                | Request::Support
                | Request::ExportFile { .. }
                | Request::ApplyFile { dry_run: true, .. }
        ) || matches!(self, Request::Api(call) if call.is_safe()
        )
    }
}

/// Why a request was not carried out.
#[derive(Debug)]
pub struct Failure {
    /// For the operator.
    pub sentence: String,
    /// The field of the request that is wrong, where it is one.
    pub field: Option<String>,
}

impl From<Error> for Failure {
    fn from(cause: Error) -> Failure {
        let field = cause.envelope().attr.map(str::to_owned);
        Failure { sentence: cause.to_string(), field }
    }
}

impl From<String> for Failure {
    fn from(sentence: String) -> Failure {
        Failure { sentence, field: None }
    }
}

impl From<&str> for Failure {
    fn from(sentence: &str) -> Failure {
        sentence.to_owned().into()
    }
}

impl From<Gone> for Failure {
    fn from(_: Gone) -> Failure {
        "nobody takes the answer any more".into()
    }
}

impl From<Failure> for String {
    fn from(failure: Failure) -> String {
        failure.sentence
    }
}
