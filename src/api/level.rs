//! How much a person may do in an organization.

use serde::de;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::error::{Result, denied};

/// A membership level; greater may do more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    Member,
    Admin,
    Owner,
}

/// The numbers that stand for the levels on the wire.
pub const LEVELS: &[i64] = &[1, 8, 15];

impl Level {
    pub fn number(self) -> u8 {
        match self {
            Level::Member => 1,
            Level::Admin => 8,
            Level::Owner => 15,
        }
    }

    /// Passes whoever has at least this level.
    ///
    /// # Errors
    /// 403 below it.
    pub fn require(self, least: Level) -> Result<()> {
        if self >= least { Ok(()) } else { Err(denied("Your organization access level is insufficient.")) }
    }

    pub fn of(number: i64) -> Option<Level> {
        match number {
            1 => Some(Level::Member),
            8 => Some(Level::Admin),
            15 => Some(Level::Owner),
            _ => None,
        }
    }
}

impl Serialize for Level {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        serializer.serialize_u8(self.number())
    }
}

/// Out of records only.
impl<'de> Deserialize<'de> for Level {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        let number = u8::deserialize(deserializer)?;
        Level::of(i64::from(number)).ok_or_else(|| <D::Error as de::Error>::custom("there is no such level"))
    }
}
