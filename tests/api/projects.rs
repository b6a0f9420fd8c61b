//! Projects: both forms, every setting, who sees and changes what, and the log of changes.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{Org, Person, Server, text};

const INSUFFICIENT: &str = "You don't have sufficient permissions in the project.";

fn patch(org: &Org, body: Value) -> crate::support::Answer {
    org.owner.patch(&org.project_at(""), body)
}

fn create(org: &Org, body: Value) -> Value {
    org.owner.post(&org.at("projects/"), body).json(201)
}

#[test]
fn the_list_has_the_short_form() {
    let server = Server::start();
    let org = server.org();
    let mut rows = org.owner.get(&org.at("projects/")).results();
    let row = &mut rows[0];
    assert!(row["uuid"].take().is_string());
    let token = text(&row["api_token"].take());
    assert!(token.starts_with("phc_") && token.len() > 40, "{token}");
    let wanted = json!({
        "id": org.project,
        "uuid": null,
        "organization": org.id,
        "api_token": null,
        "name": "Default project",
        "completed_snippet_onboarding": false,
        "has_completed_onboarding_for": null,
        "ingested_event": false,
        "is_demo": false,
        "timezone": "UTC",
        "access_control": false,
    });
    assert_eq!(*row, wanted);
}

#[test]
fn a_new_project_has_the_documented_defaults() {
    let server = Server::start();
    let org = server.org();
    let mut made = create(&org, json!({}));
    for name in ["uuid", "api_token", "created_at", "updated_at", "live_events_token"] {
        assert!(made[name].take().is_string(), "{name}");
    }
    assert!(made["id"].take().is_u64());
    assert_eq!(made["default_modifiers"].take()["inCohortVia"], "auto");
    let local = json!({"key": "$host", "operator": "not_regex", "value": "^(localhost|127\\.0\\.0\\.1)($|:)", "type": "event"});
    let ours =
        json!({"key": "email", "operator": "not_icontains", "value": "@example.com", "type": "person"});
    assert_eq!(
        made,
        json!({
            "id": null, "uuid": null, "organization": org.id, "api_token": null, "app_urls": [],
            "name": "Default project", "slack_incoming_webhook": null, "created_at": null, "updated_at": null,
            "anonymize_ips": false, "completed_snippet_onboarding": false, "ingested_event": false,
            "test_account_filters": [ours, local], "test_account_filters_default_checked": null,
            "path_cleaning_filters": [], "is_demo": false, "timezone": "UTC", "data_attributes": ["data-attr"],
            "person_display_name_properties": null, "correlation_config": {}, "autocapture_opt_out": null,
            "autocapture_exceptions_opt_in": null, "autocapture_web_vitals_opt_in": null,
            "autocapture_exceptions_errors_to_ignore": null, "capture_console_log_opt_in": true,
            "capture_performance_opt_in": true, "session_recording_opt_in": false,
            "session_recording_sample_rate": null, "session_recording_minimum_duration_milliseconds": null,
            "session_recording_linked_flag": null, "session_recording_network_payload_capture_config": null,
            "session_replay_config": null, "effective_membership_level": 15, "access_control": false,
            "week_start_day": null, "has_group_types": false, "primary_dashboard": null, "live_events_columns": null,
            "recording_domains": null, "person_on_events_querying_enabled": false, "inject_web_apps": null,
            "extra_settings": null, "modifiers": null, "default_modifiers": null,
            "has_completed_onboarding_for": null, "surveys_opt_in": null, "heatmaps_opt_in": null,
            "live_events_token": null, "secret_api_token": null, "secret_api_token_backup": null,
            "base_currency": "USD", "business_model": null, "conversations_enabled": null,
            "conversations_settings": null, "logs_settings": null, "session_recording_trigger_groups": null,
            "proactive_tasks_enabled": null, "feature_flag_confirmation_enabled": false,
            "feature_flag_confirmation_message": null, "default_evaluation_contexts_enabled": false,
            "require_evaluation_contexts": false, "web_analytics_pre_aggregated_tables_enabled": false, "tags": [],
            "customer_analytics_config": {}, "workflows_config": {}, "marketing_analytics_config": {},
            "feature_flag_policy_config": {}, "revenue_analytics_config": {},
            "receive_org_level_activity_logs": null, "session_recording_retention_period": null,
        })
    );
}

#[test]
fn generic_addresses_make_no_filter() {
    let server = Server::start();
    let person = Person::unknown(&server, "somebody@gmail.com".into());
    let org = Org::sign_up(&server, person, "Small");
    let filters = org.owner.get(&org.project_at("")).json(200)["test_account_filters"].clone();
    assert_eq!(filters.as_array().map(Vec::len), Some(1));
}

