//! Archives and servers that mean harm: each is refused with a sentence, and leaves nothing.

use serde_json::json;
use tar::EntryType;

use crate::support::archives::{gzip, tar, tar_gz, zip};
use crate::support::plugin_hosts::Mirror;
use crate::support::web::{Latch, Page};

const MIB: usize = 1024 * 1024;
const MANIFEST: &[u8] = br#"{"name": "p"}"#;
const URL: &str = "https://github.com/u/r/archive/1.zip";

/// What is said of an archive, after which nothing is stored and the server goes on.
#[track_caller]
fn refused(page: Page) -> String {
    let mirror = Mirror::start();
    mirror.put_archive("1", page);
    let reason = mirror.install(URL).reason();
    mirror.is_empty();
    reason
}

#[track_caller]
fn refused_archive(bytes: Vec<u8>) -> String {
    refused(Page::Body(bytes))
}

#[test]
fn files_that_unpack_too_large_are_refused_whatever_their_headers_say() {
    let code = vec![b' '; 2 * MIB + 1];
    let large = "The file index.js is larger than 2097152 bytes.";
    let mut bomb = zip(&[("plugin.json", MANIFEST), ("index.js", &code)]);
    assert!(bomb.len() < MIB);
    assert_eq!(refused_archive(bomb.clone()), large);
    assert_eq!(refused_archive(tar_gz(&[("plugin.json", MANIFEST), ("index.js", &code)])), large);
    // The headers say that it is one byte long.
    let said = u32::try_from(code.len()).unwrap().to_le_bytes();
    let places: Vec<usize> = (0..bomb.len() - 4).filter(|place| bomb[*place..].starts_with(&said)).collect();
    assert_eq!(places.len(), 2, "one header in front of the file, one in the directory");
    for place in places {
        bomb[place..place + 4].copy_from_slice(&1_u32.to_le_bytes());
    }
    assert_eq!(
        refused_archive(bomb),
        "The archive can't be read: File is larger than its declared uncompressed size."
    );
    // As large as may be is fine.
    let mirror = Mirror::start();
    mirror.put_archive("1", Page::Body(zip(&[("plugin.json", MANIFEST), ("index.js", &code[1..])])));
    mirror.install(URL).json(201);
}

#[test]
fn an_archive_of_too_many_entries_is_refused() {
    let names: Vec<String> = (0..10_000).map(|number| format!("r/f{number}")).collect();
    let mut files: Vec<(&str, &[u8])> = vec![("r/plugin.json", MANIFEST)];
    files.extend(names.iter().map(|name| (name.as_str(), &b""[..])));
    let many = "The archive has more than 10000 entries.";
    assert_eq!(refused_archive(zip(&files)), many);
    assert_eq!(refused_archive(tar_gz(&files)), many);
}

#[test]
fn a_tar_that_unpacks_without_end_is_refused() {
    let filler = vec![0; 65 * MIB];
    let bomb = tar_gz(&[("r/filler", &filler), ("r/plugin.json", MANIFEST), ("r/index.js", b"")]);
    assert!(bomb.len() < MIB);
    assert_eq!(refused_archive(bomb), "The archive can't be read: it unpacks to more than 67108864 bytes.");
    // Nothing but zeros, and a bomb inside of a bomb.
    assert_eq!(
        refused_archive(gzip(&gzip(&filler))),
        "The archive can't be read: its headers make no sense."
    );
    assert!(refused_archive(gzip(&filler)).starts_with("Could not find plugin.json"));
}

#[test]
fn a_name_that_fills_the_memory_is_refused() {
    let long = vec![b'n'; MIB];
    for kind in [EntryType::GNULongName, EntryType::GNULongLink, EntryType::XHeader, EntryType::XGlobalHeader]
    {
        let archive = gzip(&tar(&[(kind, "x", &long), (EntryType::Regular, "plugin.json", MANIFEST)]));
        assert_eq!(refused_archive(archive), "The archive holds a name that is too long.", "{kind:?}");
    }
}

