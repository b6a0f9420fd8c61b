//! What a service manager is told, over a socket of its own.

use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

use crate::support::{Serving, orgd};

fn next(socket: &UnixDatagram) -> String {
    let mut bytes = [0; 1024];
    let count = socket.recv(&mut bytes).expect("the manager is told");
    String::from_utf8_lossy(&bytes[..count]).into_owned()
}

#[test]
fn a_manager_hears_of_the_start_of_life_and_of_the_end() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("notify");
    let name = format!("orgd-test-{}", std::process::id());
    let address = SocketAddr::from_abstract_name(&name).expect("a name");
    for (place, socket) in [
        (path.display().to_string(), UnixDatagram::bind(&path)),
        (format!("@{name}"), UnixDatagram::bind_addr(&address)),
    ] {
        let socket = socket.expect("a socket");
        socket.set_read_timeout(Some(Duration::from_secs(60))).expect("a timeout");
        let data = folder.path().join("orgd.redb");
        let server = Serving::of(
            orgd(&["serve", "--listen", "127.0.0.1:0", "--data"])
                .arg(&data)
                .env("NOTIFY_SOCKET", &place)
                .env("WATCHDOG_USEC", "30000"),
        );
        let ready = next(&socket);
        assert_eq!(ready, format!("READY=1\nSTATUS=Listening on {}", server.base), "{place}");
        for _ in 0..3 {
            assert_eq!(next(&socket), "WATCHDOG=1");
        }
        let heard = || {
            let mut said = next(&socket);
            while said == "WATCHDOG=1" {
                said = next(&socket);
            }
            said
        };
        server.signal("HUP");
        let said = heard();
        let micros = said.strip_prefix("RELOADING=1\nMONOTONIC_USEC=").map(str::parse::<u64>);
        assert!(micros.is_some_and(|micros| micros.is_ok_and(|micros| micros > 0)), "{said}");
        assert_eq!(heard(), "READY=1");
        server.signal("TERM");
        let said = heard();
        assert!(said.starts_with("STOPPING=1\nSTATUS="), "{said}");
        assert_eq!(server.wait(), Some(0));
    }
}

#[test]
fn nobody_is_told_where_nobody_listens() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("orgd.redb");
    for place in ["", "/nowhere/at/all", "@nobody"] {
        let server = Serving::of(
            orgd(&["serve", "--listen", "127.0.0.1:0", "--data"])
                .arg(&data)
                .env("NOTIFY_SOCKET", place)
                .env("WATCHDOG_USEC", "30000"),
        );
        assert_eq!(server.stop(), Some(0), "{place}");
    }
}
