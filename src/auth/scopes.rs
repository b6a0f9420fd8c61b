//! What a personal API key may be allowed to do: `<object>:<action>`, or `*`.

use crate::api::Via;
use crate::error::{Result, denied};

/// The objects that scopes can name; more than orgd serves, so that clients' usual lists are accepted.
pub const OBJECTS: &[&str] = &[
    "access_control",
    "account",
    "action",
    "activity_log",
    "ai_observability_clusters",
    "alert",
    "annotation",
    "approvals",
    "batch_export",
    "batch_import",
    "batch_import_support",
    "billing",
    "business_knowledge",
    "canvas",
    "cohort",
    "comment",
    "conversation",
    "customer_analytics",
    "customer_journey",
    "customer_profile_config",
    "customer_task",
    "dashboard",
    "dashboard_template",
    "data_catalog",
    "data_catalog_approval",
    "dataset",
    "deployment",
    "desktop_recording",
    "early_access_feature",
    "element",
    "endpoint",
    "engineering_analytics",
    "error_tracking",
    "evaluation",
    "event_definition",
    "event_filter",
    "experiment",
    "experiment_holdout",
    "experiment_saved_metric",
    "export",
    "external_data_schema",
    "external_data_source",
    "feature_flag",
    "field_note",
    "file_system",
    "file_system_shortcut",
    "group",
    "health_issue",
    "heatmap",
    "hog_flow",
    "hog_function",
    "insight",
    "insight_variable",
    "integration",
    "legal_document",
    "link",
    "live_debugger",
    "llm_analytics",
    "llm_gateway",
    "llm_playground",
    "llm_prompt",
    "llm_provider_key",
    "llm_skill",
    "logs",
    "loop",
    "marketing_analytics",
    "mcp_analytics",
    "mcp_registry",
    "metrics",
    "node",
    "notebook",
    "organization",
    "organization_integration",
    "organization_member",
    "persisted_folder",
    "person",
    "plugin",
    "product_enablement",
    "product_tour",
    "project",
    "property_definition",
    "query",
    "query_performance",
    "replay_scanner",
    "revenue_analytics",
    "review_hog",
    "session_recording",
    "session_recording_playlist",
    "sharing_configuration",
    "signal_scout",
    "signal_scout_report",
    "stamphog",
    "streamlit_app",
    "subscription",
    "survey",
    "tagger",
    "task",
    "ticket",
    "toolbar",
    "tracing",
    "uploaded_media",
    "usage_metric",
    "user",
    "user_interview",
    "vision_action",
    "vision_alert",
    "visual_review",
    "warehouse_objects",
    "warehouse_table",
    "warehouse_view",
    "web_analytics",
    "webhook",
    "wizard_session",
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
