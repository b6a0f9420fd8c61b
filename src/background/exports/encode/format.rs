//! The format of a run's files, as it is configured.

use super::compression::Compression;
use super::encoder::{Encoder, Shape};
use super::{jsonl, parquet};
use crate::background::exports::error::{AttemptError, Result};
use crate::background::exports::plan::Plan;
use crate::resources::batch_exports::columns::Type;

/// Begins files of one shape. Another format is another encoder and a line in `of`.
pub(in crate::background::exports) struct Format {
    shape: Shape,
    extension: &'static str,
    begin: fn(&Shape) -> Result<Box<dyn Encoder>>,
}

impl Format {
    pub(in crate::background::exports) fn of(plan: &Plan, columns: &[(&str, Type)]) -> Format {
        let (extension, begin): (_, fn(&Shape) -> _) = match plan.settings.text("file_format") {
            Some("Parquet") => ("parquet", parquet::begin),
            _ => ("jsonl", jsonl::begin),
        };
        let megabytes = plan.settings.number("max_file_size_mb");
        let shape = Shape {
            columns: columns.iter().map(|&(name, kind)| (name.to_owned(), kind)).collect(),
            compression: Compression::named(plan.settings.text("compression")),
            bytes_max: megabytes.map(|megabytes| megabytes.saturating_mul(1024 * 1024)),
            group_bytes_max: plan.sizes.group,
        };
        Format { shape, extension, begin }
    }

    /// Begins a file.
    pub(in crate::background::exports) fn begin(&self) -> Result<Box<dyn Encoder>> {
        if !self.shape.compression.is_built() {
            let error =
                "NotImplementedError: This version of orgd cannot pack with brotli. Nothing was exported.";
            return Err(AttemptError::Fatal(error.into()));
        }
        (self.begin)(&self.shape)
    }

    /// A file of this many bytes is followed by another.
    pub(in crate::background::exports) fn bytes_max(&self) -> Option<u64> {
        self.shape.bytes_max
    }

    /// Whether the files of a run are numbered.
    pub(in crate::background::exports) fn is_split(&self) -> bool {
        self.shape.bytes_max.is_some()
    }

    /// How names of the files end.
    pub(in crate::background::exports) fn ending(&self) -> String {
        format!(".{}{}", self.extension, self.shape.compression.ending())
    }
}
