//! Which fields an object has on its way to the server, and back.

use crate::api::fields::FieldInfo;

/// Which way an object travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Request { partial: bool },
    Response,
}

impl Side {
    /// Whether an object of this side has the field.
    pub(super) fn has(self, field: &FieldInfo) -> bool {
        match self {
            Side::Request { .. } => !field.read_only,
            Side::Response => !field.write_only,
        }
    }
}
