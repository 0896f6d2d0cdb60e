//! SQL over tables of a job: rows that are made on demand, and Parquet files that are named one by one.
//! Read-only, within bounds of time and memory, on the caller's thread. Knows neither jobs nor
//! checkpoints, and looks for no files itself.

#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used))]

mod answer;
mod error;
mod files;
mod made;
mod named;
mod refuse;

use std::sync::Arc;
use std::time::Duration;

use arrow_schema::SchemaRef;
use datafusion::catalog::TableProvider;
use datafusion::common::TableReference;
use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::prelude::{SessionConfig, SessionContext};
use tokio::runtime::{Builder, Runtime};

pub use answer::Answer;
pub use error::{Place, QueryError};
pub use files::{File, Files};
pub use made::Make;
pub use named::named_tables;

/// What one query may take.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// What it may hold of rows to sort, group and join. Nothing is written to disk in place of it.
    pub memory_bytes: usize,
    /// From its text to its last row.
    pub time: Duration,
}

/// Tables to be asked.
pub struct Database {
    context: SessionContext,
    runtime: Runtime,
    limits: Limits,
}

impl std::fmt::Debug for Database {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Database").field("tables", &self.tables()).finish_non_exhaustive()
    }
}

impl Database {
    /// One without tables.
    ///
    /// # Errors
    /// The system gives no more threads or memory.
    pub fn new(limits: Limits) -> Result<Self, QueryError> {
        let disk = DiskManagerBuilder::default().with_mode(DiskManagerMode::Disabled);
        let environment = RuntimeEnvBuilder::new()
            .with_memory_limit(limits.memory_bytes, 1.0)
            .with_disk_manager_builder(disk)
            .build_arc()?;
        let config = SessionConfig::new()
            .with_target_partitions(1)
            .with_information_schema(true)
            .set_bool("datafusion.sql_parser.collect_spans", true);
        let runtime = Builder::new_current_thread().enable_time().build().map_err(QueryError::system)?;
        Ok(Self { context: SessionContext::new_with_config_rt(config, environment), runtime, limits })
    }

    /// Adds a table whose rows are made when a query first asks for them.
    ///
    /// # Errors
    /// The name is taken. Rows of another schema fail the query.
    pub fn add_made(&self, name: &str, schema: SchemaRef, make: Make) -> Result<(), QueryError> {
        self.add(name, Arc::new(made::MadeTable::new(schema, make)))
    }

    /// Adds a table of the rows in Parquet files.
    ///
    /// # Errors
    /// A key's text is none of its column's type, or the name is taken.
    pub fn add_files(&self, name: &str, files: Files) -> Result<(), QueryError> {
        self.add(name, Arc::new(files::FileTable::new(files)?))
    }

    /// Adds a table that is a query over others.
    ///
    /// # Errors
    /// It is no query, or the name is taken.
    pub fn add_view(&self, name: &str, sql: &str) -> Result<(), QueryError> {
        let rows = self.runtime.block_on(self.context.sql(sql))?;
        self.add(name, rows.into_view())
    }

    fn add(&self, name: &str, table: Arc<dyn TableProvider>) -> Result<(), QueryError> {
        self.context.register_table(TableReference::bare(name), table)?;
        Ok(())
    }

    /// The names of the tables, sorted.
    pub fn tables(&self) -> Vec<String> {
        let catalogs =
            self.context.catalog_names().into_iter().filter_map(|name| self.context.catalog(&name));
        let schema = catalogs.filter_map(|catalog| catalog.schema("public"));
        let mut names: Vec<String> = schema.flat_map(|schema| schema.table_names()).collect();
        names.sort_unstable();
        names
    }
}
