//! What the address of a plugin means: whose it is, which version, and where to ask for both.

use serde_json::Value;
use url::Url;

use crate::config::{Plugins, is_of_operator};

/// The web site of npm, whose addresses people paste; packages come from the operator's registry.
const NPM_SITE: &str = concat!("npm", "js.com");

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Host {
    GitHub { user: String, repository: String },
    GitLab { project: String },
    Npm { package: String },
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Version {
    /// The address names it.
    Fixed(String),
    /// The newest, of this branch or of the default one.
    Latest { branch: Option<String> },
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Location {
    pub(super) host: Host,
    pub(super) version: Version,
    /// The subfolder that counts, without slashes around it.
    pub(super) folder: Option<String>,
    /// What is shown to the host.
    token: Option<String>,
}

/// Where to ask, and what to show there.
pub(super) struct Question {
    pub(super) url: Url,
    pub(super) is_of_operator: bool,
    pub(super) authorization: Option<String>,
}

impl Question {
    /// The base followed by these segments, each percent-encoded as a whole.
    fn below<'a>(
        base: &Url,
        parts: impl IntoIterator<Item = &'a str>,
        authorization: Option<String>,
    ) -> Question {
        let mut url = base.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(parts);
        }
        Question { url, is_of_operator: is_of_operator(base), authorization }
    }
}

impl Location {
    /// Reads an address; `None` where it is none of the three hosts'.
    pub(super) fn parse(url: &str) -> Option<Location> {
        let (address, query) = url.split_once('?').unwrap_or((url, ""));
        let token = form_urlencoded::parse(query.as_bytes())
            .find(|(name, token)| name == "private_token" && !token.is_empty())
            .map(|(_, token)| token.into_owned());
        let address = address.trim_matches('/');
        let rest = address.strip_prefix("https://").or_else(|| address.strip_prefix("http://"))?;
        let (host, path) = rest.strip_prefix("www.").unwrap_or(rest).split_once('/')?;
        let parts: Vec<&str> = path.split('/').collect();
        if !parts.iter().all(|part| is_part(part)) {
            return None;
        }
        let (host, version, folder) = match host {
            "github.com" => github(&parts),
            "gitlab.com" => gitlab(&parts),
            NPM_SITE => npm(&parts),
            _ => None,
        }?;
        let folder = (!folder.is_empty()).then(|| folder.join("/"));
        let is_short = !matches!(&version, Version::Fixed(tag) if !is_tag(tag));
        is_short.then_some(Location { host, version, folder, token })
    }

