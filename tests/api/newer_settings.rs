//! Settings of newer clients: each is checked, kept, shown, logged, and known as it was.

use serde_json::{Value, json};

use crate::support::{Org, Person, Server, text};

fn patch(org: &Org, body: Value) -> crate::support::Answer {
    org.owner.patch(&org.project_at(""), body)
}

/// Name, default, good values, wrong values with the code of their error.
type Setting = (&'static str, Value, Vec<Value>, Vec<(Value, &'static str)>);

fn settings() -> Vec<Setting> {
    let switch = |default: Value| {
        (default, vec![json!(true), json!(false), json!(null)], vec![(json!("maybe"), "invalid_input")])
    };
    let free = || (json!(null), vec![json!({"a": [1]}), json!([2]), json!(null)], vec![]);
    let of = |name, (default, good, wrong)| (name, default, good, wrong);
    let not_an_object = || (json!([1]), "invalid_input");
    vec![
        (
            "base_currency",
            json!("USD"),
            vec![json!("EUR"), json!("BTC"), json!("ZWL"), json!("AED")],
            vec![(json!("eur"), "invalid_choice"), (json!("XXX"), "invalid_choice"), (json!(null), "null")],
        ),
        (
            "business_model",
            json!(null),
            vec![json!("b2b"), json!("b2c"), json!("other"), json!(""), json!(null)],
            vec![(json!("b2x"), "invalid_choice")],
        ),
        of("conversations_enabled", switch(json!(null))),
        of("conversations_settings", free()),
        of("logs_settings", free()),
        of("session_recording_trigger_groups", free()),
        of("proactive_tasks_enabled", switch(json!(null))),
        of("feature_flag_confirmation_enabled", switch(json!(false))),
        (
            "feature_flag_confirmation_message",
            json!(null),
            vec![json!("Sure?"), json!(""), json!(null)],
            vec![(json!([]), "invalid_input")],
        ),
        of("default_evaluation_contexts_enabled", switch(json!(false))),
        of("require_evaluation_contexts", switch(json!(false))),
        of("web_analytics_pre_aggregated_tables_enabled", switch(json!(false))),
        (
            "tags",
            json!([]),
            vec![json!(["a", "b"]), json!([])],
            vec![(json!("a"), "not_a_list"), (json!(null), "null")],
        ),
        (
            "customer_analytics_config",
            json!({}),
            vec![json!({"activity_event": {"id": "$pageview"}, "account_group_type_index": 1})],
            vec![not_an_object()],
        ),
        (
            "workflows_config",
            json!({}),
            vec![
                json!({"capture_workflows_engagement_events": true, "email_tracking_consent_mode": "opt_in"}),
            ],
            vec![not_an_object()],
        ),
        (
            "marketing_analytics_config",
            json!({}),
            vec![json!({"sources_map": {"a": 1}})],
            vec![not_an_object()],
        ),
        ("feature_flag_policy_config", json!({}), vec![json!({"require_tags": true})], vec![not_an_object()]),
        ("revenue_analytics_config", json!({}), vec![json!({"events": []})], vec![not_an_object()]),
        of("receive_org_level_activity_logs", switch(json!(null))),
        (
            "session_recording_retention_period",
            json!(null),
            vec![json!("30d"), json!("90d"), json!("1y"), json!("5y"), json!(null)],
            vec![(json!("2y"), "invalid_choice")],
        ),
    ]
}

#[test]
fn each_is_checked_kept_shown_and_logged() {
    let server = Server::start();
    let org = server.org();
    for (name, default, good, wrong) in settings() {
        let mut before = org.owner.get(&org.project_at("")).json(200)[name].clone();
        assert_eq!(before, default, "{name}");
        for value in good {
            assert_eq!(patch(&org, json!({name: value})).json(200)[name], value, "{name}");
            for address in ["projects", "environments"] {
                let shown = org.owner.get(&format!("/api/{address}/{}/", org.project)).json(200);
                assert_eq!(shown[name], value, "{name}");
            }
            let newest = org.owner.get(&org.project_at("activity/")).json(200)["results"][0].clone();
            let is_empty = |value: &Value| value.is_null() || *value == "" || *value == json!([]);
            if before != value && !(is_empty(&before) && is_empty(&value)) {
                let change = &newest["detail"]["changes"][0];
                assert_eq!(
                    (&change["field"], &change["before"], &change["after"]),
                    (&json!(name), &before, &value)
                );
            }
            before = value;
        }
        for (value, code) in wrong {
            let refused = patch(&org, json!({name: value})).json(400);
            assert_eq!((&refused["attr"], &refused["code"]), (&json!(name), &json!(code)), "{name} {value}");
            assert_eq!(org.owner.get(&org.project_at("")).json(200)[name], before, "{name}");
        }
    }
    // None of them is lost where others change.
    patch(&org, json!({"base_currency": "CHF", "tags": ["x"]})).json(200);
    let shown = patch(&org, json!({"name": "N"})).json(200);
    assert_eq!((&shown["base_currency"], &shown["tags"]), (&json!("CHF"), &json!(["x"])));
    let made = org.owner.post(&org.at("projects/"), json!({"base_currency": "SEK"})).json(201);
    assert_eq!(made["base_currency"], "SEK");
}

