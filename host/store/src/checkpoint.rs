//! A checkpoint's bytes. Verified whole before anything in them is used; never
//! changed once written. No files here: bytes in, bytes out.
//!
//! All integers are little-endian. There is no padding: each part begins where the
//! one before it ends.
//!
//! | offset | bytes | what |
//! |---|---|---|
//! | 0 | 8 | magic: `89 53 4C 43 4B 50 54 0A` (`\x89SLCKPT\n`) |
//! | 8 | 4 | format version, 1 |
//! | 12 | 4 | number of sections, n |
//! | 16 | 8 | length of the whole file |
//! | 24 | 4 | length of the section table |
//! | 28 | | the section table: n entries |
//! | | | the sections, in the table's order |
//! | end − 32 | 32 | SHA-256 of all bytes before the first section |
//!
//! An entry of the table:
//!
//! | bytes | what |
//! |---|---|
//! | 4 | kind: 1 the manifest, 2 the states of one aggregate |
//! | 4 | length of the name |
//! | 8 | offset of the section in the file |
//! | 8 | length of the section |
//! | 32 | SHA-256 of the section |
//! | | the name: UTF-8; of the manifest empty, of states the aggregate's |
//!
//! The first section is the manifest, the only one of its kind: JSON, UTF-8, of
//! `speed_layer_core::commit::Manifest`. States are an Arrow IPC stream of one
//! record batch, uncompressed.
//!
//! Header, table and trailer are the same in every version, so that a file of
//! another version is told from a damaged one.
//!
//! The trailer covers the header and the table, the table the digest of every
//! section, so the trailer stands for every byte; it is also the checkpoint's
//! digest, by which the next one names its parent.

use std::panic::catch_unwind;

use arrow_array::RecordBatch;
use arrow_buffer::Buffer;
use arrow_ipc::reader::StreamDecoder;
use arrow_ipc::writer::StreamWriter;
use arrow_schema::ArrowError;
use speed_layer_core::commit::{Digest, FORMAT_VERSION, Manifest};

use crate::part::digest_of_bytes;

const MAGIC: [u8; 8] = *b"\x89SLCKPT\n";
const HEADER_BYTES: usize = 28;
const ENTRY_BYTES: usize = 56;
const TRAILER_BYTES: usize = 32;
const MANIFEST: u32 = 1;
const STATES: u32 = 2;

/// A checkpoint, read and verified.
#[derive(Debug, Clone, PartialEq)]
pub struct Checkpoint {
    pub manifest: Manifest,
    /// By aggregate, in the order written.
    pub states: Vec<(String, RecordBatch)>,
    /// Stands for every byte of it.
    pub digest: Digest,
}

#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    /// Not the bytes that were written.
    #[error("{0}")]
    Damaged(String),
    #[error("it has format version {0}, this program reads version {FORMAT_VERSION}")]
    OtherFormat(u32),
    /// Writing only.
    #[error("the states of aggregate {aggregate} cannot be written: {cause}")]
    States { aggregate: String, cause: ArrowError },
    /// Writing only.
    #[error("the manifest cannot be written: {0}")]
    Manifest(serde_json::Error),
}

struct Section<'a> {
    kind: u32,
    name: &'a str,
    bytes: &'a [u8],
}

/// The bytes of a checkpoint.
///
/// # Errors
/// [`CheckpointError::States`] for a column type that Arrow IPC cannot write.
pub fn encode(manifest: &Manifest, states: &[(String, RecordBatch)]) -> Result<Vec<u8>, CheckpointError> {
    let json = serde_json::to_vec(manifest).map_err(CheckpointError::Manifest)?;
    let streams = states.iter().map(|(name, batch)| stream(name, batch)).collect::<Result<Vec<_>, _>>()?;
    let mut sections = vec![Section { kind: MANIFEST, name: "", bytes: &json }];
    for ((name, _), bytes) in states.iter().zip(&streams) {
        sections.push(Section { kind: STATES, name, bytes });
    }
    Ok(assemble(&sections))
}

