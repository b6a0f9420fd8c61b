//! The write-ahead log, as a crash, damage or somebody who copies files may leave it.

use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex};

use redb::StorageBackend;

use super::{Storage, Store, StoreError, Table, log_beside};

static ROWS: Table<String, u32> = Table::new("rows");
const CACHE_BYTES: usize = 1024 * 1024;

/// Bytes that outlive the store on them.
#[derive(Clone, Debug, Default)]
struct Bytes(Arc<Mutex<Vec<u8>>>);

impl Bytes {
    fn of(bytes: &[u8]) -> Bytes {
        Bytes(Arc::new(Mutex::new(bytes.to_vec())))
    }

    fn now(&self) -> Vec<u8> {
        self.0.lock().unwrap().clone()
    }
}

impl StorageBackend for Bytes {
    fn len(&self) -> io::Result<u64> {
        Ok(self.0.lock().unwrap().len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let start = usize::try_from(offset).unwrap();
        out.copy_from_slice(&self.0.lock().unwrap()[start..start + out.len()]);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.lock().unwrap().resize(usize::try_from(len).unwrap(), 0);
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let start = usize::try_from(offset).unwrap();
        self.0.lock().unwrap()[start..start + data.len()].copy_from_slice(data);
        Ok(())
    }
}

fn open(file: &Bytes, log: &Bytes) -> Result<Store, StoreError> {
    let place = Storage::Logged { file: Box::new(file.clone()), log: Box::new(log.clone()) };
    Store::open(place, CACHE_BYTES, vec![&ROWS])
}

async fn put(store: &Store, number: u32) {
    store.write(move |tx| Ok(tx.put(&ROWS, &format!("row {number}"), &number)?)).await.unwrap();
}

fn rows(store: &Store) -> Vec<u32> {
    store.read(|tx| Ok(tx.all(&ROWS)?.into_iter().map(|(_, number)| number).collect())).unwrap()
}

/// A file and its log as a crash leaves them after so many writes; the third begins the log, and the rest lie in it.
async fn crashed(writes: u32) -> (Vec<u8>, Vec<u8>) {
    let (file, log) = (Bytes::default(), Bytes::default());
    let store = open(&file, &log).unwrap();
    for number in 0..writes {
        put(&store, number).await;
    }
    let left = (file.now(), log.now());
    drop(store);
    left
}

/// Where the entries of the log begin, and where the last one ends.
fn places(log: &[u8]) -> Vec<usize> {
    let mut places: Vec<usize> = (0..log.len()).filter(|place| log[*place..].starts_with(b"orgw")).collect();
    let last = *places.last().unwrap();
    let length: [u8; 4] = log[last + 28..last + 32].try_into().unwrap();
    places.push(last + 36 + usize::try_from(u32::from_be_bytes(length)).unwrap());
    places
}

#[tokio::test]
async fn after_a_crash_the_file_takes_over_what_the_log_has_and_goes_on() {
    let (file, log) = crashed(6).await;
    assert_eq!(
        rows(&open(&Bytes::of(&file), &Bytes::default()).unwrap()),
        [0, 1, 2],
        "the rest is in the log alone"
    );
    let (file, log) = (Bytes::of(&file), Bytes::of(&log));
    for more in 6..9 {
        let store = open(&file, &log).unwrap();
        assert_eq!(rows(&store), (0..more).collect::<Vec<_>>());
        put(&store, more).await;
    }
    assert_eq!(rows(&open(&file, &Bytes::default()).unwrap()), (0..9).collect::<Vec<_>>(), "all was closed");
}

#[tokio::test]
async fn a_log_that_breaks_off_anywhere_has_the_writes_before() {
    let (file, log) = crashed(6).await;
    let places = places(&log);
    for (whole, place) in places.iter().enumerate() {
        let ends = [*place, place + 1, place + 35, place + 36, place + 37].into_iter();
        for end in ends.chain(places.get(whole + 1).map(|next| next - 1)) {
            for rest in [0, 0xff] {
                let mut torn = log.clone();
                torn[end..].fill(rest);
                let store = open(&Bytes::of(&file), &Bytes::of(&torn)).unwrap();
                let there = u32::try_from(whole).unwrap() + 2;
                assert_eq!(rows(&store), (0..=there).collect::<Vec<_>>(), "{end} bytes, then {rest}");
            }
        }
    }
}

#[tokio::test]
async fn an_entry_that_is_damaged_before_whole_ones_is_told_and_neither_is_lost() {
    let (file, log) = crashed(6).await;
    let places = places(&log);
    for pair in places[..places.len() - 1].windows(2) {
        for place in [pair[0], pair[0] + 20, pair[0] + 31, pair[0] + 33, pair[0] + 40, pair[1] - 1] {
            let mut damaged = log.clone();
            damaged[place] ^= 1;
            let (file, ill) = (Bytes::of(&file), Bytes::of(&damaged));
            let failure = open(&file, &ill).err().unwrap().to_string();
            assert!(failure.contains("write-ahead log"), "{place}: {failure}");
            assert!(damaged == ill.now(), "{place}");
            assert_eq!(rows(&open(&file, &Bytes::of(&log)).unwrap()), [0, 1, 2, 3, 4, 5], "{place}");
        }
    }
}

#[tokio::test]
async fn a_log_of_another_file_or_of_another_state_is_refused_and_stays() {
    let (file, log) = crashed(6).await;
    let (other, _) = crashed(6).await;
    let empty = {
        let file = Bytes::default();
        drop(open(&file, &Bytes::default()).unwrap());
        file.now()
    };
    // The file went on after the log was copied, by another opening.
    let later = {
        let (file, log) = (Bytes::of(&file), Bytes::of(&log));
        put(&open(&file, &log).unwrap(), 6).await;
        file.now()
    };
    // The log went on, round after round, after the file was copied.
    let (older, newer) = {
        let (file, log) = (Bytes::of(&file), Bytes::of(&log));
        let store = open(&file, &log).unwrap();
        put(&store, 6).await;
        let older = file.now();
        for number in 7..13 {
            let large = "x".repeat(900_000);
            store.write(move |tx| Ok(tx.put(&ROWS, &format!("{large}{number}"), &number)?)).await.unwrap();
        }
        (older, log.now())
    };
    for (file, log) in [(&other, &log), (&empty, &log), (&later, &log), (&older, &newer)] {
        let (file, log) = (Bytes::of(file), Bytes::of(log));
        let before = log.now();
        let failure = open(&file, &log).err().unwrap().to_string();
        assert!(failure.contains("another state"), "{failure}");
        assert!(before == log.now());
    }
}

#[tokio::test]
async fn what_has_no_place_in_the_log_goes_to_the_file() {
    let (file, log) = (Bytes::default(), Bytes::default());
    let store = open(&file, &log).unwrap();
    let mut wanted = Vec::new();
    for number in 0..12 {
        let key = "x".repeat(if number % 4 == 3 { 5_000_000 } else { 700_000 });
        store.write(move |tx| Ok(tx.put(&ROWS, &format!("{number:02}{key}"), &number)?)).await.unwrap();
        wanted.push(number);
        let (file, log) = (Bytes::of(&file.now()), Bytes::of(&log.now()));
        assert_eq!(rows(&open(&file, &log).unwrap()), wanted);
        assert!(log.now().len() <= 4 * 1024 * 1024);
    }
}

#[tokio::test]
async fn beside_a_file_the_log_is_there_while_it_is_open_and_is_set_aside_where_the_file_is_new() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("data");
    let open = |place: Storage| Store::open(place, CACHE_BYTES, vec![&ROWS]);
    let at = |path: &Path| Storage::File(path.to_owned());
    let store = open(at(&path)).unwrap();
    put(&store, 0).await;
    put(&store, 1).await;
    assert!(!log_beside(&path).exists(), "who writes little needs none");
    put(&store, 2).await;
    put(&store, 3).await;
    // As a crash leaves them.
    let left = folder.path().join("left");
    std::fs::copy(&path, &left).unwrap();
    std::fs::copy(log_beside(&path), log_beside(&left)).unwrap();
    drop(store);
    assert!(!log_beside(&path).exists(), "a file that was closed has everything");
    let bytes = std::fs::read(&left).unwrap();
    assert_eq!(rows(&open(Storage::Untouched(left.clone())).unwrap()), [0, 1, 2, 3]);
    assert_eq!(rows(&open(Storage::copy_of(&left).unwrap()).unwrap()), [0, 1, 2, 3]);
    assert!(bytes == std::fs::read(&left).unwrap(), "both only looked");
    #[cfg(unix)]
    {
        let link = folder.path().join("link");
        std::os::unix::fs::symlink(&left, &link).unwrap();
        assert_eq!(rows(&open(Storage::Untouched(link)).unwrap()), [0, 1, 2, 3]);
    }
    std::fs::remove_file(&left).unwrap();
    let store = open(at(&left)).unwrap();
    assert!(rows(&store).is_empty(), "a new file");
    assert!(folder.path().join("left-wal.old").exists());
}

