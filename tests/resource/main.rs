//! A resource that is added by one line: its routes, its access, its tables, what is deleted with what, the check of
//! the file, the stored bytes and the OpenAPI document follow from what it declares.

#![recursion_limit = "256"]
#![expect(unreachable_pub, reason = "everything here is of one crate")]

mod shelves;
#[path = "../api/support/mod.rs"]
#[expect(dead_code, unused_imports, reason = "the tests of the API use the rest")]
mod support;

use orgd::error::Result;
use orgd::resources::{Resource, integrity, registry};
use orgd::store::{Order, WriteTx};
use serde_json::json;
use support::{Org, Server};
use uuid::Uuid;

/// The one line.
const ADDED: &[&Resource] = &[&shelves::RESOURCE];

/// A server with the resource.
fn start() -> (Server, Org) {
    registry::add(ADDED);
    let server = Server::start();
    let org = server.org();
    (server, org)
}

fn books_on(server: &Server, shelf: &str) -> usize {
    let shelf = Uuid::parse_str(shelf).expect("an id");
    let all = server.app.store.read(|tx| Ok(tx.scan(&shelves::BOOKS, &shelf, Order::Ascending)?));
    all.expect("the file can be read").len()
}

fn write(server: &Server, work: impl FnMut(&WriteTx) -> Result<()> + Send + 'static) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    runtime.block_on(server.app.store.write(work)).expect("the file can be written");
}

/// The names of the tables that hold the id.
fn tables_with(server: &Server, id: &str) -> Vec<&'static str> {
    let id = Uuid::parse_str(id).expect("an id");
    let holds = |bytes: &[u8]| bytes.windows(16).any(|part| part == id.as_bytes());
    let rows = server.all_rows();
    rows.iter().filter(|(_, key, value)| holds(key) || holds(value)).map(|(table, _, _)| *table).collect()
}

#[test]
fn its_routes_answer_those_who_may() {
    let (server, org) = start();
    let member = org.member(&server);
    let body = json!({"name": "Novels", "books": ["Emma", "Middlemarch"]});
    let shelf = org.owner.post(&org.at("shelves/"), body.clone()).json(201);
    assert_eq!(shelf["books"], json!(["Emma", "Middlemarch"]));
    member.post(&org.at("shelves/"), body.clone()).denied("Your organization access level is insufficient.");
    assert_eq!(member.get(&org.at("shelves/")).json(200)["results"], json!([shelf]));
    assert_eq!(server.org().owner.get(&org.at("shelves/")).status, 403, "a stranger");
    assert_eq!(server.anyone().get(&org.at("shelves/")).status, 401);
    let other = json!({"name": "NOVELS"});
    org.owner.post(&org.at("shelves/"), other).invalid(
        "name",
        "unique",
        "shelf with this name already exists.",
    );
    assert_eq!(org.owner.get(&org.at("shelves/")).json(200)["count"], 1);
    let one = org.at(&format!("shelves/{}/", shelf["id"].as_str().expect("an id")));
    assert_eq!(org.owner.delete(&one).status, 204);
    assert_eq!(org.owner.delete(&one).status, 404);
    org.owner.post(&org.at("shelves/"), json!({"name": "Novels"})).json(201);
}

#[test]
fn what_belongs_to_it_is_deleted_with_it_and_it_with_its_organization() {
    let (server, org) = start();
    let make = |name: &str| {
        let body = json!({"name": name, "books": ["Emma"]});
        let shelf = org.owner.post(&org.at("shelves/"), body).json(201);
        shelf["id"].as_str().expect("an id").to_owned()
    };
    let (first, second) = (make("First"), make("Second"));
    assert_eq!(org.owner.delete(&org.at(&format!("shelves/{first}/"))).status, 204);
    assert_eq!((books_on(&server, &first), books_on(&server, &second)), (0, 1));
    assert_eq!(tables_with(&server, &first), Vec::<&str>::new());
    assert_eq!(tables_with(&server, &second), ["shelves", "shelves_by_name", "books"]);
    assert_eq!(org.owner.delete(&org.at("")).status, 204);
    assert_eq!(tables_with(&server, &second), Vec::<&str>::new());
}

#[test]
fn the_check_of_the_file_knows_its_declarations_and_its_own_rule() {
    let (server, org) = start();
    org.owner.post(&org.at("shelves/"), json!({"name": "First", "books": [""]})).json(201);
    let found = integrity::check(&server.app.store).expect("the file can be read");
    assert!(found.len() == 1 && found[0].contains("has no title"), "{found:?}");
    write(&server, |tx| {
        for (key, _) in tx.all(&shelves::BOOKS)? {
            tx.delete(&shelves::BOOKS, &key)?;
        }
        Ok(tx.insert(&shelves::BOOKS, &(Uuid::from_u128(7), 0), &"Lost".into())?)
    });
    let found = integrity::check(&server.app.store).expect("the file can be read");
    assert_eq!(found, ["books: 1 rows belong to no row of shelves"]);
    write(&server, |tx| Ok(tx.delete(&shelves::BOOKS, &(Uuid::from_u128(7), 0))?));
}

/// Release builds have no samples.
#[cfg(debug_assertions)]
#[test]
fn its_stored_bytes_are_frozen() {
    let mut samples = orgd::resources::samples::Samples::default();
    (shelves::RESOURCE.samples)(&mut samples);
    let one = "01920000000070008000000000000001";
    let two = "01920000000070008000000000000002";
    let wanted = [
        "(kind of shelf): 0100 010103".to_owned(),
        format!("books: {two}00000007 = 0104456d6d61"),
        format!("shelves: {one}{two} = 01034f6c640103"),
        format!("shelves_by_name: {one}6f6c640000 = 0110{two}"),
    ];
    assert_eq!(samples.text().lines().collect::<Vec<_>>(), wanted);
}

#[test]
fn the_document_describes_it() {
    let (server, _) = start();
    let document = server.anyone().get("/api/schema/?format=json").json(200);
    let create = &document["paths"]["/api/organizations/{organization_id}/shelves/"]["post"];
    assert_eq!(create["operationId"], "organizations_shelves_create");
    assert_eq!((&create["tags"], &create["summary"]), (&json!(["shelves"]), &json!("Create a shelf")));
    assert!(document["tags"].as_array().expect("tags").iter().any(|tag| tag["name"] == "shelves"));
}