fn stream(aggregate: &str, batch: &RecordBatch) -> Result<Vec<u8>, CheckpointError> {
    let write = || {
        let mut writer = StreamWriter::try_new(Vec::new(), &batch.schema())?;
        writer.write(batch)?;
        writer.into_inner()
    };
    write().map_err(|cause| CheckpointError::States { aggregate: aggregate.to_owned(), cause })
}

fn assemble(sections: &[Section<'_>]) -> Vec<u8> {
    let table_bytes: usize = sections.iter().map(|section| ENTRY_BYTES + section.name.len()).sum();
    let body_bytes: usize = sections.iter().map(|section| section.bytes.len()).sum();
    let total = HEADER_BYTES + table_bytes + body_bytes + TRAILER_BYTES;
    let mut file = Vec::with_capacity(total);
    file.extend_from_slice(&MAGIC);
    file.extend_from_slice(&FORMAT_VERSION.to_le_bytes());
    file.extend_from_slice(&(sections.len() as u32).to_le_bytes());
    file.extend_from_slice(&(total as u64).to_le_bytes());
    file.extend_from_slice(&(table_bytes as u32).to_le_bytes());
    let mut offset = HEADER_BYTES + table_bytes;
    for section in sections {
        push_entry(&mut file, section, offset);
        offset += section.bytes.len();
    }
    let trailer = digest_of_bytes(&file);
    sections.iter().for_each(|section| file.extend_from_slice(section.bytes));
    file.extend_from_slice(&trailer.0);
    file
}

fn push_entry(file: &mut Vec<u8>, section: &Section<'_>, offset: usize) {
    file.extend_from_slice(&section.kind.to_le_bytes());
    file.extend_from_slice(&(section.name.len() as u32).to_le_bytes());
    file.extend_from_slice(&(offset as u64).to_le_bytes());
    file.extend_from_slice(&(section.bytes.len() as u64).to_le_bytes());
    file.extend_from_slice(&digest_of_bytes(section.bytes).0);
    file.extend_from_slice(section.name.as_bytes());
}

/// Reads a checkpoint, verifying every byte first.
///
/// # Errors
/// [`CheckpointError::Damaged`] with what is wrong, or
/// [`CheckpointError::OtherFormat`]. Never panics, whatever the bytes are.
pub fn decode(file: &[u8]) -> Result<Checkpoint, CheckpointError> {
    let (sections, digest) = verify(file)?;
    let mut sections = sections.into_iter();
    let manifest = match sections.next() {
        Some(section) if section.kind == MANIFEST => read_manifest(section.bytes)?,
        _ => return Err(damaged("its first section is not the manifest")),
    };
    let states = sections.map(read_states).collect::<Result<_, _>>()?;
    Ok(Checkpoint { manifest, states, digest })
}

fn read_manifest(json: &[u8]) -> Result<Manifest, CheckpointError> {
    serde_json::from_slice(json).map_err(|cause| damaged(format!("its manifest cannot be read: {cause}")))
}

fn read_states(section: Section<'_>) -> Result<(String, RecordBatch), CheckpointError> {
    let wrong = |cause: &dyn std::fmt::Display| {
        damaged(format!("the states of aggregate {} cannot be read: {cause}", section.name))
    };
    if section.kind != STATES {
        return Err(wrong(&format!("section kind {} is not known", section.kind)));
    }
    // The bytes are those of the digest, but whoever forged a digest may have written
    // what Arrow's reader takes for granted: it panics on some of it.
    match catch_unwind(|| read_stream(section.bytes)) {
        Ok(Ok(batch)) => Ok((section.name.to_owned(), batch)),
        Ok(Err(cause)) => Err(wrong(&cause)),
        Err(_) => Err(wrong(&"it is no Arrow stream of ours")),
    }
}

/// The one batch of a stream. The decoder takes from what is there; a reader would
/// first allocate whatever length it finds written.
fn read_stream(bytes: &[u8]) -> Result<RecordBatch, ArrowError> {
    let (mut decoder, mut rest) = (StreamDecoder::new(), Buffer::from(bytes));
    let (first, second) = (decoder.decode(&mut rest)?, decoder.decode(&mut rest)?);
    decoder.finish()?;
    match (first, second) {
        (Some(batch), None) => Ok(batch),
        _ => Err(ArrowError::IpcError("there is not exactly one batch".to_owned())),
    }
}

/// Checks every length and every digest; gives the sections and the trailer.
fn verify(file: &[u8]) -> Result<(Vec<Section<'_>>, Digest), CheckpointError> {
    let mut header = Cursor { bytes: file };
    if header.take(8)? != MAGIC {
        return Err(damaged("it does not begin as a checkpoint does"));
    }
    let version = header.u32()?;
    let (count, total, table_bytes) = (header.u32()?, header.u64()?, header.u32()?);
    if total != file.len() as u64 {
        return Err(damaged(format!("it is {} bytes long, its header says {total}", file.len())));
    }
    let mut table = Cursor { bytes: header.take(table_bytes as usize)? };
    let head = &file[..HEADER_BYTES + table_bytes as usize];
    let digest = digest_of_bytes(head);
    if !file.ends_with(&digest.0) {
        return Err(damaged("its checksum is wrong"));
    }
    if version != FORMAT_VERSION {
        return Err(CheckpointError::OtherFormat(version));
    }
    let mut body = header.bytes;
    let mut sections = Vec::new();
    for _ in 0..count {
        let offset = (file.len() - body.len()) as u64;
        let (section, rest) = take_section(&mut table, body, offset)?;
        sections.push(section);
        body = rest;
    }
    if !table.bytes.is_empty() || body.len() != TRAILER_BYTES {
        return Err(damaged("its sections do not fill it"));
    }
    Ok((sections, digest))
}

/// The section that the table's next entry describes, and what follows it.
fn take_section<'a>(
    table: &mut Cursor<'a>,
    body: &'a [u8],
    offset: u64,
) -> Result<(Section<'a>, &'a [u8]), CheckpointError> {
    let (kind, name_bytes) = (table.u32()?, table.u32()?);
    let (begins, length) = (table.u64()?, table.u64()?);
    let sha256 = table.take(32)?;
    let name = std::str::from_utf8(table.take(name_bytes as usize)?)
        .map_err(|_| damaged("the name of a section is not UTF-8"))?;
    let mut rest = Cursor { bytes: body };
    let bytes = rest.take(usize::try_from(length).unwrap_or(usize::MAX))?;
    if begins != offset || digest_of_bytes(bytes).0 != sha256 {
        return Err(damaged(format!("the checksum of section {kind} {name:?} is wrong")));
    }
    Ok((Section { kind, name, bytes }, rest.bytes))
}

/// The digest of a checkpoint that [`encode`] made.
pub(crate) fn trailer(file: &[u8]) -> Digest {
    let mut digest = [0; TRAILER_BYTES];
    if let Some(last) = file.last_chunk() {
        digest = *last;
    }
    Digest(digest)
}

/// Takes from the front of a slice, never beyond its end.
struct Cursor<'a> {
    bytes: &'a [u8],
}

impl<'a> Cursor<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], CheckpointError> {
        let (taken, rest) = self.bytes.split_at_checked(count).ok_or_else(|| damaged("it is cut short"))?;
        self.bytes = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], CheckpointError> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N)?);
        Ok(array)
    }

    fn u32(&mut self) -> Result<u32, CheckpointError> {
        self.array().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Result<u64, CheckpointError> {
        self.array().map(u64::from_le_bytes)
    }
}

fn damaged(why: impl Into<String>) -> CheckpointError {
    CheckpointError::Damaged(why.into())
}
