//! A table whose rows are made when a query first wants them, and once.

use std::error::Error;
use std::sync::{Arc, Mutex, PoisonError};

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use async_trait::async_trait;
use datafusion::catalog::{MemTable, Session, TableProvider};
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::{Expr, TableType};
use datafusion::physical_plan::ExecutionPlan;

/// Makes the rows of a table.
pub type Make = Box<dyn Fn() -> Result<Vec<RecordBatch>, Box<dyn Error + Send + Sync>> + Send + Sync>;

pub struct MadeTable {
    schema: SchemaRef,
    make: Make,
    made: Mutex<Option<Arc<MemTable>>>,
}

impl std::fmt::Debug for MadeTable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MadeTable").field("schema", &self.schema).finish_non_exhaustive()
    }
}

impl MadeTable {
    pub fn new(schema: SchemaRef, make: Make) -> Self {
        Self { schema, make, made: Mutex::default() }
    }

    fn rows(&self) -> Result<Arc<MemTable>> {
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(table) = &*made {
            return Ok(Arc::clone(table));
        }
        let rows = (self.make)().map_err(DataFusionError::External)?;
        let table = Arc::new(MemTable::try_new(Arc::clone(&self.schema), vec![rows])?);
        Ok(Arc::clone(made.insert(table)))
    }
}

#[async_trait]
impl TableProvider for MadeTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        self.rows()?.scan(state, projection, filters, limit).await
    }
}
