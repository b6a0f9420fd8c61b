//! The bytes of one sample of every table, and of every variant of every enum in a record, compared with a
//! committed file: a record that changes its layout without a migration fails here.

use std::path::Path;

use super::registry;
use super::samples::Samples;

#[test]
fn the_bytes_of_every_table_are_those_of_the_committed_file() {
    let mut samples = Samples::default();
    registry::all().for_each(|resource| (resource.samples)(&mut samples));
    let sampled: Vec<&str> =
        samples.0.keys().map(String::as_str).filter(|name| !name.starts_with('(')).collect();
    let mut tables: Vec<&str> =
        registry::tables().iter().flat_map(|table| table.infos()).map(|table| table.name).collect();
    tables.sort_unstable();
    assert_eq!(sampled, tables, "every table has a sample");
    let found = samples.text();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/records.txt");
    if std::env::var_os("UPDATE_EXPECTED").is_some() {
        std::fs::write(&path, &found).expect("the file can be written");
    }
    let wanted = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(
        found, wanted,
        "a stored record has changed its bytes: add a migration, then UPDATE_EXPECTED=1"
    );
}
