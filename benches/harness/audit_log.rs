//! Pages of an audit log, over a socket: of a million entries against a thousand.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use orgd::admin::{self, BootstrapOwner};
use orgd::api::{Actor, Source};
use orgd::app::App;
use orgd::clock::Clock;
use orgd::config::{Config, Switch};
use orgd::ids::{OrganizationId, ProjectId};
use orgd::resources::audit::{self, Change, scope};
use orgd::store::Storage;
use serde_json::{Value, json};
use tokio::net::TcpListener;

const SMALL: u32 = 1_000;
/// `ORGD_BENCH_ENTRIES` sets another number.
const LARGE: u32 = 1_000_000;
/// Entries of one transaction.
const AT_ONCE: u32 = 1_000;
/// Every tenth entry is of the project.
const PROJECTS: u32 = 10;
const ITEMS: u32 = 5;
const TIMES: usize = 200;
const EMAIL: &str = "bench@example.com";

/// An organization with so many entries.
struct Log {
    address: SocketAddr,
    key: String,
    organization: String,
    /// Relative to the server: the page of the cursor that stands between two halves.
    middle: String,
}

pub fn pages() {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let given = std::env::var("ORGD_BENCH_ENTRIES").ok().and_then(|text| text.parse().ok());
    let entries = given.unwrap_or(LARGE);
    let [small, large] = [SMALL, entries]
        .map(|entries| runtime.block_on(Log::of(&folder.path().join(format!("{entries}")), entries)));
    type Path = fn(&Log) -> String;
    let paths: [(&str, Path); 4] = [
        ("the first page", |log| log.at("page_size=100")),
        ("the first page of a project", |log| log.at("page_size=100&team_ids=1")),
        ("the first page of an item", |log| log.at("page_size=100&scopes=Team&item_ids=1")),
        ("a page in the middle", |log| log.middle.clone()),
    ];
    for (what, path) in paths {
        let [few, many] = [&small, &large].map(|log| log.median(&path(log)));
        let ratio = many.as_secs_f64() / few.as_secs_f64();
        println!(
            "{what} of {entries} entries against {SMALL}: {ratio:>8.2}x   {} us against {} us",
            many.as_micros(),
            few.as_micros()
        );
    }
}

impl Log {
    async fn of(path: &Path, entries: u32) -> Log {
        let mut config = Config::from_env().expect("the environment holds no odd settings");
        config.rate_limit = Some(Switch::Off);
        let app = admin::open(config, Storage::File(path.to_owned()), Arc::new(Clock::default()));
        let app = app.await.expect("the file opens");
        let owner = BootstrapOwner {
            email: EMAIL.into(),
            first_name: "B".into(),
            organization: "Bench".into(),
            password: None,
            api_key: None,
        };
        let made = admin::bootstrap(&app, owner).await.expect("the file is empty");
        let started = Instant::now();
        let middle = fill(&app, made.organization_id, entries).await;
        println!("filled {entries} entries in {:.1} s", started.elapsed().as_secs_f64());
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let address = listener.local_addr().expect("an address");
        tokio::spawn(orgd::serve(app, listener, std::future::pending()));
        let organization = made.organization_id.to_string();
        let mut log = Log { address, key: made.api_key, organization, middle: String::new() };
        let first = log.at(&format!("page_size=100&start_date={middle}&ordering=created_at"));
        let link =
            tokio::task::block_in_place(|| log.read(&first))["next"].as_str().expect("a link").to_owned();
        log.middle = link[link.find("/api/").expect("a path")..].to_owned();
        log
    }

    fn at(&self, query: &str) -> String {
        format!("/api/organizations/{}/advanced_activity_logs/?{query}", self.organization)
    }

    fn read(&self, path: &str) -> Value {
        let request = ureq::get(format!("http://{}{path}", self.address));
        let mut answer =
            request.header("authorization", format!("Bearer {}", self.key)).call().expect("a page");
        serde_json::from_reader(answer.body_mut().as_reader()).expect("JSON")
    }

    /// How long the page takes, of which every run must have a hundred entries.
    fn median(&self, path: &str) -> Duration {
        let mut times: Vec<Duration> = (0..TIMES)
            .map(|_| {
                let started = Instant::now();
                let page = self.read(path);
                let time = started.elapsed();
                assert_eq!(page["results"].as_array().map(Vec::len), Some(100), "{path}");
                time
            })
            .collect();
        times.sort_unstable();
        times[times.len() / 2]
    }
}

/// Writes the entries, a minute of the log for each transaction; says when the middle one was.
async fn fill(app: &Arc<App>, organization: OrganizationId, entries: u32) -> String {
    let mut middle = app.clock.now();
    for first in (0..entries).step_by(AT_ONCE as usize) {
        app.clock.advance(Duration::from_secs(60));
        let ctx = app.ctx(String::new(), Actor::Operator(None), Source::default());
        if first <= entries / 2 {
            middle = ctx.now;
        }
        let write = app.store.write(move |tx| {
            for number in first..(first + AT_ONCE).min(entries) {
                let item = number % ITEMS;
                let change =
                    audit::field_change(scope::TEAM, "name", json!(number), json!(number + 1), "changed");
                let change = Change::updated(scope::TEAM, item, "Bench", vec![change]);
                let project = ProjectId(number % PROJECTS + 1);
                audit::record(&ctx, tx, organization, change.in_project(project))?;
            }
            Ok(())
        });
        write.await.expect("the store works");
    }
    middle.to_string()
}
