//! Writing records and JSON, most of which comes one byte at a time: what has no value, or is short; quotes and commas.

use std::io;

use serde::Serialize;
use serde::ser::Error;

/// The end of a buffer. A single byte is pushed, which costs a fraction of a copy.
pub struct Bytewise<'a>(pub &'a mut Vec<u8>);

impl Bytewise<'_> {
    /// Writes the bytes.
    #[inline]
    pub fn put(&mut self, bytes: &[u8]) {
        match bytes {
            [byte] => self.0.push(*byte),
            bytes => self.0.extend_from_slice(bytes),
        }
    }
}

impl io::Write for Bytewise<'_> {
    #[inline]
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.put(bytes);
        Ok(bytes.len())
    }

    #[inline]
    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.put(bytes);
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The JSON of a value, in a buffer that begins with so many bytes.
///
/// # Errors
/// It has a map whose keys are no texts.
pub fn json_bytes(value: &impl Serialize, capacity: usize) -> serde_json::Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(capacity);
    serde_json::to_writer(Bytewise(&mut bytes), value)?;
    Ok(bytes)
}

/// The same as text.
///
/// # Errors
/// As for `json_bytes`.
pub fn json_text(value: &impl Serialize) -> serde_json::Result<String> {
    String::from_utf8(json_bytes(value, 128)?).map_err(Error::custom)
}
