//! The bytes of one sample of every table, compared with a committed file: a record that changes its
//! layout without a migration fails here.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;

use uuid::Uuid;

use super::batch_exports::destination::Destination;
use super::batch_exports::interval::Interval;
use super::batch_exports::{self, Model, backfills, logs, runs};
use super::{
    access_controls, activity, api_keys, domains, events, invites, members, organizations, outbox, persons,
    plugins, projects, proxy_records, role_memberships, roles, sessions, two_factor, users,
};
use crate::api::Level;
use crate::clock::Time;
use crate::store::{Json, Key, Record, Table, encode};

const ONE: Uuid = Uuid::from_u128(0x0192_0000_0000_7000_8000_0000_0000_0001);
const TWO: Uuid = Uuid::from_u128(0x0192_0000_0000_7000_8000_0000_0000_0002);
const NOW: Time = Time(1_728_396_939_123_456);
const HASH: [u8; 32] = [0xab; 32];

#[derive(Default)]
struct Samples(BTreeMap<&'static str, String>);

impl Samples {
    fn add<K: Key, V: Record>(&mut self, table: &Table<K, V>, key: K, record: V) {
        let mut line = String::new();
        for byte in key.key_bytes() {
            let _ = write!(line, "{byte:02x}");
        }
        line.push_str(" = ");
        for byte in encode(&record).expect("a sample is encoded") {
            let _ = write!(line, "{byte:02x}");
        }
        self.0.insert(table.info().name, line);
    }
}

fn text(text: &str) -> String {
    text.to_owned()
}

fn samples() -> Samples {
    let mut all = Samples::default();
    let json = Json::of(&serde_json::json!({"a": [1, null]}));
    all.add(
        &activity::ENTRIES,
        (ONE, (text("Team"), text("1")), TWO),
        activity::Entry { user: TWO, activity: text("updated"), detail: json.clone(), created_at: NOW },
    );
    all.add(&activity::BY_SCOPE, (ONE, text("Team"), TWO), text("1"));
    all.add(
        &api_keys::KEYS,
        HASH,
        api_keys::ApiKey {
            id: text("id"),
            user: ONE,
            label: text("label"),
            mask: text("phx_...abcd"),
            created_at: NOW,
            last_used_at: Some(NOW),
            scopes: vec![text("*")],
            scoped_projects: vec![1, 300],
            scoped_organizations: vec![TWO],
        },
    );
    all.add(&api_keys::BY_USER, (ONE, text("id")), HASH);
    all.add(&super::instance::INSTANCE, text("secret"), vec![1, 2, 255]);
    all.add(
        &invites::INVITES,
        (ONE, TWO),
        invites::Invite {
            target_email: text("a@example.com"),
            first_name: text("A"),
            level: Level::Admin,
            message: Some(text("m")),
            emailing_attempt_made: true,
            created_by: ONE,
            created_at: NOW,
            updated_at: NOW,
            token: Some(invites::Token { hash: HASH, sealed: crate::vault::Sealed::sample() }),
        },
    );
    all.add(&invites::BY_TOKEN, HASH, (ONE, TWO));
    all.add(&invites::BY_EMAIL, (text("a@example.com"), TWO), ONE);
    let member = members::Member { id: TWO, level: Level::Owner, joined_at: NOW, updated_at: NOW };
    all.add(&members::MEMBERS, (ONE, TWO), member);
    all.add(&members::BY_JOINING, (ONE, TWO), ONE);
    let mut organization = organizations::Organization::new("Acme", NOW);
    organization.slug = text("acme");
    organization.enforce_2fa = Some(true);
    organization.plugins_access_level = 9;
    all.add(&organizations::ORGANIZATIONS, ONE, organization);
    all.add(&organizations::BY_SLUG, text("acme"), ONE);
    all.add(
        &outbox::OUTBOX,
        ONE,
        outbox::Mail {
            to: text("a@example.com"),
            subject: text("s"),
            text: text("t"),
            html: text("h"),
            created_at: NOW,
            attempts: 2,
            next_attempt_at: NOW,
        },
    );
    all.add(
        &plugins::PLUGINS,
        (ONE, 7),
        plugins::Plugin {
            plugin_type: Some(text("custom")),
            name: Some(text("n")),
            description: Some(text("d")),
            url: Some(text("https://github.com/u/r")),
            icon: None,
            config_schema: json.clone(),
            tag: Some(text("t")),
            latest_tag: Some(text("l")),
            is_global: true,
            capabilities: json.clone(),
            metrics: Some(json.clone()),
            public_jobs: None,
            archive: Some(plugins::Archive { sha256: HASH, bytes: 300 }),
            created_at: NOW,
            updated_at: NOW,
        },
    );
    all.add(&plugins::BY_NUMBER, 7, ONE);
    all.add(&plugins::GLOBAL, 7, ONE);
    all.add(&plugins::BY_URL, text("https://github.com/u/r"), 7);
    let sealed = plugins::address::Address::Sealed(crate::vault::Sealed::sample());
    all.add(&plugins::address::PRIVATE_URLS, 7, sealed);
    all.add(&plugins::source::FILES, (7, text("index.ts")), text("code"));
    let list = plugins::repository::List { text: text("[]"), fetched_at: NOW };
    all.add(&plugins::repository::LISTS, text("https://example.com/list.json"), list);
    let (project, details) = projects::sample(ONE, NOW);
    all.add(&projects::PROJECTS, (ONE, 7), project);
    all.add(&projects::DETAILS, 7, details);
    all.add(&projects::BY_NUMBER, 7, ONE);
    all.add(&projects::BY_TOKEN, text("phc_x"), 7);
    all.add(&sessions::SESSIONS, HASH, sessions::sample(TWO, ONE, NOW));
    all.add(&sessions::BY_USER, (ONE, HASH), ());
    all.add(&sessions::BY_AGE, (TWO, HASH), ());
    all.add(
        &users::USERS,
        ONE,
        users::User {
            number: 300,
            distinct_id: text("d"),
            email: text("a@example.com"),
            password_hash: Some(text("$argon2id$")),
            first_name: text("A"),
            last_name: text("B"),
            is_staff: true,
            date_joined: NOW,
            role_at_organization: text("r"),
            current_organization: Some(ONE),
            current_project: Some(7),
            settings: users::Settings { hedgehog_config: Some(json.clone()), ..users::Settings::default() },
        },
    );
    all.add(
        &events::EVENTS,
        (7, ONE),
        events::Event {
            uuid: Some(TWO),
            event: text("$pageview"),
            distinct_id: text("d"),
            timestamp: NOW,
            person: ONE,
            properties: json.clone(),
            elements_chain: text("a"),
            person_properties: Some(json.clone()),
        },
    );
    all.add(&events::BY_TIME, (7, NOW, ONE), ());
    all.add(&events::BY_UUID, (7, TWO, [1, 2, 3, 4, 5, 6, 7, 8]), ONE);
    all.add(&events::KEPT, 7, events::Kept { events: 3, bytes: 900 });
    all.add(
        &persons::PERSONS,
        (7, ONE),
        persons::Person {
            properties: json.clone(),
            version: 2,
            created_at: NOW,
            updated_at: NOW,
            touched_at: NOW,
            is_identified: true,
        },
    );
    let mapping = persons::Mapping { person: ONE, version: 1, updated_at: NOW };
    all.add(&persons::MAPPINGS, (7, text("d")), mapping);
    all.add(&persons::DISTINCT_IDS, (7, ONE, text("d")), ());
    all.add(&persons::BY_TOUCH, (7, NOW, ONE), ());
    let destination = Destination::sample(json.clone());
    all.add(
        &batch_exports::EXPORTS,
        (ONE, TWO),
        batch_exports::BatchExport {
            project: 7,
            name: text("n"),
            model: Some(Model::Persons),
            destination: destination.clone(),
            interval: Interval::Day,
            paused: true,
            created_at: NOW,
            last_updated_at: NOW,
            last_paused_at: Some(NOW),
            start_at: None,
            end_at: Some(NOW),
            schema: Some(json.clone()),
            next_run_at: Some(NOW),
            author: Some(ONE),
        },
    );
    all.add(&batch_exports::BY_ID, TWO, ONE);
    all.add(&batch_exports::SCHEDULE, (NOW, TWO), ());
    let plan =
        runs::Plan { project: 7, model: Model::Events, interval: Interval::Hour, destination, schema: None };
    all.add(
        &runs::RUNS,
        (TWO, ONE),
        runs::Run {
            status: runs::Status::Running,
            backfill: Some(ONE),
            records_completed: Some(5),
            records_total: Some(6),
            latest_error: Some(text("e")),
            start: None,
            end: NOW,
            created_at: NOW,
            finished_at: Some(NOW),
            last_updated_at: NOW,
            attempts: 2,
            next_attempt_at: NOW,
            plan: Some(plan),
            progress: runs::Progress { place: Some(events::Place { time: NOW, id: ONE }), records: 4 },
            author: Some(TWO),
        },
    );
    all.add(&runs::OPEN, ONE, TWO);
    all.add(&runs::COMMITS, ONE, runs::Commit { transaction: 300, records: 4 });
    all.add(
        &backfills::BACKFILLS,
        (TWO, ONE),
        backfills::Backfill {
            status: backfills::Status::Cancelled,
            start: Some(NOW),
            end: None,
            created_at: NOW,
            finished_at: Some(NOW),
            run: Some(ONE),
            next: Some(NOW),
            author: Some(ONE),
        },
    );
    all.add(&backfills::OPEN, ONE, TWO);
    all.add(
        &logs::LOGS,
        (TWO, ONE),
        logs::Entry { instance: text("i"), timestamp: NOW, level: logs::Level::Warning, message: text("m") },
    );
    all.add(&users::BY_EMAIL, text("a@example.com"), ONE);
    all.add(&two_factor::DEVICES, ONE, two_factor::sample(NOW));
    add_access(&mut all);
    all
}

fn add_access(all: &mut Samples) {
    all.add(
        &access_controls::ENTRIES,
        (ONE, 7, ((text("project"), text("7")), TWO)),
        access_controls::AccessControl {
            subject: access_controls::Subject::Role(TWO),
            access_level: text("admin"),
            created_by: ONE,
            created_at: NOW,
            updated_at: NOW,
        },
    );
    all.add(
        &domains::DOMAINS,
        (ONE, TWO),
        domains::Domain {
            domain: text("example.com"),
            verified_at: Some(NOW),
            verification_challenge: text("c"),
            last_verification_retry: Some(NOW),
            jit_provisioning_enabled: true,
            sso_enforcement: text("saml"),
            saml_entity_id: Some(text("e")),
            saml_acs_url: None,
            saml_x509_cert: Some(text("x")),
        },
    );
    all.add(&domains::VERIFIED, text("example.com"), (ONE, TWO));
    all.add(&domains::IN_ORDER, (ONE, text("example.com")), TWO);
    all.add(
        &proxy_records::RECORDS,
        (ONE, TWO),
        proxy_records::ProxyRecord {
            domain: text("e.example.com"),
            target_cname: text("t.proxy.localhost"),
            status: proxy_records::Status::TimedOut,
            message: Some(text("m")),
            created_at: NOW,
            updated_at: NOW,
            created_by: ONE,
            waiting_since: NOW,
            looks: 300,
            next_look_at: Some(NOW),
        },
    );
    all.add(&proxy_records::BY_DOMAIN, text("e.example.com"), (ONE, TWO));
    all.add(&proxy_records::DUE, (NOW.0.to_be_bytes(), TWO), ONE);
    all.add(
        &role_memberships::MEMBERSHIPS,
        (ONE, TWO),
        role_memberships::RoleMembership { user: ONE, joined_at: NOW, updated_at: NOW },
    );
    all.add(&role_memberships::BY_USER, (ONE, TWO, ONE), TWO);
    all.add(
        &roles::ROLES,
        (ONE, TWO),
        roles::Role { name: text("Role"), feature_flags_access_level: 21, created_by: ONE, created_at: NOW },
    );
    all.add(&roles::BY_NAME, (ONE, text("role")), TWO);
}

#[test]
fn the_bytes_of_every_table_are_those_of_the_committed_file() {
    let samples = samples().0;
    let sampled: Vec<&str> = samples.keys().copied().collect();
    let mut tables: Vec<&str> = super::tables().iter().map(|table| table.name).collect();
    tables.sort_unstable();
    assert_eq!(sampled, tables, "every table has a sample");
    let found: String = samples.iter().map(|(name, line)| format!("{name}: {line}\n")).collect();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/records.txt");
    if std::env::var_os("UPDATE_EXPECTED").is_some() {
        std::fs::write(&path, &found).expect("the file can be written");
    }
    let wanted = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(
        found, wanted,
        "a stored record has changed its bytes: add a migration, then UPDATE_EXPECTED=1"
    );
}
