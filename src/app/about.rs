//! What people read about a route: its place in the OpenAPI document and its texts.

/// A group of routes in the document: one resource.
#[derive(Clone, Copy, Debug)]
pub struct Tag {
    /// The name of the group, which generated clients take for a class or a module.
    pub name: &'static str,
    /// One object of the resource, in words.
    pub noun: &'static str,
    pub about: &'static str,
}

/// The texts of one route.
#[derive(Debug, Default)]
pub struct About {
    pub tag: Option<Tag>,
    /// One line.
    pub summary: &'static str,
    /// Who may call it, and what it does that the summary does not say.
    pub description: &'static str,
    /// The `operationId`, where method and path would give the same one twice.
    pub operation_id: Option<&'static str>,
    /// Query parameters besides those of paging: name and meaning.
    pub queries: &'static [(&'static str, &'static str)],
}
