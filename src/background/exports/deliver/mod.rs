//! Fourth stage: sending encoded records. One file for each kind of destination.

pub(super) mod http;
pub(super) mod postgres;
pub(super) mod s3;
mod transport;

use super::error::Result;
use super::read::Batch;
use crate::resources::batch_exports::runs::Progress;

pub(super) use transport::Transport;

/// The delivery of one attempt. It encodes the records in the way of its destination.
pub(super) trait Delivery: Send {
    /// How many records an earlier attempt has delivered without hearing of it. Nothing is exported then.
    fn delivered_before(&mut self) -> impl Future<Output = Result<Option<u64>>> + Send {
        std::future::ready(Ok(None))
    }

    /// Takes records.
    fn encode(&mut self, batch: Batch) -> Result<()>;

    /// Sends the next piece that has its full size; false where there is none.
    fn send_next(&mut self) -> impl Future<Output = Result<bool>> + Send;

    /// What the destination has confirmed, so that another attempt can continue there. Destinations that show
    /// everything at once confirm nothing before the end.
    fn confirmed(&self) -> Progress {
        Progress::default()
    }

    /// Sends the rest, and makes everything visible. `records` have been delivered then.
    fn finish(&mut self, records: u64) -> impl Future<Output = Result<()>> + Send;

    /// Removes what a failed attempt has sent, where that is not visible.
    fn abort(&mut self) -> impl Future<Output = ()> + Send {
        std::future::ready(())
    }
}
