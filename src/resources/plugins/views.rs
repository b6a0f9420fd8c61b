//! The five views of the catalogue: the same plugins under five paths, distinguished by what their code can do.

use serde_json::Value;

use crate::app::Tag;
use crate::store::Json;

pub(super) struct View {
    /// The word in the path.
    pub(super) segment: &'static str,
    pub(super) tag: Tag,
    /// Whether the view shows a plugin with these capabilities.
    pub(super) admits: fn(&Json) -> bool,
}

pub(super) static VIEWS: [View; 5] = [
    View {
        segment: "plugins",
        tag: Tag {
            name: "plugins",
            noun: "plugin",
            about: "All plugins. Their code is stored and searched for what it defines, never run.",
        },
        admits: |_| true,
    },
    View {
        segment: "pipeline_transformations",
        tag: Tag {
            name: "pipeline_transformations",
            noun: "plugin",
            about: "The plugins that change events: those with `processEvent`.",
        },
        admits: |can| has_method(&can.value(), &["processEvent"]),
    },
    View {
        segment: "pipeline_destinations",
        tag: Tag {
            name: "pipeline_destinations",
            noun: "plugin",
            about: "The plugins that send events on: those with `onEvent` or `composeWebhook`.",
        },
        admits: |can| has_method(&can.value(), &["onEvent", "composeWebhook"]),
    },
    View {
        segment: "pipeline_frontend_apps",
        tag: Tag {
            name: "pipeline_frontend_apps",
            noun: "plugin",
            about: "The plugins that run in the web app only.",
        },
        admits: |can| is_frontend_app(&can.value()),
    },
    View {
        segment: "pipeline_import_apps",
        tag: Tag {
            name: "pipeline_import_apps",
            noun: "plugin",
            about: "The plugins that bring events in, such as on a schedule.",
        },
        admits: |can| is_import_app(&can.value()),
    },
];

fn has_method(can: &Value, names: &[&str]) -> bool {
    let methods = can.get("methods").and_then(Value::as_array).into_iter().flatten();
    methods.filter_map(Value::as_str).any(|method| names.contains(&method))
}

/// Nothing runs on the server, as far as is known.
fn is_frontend_app(can: &Value) -> bool {
    can.get("methods").is_none() && can.get("scheduled_tasks").is_none()
}

/// Produces events: on a schedule, or at least not by handling those that come.
fn is_import_app(can: &Value) -> bool {
    let is_scheduled =
        can.get("scheduled_tasks").is_some_and(|tasks| tasks.as_array().is_none_or(|list| !list.is_empty()));
    is_scheduled
        || (can.get("methods").is_some() && !has_method(can, &["processEvent", "onEvent", "composeWebhook"]))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_each_view_shows() {
        for (can, wanted) in [
            (json!({}), vec!["frontend_apps"]),
            (json!({"jobs": ["a"]}), vec!["frontend_apps"]),
            (json!({"methods": ["processEvent"]}), vec!["transformations"]),
            (json!({"methods": ["onEvent"]}), vec!["destinations"]),
            (json!({"methods": ["composeWebhook"]}), vec!["destinations"]),
            (json!({"methods": ["processEvent", "onEvent"]}), vec!["transformations", "destinations"]),
            (json!({"methods": []}), vec!["import_apps"]),
            (json!({"methods": ["setupPlugin"]}), vec!["import_apps"]),
            (json!({"scheduled_tasks": []}), vec![]),
            (json!({"scheduled_tasks": ["runEveryHour"]}), vec!["import_apps"]),
            (json!({"scheduled_tasks": null}), vec!["import_apps"]),
            (
                json!({"methods": ["onEvent"], "scheduled_tasks": ["runEveryDay"]}),
                vec!["destinations", "import_apps"],
            ),
            (json!({"methods": ["onEvent"], "scheduled_tasks": []}), vec!["destinations"]),
            (json!({"methods": "onEvent"}), vec!["import_apps"]),
        ] {
            let shown = VIEWS.iter().filter(|view| (view.admits)(&Json::of(&can))).map(|view| view.segment);
            let shown: Vec<&str> = shown.filter_map(|segment| segment.strip_prefix("pipeline_")).collect();
            assert_eq!(shown, wanted, "{can}");
        }
    }
}
