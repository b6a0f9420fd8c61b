//! A storage that fails: nothing that was not acknowledged is there, nothing acknowledged is lost, and
//! the server says that it is ill instead of pretending.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex};

use orgd::store::Storage;
use redb::StorageBackend;
use serde_json::{Value, json};

use crate::support::smtp::{Manner, Smtp};
use crate::support::{Org, Server, text};

/// The bytes of a file, and what a power cut would leave of them: only what was synced.
#[derive(Debug, Default)]
struct Bytes {
    now: Mutex<Vec<u8>>,
    synced: Mutex<Vec<u8>>,
}

impl Bytes {
    fn after_power_cut(&self) -> Bytes {
        let bytes = self.synced.lock().expect("no panic").clone();
        Bytes { now: Mutex::new(bytes.clone()), synced: Mutex::new(bytes) }
    }
}

/// A disk with a data file and its write-ahead log.
#[derive(Debug)]
struct Disk {
    file: Bytes,
    log: Bytes,
    /// Refuses to sync, as a full or broken disk does.
    broken: AtomicBool,
    /// How many changes (writes, syncs, new lengths) still go well; less than none: all.
    left: AtomicI64,
    /// Whether only the one change fails, and not all after it.
    once: AtomicBool,
    /// Refuses to read.
    blind: AtomicBool,
}

impl Default for Disk {
    fn default() -> Disk {
        Disk {
            file: Bytes::default(),
            log: Bytes::default(),
            broken: AtomicBool::new(false),
            left: AtomicI64::new(-1),
            once: AtomicBool::new(false),
            blind: AtomicBool::new(false),
        }
    }
}

impl Disk {
    /// The disk as it is found after a power cut.
    fn after_power_cut(&self) -> Arc<Disk> {
        let (file, log) = (self.file.after_power_cut(), self.log.after_power_cut());
        Arc::new(Disk { file, log, ..Disk::default() })
    }

    /// Lets the change after `left` more fail, and all after it.
    fn fail_after(&self, left: i64, once: bool) {
        self.once.store(once, Ordering::SeqCst);
        self.left.store(left, Ordering::SeqCst);
    }

    fn heal(&self) {
        self.left.store(-1, Ordering::SeqCst);
        self.broken.store(false, Ordering::SeqCst);
        self.blind.store(false, Ordering::SeqCst);
    }

    fn change(&self) -> io::Result<()> {
        let left = self.left.load(Ordering::SeqCst);
        match left {
            ..0 => Ok(()),
            0 => {
                if self.once.load(Ordering::SeqCst) {
                    self.heal();
                }
                Err(io::ErrorKind::StorageFull.into())
            }
            1.. => {
                self.left.store(left - 1, Ordering::SeqCst);
                Ok(())
            }
        }
    }
}

/// The data file of a disk, or its log.
#[derive(Debug)]
struct Mounted(Arc<Disk>, fn(&Disk) -> &Bytes);

impl Mounted {
    fn bytes(&self) -> &Bytes {
        self.1(&self.0)
    }
}

fn storage(disk: &Arc<Disk>) -> Storage {
    let mounted = |bytes| Box::new(Mounted(Arc::clone(disk), bytes));
    Storage::Logged { file: mounted(|disk| &disk.file), log: mounted(|disk| &disk.log) }
}