#[test]
fn a_new_project_becomes_current_and_its_organization_is_that_of_the_path() {
    let server = Server::start();
    let org = server.org();
    let second = org.owner.post("/api/organizations/", json!({"name": "Second"})).json(201);
    let made = create(&org, json!({"name": "P"}));
    assert_eq!(made["organization"], json!(org.id));
    let me = org.owner.me();
    assert_eq!(me["organization"]["id"], second["id"], "the current organization stays");
    assert_eq!(me["team"]["id"], made["id"]);
    assert_eq!(org.owner.get("/api/projects/@current/").json(200)["id"], made["id"]);
    assert_eq!(org.owner.get(&org.at("projects/")).json(200)["count"], 2);
}

#[test]
fn who_creates_and_who_deletes() {
    let server = Server::start();
    let org = server.org();
    let (member, admin) = (org.member(&server), org.admin(&server));
    let all = org.at("projects/");
    member.post(&all, json!({"name": "No"})).level_too_low();
    let demo = member.post(&all, json!({"is_demo": true})).json(201);
    assert_eq!((&demo["is_demo"], &demo["effective_membership_level"]), (&json!(true), &json!(1)));
    let second_demo = "You must upgrade your PostHog plan to be able to create and manage multiple projects or environments.";
    org.owner.post(&all, json!({"is_demo": true})).denied(second_demo);
    // One that a member makes ordinary would let another one be made.
    let one = org.at(&format!("projects/{}/", demo["id"]));
    member.patch(&one, json!({"is_demo": false})).level_too_low();
    member.patch(&one, json!({"is_demo": true, "name": "Shown"})).json(200);
    assert_eq!(admin.post(&all, json!({"name": "Yes"})).json(201)["effective_membership_level"], 8);
    let demo = org.at(&format!("projects/{}/", demo["id"]));
    member.delete(&demo).denied(INSUFFICIENT);
    admin.delete(&demo).no_content();
    admin.delete(&demo).not_found();
    assert_eq!(org.owner.get(&all).json(200)["count"], 2);
}

#[test]
fn strangers_see_an_empty_list_and_no_project() {
    let server = Server::start();
    let org = server.org();
    let stranger = server.stranger();
    let empty = json!({"count": 0, "next": null, "previous": null, "results": []});
    assert_eq!(stranger.get(&org.at("projects/")).json(200), empty);
    assert_eq!(stranger.get("/api/organizations/nope/projects/").json(200), empty);
    stranger.post(&org.at("projects/"), json!({"name": "X"})).forbidden();
    stranger
        .post("/api/organizations/nope/projects/", json!({"name": "X"}))
        .missing("Organization not found.");
    let own = stranger.me()["team"]["id"].clone();
    let own_organization = text(&stranger.me()["organization"]["id"]);
    for path in [
        org.project_at(""),
        format!("/api/projects/{}/", org.project),
        format!("/api/environments/{}/", org.project),
        format!("/api/organizations/{own_organization}/projects/{}/", org.project),
        org.at(&format!("projects/{own}/")),
    ] {
        stranger.get(&path).not_found();
        stranger.patch(&path, json!({"name": "X"})).not_found();
        stranger.put(&path, json!({"name": "X"})).not_found();
        stranger.delete(&path).not_found();
        stranger.get(&format!("{path}activity/")).not_found();
        stranger.get(&format!("{path}is_generating_demo_data/")).not_found();
        stranger.patch(&format!("{path}reset_token/"), json!({})).not_found();
    }
    assert_eq!(org.owner.get(&org.project_at("")).json(200)["name"], "Default project");
}

#[test]
fn a_project_is_named_by_its_number() {
    let server = Server::start();
    let org = server.org();
    for odd in ["abc", "1.5", "%20"] {
        let name = if odd == "%20" { " " } else { odd };
        let detail = format!("Field 'id' expected a number but got '{name}'.");
        org.owner.get(&org.at(&format!("projects/{odd}/"))).invalid(None, "invalid_input", &detail);
    }
    for unknown in ["0", "-1", "99999999", &"9".repeat(60)] {
        org.owner.get(&org.at(&format!("projects/{unknown}/"))).not_found();
    }
    let current = org.owner.get(&org.at("projects/@current/")).json(200);
    assert_eq!(current["id"], json!(org.project));
    assert_eq!(org.owner.get("/api/projects/@current/").json(200)["id"], json!(org.project));
}

