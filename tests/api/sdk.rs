//! What SDKs call besides capture: constant answers, which pages of any site may read.

use serde_json::{Value, json};
use ureq::http::Method;

use crate::support::exports::token;
use crate::support::{Answer, Server, text};

const ORIGIN: (&str, &str) = ("origin", "https://shop.example");

fn readable(answer: &Answer) {
    assert_eq!(answer.header("access-control-allow-origin"), "https://shop.example");
    assert_eq!(answer.header("access-control-allow-credentials"), "true");
}

#[test]
fn there_are_no_flags_for_any_token_in_any_version() {
    let server = Server::start();
    for path in ["/flags/?v=4", "/flags?v=2&compression=base64", "/decide/?v=3", "/decide/"] {
        for body in ["{\"token\": \"phc_x\", \"distinct_id\": \"d\"}", "data=e30%3D", "", "\u{1f}nonsense"] {
            let answer = server.anyone().send(Method::POST, path, body, &[ORIGIN]);
            readable(&answer);
            let flags = answer.json(200);
            for name in ["flags", "featureFlags", "featureFlagPayloads"] {
                assert_eq!(flags[name], json!({}), "{path}");
            }
            assert_eq!(flags["errorsWhileComputingFlags"], false);
            assert!(flags["requestId"].as_str().is_some_and(|id| id.len() == 36));
            assert_eq!(flags["sessionRecording"] == false, path.starts_with("/decide"), "{path}");
        }
        assert_eq!(server.anyone().get(path).json(200)["flags"], json!({}));
    }
    let config = server.anyone().post("/flags/?v=2&config=true", json!({})).json(200);
    assert_eq!(config["supportedCompression"], json!(["gzip-js"]));
}

#[test]
fn a_page_learns_its_configuration_as_json_and_as_a_script() {
    let server = Server::start();
    let org = server.org();
    let token = token(&org);
    let path = format!("/array/{token}/config");
    let answer = server.anyone().send(Method::GET, &path, "", &[ORIGIN]);
    readable(&answer);
    assert_eq!(answer.header("cache-control"), "public, max-age=300");
    let config = answer.json(200);
    for (name, value) in [
        ("token", json!(token)),
        ("hasFeatureFlags", json!(false)),
        ("supportedCompression", json!(["gzip-js"])),
        ("sessionRecording", json!(false)),
        ("surveys", json!(false)),
        ("heatmaps", json!(false)),
        ("siteApps", json!([])),
        ("autocapture_opt_out", json!(false)),
        ("defaultIdentifiedOnly", json!(true)),
    ] {
        assert_eq!(config[name], value, "{name}");
    }
    org.owner.patch(&org.project_at(""), json!({"autocapture_opt_out": true})).json(200);
    assert_eq!(server.anyone().get(&path).json(200)["autocapture_opt_out"], true);
    let script = server.anyone().get(&format!("/array/{token}/config.js"));
    assert_eq!(
        (script.status, script.header("content-type").as_str()),
        (200, "application/javascript; charset=utf-8")
    );
    assert!(script.text().contains(&format!("all[\"{token}\"] = {{config: {{\"token\":\"{token}\"")));
    // Whether there is such a project is not said; what could end the script is no token.
    server.anyone().get("/array/phc_nosuch/config").json(200);
    for token in ["a%22b", "%3C%2Fscript%3E", "a.b", &"x".repeat(65)] {
        for tail in ["config", "config.js"] {
            assert_eq!(server.anyone().get(&format!("/array/{token}/{tail}")).status, 404, "{token}");
        }
    }
}

#[test]
fn definitions_are_for_keys_with_the_scope_and_are_sent_once() {
    let server = Server::start();
    let org = server.org();
    let key = org.owner.key(&["feature_flag:read"]);
    for path in [
        "/flags/definitions?token=phc_x&send_cohorts",
        "/api/feature_flag/local_evaluation/?token=phc_x&send_cohorts",
    ] {
        let answer = key.send(Method::GET, path, "", &[ORIGIN]);
        readable(&answer);
        assert_eq!(answer.json(200), json!({"flags": [], "group_type_mapping": {}, "cohorts": {}}));
        let tag = answer.header("etag");
        let again = key.send(Method::GET, path, "", &[("if-none-match", tag.as_str())]);
        assert_eq!(
            (again.status, again.header("etag").as_str(), again.text().as_str()),
            (304, tag.as_str(), "")
        );
        key.send(Method::GET, path, "", &[("if-none-match", "\"other\"")]).json(200);
        let refused = server.anyone().send(Method::GET, path, "", &[ORIGIN]);
        readable(&refused);
        assert_eq!(refused.json(401)["code"], "not_authenticated");
        assert_eq!(server.anyone().holding("phx_wrong").get(path).json(401)["code"], "authentication_failed");
        org.owner
            .key(&["project:read"])
            .get(path)
            .denied("API key missing required scope 'feature_flag:read'");
        org.owner.key(&["feature_flag:write"]).get(path).json(200);
    }
    let keys = org.owner.get("/api/personal_api_keys/").json(200);
    let used = |key: &Value| key["scopes"] == json!(["feature_flag:read"]) && key["last_used_at"].is_string();
    assert!(keys.as_array().expect("keys").iter().any(used), "{keys}");
}