#[tokio::test]
async fn a_file_that_goes_on_in_a_log_says_so_where_the_log_was_left_behind() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let open = |place: Storage| Store::open(place, CACHE_BYTES, vec![&ROWS]).unwrap();
    let original = open(Storage::File(at("data")));
    put(&original, 0).await;
    put(&original, 1).await;
    std::fs::copy(at("data"), at("early")).unwrap();
    put(&original, 2).await;
    std::fs::copy(at("data"), at("alone")).unwrap();
    put(&original, 3).await;
    // The file of before the log that the log does not follow.
    std::fs::copy(log_beside(&at("data")), log_beside(&at("early"))).unwrap();
    let early = Store::open(Storage::File(at("early")), CACHE_BYTES, vec![&ROWS]).err().unwrap().to_string();
    let log = log_beside(&at("early"));
    assert!(early.contains(log.to_str().unwrap()) && early.contains("another state"), "{early}");
    std::fs::remove_file(log).unwrap();
    assert_eq!(open(Storage::File(at("early"))).doubt(), None, "all was in the file then");
    // There is a warning until something is written.
    for place in [Storage::Untouched(at("alone")), Storage::copy_of(&at("alone")).unwrap()] {
        let looked = open(place);
        assert!(looked.doubt().unwrap().contains("goes on in"));
        assert_eq!(rows(&looked), [0, 1, 2]);
    }
    let warning = open(Storage::File(at("alone"))).doubt().unwrap().to_owned();
    assert!(warning.contains(log_beside(&at("alone")).to_str().unwrap()), "{warning}");
    let store = open(Storage::File(at("alone")));
    assert_eq!(store.doubt(), Some(warning.as_str()));
    put(&store, 4).await;
    drop(store);
    assert_eq!(open(Storage::File(at("alone"))).doubt(), None, "it goes on from there");
    drop(original);
    assert_eq!(open(Storage::File(at("data"))).doubt(), None, "it was closed");
}