#[test]
fn the_same_project_stands_under_three_addresses() {
    let server = Server::start();
    let org = server.org();
    for root in ["projects", "environments"] {
        let path = format!("/api/{root}/{}/", org.project);
        let renamed = org.owner.patch(&path, json!({"name": root})).json(200);
        assert_eq!(renamed["name"], *root);
        let [mut here, mut there] = [&path, &org.project_at("")].map(|path| org.owner.get(path).json(200));
        here["live_events_token"].take();
        there["live_events_token"].take();
        assert_eq!(here, there);
    }
    let rows = org.owner.get("/api/projects/").results();
    assert_eq!((rows.len(), &rows[0]["id"]), (1, &json!(org.project)));
}

#[test]
fn plain_members_change_settings_and_put_requires_nothing() {
    let server = Server::start();
    let org = server.org();
    let member = org.member(&server);
    assert_eq!(member.patch(&org.project_at(""), json!({"name": "Ours"})).json(200)["name"], "Ours");
    let put = member.put(&org.project_at(""), json!({"timezone": "Europe/Lisbon"})).json(200);
    assert_eq!((&put["name"], &put["timezone"]), (&json!("Ours"), &json!("Europe/Lisbon")));
    assert_eq!(put["effective_membership_level"], 1);
    assert_eq!(org.owner.get(&org.at("")).json(200)["teams"][0]["name"], "Ours");
}

/// Values that settings may hold.
fn good_settings() -> Vec<(&'static str, Value)> {
    let filters = || json!([{"key": "email", "value": ["a", 1, null, {"deep": [true]}]}]);
    vec![
        ("name", json!("N")),
        ("name", json!("x".repeat(200))),
        ("app_urls", json!(["https://a.example", null])),
        ("app_urls", json!(["x".repeat(200)])),
        ("app_urls", json!([])),
        ("recording_domains", json!(["https://a.example", null])),
        ("recording_domains", json!(null)),
        ("person_display_name_properties", json!(["email", "x".repeat(400)])),
        ("person_display_name_properties", json!(null)),
        ("live_events_columns", json!(["x".repeat(1000)])),
        ("live_events_columns", json!(null)),
        ("slack_incoming_webhook", json!("x".repeat(500))),
        ("slack_incoming_webhook", json!("")),
        ("slack_incoming_webhook", json!(null)),
        ("anonymize_ips", json!(true)),
        ("completed_snippet_onboarding", json!(true)),
        ("is_demo", json!(true)),
        ("session_recording_opt_in", json!(true)),
        ("access_control", json!(true)),
        ("access_control", json!(false)),
        ("test_account_filters", filters()),
        ("test_account_filters", json!("text")),
        ("path_cleaning_filters", filters()),
        ("path_cleaning_filters", json!(null)),
        ("data_attributes", json!(["data-x"])),
        ("correlation_config", json!({"a": {"b": 1.5}})),
        ("correlation_config", json!(null)),
        ("extra_settings", filters()),
        ("modifiers", json!({"inCohortVia": "leftjoin"})),
        ("has_completed_onboarding_for", json!({"product_analytics": true})),
        ("has_completed_onboarding_for", json!(null)),
        ("timezone", json!("US/Pacific")),
        ("timezone", json!("Etc/GMT+5")),
        ("timezone", json!("GB")),
        ("week_start_day", json!(0)),
        ("week_start_day", json!(1)),
        ("week_start_day", json!(null)),
        ("primary_dashboard", json!(null)),
        ("session_recording_sample_rate", json!("0.50")),
        ("session_recording_sample_rate", json!(null)),
        ("session_recording_minimum_duration_milliseconds", json!(0)),
        ("session_recording_minimum_duration_milliseconds", json!(15000)),
        ("session_recording_minimum_duration_milliseconds", json!(null)),
        ("session_recording_linked_flag", json!({"id": 1, "key": "k"})),
        ("session_recording_linked_flag", json!({"id": 1, "key": "k", "variant": "v"})),
        ("session_recording_linked_flag", json!(null)),
        ("session_recording_network_payload_capture_config", json!({"recordBody": true})),
        ("session_recording_network_payload_capture_config", json!({})),
        ("session_recording_network_payload_capture_config", json!(null)),
        ("session_replay_config", json!({"record_canvas": true})),
        ("session_replay_config", json!(null)),
        ("autocapture_exceptions_errors_to_ignore", json!(["a", "b"])),
        ("autocapture_exceptions_errors_to_ignore", json!([])),
    ]
}

