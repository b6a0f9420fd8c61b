//! What is deleted is gone from every table of the data file, with everything that belonged to it.
//!
//! `kept_after_delete.txt` names the tables that keep an id on purpose.

use std::collections::BTreeSet;
use std::time::Duration;

use orgd::api::call::Method;
use orgd::app::Route;
use orgd::app::route::ResponseShape;
use orgd::store::Table;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::domains::verified_domain;
use crate::support::archives::zip;
use crate::support::walk::{
    api_routes, named, only_named_are_uncovered, only_these_are_uncovered, reasons, walk,
};
use crate::support::web::{Page, Web};
use crate::support::{NameServer, Server, World, exports, plugin_hosts, text};

/// Which tables keep what was deleted, as `METHOD path table: reason`.
const KEPT: &str = "kept_after_delete.txt";

/// Where numbers of projects and plugins begin in these tests: four bytes that do not occur by chance.
const FIRST_NUMBER: u32 = 0x51A7_E500;

/// The sweep of events takes place about so often.
const SWEEP_PERIOD: Duration = Duration::from_secs(61);

/// A server whose ids are all long enough to be searched for, and what it calls.
struct Place {
    server: Server,
    dns: NameServer,
    web: Web,
}

fn start() -> Place {
    let (dns, web) = (NameServer::start(), Web::start());
    let server = Server::with(|config| {
        plugin_hosts::point(config, &web);
        config.dns_server = Some(dns.address);
    });
    number_from(&server);
    Place { server, dns, web }
}

/// Lets the numbers of projects and plugins begin where they are long.
fn number_from(server: &Server) {
    let sequences: Table<String, u32> = Table::new("sequences");
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime starts");
    let moved = server.app.store.write(move |tx| {
        for (number, name) in ["projects", "plugins"].into_iter().enumerate() {
            tx.put(&sequences, &name.to_owned(), &(FIRST_NUMBER + 0x1_0000 * number as u32))?;
        }
        Ok(())
    });
    runtime.block_on(moved).expect("the store works");
}

/// An event that its sender has named.
const EVENT: &str = "01234567-89ab-7def-8123-456789abcdef";

