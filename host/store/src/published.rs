//! A published file read again: what its footer says, and its rows. Reads alone; what
//! the rows should be is the caller's to know.

use std::fs::File;
use std::io::ErrorKind;
use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::errors::ParquetError;
use parquet::file::metadata::ParquetMetaData;

use crate::footer::{Footer, FooterError};
use crate::joined::Joined;

/// A Parquet file with a footer of ours.
#[derive(Debug, Clone)]
pub struct PublishedFile {
    pub path: PathBuf,
    pub bytes: u64,
    pub rows: u64,
    pub row_groups: usize,
    /// The program that wrote it.
    pub created_by: String,
    pub schema: SchemaRef,
    pub footer: Footer,
}

/// Why a file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    #[error("{} is not there; check the path", path.display())]
    Missing { path: PathBuf },
    #[error("{} cannot be read: {cause}", path.display())]
    Io { path: PathBuf, cause: std::io::Error },
    #[error(
        "{} is no Parquet file, or is cut short ({cause}); `host checkpoint verify` says which published files are not \
         as they were written", path.display()
    )]
    NotParquet { path: PathBuf, cause: ParquetError },
    #[error(
        "{} is a Parquet file, but not one that a job of this program wrote: it has no `speed-layer.` keys among its \
         metadata, as after another program has rewritten it", path.display()
    )]
    NotOurs { path: PathBuf },
    #[error(
        "{} is a joined copy of {sources} published files, made by `host compact`: give one of these, which lie in the \
         output that it was made of (`host file inspect` lists them)", path.display()
    )]
    Joined { path: PathBuf, sources: usize },
    #[error("the metadata of {} are damaged: {cause}", path.display())]
    Footer { path: PathBuf, cause: FooterError },
    #[error(
        "the rows of {} are damaged ({why}); `host checkpoint verify` compares it with what was published",
        path.display()
    )]
    Rows { path: PathBuf, why: String },
}

impl PublishedFile {
    /// Opens a file and reads its metadata, not its rows.
    ///
    /// # Errors
    /// [`FileError`], all but [`FileError::Rows`].
    pub fn open(path: &Path) -> Result<Self, FileError> {
        let reader = reader(path)?;
        let metadata = reader.metadata().file_metadata();
        let none = Vec::new();
        let entries = metadata.key_value_metadata().unwrap_or(&none);
        if !Footer::is_in(entries) {
            return Err(FileError::NotOurs { path: path.to_owned() });
        }
        if let Some(joined) = Joined::read(entries) {
            return Err(match joined {
                Ok(joined) => FileError::Joined { path: path.to_owned(), sources: joined.sources.len() },
                Err(cause) => FileError::Footer { path: path.to_owned(), cause },
            });
        }
        let footer =
            Footer::read(entries).map_err(|cause| FileError::Footer { path: path.to_owned(), cause })?;
        let bytes = std::fs::metadata(path).map_err(|cause| io(path, cause))?.len();
        Ok(Self {
            path: path.to_owned(),
            bytes,
            rows: u64::try_from(metadata.num_rows()).unwrap_or_default(),
            row_groups: reader.metadata().num_row_groups(),
            created_by: metadata.created_by().unwrap_or_default().to_owned(),
            schema: Arc::clone(reader.schema()),
            footer,
        })
    }

    /// Reads all rows.
    ///
    /// # Errors
    /// [`FileError::Rows`] for pages that cannot be read.
    pub fn read_rows(&self) -> Result<Vec<RecordBatch>, FileError> {
        rows(&self.path, reader(&self.path)?)
    }

    /// Gives all rows, some at a time.
    ///
    /// # Errors
    /// As [`Self::read_rows`], and those of `give`.
    pub fn each_batch<E: From<FileError>>(
        &self,
        mut give: impl FnMut(&RecordBatch) -> Result<(), E>,
    ) -> Result<(), E> {
        each_batch(&self.path, self.rows, &mut give)
    }