#[test]
fn every_setting_keeps_its_value() {
    let server = Server::start();
    let org = server.org();
    for (field, value) in good_settings() {
        assert_eq!(patch(&org, json!({field: value})).json(200)[field], value, "{field}");
        assert_eq!(org.owner.get(&org.project_at("")).json(200)[field], value, "{field}");
    }
}

#[test]
fn every_switch_is_on_off_or_unset() {
    let server = Server::start();
    let org = server.org();
    for switch in [
        "test_account_filters_default_checked",
        "autocapture_opt_out",
        "autocapture_exceptions_opt_in",
        "autocapture_web_vitals_opt_in",
        "surveys_opt_in",
        "heatmaps_opt_in",
        "inject_web_apps",
        "capture_console_log_opt_in",
        "capture_performance_opt_in",
    ] {
        for value in [json!(true), json!(false), json!(null)] {
            assert_eq!(patch(&org, json!({switch: value})).json(200)[switch], value, "{switch}");
        }
        patch(&org, json!({switch: "x"})).invalid(switch, "invalid_input", "Must be a valid boolean.");
    }
}

/// Sends each value for the field, is refused with the code and detail, and changes nothing. Where the field is
/// written `field[n]`, the item at `n` is at fault.
fn refuses(cases: &[(&str, Value, &str, &str)]) {
    let server = Server::start();
    let org = server.org();
    let before = org.owner.get(&org.project_at("")).json(200);
    for (place, value, code, detail) in cases {
        let (field, item) = place.trim_end_matches(']').split_once('[').unwrap_or((place, ""));
        let attr = if item.is_empty() { field.to_owned() } else { format!("{field}__{item}") };
        patch(&org, json!({field: value})).invalid(attr.as_str(), code, detail);
    }
    assert_eq!(org.owner.get(&org.project_at("")).json(200)["updated_at"], before["updated_at"]);
    assert_eq!(org.owner.get(&org.project_at("activity/")).json(200)["total_count"], 0);
}

const NOT_NULL: &str = "This field may not be null.";

fn long(chars: usize) -> Value {
    json!("x".repeat(chars + 1))
}

#[test]
fn texts_and_lists_of_texts_have_their_limits() {
    let max = |chars: usize| format!("Ensure this field has no more than {chars} characters.");
    let not_a_list = |kind: &str| format!("Expected a list of items but got type \"{kind}\".");
    refuses(&[
        ("name", json!(""), "blank", "This field may not be blank."),
        ("name", json!(null), "null", NOT_NULL),
        ("name", long(200), "max_length", &max(200)),
        ("app_urls", json!("x"), "not_a_list", &not_a_list("str")),
        ("app_urls", json!({}), "not_a_list", &not_a_list("dict")),
        ("app_urls", json!(null), "null", NOT_NULL),
        ("app_urls[1]", json!(["a", long(200)]), "max_length", &max(200)),
        ("app_urls[0]", json!([[]]), "invalid_input", "Not a valid string."),
        ("app_urls[0]", json!([""]), "blank", "This field may not be blank."),
        ("recording_domains[0]", json!([long(200)]), "max_length", &max(200)),
        ("person_display_name_properties[0]", json!([null]), "null", NOT_NULL),
        ("person_display_name_properties[0]", json!([long(400)]), "max_length", &max(400)),
        ("live_events_columns", json!(7), "not_a_list", &not_a_list("int")),
        ("slack_incoming_webhook", long(500), "max_length", &max(500)),
    ]);
}

#[test]
fn switches_choices_and_references_take_what_exists() {
    let dashboard = "Invalid pk \"2137\" - object does not exist.";
    let not_a_choice = |value: &str| format!("\"{value}\" is not a valid choice.");
    refuses(&[
        ("anonymize_ips", json!(null), "null", NOT_NULL),
        ("access_control", json!("x"), "invalid_input", "Must be a valid boolean."),
        ("test_account_filters", json!(null), "null", NOT_NULL),
        ("data_attributes", json!(null), "null", NOT_NULL),
        ("timezone", json!("America/I_Dont_Exist"), "invalid_choice", &not_a_choice("America/I_Dont_Exist")),
        ("timezone", json!("utc"), "invalid_choice", &not_a_choice("utc")),
        ("timezone", json!(null), "null", NOT_NULL),
        ("week_start_day", json!(2), "invalid_choice", &not_a_choice("2")),
        ("primary_dashboard", json!(2137), "does_not_exist", dashboard),
    ]);
}