impl StorageBackend for Mounted {
    fn len(&self) -> io::Result<u64> {
        Ok(self.bytes().now.lock().expect("no panic").len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        if self.0.blind.load(Ordering::SeqCst) {
            return Err(io::Error::other("the disk can't be read"));
        }
        let start = usize::try_from(offset).expect("an offset in memory");
        out.copy_from_slice(&self.bytes().now.lock().expect("no panic")[start..start + out.len()]);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.change()?;
        self.bytes()
            .now
            .lock()
            .expect("no panic")
            .resize(usize::try_from(len).expect("a length in memory"), 0);
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        if self.0.broken.load(Ordering::SeqCst) {
            return Err(io::Error::other("the disk is broken"));
        }
        self.0.change()?;
        *self.bytes().synced.lock().expect("no panic") = self.bytes().now.lock().expect("no panic").clone();
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.0.change()?;
        let start = usize::try_from(offset).expect("an offset in memory");
        self.bytes().now.lock().expect("no panic")[start..start + data.len()].copy_from_slice(data);
        Ok(())
    }
}

fn on(disk: &Arc<Disk>) -> Server {
    Server::open(storage(disk), |_| {})
}

fn names(page: &Value) -> Vec<String> {
    page["results"].as_array().expect("rows").iter().map(|row| text(&row["name"])).collect()
}

#[test]
fn a_power_cut_at_any_moment_leaves_all_that_was_acknowledged() {
    let disk = Arc::new(Disk::default());
    let server = on(&disk);
    let org = server.org();
    let mut cuts = Vec::new();
    for number in 0..20 {
        org.owner.post("/api/organizations/", json!({"name": format!("O{number}")})).json(201);
        cuts.push(disk.after_power_cut());
    }
    for (number, cut) in cuts.iter().enumerate() {
        let again = on(cut);
        let owner = crate::support::Person::unknown(&again, org.owner.email.clone()).logged_in();
        let there = names(&owner.get("/api/organizations/").json(200));
        let wanted: Vec<String> = std::iter::once("Acme".to_owned())
            .chain((0..=number).map(|number| format!("O{number}")))
            .collect();
        assert_eq!(there, wanted);
    }
}

/// How many changes of a commit are made to fail, one after the other: more than it has.
const CHANGES: i64 = 40;

fn names_of(org: &Org) -> Vec<String> {
    names(&org.owner.get("/api/organizations/?limit=1000").json(200))
}

/// Makes the change with this number fail, in one write after another until it has; then heals the disk. The
/// names of what was acknowledged.
#[track_caller]
fn outage(server: &Server, disk: &Disk, org: &Org, left: i64, once: bool) -> Vec<String> {
    let new = |name: String| org.owner.post("/api/organizations/", json!({"name": name}));
    let mut acknowledged = names_of(org);
    disk.fail_after(left, once);
    let failed = (0..).find(|number| {
        // Once may have been between two writes, when the file took over what the log had.
        if once && disk.left.load(Ordering::SeqCst) < 0 {
            return true;
        }
        let name = format!("C{left}-{once}-{number}");
        let answer = new(name.clone());
        assert!([201, 503].contains(&answer.status), "{}: {}", answer.status, answer.text());
        if answer.status == 201 {
            acknowledged.push(name);
            return false;
        }
        assert!(answer.header("retry-after").parse::<u32>().is_ok_and(|seconds| seconds > 0));
        true
    });
    assert!(failed.is_some());
    assert_eq!(names_of(org), acknowledged, "change {left} has failed, and readers go on");
    if !once {
        let anyone = server.anyone();
        assert_eq!(new("Refused".into()).status, 503);
        assert_eq!(anyone.get("/_health").status, 503);
        assert_eq!(anyone.get("/_livez").json(200), json!({"http": true, "database": false}));
        assert_eq!(anyone.get("/_readyz").json(503), json!({"http": true, "database": false}));
        disk.heal();
    }
    server.until("writes are taken again", || server.anyone().get("/_health").status == 200);
    assert_eq!(names_of(org), acknowledged, "change {left} has failed, and nothing of it is there");
    new(format!("After{left}-{once}")).json(201);
    acknowledged.push(format!("After{left}-{once}"));
    assert_eq!(names_of(org), acknowledged);
    acknowledged
}

#[test]
fn whichever_change_of_a_commit_fails_nothing_of_it_is_there_and_writes_work_again() {
    for once in [false, true] {
        let disk = Arc::new(Disk::default());
        let server = on(&disk);
        let org = server.org();
        for left in 0..CHANGES {
            let acknowledged = outage(&server, &disk, &org, left, once);
            if left % 10 == 0 {
                let again = on(&disk.after_power_cut());
                let owner = crate::support::Person::unknown(&again, org.owner.email.clone()).logged_in();
                assert_eq!(names(&owner.get("/api/organizations/?limit=1000").json(200)), acknowledged);
            }
        }
    }
}

#[test]
fn readers_and_writers_at_once_see_no_more_of_an_outage_than_refused_writes() {
    let disk = Arc::new(Disk::default());
    let server = on(&disk);
    let org = server.org();
    let is_over = AtomicBool::new(false);
    let acknowledged: Vec<String> = std::thread::scope(|scope| {
        let write = |writer: usize| {
            let (org, is_over) = (&org, &is_over);
            move || {
                let mut acknowledged = Vec::new();
                for number in 0.. {
                    if is_over.load(Ordering::SeqCst) {
                        break;
                    }
                    let name = format!("W{writer}-{number}");
                    let status = org.owner.post("/api/organizations/", json!({"name": name})).status;
                    assert!([201, 503].contains(&status), "{status}");
                    acknowledged.extend((status == 201).then_some(name));
                    assert_eq!(org.owner.get(&org.at("")).status, 200);
                }
                acknowledged
            }
        };
        let writers: Vec<_> = (0..4).map(|writer| scope.spawn(write(writer))).collect();
        for left in [3, 17, 0, 29, 8] {
            disk.fail_after(left, false);
            server.until("the disk is full", || server.anyone().get("/_health").status == 503);
            disk.heal();
            server.until("writes are taken again", || server.anyone().get("/_health").status == 200);
        }
        is_over.store(true, Ordering::SeqCst);
        writers.into_iter().flat_map(|writer| writer.join().expect("no panic")).collect()
    });
    let mut there = names_of(&org);
    there.retain(|name| name != "Acme");
    there.sort();
    let mut acknowledged = acknowledged;
    acknowledged.sort();
    assert_eq!(there, acknowledged);
}

#[test]
fn a_disk_that_could_not_be_read_for_a_while_is_read_again() {
    let disk = Arc::new(Disk::default());
    let server = Server::open(storage(&disk), |config| config.cache_mib = Some(0));
    let org = server.org();
    disk.blind.store(true, Ordering::SeqCst);
    let ill = org.owner.get(&org.at(""));
    assert!([200, 503].contains(&ill.status), "{}", ill.status);
    server.until("a read has failed", || server.anyone().get("/_readyz").status == 503);
    disk.heal();
    server.until("all is well", || server.anyone().get("/_readyz").status == 200);
    org.owner.get(&org.at("")).json(200);
    org.owner.post("/api/organizations/", json!({"name": "After"})).json(201);
}

#[test]
fn work_behind_the_requests_goes_on_after_an_outage() {
    let disk = Arc::new(Disk::default());
    let smtp = Smtp::start(Manner::Takes);
    let url = smtp.url();
    let server = Server::open(storage(&disk), |config| config.smtp_url = Some(url));
    let org = server.org();
    let invite = |name: &str| {
        let body = json!({"target_email": format!("{name}@example.com")});
        org.owner.post(&org.at("invites/"), body).status
    };
    disk.fail_after(0, false);
    assert_eq!(invite("lost"), 503);
    // The tasks look at the clock and find nothing that they could write down.
    server.pass(std::time::Duration::from_secs(3600));
    disk.heal();
    server.until("writes are taken again", || server.anyone().get("/_health").status == 200);
    assert_eq!(invite("kept"), 201);
    assert_eq!(smtp.message().0, "kept@example.com");
    server.pass_days(1);
    server.until("the log-in of a day ago is kept", || org.owner.get(&org.at("")).status == 200);
}

#[test]
fn a_disk_that_cannot_sync_acknowledges_nothing_and_is_told_of() {
    let disk = Arc::new(Disk::default());
    let server = on(&disk);
    let org = server.org();
    server.anyone().get("/_readyz").json(200);
    let good = disk.after_power_cut();
    disk.broken.store(true, Ordering::SeqCst);
    for number in 0..3 {
        let answer = org.owner.post("/api/organizations/", json!({"name": format!("Lost{number}")}));
        assert_eq!(answer.status, 503);
        assert_eq!(answer.value()["type"], "server_error");
        assert!(!answer.text().contains("disk"), "the cause is for the log: {}", answer.text());
    }
    assert_eq!(
        names(&org.owner.get("/api/organizations/").json(200)),
        ["Acme"],
        "readers see what is on disk"
    );
    let ready = server.anyone().get("/_readyz");
    assert_eq!((ready.status, ready.value()["database"].clone()), (503, json!(false)));
    let health = server.anyone().get("/_health");
    assert_eq!(health.status, 503);
    for answer in [ready, health] {
        assert_eq!(answer.header("retry-after"), "5");
    }
    drop(server);
    let again = on(&good);
    let owner = crate::support::Person::unknown(&again, org.owner.email.clone()).logged_in();
    assert_eq!(names(&owner.get("/api/organizations/").json(200)), ["Acme"]);
}

#[test]
fn a_failed_write_leaves_nothing_and_does_not_disturb_its_neighbours() {
    let server = Server::start();
    let org = server.org();
    let outcomes: Vec<u16> = std::thread::scope(|scope| {
        let write = |number: usize| {
            let org = &org;
            move || {
                // Every third entry fails late, after others of the same request were staged.
                let last = if number.is_multiple_of(3) {
                    json!({"target_email": org.owner.email})
                } else {
                    json!({"target_email": format!("z{number}@example.com")})
                };
                let body = json!([{"target_email": format!("a{number}@example.com")}, last]);
                org.owner.post(&org.at("invites/bulk/"), body).status
            }
        };
        let writers: Vec<_> = (0..30).map(|number| scope.spawn(write(number))).collect();
        writers.into_iter().map(|writer| writer.join().expect("no panic")).collect()
    });
    assert_eq!(outcomes.iter().filter(|status| **status == 200).count(), 20, "{outcomes:?}");
    assert_eq!(outcomes.iter().filter(|status| **status == 400).count(), 10, "{outcomes:?}");
    assert_eq!(org.owner.get(&org.at("invites/")).json(200)["count"], 40);
}

#[test]
fn captured_events_that_the_disk_cannot_take_are_to_be_sent_again() {
    let disk = Arc::new(Disk::default());
    let server = on(&disk);
    let org = server.org();
    let token = crate::support::exports::token(&org);
    let uuid = "018c0d7e-1111-7000-8000-000000000001";
    let event = json!({
        "event": "e", "distinct_id": "d", "uuid": uuid, "timestamp": "2024-06-01T12:00:00Z", "properties": {},
    });
    let old = json!({"api_key": token, "batch": [event]});
    let new = json!({"created_at": "2024-06-01T12:00:00Z", "batch": [event, {"uuid": uuid.replace("0001", "0002")}]});
    let bearer = format!("Bearer {token}");
    let send = |path: &str, body: &Value| {
        let headers = [("authorization", bearer.as_str()), ("content-type", "application/json")];
        server.anyone().send(ureq::http::Method::POST, path, body.to_string(), &headers)
    };
    disk.broken.store(true, Ordering::SeqCst);
    let refused = send("/batch/", &old);
    assert_eq!(refused.status, 503, "{}", refused.text());
    assert!(refused.header("retry-after").parse::<u32>().is_ok_and(|seconds| seconds > 0));
    let answer = send("/i/v1/analytics/events", &new);
    assert_eq!(answer.header("retry-after"), "1");
    let results = answer.json(200)["results"].clone();
    assert_eq!(results[uuid], json!({"result": "retry", "details": "not_persisted"}));
    // What is wrong with an event is wrong the next time as well.
    assert_eq!(results[uuid.replace("0001", "0002")]["result"], "drop");
    disk.heal();
    server.until("the events are taken", || {
        send("/i/v1/analytics/events", &new).json(200)["results"][uuid]["result"] == "ok"
    });
    send("/batch/", &old).json(200);
    let project = orgd::ids::ProjectId(u32::try_from(org.project).expect("a small number"));
    let count = server
        .app
        .store
        .read(|tx| orgd::resources::events::count(tx, project))
        .expect("the file can be read");
    assert_eq!(count, 1);
}
