//! Records as lines of JSON.

use serde::Serializer as _;
use serde::ser::SerializeMap;

use super::job::{Outcome, Stop};
use crate::resources::batch_exports::columns::Value;

/// Appends one record as a line.
pub(super) fn push(names: &[String], values: &[Value<'_>], lines: &mut Vec<u8>) -> Outcome<()> {
    write(names, values, lines).map_err(|cause| Stop::Broken(cause.into()))?;
    lines.push(b'\n');
    Ok(())
}

fn write(names: &[String], values: &[Value<'_>], lines: &mut Vec<u8>) -> serde_json::Result<()> {
    let mut serializer = serde_json::Serializer::new(lines);
    let mut map = serializer.serialize_map(Some(names.len()))?;
    for (name, value) in names.iter().zip(values) {
        map.serialize_entry(name, value)?;
    }
    map.end()
}
