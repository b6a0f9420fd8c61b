//! A storage that fails: nothing that was not acknowledged is there, nothing acknowledged is lost, and
//! the server says that it is ill instead of pretending.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use orgd::store::Place;
use redb::StorageBackend;
use serde_json::{Value, json};

use crate::support::{Server, text};

/// Memory that knows what a power cut would leave of it: only what was synced.
#[derive(Debug, Default)]
struct Disk {
    now: Mutex<Vec<u8>>,
    synced: Mutex<Vec<u8>>,
    /// Refuses to sync, as a full or broken disk does.
    broken: AtomicBool,
}

impl Disk {
    /// The disk as it is found after a power cut.
    fn after_power_cut(&self) -> Arc<Disk> {
        let bytes = self.synced.lock().expect("no panic").clone();
        Arc::new(Disk {
            now: Mutex::new(bytes.clone()),
            synced: Mutex::new(bytes),
            broken: AtomicBool::new(false),
        })
    }
}

#[derive(Debug)]
struct Mounted(Arc<Disk>);

impl StorageBackend for Mounted {
    fn len(&self) -> io::Result<u64> {
        Ok(self.0.now.lock().expect("no panic").len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let start = usize::try_from(offset).expect("an offset in memory");
        out.copy_from_slice(&self.0.now.lock().expect("no panic")[start..start + out.len()]);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.now.lock().expect("no panic").resize(usize::try_from(len).expect("a length in memory"), 0);
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        if self.0.broken.load(Ordering::SeqCst) {
            return Err(io::Error::other("the disk is broken"));
        }
        *self.0.synced.lock().expect("no panic") = self.0.now.lock().expect("no panic").clone();
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let start = usize::try_from(offset).expect("an offset in memory");
        self.0.now.lock().expect("no panic")[start..start + data.len()].copy_from_slice(data);
        Ok(())
    }
}

fn on(disk: &Arc<Disk>) -> Server {
    Server::open(Place::Backend(Box::new(Mounted(Arc::clone(disk)))), |_| {})
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
        assert!((500..600).contains(&answer.status), "{}", answer.status);
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