#[test]
fn configuration_objects_are_merged_key_by_key() {
    let server = Server::start();
    let org = server.org();
    for (name, first, second) in [
        ("customer_analytics_config", json!({"signup_event": {"id": "a"}}), json!({"payment_event": null})),
        (
            "workflows_config",
            json!({"capture_workflows_engagement_events": true}),
            json!({"email_tracking_consent_mode": "off"}),
        ),
        ("marketing_analytics_config", json!({"sources_map": {"a": {"b": "c"}}}), json!({"later": [1]})),
    ] {
        patch(&org, json!({name: first})).json(200);
        let mut both = first.clone();
        both.as_object_mut().expect("an object").extend(second.as_object().expect("an object").clone());
        assert_eq!(patch(&org, json!({name: second})).json(200)[name], both);
    }
    for (body, attr) in [
        (
            json!({"workflows_config": {"email_tracking_consent_mode": "x"}}),
            "workflows_config__email_tracking_consent_mode",
        ),
        (
            json!({"customer_analytics_config": {"account_group_type_index": "x"}}),
            "customer_analytics_config__account_group_type_index",
        ),
    ] {
        assert_eq!(patch(&org, body).json(400)["attr"], attr);
    }
}

#[test]
fn what_a_setting_holds_has_an_end_however_often_it_is_merged() {
    let server = Server::start();
    let org = server.org();
    let half = "x".repeat(150 * 1024);
    for name in ["marketing_analytics_config", "revenue_analytics_config"] {
        patch(&org, json!({name: {"a": half}})).json(200);
        patch(&org, json!({name: {"b": half}})).invalid(
            name,
            "max_length",
            "Ensure this field has at most 262144 bytes.",
        );
        assert_eq!(org.owner.get(&org.project_at("")).json(200)[name], json!({"a": half}));
    }
    let large = json!({"survey_config": {"a": format!("{half}{half}")}});
    patch(&org, large).invalid("survey_config", "max_length", "Ensure this field has at most 262144 bytes.");
}

#[test]
fn the_settings_of_a_time_are_those_that_were_set_then() {
    let server = Server::start();
    let org = server.org();
    let member = org.member(&server);
    let made = text(&org.owner.get(&org.project_at("")).json(200)["created_at"]);
    let fields = ["name", "timezone", "tags", "session_recording_opt_in", "base_currency", "access_control"];
    let mut then: Vec<(String, Value)> = Vec::new();
    let state = |shown: &Value| -> Value {
        fields
            .iter()
            .map(|field| ((*field).to_owned(), shown[*field].clone()))
            .collect::<serde_json::Map<_, _>>()
            .into()
    };
    for body in [
        json!({"name": "A", "tags": ["a"]}),
        json!({"timezone": "Europe/Lisbon", "base_currency": "EUR"}),
        json!({"session_recording_opt_in": true, "tags": ["b"]}),
        json!({"name": "B", "access_control": false, "slack_incoming_webhook": "https://hooks.example/secret"}),
    ] {
        let shown = patch(&org, body).json(200);
        then.push((text(&shown["updated_at"]), state(&shown)));
    }
    let scopes: String = fields.iter().map(|field| format!("&scope={field}")).collect();
    for address in [
        org.project_at(""),
        format!("/api/projects/{}/", org.project),
        format!("/api/environments/{}/", org.project),
    ] {
        for (at, state) in &then {
            assert_eq!(
                member.get(&format!("{address}settings_as_of/?at={at}{scopes}")).json(200),
                *state,
                "{at}"
            );
        }
    }
    let first = member.get(&org.project_at(&format!("settings_as_of/?at={made}"))).json(200);
    assert_eq!(
        (&first["name"], &first["tags"], &first["base_currency"]),
        (&json!("Default project"), &json!([]), &json!("USD"))
    );
    let one = member
        .get(&org.project_at("settings_as_of/?at=2999-01-01T00:00:00Z&scope=name&scope=unknown"))
        .json(200);
    assert_eq!(one, json!({"name": "B"}));
    let whole = member.get(&org.project_at("settings_as_of/?at=2999-01-01T00:00:00Z"));
    assert!(!whole.text().contains("secret"), "secrets are not in the log, so not here either");
    member.get(&org.project_at("settings_as_of/")).invalid(
        "at",
        "invalid_input",
        "Query parameter 'at' is required (ISO8601).",
    );
    let wrong = "Invalid datetime format. Use ISO8601 (e.g., 2025-11-24T12:34:56Z).";
    member.get(&org.project_at("settings_as_of/?at=yesterday")).invalid("at", "invalid_input", wrong);
}

