//! What a command runs with, whoever started it: a request, the operator at the machine, a page, a file that is applied.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use uuid::Uuid;

use super::caller::{Caller, KeyAccess};
use crate::clock::{Ids, Time};
use crate::config::Config;
use crate::error::{Result, unauthenticated};
use crate::ids::UserId;
use crate::vault::Vault;

/// Everything that a command needs besides its arguments. Commands know nothing of HTTP.
#[derive(Clone)]
pub struct Ctx {
    /// The one time of everything that the command does.
    pub now: Time,
    pub ids: Arc<Ids>,
    pub config: Arc<Config>,
    /// Seals what must not lie open in the data file.
    pub vault: Arc<Vault>,
    /// Where people reach the server, as `https://host:port` without a slash at the end: the site's address
    /// where one is set, else as the caller addressed the server.
    pub origin: String,
    pub actor: Actor,
    pub source: Source,
}

/// Where a command came from, as the audit log has it.
#[derive(Clone, Debug, Default)]
pub struct Source {
    /// The caller's address; `None` at the machine.
    pub address: Option<IpAddr>,
    /// What the caller's program calls itself, up to 32 letters.
    pub client: Option<String>,
    /// The identifier of the request.
    pub request_id: Option<String>,
}

/// In whose name a command runs.
#[derive(Clone, Debug)]
pub enum Actor {
    /// A stranger.
    Nobody,
    User(Caller),
    /// The operator at the machine, who may do everything. What has to be somebody's becomes this user's; there is
    /// nobody where commands need none.
    Operator(Option<UserId>),
}

impl Actor {
    /// The user, and by which right they call.
    pub fn caller(&self) -> Option<&Caller> {
        match self {
            Actor::User(caller) => Some(caller),
            Actor::Nobody | Actor::Operator(_) => None,
        }
    }

    /// The key by which the user calls, where it is by one.
    pub fn key(&self) -> Option<&Arc<KeyAccess>> {
        self.caller()?.via.key()
    }
}

impl From<Option<Caller>> for Actor {
    fn from(caller: Option<Caller>) -> Actor {
        caller.map_or(Actor::Nobody, Actor::User)
    }
}

impl Ctx {
    /// The calling user, and by which right they call.
    ///
    /// # Errors
    /// 401 for a stranger, who does not reach routes that need somebody.
    pub fn caller(&self) -> Result<&Caller> {
        self.actor.caller().ok_or_else(unauthenticated)
    }

    /// The calling user, or the one in whose name the operator makes things.
    ///
    /// # Errors
    /// As for `caller`.
    pub fn user(&self) -> Result<UserId> {
        match self.actor {
            Actor::Operator(Some(user)) => Ok(user),
            _ => Ok(self.caller()?.user),
        }
    }

    /// Whether the user is who calls.
    pub fn is_caller(&self, user: UserId) -> bool {
        self.actor.caller().is_some_and(|caller| caller.user == user)
    }

    /// The caller's address; that of this machine where the operator acts at it.
    pub fn peer(&self) -> IpAddr {
        self.source.address.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST))
    }

    /// A new time-ordered identifier.
    pub fn new_id<T: From<Uuid>>(&self) -> T {
        self.ids.uuid_of(std::any::type_name::<T>(), self.now).into()
    }
}
