//! The formats of files: each takes records and gives bytes.

use super::job::{Job, Outcome, Stop};
use super::lines;
use super::pack::Compression;
use super::parquet;
use crate::resources::batch_exports::columns::{Type, Value};

/// A file in the making. None of it waits for anything but the processor.
pub(super) trait Encoder: Send {
    /// Takes a record, its values in the order of the columns.
    fn push(&mut self, values: &[Value<'_>]) -> Outcome<()>;

    /// The bytes that are ready, which may be none yet. To be asked for after every few records.
    fn encode(&mut self) -> Outcome<Vec<u8>>;

    /// The last bytes.
    fn end(&mut self) -> Outcome<Vec<u8>>;
}

/// What the files of a run are like.
pub(super) struct Shape {
    /// Names and types.
    pub(super) columns: Vec<(String, Type)>,
    pub(super) compression: Compression,
    /// What a file grows to, if it may not grow without end.
    pub(super) bytes_max: Option<u64>,
    /// What the values of one row group may take in memory, where the format has any, in bytes.
    #[cfg_attr(not(feature = "parquet"), expect(dead_code, reason = "only Parquet has row groups"))]
    pub(super) group_bytes_max: usize,
}

/// What makes files of a shape.
pub(super) struct Format {
    shape: Shape,
    extension: &'static str,
    begin: fn(&Shape) -> Outcome<Box<dyn Encoder>>,
}

impl Format {
    /// As configured.
    pub(super) fn of(job: &Job, columns: &[(&str, Type)]) -> Format {
        let (extension, begin): (_, fn(&Shape) -> _) = match job.text("file_format") {
            Some("Parquet") => ("parquet", parquet::begin),
            _ => ("jsonl", lines::begin),
        };
        let shape = Shape {
            columns: columns.iter().map(|&(name, kind)| (name.to_owned(), kind)).collect(),
            compression: Compression::named(job.text("compression")),
            bytes_max: job.number("max_file_size_mb").map(|megabytes| megabytes.saturating_mul(1024 * 1024)),
            group_bytes_max: job.sizes.group,
        };
        Format { shape, extension, begin }
    }

    pub(super) fn begin(&self) -> Outcome<Box<dyn Encoder>> {
        if !self.shape.compression.is_built() {
            let told =
                "NotImplementedError: This version of orgd cannot pack with brotli. Nothing was exported.";
            return Err(Stop::Fatal(told.into()));
        }
        (self.begin)(&self.shape)
    }

    /// Where a file of this many bytes is followed by another.
    pub(super) fn bytes_max(&self) -> Option<u64> {
        self.shape.bytes_max
    }

    /// Whether the files of a run are numbered.
    pub(super) fn is_split(&self) -> bool {
        self.shape.bytes_max.is_some()
    }

    /// How names of the files end.
    pub(super) fn ending(&self) -> String {
        format!(".{}{}", self.extension, self.shape.compression.ending())
    }
}
