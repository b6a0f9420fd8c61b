//! Plugins as pages: the list, an installation, one plugin with its code, its removal.

use serde_json::json;

use super::{Browses, at, hides, refused, shows};
use crate::support::{Server, text};

#[test]
fn a_plugin_is_shown_with_its_code_and_removed() {
    let server = Server::start();
    let org = server.org();
    shows(&org.owner.page(&at(&org, "plugins")), &["No plugins yet", "Install plugin"]);
    let made =
        org.owner.post(&org.at("plugins/"), json!({"plugin_type": "source", "name": "Hello <b>"})).json(201);
    let code = json!({"index.ts": "export function processEvent(event) { return '<b>' }"});
    org.owner.patch(&org.at(&format!("plugins/{}/update_source/", made["id"])), code);
    shows(&org.owner.page(&at(&org, "plugins")), &["1 plugin", "Hello &lt;b&gt;", "Source that was sent"]);
    let path = at(&org, &format!("plugins/{}", made["id"]));
    let page = org.owner.page(&path);
    shows(&page, &["Hello &lt;b&gt;", "Source", "Remove plugin"]);
    hides(&page, &["<b>"]);
    let remove = format!("{path}/remove");
    shows(&org.owner.page(&remove), &["Remove Hello &lt;b&gt;?", "What is lost"]);
    assert_eq!(org.owner.submit_without_token(&remove, &[]).status, 403);
    assert_eq!(org.owner.submit(&remove, &[]).status, 303);
    assert!(org.owner.get(&org.at("plugins/")).results().is_empty());
    assert_eq!(org.owner.open(&path).status, 404);
    shows(&org.owner.page(&at(&org, "audit?scopes=Plugin")), &["Plugin uninstalled"]);
}

#[test]
fn an_installation_says_what_is_wrong_with_an_address() {
    let folder = tempfile::tempdir().expect("a folder");
    let plugin = folder.path().join("hello");
    std::fs::create_dir(&plugin).expect("a folder");
    std::fs::write(plugin.join("plugin.json"), r#"{"name": "Hello"}"#).expect("a file");
    std::fs::write(plugin.join("index.js"), "function onEvent() {}").expect("a file");
    let base = folder.path().to_owned();
    let server = Server::with(move |config| config.plugins.plugin_local_dir = Some(base));
    let org = server.org();
    let path = at(&org, "plugins/install");
    shows(&org.owner.page(&path), &["name=\"url\"", "Without a network", "file:my-plugin"]);
    refused(&org.owner.submit(&path, &[("url", "")]), &["This is missing."]);
    refused(
        &org.owner.submit(&path, &[("url", "ftp://<b>")]),
        &["Must be a GitHub", "value=\"ftp://&lt;b&gt;\""],
    );
    refused(&org.owner.submit(&path, &[("url", "file:../x")]), &["value=\"file:../x\""]);
    assert_eq!(org.owner.submit_without_token(&path, &[("url", "file:hello")]).status, 403);
    assert!(org.owner.get(&org.at("plugins/")).results().is_empty());
    let answer = org.owner.submit(&path, &[("url", "file:hello")]);
    assert_eq!(answer.status, 303, "{}", answer.text());
    let made = org.owner.get(&org.at("plugins/")).results().remove(0);
    assert!(answer.header("location").ends_with(&format!("/plugins/{}", made["id"])));
    shows(&org.owner.page(&at(&org, &format!("plugins/{}", made["id"]))), &["Hello", "onEvent", "index.ts"]);
    refused(&org.owner.submit(&path, &[("url", "file:hello")]), &["already installed"]);
    assert_eq!(text(&made["name"]), "Hello");
}

#[test]
fn an_organization_without_plugins_sees_none() {
    let server = Server::with(|config| config.plugins.plugins_access_level = 3);
    let org = server.org();
    hides(&org.owner.page(&at(&org, "plugins")), &["Install plugin"]);
    assert_eq!(org.owner.open(&at(&org, "plugins/install")).status, 403);
    assert_eq!(org.owner.submit(&at(&org, "plugins/install"), &[("url", "file:x")]).status, 403);
    let server = Server::with(|config| config.plugins.plugins_access_level = 0);
    let org = server.org();
    assert_eq!(org.owner.open(&at(&org, "plugins")).status, 403);
    assert_eq!(server.stranger().open(&at(&org, "plugins")).status, 403);
}