    /// Reads some columns of all rows, in the file's order.
    ///
    /// # Errors
    /// As [`Self::read_rows`].
    pub fn read_columns(&self, names: &[&str]) -> Result<Vec<RecordBatch>, FileError> {
        let reader = reader(&self.path)?;
        let mask = ProjectionMask::columns(reader.parquet_schema(), names.iter().copied());
        rows(&self.path, reader.with_projection(mask))
    }
}

/// Every Parquet file below a folder, sorted; none where there is no such folder.
///
/// # Errors
/// [`FileError::Io`] where a folder cannot be listed.
pub fn parquet_files(folder: &Path) -> Result<Vec<PathBuf>, FileError> {
    let mut found = Vec::new();
    let entries = match std::fs::read_dir(folder) {
        Err(cause) if cause.kind() == ErrorKind::NotFound => return Ok(found),
        entries => entries.map_err(|cause| io(folder, cause))?,
    };
    for entry in entries {
        let path = entry.map_err(|cause| io(folder, cause))?.path();
        if path.is_dir() {
            found.extend(parquet_files(&path)?);
        } else if path.extension().is_some_and(|extension| extension == "parquet") {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

fn reader(path: &Path) -> Result<ParquetRecordBatchReaderBuilder<File>, FileError> {
    let file = File::open(path).map_err(|cause| io(path, cause))?;
    let facts = file.metadata().map_err(|cause| io(path, cause))?;
    if facts.is_dir() {
        return Err(io(path, ErrorKind::IsADirectory.into()));
    }
    caught(|| ParquetRecordBatchReaderBuilder::try_new(file))
        .map_err(|cause| FileError::NotParquet { path: path.to_owned(), cause })
}

/// What the end of a Parquet file says, and how many bytes it has.
pub(crate) fn file_metadata(path: &Path) -> Result<(Arc<ParquetMetaData>, u64), FileError> {
    let reader = reader(path)?;
    let bytes = std::fs::metadata(path).map_err(|cause| io(path, cause))?.len();
    Ok((Arc::clone(reader.metadata()), bytes))
}

/// Gives the rows of a file that is to have `told` of them, some at a time.
pub(crate) fn each_batch<E: From<FileError>>(
    path: &Path,
    told: u64,
    give: &mut impl FnMut(&RecordBatch) -> Result<(), E>,
) -> Result<(), E> {
    let damaged = |why: String| FileError::Rows { path: path.to_owned(), why };
    let reader = reader(path)?;
    let mut batches = caught(|| reader.build()).map_err(|cause| damaged(cause.to_string()))?;
    let mut there = 0;
    loop {
        let next = caught(|| Ok(batches.next().transpose()?)).map_err(|cause| damaged(cause.to_string()))?;
        let Some(batch) = next else { break };
        there += batch.num_rows() as u64;
        give(&batch)?;
    }
    if there == told { Ok(()) } else { Err(damaged(format!("{there} rows of {told}")).into()) }
}

fn rows(path: &Path, reader: ParquetRecordBatchReaderBuilder<File>) -> Result<Vec<RecordBatch>, FileError> {
    let damaged = |why: String| FileError::Rows { path: path.to_owned(), why };
    let told = u64::try_from(reader.metadata().file_metadata().num_rows()).unwrap_or_default();
    let read = || Ok(reader.build()?.collect::<Result<Vec<_>, _>>()?);
    let batches = caught(read).map_err(|cause| damaged(cause.to_string()))?;
    let there: u64 = batches.iter().map(|batch| batch.num_rows() as u64).sum();
    if there == told { Ok(batches) } else { Err(damaged(format!("{there} rows of {told}"))) }
}

/// Some broken bytes make the library panic, where it should have refused them.
pub(crate) fn caught<T>(read: impl FnOnce() -> Result<T, ParquetError>) -> Result<T, ParquetError> {
    let senseless = || ParquetError::General("its bytes make no sense".to_owned());
    std::panic::catch_unwind(AssertUnwindSafe(read)).unwrap_or_else(|_| Err(senseless()))
}

fn io(path: &Path, cause: std::io::Error) -> FileError {
    match cause.kind() {
        ErrorKind::NotFound => FileError::Missing { path: path.to_owned() },
        _ => FileError::Io { path: path.to_owned(), cause },
    }
}
