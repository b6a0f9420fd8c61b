//! Pages of lists, of any length.
//!
//! The tree of a table does not count its rows, so the n-th of a list is found by walking there, from the nearer end. Whoever
//! walks far leaves marks on the way: the keys of some rows, cached like all that is made of rows, until the list changes.

use std::sync::{Arc, Mutex};

use super::StoreError;
use super::cache::Cacheable;
use super::codec::Record;
use super::key::Key;
use super::reads::Look;
use super::table::Table;
use super::tx::{KeyBytes, Order, Tx, after};

/// From so many rows on a walk leaves marks.
const FAR_ROWS: u64 = 1024;
/// Rows between two marks, at least.
const ROWS_BETWEEN_MIN: u64 = 128;
/// A long list has about so many marks.
const MARKS: u64 = 1024;
/// About what a mark takes, in bytes.
const MARK_BYTES: u64 = 100;

/// Some keys of a list, in one order, as far as somebody has walked.
struct Marks {
    between: u64,
    /// The key of the row that comes after so many, after twice as many, and so on.
    keys: Mutex<Vec<KeyBytes>>,
    bytes: usize,
}

impl Marks {
    fn of(total: u64) -> Marks {
        let between = (total / MARKS).max(ROWS_BETWEEN_MIN);
        let bytes = usize::try_from(total / between * MARK_BYTES).unwrap_or(usize::MAX);
        Marks { between, keys: Mutex::default(), bytes }
    }
}

impl Cacheable for Marks {
    fn bytes(&self) -> usize {
        size_of::<Marks>() + self.bytes
    }
}

/// The rows of a front, in one order.
struct List<'a> {
    table: &'static str,
    front: &'a [u8],
    order: Order,
}

impl Tx {
    /// `limit` rows of a counted front, from the `offset`-th on, and how many there are.
    pub fn page<K: Key, V: Record>(
        &self,
        table: &Table<K, V>,
        front: &impl Key,
        order: Order,
        offset: u64,
        limit: u64,
    ) -> crate::error::Result<(u64, Vec<(K, V)>)> {
        let total = self.count(table, front)?;
        let last = offset.saturating_add(limit).min(total);
        let wanted = usize::try_from(last.saturating_sub(offset)).unwrap_or(usize::MAX);
        let after_it = total - last;
        let rows = if after_it < offset {
            let mut rows = self.rows_from(table, front, order.reverse(), (after_it, total), wanted)?;
            rows.reverse();
            rows
        } else {
            self.rows_from(table, front, order, (offset, total), wanted)?
        };
        Ok((total, rows))
    }

    fn rows_from<K: Key, V: Record>(
        &self,
        table: &Table<K, V>,
        front: &impl Key,
        order: Order,
        (skip, total): (u64, u64),
        wanted: usize,
    ) -> crate::error::Result<Vec<(K, V)>> {
        if skip >= FAR_ROWS {
            let front = front.key_bytes();
            let list = List { table: table.info.name, front: &front, order };
            if let Some((key, rest)) = self.mark_before(&list, skip, total)? {
                let rows = self.list_from(&list, Some(&key))?;
                return Ok(Tx::read_some(rows, rest, wanted)?);
            }
        }
        Ok(self.skip_take(table, front, order, skip, wanted)?)
    }

    /// The key of the last mark before the row that comes after so many, and how many come between; `None` where somebody
    /// else is setting marks.
    fn mark_before(
        &self,
        list: &List<'_>,
        skip: u64,
        total: u64,
    ) -> crate::error::Result<Option<(KeyBytes, usize)>> {
        if self.is_writing() {
            return Ok(None);
        }
        let key =
            [list.table.as_bytes(), &[0, u8::from(list.order == Order::Ascending)], list.front].concat();
        let marks: Arc<Marks> = self.cached("marks", &key, || {
            self.committed(list.table, Look::Front(list.front))?;
            Ok(Marks::of(total))
        })?;
        let Ok(mut keys) = marks.keys.try_lock() else { return Ok(None) };
        let number = usize::try_from(skip / marks.between).unwrap_or(usize::MAX);
        self.set_marks(list, &mut keys, marks.between, number)?;
        let rest = usize::try_from(skip % marks.between).unwrap_or(usize::MAX);
        Ok(number.checked_sub(1).and_then(|place| keys.get(place)).map(|key| (key.clone(), rest)))
    }

    /// Walks on from the last mark until there are so many.
    fn set_marks(
        &self,
        list: &List<'_>,
        keys: &mut Vec<KeyBytes>,
        between: u64,
        number: usize,
    ) -> Result<(), StoreError> {
        if keys.len() >= number {
            return Ok(());
        }
        let between = usize::try_from(between).unwrap_or(usize::MAX);
        let rows = self.list_from(list, keys.last().map(Vec::as_slice))?;
        for row in rows.skip(between).step_by(between).take(number - keys.len()) {
            keys.push(row?.into_key());
        }
        Ok(())
    }

    /// The rows of the list, from this key on.
    fn list_from(&self, list: &List<'_>, from: Option<&[u8]>) -> Result<super::tx::RowIter, StoreError> {
        let List { table, front, order } = *list;
        let committed = self.committed(table, Look::Front(front))?;
        let behind = after(front);
        match (from, order) {
            (None, _) => self.rows_between(committed, table, front, behind.as_deref(), order),
            (Some(key), Order::Ascending) => {
                self.rows_between(committed, table, key, behind.as_deref(), order)
            }
            (Some(key), Order::Descending) => {
                let next = [key, &[0]].concat();
                self.rows_between(committed, table, front, Some(&next), order)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Storage, Store, by_uuid};
    use super::*;

    static LISTED: Table<([u8; 16], u32), u32> = Table::new("listed").counted(by_uuid);

    #[tokio::test]
    async fn every_page_of_a_long_list_is_what_a_walk_finds_before_and_after_changes() {
        let store = Store::open(Storage::memory(), 16 * 1024 * 1024, vec![&LISTED]).unwrap();
        let fronts = [[1u8; 16], [2; 16]];
        let rows: u32 = 6000;
        let fill = store.write(move |tx| {
            for number in 0..rows {
                for front in fronts {
                    tx.put(&LISTED, &(front, number * 2), &number)?;
                }
            }
            Ok(())
        });
        fill.await.unwrap();
        for change in 0..4u32 {
            for (offset, limit) in
                [(0, 10), (1023, 5), (1024, 100), (2999, 2), (3000, 100), (4500, 7), (5990, 50), (9000, 3)]
            {
                for order in [Order::Ascending, Order::Descending] {
                    let read = store.read(|tx| {
                        let page = tx.page(&LISTED, &fronts[0], order, offset, limit)?;
                        let all = tx.scan(&LISTED, &fronts[0], order)?;
                        Ok((page, all))
                    });
                    let ((total, page), all) = read.unwrap();
                    let size = |number: u64| usize::try_from(number).unwrap();
                    let walked: Vec<_> = all.iter().skip(size(offset)).take(size(limit)).copied().collect();
                    assert_eq!((total, page), (all.len() as u64, walked), "{offset} {order:?} {change}");
                }
            }
            // One more before the marks, and one less.
            let change = store.write(move |tx| {
                tx.put(&LISTED, &(fronts[0], change * 2 + 1), &0)?;
                Ok(tx.delete(&LISTED, &(fronts[0], 8000 + change * 2))?)
            });
            change.await.unwrap();
        }
    }
}
