//! One Parquet file, written as a stream while its bytes are counted and hashed.
//! What goes into it and where it lies is the caller's; memory stays bounded
//! whatever the number of rows.

use std::io::{self, Read, Write};

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use sha2::{Digest as _, Sha256};
use speed_layer_core::commit::{Codec, Digest};

use crate::failpoint::{fail_point, half};
use crate::footer::Footer;
use crate::joined::Joined;

/// A row group is written out when it has this many rows or buffers this much.
const ROW_GROUP_ROWS_MAX: usize = 131_072;
const ROW_GROUP_BYTES_MAX: usize = 8 * 1024 * 1024;
const PAGE_BYTES_MAX: usize = 256 * 1024;

/// A Parquet file being written to `W`.
pub struct ParquetPart<W: Write + Send> {
    writer: ArrowWriter<HashingWriter<W>>,
    rows: u64,
}

/// A finished file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PartFacts {
    pub bytes: u64,
    pub rows: u64,
    pub sha256: Digest,
}

impl<W: Write + Send> ParquetPart<W> {
    /// Begins a file with the columns of `schema`.
    ///
    /// # Errors
    /// [`ParquetError`] for a type that Parquet lacks, or a failed write.
    pub fn new(to: W, schema: SchemaRef, codec: Codec) -> Result<Self, ParquetError> {
        let writer = ArrowWriter::try_new(HashingWriter::new(to), schema, Some(properties(codec)))?;
        Ok(Self { writer, rows: 0 })
    }

    /// Appends rows; their schema must be the file's.
    ///
    /// # Errors
    /// [`ParquetError`] for another schema, or a failed write.
    pub fn write(&mut self, rows: &RecordBatch) -> Result<(), ParquetError> {
        self.writer.write(rows)?;
        self.rows += rows.num_rows() as u64;
        if self.writer.memory_size() > ROW_GROUP_BYTES_MAX {
            self.writer.flush()?;
        }
        Ok(())
    }

    /// Rows written so far.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// About how large the file is so far, bytes.
    pub fn bytes(&self) -> u64 {
        (self.writer.bytes_written() + self.writer.in_progress_size()) as u64
    }

    /// Ends the file with `footer` among its metadata and gives back what it was
    /// written to.
    ///
    /// # Errors
    /// [`ParquetError`] for a failed write.
    pub fn finish(self, footer: &Footer) -> Result<(W, PartFacts), ParquetError> {
        fail_point("stage.before_footer");
        self.finish_with(footer.key_values())
    }

    /// Ends the file of a joined copy.
    ///
    /// # Errors
    /// As [`Self::finish`].
    pub fn finish_joined(self, joined: &Joined) -> Result<(W, PartFacts), ParquetError> {
        self.finish_with(joined.key_values())
    }

    fn finish_with(mut self, entries: Vec<KeyValue>) -> Result<(W, PartFacts), ParquetError> {
        for entry in entries {
            self.writer.append_key_value_metadata(entry);
        }
        // `into_inner` would do as much, but turns a full disk at the last write into a text.
        self.writer.finish()?;
        let (to, bytes, sha256) = self.writer.inner_mut().finish()?;
        Ok((to, PartFacts { bytes, rows: self.rows, sha256 }))
    }
}

fn properties(codec: Codec) -> WriterProperties {
    let compression = match codec {
        Codec::Snappy => Compression::SNAPPY,
        Codec::Zstd => Compression::ZSTD(ZstdLevel::default()),
    };
    WriterProperties::builder()
        .set_compression(compression)
        .set_created_by(format!("speed-layer {}", env!("CARGO_PKG_VERSION")))
        .set_statistics_enabled(EnabledStatistics::Page)
        .set_max_row_group_row_count(Some(ROW_GROUP_ROWS_MAX))
        .set_data_page_size_limit(PAGE_BYTES_MAX)
        .set_dictionary_page_size_limit(PAGE_BYTES_MAX)
        .build()
}

/// Passes bytes on, counting and hashing what was taken.
struct HashingWriter<W> {
    /// Not there any more once the file is finished.
    to: Option<W>,
    bytes: u64,
    hash: Sha256,
}

impl<W: Write> HashingWriter<W> {
    fn new(to: W) -> Self {
        Self { to: Some(to), bytes: 0, hash: Sha256::new() }
    }

    fn open(&mut self) -> io::Result<&mut W> {
        self.to.as_mut().ok_or_else(finished)
    }

    fn finish(&mut self) -> io::Result<(W, u64, Digest)> {
        let to = self.to.take().ok_or_else(finished)?;
        Ok((to, self.bytes, Digest(std::mem::take(&mut self.hash).finalize().into())))
    }
}

fn finished() -> io::Error {
    io::Error::other("the file is finished")
}

impl<W: Write> Write for HashingWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = self.open()?.write(half(bytes))?;
        fail_point("stage.mid_row_group");
        self.hash.update(&bytes[..taken]);
        self.bytes += taken as u64;
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.open()?.flush()
    }
}

/// SHA-256 of bytes in memory.
pub fn digest_of_bytes(bytes: &[u8]) -> Digest {
    Digest(Sha256::digest(bytes).into())
}

/// SHA-256 of everything that `from` gives.
///
/// # Errors
/// It cannot be read.
pub fn digest_of(from: &mut impl Read) -> io::Result<Digest> {
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 64 * 1024];
    loop {
        match from.read(&mut buffer)? {
            0 => return Ok(Digest(hash.finalize().into())),
            count => hash.update(&buffer[..count]),
        }
    }
}