#[test]
fn numbers_have_a_range_and_a_precision() {
    let rate = "session_recording_sample_rate";
    let duration = "session_recording_minimum_duration_milliseconds";
    let a_number = "A valid number is required.";
    let at_least = "Ensure this value is greater than or equal to 0.";
    let at_most = |most: u32| format!("Ensure this value is less than or equal to {most}.");
    let decimals = "Ensure that there are no more than 2 decimal places.";
    refuses(&[
        (rate, json!("x"), "invalid_input", a_number),
        (rate, json!(true), "invalid_input", a_number),
        (rate, json!(-0.1), "min_value", at_least),
        (rate, json!(1.01), "max_value", &at_most(1)),
        (rate, json!(0.555), "max_decimal_places", decimals),
        (rate, json!(12.55), "max_digits", "Ensure that there are no more than 3 digits in total."),
        (duration, json!(15001), "max_value", &at_most(15000)),
        (duration, json!(-1), "min_value", at_least),
        (duration, json!("0.5"), "invalid_input", "A valid integer is required."),
    ]);
}

#[test]
fn objects_have_known_keys_only() {
    let (flag, replay) = ("session_recording_linked_flag", "session_replay_config");
    let capture = "session_recording_network_payload_capture_config";
    let not_a_flag = "Must provide a dictionary or None.";
    let flag_keys =
        "Must provide a dictionary with only 'id' and 'key' keys. _or_ only 'id', 'key', and 'variant' keys.";
    let capture_keys = "Must provide a dictionary with only 'recordHeaders' and/or 'recordBody' keys.";
    let replay_keys =
        "Must provide a dictionary with only known keys. One or more of record_canvas, ai_config.";
    let ai_keys = "Must provide a dictionary with only allowed keys: included_event_properties, opt_in, preferred_events, excluded_events, important_user_properties.";
    refuses(&[
        (flag, json!([]), "invalid_input", not_a_flag),
        (flag, json!({"id": 1}), "invalid_input", flag_keys),
        (flag, json!({"id": 1, "key": "k", "x": 1}), "invalid_input", flag_keys),
        (capture, json!({"x": 1}), "invalid_input", capture_keys),
        (replay, json!({"x": 1}), "invalid_input", replay_keys),
        (replay, json!({"ai_config": {"x": 1}}), "invalid_input", ai_keys),
        (replay, json!({"ai_config": 7}), "invalid_input", ai_keys),
    ]);
}

#[test]
fn errors_to_ignore_are_short_texts() {
    let server = Server::start();
    let org = server.org();
    let before = org.owner.get(&org.project_at("")).json(200);
    let errors = "autocapture_exceptions_errors_to_ignore";
    for (value, detail) in [
        (json!("x"), "Must provide a list for field: autocapture_exceptions_errors_to_ignore."),
        (json!(null), "Must provide a list for field: autocapture_exceptions_errors_to_ignore."),
        (json!([1]), "Must provide a list of strings to field: autocapture_exceptions_errors_to_ignore."),
        (
            json!([long(296)]),
            "Field autocapture_exceptions_errors_to_ignore must be less than 300 characters. Complex config should be provided in posthog-js initialization.",
        ),
    ] {
        patch(&org, json!({errors: value})).invalid(None, "invalid_input", detail);
    }
    assert_eq!(org.owner.get(&org.project_at("")).json(200)["updated_at"], before["updated_at"]);
    assert_eq!(org.owner.get(&org.project_at("activity/")).json(200)["total_count"], 0);
}

#[test]
fn a_dashboard_cannot_be_named_at_creation() {
    let server = Server::start();
    let org = server.org();
    let answer = org.owner.post(&org.at("projects/"), json!({"primary_dashboard": 1}));
    answer.invalid(
        "primary_dashboard",
        "invalid_input",
        "Primary dashboard cannot be set on project creation.",
    );
    create(&org, json!({"primary_dashboard": null}));
}

#[test]
fn the_sample_rate_is_answered_as_text_with_two_decimals() {
    let server = Server::start();
    let org = server.org();
    for (sent, shown) in [
        (json!(0.5), "0.50"),
        (json!("1"), "1.00"),
        (json!(0), "0.00"),
        (json!("0.25"), "0.25"),
        (json!(1.0), "1.00"),
    ] {
        let answer = patch(&org, json!({"session_recording_sample_rate": sent})).json(200);
        assert_eq!(answer["session_recording_sample_rate"], shown);
    }
}

