//! Delivery into a table of PostgreSQL, or of Redshift, which is its descendant.
//! Holds always: what an attempt delivers appears at once and as a whole, in one transaction, so that one
//! that fails leaves nothing behind. The number of the transaction is noted before it is committed: where
//! its end was never heard of, the next attempt asks PostgreSQL and does not deliver a second time.
//! Redshift cannot be asked: there, a connection lost within the commit may deliver twice.

mod connect;
mod errors;
mod rows;
mod table;

use std::pin::pin;

use bytes::Bytes;
use futures_util::SinkExt;
use tokio_postgres::{Error, SimpleQueryMessage, Statement};

use super::job::{Job, Outcome, Stop};
use super::records::Records;
use crate::outbound::postgres::Session;
use crate::resources::batch_exports::runs::{Commit, Progress};
use rows::Rows;
use table::{Dialect, Table};

pub(super) use table::schema_and_table;

/// Rows go out in statements of about this size. Redshift takes 16 MiB at the most.
const STATEMENT_BYTES: usize = 4 * 1024 * 1024;
/// How long one statement with rows may take.
const STATEMENT_SECONDS_MAX: i64 = 10 * 60;

/// Delivers all records of the job; the number of them.
pub(super) async fn export(job: &Job) -> Outcome<u64> {
    let mut records = Records::of(job)?;
    let table = Table::of(job, &records.columns())?;
    if let Some(records) = delivered_before(job).await? {
        return Ok(records);
    }
    let mut rows = Rows::new(&table);
    let mut delivery = None;
    let mut is_more = true;
    while is_more {
        is_more = records
            .next(&mut |values| {
                rows.push(values);
                Ok(())
            })
            .await?;
        // Says whether the run is still wanted.
        job.advance(Progress::default()).await?;
        let is_due = if is_more { rows.bytes() >= STATEMENT_BYTES } else { rows.bytes() > 0 };
        if is_due {
            let open = match &mut delivery {
                Some(open) => open,
                None => delivery.insert(Delivery::begin(job, &table).await?),
            };
            open.send(rows.take()).await?;
        }
    }
    if rows.shortened > 0 {
        let told = format!("{} values were too long for their columns, and were shortened", rows.shortened);
        job.warn(told).await?;
    }
    if let Some(whole) = delivery {
        whole.finish(records.count()).await?;
    }
    Ok(records.count())
}

/// How many records an earlier attempt has delivered without hearing of it.
async fn delivered_before(job: &Job) -> Outcome<Option<u64>> {
    let Some(commit) = job.commit_before()? else { return Ok(None) };
    let mut session = connect::session(job).await?;
    // A number that the server cannot know any more, or not yet, tells nothing.
    let asked = format!(
        "SELECT CASE WHEN {0} < txid_snapshot_xmax(txid_current_snapshot()) THEN txid_status({0}) END",
        commit.transaction
    );
    let status = value(job, &mut session, &asked).await?;
    session.close().await;
    match status.as_deref() {
        Some("committed") => Ok(Some(commit.records)),
        Some("in progress") => Err(Stop::Retryable(
            "OperationalError: The transaction of the attempt before is still in progress".into(),
        )),
        _ => Ok(None),
    }
}

/// The first value that a query gives.
async fn value(job: &Job, session: &mut Session, query: &str) -> Outcome<Option<String>> {
    let answer = session.client.simple_query(query).await;
    let messages = ended(job, session, answer).await?;
    Ok(messages.iter().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
        _ => None,
    }))
}

/// The result of a statement, or what its failure means for the attempt.
async fn ended<T>(job: &Job, session: &mut Session, result: Result<T, Error>) -> Outcome<T> {
    match result {
        Ok(value) => Ok(value),
        Err(error) => Err(errors::stop(job, &session.cause(error).await, session.is_public)),
    }
}

/// A transaction on its way.
struct Delivery<'a> {
    job: &'a Job,
    table: &'a Table,
    session: Session,
    way: Way,
}

/// How rows are put into the table.
enum Way {
    Copy { statement: Statement, transaction: i64 },
    Insert,
}

impl<'a> Delivery<'a> {
    async fn begin(job: &'a Job, table: &'a Table) -> Outcome<Delivery<'a>> {
        let session = connect::session(job).await?;
        let mut delivery = Delivery { job, table, session, way: Way::Insert };
        let late = job.now().plus_seconds(STATEMENT_SECONDS_MAX);
        tokio::select! {
            begun = delivery.prepare() => begun?,
            () = job.until(late) => {
                return Err(Stop::Retryable(format!(
                    "TimeoutError: The server did not begin within {STATEMENT_SECONDS_MAX} seconds"
                )));
            }
        }
        Ok(delivery)
    }

    /// Makes the table where there is none, and begins the transaction.
    async fn prepare(&mut self) -> Outcome<()> {
        self.make_table().await?;
        self.run("BEGIN").await?;
        if let Some(stage) = self.table.make_stage() {
            self.run(&stage).await?;
        }
        if self.table.dialect == Dialect::Postgres {
            let number = value(self.job, &mut self.session, "SELECT txid_current()").await?;
            let transaction = number.and_then(|number| number.parse().ok()).ok_or_else(|| {
                Stop::Retryable("InternalError: The server does not number its transactions".into())
            })?;
            let prepared = self.session.client.prepare(&self.table.copy()).await;
            let statement = ended(self.job, &mut self.session, prepared).await?;
            self.way = Way::Copy { statement, transaction };
        }
        Ok(())
    }

    /// Makes the table where there is none: who may only add rows to one that is there need not make any.
    async fn make_table(&mut self) -> Outcome<()> {
        if value(self.job, &mut self.session, &self.table.find()).await?.is_some() {
            return Ok(());
        }
        let made = self.session.client.batch_execute(&self.table.make()).await;
        match made {
            // Somebody else makes it at the same time; `IF NOT EXISTS` does not see that.
            Err(error) if errors::says_that_it_is_there(&error) => Ok(()),
            made => ended(self.job, &mut self.session, made).await,
        }
    }

    async fn run(&mut self, statement: &str) -> Outcome<()> {
        let result = self.session.client.batch_execute(statement).await;
        ended(self.job, &mut self.session, result).await
    }

    /// Puts rows into the table, or into the staging table.
    async fn send(&mut self, rows: String) -> Outcome<()> {
        let client = &self.session.client;
        let sending = async {
            match &self.way {
                Way::Copy { statement, .. } => {
                    let mut sink = pin!(client.copy_in::<_, Bytes>(statement).await?);
                    sink.send(rows.into()).await?;
                    sink.finish().await.map(drop)
                }
                Way::Insert => client.batch_execute(&rows).await,
            }
        };
        let late = self.job.now().plus_seconds(STATEMENT_SECONDS_MAX);
        let sent = tokio::select! {
            sent = sending => sent,
            () = self.job.until(late) => {
                return Err(Stop::Retryable(format!(
                    "TimeoutError: The server did not take rows within {STATEMENT_SECONDS_MAX} seconds"
                )));
            }
        };
        ended(self.job, &mut self.session, sent).await
    }

    /// Makes all rows appear.
    async fn finish(mut self, records: u64) -> Outcome<()> {
        for statement in self.table.merge() {
            self.run(&statement).await?;
        }
        if let Way::Copy { transaction, .. } = self.way {
            self.job.note_commit(Commit { transaction, records }).await?;
        } else {
            self.job.advance(Progress::default()).await?;
        }
        self.run("COMMIT").await?;
        self.session.close().await;
        Ok(())
    }
}
