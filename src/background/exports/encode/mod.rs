//! Third stage: records as destinations take them.

mod columns;
mod compression;
mod encoder;
mod format;
mod jsonl;
#[cfg_attr(not(feature = "parquet"), path = "parquet_disabled.rs")]
mod parquet;

pub(super) use columns::Columns;
pub(super) use encoder::Encoder;
pub(super) use format::Format;
