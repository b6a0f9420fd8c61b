//! What the formats of files have in common.

use super::compression::Compression;
use crate::background::exports::error::Result;
use crate::resources::batch_exports::columns::{Type, Value};

/// Turns records into the bytes of one file. It waits for nothing but the processor.
pub(in crate::background::exports) trait Encoder: Send {
    /// Takes a record, its values in the order of the columns.
    fn push(&mut self, values: &[Value<'_>]) -> Result<()>;

    /// The bytes that are ready, which may be none yet. To be called after every few records.
    fn encode(&mut self) -> Result<Vec<u8>>;

    /// The last bytes.
    fn end(&mut self) -> Result<Vec<u8>>;
}

/// What the files of a run are like.
pub(super) struct Shape {
    /// Names and types.
    pub(super) columns: Vec<(String, Type)>,
    pub(super) compression: Compression,
    /// A file that has grown to this is followed by another. `None`: there is one file.
    pub(super) bytes_max: Option<u64>,
    /// What the values of one row group may take in memory, where the format has any, in bytes.
    #[cfg_attr(not(feature = "parquet"), expect(dead_code, reason = "only Parquet has row groups"))]
    pub(super) group_bytes_max: usize,
}
