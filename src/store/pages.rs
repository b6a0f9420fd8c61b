//! A data file in memory, of which a copy costs next to nothing: copies share their pages until one of them is written.

use std::fmt;
use std::io::{self, ErrorKind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use redb::StorageBackend;

const PAGE_BYTES: usize = 4096;
/// Pages that are listed together; a list is copied when one of its pages is written for the first time.
const PAGES_LISTED: usize = 256;
const LIST_BYTES: usize = PAGE_BYTES * PAGES_LISTED;

type List = [Arc<Page>; PAGES_LISTED];

#[derive(Clone)]
struct Page {
    /// By themselves: with counters beside them they would take the allocator's next larger size, a quarter more.
    bytes: Box<[u8; PAGE_BYTES]>,
    /// Counts it for as long as it is there.
    _counted: Counted,
}

/// One more page of a file and its copies.
struct Counted(Arc<AtomicU64>);

impl Counted {
    fn new(count: &Arc<AtomicU64>) -> Counted {
        count.fetch_add(1, Ordering::Relaxed);
        Counted(Arc::clone(count))
    }
}

impl Clone for Counted {
    fn clone(&self) -> Counted {
        Counted::new(&self.0)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The bytes of a file at one moment. Clones share them.
#[derive(Clone)]
pub struct Frozen {
    lists: Vec<Arc<List>>,
    /// In bytes. What the last list has beyond it is zero.
    len: u64,
    /// How many pages this file and all copies of it have.
    count: Arc<AtomicU64>,
}

/// Storage for one open data file. Clones are the same storage, so that whoever keeps one can copy the file while it is
/// open: a copy is as good as a file after the process was killed, with every commit that was acknowledged.
#[derive(Clone)]
pub struct Pages(Arc<RwLock<Frozen>>);

impl fmt::Debug for Pages {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Pages").field("len", &self.read().len).finish_non_exhaustive()
    }
}

impl Frozen {
    /// The file that holds these bytes.
    pub fn of(bytes: &[u8]) -> Frozen {
        let pages = Pages::empty();
        pages.write().set_len(bytes.len() as u64);
        pages.write().write(0, bytes);
        pages.freeze()
    }

    /// Storage that begins with these bytes and goes its own way from here on.
    pub fn open(&self) -> Pages {
        Pages(Arc::new(RwLock::new(self.clone())))
    }

    /// In bytes.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// The memory of what differs from `base`, of which this is a copy, in bytes.
    pub fn bytes_beside(&self, base: &Frozen) -> u64 {
        let differing = |(number, list): (usize, &Arc<List>)| match base.lists.get(number) {
            Some(other) if Arc::ptr_eq(list, other) => 0,
            Some(other) => {
                list.iter().zip(other.iter()).filter(|(one, other)| !Arc::ptr_eq(one, other)).count()
            }
            None => list.len(),
        };
        self.lists.iter().enumerate().map(differing).sum::<usize>() as u64 * PAGE_BYTES as u64
    }

    /// Whether there is nothing yet.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Writes all bytes, in order.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn write_to(&self, out: &mut impl io::Write) -> io::Result<()> {
        let mut left = usize::try_from(self.len).unwrap_or(usize::MAX);
        for page in self.lists.iter().flat_map(|list| list.iter()) {
            let taken = left.min(PAGE_BYTES);
            out.write_all(&page.bytes[..taken])?;
            left -= taken;
        }
        Ok(())
    }

    /// Where a byte is: list, page, place in the page.
    fn place(offset: u64) -> (usize, usize, usize) {
        let offset = usize::try_from(offset).unwrap_or(usize::MAX);
        (offset / LIST_BYTES, offset % LIST_BYTES / PAGE_BYTES, offset % PAGE_BYTES)
    }

    fn check(&self, offset: u64, length: usize) -> io::Result<()> {
        let end = offset.checked_add(length as u64);
        if end.is_some_and(|end| end <= self.len) {
            return Ok(());
        }
        Err(io::Error::new(ErrorKind::UnexpectedEof, "beyond the end of the file"))
    }

    fn read(&self, mut offset: u64, mut out: &mut [u8]) {
        while !out.is_empty() {
            let (list, page, start) = Frozen::place(offset);
            let (part, rest) = out.split_at_mut(out.len().min(PAGE_BYTES - start));
            part.copy_from_slice(&self.lists[list][page].bytes[start..start + part.len()]);
            offset += part.len() as u64;
            out = rest;
        }
    }

    /// Writes within the length.
    fn write(&mut self, mut offset: u64, mut data: &[u8]) {
        while !data.is_empty() {
            let (list, page, start) = Frozen::place(offset);
            let (part, rest) = data.split_at(data.len().min(PAGE_BYTES - start));
            let page = &mut Arc::make_mut(&mut self.lists[list])[page];
            Arc::make_mut(page).bytes[start..start + part.len()].copy_from_slice(part);
            offset += part.len() as u64;
            data = rest;
        }
    }

    /// New bytes are zero.
    fn set_len(&mut self, len: u64) {
        let lists = usize::try_from(len.div_ceil(LIST_BYTES as u64)).unwrap_or(usize::MAX);
        if len < self.len {
            self.lists.truncate(lists);
            self.clear(len, self.len.min(lists as u64 * LIST_BYTES as u64));
        } else if lists > self.lists.len() {
            let zero =
                Arc::new(Page { bytes: Box::new([0; PAGE_BYTES]), _counted: Counted::new(&self.count) });
            let empty: Arc<List> = Arc::new(std::array::from_fn(|_| Arc::clone(&zero)));
            self.lists.resize(lists, empty);
        }
        self.len = len;
    }

    /// Makes these bytes zero.
    fn clear(&mut self, begin: u64, end: u64) {
        let mut offset = begin;
        while offset < end {
            let (_, _, start) = Frozen::place(offset);
            let part = ((PAGE_BYTES - start) as u64).min(end - offset);
            self.write(offset, &[0; PAGE_BYTES][..part as usize]);
            offset += part;
        }
    }
}

impl Pages {
    /// Storage for a new file.
    pub fn empty() -> Pages {
        Frozen { lists: Vec::new(), len: 0, count: Arc::default() }.open()
    }

    /// The bytes as they are now.
    pub fn freeze(&self) -> Frozen {
        self.read().clone()
    }

    /// In bytes.
    pub fn bytes(&self) -> u64 {
        self.read().len
    }

    /// The memory of this file and all copies of it, together, in bytes.
    pub fn bytes_of_all(&self) -> u64 {
        self.read().count.load(Ordering::Relaxed) * PAGE_BYTES as u64
    }

    /// The memory of what differs from `base`, of which this is a copy, in bytes.
    pub fn bytes_beside(&self, base: &Frozen) -> u64 {
        self.read().bytes_beside(base)
    }

    fn read(&self) -> RwLockReadGuard<'_, Frozen> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Frozen> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl StorageBackend for Pages {
    fn len(&self) -> io::Result<u64> {
        Ok(self.read().len)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let bytes = self.read();
        bytes.check(offset, out.len())?;
        bytes.read(offset, out);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.write().set_len(len);
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut bytes = self.write();
        bytes.check(offset, data.len())?;
        bytes.write(offset, data);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use rand::rngs::StdRng;
    use rand::{Rng, RngCore, SeedableRng};

    use super::*;

    fn all(frozen: &Frozen) -> Vec<u8> {
        let mut bytes = Vec::new();
        frozen.write_to(&mut bytes).unwrap();
        bytes
    }

    /// A plain vector beside each storage: any order of writes, cuts, copies and openings leaves them equal.
    #[test]
    fn copies_are_what_plain_copies_would_be() {
        let mut random = StdRng::seed_from_u64(20_261_127);
        let mut kept: Vec<(Pages, Vec<u8>)> = vec![(Pages::empty(), Vec::new())];
        for _ in 0..3000 {
            let (count, chosen) = (kept.len(), random.random_range(0..kept.len()));
            let (pages, plain) = &mut kept[chosen];
            match random.random_range(0..10) {
                0 => {
                    let len = random.random_range(0..3 * LIST_BYTES);
                    StorageBackend::set_len(pages, len as u64).unwrap();
                    plain.resize(len, 0);
                }
                1 if count < 8 => {
                    let copy = (pages.freeze().open(), plain.clone());
                    kept.push(copy);
                }
                2 if count > 4 => drop(kept.swap_remove(chosen)),
                _ if !plain.is_empty() => {
                    let begin = random.random_range(0..plain.len());
                    let end = (begin + random.random_range(0..3 * PAGE_BYTES)).min(plain.len());
                    random.fill_bytes(&mut plain[begin..end]);
                    StorageBackend::write(pages, begin as u64, &plain[begin..end]).unwrap();
                    let mut read = vec![0; end - begin];
                    StorageBackend::read(pages, begin as u64, &mut read).unwrap();
                    assert!(read == plain[begin..end]);
                }
                _ => {}
            }
        }
        for (pages, plain) in &kept {
            assert!(all(&pages.freeze()) == *plain);
            assert!(all(&Frozen::of(plain)) == *plain);
        }
    }

    #[test]
    fn nothing_is_read_or_written_beyond_the_end() {
        let pages = Frozen::of(&[7; 5000]).open();
        for (offset, length) in [(4999, 2), (5000, 1), (u64::MAX, 1)] {
            assert!(StorageBackend::read(&pages, offset, &mut vec![0; length]).is_err(), "{offset}");
            assert!(StorageBackend::write(&pages, offset, &vec![0; length]).is_err(), "{offset}");
        }
        assert!(all(&pages.freeze()) == [7; 5000]);
    }

    #[test]
    fn only_what_was_written_takes_memory_and_what_nobody_has_any_more_takes_none() {
        const PAGE: u64 = PAGE_BYTES as u64;
        let base = Frozen::of(&[7; 100 * PAGE_BYTES]);
        let pages = base.open();
        let of_all = pages.bytes_of_all();
        assert_eq!(pages.bytes_beside(&base), 0);
        for _ in 0..3 {
            StorageBackend::write(&pages, PAGE - 1, &[1, 2]).unwrap();
            assert_eq!((pages.bytes_beside(&base), pages.bytes_of_all() - of_all), (2 * PAGE, 2 * PAGE));
        }
        let copy = pages.freeze();
        StorageBackend::write(&pages, 0, &[3]).unwrap();
        assert_eq!((pages.bytes_beside(&copy), pages.bytes_of_all() - of_all), (PAGE, 3 * PAGE));
        drop(copy);
        assert_eq!(pages.bytes_of_all() - of_all, 2 * PAGE);
        assert!(all(&base) == [7; 100 * PAGE_BYTES]);
        drop((pages, base.clone()));
        assert_eq!(base.open().bytes_of_all(), of_all);
    }
}
