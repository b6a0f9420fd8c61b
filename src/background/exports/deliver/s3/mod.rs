//! Delivery to S3 and what speaks its protocol: one file for each run, or several numbered ones with a list of
//! them.
//! Invariant: a file appears when it is whole, or not at all. An attempt begins from the beginning and replaces
//! what an earlier one has left.

mod answers;
mod backup;
mod names;
mod target;
mod upload;

pub(in crate::background) use backup::Store;
use serde_json::json;

use super::{Delivery, Transport};
use crate::background::exports::encode::{Columns, Format};
use crate::background::exports::error::Result;
use crate::background::exports::plan::Plan;
use crate::background::exports::read::Batch;
use names::Names;
use target::Target;
use upload::Upload;

/// The files of a run.
pub(in crate::background::exports) struct FileDelivery<'a> {
    target: Target<'a>,
    columns: Columns,
    names: Names,
    format: Format,
    /// The files that are whole.
    keys: Vec<String>,
    open: Upload,
}

impl<'a> FileDelivery<'a> {
    pub(in crate::background::exports) fn new(
        plan: &'a Plan,
        transport: &'a Transport,
    ) -> Result<FileDelivery<'a>> {
        let columns = Columns::of(plan)?;
        let format = Format::of(plan, &columns.names_and_types());
        let names = Names::of(plan, format.ending())?;
        let target = Target::of(plan, transport)?;
        let number = format.is_split().then_some(0);
        let key = names.file(number);
        target.check_key(&key)?;
        let open = Upload::new(key, format.begin()?);
        Ok(FileDelivery { target, columns, names, format, keys: Vec::new(), open })
    }

    async fn end_file(&mut self) -> Result<()> {
        self.open.finish(&self.target).await?;
        self.keys.push(self.open.key().to_owned());
        Ok(())
    }
}

impl Delivery for FileDelivery<'_> {
    fn encode(&mut self, batch: Batch) -> Result<()> {
        let open = &mut self.open;
        self.columns.each(batch, |values| open.push(values))?;
        self.open.encode()
    }

    /// Sends a part, or ends a file that is large enough and begins another.
    async fn send_next(&mut self) -> Result<bool> {
        if self.open.send_full_part(&self.target).await? {
            return Ok(true);
        }
        if self.format.bytes_max().is_none_or(|max| self.open.written() < max) {
            return Ok(false);
        }
        self.end_file().await?;
        let key = self.names.file(Some(self.keys.len()));
        self.open = Upload::new(key, self.format.begin()?);
        Ok(true)
    }

    /// Ends the last file, and lists them where there may be several.
    async fn finish(&mut self, _records: u64) -> Result<()> {
        if !self.open.is_empty() {
            self.end_file().await?;
        }
        if self.format.is_split() && !self.keys.is_empty() {
            let list = json!({"files": self.keys}).to_string();
            self.target.put(&self.names.manifest(), list.into()).await?;
        }
        Ok(())
    }

    async fn abort(&mut self) {
        self.open.abort(&self.target).await;
    }
}
