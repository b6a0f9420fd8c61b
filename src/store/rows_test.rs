//! All rows of a state, copied into another file: the same digest, whatever else happens meanwhile.

use std::path::Path;

use super::{ClosedFile, Contents, NewFile, Pinned, Rows, Step, Storage, Store, StoreError, Table, WriteTx};
use crate::clock::Time;
use crate::error::Result;

static SMALL: Table<u32, String> = Table::new("small");
static LARGE: Table<u32, Vec<u8>> = Table::new("large");
static NONE: Table<u32, String> = Table::new("none");
const NOW: Time = Time(1_700_000_000_000_000);

fn open(path: &Path) -> Store {
    Store::open(Storage::File(path.to_owned()), 1024 * 1024, vec![&SMALL, &LARGE, &NONE]).unwrap()
}

async fn write(store: &Store, work: impl FnMut(&WriteTx) -> Result<()> + Send + 'static) {
    store.write(work).await.unwrap();
}

fn copy(mut rows: Pinned, to: &Path, note: Option<&str>) -> Contents {
    let mut file = NewFile::create(to).unwrap();
    let contents = file.fill(&mut rows).unwrap();
    file.finish(note).unwrap();
    contents
}

fn contents(path: &Path) -> Contents {
    let mut file = ClosedFile::open(path, 1024 * 1024).unwrap();
    file.prove().unwrap();
    file.rows(NOW).unwrap().contents().unwrap()
}

#[tokio::test]
async fn a_copy_has_the_digest_of_the_state_that_was_pinned() {
    let folder = tempfile::tempdir().unwrap();
    let (one, two) = (folder.path().join("one"), folder.path().join("two"));
    let store = open(&one);
    for number in 0..40_u32 {
        write(&store, move |tx| {
            tx.put(&SMALL, &number, &format!("s{number}"))?;
            Ok(tx.put(&LARGE, &(number % 7), &vec![number as u8; 100_000])?)
        })
        .await;
    }
    let pinned = store.pin(NOW).unwrap();
    assert_eq!(pinned.header().taken(), NOW);
    // What comes later is in the next copy.
    write(&store, |tx| Ok(tx.delete(&SMALL, &3)?)).await;
    let copied = copy(pinned, &two, Some("note"));
    assert_eq!((copied.tables["small"], copied.tables["large"], copied.rows), (40, 7, 49), "meta has two");
    assert!(!copied.tables.contains_key("none"));
    let later = store.pin(NOW).unwrap().contents().unwrap();
    assert_ne!(later.digest, copied.digest);
    drop(store);
    assert_eq!(contents(&one), later);
    assert_eq!(contents(&two), copied, "the note is no part of it");
    assert_eq!(ClosedFile::open(&two, 4096).unwrap().note(), Some("note"));
    assert!(two.metadata().unwrap().len() <= one.metadata().unwrap().len());
    // A copy is an ordinary data file; once it was opened to be written, it is no backup any more.
    drop(open(&two));
    assert_eq!(ClosedFile::open(&two, 4096).unwrap().note(), None);
    assert_eq!(contents(&two), copied);
    super::compact(&one).unwrap();
    assert_eq!(contents(&one), later);
}

#[tokio::test]
async fn tables_of_another_program_are_copied_as_well() {
    let folder = tempfile::tempdir().unwrap();
    let (one, two) = (folder.path().join("one"), folder.path().join("two"));
    static UNKNOWN: Table<u32, String> = Table::new("unknown").harmless();
    let store = Store::open(Storage::File(one.clone()), 1024 * 1024, vec![&SMALL, &UNKNOWN]).unwrap();
    write(&store, |tx| Ok(tx.put(&UNKNOWN, &1, &"theirs".to_owned())?)).await;
    drop(store);
    let store = open(&one);
    let copied = copy(store.pin(NOW).unwrap(), &two, None);
    assert_eq!(copied.tables["unknown"], 1);
    assert_eq!(contents(&two), copied);
    assert!(ClosedFile::open(&one, 4096).is_err_and(|failure| failure.is_in_use()));
}

/// Rows whose end does not fit them.
struct Liar(Pinned);

impl Rows for Liar {
    fn header(&self) -> &super::Header {
        self.0.header()
    }
    fn next(&mut self) -> std::result::Result<Step, StoreError> {
        Ok(match self.0.next()? {
            Step::Row(key, record) if record.ends_with(b"s1") => Step::Row(key, [&record[..], b"!"].concat()),
            step => step,
        })
    }
}

#[tokio::test]
async fn rows_that_changed_on_their_way_are_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder.path().join("one"));
    write(&store, |tx| Ok(tx.put(&SMALL, &1, &"s1".to_owned())?)).await;
    let mut file = NewFile::create(&folder.path().join("two")).unwrap();
    let refused = file.fill(&mut Liar(store.pin(NOW).unwrap())).unwrap_err().to_string();
    assert!(refused.contains("not those that were sent"), "{refused}");
}
