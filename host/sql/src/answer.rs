//! One query under way: its plan, and its rows as they are asked for. The time limit holds
//! over all of it.

use std::time::Duration;

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::prelude::SQLOptions;
use futures::StreamExt;
use tokio::runtime::Runtime;
use tokio::time::{Instant, timeout_at};

use crate::refuse::refused;
use crate::{Database, QueryError};

/// The rows of a query, batch by batch.
pub struct Answer<'a> {
    pub schema: SchemaRef,
    rows: SendableRecordBatchStream,
    runtime: &'a Runtime,
    end: Instant,
    time: Duration,
}

impl Database {
    /// Begins a query.
    ///
    /// # Errors
    /// It is no SQL, names what is not there, or does more than read; or the time is over.
    pub fn query(&self, sql: &str) -> Result<Answer<'_>, QueryError> {
        let (end, time) = (Instant::now() + self.limits.time, self.limits.time);
        let only_reading =
            SQLOptions::new().with_allow_ddl(false).with_allow_dml(false).with_allow_statements(false);
        let begin = async {
            let planned = self.context.sql_with_options(sql, only_reading).await;
            let frame = planned.map_err(|error| refused(&self.context, sql, error))?;
            Ok::<SendableRecordBatchStream, QueryError>(frame.execute_stream().await?)
        };
        let within = self.runtime.block_on(async { timeout_at(end, begin).await });
        let rows = within.map_err(|_| QueryError::TooLong { time })??;
        Ok(Answer { schema: rows.schema(), rows, runtime: &self.runtime, end, time })
    }
}

impl Iterator for Answer<'_> {
    type Item = Result<RecordBatch, QueryError>;

    fn next(&mut self) -> Option<Self::Item> {
        let rows = &mut self.rows;
        match self.runtime.block_on(async { timeout_at(self.end, rows.next()).await }) {
            Ok(next) => next.map(|batch| batch.map_err(QueryError::from)),
            Err(_) => Some(Err(QueryError::TooLong { time: self.time })),
        }
    }
}
