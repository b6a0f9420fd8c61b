//! Who calls, and what their session or key opens.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::clock::Time;
use crate::ids::{OrganizationId, ProjectId, UserId};

/// Who calls, and by which right.
#[derive(Clone, Debug)]
pub struct Caller {
    pub user: UserId,
    pub via: Via,
}

#[derive(Clone, Debug)]
pub enum Via {
    /// A browser session: its stored hash, when its password was last given, when its last use was written
    /// down, and its second step.
    Session { hash: [u8; 32], authenticated_at: Time, last_activity: Time, second_step: SecondStep },
    /// A personal API key.
    Key(Arc<KeyAccess>),
}

/// The code that follows the password of a user with a second factor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SecondStep {
    /// None was needed.
    None,
    /// The password was right; nobody is logged in yet.
    Awaited,
    Done,
}

/// What a personal API key opens.
#[derive(Debug)]
pub struct KeyAccess {
    /// The identifier and the mask of the key, by which people know it.
    pub id: String,
    pub mask: String,
    pub user: UserId,
    pub hash: [u8; 32],
    pub scopes: Vec<String>,
    /// Empty: all organizations of the user.
    pub organizations: Vec<OrganizationId>,
    /// Empty: all projects of the user.
    pub projects: Vec<ProjectId>,
    pub last_used_at: Option<Time>,
}

impl KeyAccess {
    /// Whether it opens some organizations or projects of its user only.
    pub fn is_limited(&self) -> bool {
        !self.organizations.is_empty() || !self.projects.is_empty()
    }
}

impl Via {
    /// The key, where it is one.
    pub fn key(&self) -> Option<&Arc<KeyAccess>> {
        match self {
            Via::Key(key) => Some(key),
            Via::Session { .. } => None,
        }
    }

    /// The key, where it is one that is limited to organizations or projects.
    pub fn limited_key(&self) -> Option<&KeyAccess> {
        self.key().map(Arc::as_ref).filter(|key| key.is_limited())
    }
}
