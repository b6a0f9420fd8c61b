//! Takes the place of `parquet.rs` where this program is built without Parquet.

use super::encoder::{Encoder, Shape};
use crate::background::exports::error::{AttemptError, Result as AttemptResult};

pub(super) fn begin(_: &Shape) -> AttemptResult<Box<dyn Encoder>> {
    Err(AttemptError::Fatal(
        "NotImplementedError: This version of orgd cannot write Parquet files. Nothing was exported.".into(),
    ))
}
