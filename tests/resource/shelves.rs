//! Shelves of an organization, and the books on them: resources with everything that one can declare.
//! Invariant: a shelf's name is unique in its organization; a book belongs to a shelf.

use orgd::api::{Call, Field, FieldInfo, Level, Paging, Reply, Within};
use orgd::app::{Route, Tag, read, scope, tagged, write};
use orgd::error::{Result, invalid, not_found};
use orgd::ids::OrganizationId;
use orgd::resources::samples::{ONE, Samples, TWO};
use orgd::resources::{Resource, organizations};
use orgd::store::{Index, Json, OnConflict, Order, Parent, Problems, Table, Tx, WriteTx, by_uuid};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

pub static RESOURCE: Resource =
    Resource::of(routes).tables(&[&SHELVES, &BOOKS]).samples(samples).checks(&[check]);

fn routes() -> Vec<Route> {
    const TAG: Tag =
        Tag { name: "shelves", noun: "shelf", about: "Where the books of an organization stand." };
    let all = "/api/organizations/{organization_id}/shelves/";
    let one = "/api/organizations/{organization_id}/shelves/{id}/";
    let organization = Within::Organization("organization_id");
    let routes = vec![
        Route::get(all, scope("organization:read"), organization, read(list))
            .responds_page(FIELDS)
            .about("List shelves", "In the order of their making."),
        Route::post(all, scope("organization:write"), organization, write(create))
            .accepts(FIELDS)
            .responds(201, FIELDS)
            .about("Create a shelf", "From admin level on. Its books are made with it."),
        Route::delete(one, scope("organization:write"), organization, write(remove))
            .responds_nothing()
            .about("Delete a shelf", "With its books. From admin level on."),
    ];
    tagged(TAG, routes)
}

#[derive(Serialize, Deserialize)]
struct Shelf {
    name: String,
    kind: ShelfKind,
}

#[derive(Serialize, Deserialize)]
enum ShelfKind {
    Wood,
    Steel(u8),
}

/// By organization and time.
static SHELVES: Table<(OrganizationId, Uuid), Shelf> = Table::new("shelves")
    .counted(by_uuid)
    .indexed(&[&BY_NAME])
    .belongs_to(&[&Parent::of(&organizations::ORGANIZATIONS, |organization| *organization)]);
/// By organization and name in lower case.
static BY_NAME: Index<(OrganizationId, Uuid), Shelf, (OrganizationId, String), Uuid> =
    Index::unique("shelves_by_name", |(organization, id), shelf| {
        Some(((*organization, shelf.name.to_lowercase()), *id))
    });
/// Titles, by shelf and place.
pub static BOOKS: Table<(Uuid, u32), String> =
    Table::new("books").belongs_to(&[&Parent::of(&SHELVES, |(_, shelf)| *shelf)]);

const NAME: Field<String> = Field::text("name", 20).required();
const TITLES: Field<Json> = Field::json("books").described("The titles of the books on it.");
const FIELDS: &[FieldInfo] = &[Field::uuid("id").read_only(), NAME.info(), TITLES.info()];

#[derive(Serialize)]
struct Wire<'a> {
    id: Uuid,
    name: &'a str,
    books: Vec<String>,
}

fn wire<'a>(tx: &Tx, id: Uuid, shelf: &'a Shelf) -> Result<Wire<'a>> {
    let books = tx.scan(&BOOKS, &id, Order::Ascending)?.into_iter().map(|(_, title)| title).collect();
    Ok(Wire { id, name: &shelf.name, books })
}

fn list(call: &Call, tx: &Tx) -> Result<Reply> {
    let organization = call.place.in_organization()?.id;
    let paging = Paging::of(call);
    let (total, page) = tx.page(&SHELVES, &organization, Order::Ascending, paging.offset, paging.limit)?;
    let shelves = page.iter().map(|((_, id), shelf)| wire(tx, *id, shelf)).collect::<Result<Vec<_>>>()?;
    paging.reply(call, total, &shelves)
}

fn create(call: &Call, tx: &WriteTx) -> Result<Reply> {
    let organization = call.place.in_organization()?.require(Level::Admin)?;
    let mut form = call.form(FIELDS)?;
    let shelf = Shelf { name: form.take(NAME).unwrap_or_default(), kind: ShelfKind::Wood };
    let books = form.take(TITLES).map(|titles| titles.value());
    form.finish();
    let id = call.new_id();
    let taken = || invalid("name", "unique", "shelf with this name already exists.");
    tx.insert(&SHELVES, &(organization, id), &shelf).on_conflict(&BY_NAME, taken)?;
    let titles = books.iter().filter_map(|books| books.as_array()).flatten();
    for (place, title) in (0..).zip(titles.filter_map(|title| title.as_str())) {
        tx.insert(&BOOKS, &(id, place), &title.to_owned())?;
    }
    Reply::created(&wire(tx, id, &shelf)?)
}

fn remove(call: &Call, tx: &WriteTx) -> Result<Reply> {
    let organization = call.place.in_organization()?.require(Level::Admin)?;
    let key = (organization, call.id("id")?);
    if !tx.has(&SHELVES, &key)? {
        return Err(not_found());
    }
    tx.delete(&SHELVES, &key)?;
    Reply::no_content()
}

/// No book is without a title.
fn check(tx: &Tx, problems: &mut Problems) -> Result<()> {
    for ((shelf, place), title) in tx.all(&BOOKS)? {
        if title.is_empty() {
            problems.push(format!("book {place} on shelf {shelf} has no title"));
        }
    }
    Ok(())
}

fn samples(all: &mut Samples) {
    all.add(&SHELVES, (ONE.into(), TWO), Shelf { name: "Old".into(), kind: ShelfKind::Steel(3) });
    all.add(&BOOKS, (TWO, 7), "Emma".into());
    all.variants("kind of shelf", &orgd::every!(ShelfKind { Wood, Steel(3) }));
}
