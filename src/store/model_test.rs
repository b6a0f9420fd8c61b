//! The store against a plain map: rows come and go, writes fail, batches overlap.

use std::collections::BTreeMap;

use redb::backends::InMemoryBackend;
use uuid::Uuid;

use super::{Index, Order, Storage, Store, Table, Tx, WriteTx, by_uuid, check};
use crate::error::{Error, Result};

/// Some groups have index rows, others too few rows for it.
static ROWS: Table<(Uuid, u32), u32> =
    Table::new("rows").counted(by_uuid).indexed(&[&BY_VALUE]).indexed_beyond(2);
static BY_VALUE: Index<(Uuid, u32), u32, (Uuid, u32, u32), ()> =
    Index::new("rows_by_value", |(group, number), value| Some(((*group, *value, *number), ())));
const GROUPS: u128 = 3;

type Model = BTreeMap<(Uuid, u32), u32>;

/// Numbers that look random and are the same in every run.
struct Lcg(u32);

impl Lcg {
    fn roll(&mut self, sides: u32) -> u32 {
        self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (self.0 >> 16) % sides
    }
}

/// One write: a few rows put or deleted, and perhaps a failure at the end.
#[derive(Clone)]
struct RandomWrite {
    changes: Vec<((Uuid, u32), Option<u32>)>,
    fails: bool,
}

impl RandomWrite {
    fn draw(random: &mut Lcg) -> RandomWrite {
        let change = |random: &mut Lcg| {
            let key = (Uuid::from_u128(u128::from(random.roll(3)) % GROUPS), random.roll(4));
            (key, (random.roll(2) == 0).then(|| random.roll(1000)))
        };
        let changes = (0..=random.roll(4)).map(|_| change(random)).collect();
        RandomWrite { changes, fails: random.roll(4) == 0 }
    }

    fn apply(&self, model: &mut Model) {
        for (key, value) in self.changes.iter().filter(|_| !self.fails) {
            match value {
                Some(value) => model.insert(*key, *value),
                None => model.remove(key),
            };
        }
    }

    fn run(&self, tx: &WriteTx) -> Result<()> {
        for (key, value) in &self.changes {
            match value {
                Some(value) => tx.put(&ROWS, key, value)?,
                None => tx.delete(&ROWS, key)?,
            }
        }
        if self.fails { Err(Error::internal("on purpose")) } else { Ok(()) }
    }
}

fn compare(tx: &Tx, model: &Model) {
    for group in (0..GROUPS).map(Uuid::from_u128) {
        let wanted: Vec<_> =
            model.range((group, 0)..=(group, u32::MAX)).map(|(key, value)| (*key, *value)).collect();
        assert_eq!(tx.scan(&ROWS, &group, Order::Ascending).unwrap(), wanted);
        assert_eq!(tx.count(&ROWS, &group).unwrap(), wanted.len() as u64);
        assert_eq!(tx.has_index_rows(&ROWS, &group).unwrap(), wanted.len() > 2);
        let indexed = if wanted.len() > 2 { wanted.len() } else { 0 };
        assert_eq!(tx.scan(&BY_VALUE, &group, Order::Ascending).unwrap().len(), indexed);
    }
}

#[tokio::test]
async fn it_holds_what_a_map_holds() {
    let place = Storage::Backend(Box::new(InMemoryBackend::new()));
    let store = Store::open(place, 1024 * 1024, vec![&ROWS]).unwrap();
    let (mut random, mut model) = (Lcg(7), Model::new());
    for _ in 0..200 {
        // As many writes at once may share a batch, and overlap the one before.
        let random_writes: Vec<RandomWrite> =
            (0..=random.roll(6)).map(|_| RandomWrite::draw(&mut random)).collect();
        let writes = random_writes.iter().cloned().map(|write| store.write(move |tx| write.run(tx)));
        let outcomes = futures_util::future::join_all(writes).await;
        for (write, outcome) in random_writes.iter().zip(outcomes) {
            assert_eq!(outcome.is_err(), write.fails);
            write.apply(&mut model);
        }
        store
            .read(|tx| {
                compare(tx, &model);
                assert_eq!(check(&store, tx)?, Vec::<String>::new());
                Ok(())
            })
            .unwrap();
    }
}

#[tokio::test]
async fn a_write_sees_what_it_has_done_itself() {
    let place = Storage::Backend(Box::new(InMemoryBackend::new()));
    let store = Store::open(place, 1024 * 1024, vec![&ROWS]).unwrap();
    let (mut random, mut model) = (Lcg(11), Model::new());
    for _ in 0..100 {
        let write = RandomWrite::draw(&mut random);
        let mut after = model.clone();
        RandomWrite { fails: false, ..write.clone() }.apply(&mut after);
        let outcome = store.write({
            let write = write.clone();
            move |tx| {
                let outcome = write.run(tx);
                compare(tx, &after);
                outcome
            }
        });
        assert_eq!(outcome.await.is_err(), write.fails);
        write.apply(&mut model);
    }
    store
        .read(|tx| {
            compare(tx, &model);
            Ok(())
        })
        .unwrap();
}
