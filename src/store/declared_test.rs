//! Declared tables: indexes and counts follow, conflicts change nothing, children are deleted with their parent,
//! and `check` finds what contradicts a declaration.

use redb::backends::InMemoryBackend;

use super::{
    AnyTable, Index, OnConflict, Order, Parent, ParentNamed, ParentThrough, Storage, Store, Table, Tx,
    WriteTx, by_uuid, check,
};
use crate::error::{Error, Result, not_found};
use uuid::Uuid;

type Key = (Uuid, u32);

/// Houses, by street and number; the record is the name.
static HOUSES: Table<Key, String> = Table::new("houses").counted(by_uuid).indexed(&[&BY_NAME]);
static BY_NAME: Index<Key, String, String, Key> =
    Index::unique("houses_by_name", |key, name| (!name.is_empty()).then(|| (name.to_lowercase(), *key)));
/// Keys, by the number of their house and their own.
static KEYS: Table<(u32, u32), String> =
    Table::new("keys").counted(|_| 4).belongs_to(&[&Parent::of(&HOUSES, |(_, number)| *number)]);
/// People; the record is the house that they live in.
static PEOPLE: Table<u32, Key> = Table::new("people").indexed(&[&BY_HOUSE]).belongs_to(&[&ParentThrough {
    table: &HOUSES,
    front: |house| *house,
    index: &BY_HOUSE,
    child: |(_, person), ()| *person,
}]);
static BY_HOUSE: Index<u32, Key, (Key, u32), ()> =
    Index::new("people_by_house", |person, house| Some(((*house, *person), ())));
/// Letters, by street and time; the record is the number of the house, if one is named.
static LETTERS: Table<Key, Option<u32>> = Table::new("letters").belongs_to(&[&ParentNamed {
    table: &HOUSES,
    children: || &LETTERS,
    front: |(street, _)| *street,
    parent: |(street, _), house| house.map(|house| (*street, house)),
}]);

const STREET: Uuid = Uuid::from_u128(1);

fn store() -> Store {
    let tables: Vec<&'static dyn AnyTable> = vec![&HOUSES, &KEYS, &PEOPLE, &LETTERS];
    Store::open(Storage::Backend(Box::new(InMemoryBackend::new())), 1024 * 1024, tables).unwrap()
}

fn house(tx: &WriteTx, number: u32, name: &str) -> Result<()> {
    tx.insert(&HOUSES, &(STREET, number), &name.to_owned()).on_conflict(&BY_NAME, not_found)
}

async fn write(store: &Store, work: impl FnMut(&WriteTx) -> Result<()> + Send + 'static) -> Result<()> {
    store.write(work).await
}

fn read<T>(store: &Store, work: impl FnOnce(&Tx) -> std::result::Result<T, super::StoreError>) -> T {
    store.read(|tx| Ok(work(tx)?)).unwrap()
}

fn problems(store: &Store) -> Vec<String> {
    read(store, |tx| check(store, tx))
}

fn named(store: &Store, name: &str) -> Option<u32> {
    read(store, |tx| tx.get(&BY_NAME, &name.to_owned())).map(|(_, number)| number)
}

#[tokio::test]
async fn indexes_follow_every_way_of_writing() {
    let store = store();
    write(&store, |tx| house(tx, 1, "Rose")).await.unwrap();
    assert_eq!(named(&store, "rose"), Some(1));
    let key = (STREET, 1);
    write(&store, move |tx| Ok(tx.put(&HOUSES, &key, &"Lily".into())?)).await.unwrap();
    assert_eq!((named(&store, "rose"), named(&store, "lily")), (None, Some(1)));
    write(&store, move |tx| Ok(tx.replace(&HOUSES, &key, &"Lily".into(), &"Iris".into())?)).await.unwrap();
    assert_eq!((named(&store, "lily"), named(&store, "iris")), (None, Some(1)));
    let change = move |tx: &WriteTx| {
        let mut name = tx.get(&HOUSES, &key)?.unwrap_or_default();
        Ok(tx.change(&HOUSES, &key, &mut name, String::clear)?)
    };
    write(&store, change).await.unwrap();
    assert_eq!(named(&store, "iris"), None, "the empty name has no row");
    write(&store, move |tx| Ok(tx.put(&HOUSES, &key, &"Rose".into())?)).await.unwrap();
    write(&store, move |tx| Ok(tx.delete(&HOUSES, &key)?)).await.unwrap();
    assert_eq!(named(&store, "rose"), None);
    assert_eq!(problems(&store), Vec::<String>::new());
}

