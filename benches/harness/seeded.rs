//! A data file that is not empty.

use std::path::PathBuf;
use std::process::Command;

use serde_json::{Value, json};

use super::{Process, load, request};

/// A data file with one owner, and how to call as them.
pub struct Seeded {
    pub folder: tempfile::TempDir,
    pub key: String,
    pub organization: String,
    /// What senders of events show.
    pub token: String,
}

impl Seeded {
    pub fn path(&self) -> PathBuf {
        self.folder.path().join("orgd.redb")
    }

    /// The owner with this many organizations.
    pub async fn with(organizations: u64) -> Seeded {
        let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
        let data = folder.path().join("orgd.redb");
        let output = Command::new(env!("CARGO_BIN_EXE_orgd"))
            .args(["bootstrap", "--email", "ada@example.com", "--organization", "Acme", "--data"])
            .arg(&data)
            .output()
            .expect("it runs");
        let made: Value = serde_json::from_slice(&output.stdout).expect("one JSON object");
        let text = |name: &str| made[name].as_str().expect("text").to_owned();
        let seeded = Seeded {
            folder,
            key: text("api_key"),
            organization: text("organization_id"),
            token: text("project_api_token"),
        };
        let server = Process::orgd(&data);
        let key = seeded.key.clone();
        let make = move |number| post(&key, number);
        load(&server.address, 256, organizations.saturating_sub(1), 201, make).await;
        server.kill();
        seeded
    }

    pub fn one(&self) -> Vec<u8> {
        request("GET", &format!("/api/organizations/{}/", self.organization), &self.key, "")
    }
}

/// What a plain member of the owner's organization shows.
pub struct Member {
    pub key: String,
}

/// Lets people join the owner's organization as members, through its invites; the last of them.
pub fn join(server: &Process, seeded: &Seeded, people: usize) -> Member {
    let agent: ureq::Agent = ureq::Agent::config_builder().max_redirects(0).build().into();
    let base = format!("http://{}", server.address);
    let invites = format!("{base}/api/organizations/{}/invites/", seeded.organization);
    let bearer = format!("Bearer {}", seeded.key);
    let text = |value: &Value| value.as_str().expect("text").to_owned();
    let mut cookies = Vec::new();
    for number in 0..people {
        let body = json!({"target_email": format!("member{number}@example.com"), "level": 1});
        let invite = post_json(&agent, &invites, &[("authorization", &bearer)], &body).0;
        let link = format!("{invites}{}/link/", text(&invite["id"]));
        let mut answer = agent.get(link).header("authorization", &bearer).call().expect("an answer");
        let link: Value =
            serde_json::from_str(&answer.body_mut().read_to_string().expect("text")).expect("JSON");
        let token =
            text(&link["link"]).rsplit('/').find(|part| !part.is_empty()).expect("a token").to_owned();
        let body = json!({"first_name": "Sam", "password": "a-rather-Long-passphrase-7"});
        cookies = post_json(&agent, &format!("{base}/api/signup/{token}/"), &[], &body).1;
    }
    let csrf = cookies.iter().find_map(|cookie| cookie.strip_prefix("posthog_csrftoken=")).expect("a token");
    let headers = [("cookie", cookies.join("; ")), ("x-csrftoken", csrf.to_owned())];
    let headers = headers.each_ref().map(|(name, value)| (*name, value.as_str()));
    let body = json!({"label": "bench", "scopes": ["*"]});
    let made = post_json(&agent, &format!("{base}/api/personal_api_keys/"), &headers, &body).0;
    Member { key: text(&made["value"]) }
}

/// Makes roles in the owner's organization, each with a member in it.
pub fn make_roles(server: &Process, seeded: &Seeded, roles: usize) {
    let agent = ureq::Agent::new_with_defaults();
    let bearer = format!("Bearer {}", seeded.key);
    let headers = [("authorization", bearer.as_str())];
    let all = format!("http://{}/api/organizations/{}/", server.address, seeded.organization);
    let mut members =
        agent.get(format!("{all}members/")).header("authorization", &bearer).call().expect("an answer");
    let members = members.body_mut().read_to_string().expect("text");
    let members: Value = serde_json::from_str(&members).expect("JSON");
    for number in 0..roles {
        let name = json!({"name": format!("Role {number}")});
        let made = post_json(&agent, &format!("{all}roles/"), &headers, &name).0;
        let role = format!("{all}roles/{}/role_memberships/", made["id"].as_str().expect("text"));
        let user = json!({"user_uuid": members["results"][number]["user"]["uuid"]});
        post_json(&agent, &role, &headers, &user);
    }
}

/// The JSON of the answer, and the cookies that it sets.
fn post_json(agent: &ureq::Agent, url: &str, headers: &[(&str, &str)], body: &Value) -> (Value, Vec<String>) {
    let mut request = agent.post(url).header("content-type", "application/json");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let mut answer = request.send(body.to_string()).expect("an answer");
    let cookies = answer.headers().get_all("set-cookie").iter().filter_map(|cookie| cookie.to_str().ok());
    let cookies = cookies.filter_map(|cookie| Some(cookie.split(';').next()?.to_owned())).collect();
    let text = answer.body_mut().read_to_string().expect("text");
    (serde_json::from_str(&text).expect("JSON"), cookies)
}

/// Makes an organization.
pub fn post(key: &str, number: u64) -> Vec<u8> {
    request("POST", "/api/organizations/", key, &format!("{{\"name\": \"Organization {number}\"}}"))
}
