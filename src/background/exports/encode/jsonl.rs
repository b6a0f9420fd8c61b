//! Records as lines of JSON.

use serde::Serializer as _;
use serde::ser::SerializeMap;

use super::compression::Compressor;
use super::encoder::{Encoder, Shape};
use crate::background::exports::error::{AttemptError, Result};
use crate::resources::batch_exports::columns::Value;

struct JsonLines {
    names: Vec<String>,
    compressor: Compressor,
    /// Not compressed yet.
    plain: Vec<u8>,
}

pub(super) fn begin(shape: &Shape) -> Result<Box<dyn Encoder>> {
    let compressor = Compressor::new(shape.compression).ok_or_else(|| {
        AttemptError::Fatal("ValueError: The compression is not supported for file format JSONLines".into())
    })?;
    let names = shape.columns.iter().map(|(name, _)| name.clone()).collect();
    Ok(Box::new(JsonLines { names, compressor, plain: Vec::new() }))
}

impl Encoder for JsonLines {
    fn push(&mut self, values: &[Value<'_>]) -> Result<()> {
        write_record(&self.names, values, &mut self.plain)
            .map_err(|cause| AttemptError::Internal(cause.into()))?;
        self.plain.push(b'\n');
        Ok(())
    }

    fn encode(&mut self) -> Result<Vec<u8>> {
        let compressed = self.compressor.compress(&self.plain);
        self.plain.clear();
        Ok(compressed)
    }

    fn end(&mut self) -> Result<Vec<u8>> {
        let mut compressed = self.encode()?;
        compressed.append(&mut self.compressor.end());
        Ok(compressed)
    }
}

fn write_record(names: &[String], values: &[Value<'_>], out: &mut Vec<u8>) -> serde_json::Result<()> {
    let mut serializer = serde_json::Serializer::new(out);
    let mut map = serializer.serialize_map(Some(names.len()))?;
    for (name, value) in names.iter().zip(values) {
        map.serialize_entry(name, value)?;
    }
    map.end()
}
