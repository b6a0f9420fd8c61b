//! Health, and what the server says of itself.

use serde_json::json;

use crate::support::Server;

#[test]
fn the_health_paths_answer_anybody() {
    let server = Server::start();
    let anyone = server.anyone();
    let health = anyone.get("/_health");
    assert_eq!((health.status, health.text().as_str()), (200, "ok"));
    assert!(health.header("content-type").starts_with("text/plain"));
    assert_eq!(anyone.get("/_livez").json(200), json!({"http": true}));
    assert_eq!(anyone.get("/_readyz").json(200), json!({"http": true, "database": true}));
    assert_eq!(anyone.get("/_readyz?exclude=database&exclude=x").json(200), json!({"http": true}));
    for role in ["events", "web", "worker", "decide"] {
        anyone.get(&format!("/_readyz?role={role}")).json(200);
    }
    assert_eq!(anyone.get("/_readyz?role=x").json(400), json!({"error": "InvalidRole"}));
    anyone.holding("wrong").get("/_readyz").json(200);
}

#[test]
fn the_first_page_says_what_this_is_and_where_everything_is() {
    let server = Server::start();
    let anyone = server.anyone();
    let page = anyone.get("/");
    assert_eq!((page.status, page.header("content-type").as_str()), (200, "text/html; charset=utf-8"));
    assert!(page.header("content-security-policy").contains("default-src 'none'"));
    let text = page.text();
    assert!(text.contains("orgd") && text.contains("/api/schema/redoc/"), "{text}");
    assert!(!text.contains("<script") && text.len() < 4096, "{text}");
    for link in text.split("href=\"").skip(1).filter_map(|rest| rest.split_once('"')) {
        assert_eq!(anyone.get(link.0).status, 200, "{}", link.0);
    }
}

#[test]
fn the_preflight_tells_more_to_those_who_are_logged_in() {
    let server = Server::with(|config| config.open_signup = false);
    let fresh = server.anyone().get("/_preflight").json(200);
    assert_eq!((&fresh["initiated"], &fresh["can_create_org"]), (&json!(false), &json!(true)));
    assert_eq!(
        (&fresh["realm"], &fresh["cloud"], &fresh["region"]),
        (&json!("hosted-clickhouse"), &json!(false), &json!(null))
    );
    assert_eq!(fresh["email_service_available"], json!(false));
    for component in ["django", "redis", "plugins", "celery", "clickhouse", "kafka", "db", "object_storage"] {
        assert_eq!(fresh[component], json!(true), "{component}");
    }
    assert!(fresh.get("available_timezones").is_none());
    let owner = server.org().owner;
    let seen = owner.get("/_preflight/").json(200);
    assert_eq!((&seen["initiated"], &seen["can_create_org"]), (&json!(true), &json!(false)));
    assert_eq!(seen["available_timezones"]["Asia/Tokyo"], json!(9.0));
    assert_eq!(seen["site_url"], json!(owner.url("")));
}
