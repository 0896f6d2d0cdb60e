//! A checkpoint's bytes, a snapshot's, and those of a copy for a reader: what the sections of a
//! container mean. Never changed once written. No files here: bytes
//! in, bytes out.
//!
//! | kind of section | name | what |
//! |---|---|---|
//! | 1 | | the manifest, the first section and the only one of its kind: JSON, UTF-8 |
//! | 2 | the aggregate's | groups: an Arrow IPC stream of one record batch, uncompressed |
//! | 3 | the aggregate's | the lowest offsets of the groups' windows, likewise |
//!
//! The manifest of a checkpoint is `speed_layer_core::commit::Manifest`, that of a
//! snapshot `SnapshotManifest`. Format 1 knew neither snapshots nor sections of kind 3:
//! its manifests hold the offsets.

use std::panic::catch_unwind;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Int32Type, Int64Type};
use arrow_array::{Array, ArrayRef, Int32Array, Int64Array, RecordBatch};
use arrow_buffer::Buffer;
use arrow_ipc::reader::StreamDecoder;
use arrow_ipc::writer::StreamWriter;
use arrow_schema::ArrowError;
use serde::Serialize;
use serde::de::DeserializeOwned;
use speed_layer_core::commit::{
    AggregateProgress, CopyManifest, Digest, FORMAT_VERSION, FORMAT_VERSION_MIN, Manifest, SnapshotManifest,
};
use speed_layer_core::group::{StoredGroups, WindowOffset};

use crate::container::{Magic, Section, assemble, damaged, verify};

const CHECKPOINT: Magic = *b"\x89SLCKPT\n";
const SNAPSHOT: Magic = *b"\x89SLSNAP\n";
const COPY: Magic = *b"\x89SLCOPY\n";
const MANIFEST: u32 = 1;
const GROUPS: u32 = 2;
const OFFSETS: u32 = 3;

/// What is open of each aggregate, by its name.
pub type States = Vec<(String, StoredGroups)>;

/// A checkpoint, read and verified.
#[derive(Debug, Clone, PartialEq)]
pub struct Checkpoint {
    pub manifest: Manifest,
    /// In the order written; aggregates without open groups may be missing.
    pub states: States,
    /// Stands for every byte of it.
    pub digest: Digest,
}

/// A snapshot, read and verified.
#[derive(Debug, Clone, PartialEq)]
pub struct Snapshot {
    pub manifest: SnapshotManifest,
    pub states: States,
}

/// A copy of uncommitted states, read and verified.
#[derive(Debug, Clone, PartialEq)]
pub struct Copied {
    pub manifest: CopyManifest,
    pub states: States,
}

#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    /// Not the bytes that were written, or not with what they build upon.
    #[error("{0}")]
    Damaged(String),
    #[error(
        "it has format version {0}, this program reads versions {FORMAT_VERSION_MIN} to {FORMAT_VERSION}"
    )]
    OtherFormat(u32),
    /// Writing only.
    #[error("the states of aggregate {aggregate} cannot be written: {cause}")]
    States { aggregate: String, cause: ArrowError },
    /// Writing only.
    #[error("the manifest cannot be written: {0}")]
    Manifest(serde_json::Error),
}

/// The bytes of a checkpoint.
///
/// # Errors
/// [`CheckpointError::States`] for a column type that Arrow IPC cannot write.
pub fn encode(manifest: &Manifest, states: &[(String, StoredGroups)]) -> Result<Vec<u8>, CheckpointError> {
    encode_as(CHECKPOINT, manifest, states)
}

/// The bytes of a snapshot.
///
/// # Errors
/// As [`encode`].
pub fn encode_snapshot(
    manifest: &SnapshotManifest,
    states: &[(String, StoredGroups)],
) -> Result<Vec<u8>, CheckpointError> {
    encode_as(SNAPSHOT, manifest, states)
}

/// The bytes of a copy of uncommitted states.
///
/// # Errors
/// As [`encode`].
pub fn encode_copy(
    manifest: &CopyManifest,
    states: &[(String, StoredGroups)],
) -> Result<Vec<u8>, CheckpointError> {
    encode_as(COPY, manifest, states)
}

fn encode_as(
    magic: Magic,
    manifest: &impl Serialize,
    states: &[(String, StoredGroups)],
) -> Result<Vec<u8>, CheckpointError> {
    let json = serde_json::to_vec(manifest).map_err(CheckpointError::Manifest)?;
    let mut streams = Vec::new();
    for (name, stored) in states {
        let failed = |cause| CheckpointError::States { aggregate: name.clone(), cause };
        if let Some(groups) = &stored.groups {
            streams.push((GROUPS, name, stream(groups).map_err(failed)?));
        }
        if !stored.offsets.is_empty() {
            let offsets = offsets_batch(&stored.offsets).and_then(|batch| stream(&batch));
            streams.push((OFFSETS, name, offsets.map_err(failed)?));
        }
    }
    let mut sections = vec![Section { kind: MANIFEST, name: "", bytes: &json }];
    sections.extend(streams.iter().map(|(kind, name, bytes)| Section { kind: *kind, name, bytes }));
    Ok(assemble(magic, &sections))
}

fn stream(batch: &RecordBatch) -> Result<Vec<u8>, ArrowError> {
    let mut writer = StreamWriter::try_new(Vec::new(), &batch.schema())?;
    writer.write(batch)?;
    writer.into_inner()
}