#[test]
fn the_replay_settings_are_merged_and_the_others_replaced() {
    let server = Server::start();
    let org = server.org();
    let replay = |value: Value| {
        patch(&org, json!({"session_replay_config": value})).json(200)["session_replay_config"].clone()
    };
    replay(json!({"record_canvas": true}));
    let merged = replay(json!({"ai_config": {"opt_in": true, "preferred_events": ["a"]}}));
    assert_eq!(
        merged,
        json!({"record_canvas": true, "ai_config": {"opt_in": true, "preferred_events": ["a"]}})
    );
    let merged = replay(json!({"ai_config": {"opt_in": false}, "record_canvas": false}));
    assert_eq!(
        merged,
        json!({"record_canvas": false, "ai_config": {"opt_in": false, "preferred_events": ["a"]}})
    );
    assert_eq!(replay(json!(null)), json!(null));
    patch(&org, json!({"modifiers": {"a": 1}})).json(200);
    assert_eq!(patch(&org, json!({"modifiers": {"b": 2}})).json(200)["modifiers"], json!({"b": 2}));
}

#[test]
fn read_only_and_unknown_fields_are_ignored() {
    let server = Server::start();
    let org = server.org();
    let mut before = org.owner.get(&org.project_at("")).json(200);
    let body = json!({
        "id": 7, "uuid": "x", "organization": "x", "api_token": "phc_mine", "ingested_event": true,
        "created_at": "x", "effective_membership_level": 1, "has_group_types": true, "default_modifiers": 1,
        "live_events_token": "x", "nonsense": {"a": [1]},
    });
    let mut after = patch(&org, body).json(200);
    for shown in [&mut before, &mut after] {
        shown["updated_at"].take();
        shown["live_events_token"].take();
    }
    assert_eq!(after, before);
}

#[test]
fn settings_of_newer_clients_are_kept_and_given_back() {
    let server = Server::start();
    let org = server.org();
    let path = format!("/api/environments/{}/", org.project);
    let config = json!({"theme": "dark", "list": [1, 2]});
    org.owner.patch(&path, json!({"survey_config": config, "capture_dead_clicks": true})).json(200);
    org.owner.patch(&path, json!({"name": "N"})).json(200);
    let shown = org.owner.get(&path).json(200);
    assert_eq!((&shown["survey_config"], &shown["capture_dead_clicks"]), (&config, &json!(true)));
}

#[test]
fn a_private_project_is_seen_by_admins_and_owners_only() {
    let server = Server::start();
    let org = server.org();
    let (member, admin) = (org.member(&server), org.admin(&server));
    let refused = "Your organization access level is insufficient to configure project access restrictions.";
    for value in [true, false] {
        member.patch(&org.project_at(""), json!({"access_control": value})).denied(refused);
    }
    admin.patch(&org.project_at(""), json!({"access_control": true})).json(200);
    assert_eq!(admin.get(&org.project_at("")).json(200)["effective_membership_level"], 8);
    assert_eq!(member.get(&org.at("projects/")).json(200)["count"], 0);
    assert_eq!(member.get("/api/projects/").json(200)["count"], 0);
    member.get(&org.project_at("")).not_found();
    member.patch(&org.project_at(""), json!({"name": "X"})).not_found();
    member.get(&org.project_at("activity/")).not_found();
    member.get("/api/projects/@current/").denied(INSUFFICIENT);
    let opened = org.owner.patch(&org.project_at(""), json!({"access_control": false}));
    opened.json(200);
    assert_eq!(member.get(&org.project_at("")).json(200)["effective_membership_level"], 1);
}

#[test]
fn a_reset_makes_a_new_token_and_the_log_shows_neither() {
    let server = Server::start();
    let org = server.org();
    let member = org.member(&server);
    let before = org.owner.get(&org.project_at("")).json(200);
    member.patch(&org.project_at("reset_token/"), json!({})).denied(INSUFFICIENT);
    let after = org
        .owner
        .patch(&org.project_at("reset_token/"), json!({"api_token": "phc_mine", "name": "X"}))
        .json(200);
    assert_ne!(after["api_token"], before["api_token"]);
    assert!(text(&after["api_token"]).starts_with("phc_"));
    assert_eq!(after["name"], "Default project");
    assert_eq!(org.owner.get(&org.project_at("")).json(200)["api_token"], after["api_token"]);
    let entry = org.owner.get(&org.project_at("activity/")).results()[0].clone();
    assert_eq!(entry["activity"], "updated");
    let change =
        json!({"type": "Team", "action": "changed", "field": "api_token", "before": null, "after": null});
    assert_eq!(entry["detail"]["changes"], json!([change]));
}

