//! The kinds of resources that access can be set for, and the levels of each.

use crate::auth::scopes;

pub(super) const PROJECT: &str = "project";
const ORGANIZATION: &str = "organization";

/// The levels of a kind, from none at all upwards, and which of them rules may give.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Scale {
    pub(super) levels: &'static [&'static str],
    /// What applies where no rule says anything.
    pub(super) default: &'static str,
    pub(super) minimum: &'static str,
    pub(super) maximum: &'static str,
}

const MEMBERSHIP: Scale =
    Scale { levels: &["none", "member", "admin"], default: "member", minimum: "none", maximum: "admin" };
const OBJECTS: Scale = Scale {
    levels: &["none", "viewer", "editor", "manager"],
    default: "editor",
    minimum: "none",
    maximum: "manager",
};

impl Scale {
    /// That of a project. By default its members are members: PostHog's newer default, admin, would let everybody
    /// delete a project that nobody has set a rule for.
    pub(super) const PROJECT: Scale = MEMBERSHIP;
    /// That of most kinds.
    pub(super) const RESOURCE: Scale = OBJECTS;

    /// The scale of a kind.
    pub(super) fn of(resource: &str) -> Scale {
        match parent_of(resource) {
            PROJECT | ORGANIZATION => MEMBERSHIP,
            "action" => Scale { minimum: "viewer", ..OBJECTS },
            "activity_log" | "toolbar" => Scale { default: "viewer", maximum: "viewer", ..OBJECTS },
            _ => OBJECTS,
        }
    }

    /// The place of a level; what is no level of the scale gives nothing.
    pub(super) fn rank(&self, level: &str) -> usize {
        self.levels.iter().position(|known| *known == level).unwrap_or(0)
    }

    /// The level itself, within the bounds: a rule may be older than they are.
    pub(super) fn bounded(&self, level: &str) -> &'static str {
        let rank = self.rank(level).clamp(self.rank(self.minimum), self.rank(self.maximum));
        self.levels[rank]
    }
}

/// The kinds whose rules are shown, in the order in which PostHog shows them.
pub(super) const RESOURCES: &[&str] = &[
    "action",
    "customer_analytics",
    "dashboard",
    "early_access_feature",
    "endpoint",
    "experiment",
    "export",
    "external_data_source",
    "warehouse_objects",
    "feature_flag",
    "heatmap",
    "hog_flow",
    "insight",
    "llm_analytics",
    "evaluation",
    "tagger",
    "llm_skill",
    "ai_observability_clusters",
    "notebook",
    "revenue_analytics",
    "session_recording",
    "sharing_configuration",
    "survey",
    "ticket",
    "web_analytics",
    "activity_log",
    "error_tracking",
    "logs",
    "mcp_analytics",
    "metrics",
    "tracing",
    "replay_scanner",
    "toolbar",
    "llm_playground",
];

/// Kinds that take the rules of another one.
const CHILDREN: &[(&str, &str)] = &[
    ("session_recording_playlist", "session_recording"),
    ("warehouse_table", "warehouse_objects"),
    ("warehouse_view", "warehouse_objects"),
    ("dataset", "llm_analytics"),
    ("llm_provider_key", "llm_analytics"),
    ("llm_prompt", "llm_analytics"),
    ("account", "customer_analytics"),
    ("customer_journey", "customer_analytics"),
    ("experiment_saved_metric", "experiment"),
    ("experiment_holdout", "experiment"),
    ("dashboard_template", "dashboard"),
    ("marketing_analytics", "web_analytics"),
    ("vision_action", "replay_scanner"),
    ("vision_alert", "replay_scanner"),
];

/// The kind whose rules apply to a kind: mostly itself.
pub(super) fn parent_of(resource: &str) -> &str {
    CHILDREN.iter().find(|(child, _)| *child == resource).map_or(resource, |(_, parent)| parent)
}

/// Whether rules can be set for it: everything that a key's scope or a rule of PostHog's can name.
pub(super) fn is_kind(resource: &str) -> bool {
    scopes::OBJECTS.contains(&resource)
        || RESOURCES.contains(&resource)
        || CHILDREN.iter().any(|(child, _)| *child == resource)
}

/// The names that a rule may have, as PostHog writes them in its error.
pub(super) fn all_kinds() -> String {
    let quoted: Vec<String> = scopes::OBJECTS.iter().map(|object| format!("'{object}'")).collect();
    format!("({})", quoted.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_a_default_between_its_bounds() {
        for resource in RESOURCES.iter().copied().chain([PROJECT, ORGANIZATION]) {
            let scale = Scale::of(resource);
            assert_eq!(scale.bounded(scale.default), scale.default, "{resource}");
            assert!(is_kind(resource), "{resource}");
        }
        assert_eq!(Scale::of("action").bounded("none"), "viewer");
        assert_eq!(Scale::of("toolbar").bounded("manager"), "viewer");
        assert_eq!(parent_of("llm_prompt"), "llm_analytics");
    }
}