fn offsets_batch(offsets: &[WindowOffset]) -> Result<RecordBatch, ArrowError> {
    let starts = Int64Array::from_iter_values(offsets.iter().map(|offset| offset.start_us));
    let partitions = Int32Array::from_iter_values(offsets.iter().map(|offset| offset.partition));
    let values = Int64Array::from_iter_values(offsets.iter().map(|offset| offset.offset));
    let columns: [(&str, ArrayRef); 3] = [
        ("window_start_us", Arc::new(starts)),
        ("partition", Arc::new(partitions)),
        ("lowest_offset", Arc::new(values)),
    ];
    RecordBatch::try_from_iter_with_nullable(columns.map(|(name, column)| (name, column, false)))
}

/// Reads a checkpoint, verifying every byte first. The states of one that holds only
/// what its epoch changed are just that.
///
/// # Errors
/// [`CheckpointError::Damaged`] with what is wrong, or
/// [`CheckpointError::OtherFormat`]. Never panics, whatever the bytes are.
pub fn decode(file: &[u8]) -> Result<Checkpoint, CheckpointError> {
    let (mut manifest, mut states, digest) = decode_as::<Manifest>(CHECKPOINT, file)?;
    manifest.progress.aggregates.iter_mut().for_each(|aggregate| take_offsets(aggregate, &mut states));
    Ok(Checkpoint { manifest, states, digest })
}

/// Reads a snapshot, verifying every byte first.
///
/// # Errors
/// As [`decode`].
pub fn decode_snapshot(file: &[u8]) -> Result<Snapshot, CheckpointError> {
    let (manifest, states, _) = decode_as::<SnapshotManifest>(SNAPSHOT, file)?;
    Ok(Snapshot { manifest, states })
}

/// Reads a copy of uncommitted states, verifying every byte first.
///
/// # Errors
/// As [`decode`].
pub fn decode_copy(bytes: &[u8]) -> Result<Copied, CheckpointError> {
    let (manifest, states, _) = decode_as::<CopyManifest>(COPY, bytes)?;
    Ok(Copied { manifest, states })
}

fn decode_as<M: DeserializeOwned>(magic: Magic, file: &[u8]) -> Result<(M, States, Digest), CheckpointError> {
    let verified = verify(magic, file)?;
    let mut sections = verified.sections.into_iter();
    let manifest = match sections.next() {
        Some(section) if section.kind == MANIFEST => read_manifest(section.bytes)?,
        _ => return Err(damaged("its first section is not the manifest")),
    };
    let mut states = States::new();
    sections.try_for_each(|section| read_states(&section, &mut states))?;
    Ok((manifest, states, verified.digest))
}

fn read_manifest<M: DeserializeOwned>(json: &[u8]) -> Result<M, CheckpointError> {
    serde_json::from_slice(json).map_err(|cause| damaged(format!("its manifest cannot be read: {cause}")))
}

/// Format 1 keeps the offsets in the manifest.
fn take_offsets(aggregate: &mut AggregateProgress, states: &mut States) {
    let Some((_, stored)) = states.iter_mut().find(|(name, _)| *name == aggregate.name) else { return };
    for window in std::mem::take(&mut aggregate.windows) {
        let start_us = window.start_ms.saturating_mul(1000);
        let offset = |mark: &speed_layer_core::commit::OffsetMark| WindowOffset {
            start_us,
            partition: mark.partition,
            offset: mark.offset,
        };
        stored.offsets.extend(window.lowest.iter().map(offset));
    }
}

fn read_states(section: &Section<'_>, states: &mut States) -> Result<(), CheckpointError> {
    let wrong = |cause: &dyn std::fmt::Display| {
        damaged(format!("the states of aggregate {} cannot be read: {cause}", section.name))
    };
    // The bytes are those of the digest, but whoever forged a digest may have written
    // what Arrow's reader takes for granted: it panics on some of it.
    let batch = match catch_unwind(|| read_stream(section.bytes)) {
        Ok(read) => read.map_err(|cause| wrong(&cause))?,
        Err(_) => return Err(wrong(&"it is no Arrow stream of ours")),
    };
    let stored = stored_of(section.name, states);
    match section.kind {
        GROUPS if stored.groups.is_none() => stored.groups = Some(batch),
        OFFSETS if stored.offsets.is_empty() => {
            stored.offsets = read_offsets(&batch).ok_or_else(|| wrong(&"its offsets are not such"))?;
        }
        kind => return Err(wrong(&format!("a section of kind {kind} is not expected"))),
    }
    Ok(())
}

fn stored_of<'a>(name: &str, states: &'a mut States) -> &'a mut StoredGroups {
    let at = states.iter().position(|(held, _)| held == name).unwrap_or_else(|| {
        states.push((name.to_owned(), StoredGroups::default()));
        states.len() - 1
    });
    &mut states[at].1
}

/// `None` unless it is what [`offsets_batch`] makes.
fn read_offsets(batch: &RecordBatch) -> Option<Vec<WindowOffset>> {
    let numbers = |at: usize| batch.columns().get(at)?.as_primitive_opt::<Int64Type>();
    let (starts, values) = (numbers(0)?, numbers(2)?);
    let partitions = batch.columns().get(1)?.as_primitive_opt::<Int32Type>()?;
    if starts.null_count() + partitions.null_count() + values.null_count() > 0 {
        return None;
    }
    let rows = starts.values().iter().zip(partitions.values()).zip(values.values());
    let offset = |((start_us, partition), offset): ((&i64, &i32), &i64)| WindowOffset {
        start_us: *start_us,
        partition: *partition,
        offset: *offset,
    };
    Some(rows.map(offset).collect())
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
