//! The store alone: durable writes by many callers, against plain syncs of the same disk in the same run; and pages of
//! the audit log of a million entries, against those of a thousand; and what a backup costs those who write meanwhile.
//!
//! `cargo bench --bench store`, or one of the three by name: `-- writes`, `-- audit`, `-- backup`.

#![expect(clippy::print_stdout, reason = "the figures are the product")]
#![expect(unreachable_pub, reason = "everything here is of one crate")]

#[path = "harness/audit_log.rs"]
mod audit_log;
#[path = "harness/backup.rs"]
mod backup;
#[path = "harness/fsync.rs"]
mod fsync;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use fsync::syncs_per_second;
use orgd::clock::{Clock, Ids};
use orgd::store::{AnyTable, Order, Storage, Store, Table, by_uuid};
use uuid::Uuid;

static ROWS: Table<(Uuid, Uuid), Vec<u8>> = Table::new("rows").counted(by_uuid);
static INDEX: Table<Uuid, Uuid> = Table::new("index");

async fn writes(store: &Arc<Store>, callers: usize, total: u64) -> (f64, Duration) {
    let (clock, ids, next) = (Clock::default(), Arc::new(Ids::default()), Arc::new(AtomicU64::new(0)));
    let group = ids.uuid(clock.now());
    let started = Instant::now();
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..callers {
        let (store, ids, next) = (Arc::clone(store), Arc::clone(&ids), Arc::clone(&next));
        tasks.spawn(async move {
            let mut latencies = Vec::new();
            while next.fetch_add(1, Ordering::Relaxed) < total {
                let id = ids.uuid(Clock::default().now());
                let started = Instant::now();
                let write = store.write(move |tx| {
                    tx.put(&ROWS, &(group, id), &vec![7; 300])?;
                    Ok(tx.put(&INDEX, &id, &group)?)
                });
                write.await.expect("a write");
                latencies.push(started.elapsed());
            }
            latencies
        });
    }
    let mut latencies = Vec::new();
    while let Some(done) = tasks.join_next().await {
        latencies.extend(done.expect("no panic"));
    }
    latencies.sort_unstable();
    (total as f64 / started.elapsed().as_secs_f64(), latencies[latencies.len() / 2])
}

fn timed(what: &str, times: u32, mut work: impl FnMut()) {
    let started = Instant::now();
    for _ in 0..times {
        work();
    }
    println!("{what:<48} {:>10.2} us", started.elapsed().as_secs_f64() * 1e6 / f64::from(times));
}

fn main() {
    let wanted: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    let parts: [(&str, fn()); 3] =
        [("writes", durable_writes), ("audit", audit_log::pages), ("backup", backup::meanwhile)];
    for (_, run) in
        parts.iter().filter(|(name, _)| wanted.is_empty() || wanted.iter().any(|word| word == name))
    {
        run();
    }
}

fn durable_writes() {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    let path = folder.path().join("store.redb");
    let tables = || -> Vec<&'static dyn AnyTable> { vec![&ROWS, &INDEX] };
    let open = || Arc::new(Store::open(Storage::File(path.clone()), 16 << 20, tables()).expect("a store"));
    let store = open();
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        for (callers, total) in [(1, 1_500), (8, 10_000), (64, 60_000), (256, 150_000)] {
            let before = syncs_per_second(folder.path());
            let (rate, p50) = writes(&store, callers, total).await;
            let syncs = before.midpoint(syncs_per_second(folder.path()));
            println!(
                "durable writes, {callers:>3} callers against fdatasync/s   {:>8.2}x   {rate:.0}/s, p50 {} us",
                rate / syncs,
                p50.as_micros()
            );
        }
    });
    let some = store.read(|tx| Ok(tx.first(&ROWS, 1)?)).expect("rows").remove(0).0;
    timed("get", 200_000, || {
        store.read(|tx| Ok(tx.get(&ROWS, &some)?)).expect("a row").expect("a row");
    });
    timed("first page of 100", 5_000, || {
        store.read(|tx| tx.page(&ROWS, &some.0, Order::Descending, 0, 100)).expect("rows");
    });
    drop(store);
    timed("open", 20, || drop(open()));
}
