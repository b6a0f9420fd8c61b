//! Records as lines of JSON.

use serde::Serializer as _;
use serde::ser::SerializeMap;

use super::file::{Encoder, Shape};
use super::job::{Outcome, Stop};
use super::pack::Packer;
use crate::resources::batch_exports::columns::Value;

struct Lines {
    names: Vec<String>,
    packer: Packer,
    /// Not packed yet.
    plain: Vec<u8>,
}

pub(super) fn begin(shape: &Shape) -> Outcome<Box<dyn Encoder>> {
    let packer = Packer::new(shape.compression).ok_or_else(|| {
        Stop::Fatal("ValueError: The compression is not supported for file format JSONLines".into())
    })?;
    let names = shape.columns.iter().map(|(name, _)| name.clone()).collect();
    Ok(Box::new(Lines { names, packer, plain: Vec::new() }))
}

impl Encoder for Lines {
    fn push(&mut self, values: &[Value<'_>]) -> Outcome<()> {
        write(&self.names, values, &mut self.plain).map_err(|cause| Stop::Broken(cause.into()))?;
        self.plain.push(b'\n');
        Ok(())
    }

    fn encode(&mut self) -> Outcome<Vec<u8>> {
        let packed = self.packer.pack(&self.plain);
        self.plain.clear();
        Ok(packed)
    }

    fn end(&mut self) -> Outcome<Vec<u8>> {
        let mut packed = self.encode()?;
        packed.append(&mut self.packer.end());
        Ok(packed)
    }
}

fn write(names: &[String], values: &[Value<'_>], lines: &mut Vec<u8>) -> serde_json::Result<()> {
    let mut serializer = serde_json::Serializer::new(lines);
    let mut map = serializer.serialize_map(Some(names.len()))?;
    for (name, value) in names.iter().zip(values) {
        map.serialize_entry(name, value)?;
    }
    map.end()
}
