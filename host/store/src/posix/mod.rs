//! The commit store over files: staging is a directory beside the output, a seal
//! and a publication are hard links, which never replace. What is synced when is
//! decided here; the file operations are the layer's.
//!
//! One machine only: the lock is the kernel's, and owners are told apart by their
//! process.

mod aside;
mod checkpoints;
mod directories;
mod kept;
mod listing;
mod moved;
mod own;
mod publish;
mod staging;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use speed_layer_core::commit::{
    Epoch, Generation, JobName, OutputId, OutputRoot, PublishEntry, PublishOutcome, PublishedFile,
    SealOutcome, StagedFile,
};

use crate::error::StoreError;
use crate::failpoint::fail_point;
use crate::layer::FileLayer;
use crate::layout::{Layout, Place};
use crate::store::CommitStore;
pub use checkpoints::CheckpointDir;
use checkpoints::unlink;
use directories::Directories;
use staging::Staging;

/// Above this many files or directories in one sync, the whole file system is
/// synced instead of each.
const SYNCED_ONE_BY_ONE_MAX: usize = 64;

/// A commit store in directories of one machine.
pub struct PosixStore<L: FileLayer> {
    layer: L,
    layout: Layout,
    lock: Option<L::Lock>,
    generation: Generation,
    /// By staging directory.
    staging: BTreeMap<PathBuf, Staging<L>>,
    directories: Directories,
}

impl<L: FileLayer> PosixStore<L> {
    /// Only remembers; nothing is looked at or written yet.
    pub fn new(layer: L, layout: Layout) -> Self {
        Self {
            layer,
            layout,
            lock: None,
            generation: Generation::default(),
            staging: BTreeMap::new(),
            directories: Directories::default(),
        }
    }

    /// The same store with its outputs elsewhere, for a start that has not owned the job yet.
    #[must_use]
    pub fn with_layout(self, layout: Layout) -> Self {
        Self { layout, ..self }
    }

    /// Another store of the job, with other outputs, that owns nothing.
    #[must_use]
    pub fn elsewhere(&self, layout: Layout) -> Self {
        Self::new(self.layer.clone(), layout)
    }

    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    fn place_of(&self, output: &OutputId) -> Result<&Place, StoreError> {
        self.layout.place(output).ok_or_else(|| StoreError::NoSuchOutput(output.clone()))
    }

    /// The checkpoint directory, as the generation owned uses it.
    pub fn checkpoints(&self) -> CheckpointDir<L> {
        CheckpointDir::new(self.layer.clone(), self.layout.checkpoint_dir(), self.generation)
    }
}

impl<L: FileLayer> CommitStore for PosixStore<L> {
    type Part = L::File;
    type Chain = CheckpointDir<L>;

    fn job(&self) -> &JobName {
        self.layout.job()
    }

    fn place(&self) -> String {
        self.layout.checkpoint_dir().display().to_string()
    }

    fn outputs(&self) -> Vec<OutputRoot> {
        let root = |place: &Place| OutputRoot {
            output: place.output.clone(),
            path: place.root.to_string_lossy().into_owned(),
        };
        self.layout.places().iter().map(root).collect()
    }

    fn prepare_output(&mut self, aggregate: &str, root: &Path) -> Result<(), StoreError> {
        self.prepare_move(aggregate, root)
    }

    fn move_output(&mut self, aggregate: &str, root: &Path) -> Result<(), StoreError> {
        self.make_move(aggregate, root)
    }

    fn check(&self) -> Result<(), StoreError> {
        self.layout.check(&self.layer)?;
        self.check_unowned()
    }

    fn epochs(&self) -> Result<Vec<Epoch>, StoreError> {
        self.list_epochs()
    }

    fn newest_generation(&self) -> Result<Generation, StoreError> {
        Ok(self.list_generations()?.into_iter().max().unwrap_or_default())
    }

    fn chain(&self) -> Self::Chain {
        self.checkpoints()
    }

    fn snapshots(&self) -> Result<Vec<Epoch>, StoreError> {
        Ok(self.checkpoints().snapshots()?.into_iter().map(|(epoch, _)| epoch).collect())
    }

    fn published(&self, since: Epoch) -> Result<Vec<PublishedFile>, StoreError> {
        self.list_published(since)
    }

    fn staged(&self) -> Result<Vec<StagedFile>, StoreError> {
        self.list_staged()
    }

    fn own(&mut self, above: Generation) -> Result<Generation, StoreError> {
        self.take_lock()?;
        self.claim_generation(above)
    }

    fn stage(&mut self, output: &OutputId, name: &str) -> Result<L::File, StoreError> {
        let path = self.place_of(output)?.staging.join(name);
        let file = self.layer.create_new(&path).map_err(StoreError::io("create", &path))?;
        fail_point("stage.create");
        Ok(file)
    }

    fn read_staged(&self, output: &OutputId, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
        self.read_staged_file(output, name)
    }

    fn staged_place(&self, output: &OutputId, name: &str) -> String {
        let staging = self.layout.place(output).map(|place| place.staging.join(name));
        staging.map_or_else(|| name.to_owned(), |path| path.display().to_string())
    }

    fn finish(&mut self, output: &OutputId, name: &str, part: L::File) -> Result<(), StoreError> {
        self.finish_staged(output, name, part)
    }

    fn sync_staged(&mut self) -> Result<(), StoreError> {
        self.staging.values_mut().try_for_each(Staging::sync)
    }

    fn seal(&mut self, epoch: Epoch, bytes: &[u8]) -> Result<SealOutcome, StoreError> {
        self.checkpoints().seal_checkpoint(epoch, bytes)
    }

    fn sync_sealed(&mut self) -> Result<(), StoreError> {
        self.checkpoints().sync()
    }

    fn publish(&mut self, entry: &PublishEntry) -> Result<PublishOutcome, StoreError> {
        self.publish_file(entry)
    }

    fn sync_published(&mut self) -> Result<(), StoreError> {
        self.sync_directories()
    }

    fn remove_staged(&mut self, output: &OutputId, name: &str) -> Result<(), StoreError> {
        unlink(&self.layer, &self.place_of(output)?.staging.join(name))
    }

    fn remove_checkpoint(&mut self, epoch: Epoch) -> Result<(), StoreError> {
        unlink(&self.layer, &self.layout.checkpoint_path(epoch))
    }

    fn remove_snapshots(&mut self, epoch: Epoch) -> Result<(), StoreError> {
        self.checkpoints().remove_snapshots(epoch)
    }

    fn set_aside(&mut self, epoch: Epoch) -> Result<(), StoreError> {
        self.checkpoints().set_aside(epoch, "damaged")
    }

    fn remove_old_generations(&mut self) -> Result<(), StoreError> {
        self.forget_generations()
    }
}
