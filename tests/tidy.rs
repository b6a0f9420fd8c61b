//! The order of the layers, and what must not be left lying about.

use std::fs;
use std::path::{Path, PathBuf};

fn sources(folder: &str) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|ending| ending == "rs") {
                let text = fs::read_to_string(&path).expect("text");
                found.push((path, text));
            }
        }
    }
    found
}

/// The folder or file right below `src` that a source belongs to.
fn layer(path: &Path) -> String {
    let below = path.strip_prefix(Path::new(env!("CARGO_MANIFEST_DIR")).join("src")).expect("a source");
    let first = below.components().next().expect("a name").as_os_str().to_string_lossy().into_owned();
    first.trim_end_matches(".rs").to_owned()
}

/// What a source names of this crate, outside of its tests.
fn uses(text: &str) -> impl Iterator<Item = &str> {
    let product = text.split("#[cfg(test)]").next().unwrap_or_default();
    product.match_indices("crate::").map(move |(place, word)| {
        let rest = &product[place + word.len()..];
        &rest[..rest.find(|letter: char| !letter.is_alphanumeric() && letter != '_').unwrap_or(rest.len())]
    })
}

#[test]
fn layers_see_only_what_lies_below_them() {
    for (layer_name, forbidden) in [
        (
            "clock",
            &[
                "error",
                "store",
                "api",
                "auth",
                "resources",
                "routes",
                "http",
                "background",
                "operator",
                "app",
            ][..],
        ),
        ("error", &["api", "auth", "resources", "routes", "http", "background", "operator", "app"]),
        ("store", &["api", "auth", "resources", "routes", "http", "background", "operator", "app", "config"]),
        (
            "outbound",
            &[
                "config",
                "api",
                "auth",
                "resources",
                "routes",
                "http",
                "background",
                "operator",
                "app",
                "store",
            ],
        ),
        ("resources", &["routes", "http", "background", "operator"]),
        ("auth", &["routes", "http", "background", "operator", "app"]),
        ("background", &["http", "routes", "operator"]),
        ("http", &["background", "operator"]),
    ] {
        for (path, text) in sources("src").into_iter().filter(|(path, _)| layer(path) == layer_name) {
            for used in uses(&text) {
                assert!(!forbidden.contains(&used), "{} may not name crate::{used}", path.display());
            }
        }
    }
}

#[test]
fn each_library_is_named_where_it_belongs() {
    for (library, homes) in [
        ("redb::", &["store"][..]),
        ("bincode::", &["store"]),
        ("hyper::", &["http", "outbound"]),
        ("hyper_util::", &["http", "outbound"]),
        ("matchit::", &["routes"]),
        ("argon2::", &["auth"]),
        ("lettre::", &["background"]),
        ("rustls::", &["outbound"]),
    ] {
        for (path, text) in sources("src") {
            let names = |line: &&str| line.contains(library) && !line.trim_start().starts_with("//");
            let here = layer(&path);
            assert!(
                homes.contains(&here.as_str()) || !text.lines().any(|line| names(&line)),
                "{} names {library}",
                path.display()
            );
        }
    }
}

#[test]
fn nothing_is_left_lying_about() {
    let words = [
        concat!("dbg", "!("),
        concat!("TO", "DO"),
        concat!("FIX", "ME"),
        concat!("#[ign", "ore]"),
        concat!("thread::", "sleep(Duration::from_secs"),
    ];
    for (path, text) in ["src", "tests", "benches"].into_iter().flat_map(sources) {
        for word in words {
            assert!(!text.contains(word), "{} holds {word}", path.display());
        }
        assert!(text.starts_with("//!"), "{} has no module comment", path.display());
    }
}