#[test]
fn definitions_are_for_secret_tokens_too_until_they_end() {
    let server = Server::start();
    let org = server.org();
    let rotate = || {
        let shown = org.owner.patch(&org.project_at("rotate_secret_token/"), json!({})).json(200);
        server.anyone().holding(&text(&shown["secret_api_token"]))
    };
    let first = rotate();
    for path in ["/flags/definitions?token=phc_x", "/api/feature_flag/local_evaluation/?token=phc_x"] {
        let answer = first.get(path);
        assert_eq!(answer.json(200)["flags"], json!([]));
        let tag = answer.header("etag");
        assert_eq!(first.send(Method::GET, path, "", &[("if-none-match", tag.as_str())]).status, 304);
        // It opens nothing else, and nothing else of the project opens this.
        for other in [org.project_at(""), "/api/users/@me/".into(), org.at("members/")] {
            first.get(&other).json(401);
        }
        server.anyone().holding(&token(&org)).get(path).json(401);
    }
    let path = "/flags/definitions?token=phc_x";
    let second = rotate();
    for holder in [&first, &second] {
        holder.get(path).json(200);
    }
    org.owner.patch(&org.project_at("delete_secret_token_backup/"), json!({})).json(200);
    assert_eq!(first.get(path).json(401)["code"], "authentication_failed");
    second.get(path).json(200);
    org.owner.delete(&org.project_at("")).no_content();
    assert_eq!(second.get(path).json(401)["code"], "authentication_failed");
}

#[test]
fn what_this_server_does_not_have_is_an_empty_list() {
    let server = Server::start();
    for (path, name) in [
        ("/api/surveys/?token=phc_x", "surveys"),
        ("/api/early_access_features/?token=phc_x", "earlyAccessFeatures"),
        ("/api/web_experiments/?token=phc_x", "experiments"),
        ("/api/product_tours/?token=phc_x", "product_tours"),
    ] {
        let answer = server.anyone().send(Method::GET, path, "", &[ORIGIN]);
        readable(&answer);
        assert_eq!(answer.json(200), json!({name: []}));
    }
    let remote = "/api/projects/@current/feature_flags/key/remote_config/?token=phc_x";
    assert_eq!(server.anyone().get(remote).status, 404);
}

#[test]
fn a_page_may_ask_with_any_header() {
    let server = Server::start();
    let wanted = "content-type,posthog-sdk-info,traceparent,baggage";
    let asks = [ORIGIN, ("access-control-request-method", "GET"), ("access-control-request-headers", wanted)];
    for path in [
        "/flags/",
        "/decide/",
        "/array/phc_x/config",
        "/api/surveys/",
        "/flags/definitions",
        "/static/array.js",
        "/s/",
        "/e/",
    ] {
        let answer = server.anyone().send(Method::OPTIONS, path, "", &asks);
        readable(&answer);
        assert_eq!(
            (answer.status, answer.header("access-control-allow-headers").as_str()),
            (200, wanted),
            "{path}"
        );
        assert_eq!(answer.header("access-control-allow-methods"), "GET, OPTIONS, POST");
    }
}

#[test]
fn the_library_comes_from_the_operators_folder_or_says_why_not() {
    let server = Server::start();
    for path in ["/static/array.js", "/static/1.2.3/array.js", "/array/phc_x/array.js"] {
        let answer = server.anyone().send(Method::GET, path, "", &[ORIGIN]);
        readable(&answer);
        assert_eq!(
            (answer.status, answer.header("content-type").as_str()),
            (404, "application/javascript; charset=utf-8")
        );
        assert!(answer.text().starts_with("/*") && answer.text().ends_with("*/\n"));
    }
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::create_dir(folder.path().join("scripts")).expect("a folder");
    for (name, text) in
        [("scripts/array.js", "library()"), ("scripts/notes.txt", "notes"), ("secret.js", "secret")]
    {
        std::fs::write(folder.path().join(name), text).expect("a file");
    }
    let scripts = folder.path().join("scripts");
    let server = Server::with(|config| config.sdk_folder = Some(scripts));
    for path in ["/static/array.js", "/static/1.2.3/array.js", "/array/phc_x/array.js"] {
        let answer = server.anyone().get(path);
        assert_eq!((answer.status, answer.text().as_str()), (200, "library()"));
        assert_eq!(answer.header("cache-control"), "public, max-age=300");
    }
    for path in [
        "/static/notes.txt",
        "/static/other.js",
        "/static/..%2Fsecret.js",
        "/static/%2e%2e/secret.js",
        "/static/.js",
    ] {
        assert_eq!(server.anyone().get(path).status, 404, "{path}");
    }
}
