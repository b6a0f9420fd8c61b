//! Two organizations on one server: nobody reaches the other's objects, by its path or by their own.

use orgd::app::Route;
use serde_json::Value;

use crate::malformed_input::how_found;
use crate::support::walk::{named, only_named_are_uncovered, walk};
use crate::support::{Filled, Person, Server, World};

/// What the path below holds opens what it names, for anybody.
const OPENED_BY_PATH: &str = "/api/signup/";

/// Two worlds with one of everything, and the second one's owner, by session and by key.
struct Neighbours {
    server: Server,
    ours: World,
    theirs: World,
    callers: Vec<Person>,
}

impl Neighbours {
    fn new() -> Neighbours {
        let server = Server::start();
        let (ours, theirs) = (World::start(&server), World::start(&server));
        let owner = theirs.org.owner.clone();
        let callers = vec![owner.key(&["*"]), owner];
        Neighbours { server, ours, theirs, callers }
    }
}

/// The name that a path gives to whoever calls is replaced by who that is for our owner.
fn value_of(world: &World, value: &str) -> String {
    if value == "@me" { world.org.owner.uuid.clone() } else { value.to_owned() }
}

/// Their path with some or all of our values in it: every mixture.
fn mixtures(ours: &World, our_path: &Filled, their_path: &Filled) -> Vec<Filled> {
    let params: Vec<_> = our_path.params().map(|(place, _, value)| (place, value_of(ours, value))).collect();
    let chosen = 1..1_u32 << params.len();
    chosen
        .map(|chosen| {
            let is_chosen = |(number, _): &(usize, _)| chosen & (1 << number) != 0;
            let taken = params.iter().enumerate().filter(is_chosen);
            taken.fold(their_path.clone(), |path, (_, (place, value))| path.with(*place, value))
        })
        .collect()
}

/// Calls the route with our values as the other organization's owner: how it fails to keep them out, if it does.
fn reaches_ours(neighbours: &Neighbours, route: &'static Route) -> Option<String> {
    if route.is_ingest() {
        return Some("it is named by what is public".into());
    }
    let Neighbours { server, ours, theirs, callers } = neighbours;
    let (Some(our_path), Some(their_path)) = (ours.fill(&route.path), theirs.fill(&route.path)) else {
        return Some("a parameter has no value".into());
    };
    let bodies: [Value; 2] = [theirs.body(route), ours.body(route)];
    let before = server.rows();
    let mut found = None;
    for path in mixtures(ours, &our_path, &their_path) {
        for (caller, body) in callers.iter().flat_map(|caller| bodies.iter().map(move |body| (caller, body)))
        {
            let answer = caller.call(route.method.name(), &path.path(), body);
            let what = format!("{} as {}", named(route), path.path());
            found = found.or(how_found(&answer, &what));
            if found.is_some() && route.path.starts_with(OPENED_BY_PATH) {
                return found;
            }
            let is_refused = [200, 401, 403, 404].contains(&answer.status)
                // A link opens by its token, whoever calls.
                || answer.value()["attr"] == "token"
                || answer.value()["detail"]
                    .as_str()
                    .is_some_and(|detail| detail.ends_with("does not exist."));
            assert!(is_refused, "{what}: {} {}", answer.status, answer.text());
            assert!(server.rows() == before, "{what} changes something");
        }
    }
    found
}

#[test]
fn no_route_reaches_objects_of_another_organization() {
    let has_params = |route: &Route| route.params().next().is_some();
    let walked = walk("two organizations", has_params, Neighbours::new, |neighbours, route| {
        reaches_ours(neighbours, route)
    });
    only_named_are_uncovered("tenants", walked);
}