#[test]
fn names_that_lead_elsewhere_are_passed_over() {
    let evil: &[(&str, &[u8])] = &[
        ("../plugin.json", b"{\"name\": \"evil\"}"),
        ("/plugin.json", b"{\"name\": \"evil\"}"),
        ("r/../plugin.json", b"{\"name\": \"evil\"}"),
        ("..\\plugin.json", b"{\"name\": \"evil\"}"),
        ("r/../../../../../../tmp/orgd-was-here", b"evil"),
    ];
    let good: &[(&str, &[u8])] = &[("r/plugin.json", MANIFEST), ("r/index.js", b"good")];
    for archive in [zip(&[evil, good].concat()), tar_gz(&[evil, good].concat())] {
        let mirror = Mirror::start();
        mirror.put_archive("1", Page::Body(archive));
        let plugin = mirror.install(URL).json(201);
        assert_eq!(plugin["name"], "p");
        assert_eq!(mirror.source(&plugin["id"])["index.ts"], "good");
        assert!(!std::path::Path::new("/tmp/orgd-was-here").exists());
    }
    assert_eq!(refused_archive(zip(evil)), "Could not find plugin.json in the plugin");
    let main = |name: &str| {
        zip(&[("plugin.json", json!({"name": "p", "main": name}).to_string().as_bytes()), ("index.js", b"")])
    };
    for name in ["../index.js", "/index.js", "a/../index.js", "a\\..\\index.js", "index.js\0"] {
        let refusal = "The main file that plugin.json names must be a relative path without '..'.";
        assert_eq!(refused_archive(main(name)), refusal, "{name:?}");
    }
}

#[test]
fn links_and_devices_are_passed_over() {
    for kind in [EntryType::Symlink, EntryType::Link, EntryType::Char, EntryType::Block, EntryType::Fifo] {
        let entries = [(EntryType::Regular, "r/plugin.json", MANIFEST), (kind, "r/index.js", &b""[..])];
        let missing = "Could not find main file index.js or index.ts in plugin p";
        assert_eq!(refused_archive(gzip(&tar(&entries))), missing, "{kind:?}");
    }
    let mut writer = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let options = zip::write::SimpleFileOptions::default();
    writer.start_file("plugin.json", options).unwrap();
    std::io::Write::write_all(&mut writer, MANIFEST).unwrap();
    writer.add_symlink("index.js", "/etc/passwd", options).unwrap();
    let archive = writer.finish().unwrap().into_inner();
    assert_eq!(refused_archive(archive), "Could not find main file index.js or index.ts in plugin p");
}

#[test]
fn deep_json_is_refused() {
    let deep =
        |levels: usize| format!("{{\"name\": \"p\", \"a\": {}{}}}", "[".repeat(levels), "]".repeat(levels));
    let packed = |text: String| zip(&[("plugin.json", text.as_bytes()), ("index.js", b"")]);
    assert_eq!(refused_archive(packed(deep(64))), "plugin.json is nested more than 64 levels deep.");
    assert!(refused_archive(packed(deep(500_000))).starts_with("plugin.json is not valid JSON"));
}

#[test]
fn broken_archives_are_refused() {
    let good = zip(&[("r/plugin.json", MANIFEST), ("r/index.js", &vec![b'x'; 5000])]);
    let good_tar = tar_gz(&[("r/plugin.json", MANIFEST), ("r/index.js", &vec![b'x'; 5000])]);
    for broken in [
        Vec::new(),
        b"PK".to_vec(),
        b"<html>not found</html>".to_vec(),
        good[..good.len() - 10].to_vec(),
        good[..good.len() / 2].to_vec(),
        good_tar[..good_tar.len() / 2].to_vec(),
        vec![0x1f, 0x8b],
        vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3, 0xff, 0xff],
        gzip(b"not a tar"),
    ] {
        let detail = refused_archive(broken.clone());
        assert!(detail.starts_with("The archive can't be read: "), "{detail}");
    }
    // Wherever a byte is wrong, the answer is a plugin or a sentence.
    let mirror = Mirror::start();
    for (number, place) in (0..good.len()).step_by(7).enumerate() {
        let mut broken = good.clone();
        broken[place] ^= 0xff;
        mirror.put_archive(&format!("{number}"), Page::Body(broken));
        let status = mirror.install(&format!("https://github.com/u/r/archive/{number}.zip")).status;
        assert!(status == 400 || status == 201, "byte {place}: {status}");
    }
}

