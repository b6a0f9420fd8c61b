//! Malformed values in paths name nothing: documented 4xx answers, and nothing changed.

use orgd::api::call::Method;
use orgd::app::Route;
use serde_json::Value;

use crate::malformed_input::how_found;
use crate::support::walk::{api_routes, named, only_named_are_uncovered, walk};
use crate::support::{Filled, Server, World};

/// Values that name nothing, wherever they stand.
const ODD: &[&str] = &[
    "nope",
    "0",
    "-1",
    "1.5",
    "4294967296",
    "18446744073709551616",
    "99999999999999999999999999999999999999999999999999",
    "%EF%BC%91",
    "1%20",
    "@",
    "@@",
    "%40nobody",
    ".",
    "..",
    "..%2f..",
    "%2e%2e%2f%2e%2e",
    "%",
    "%2",
    "%zz",
    "%00",
    "a%00b",
    "%FF",
    "%C0%AF",
    "%ED%A0%80",
    "%F0%9F%92%A5",
    "%20",
    "%0d%0aX-Injected:%20yes",
    "'%20OR%201=1--",
    "%3Cscript%3E",
    "None",
    "null",
    "00000000-0000-0000-0000-000000000000",
    "ffffffff-ffff-ffff-ffff-ffffffffffff",
    "3E9C5DE9-1765-454A-BD9A-3C5E67ED9A23",
    "3e9c5de91765454abd9a3c5e67ed9a23",
    "%7B3e9c5de9-1765-454a-bd9a-3c5e67ed9a23%7D",
    "urn:uuid:3e9c5de9-1765-454a-bd9a-3c5e67ed9a23",
    "3e9c5de9-1765-454a-bd9a-3c5e67ed9a2",
    "3e9c5de9-1765-454a-bd9a-3c5e67ed9a23%00",
    "3e9c5de9-1765-454a-bd9a-3c5e67ed9a2g",
];

/// The odd values, and some that are long.
fn odd_values() -> Vec<String> {
    let long = ["x".repeat(300), "9".repeat(5000), "%00".repeat(1000)];
    ODD.iter().map(|value| (*value).to_owned()).chain(long).collect()
}

/// What SDKs call names no object: it is answered the same for any token.
fn has_params(route: &Route) -> bool {
    route.params().next().is_some() && !route.is_ingest()
}

fn start() -> (Server, World) {
    let server = Server::start();
    let world = World::start(&server);
    (server, world)
}

/// Calls the route with each odd value in place of each parameter: how it finds something, if it does.
fn try_odd_values(server: &Server, world: &World, route: &'static Route) -> Option<String> {
    let Some(good) = world.fill(&route.path) else { return Some("a parameter has no value".into()) };
    let mut found = None;
    let body = world.body(route);
    let before = server.rows();
    for (place, name, _) in good.params() {
        for value in odd_values() {
            let path = good.with(place, &value).path();
            let answer = world.org.owner.call(route.method.name(), &path, &body);
            let shown = &value[..value.len().min(60)];
            let what = format!("{} with {name} {shown}", named(route));
            found = found.or(how_found(&answer, &what));
            assert!(server.rows() == before, "{what} changes something");
        }
    }
    found
}

#[test]
fn malformed_values_of_every_parameter_name_nothing() {
    let walked = walk("malformed identifiers", has_params, start, |(server, world), route| {
        try_odd_values(server, world, route)
    });
    only_named_are_uncovered("identifiers", walked);
}

/// What the object shows of its writable fields, names in upper case. Where it shows none, a good body.
fn own_body(world: &World, route: &Route, path: &Filled) -> Value {
    let mut body = world.body(route);
    let shows = |other: &&Route| other.method == Method::Get && other.path == route.path;
    if api_routes().any(|other| shows(&other)) && !route.accepts_list {
        let shown = world.org.owner.get(&path.path()).value();
        for field in route.accepts.unwrap_or_default().iter().filter(|field| !field.read_only) {
            let Some(value) = shown.get(field.name).filter(|value| !value.is_null()) else { continue };
            // A name in other letters is another value, and still its own.
            let is_name = ["name", "domain"].contains(&field.name);
            let value =
                value.as_str().filter(|_| is_name).map_or(value.clone(), |name| name.to_uppercase().into());
            body[field.name] = value;
        }
    }
    body
}

/// The status of the route for a new object, its UUIDs written as `write` says; `None` where it has none.
fn status_by(server: &Server, route: &'static Route, write: fn(&str) -> String) -> Option<u16> {
    let world = World::start(server);
    let mut path = world.fill(&route.path)?;
    let body = own_body(&world, route, &path);
    let uuids: Vec<_> = path
        .params()
        .filter(|(_, _, value)| value.len() == 36 && uuid::Uuid::try_parse(value).is_ok())
        .map(|(place, _, value)| (place, write(value)))
        .collect();
    for (place, written) in &uuids {
        path = path.with(*place, written);
    }
    let status = world.org.owner.call(route.method.name(), &path.path(), &body).status;
    (!uuids.is_empty()).then_some(status)
}

#[test]
fn a_uuid_in_upper_case_names_the_same_thing_everywhere() {
    let start = || Server::start();
    walk("upper-case UUIDs", has_params, start, |server, route| {
        let lower = status_by(server, route, str::to_owned);
        let upper = status_by(server, route, str::to_uppercase);
        assert_eq!(upper, lower, "{}: in upper case (left) and in lower case", named(route));
    });
}
