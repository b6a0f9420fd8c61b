//! The identifiers of stored things, each a type of its own: one of an organization never passes for one of a user.
//! In bytes and in JSON they equal what they hold.

use std::fmt::{self, Display, Formatter};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::store::Key;

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident($inner:ty);)+) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub $inner);

        impl From<$inner> for $name {
            fn from(inner: $inner) -> $name {
                $name(inner)
            }
        }

        impl Display for $name {
            fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
                self.0.fmt(out)
            }
        }

        impl Key for $name {
            fn write(&self, out: &mut Vec<u8>) {
                self.0.write(out);
            }
            fn read(from: &mut &[u8]) -> Option<Self> {
                <$inner>::read(from).map($name)
            }
            fn size(&self) -> usize {
                self.0.size()
            }
        }
    )+};
}

ids! {
    OrganizationId(Uuid);
    UserId(Uuid);
    /// A membership of a user in an organization.
    MembershipId(Uuid);
    InviteId(Uuid);
    DomainId(Uuid);
    RoleId(Uuid);
    /// A membership of a user in a role.
    RoleMembershipId(Uuid);
    ProxyRecordId(Uuid);
    SessionId(Uuid);
    BatchExportId(Uuid);
    RunId(Uuid);
    BackfillId(Uuid);
    PersonId(Uuid);
    MailId(Uuid);
    /// A number; a project has a UUID besides, which nothing is stored under.
    ProjectId(u32);
    PluginId(u32);
}