#[test]
fn a_directory_that_claims_more_than_there_is_is_refused() {
    let good = zip(&[("plugin.json", MANIFEST), ("index.js", b"")]);
    let end = good.len() - 22;
    assert!(good[end..].starts_with(b"PK\x05\x06"));
    // Entries, size and place of the directory.
    for (place, bytes) in [(8, 2), (16, 4), (8, 4), (8, 12)] {
        let mut lying = good.clone();
        lying[end + place..end + place + bytes].fill(0xfe);
        assert!(refused_archive(lying).starts_with("The archive "), "{place}");
    }
    // The larger form of the directory's end, which can claim anything.
    let mut lying = b"PK\x06\x06".to_vec();
    lying.extend(44_u64.to_le_bytes());
    lying.extend([45, 3, 45, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    for claimed in [1_u64 << 36, 1 << 36, 46 << 36, 1 << 40] {
        lying.extend(claimed.to_le_bytes());
    }
    lying.extend(b"PK\x06\x07\0\0\0\0\0\0\0\0\0\0\0\0\x01\0\0\0");
    lying.extend(b"PK\x05\x06\0\0\0\0");
    lying.extend([0xff; 12]);
    lying.extend([0, 0]);
    assert!(refused_archive(lying).starts_with("The archive can't be read: "));
}

#[test]
fn an_answer_that_is_too_large_is_refused_while_it_comes() {
    let head = |length: &str| format!("HTTP/1.1 200 OK\r\n{length}\r\n");
    for endless in [head(""), head("content-length: 999999999999\r\n"), head("content-length: 30000000\r\n")]
    {
        let detail = refused(Page::Endless(endless));
        assert!(detail.ends_with(" is larger than 20971520 bytes."), "{detail}");
    }
}

#[test]
fn an_answer_that_breaks_off_or_is_no_answer_is_refused() {
    let good = zip(&[("plugin.json", MANIFEST), ("index.js", b"")]);
    let longer = [b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n", &good[..]].concat();
    let detail = refused(Page::Raw(longer));
    assert!(detail.contains("broke off"), "{detail}");
    for odd in [&b""[..], b"nonsense\r\n\r\n", b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n"]
    {
        let detail = refused(Page::Raw(odd.to_vec()));
        assert!(
            detail.starts_with("Could not download archive from github. Reason: 127.0.0.1:")
                || detail.contains("broke off"),
            "{detail}"
        );
    }
    let head = [b"HTTP/1.1 200 OK\r\nx: ".to_vec(), vec![b'x'; 2 * MIB], b"\r\n\r\n".to_vec()].concat();
    assert!(refused(Page::Raw(head)).contains("could not be reached"));
    // A shorter length than what comes cuts the archive.
    let shorter = [b"HTTP/1.1 200 OK\r\ncontent-length: 30\r\n\r\n", &good[..]].concat();
    assert!(refused(Page::Raw(shorter)).starts_with("The archive can't be read"));
}

#[test]
fn a_server_that_hangs_or_drips_is_left_after_the_time() {
    let mirror = Mirror::with(|config| config.plugins.plugin_fetch_timeout = 1);
    for page in [Page::Hang, Page::Drip] {
        mirror.put_archive("1", page);
        let reason = mirror.install(URL).reason();
        assert!(reason.ends_with(" did not answer in full within 1 seconds."), "{reason}");
    }
    mirror.is_empty();
}

#[test]
fn other_requests_go_on_while_installs_wait() {
    let mirror = Mirror::start();
    let latch = Latch::default();
    let good = zip(&[("plugin.json", MANIFEST), ("index.js", b"")]);
    mirror.put_archive("1", Page::Held(latch.clone(), Box::new(Page::Body(good))));
    std::thread::scope(|scope| {
        // More than may be under way at once: the others wait for their turn.
        let installs: Vec<_> = (0..6).map(|_| scope.spawn(|| mirror.install(URL).status)).collect();
        mirror.web.wait_for(4);
        for number in 0..20 {
            let body = json!({"plugin_type": "source", "name": format!("p{number}")});
            mirror.create(body).json(201);
        }
        assert_eq!(mirror.web.paths().len(), 4);
        latch.open();
        let mut statuses: Vec<u16> = installs.into_iter().map(|install| install.join().unwrap()).collect();
        // All were under way before the first was stored.
        statuses.sort_unstable();
        assert_eq!(statuses, [201, 400, 400, 400, 400, 400]);
    });
    assert_eq!(mirror.org.owner.get(&mirror.org.at("plugins/")).json(200)["count"], 21);
}
