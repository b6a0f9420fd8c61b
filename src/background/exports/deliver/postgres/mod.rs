//! Delivery into a table of PostgreSQL, or of Redshift, which is its descendant.
//! Invariant: what an attempt delivers appears at once and as a whole, in one transaction, so that a failed one
//! leaves nothing. The number of the transaction is noted before it is committed: where its result is unknown,
//! the next attempt queries it from PostgreSQL and does not deliver a second time. Redshift has no such query:
//! there, a connection lost during the commit may deliver twice.

mod connect;
mod errors;
mod rows;
mod table;
mod transaction;

use super::{Delivery, Transport};
use crate::background::exports::encode::Columns;
use crate::background::exports::error::{AttemptError, Result};
use crate::background::exports::note::Notes;
use crate::background::exports::plan::Plan;
use crate::background::exports::read::Batch;
use crate::resources::batch_exports::runs::{Commit, Progress};
use rows::Rows;
use table::TargetTable;
use transaction::Transaction;

/// Rows are sent in statements of about this size. Redshift takes 16 MiB at the most.
const STATEMENT_BYTES: usize = 4 * 1024 * 1024;

/// The rows of a run, all in one transaction.
pub(in crate::background::exports) struct TableDelivery<'a> {
    plan: &'a Plan,
    notes: &'a Notes,
    transport: &'a Transport,
    columns: Columns,
    table: TargetTable,
    rows: Rows,
    /// Records that are no rows yet: which columns there are shows when the transaction begins.
    waiting: Option<Batch>,
    /// Begun with the first records.
    transaction: Option<Transaction<'a>>,
}

impl<'a> TableDelivery<'a> {
    pub(in crate::background::exports) fn new(
        plan: &'a Plan,
        notes: &'a Notes,
        transport: &'a Transport,
    ) -> Result<TableDelivery<'a>> {
        let columns = Columns::of(plan)?;
        let table = TargetTable::of(plan, &columns.names_and_types())?;
        let rows = Rows::default();
        Ok(TableDelivery { plan, notes, transport, columns, table, rows, waiting: None, transaction: None })
    }

    /// Begins the transaction where there is none, and makes rows of the records that wait.
    async fn make_rows(&mut self) -> Result<()> {
        let Some(batch) = self.waiting.take() else { return Ok(()) };
        if self.transaction.is_none() {
            let session = connect::session(self.plan, self.notes, self.transport).await?;
            let (begun, left_out) =
                Transaction::begin(self.plan, self.transport, session, &mut self.table).await?;
            self.transaction = Some(begun);
            if !left_out.is_empty() {
                let names = left_out.join(", ");
                let warning = format!("The table lacks these columns, or generates them: {names}");
                self.notes.warn(&self.plan.redactor, warning).await?;
            }
        }
        let (rows, table) = (&mut self.rows, &self.table);
        self.columns.each(batch, |values| {
            rows.push(table, values);
            Ok(())
        })
    }

    async fn send_rows(&mut self) -> Result<()> {
        match &mut self.transaction {
            Some(transaction) => transaction.send(self.rows.take()).await,
            None => Ok(()),
        }
    }
}

impl Delivery for TableDelivery<'_> {
    async fn delivered_before(&mut self) -> Result<Option<u64>> {
        let Some(commit) = self.notes.commit_before()? else { return Ok(None) };
        let mut session = connect::session(self.plan, self.notes, self.transport).await?;
        let status = transaction::status(self.plan, &mut session, commit.transaction).await?;
        session.close().await;
        match status.as_deref() {
            Some("committed") => Ok(Some(commit.records)),
            Some("in progress") => Err(AttemptError::Retryable(
                "OperationalError: The transaction of the attempt before is still in progress".into(),
            )),
            _ => Ok(None),
        }
    }

    fn encode(&mut self, batch: Batch) -> Result<()> {
        self.waiting = Some(batch);
        Ok(())
    }

    async fn send_next(&mut self) -> Result<bool> {
        self.make_rows().await?;
        let is_due = self.rows.bytes() >= STATEMENT_BYTES;
        if is_due {
            self.send_rows().await?;
        }
        Ok(is_due)
    }

    async fn finish(&mut self, records: u64) -> Result<()> {
        if self.rows.bytes() > 0 {
            self.notes.progress(Progress::default()).await?;
            self.send_rows().await?;
        }
        let shortened = self.rows.shortened;
        if shortened > 0 {
            let warning = format!("{shortened} values were too long for their columns, and were shortened");
            self.notes.warn(&self.plan.redactor, warning).await?;
        }
        let Some(mut transaction) = self.transaction.take() else { return Ok(()) };
        transaction.merge(&self.table).await?;
        // The last moment to find out whether the run is still wanted.
        match transaction.number() {
            Some(transaction) => self.notes.commit(Commit { transaction, records }).await?,
            None => self.notes.progress(Progress::default()).await?,
        }
        transaction.commit().await
    }
}
