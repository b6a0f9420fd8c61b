//! What can be named: in which list it is found, and by what.

/// A kind of object that has names.
pub struct Named {
    /// One of them, in words.
    pub noun: &'static str,
    /// The path of the list that they are all in.
    pub list: &'static str,
    /// A query parameter by which a server may shorten the list. Nothing is taken for granted: what comes back is looked at.
    pub search: Option<&'static str>,
    /// Where the names stand: JSON pointers. The first is the one by which people know it.
    pub names: &'static [&'static str],
    /// Where the identifier stands.
    pub id: &'static str,
    pub id_is: Id,
}

/// What an identifier looks like.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Id {
    Uuid,
    Number,
    /// As a name may.
    Text,
}

pub(in crate::client) const ORGANIZATION: Named = Named {
    noun: "organization",
    list: "/api/organizations/",
    search: None,
    names: &["/slug", "/name"],
    id: "/id",
    id_is: Id::Uuid,
};
pub(in crate::client) const PROJECT: Named = Named {
    noun: "project",
    list: "/api/organizations/{organization_id}/projects/",
    search: Some("search"),
    names: &["/name"],
    id: "/id",
    id_is: Id::Number,
};
pub(super) const MEMBER: Named = Named {
    noun: "member",
    list: "/api/organizations/{organization_id}/members/",
    search: Some("email"),
    names: &["/user/email"],
    id: "/user/uuid",
    id_is: Id::Uuid,
};
pub(super) const INVITE: Named = Named {
    noun: "invite",
    list: "/api/organizations/{organization_id}/invites/",
    search: None,
    names: &["/target_email"],
    id: "/id",
    id_is: Id::Uuid,
};
pub(super) const ROLE: Named = Named {
    noun: "role",
    list: "/api/organizations/{organization_id}/roles/",
    search: None,
    names: &["/name"],
    id: "/id",
    id_is: Id::Uuid,
};
pub(super) const IN_ROLE: Named = Named {
    noun: "member of this role",
    list: "/api/organizations/{organization_id}/roles/{role_id}/role_memberships/",
    search: None,
    names: &["/user/email", "/user/uuid"],
    id: "/id",
    id_is: Id::Text,
};
pub(super) const KEY: Named = Named {
    noun: "key",
    list: "/api/personal_api_keys/",
    search: None,
    names: &["/label"],
    id: "/id",
    id_is: Id::Text,
};
pub(super) const DOMAIN: Named = Named {
    noun: "domain",
    list: "/api/organizations/{organization_id}/domains/",
    search: None,
    names: &["/domain"],
    id: "/id",
    id_is: Id::Uuid,
};
pub(super) const PROXY: Named = Named {
    noun: "proxy",
    list: "/api/organizations/{organization_id}/proxy_records/",
    search: None,
    names: &["/domain"],
    id: "/id",
    id_is: Id::Uuid,
};
pub(super) const EXPORT: Named = Named {
    noun: "batch export",
    list: "/api/projects/{project_id}/batch_exports/",
    search: None,
    names: &["/name"],
    id: "/id",
    id_is: Id::Uuid,
};
