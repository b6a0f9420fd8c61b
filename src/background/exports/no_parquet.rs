//! Stands in where this program is built without Parquet.

use super::file::{Encoder, Shape};
use super::job::{Outcome, Stop};

pub(super) fn begin(_: &Shape) -> Outcome<Box<dyn Encoder>> {
    Err(Stop::Fatal(
        "NotImplementedError: This version of orgd cannot write Parquet files. Nothing was exported.".into(),
    ))
}
