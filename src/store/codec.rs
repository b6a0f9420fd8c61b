//! Records as bytes: one version byte, then bincode. The only file that names the serializer, so
//! that a compatible successor can take its place.

use std::fmt;
use std::marker::PhantomData;

use bincode::config::{self, Config};
use bincode::enc::write::Writer;
use bincode::error::EncodeError;
use serde::de::{DeserializeOwned, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::StoreError;
use crate::bytewise::{Bytewise, json_text};

/// The encoding in front of every record. Changed only together with a migration of every table.
const ENCODING: u8 = 1;

fn layout() -> impl Config {
    config::standard()
}

/// Anything that a table can hold.
pub trait Record: Serialize + DeserializeOwned {}
impl<T: Serialize + DeserializeOwned> Record for T {}

/// Where records are written.
struct Out<'a>(Bytewise<'a>);

impl Writer for Out<'_> {
    #[inline]
    fn write(&mut self, bytes: &[u8]) -> Result<(), EncodeError> {
        self.0.put(bytes);
        Ok(())
    }
}

/// A record's bytes.
pub fn encode<R: Record>(record: &R) -> Result<Vec<u8>, StoreError> {
    // Most are rows of indexes: nothing, a number or an identifier.
    const SMALL_BYTES: usize = 24;
    let mut bytes = Vec::with_capacity(SMALL_BYTES);
    encode_into(record, &mut bytes)?;
    Ok(bytes)
}

/// Writes a record's bytes in place of what `bytes` held.
pub(super) fn encode_into<R: Record>(record: &R, bytes: &mut Vec<u8>) -> Result<(), StoreError> {
    bytes.clear();
    bytes.push(ENCODING);
    bincode::serde::encode_into_writer(record, Out(Bytewise(bytes)), layout())
        .map_err(|cause| StoreError::record(format!("a record could not be written: {cause}")))?;
    Ok(())
}

/// The record that `bytes` hold, every byte of them.
pub fn decode<R: Record>(bytes: &[u8]) -> Result<R, StoreError> {
    let Some((&ENCODING, rest)) = bytes.split_first() else {
        return Err(StoreError::record("a record has an unknown encoding".into()));
    };
    let (record, read) = bincode::serde::decode_from_slice(rest, layout())
        .map_err(|cause| StoreError::record(format!("a record could not be read: {cause}")))?;
    if read == rest.len() {
        Ok(record)
    } else {
        Err(StoreError::record("a record has bytes left over".into()))
    }
}

/// A record inside another one, read by whoever wants it: those who don't pay for a copy of its bytes.
#[derive(Clone, Debug)]
pub struct Packed<R> {
    bytes: Vec<u8>,
    record: PhantomData<fn() -> R>,
}

impl<R: Record> Packed<R> {
    /// The record, packed.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn of(record: &R) -> Result<Packed<R>, StoreError> {
        // Few of them are small, and growing costs more than writing.
        const BYTES: usize = 512;
        let mut bytes = Vec::with_capacity(BYTES);
        encode_into(record, &mut bytes)?;
        Ok(Packed::from_bytes(bytes))
    }

    /// A record whose bytes are known.
    pub(super) fn from_bytes(bytes: Vec<u8>) -> Packed<R> {
        Packed { bytes, record: PhantomData }
    }

    /// What it takes, in bytes.
    pub fn bytes(&self) -> usize {
        self.bytes.len()
    }

    /// The record.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn get(&self) -> Result<R, StoreError> {
        decode(&self.bytes)
    }
}

impl<R> Serialize for Packed<R> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.bytes)
    }
}

impl<'de, R> Deserialize<'de> for Packed<R> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Bytes;
        impl Visitor<'_> for Bytes {
            type Value = Vec<u8>;

            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str("bytes")
            }

            fn visit_bytes<E: serde::de::Error>(self, bytes: &[u8]) -> Result<Vec<u8>, E> {
                Ok(bytes.to_vec())
            }

            fn visit_byte_buf<E: serde::de::Error>(self, bytes: Vec<u8>) -> Result<Vec<u8>, E> {
                Ok(bytes)
            }
        }
        let bytes = deserializer.deserialize_byte_buf(Bytes)?;
        Ok(Packed { bytes, record: PhantomData })
    }
}

/// Free JSON: its text in the record, the same text on the wire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Json(String);

impl Json {
    /// The JSON text of `value`.
    pub fn of(value: &impl Serialize) -> Json {
        Json(json_text(value).unwrap_or_else(|_| "null".into()))
    }

    /// Adds a text at the end of an object that has none of this name.
    pub fn push(&mut self, name: &str, text: &str) {
        // The pair as an object, whose end becomes that of this one.
        if let Some(pair) = json_text(&Pair(name, text)).ok().filter(|_| self.0.ends_with('}')) {
            self.0.pop();
            if self.0.len() > 1 {
                self.0.push(',');
            }
            self.0.push_str(&pair[1..]);
        }
    }

    /// The text.
    pub fn text(&self) -> &str {
        &self.0
    }

    /// The value, for rules that look into it.
    pub fn value(&self) -> serde_json::Value {
        serde_json::from_str(&self.0).unwrap_or(serde_json::Value::Null)
    }
}

/// A name and a text, an object in JSON.
struct Pair<'a>(&'a str, &'a str);

impl Serialize for Pair<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map([(self.0, self.1)])
    }
}

impl Serialize for Json {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if !serializer.is_human_readable() {
            return serializer.serialize_str(&self.0);
        }
        serialize_json(&self.0, serializer)
    }
}

/// Writes JSON text as the value that it is.
///
/// # Errors
/// It is no JSON.
pub fn serialize_json<S: Serializer>(text: &str, serializer: S) -> Result<S::Ok, S::Error> {
    let raw: &serde_json::value::RawValue = serde_json::from_str(text).map_err(serde::ser::Error::custom)?;
    raw.serialize(serializer)
}

/// Out of records only.
impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Json)
    }
}
