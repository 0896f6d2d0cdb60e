//! A table of Parquet files that are known one by one, with the values of a key for each: the
//! rows that a job has published up to a commit. Files that come later are none of it.

use std::path::PathBuf;
use std::sync::Arc;

use arrow_schema::{FieldRef, Schema, SchemaRef};
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::ScalarValue;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::{FileGroup, FileScanConfigBuilder, ParquetSource};
use datafusion::datasource::source::DataSourceExec;
use datafusion::datasource::table_schema::TableSchema;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::logical_expr::{Expr, TableType};
use datafusion::object_store::path::Path;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::empty::EmptyExec;

/// One Parquet file.
#[derive(Debug, Clone)]
pub struct File {
    /// Absolute.
    pub path: PathBuf,
    pub bytes: u64,
    /// The text of each key column; `None` is null.
    pub key: Vec<Option<String>>,
}

/// Files that make up a table.
#[derive(Debug, Clone)]
pub struct Files {
    /// The columns that are not in the files, which come first in the table.
    pub keys: Vec<FieldRef>,
    /// The columns in the files. A file without one has nulls there.
    pub columns: SchemaRef,
    pub files: Vec<File>,
}

#[derive(Debug)]
pub struct FileTable {
    schema: SchemaRef,
    /// The same columns as the engine has them: keys last.
    inner: TableSchema,
    /// By the columns' order outside, their place inside.
    places: Vec<usize>,
    files: Vec<PartitionedFile>,
}

impl FileTable {
    pub fn new(files: Files) -> Result<Self> {
        let Files { keys, columns, files } = files;
        let (outer, in_files) = (keys.len(), columns.fields().len());
        let fields: Vec<FieldRef> = keys.iter().chain(columns.fields()).cloned().collect();
        let entry = |file: File| entry(&keys, file);
        Ok(Self {
            schema: Arc::new(Schema::new(fields)),
            files: files.into_iter().map(entry).collect::<Result<_>>()?,
            inner: TableSchema::builder(columns).with_table_partition_cols(keys.clone()).build(),
            places: (in_files..in_files + outer).chain(0..in_files).collect(),
        })
    }
}

fn entry(keys: &[FieldRef], file: File) -> Result<PartitionedFile> {
    let mut entry = PartitionedFile::new(String::new(), file.bytes);
    entry.object_meta.location =
        Path::from_absolute_path(&file.path).map_err(|error| DataFusionError::External(error.into()))?;
    let value = |(field, text): (&FieldRef, Option<String>)| match text {
        Some(text) => ScalarValue::try_from_string(text, field.data_type()),
        None => ScalarValue::try_from(field.data_type()),
    };
    entry.partition_values = keys.iter().zip(file.key).map(value).collect::<Result<_>>()?;
    Ok(entry)
}

#[async_trait]
impl TableProvider for FileTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    /// Filters come to the files by the physical plan.
    async fn scan(
        &self,
        _: &dyn Session,
        projection: Option<&Vec<usize>>,
        _: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let wanted: Vec<usize> = match projection {
            Some(wanted) => wanted.iter().map(|&column| self.places[column]).collect(),
            None => self.places.clone(),
        };
        if self.files.is_empty() {
            let schema = self.inner.table_schema().project(&wanted)?;
            return Ok(Arc::new(EmptyExec::new(Arc::new(schema))));
        }
        let source = Arc::new(ParquetSource::new(self.inner.clone()));
        let scan = FileScanConfigBuilder::new(ObjectStoreUrl::local_filesystem(), source)
            .with_file_group(FileGroup::new(self.files.clone()))
            .with_projection_indices(Some(wanted))?
            .with_limit(limit)
            .build();
        Ok(DataSourceExec::from_data_source(scan))
    }
}