    /// What messages call the host.
    pub(super) fn host_name(&self) -> &'static str {
        match self.host {
            Host::GitHub { .. } => "github",
            Host::GitLab { .. } => "gitlab",
            Host::Npm { .. } => "npm",
        }
    }

    /// What messages call a version that could not be found out.
    pub(super) fn no_latest(&self) -> String {
        match &self.host {
            Host::GitHub { user, repository } => {
                format!("Could not get latest commit for https://github.com/{user}/{repository}")
            }
            Host::GitLab { project } => {
                format!("Could not get latest commit for https://gitlab.com/{project}")
            }
            Host::Npm { package } => {
                format!("Could not get latest version for: https://www.{NPM_SITE}/package/{package}")
            }
        }
    }

    /// Where the newest version is looked up. `None` where the operator set no npm registry.
    pub(super) fn latest(&self, settings: &Plugins, branch: Option<&str>) -> Option<Question> {
        let bearer = self.token.as_ref().map(|token| format!("Bearer {token}"));
        Some(match &self.host {
            Host::GitHub { user, repository } => {
                let parts = ["repos", user, repository, "commits"];
                let mut question = Question::below(&settings.github_api_url, parts, bearer);
                let folder = self.folder.as_deref().unwrap_or_default();
                let mut query = question.url.query_pairs_mut();
                query.append_pair("sha", branch.unwrap_or_default()).append_pair("path", folder);
                drop(query);
                question
            }
            Host::GitLab { project } => {
                let parts = ["api", "v4", "projects", project, "repository", "commits"];
                Question::below(&settings.gitlab_url, parts, bearer)
            }
            Host::Npm { package } => {
                let parts = package.split('/').chain(["latest"]);
                Question::below(settings.npm_registry_url.as_ref()?, parts, bearer)
            }
        })
    }

    /// The version that an answer names.
    pub(super) fn version_in(&self, answer: &Value) -> Option<String> {
        let version = match self.host {
            Host::GitHub { .. } => answer.get(0)?.get("sha"),
            Host::GitLab { .. } => answer.get(0)?.get("id"),
            Host::Npm { .. } => answer.get("version"),
        };
        version?.as_str().filter(|tag| is_tag(tag)).map(str::to_owned)
    }

    /// Where the archive of a version is. `None` where the operator set no npm registry.
    pub(super) fn archive(&self, settings: &Plugins, tag: &str) -> Option<Question> {
        let token = self.token.as_deref();
        let bearer = token.map(|token| format!("Bearer {token}"));
        Some(match &self.host {
            Host::GitHub { user, repository } => {
                let file = format!("{tag}.zip");
                let parts = [user.as_str(), repository, "archive"].into_iter().chain(file.split('/'));
                Question::below(&settings.github_url, parts, token.map(|token| format!("token {token}")))
            }
            Host::GitLab { project } => {
                let parts = ["api", "v4", "projects", project, "repository", "archive.zip"];
                let mut question = Question::below(&settings.gitlab_url, parts, bearer);
                question.url.query_pairs_mut().append_pair("sha", tag);
                question
            }
            Host::Npm { package } => {
                let name = package.rsplit('/').next().unwrap_or(package);
                let file = format!("{name}-{tag}.tgz");
                let parts = package.split('/').chain(["-", &file]);
                Question::below(settings.npm_registry_url.as_ref()?, parts, bearer)
            }
        })
    }

    /// The same with the operator's token, where the address has none of its own.
    pub(super) fn by_operator(mut self, settings: &Plugins) -> Location {
        let default = match self.host {
            Host::GitHub { .. } => &settings.github_token,
            Host::GitLab { .. } => &settings.gitlab_token,
            Host::Npm { .. } => &settings.npm_token,
        };
        self.token = self.token.or_else(|| default.clone());
        self
    }
}

type Read<'a> = Option<(Host, Version, Vec<&'a str>)>;

fn github<'a>(parts: &[&'a str]) -> Read<'a> {
    let [user, repository, rest @ ..] = parts else { return None };
    if !(is_name(user) && is_name(repository)) {
        return None;
    }
    let (version, folder) = match rest {
        [] => (Version::Latest { branch: None }, &[][..]),
        ["tree", reference, folder @ ..] if is_commit(reference) => (fixed(reference), folder),
        ["tree", branch, folder @ ..] if is_name(branch) => {
            (Version::Latest { branch: Some((*branch).to_owned()) }, folder)
        }
        ["commit", commit, folder @ ..] => (fixed(commit), folder),
        ["releases", "tag", tag @ ..] if !tag.is_empty() => {
            (fixed(&format!("refs/tags/{}", tag.join("/"))), &[][..])
        }
        ["archive", file @ ..] => {
            let file = file.join("/");
            let tag = file.strip_suffix(".zip").or_else(|| file.strip_suffix(".tar.gz"))?;
            (fixed(tag), &[][..])
        }
        _ => return None,
    };
    let host = Host::GitHub { user: (*user).to_owned(), repository: (*repository).to_owned() };
    Some((host, version, folder.to_vec()))
}

fn gitlab<'a>(parts: &[&'a str]) -> Read<'a> {
    let end = parts.iter().position(|part| *part == "-").unwrap_or(parts.len());
    let (project, rest) = parts.split_at(end);
    if project.len() < 2 || !project.iter().all(|part| is_name(part)) {
        return None;
    }
    let (version, folder) = match rest {
        [] => (Version::Latest { branch: None }, &[][..]),
        ["-", "tree", reference, folder @ ..] => (fixed(reference), folder),
        // What follows here is the name of the file to download.
        ["-", "commit" | "archive", reference, ..] => (fixed(reference), &[][..]),
        _ => return None,
    };
    Some((Host::GitLab { project: project.join("/") }, version, folder.to_vec()))
}

