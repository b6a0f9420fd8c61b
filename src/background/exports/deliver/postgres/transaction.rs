//! One transaction that puts rows into a table.

use std::pin::pin;

use bytes::Bytes;
use futures_util::SinkExt;
use tokio_postgres::{Error, SimpleQueryMessage, Statement};

use super::errors;
use super::table::{Dialect, Found, TargetTable};
use crate::background::exports::deliver::Transport;
use crate::background::exports::error::{AttemptError, Result};
use crate::background::exports::plan::Plan;
use crate::outbound::postgres::Session;

/// How long one statement with rows may take.
const STATEMENT_SECONDS_MAX: i64 = 10 * 60;

/// A transaction that is not committed. It is rolled back when it is dropped.
pub(super) struct Transaction<'a> {
    plan: &'a Plan,
    transport: &'a Transport,
    session: Session,
    method: WriteMethod,
}

/// How rows are put into the table.
enum WriteMethod {
    /// With the server's number of the transaction.
    Copy {
        statement: Statement,
        number: i64,
    },
    Insert,
}

/// What became of a transaction, by its number. A number that the server cannot know any more, or not yet, has
/// no status.
pub(super) async fn status(plan: &Plan, session: &mut Session, number: i64) -> Result<Option<String>> {
    let query = format!(
        "SELECT CASE WHEN {number} < txid_snapshot_xmax(txid_current_snapshot()) THEN txid_status({number}) END"
    );
    value(plan, session, &query).await
}

/// The first value that a query returns.
async fn value(plan: &Plan, session: &mut Session, query: &str) -> Result<Option<String>> {
    let answer = session.client.simple_query(query).await;
    let messages = checked(plan, session, answer).await?;
    Ok(messages.iter().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
        _ => None,
    }))
}

/// The result of a statement, or what its failure means for the attempt.
async fn checked<T>(plan: &Plan, session: &mut Session, result: std::result::Result<T, Error>) -> Result<T> {
    match result {
        Ok(value) => Ok(value),
        Err(error) => {
            let cause = session.cause(error).await;
            Err(errors::attempt_error(&plan.redactor, &cause, session.is_public))
        }
    }
}

impl<'a> Transaction<'a> {
    /// Creates the table where there is none, and begins the transaction. Columns that the table does not have are
    /// left out of it, and their names are returned.
    pub(super) async fn begin(
        plan: &'a Plan,
        transport: &'a Transport,
        session: Session,
        table: &mut TargetTable,
    ) -> Result<(Transaction<'a>, Vec<String>)> {
        let mut transaction = Transaction { plan, transport, session, method: WriteMethod::Insert };
        let deadline = transport.now().plus_seconds(STATEMENT_SECONDS_MAX);
        let left_out = tokio::select! {
            begun = transaction.prepare(table) => begun?,
            () = transport.until(deadline) => {
                return Err(AttemptError::Retryable(format!(
                    "TimeoutError: The server did not begin within {STATEMENT_SECONDS_MAX} seconds"
                )));
            }
        };
        Ok((transaction, left_out))
    }

    async fn prepare(&mut self, table: &mut TargetTable) -> Result<Vec<String>> {
        self.make_table(table).await?;
        let found = self.columns(table).await?;
        let left_out = table.keep_common(&found)?;
        self.run("BEGIN").await?;
        if let Some(stage) = table.make_stage() {
            self.run(&stage).await?;
        }
        if table.dialect == Dialect::Postgres {
            let number = value(self.plan, &mut self.session, "SELECT txid_current()").await?;
            let number = number.and_then(|number| number.parse().ok()).ok_or_else(|| {
                AttemptError::Retryable("InternalError: The server does not number its transactions".into())
            })?;
            let prepared = self.session.client.prepare(&table.copy()).await;
            let statement = checked(self.plan, &mut self.session, prepared).await?;
            self.method = WriteMethod::Copy { statement, number };
        }
        Ok(left_out)
    }

    /// The columns that the table has.
    async fn columns(&mut self, table: &TargetTable) -> Result<Vec<Found>> {
        let answer = self.session.client.simple_query(&table.find_columns()).await;
        let messages = checked(self.plan, &mut self.session, answer).await?;
        let columns = messages.iter().filter_map(|message| match message {
            SimpleQueryMessage::Row(row) => Some(Found {
                name: row.get(0)?.to_owned(),
                is_generated: matches!(row.get(1), Some("ALWAYS" | "YES")),
            }),
            _ => None,
        });
        Ok(columns.collect())
    }

    /// Creates the table where there is none: a user who may only add rows needs no right to create tables.
    async fn make_table(&mut self, table: &TargetTable) -> Result<()> {
        if value(self.plan, &mut self.session, &table.find()).await?.is_some() {
            return Ok(());
        }
        let made = self.session.client.batch_execute(&table.make()).await;
        match made {
            // Another client creates it at the same time; `IF NOT EXISTS` does not see that.
            Err(error) if errors::is_already_there(&error) => Ok(()),
            made => checked(self.plan, &mut self.session, made).await,
        }
    }

    async fn run(&mut self, statement: &str) -> Result<()> {
        let result = self.session.client.batch_execute(statement).await;
        checked(self.plan, &mut self.session, result).await
    }

    /// Puts rows into the table, or into the staging table.
    pub(super) async fn send(&mut self, rows: String) -> Result<()> {
        let client = &self.session.client;
        let sending = async {
            match &self.method {
                WriteMethod::Copy { statement, .. } => {
                    let mut sink = pin!(client.copy_in::<_, Bytes>(statement).await?);
                    sink.send(rows.into()).await?;
                    sink.finish().await.map(drop)
                }
                WriteMethod::Insert => client.batch_execute(&rows).await,
            }
        };
        let deadline = self.transport.now().plus_seconds(STATEMENT_SECONDS_MAX);
        let sent = tokio::select! {
            sent = sending => sent,
            () = self.transport.until(deadline) => {
                return Err(AttemptError::Retryable(format!(
                    "TimeoutError: The server did not take rows within {STATEMENT_SECONDS_MAX} seconds"
                )));
            }
        };
        checked(self.plan, &mut self.session, sent).await
    }

    /// Copies the rows of the staging table, if there is one, into the table.
    pub(super) async fn merge(&mut self, table: &TargetTable) -> Result<()> {
        for statement in table.merge() {
            match self.session.client.batch_execute(&statement).await {
                Err(error) if errors::is_keyless(&error) => {
                    let described = errors::described(&self.plan.redactor, &error, self.session.is_public);
                    return Err(AttemptError::Fatal(format!("MissingPrimaryKeyError: {described}")));
                }
                result => checked(self.plan, &mut self.session, result).await?,
            }
        }
        Ok(())
    }

    /// The server's number of the transaction, where it can be queried later on.
    pub(super) fn number(&self) -> Option<i64> {
        match self.method {
            WriteMethod::Copy { number, .. } => Some(number),
            WriteMethod::Insert => None,
        }
    }

    /// Makes all rows appear, and closes the session.
    pub(super) async fn commit(mut self) -> Result<()> {
        self.run("COMMIT").await?;
        self.session.close().await;
        Ok(())
    }
}
