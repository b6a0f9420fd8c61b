//! What a personal API key may be allowed to do: `<object>:<action>`, or `*`.

use crate::api::Via;
use crate::error::{Result, denied};

/// The objects that scopes can name; more than orgd serves, so that clients' usual lists are accepted.
pub const OBJECTS: &[&str] = &[
    "access_control",
    "action",
    "activity_log",
    "annotation",
    "batch_export",
    "cohort",
    "dashboard",
    "dashboard_template",
    "early_access_feature",
    "error_tracking",
    "event_definition",
    "experiment",
    "export",
    "feature_flag",
    "group",
    "heatmap",
    "hog_function",
    "insight",
    "integration",
    "notebook",
    "organization",
    "organization_member",
    "person",
    "plugin",
    "project",
    "property_definition",
    "query",
    "session_recording",
    "session_recording_playlist",
    "sharing_configuration",
    "subscription",
    "survey",
    "user",
    "warehouse_table",
    "webhook",
];

/// Whether a key can be made with this scope.
pub fn is_scope(scope: &str) -> bool {
    scope == "*"
        || scope
            .split_once(':')
            .is_some_and(|(object, action)| OBJECTS.contains(&object) && ["read", "write"].contains(&action))
}

/// Whether keys that are limited to organizations or projects are limited here as well: the user's own
/// record is open to every key of theirs.
pub fn restricted(scope: &str) -> bool {
    !scope.starts_with("user:")
}

/// Whether what needs the scope is open to this way in: sessions need none.
pub fn open_to(via: &Via, scope: &'static str) -> bool {
    match via {
        Via::Session { .. } => true,
        Via::Key(key) => require(&key.scopes, scope).is_ok(),
    }
}

/// Writing includes reading; `*` includes all.
pub fn require(held: &[String], needed: &'static str) -> Result<()> {
    let read = needed.strip_suffix(":read");
    let holds = |scope: &String| {
        scope == "*" || scope == needed || (read.is_some() && scope.strip_suffix(":write") == read)
    };
    if held.iter().any(holds) {
        return Ok(());
    }
    Err(denied(format!("API key missing required scope '{needed}'")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writing_includes_reading_but_not_the_reverse() {
        let held = |scope: &str| vec![scope.to_owned()];
        assert!(require(&held("organization:write"), "organization:read").is_ok());
        assert!(require(&held("organization:read"), "organization:write").is_err());
        assert!(require(&held("organization:write"), "organization_member:read").is_err());
        assert!(require(&held("*"), "plugin:write").is_ok());
        assert!(require(&[], "plugin:read").is_err());
    }

    #[test]
    fn only_known_objects_and_actions_are_scopes() {
        assert!(is_scope("*") && is_scope("organization:read"));
        for odd in ["", "organization", "organization:delete", "unknown:read", "organization:read:x"] {
            assert!(!is_scope(odd), "{odd}");
        }
    }
}
