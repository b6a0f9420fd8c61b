//! How a server says that it is ready: a line of JSON, a file, and variables.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};

use orgd::admin::Demo;
use orgd::app::App;
use orgd::config::ReadyForm;
use orgd::ids::{OrganizationId, ProjectId, UserId};
use orgd::resources::org_file::Seeded;
use serde::Serialize;

use super::CommandResult;
use super::seed::Begun;

/// What others need to use the server.
#[derive(Serialize)]
pub(super) struct Ready {
    event: &'static str,
    version: &'static str,
    pid: u32,
    pub(super) url: String,
    /// Where a development or test server is controlled.
    #[serde(skip_serializing_if = "Option::is_none")]
    control: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) api_key: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    owner: Option<Owner>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) organization_id: Option<OrganizationId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) project: Option<Project>,
    #[serde(skip_serializing_if = "Option::is_none")]
    seed: Option<Seeded>,
}

#[derive(Serialize)]
struct Owner {
    email: String,
    /// `None` where somebody else has chosen it.
    #[serde(skip_serializing_if = "Option::is_none")]
    password: Option<String>,
    id: UserId,
}

#[derive(Serialize)]
pub(super) struct Project {
    pub(super) id: ProjectId,
    pub(super) api_token: String,
}

impl Ready {
    pub(super) fn of(app: &App, scheme: &str, address: SocketAddr, begun: Begun) -> Ready {
        let url = format!("{scheme}://{}", here(address));
        let control = app.test_server.as_ref().map(|_| format!("{url}/_orgd/"));
        let ready = Ready {
            event: "ready",
            version: env!("CARGO_PKG_VERSION"),
            pid: std::process::id(),
            url,
            control,
            api_key: None,
            owner: None,
            organization_id: None,
            project: None,
            seed: begun.seeded,
        };
        let Some(Demo { made, password }) = begun.demo else { return ready };
        Ready {
            api_key: Some(made.api_key),
            owner: Some(Owner { email: made.email, password, id: made.user_id }),
            organization_id: Some(made.organization_id),
            project: Some(Project { id: made.project_id, api_token: made.project_api_token }),
            ..ready
        }
    }

    /// Says it where the settings want it.
    ///
    /// # Errors
    /// The file can't be written.
    pub(super) fn say(&self, form: Option<ReadyForm>, file: Option<&Path>) -> CommandResult {
        let mut line = serde_json::to_string(self).map_err(|cause| cause.to_string())?;
        line.push('\n');
        if let Some(path) = file {
            let variables: String =
                self.variables().into_iter().map(|(name, value)| format!("{name}={value}\n")).collect();
            // The variables first: whoever sees the file finds both.
            write_whole(&with_ending(path, ".env"), &variables)?;
            write_whole(path, &line)?;
        }
        if form == Some(ReadyForm::Json) {
            let mut out = io::stdout().lock();
            let said = out.write_all(line.as_bytes()).and_then(|()| out.flush());
            said.map_err(|cause| format!("standard output can't be written to: {cause}"))?;
        }
        Ok(())
    }

    /// The variables that clients of orgd and of PostHog read.
    pub(super) fn variables(&self) -> Vec<(&'static str, String)> {
        let project = self.project.as_ref();
        let key = self.api_key.clone();
        let id = project.map(|project| project.id.to_string());
        let all = [
            ("ORGD_URL", Some(self.url.clone())),
            ("ORGD_KEY", key.clone()),
            ("ORGD_PROJECT_ID", id.clone()),
            ("ORGD_PROJECT_TOKEN", project.map(|project| project.api_token.clone())),
            ("POSTHOG_HOST", Some(self.url.clone())),
            ("POSTHOG_CLI_HOST", Some(self.url.clone())),
            ("POSTHOG_CLI_API_KEY", key),
            ("POSTHOG_CLI_PROJECT_ID", id),
        ];
        all.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
    }
}

/// Removes what an earlier server has said there, so that nobody takes it for ours.
pub(super) fn forget(file: Option<&Path>) -> CommandResult {
    let Some(path) = file else { return Ok(()) };
    for path in [path.to_owned(), with_ending(path, ".env")] {
        match fs::remove_file(&path) {
            Err(cause) if cause.kind() != io::ErrorKind::NotFound => {
                return Err(format!("--ready-file: cannot remove {}: {cause}", path.display()));
            }
            _ => {}
        }
    }
    Ok(())
}

/// Where the server is reached from its own machine.
fn here(address: SocketAddr) -> SocketAddr {
    match address {
        SocketAddr::V4(v4) if v4.ip().is_unspecified() => (Ipv4Addr::LOCALHOST, v4.port()).into(),
        SocketAddr::V6(v6) if v6.ip().is_unspecified() => (Ipv6Addr::LOCALHOST, v6.port()).into(),
        other => other,
    }
}

fn with_ending(path: &Path, ending: &str) -> PathBuf {
    let mut path = path.as_os_str().to_owned();
    path.push(ending);
    path.into()
}

/// Writes the file for its owner only, at once or not at all.
fn write_whole(path: &Path, text: &str) -> CommandResult {
    let part = with_ending(path, ".part");
    let write = || {
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let _ = fs::remove_file(&part);
        options.open(&part)?.write_all(text.as_bytes())?;
        fs::rename(&part, path)
    };
    write().map_err(|cause| {
        let _ = fs::remove_file(&part);
        format!("--ready-file: cannot write {}: {cause}", path.display())
    })
}