#[test]
fn products_are_noted() {
    let server = Server::start();
    let org = server.org();
    let member = org.member(&server);
    let reader = member.key(&["project:read"]);
    for caller in [&member, &reader] {
        let body = json!({"product_type": "surveys", "intent_context": "x", "metadata": {"a": 1}});
        assert_eq!(
            caller.patch(&org.project_at("add_product_intent/"), body.clone()).json(201)["id"],
            org.project
        );
        let done = caller.patch(&org.project_at("complete_product_onboarding/"), body).json(200);
        assert_eq!(done["has_completed_onboarding_for"], json!({"surveys": true}));
    }
    let both = member
        .patch(&org.project_at("complete_product_onboarding/"), json!({"product_type": "logs"}))
        .json(200);
    assert_eq!(both["has_completed_onboarding_for"], json!({"surveys": true, "logs": true}));
    let newest = org.owner.get(&org.project_at("activity/")).json(200)["results"][0].clone();
    assert_eq!(newest["detail"]["changes"][0]["field"], "has_completed_onboarding_for");
    member.patch(&org.project_at("complete_product_onboarding/"), json!({})).invalid(
        "product_type",
        "required",
        "product_type is required",
    );
    member.patch(&org.project_at("add_product_intent/"), json!({})).invalid(
        "product_type",
        "required",
        "This field is required.",
    );
    assert_eq!(member.get(&org.project_at("event_ingestion_restrictions/")).json(200), json!([]));
}

#[test]
fn projects_are_found_by_a_part_of_their_name() {
    let server = Server::start();
    let org = server.org();
    let member = org.member(&server);
    for name in ["Web Shop", "Web site", "Straße", "Closed web"] {
        org.owner.post(&org.at("projects/"), json!({"name": name})).json(201);
    }
    let closed = org.owner.get(&org.at("projects/?search=closed")).json(200)["results"][0]["id"].clone();
    org.owner.patch(&org.at(&format!("projects/{closed}/")), json!({"access_control": true})).json(200);
    for address in [org.at("projects/"), "/api/projects/".to_owned()] {
        let found = |search: &str| {
            let page = member.get(&format!("{address}?search={search}")).json(200);
            let names: Vec<String> =
                page["results"].as_array().expect("rows").iter().map(|row| text(&row["name"])).collect();
            assert_eq!(page["count"], names.len(), "{search}");
            names
        };
        assert_eq!(found("web"), ["Web Shop", "Web site"]);
        assert_eq!(found("%20WEB%20%20S"), ["Web Shop", "Web site"]);
        assert_eq!(found("shop"), ["Web Shop"]);
        assert_eq!(found("stra%C3%9Fe"), ["Straße"]);
        assert_eq!(found("nothing").len(), 0);
        assert_eq!(found("%25").len(), 0);
        assert_eq!(found("%20").len(), 4, "blank text looks for nothing");
        let long = "x".repeat(201);
        member.get(&format!("{address}?search={long}")).invalid(
            "search",
            "invalid_input",
            "Search query must be 200 characters or fewer.",
        );
        found(&long[1..]);
    }
}

fn tokens(person: &Person, org: &Org) -> (Value, Value) {
    let shown = person.get(&org.project_at("")).json(200);
    (shown["secret_api_token"].clone(), shown["secret_api_token_backup"].clone())
}

#[test]
fn the_secret_token_is_renewed_and_the_one_before_ends_when_it_is_deleted() {
    let server = Server::start();
    let org = server.org();
    let member = org.member(&server);
    let (rotate, end) =
        (org.project_at("rotate_secret_token/"), org.project_at("delete_secret_token_backup/"));
    assert_eq!(tokens(&org.owner, &org), (json!(null), json!(null)));
    let first = org.owner.patch(&rotate, json!({})).json(200)["secret_api_token"].clone();
    let value = text(&first);
    assert!(
        value.starts_with("phs_")
            && value.len() > 30
            && value[4..].bytes().all(|byte| byte.is_ascii_alphanumeric())
    );
    assert_eq!(tokens(&org.owner, &org), (first.clone(), json!(null)));
    let second =
        org.owner.key(&["project:write"]).patch(&rotate, json!({})).json(200)["secret_api_token"].clone();
    assert_ne!(first, second);
    assert_eq!(tokens(&org.owner, &org), (second.clone(), first.clone()));
    for other in [&member, &org.owner.key(&["project:read"])] {
        assert_eq!(tokens(other, &org), (json!(null), json!(null)));
    }
    let insufficient = "You don't have sufficient permissions in the project.";
    member.patch(&rotate, json!({})).denied(insufficient);
    member.patch(&end, json!({})).denied(insufficient);
    let third = org.owner.patch(&rotate, json!({})).json(200)["secret_api_token"].clone();
    assert_eq!(tokens(&org.owner, &org), (third.clone(), second.clone()), "only one is kept from before");
    for _ in 0..2 {
        let ended = org.owner.patch(&end, json!({})).json(200);
        assert_eq!((&ended["secret_api_token"], &ended["secret_api_token_backup"]), (&third, &json!(null)));
    }
    let log = org.owner.get(&org.project_at("activity/")).text();
    for token in [&first, &second, &third] {
        assert!(!log.contains(&text(token)), "no token is in the log");
    }
    assert_eq!(log.matches("secret_api_token").count(), 4);
}
