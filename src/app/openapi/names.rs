//! The names of operations and schemas, which generated clients take for their functions and types.

use crate::api::Method;
use crate::app::route::{ResponseShape, Route};

/// The words of a path, without its parameters and `api`.
fn words(path: &str) -> Vec<&str> {
    let parts = path.split('/').filter(|part| !part.is_empty() && !part.starts_with('{') && *part != "api");
    parts.map(|part| part.trim_start_matches(['@', '_'])).collect()
}

/// Whether the path ends in the name of what is done, not of what there is.
pub(super) fn is_action(route: &Route) -> bool {
    let ends_in_object = route.path.trim_end_matches('/').ends_with('}');
    match route.method {
        Method::Post => route.status != 201,
        Method::Patch => !ends_in_object,
        Method::Get | Method::Put | Method::Delete => false,
    }
}

fn verb(route: &Route) -> &'static str {
    match (route.method, route.responds) {
        (Method::Get, ResponseShape::Page(_) | ResponseShape::List(_)) => "list",
        (Method::Get, _) => "retrieve",
        (Method::Post, _) => "create",
        (Method::Put, _) => "update",
        (Method::Patch, _) => "partial_update",
        (Method::Delete, _) => "destroy",
    }
}

/// As PostHog's document has it: `organizations_roles_create`; actions end in their own word:
/// `organizations_domains_verify`.
pub(super) fn operation_id(route: &Route) -> String {
    if let Some(declared) = route.about.operation_id {
        return declared.to_owned();
    }
    let mut words = words(&route.path);
    if !is_action(route) {
        words.push(verb(route));
    }
    words.join("_")
}

/// The last word of the path.
pub(super) fn last_word(route: &Route) -> String {
    words(&route.path).last().copied().unwrap_or_default().to_owned()
}

/// `role_membership` as `RoleMembership`.
pub(super) fn type_name(words: &str) -> String {
    let mut name = String::new();
    for word in words.split(|letter: char| !letter.is_ascii_alphanumeric()).filter(|word| !word.is_empty()) {
        name.push_str(&word[..1].to_ascii_uppercase());
        name.push_str(&word[1..]);
    }
    name
}
