//! Files on a server in this process, at the machine.

use std::sync::Arc;

use orgd::api::{Actor, Source};
use orgd::error::Result;
use orgd::org_file::export::{self, Wish};
use orgd::org_file::plan::{Options, Plan};
use orgd::org_file::service::{self, Job};
use orgd::org_file::{self, May, Seeded};
use serde_json::Value;

use crate::support::Server;

/// Everything that a file can say.
pub const WHOLE: &str = r#"
orgd: 1
organizations:
  - id: 01920000-0000-7000-8000-000000000001
    slug: acme
    name: Acme
    settings: {enforce_2fa: true, members_can_invite: false}
    default_role: Engineers
    members:
      - {email: ada@example.com, level: owner}
      - {email: grace@example.com, level: admin}
      - {email: kay@example.com}
    roles:
      - {name: Engineers, feature_flags_access_level: 21, members: [grace@example.com]}
      - {name: Writers}
    projects:
      - name: Website
        id: 7
        api_token: phc_of_the_website
        timezone: Europe/Lisbon
        settings: {surveys_opt_in: true, session_recording_sample_rate: 0.5, session_replay_config: {record_canvas: true}}
        access:
          default: none
          members: {kay@example.com: admin}
          roles: {Engineers: member}
          resources: {dashboard: {default: viewer}}
        exports:
          - name: to the bucket
            interval: hour
            destination: {type: S3, config: {bucket_name: events, region: eu-west-1, prefix: "", aws_access_key_id: id, aws_secret_access_key: its secret}}
      - name: App
    invites: [{email: joan@example.com, level: admin, private_project_access: {Website: member}}]
    domains: [{domain: example.com, verified: true, jit_provisioning_enabled: true}]
    proxies: [{domain: e.example.com}]
  - {slug: other, name: Other, members: [{email: ada@example.com, level: owner}]}
users:
  - {id: 01920000-0000-7000-8000-0000000000aa, email: ada@example.com, first_name: Ada, last_name: L, password: weak, totp: JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP, keys: [{label: ci, value: phx_a_key_for_tests_only, scopes: ["*"]}]}
  - {email: grace@example.com, first_name: Grace}
  - {email: kay@example.com, first_name: Kay}
faults: [{match: {path: /api/projects/}}]
clock: "2026-01-01T00:00:00Z"
"#;

/// Runs to the end of it.
pub fn wait<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime").block_on(future)
}

impl Server {
    pub fn seed(&self, text: &str) -> std::result::Result<Seeded, String> {
        wait(org_file::seed(&self.app, text))
    }

    /// At the machine.
    fn job(&self, text: &str, options: Options) -> Job {
        let read = org_file::read(&[text]);
        let read = read.unwrap_or_else(|faults| panic!("{faults:?}\n{text}"));
        Job {
            ctx: self.app.ctx(String::new(), Actor::Operator(None), Source::default()),
            document: Arc::new(read.document),
            options,
            may: May { make_people: true, say_all: false },
            base: None,
            is_silent: false,
        }
    }

    pub fn plan_of(&self, text: &str, options: Options) -> Result<Plan> {
        wait(service::plan(&self.app, self.job(text, options)))
    }

    pub fn apply(&self, text: &str, options: Options) -> Result<Plan> {
        wait(service::apply(&self.app, self.job(text, options)))
    }

    pub fn export(&self, wish: &Wish) -> String {
        let ctx = self.app.ctx(String::new(), Actor::Operator(None), Source::default());
        self.app.store.read(|tx| export::export(&ctx, tx, wish)).expect("it can be exported")
    }
}

/// What changes, a line each.
pub fn lines(plan: &Plan) -> Vec<String> {
    plan.changes
        .iter()
        .map(|change| {
            let fields = change.fields.iter().map(|field| {
                let shown = |value: &Option<Value>| value.as_ref().map_or("-".to_owned(), Value::to_string);
                format!("{}={}>{}", field.path, shown(&field.from), shown(&field.to))
            });
            let action = serde_json::to_value(change.action).expect("a word");
            format!(
                "{} {} {} {}",
                action.as_str().unwrap_or_default(),
                change.kind,
                change.name,
                fields.collect::<Vec<_>>().join(" ")
            )
            .trim()
            .to_owned()
        })
        .collect()
}
