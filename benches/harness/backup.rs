//! What a backup costs those who write meanwhile.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use orgd::clock::Clock;
use orgd::store::{ClosedFile, NewFile, Storage, Store, Table};

static LARGE: Table<u32, Vec<u8>> = Table::new("large");
/// Rows of the file, of 3 KiB each.
const ROWS: u32 = 130_000;
const WRITERS: u32 = 8;
const CACHE_BYTES: usize = 16 << 20;

/// Eight callers write one row after the other, without a backup and during one.
pub fn meanwhile() {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    let (data, copy) = (folder.path().join("data.redb"), folder.path().join("copy.redb"));
    let store = Store::open(Storage::File(data.clone()), CACHE_BYTES, vec![&LARGE]).expect("a store");
    let store = Arc::new(store);
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        for batch in 0..ROWS / 1000 {
            let fill = move |tx: &orgd::store::WriteTx| {
                for row in 0..1000 {
                    // What can't be packed.
                    let record: Vec<u8> =
                        (0..3072_u32).map(|at| (at.wrapping_mul(row + 7) >> 3) as u8).collect();
                    tx.put(&LARGE, &(batch * 1000 + row), &record)?;
                }
                Ok(())
            };
            store.write(fill).await.expect("a write");
        }
    });
    let bytes = data.metadata().expect("the file").len();
    println!("{WRITERS} callers write to a file of {} MB", bytes / 1_000_000);
    let alone = || runtime.block_on(latencies(&store, || std::thread::park_timeout(Duration::from_secs(8))));
    let before = alone();
    let mut took = Duration::ZERO;
    let during = runtime.block_on(latencies(&store, || {
        let started = Instant::now();
        back_up(&store, &copy);
        took = started.elapsed();
    }));
    println!(
        "a backup takes {:.1} s, {} MB",
        took.as_secs_f64(),
        copy.metadata().expect("a copy").len() / 1_000_000
    );
    let after = alone();
    for (what, sorted) in [("before a backup", &before), ("during a backup", &during), ("after it", &after)] {
        let at = |share: usize| sorted[(sorted.len() - 1) * share / 1000].as_secs_f64() * 1e3;
        println!(
            "{what:<20} p50 {:>7.2} ms   p99 {:>7.2} ms   max {:>7.2} ms   {} writes",
            at(500),
            at(990),
            at(1000),
            sorted.len()
        );
    }
    let p99 = |sorted: &[Duration]| sorted[(sorted.len() - 1) * 99 / 100].as_secs_f64();
    let quiet = p99(&before).min(p99(&after));
    println!("p99 during a backup: {:.2} times that without", p99(&during) / quiet);
}

/// How long writes take, in order, until `work` is done.
async fn latencies(store: &Arc<Store>, work: impl FnOnce()) -> Vec<Duration> {
    let ended = Arc::new(AtomicBool::new(false));
    let mut writers = tokio::task::JoinSet::new();
    for writer in 0..WRITERS {
        let (store, ended) = (Arc::clone(store), Arc::clone(&ended));
        writers.spawn(async move {
            let mut latencies = Vec::new();
            for number in 0.. {
                if ended.load(Ordering::Relaxed) {
                    break;
                }
                let started = Instant::now();
                let key = (number * WRITERS + writer) % ROWS;
                store.write(move |tx| Ok(tx.put(&LARGE, &key, &vec![7; 300])?)).await.expect("a write");
                latencies.push(started.elapsed());
            }
            latencies
        });
    }
    tokio::task::block_in_place(work);
    ended.store(true, Ordering::Relaxed);
    let mut all = Vec::new();
    while let Some(done) = writers.join_next().await {
        all.extend(done.expect("no panic"));
    }
    all.sort_unstable();
    all
}

/// As `orgd backup` does it: written, brought to the disk, opened again, proved, compared.
fn back_up(store: &Store, copy: &Path) {
    let mut rows = store.pin(Clock::default().now()).expect("a state");
    let mut file = NewFile::create(copy).expect("a file");
    let contents = file.fill(&mut rows).expect("rows");
    file.finish(None).expect("a file");
    let mut closed = ClosedFile::open(copy, CACHE_BYTES).expect("a copy");
    closed.prove().expect("a whole one");
    assert_eq!(closed.rows(Clock::default().now()).expect("rows").contents().expect("rows"), contents);
}
