//! A server for which one web server on loopback plays GitHub, GitLab, npm and the public list.

use orgd::config::Config;
use serde_json::{Value, json};

use super::web::{Page, Web};
use super::{Answer, Org, Server};

pub const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";
/// The web site of npm, whose addresses people paste.
pub const NPM_SITE: &str = concat!("https://www.npm", "js.com");

pub struct Mirror {
    pub web: Web,
    pub server: Server,
    pub org: Org,
}

impl Mirror {
    pub fn start() -> Mirror {
        Mirror::with(|_| {})
    }

    pub fn with(change: impl FnOnce(&mut Config)) -> Mirror {
        let web = Web::start();
        let server = Server::with(|config| {
            point(config, &web);
            change(config);
        });
        let org = server.org();
        Mirror { web, server, org }
    }

    /// Puts what GitHub says of `u/r`: its newest commit, and that commit's archive.
    pub fn put_commit(&self, commit: &str, archive: Vec<u8>) {
        self.web.put(
            "/api/repos/u/r/commits?sha=&path=",
            Page::Body(json!([{"sha": commit}]).to_string().into()),
        );
        self.put_archive(commit, Page::Body(archive));
    }

    /// Puts the archive of one version of `u/r`.
    pub fn put_archive(&self, tag: &str, page: Page) {
        self.web.put(&format!("/github/u/r/archive/{tag}.zip"), page);
    }

    pub fn install(&self, url: &str) -> Answer {
        self.create(json!({"url": url}))
    }

    pub fn create(&self, body: Value) -> Answer {
        self.org.owner.post(&self.org.at("plugins/"), body)
    }

    pub fn plugin(&self, id: &Value) -> Value {
        self.org.owner.get(&self.at(id, "")).json(200)
    }

    pub fn source(&self, id: &Value) -> Value {
        self.org.owner.get(&self.at(id, "source/")).json(200)
    }

    pub fn at(&self, id: &Value, tail: &str) -> String {
        self.org.at(&format!("plugins/{id}/{tail}"))
    }

    /// Nothing was stored, and nothing logged.
    #[track_caller]
    pub fn is_empty(&self) {
        assert!(self.org.owner.get(&self.org.at("plugins/")).results().is_empty());
        assert_eq!(self.org.owner.get(&self.org.at("plugins/activity/")).json(200)["total_count"], 0);
    }
}

/// Makes the web server all places that plugins come from.
pub fn point(config: &mut Config, web: &Web) {
    let at = |path: &str| format!("{}/{path}", web.url()).parse().expect("an address");
    config.plugins.github_url = at("github");
    config.plugins.github_api_url = at("api/");
    config.plugins.gitlab_url = at("gitlab");
    config.plugins.npm_registry_url = Some(at("npm"));
    config.plugins.plugin_repository_url = format!("{}/list.json", web.url());
}