#[test]
fn the_log_tells_who_changed_what_newest_first() {
    let server = Server::start();
    let org = server.org();
    let made = create(&org, json!({"name": "P"}));
    let path = org.at(&format!("projects/{}/", made["id"]));
    let member = org.member(&server);
    server.pass(Duration::from_secs(1));
    member.patch(&path, json!({"timezone": "Europe/Lisbon", "name": "P"})).json(200);
    member.patch(&path, json!({"timezone": "Europe/Lisbon"})).json(200);
    org.owner.patch(&path, json!({"surveys_opt_in": true})).json(200);
    org.owner.patch(&path, json!({"surveys_opt_in": null})).json(200);
    let page = org.owner.get(&format!("{path}activity/")).json(200);
    assert_eq!(page["total_count"], 4, "a change that changes nothing is not logged");
    let logged: Vec<(&str, Value)> = page["results"]
        .as_array()
        .expect("entries")
        .iter()
        .map(|entry| (entry["activity"].as_str().expect("text"), entry["detail"]["changes"].clone()))
        .collect();
    let change = |action: &str, field: &str, before: Value, after: Value| json!([{"type": "Team", "action": action, "field": field, "before": before, "after": after}]);
    assert_eq!(
        logged,
        [
            ("updated", change("deleted", "surveys_opt_in", json!(true), json!(null))),
            ("updated", change("created", "surveys_opt_in", json!(null), json!(true))),
            ("updated", change("changed", "timezone", json!("UTC"), json!("Europe/Lisbon"))),
            ("created", json!(null)),
        ]
    );
    let mut entry = page["results"][2].clone();
    assert!(entry["created_at"].take().is_string());
    entry["detail"]["changes"].take();
    let entry_id = entry.as_object_mut().and_then(|entry| entry.remove("id"));
    assert!(entry_id.is_some());
    assert_eq!(
        entry,
        json!({
            "user": {"first_name": "Sam", "email": member.email},
            "activity": "updated",
            "scope": "Team",
            "item_id": made["id"].to_string(),
            "detail": {"changes": null, "context": null, "name": "P", "short_id": null, "trigger": null, "type": null},
            "created_at": null,
        })
    );
}

#[test]
fn the_log_comes_in_pages_from_one() {
    let server = Server::start();
    let org = server.org();
    for number in 0..12 {
        patch(&org, json!({"name": format!("P{number}")})).json(200);
    }
    let path = org.project_at("activity/");
    let page = |query: &str| org.owner.get(&format!("{path}{query}")).json(200);
    let name = |page: &Value, place: usize| page["results"][place]["detail"]["name"].clone();
    let first = page("");
    assert_eq!((first["results"].as_array().map(Vec::len), &first["total_count"]), (Some(10), &json!(12)));
    assert_eq!(name(&first, 0), "P11");
    assert_eq!(first["previous"], json!(null));
    let next = text(&first["next"]);
    assert_eq!(next, org.owner.url(&format!("{path}?limit=10&page=2")));
    let second = org.owner.get(next.split_once(&org.owner.url("")).expect("our own address").1).json(200);
    assert_eq!((name(&second, 1), &second["next"]), (json!("P0"), &json!(null)));
    assert_eq!(second["previous"], json!(org.owner.url(&format!("{path}?limit=10&page=1"))));
    assert_eq!(page("?limit=5&page=3")["results"].as_array().map(Vec::len), Some(2));
    assert_eq!(page("?page=9")["results"], json!([]));
    for (attr, value) in
        [("limit", "abc"), ("limit", "0"), ("limit", "-1"), ("page", "abc"), ("page", "0"), ("page", "-3")]
    {
        let refused = org.owner.get(&format!("{path}?{attr}={value}"));
        refused.invalid(attr, "invalid_input", "A whole number from 1 on is required.");
    }
}

#[test]
fn the_default_project_of_a_sign_up_has_no_history() {
    let server = Server::start();
    let org = server.org();
    let empty = json!({"results": [], "next": null, "previous": null, "total_count": 0});
    assert_eq!(org.owner.get(&org.project_at("activity/")).json(200), empty);
}

#[test]
fn no_demo_data_is_ever_being_made() {
    let server = Server::start();
    let org = server.org();
    let shown = org.member(&server).get(&org.project_at("is_generating_demo_data/")).json(200);
    assert_eq!(shown, json!({"is_generating_demo_data": false}));
}