/// An organization with something in as many tables as possible.
fn full_world(Place { server, dns, web }: &Place) -> World {
    let world = World::start(server);
    world.fill_tables(server);
    let World { org, .. } = &world;
    verified_domain(org, dns, &format!("{}.com", org.id));
    let plugin = |body: Value| org.owner.post(&org.at("plugins/"), body).json(201)["id"].clone();
    let archive = zip(&[("plugin.json", br#"{"name": "p"}"#), ("index.ts", b"")]);
    web.put(&format!("/github/u/r/archive/{}.zip", org.id), Page::Body(archive));
    let url = format!("https://github.com/u/r/archive/{}.zip?private_token=t", org.id);
    plugin(json!({"url": url}));
    let global = plugin(json!({"plugin_type": "source", "name": "g", "is_global": true}));
    let source = json!({"index.ts": ""});
    org.owner.patch(&org.at(&format!("plugins/{global}/update_source/")), source).json(200);
    let role = text(&org.owner.get(&org.at("roles/")).results()[0]["id"]);
    let project = format!("/api/projects/{}/access_controls/", org.project);
    org.owner.put(&project, json!({"access_level": "member", "role": role})).json(200);
    let event = json!({"event": "e", "distinct_id": "d", "uuid": EVENT});
    exports::capture(server, org, &[event]);
    org.owner.key_of(json!({"scopes": ["*"], "scoped_organizations": [org.id]}));
    org.owner.key_of(json!({"scopes": ["*"], "scoped_teams": [org.project]}));
    world
}

/// The forms in which a key or record may hold this id.
fn needles(id: &str) -> Vec<Vec<u8>> {
    let mut needles = vec![id.as_bytes().to_vec()];
    if let Ok(id) = Uuid::try_parse(id) {
        needles.extend([id.as_bytes().to_vec(), id.simple().to_string().into_bytes()]);
    } else if let Ok(number) = id.parse::<u32>() {
        needles.extend([number.to_be_bytes().to_vec(), number.to_le_bytes().to_vec()]);
        // A signed number in a record.
        needles.push((number * 2).to_le_bytes().to_vec());
    }
    needles
}

/// The tables with a key or record that holds one of the ids.
fn tables_holding(server: &Server, ids: &BTreeSet<String>) -> BTreeSet<&'static str> {
    let needles: Vec<Vec<u8>> = ids.iter().flat_map(|id| needles(id)).collect();
    let holds = |bytes: &[u8]| {
        needles.iter().any(|needle| bytes.windows(needle.len()).any(|window| window == needle))
    };
    let mut rows = server.all_rows();
    // The last number that was given is no reference.
    rows.retain(|(table, _, _)| *table != "sequences");
    rows.iter().filter(|(_, key, value)| holds(key) || holds(value)).map(|(table, _, _)| *table).collect()
}

/// Whether the table keeps what happened to things that are gone, until their organization goes as well. How many
/// entries there are of a thing is among the counts.
fn is_log(table: &str) -> bool {
    table.starts_with("audit") || table == "counts"
}

/// An id as a path has it.
fn as_id(value: &Value) -> Option<String> {
    value.as_str().map(str::to_owned).or_else(|| value.as_u64().map(|number| number.to_string()))
}

/// The ids of everything that belongs to what the route deletes, itself included.
fn ids_below(world: &World, route: &'static Route, path_end: &str) -> BTreeSet<String> {
    let mut ids = BTreeSet::from([path_end.to_owned()]);
    let collection = route.path.trim_end_matches("{id}/").rsplit('/').nth(1).unwrap_or_default();
    if ["projects", "environments"].contains(&collection) {
        ids.insert(world.export.clone());
    }
    if collection == "organizations" {
        // Keys belong to their users, who stay.
        let is_of_keys = |other: &&Route| other.path.contains("/personal_api_keys/");
        for other in api_routes().filter(|other| other.within.is_somewhere() && !is_of_keys(other)) {
            let filled = world.fill(&other.path);
            ids.extend(
                filled.iter().flat_map(|filled| filled.params()).map(|(_, _, value)| value.to_owned()),
            );
            if let (Some(filled), ResponseShape::Page(_)) = (filled, other.responds) {
                let page = world.org.owner.get(&filled.path()).value();
                let shown = page["results"].as_array().into_iter().flatten();
                ids.extend(shown.filter_map(|shown| as_id(&shown["id"])));
            }
        }
        // The member is a user, who stays.
        ids.remove(&world.member.uuid);
    }
    ids
}

/// Deletes what the route deletes in a full world: the tables that still hold something of it. `None` where it
/// could not be tried.
fn kept_after(place: &Place, route: &'static Route) -> Option<BTreeSet<&'static str>> {
    let (server, world) = (&place.server, full_world(place));
    let path = world.fill(&route.path)?;
    let (_, _, id) = path.params().last()?;
    let ids = ids_below(&world, route, id);
    let is_open = |table: &str| table.starts_with("batch_export_") && table.ends_with("_open");
    server.until("no export runs", || !server.all_rows().iter().any(|(table, _, _)| is_open(table)));
    assert!(!tables_holding(server, &ids).is_empty(), "{}: no table holds {id}", named(route));
    let answer = world.org.owner.delete(&path.path());
    if answer.status == 403 {
        return None;
    }
    assert!([200, 204].contains(&answer.status), "{}: {} {}", named(route), answer.status, answer.text());
    // What is captured is swept in steps, soon after.
    server.pass(SWEEP_PERIOD);
    let is_swept = |table: &&str| !table.starts_with("event") && !table.starts_with("person");
    server.until("events are swept", || tables_holding(server, &ids).iter().all(is_swept));
    let mut kept = tables_holding(server, &ids);
    if route.path != "/api/organizations/{id}/" {
        kept.retain(|table| !is_log(table));
    }
    Some(kept)
}

/// A deletion proves nothing of a table that holds nothing.
#[test]
fn a_full_world_has_rows_in_every_table() {
    let place = start();
    let Place { server, .. } = &place;
    full_world(&place);
    let filled: BTreeSet<&str> = server.all_rows().iter().map(|(table, _, _)| *table).collect();
    let tables = server.app.store.tables().iter().map(|table| table.name);
    let empty = tables.filter(|table| !filled.contains(table)).map(str::to_owned).collect();
    only_these_are_uncovered("tables", &empty);
}

#[test]
fn what_is_deleted_is_gone_from_every_table() {
    let deletes = |route: &Route| route.method == Method::Delete && route.params().next().is_some();
    let walked = walk("cascades", deletes, start, |place, route| kept_after(place, route));
    let uncovered = |kept: &Option<_>| kept.is_none().then(|| "it could not be tried".to_owned());
    only_named_are_uncovered("cascades", walked.iter().map(|(route, kept)| (*route, uncovered(kept))));
    let kept: BTreeSet<String> = walked
        .iter()
        .flat_map(|(route, kept)| kept.iter().flatten().map(|table| format!("{} {table}", named(route))))
        .collect();
    let wanted: BTreeSet<String> = reasons(KEPT).into_iter().map(|(what, _)| what).collect();
    assert_eq!(kept, wanted, "tables that keep what was deleted (left: found, right: {KEPT})");
}