#[tokio::test]
async fn a_taken_name_refuses_the_whole_write() {
    let store = store();
    write(&store, |tx| house(tx, 1, "Rose")).await.unwrap();
    let refused = write(&store, |tx| {
        house(tx, 2, "Lily")?;
        house(tx, 3, "ROSE")
    });
    assert!(matches!(refused.await, Err(Error::NotFound(_))), "the error of the resource");
    assert_eq!((named(&store, "rose"), named(&store, "lily")), (Some(1), None));
    let refused = write(&store, |tx| {
        house(tx, 2, "Lily")?;
        Ok(tx.put(&HOUSES, &(STREET, 2), &"rose".into())?)
    });
    assert!(refused.await.is_err(), "a change into a taken name");
    write(&store, |tx| Ok(tx.put(&HOUSES, &(STREET, 1), &"rose".into())?)).await.unwrap();
    assert_eq!(read(&store, |tx| tx.count(&HOUSES, &STREET)), 1);
    assert_eq!(problems(&store), Vec::<String>::new());
}

#[tokio::test]
async fn what_belongs_to_a_row_is_deleted_with_it_and_nothing_else() {
    let store = store();
    write(&store, |tx| {
        for number in [1, 2] {
            house(tx, number, "")?;
            for number_of_key in [1, 2, 3] {
                tx.insert(&KEYS, &(number, number_of_key), &"key".into())?;
            }
            tx.insert(&PEOPLE, &(10 + number), &(STREET, number))?;
            tx.insert(&LETTERS, &(STREET, 20 + number), &Some(number))?;
        }
        Ok(tx.insert(&LETTERS, &(STREET, 30), &None)?)
    })
    .await
    .unwrap();
    write(&store, |tx| Ok(tx.delete(&HOUSES, &(STREET, 1))?)).await.unwrap();
    read(&store, |tx| {
        assert_eq!(tx.all(&HOUSES)?.len(), 1);
        assert_eq!((tx.count(&KEYS, &1u32)?, tx.count(&KEYS, &2u32)?), (0, 3));
        assert_eq!(tx.all(&PEOPLE)?, [(12, (STREET, 2))]);
        assert_eq!(tx.all(&BY_HOUSE)?.len(), 1);
        let letters = tx.scan(&LETTERS, &STREET, Order::Ascending)?;
        assert_eq!(letters.iter().map(|((_, time), _)| *time).collect::<Vec<_>>(), [22, 30]);
        Ok(())
    });
    assert_eq!(problems(&store), Vec::<String>::new());
}

#[tokio::test]
async fn a_check_finds_what_contradicts_a_declaration() {
    // The same tables without their declarations, as a fault would write them.
    const HOUSES_ALONE: Table<Key, String> = Table::new("houses").counted(by_uuid);
    const NAMES_ALONE: Table<String, Key> = Table::new("houses_by_name");
    type Break = fn(&WriteTx) -> std::result::Result<(), super::StoreError>;
    let breaks: [(&str, Break); 6] = [
        ("a row of houses is not found by it", |tx| tx.delete(&NAMES_ALONE, &"rose".into())),
        ("a row of houses is not found by it", |tx| tx.put(&NAMES_ALONE, &"rose".into(), &(STREET, 9))),
        ("2 rows stand for 1 of houses", |tx| tx.put(&NAMES_ALONE, &"lily".into(), &(STREET, 1))),
        ("keys: 1 rows belong to no row of houses", |tx| tx.insert(&KEYS, &(7, 1), &"key".into())),
        ("people: 1 rows belong to no row of houses", |tx| tx.insert(&PEOPLE, &1, &(STREET, 7))),
        ("letters: 1 rows belong to no row of houses", |tx| tx.insert(&LETTERS, &(STREET, 1), &Some(7))),
    ];
    for (sentence, break_it) in breaks {
        let store = store();
        write(&store, |tx| house(tx, 1, "Rose")).await.unwrap();
        assert_eq!(problems(&store), Vec::<String>::new());
        write(&store, move |tx| Ok(break_it(tx)?)).await.unwrap();
        let found = problems(&store);
        assert!(found.iter().any(|problem| problem.contains(sentence)), "{sentence}: {found:?}");
    }
    let store = store();
    write(&store, |tx| Ok(tx.put(&HOUSES_ALONE, &(STREET, 1), &"Rose".into())?)).await.unwrap();
    assert!(!problems(&store).is_empty(), "a row whose index row was never written");
}
