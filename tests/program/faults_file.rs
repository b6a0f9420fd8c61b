//! A programme of faults that a server begins with.

use std::fs;

use serde_json::json;

use crate::support::{Serving, agent, ask, orgd, run};

#[test]
fn a_server_begins_with_the_rules_of_a_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("faults.json");
    let rule = json!({"match": {"path": "/api/projects/"}, "times": 1, "answer": {"status": 503}});
    fs::write(&file, json!({"faults": [rule]}).to_string()).expect("a file");
    let path = file.to_str().expect("text");
    let server = Serving::of(&mut orgd(&["serve", "--test", "--log-level", "info", "--faults", path]));
    let get = |path: &str| ask(&agent(), "GET", &format!("{}{path}", server.base), None, &json!({}));
    let status = |path: &str| get(path).expect("an answer").0;
    assert_eq!((status("/api/projects/"), status("/api/projects/")), (503, 401));
    let (_, shown) = get("/_orgd/faults/").expect("an answer");
    assert_eq!(shown["faults"][0]["fired"], 1);
}

#[test]
fn a_file_that_holds_no_rules_is_refused_before_anything_is_served() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("faults.json");
    let path = file.to_str().expect("text");
    let typo = json!({"faults": [{"match": {"path": "/api/project/"}, "reset": true}]});
    for (text, said) in [
        (None, "No such file"),
        (Some("{".to_owned()), "EOF"),
        (Some(json!({}).to_string()), "An object with the list `faults` is wanted."),
        (
            Some(typo.to_string()),
            "faults.0.path: No route has the path /api/project/. The nearest are /api/projects/",
        ),
    ] {
        if let Some(text) = text {
            fs::write(&file, text).expect("a file");
        }
        let output = run(&["serve", "--test", "--faults", path]);
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{errors}");
        assert!(errors.contains(&format!("--faults {path}: ")) && errors.contains(said), "{errors}");
        assert!(output.stdout.is_empty());
    }
    let ordinary =
        run(&["serve", "--data", folder.path().join("a.redb").to_str().expect("text"), "--faults", path]);
    let errors = String::from_utf8_lossy(&ordinary.stderr).into_owned();
    assert!(errors.contains("--faults needs --dev or --test"), "{errors}");
}
