//! Every answer has the fields that the OpenAPI document calls required, with the types that it says, and no others.

#[path = "../program/client/schema.rs"]
mod schema;

use orgd::app::Route;
use orgd::app::route::ResponseShape;
use serde_json::Value;

use crate::support::walk::{named, only_named_are_uncovered, walk};
use crate::support::{Server, World};

/// The answer of a route was not looked at, or is another one than the document says.
enum Found {
    Nothing(String),
    Wrong(String),
}

fn find(server: &Server, document: &Value, route: &'static Route) -> Option<Found> {
    let schema = schema::of_answer(document, route.method.name(), &route.path, false)?;
    let world = World::start(server);
    let Some(path) = world.fill(&route.path) else {
        return Some(Found::Nothing("a parameter has no value".into()));
    };
    let path = format!("{}{}", path.path(), world.query(route));
    let answer = world.org.owner.call(route.method.name(), &path, &world.body(route));
    if answer.status >= 300 {
        return Some(Found::Nothing(format!("{} {}", answer.status, answer.text())));
    }
    if answer.status == 204 {
        return Some(Found::Nothing("204".into()));
    }
    schema::doubt(document, schema, &answer.value(), &named(route)).map(Found::Wrong)
}

#[test]
fn every_answer_is_what_the_document_says() {
    let document = Server::start().anyone().get("/api/schema/?format=json").json(200);
    let says = |route: &Route| !matches!(route.responds, ResponseShape::Nothing | ResponseShape::Free);
    let walked = walk("answers", says, Server::start, |server, route| find(server, &document, route));
    let mut wrong = Vec::new();
    let walked = walked.into_iter().map(|(route, found)| match found {
        Some(Found::Nothing(why)) => (route, Some(why)),
        Some(Found::Wrong(what)) => {
            wrong.push(what);
            (route, None)
        }
        None => (route, None),
    });
    let walked: Vec<_> = walked.collect();
    assert_eq!(wrong, [""; 0]);
    only_named_are_uncovered("answers", walked);
}