#[test]
fn whoever_stood_in_a_deleted_project_falls_to_the_first_one() {
    let server = Server::start();
    let org = server.org();
    let made = create(&org, json!({"name": "P"}));
    assert_eq!(org.owner.me()["team"]["id"], made["id"]);
    let path = org.at(&format!("projects/{}/", made["id"]));
    org.owner.delete(&path).no_content();
    org.owner.get(&path).not_found();
    org.owner.get(&format!("{path}activity/")).not_found();
    assert_eq!(org.owner.me()["team"]["id"], json!(org.project));
    org.owner.delete(&org.project_at("")).no_content();
    assert_eq!(org.owner.me()["team"], json!(null));
    assert_eq!(org.owner.get(&org.at("")).json(200)["teams"], json!([]));
    let again = create(&org, json!({}));
    assert!(again["id"].as_u64() > made["id"].as_u64(), "numbers are never used twice");
}

#[test]
fn the_live_events_token_is_a_signed_claim_for_a_week() {
    use base64::Engine;
    let server = Server::start();
    let org = server.org();
    let shown = org.owner.get(&org.project_at("")).json(200);
    let token = text(&shown["live_events_token"]);
    let parts: Vec<&str> = token.split('.').collect();
    assert_eq!(parts.len(), 3);
    let decode = |part: &str| -> Value {
        let bytes = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(part).expect("base64");
        serde_json::from_slice(&bytes).expect("JSON")
    };
    assert_eq!(decode(parts[0]), json!({"alg": "HS256", "typ": "JWT"}));
    let claims = decode(parts[1]);
    assert_eq!((&claims["team_id"], &claims["api_token"]), (&shown["id"], &shown["api_token"]));
    assert_eq!(claims["aud"], "posthog:livestream");
    let left = claims["exp"].as_i64().expect("a time") - server.app.clock.now().unix_seconds();
    assert!((7 * 24 * 3600 - 60..=7 * 24 * 3600).contains(&left), "{left}");
}

#[test]
fn the_webhook_is_shown_to_those_who_may_change_it_and_never_in_the_log() {
    let server = Server::start();
    let org = server.org();
    let hooks = ["https://hooks.example/first-secret", "https://hooks.example/second-secret"];
    let writer = org.owner.key(&["project:write"]);
    let change = |value: Value| writer.patch(&org.project_at(""), json!({"slack_incoming_webhook": value}));
    for hook in hooks {
        assert_eq!(change(json!(hook)).json(200)["slack_incoming_webhook"], hook);
    }
    let id = org.project_at("").trim_end_matches('/').rsplit('/').next().unwrap().to_owned();
    let addresses =
        [org.project_at(""), format!("/api/environments/{id}/"), org.at(&format!("projects/{id}/"))];
    let member = org.member(&server);
    for path in &addresses {
        for person in [&org.owner, &member, &writer, &org.owner.key(&["*"]), &member.key(&["project:write"])]
        {
            assert_eq!(person.get(path).json(200)["slack_incoming_webhook"], hooks[1]);
        }
        for scopes in [&["project:read"][..], &["project:read", "plugin:write"]] {
            let shown = org.owner.key(scopes).get(path).json(200);
            assert_eq!(shown["slack_incoming_webhook"], json!(null), "{scopes:?}");
            assert_eq!(shown["name"], "Default project");
        }
    }
    change(json!(null)).json(200);
    change(json!(null)).json(200);
    let log = org.owner.get(&org.project_at("activity/"));
    assert!(!log.text().contains("secret"), "{}", log.text());
    let logged: Vec<Value> = log.json(200)["results"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| entry["detail"]["changes"].clone())
        .collect();
    let change = |action: &str| json!([{"type": "Team", "action": action, "field": "slack_incoming_webhook", "before": null, "after": null}]);
    assert_eq!(logged, [change("deleted"), change("changed"), change("created")]);
}

#[test]
fn a_project_has_no_environments_but_itself() {
    let server = Server::start();
    let org = server.org();
    let all = format!("/api/projects/{}/environments/", org.project);
    let one = format!("{all}{}/", org.project);
    let refusal = "A project has no environments besides itself.";
    for (method, path) in
        [("GET", &all), ("POST", &all), ("GET", &one), ("PUT", &one), ("PATCH", &one), ("DELETE", &one)]
    {
        for caller in [&org.owner, &org.member(&server), &org.owner.key(&["project:write"])] {
            caller.call(method, path, &json!({"name": "E"})).denied(refusal);
        }
        server.anyone().call(method, path, &json!({})).unauthenticated();
        assert_eq!(server.stranger().call(method, path, &json!({})).status, 404);
        let other = path.replace("/api/projects/", "/api/projects/9");
        assert_eq!(org.owner.call(method, &other, &json!({})).status, 404);
    }
    org.owner.get(&format!("{all}nope/")).not_found();
    org.owner.get(&format!("/api/environments/{}/", org.project)).json(200);
}