fn npm<'a>(parts: &[&'a str]) -> Read<'a> {
    let is_package = |name: &str| {
        !name.is_empty()
            && name
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-".contains(&byte))
    };
    let (package, rest) = match parts {
        ["package", scope, name, rest @ ..]
            if scope.strip_prefix('@').is_some_and(is_package) && is_package(name) =>
        {
            (format!("{scope}/{name}"), rest)
        }
        ["package", name, rest @ ..] if is_package(name) => ((*name).to_owned(), rest),
        _ => return None,
    };
    let version = match rest {
        [] => Version::Latest { branch: None },
        ["v", version] => fixed(version),
        _ => return None,
    };
    Some((Host::Npm { package }, version, Vec::new()))
}

fn fixed(tag: &str) -> Version {
    Version::Fixed(tag.to_owned())
}

fn is_name(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte))
}

/// A segment of an address: nothing that could lead somewhere else.
fn is_part(text: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_graphic() && !b"\\%#?".contains(&byte);
    !text.is_empty() && text != "." && text != ".." && text.bytes().all(is_plain)
}

/// A version that can be stored, shown and put into an address.
fn is_tag(text: &str) -> bool {
    text.len() <= 200 && text.split('/').all(is_part)
}

fn is_commit(text: &str) -> bool {
    text.len() == 40 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

    fn settings() -> Plugins {
        let mut settings = Config::from_env().unwrap().plugins;
        settings.github_url = "http://mirror/github/".parse().unwrap();
        settings.github_api_url = "http://mirror/api".parse().unwrap();
        settings.gitlab_url = "http://mirror".parse().unwrap();
        settings.npm_registry_url = Some("http://mirror/npm/".parse().unwrap());
        settings.gitlab_token = Some("default".into());
        settings
    }

    /// Where the newest version is looked up (or which is named), then where the archive of `T` is.
    fn read(url: &str) -> String {
        let Some(location) = Location::parse(url) else { return "-".into() };
        let settings = settings();
        let version = match &location.version {
            Version::Fixed(tag) => tag.clone(),
            Version::Latest { branch } => {
                location.latest(&settings, branch.as_deref()).unwrap().url.to_string()
            }
        };
        let tag = if let Version::Fixed(tag) = &location.version { tag } else { "T" };
        let archive = location.archive(&settings, tag).unwrap().url;
        format!("{version} {archive} {}", location.folder.unwrap_or_default()).trim().to_owned()
    }

    #[test]
    fn an_address_says_which_version_of_what() {
        let api = "http://mirror/api/repos/u/r/commits";
        let zip = "http://mirror/github/u/r/archive";
        let lab = "http://mirror/api/v4/projects/g%2Fs%2Fp/repository";
        for (url, wanted) in [
            ("https://github.com/u/r", format!("{api}?sha=&path= {zip}/T.zip")),
            ("http://www.github.com/u/r/", format!("{api}?sha=&path= {zip}/T.zip")),
            ("https://github.com/u/r/tree/main", format!("{api}?sha=main&path= {zip}/T.zip")),
            ("https://github.com/u/r/tree/main/a/b", format!("{api}?sha=main&path=a%2Fb {zip}/T.zip a/b")),
            (&format!("https://github.com/u/r/tree/{COMMIT}/a"), format!("{COMMIT} {zip}/{COMMIT}.zip a")),
            ("https://github.com/u/r/commit/ABC/a", format!("ABC {zip}/ABC.zip a")),
            ("https://github.com/u/r/releases/tag/v1", format!("refs/tags/v1 {zip}/refs/tags/v1.zip")),
            (
                "https://github.com/u/r/archive/refs/heads/x.tar.gz",
                format!("refs/heads/x {zip}/refs/heads/x.zip"),
            ),
            ("https://github.com/u/r/archive/1.zip", format!("1 {zip}/1.zip")),
            ("https://gitlab.com/g/s/p", format!("{lab}/commits {lab}/archive.zip?sha=T")),
            ("https://gitlab.com/g/s/p/-/tree/main/a", format!("main {lab}/archive.zip?sha=main a")),
            ("https://gitlab.com/g/s/p/-/archive/v1/p-v1.zip", format!("v1 {lab}/archive.zip?sha=v1")),
            ("https://gitlab.com/g/s/p/-/commit/abc", format!("abc {lab}/archive.zip?sha=abc")),
            (
                &format!("https://www.{NPM_SITE}/package/p"),
                "http://mirror/npm/p/latest http://mirror/npm/p/-/p-T.tgz".into(),
            ),
            (
                &format!("https://{NPM_SITE}/package/@s/p"),
                "http://mirror/npm/@s/p/latest http://mirror/npm/@s/p/-/p-T.tgz".into(),
            ),
            (
                &format!("https://{NPM_SITE}/package/p/v/1.0.0-b+c"),
                "1.0.0-b+c http://mirror/npm/p/-/p-1.0.0-b+c.tgz".into(),
            ),
        ] {
            assert_eq!(read(url), wanted, "{url}");
        }
    }

    #[test]
    fn other_addresses_are_refused() {
        for url in [
            "",
            "github.com/u/r",
            "ftp://github.com/u/r",
            "https://example.com/u/r",
            "https://github.com/u",
            "https://github.com/u/r/pulls",
            "https://github.com/u/..",
            "https://github.com/u/r/tree/main/../x",
            "https://github.com/u/r/tree/main/a\\b",
            "https://github.com/u/r/tree/main/%2e%2e",
            "https://github.com/u//r",
            "https://github.com/u/r/archive/x.rar",
            "https://github.com.evil.example/u/r",
            "https://github.com@evil/u/r",
            "https://github.com:8080/u/r",
            "https://gitlab.com/p",
            "https://gitlab.com/g/p/-/issues",
            "https://github.com/u/r/releases/tag",
            "https://github.com/u/r#x",
        ] {
            assert_eq!(read(url), "-", "{url}");
        }
        assert_eq!(read(&format!("https://{NPM_SITE}/package/Upper")), "-");
        assert_eq!(read(&format!("https://{NPM_SITE}/package/@s")), "-");
    }

    #[test]
    fn the_token_of_the_address_comes_before_the_operators_which_has_to_be_given() {
        let settings = settings();
        let sent = |location: Location| {
            let questions = [location.latest(&settings, None), location.archive(&settings, "T")];
            questions.map(|question| question.unwrap().authorization.unwrap_or_default())
        };
        let shown = |url: &str| sent(Location::parse(url).unwrap().by_operator(&settings));
        assert_eq!(shown("https://github.com/u/r?private_token=t"), ["Bearer t", "token t"]);
        assert_eq!(shown("https://github.com/u/r"), ["", ""]);
        assert_eq!(shown("https://gitlab.com/u/r?private_token=t"), ["Bearer t", "Bearer t"]);
        assert_eq!(shown("https://gitlab.com/u/r"), ["Bearer default", "Bearer default"]);
        assert_eq!(sent(Location::parse("https://gitlab.com/u/r").unwrap()), ["", ""]);
    }

    #[test]
    fn a_version_that_could_lead_elsewhere_is_none() {
        let location = Location::parse("https://github.com/u/r").unwrap();
        let answer = |sha: &str| location.version_in(&serde_json::json!([{"sha": sha}]));
        assert_eq!(answer(COMMIT).as_deref(), Some(COMMIT));
        for odd in ["", "../../x", "a b", "a?b", &"a".repeat(201)] {
            assert_eq!(answer(odd), None, "{odd}");
        }
        assert_eq!(location.version_in(&serde_json::json!({})), None);
    }
}
