//! An output that goes on in another directory while the job runs. The directory is made
//! ready before anything depends on it; what was published before stays where it is.

use std::path::Path;

use speed_layer_core::commit::OutputId;

use super::PosixStore;
use super::checkpoints::unlink;
use super::staging::Staging;
use crate::error::StoreError;
use crate::layer::FileLayer;
use crate::layout::Layout;

impl<L: FileLayer> PosixStore<L> {
    /// The job's directories with an aggregate's output elsewhere, where that can serve.
    ///
    /// # Errors
    /// As [`Layout::check`].
    pub fn layout_with(&self, aggregate: &str, root: &Path) -> Result<Layout, StoreError> {
        let layout = self.layout.clone().with_output(aggregate, root)?;
        layout.check(&self.layer)?;
        Ok(layout)
    }

    /// Makes the staging directory of the new place.
    pub(super) fn prepare_move(&mut self, aggregate: &str, root: &Path) -> Result<(), StoreError> {
        let layout = self.layout_with(aggregate, root)?;
        let places = layout.places().iter();
        for path in places.map(|place| place.staging.clone()) {
            if !self.staging.contains_key(&path) {
                self.ensure_dir(&path)?;
                self.staging.insert(path.clone(), Staging::open(&self.layer, &path)?);
            }
        }
        self.sync_directories()
    }

    /// Goes over to the new place. Names left in the staging directory before are of files
    /// that are published: they go, unless another output is staged there too, and then
    /// with its own.
    pub(super) fn make_move(&mut self, aggregate: &str, root: &Path) -> Result<(), StoreError> {
        let moved = self.layout.clone().with_output(aggregate, root)?;
        let before = std::mem::replace(&mut self.layout, moved);
        let Some(old) = before.place(&OutputId::Aggregate(aggregate.to_owned())) else { return Ok(()) };
        if self.layout.places().iter().any(|place| place.staging == old.staging) {
            return Ok(());
        }
        self.staging.remove(&old.staging);
        let left = self.parts_in(&old.staging)?;
        left.iter().try_for_each(|name| unlink(&self.layer, &old.staging.join(name.to_string())))
    }
}
