//! The checkpoint directory: checkpoints and snapshots written under a name of the
//! generation, synced, and linked to their final names; read, listed, removed. May be
//! used from a thread of its own, beside the store that it was got from.

use std::io::{ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

use speed_layer_core::commit::{Digest, Epoch, Generation, SealOutcome};

use crate::error::StoreError;
use crate::failpoint::{fail_point, half};
use crate::layer::{FileLayer, LayerDir, LayerFile};
use crate::layout::{CHECKPOINT_PREFIX, SNAPSHOT_PREFIX, UNSEALED_SUFFIX};
use crate::store::ChainStore;

/// Snapshots are written beside the commits, whose own syncs wait for whatever the disk has
/// been given before: never much.
const SLICE_BYTES: usize = 256 << 10;

/// See the module.
#[derive(Clone)]
pub struct CheckpointDir<L> {
    pub(super) layer: L,
    pub(super) dir: PathBuf,
    pub(super) generation: Generation,
}

impl<L: FileLayer> ChainStore for CheckpointDir<L> {
    fn place(&self) -> String {
        self.dir.display().to_string()
    }

    fn read_checkpoint(&self, epoch: Epoch) -> Result<Option<Vec<u8>>, StoreError> {
        self.read(&checkpoint_name(epoch))
    }

    fn read_snapshot(&self, epoch: Epoch, of: Digest) -> Result<Option<Vec<u8>>, StoreError> {
        self.read(&snapshot_name(epoch, of))
    }

    fn seal_snapshot(&mut self, epoch: Epoch, of: Digest, bytes: &[u8]) -> Result<SealOutcome, StoreError> {
        let (unsealed, outcome) = self.link_new(&snapshot_name(epoch, of), bytes, SLICE_BYTES)?;
        unlink(&self.layer, &unsealed)?;
        Ok(outcome)
    }
}

impl<L: FileLayer> CheckpointDir<L> {
    /// The directory `dir` of a job, as the owner with this generation uses it.
    pub fn new(layer: L, dir: &Path, generation: Generation) -> Self {
        Self { layer, dir: dir.to_owned(), generation }
    }

    pub(super) fn seal_checkpoint(&self, epoch: Epoch, bytes: &[u8]) -> Result<SealOutcome, StoreError> {
        self.seal(&checkpoint_name(epoch), bytes)
    }

    /// Writes a file under a name of this generation, syncs it, and links it to its
    /// final name, durably.
    pub(super) fn seal(&self, name: &str, bytes: &[u8]) -> Result<SealOutcome, StoreError> {
        let (unsealed, outcome) = self.link_new(name, bytes, usize::MAX)?;
        self.sync()?;
        fail_point("seal.after_dir_sync");
        unlink(&self.layer, &unsealed)?;
        Ok(outcome)
    }

    /// Gives a durable file its final name, which is not durable yet; and where it was
    /// written. It is synced as a whole, and before that slice by slice.
    fn link_new(
        &self,
        name: &str,
        bytes: &[u8],
        slice_bytes: usize,
    ) -> Result<(PathBuf, SealOutcome), StoreError> {
        let sealed = self.dir.join(name);
        let unsealed = self.dir.join(format!("{name}.g{}{UNSEALED_SUFFIX}", self.generation));
        fail_point(point_of(name, ["seal.before_write", "snapshot.before_write", "keep.before_write"]));
        let (first, others) = bytes.split_at(slice_bytes.min(bytes.len()));
        let mut file = write_new(&self.layer, &unsealed, first)?;
        for slice in others.chunks(slice_bytes) {
            file.sync().map_err(StoreError::sync(&unsealed))?;
            file.write_all(slice).map_err(StoreError::io("write", &unsealed))?;
        }
        fail_point(point_of(name, ["seal.before_sync", "snapshot.before_sync", "keep.before_sync"]));
        file.sync().map_err(StoreError::sync(&unsealed))?;
        fail_point(point_of(name, ["seal.before_link", "snapshot.before_link", "keep.before_link"]));
        let linked = self.layer.link(&unsealed, &sealed);
        fail_point(point_of(name, ["seal.after_link", "snapshot.after_link", "keep.after_link"]));
        match linked {
            Ok(()) => Ok((unsealed, SealOutcome::Created)),
            Err(cause) if cause.kind() == ErrorKind::AlreadyExists => Ok((unsealed, SealOutcome::Exists)),
            Err(cause) => Err(StoreError::io("seal", &sealed)(cause)),
        }
    }

    pub(crate) fn read(&self, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
        read_if_there(&self.layer, &self.dir.join(name))
    }

    /// Makes the names in the directory durable.
    pub(super) fn sync(&self) -> Result<(), StoreError> {
        sync_dir(&self.layer, &self.dir)
    }

    /// Renames a checkpoint to `<name>.g<generation>.<why>`, durably.
    pub(super) fn set_aside(&self, epoch: Epoch, why: &str) -> Result<(), StoreError> {
        let name = checkpoint_name(epoch);
        let (path, aside) =
            (self.dir.join(&name), self.dir.join(format!("{name}.g{}.{why}", self.generation)));
        self.layer.link(&path, &aside).map_err(StoreError::io("set aside", &path))?;
        unlink(&self.layer, &path)?;
        self.sync()
    }

    /// The snapshots there are, by epoch, with their names.
    pub(crate) fn snapshots(&self) -> Result<Vec<(Epoch, String)>, StoreError> {
        let entries = match self.layer.list(&self.dir) {
            Err(cause) if cause.kind() == ErrorKind::NotFound => Vec::new(),
            listed => listed.map_err(StoreError::io("list", &self.dir))?,
        };
        let names = entries.into_iter().filter_map(|entry| entry.name);
        let mut found: Vec<(Epoch, String)> =
            names.filter_map(|name| Some((snapshot_epoch(&name)?, name))).collect();
        found.sort_unstable();
        Ok(found)
    }

    pub(super) fn remove_snapshots(&self, epoch: Epoch) -> Result<(), StoreError> {
        let mut found = self.snapshots()?.into_iter().filter(|(of, _)| *of == epoch);
        found.try_for_each(|(_, name)| unlink(&self.layer, &self.dir.join(name)))
    }
}

/// Of three failpoints that of a checkpoint, a snapshot or another file.
fn point_of(name: &str, [checkpoint, snapshot, other]: [&'static str; 3]) -> &'static str {
    match name {
        _ if name.starts_with(CHECKPOINT_PREFIX) => checkpoint,
        _ if name.starts_with(SNAPSHOT_PREFIX) => snapshot,
        _ => other,
    }
}

fn checkpoint_name(epoch: Epoch) -> String {
    format!("{CHECKPOINT_PREFIX}{:020}", epoch.0)
}

/// With the beginning of its checkpoint's digest: an epoch that was rolled back and
/// sealed anew has another snapshot.
fn snapshot_name(epoch: Epoch, of: Digest) -> String {
    format!("{SNAPSHOT_PREFIX}{:020}-{}", epoch.0, &of.to_string()[..SNAPSHOT_DIGITS])
}

const SNAPSHOT_DIGITS: usize = 16;

fn snapshot_epoch(name: &str) -> Option<Epoch> {
    let (epoch, digits) = name.strip_prefix(SNAPSHOT_PREFIX)?.split_once('-')?;
    let is_sealed = digits.len() == SNAPSHOT_DIGITS && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    is_sealed.then(|| epoch.parse().ok().map(Epoch))?
}

pub(super) fn read(layer: &impl FileLayer, path: &Path) -> Result<Vec<u8>, StoreError> {
    let mut bytes = Vec::new();
    let mut file = layer.open(path).map_err(StoreError::io("open", path))?;
    file.read_to_end(&mut bytes).map_err(StoreError::io("read", path))?;
    Ok(bytes)
}

pub(super) fn read_if_there(layer: &impl FileLayer, path: &Path) -> Result<Option<Vec<u8>>, StoreError> {
    match read(layer, path) {
        Err(StoreError::Io { cause, .. }) if cause.kind() == ErrorKind::NotFound => Ok(None),
        read => read.map(Some),
    }
}

/// Writes a new file; neither its content nor its name is durable yet.
pub(super) fn write_new<L: FileLayer>(layer: &L, path: &Path, bytes: &[u8]) -> Result<L::File, StoreError> {
    let mut file = layer.create_new(path).map_err(StoreError::io("create", path))?;
    file.write_all(half(bytes)).map_err(StoreError::io("write", path))?;
    fail_point("file.half_written");
    file.write_all(&bytes[half(bytes).len()..]).map_err(StoreError::io("write", path))?;
    Ok(file)
}

/// Removes a name; one that is gone already is fine.
pub(super) fn unlink(layer: &impl FileLayer, path: &Path) -> Result<(), StoreError> {
    match layer.unlink(path) {
        Err(cause) if cause.kind() == ErrorKind::NotFound => Ok(()),
        outcome => outcome.map_err(StoreError::io("remove", path)),
    }
}

pub(super) fn sync_dir(layer: &impl FileLayer, path: &Path) -> Result<(), StoreError> {
    let dir = layer.open_dir(path).map_err(StoreError::io("open directory", path))?;
    dir.sync().map_err(StoreError::sync(path))
}
