//! Where plugins may be installed from.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use url::Url;

const GITHUB: &str = "https://github.com";
const GITHUB_API: &str = "https://api.github.com";
const GITLAB: &str = "https://gitlab.com";
const REPOSITORY: &str =
    "https://raw.githubusercontent.com/PostHog/integrations-repository/main/plugins.json";

/// Settings of the plugin catalogue.
#[derive(Clone, Args)]
#[command(next_help_heading = "Plugins")]
pub struct Plugins {
    /// Where GitHub's archives are downloaded: GitHub itself, or a mirror of it.
    #[arg(long, env = "ORGD_GITHUB_URL", default_value = GITHUB, value_name = "URL", value_parser = base)]
    pub github_url: Url,

    /// GitHub's API, which knows the latest commit.
    #[arg(long, env = "ORGD_GITHUB_API_URL", default_value = GITHUB_API, value_name = "URL", value_parser = base)]
    pub github_api_url: Url,

    /// GitLab, for its API and its archives.
    #[arg(long, env = "ORGD_GITLAB_URL", default_value = GITLAB, value_name = "URL", value_parser = base)]
    pub gitlab_url: Url,

    /// The npm registry; without one, npm packages can't be installed.
    #[arg(long, env = "ORGD_NPM_REGISTRY_URL", value_name = "URL", value_parser = base)]
    pub npm_registry_url: Option<Url>,

    /// The list of well-known plugins; `none` for none.
    #[arg(long, env = "ORGD_PLUGIN_REPOSITORY_URL", default_value = REPOSITORY, value_name = "URL", value_parser = web_or_none)]
    pub plugin_repository_url: String,

    /// Plugins may be installed from directories below this one; without it, from none.
    #[arg(long, env = "ORGD_PLUGIN_LOCAL_DIR", value_name = "DIRECTORY")]
    pub plugin_local_dir: Option<PathBuf>,

    /// Seconds for one request to another server, from connecting to the last byte.
    #[arg(long, env = "ORGD_PLUGIN_FETCH_TIMEOUT", default_value_t = 10, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=600))]
    pub plugin_fetch_timeout: u64,

    /// What new organizations may do with plugins: 0 nothing, 3 look, 6 install, 9 install for everybody.
    #[arg(long, env = "ORGD_PLUGINS_ACCESS_LEVEL", default_value = "9", value_name = "LEVEL", value_parser = access_level)]
    pub plugins_access_level: u8,

    /// The token for GitHub where the plugin's address has none.
    #[arg(skip)]
    pub github_token: Option<String>,

    /// The same for GitLab.
    #[arg(skip)]
    pub gitlab_token: Option<String>,

    /// The same for the npm registry.
    #[arg(skip)]
    pub npm_token: Option<String>,
}

impl Plugins {
    /// The tokens come from the environment or files only: a flag would show them in the list of processes.
    pub(super) fn with_secrets(mut self) -> Result<Plugins, String> {
        self.github_token = super::secret("ORGD_GITHUB_TOKEN")?;
        self.gitlab_token = super::secret("ORGD_GITLAB_TOKEN")?;
        self.npm_token = super::secret("ORGD_NPM_TOKEN")?;
        Ok(self)
    }

    /// The time of one request to another server.
    pub fn fetch_time(&self) -> Duration {
        Duration::from_secs(self.plugin_fetch_timeout)
    }

    /// The list of well-known plugins, if there is to be one.
    pub fn repository(&self) -> Option<Url> {
        Url::parse(&self.plugin_repository_url).ok()
    }
}

/// Whether the operator has set this address. The well-known sites are checked like everybody's.
pub fn is_of_operator(url: &Url) -> bool {
    ![GITHUB, GITHUB_API, GITLAB, REPOSITORY].iter().any(|site| Url::parse(site).as_ref() == Ok(url))
}

fn web(text: &str) -> Result<Url, String> {
    let url = Url::parse(text.trim()).map_err(|cause| cause.to_string())?;
    if matches!(url.scheme(), "http" | "https") {
        return Ok(url);
    }
    Err("the address of a web server is needed, as https://example.com/path".into())
}

/// What paths are appended to.
fn base(text: &str) -> Result<Url, String> {
    let url = web(text)?;
    if url.query().is_some() || url.fragment().is_some() {
        return Err("an address without ? and # is needed".into());
    }
    Ok(url)
}

fn web_or_none(text: &str) -> Result<String, String> {
    if text.trim().is_empty() || text.eq_ignore_ascii_case("none") {
        Ok(String::new())
    } else {
        web(text).map(String::from)
    }
}

fn access_level(text: &str) -> Result<u8, String> {
    text.parse()
        .ok()
        .filter(|level| [0, 3, 6, 9].contains(level))
        .ok_or_else(|| "one of 0, 3, 6 and 9 is needed".into())
}
