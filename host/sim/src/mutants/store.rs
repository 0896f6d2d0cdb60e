//! A store that takes a step of the protocol wrongly, or not at all.

use std::path::Path;

use speed_layer_core::commit::{
    Epoch, Generation, JobName, OutputId, OutputRoot, PublishEntry, PublishOutcome, PublishedFile,
    SealOutcome, StagedFile,
};
use speed_layer_store::{CommitStore, StoreError};

use super::Mutant;

/// See the module.
pub struct MutantStore<S> {
    inner: S,
    mutant: Mutant,
    /// Not sealed yet, though it was said to be.
    unsealed: Option<(Epoch, Vec<u8>)>,
    /// Nothing is published any more in this commit or start.
    publishes_no_more: bool,
    /// The first commit has begun.
    committing: bool,
    published: Vec<PublishEntry>,
}

impl<S: CommitStore> MutantStore<S> {
    pub fn new(inner: S, mutant: Mutant) -> Self {
        Self {
            inner,
            mutant,
            unsealed: None,
            publishes_no_more: false,
            committing: false,
            published: Vec::new(),
        }
    }

    fn is(&self, mutant: Mutant) -> bool {
        self.mutant == mutant
    }

    fn is_published(&self, entry: &PublishEntry) -> Result<bool, StoreError> {
        let there = self.inner.published(Epoch::default())?;
        Ok(there.iter().any(|file| file.output == entry.output && file.path == entry.path))
    }
}

impl<S: CommitStore> CommitStore for MutantStore<S> {
    type Part = S::Part;
    type Chain = S::Chain;

    fn job(&self) -> &JobName {
        self.inner.job()
    }

    fn place(&self) -> String {
        self.inner.place()
    }

    fn outputs(&self) -> Vec<OutputRoot> {
        self.inner.outputs()
    }

    fn prepare_output(&mut self, aggregate: &str, root: &Path) -> Result<(), StoreError> {
        self.inner.prepare_output(aggregate, root)
    }

    fn move_output(&mut self, aggregate: &str, root: &Path) -> Result<(), StoreError> {
        self.inner.move_output(aggregate, root)
    }

    fn check(&self) -> Result<(), StoreError> {
        self.inner.check()
    }

    fn epochs(&self) -> Result<Vec<Epoch>, StoreError> {
        if self.is(Mutant::RivalsUnseen) && self.committing {
            return Ok(Vec::new());
        }
        self.inner.epochs()
    }

    fn newest_generation(&self) -> Result<Generation, StoreError> {
        if self.is(Mutant::RivalsUnseen) && self.committing {
            return Ok(Generation::default());
        }
        self.inner.newest_generation()
    }

    fn chain(&self) -> S::Chain {
        self.inner.chain()
    }

    fn snapshots(&self) -> Result<Vec<Epoch>, StoreError> {
        self.inner.snapshots()
    }

    fn published(&self, since: Epoch) -> Result<Vec<PublishedFile>, StoreError> {
        self.inner.published(since)
    }

    fn staged(&self) -> Result<Vec<StagedFile>, StoreError> {
        self.inner.staged()
    }

    fn own(&mut self, above: Generation) -> Result<Generation, StoreError> {
        self.inner.own(above)
    }

    fn stage(&mut self, output: &OutputId, name: &str) -> Result<S::Part, StoreError> {
        self.inner.stage(output, name)
    }

    fn read_staged(&self, output: &OutputId, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
        self.inner.read_staged(output, name)
    }

    fn staged_place(&self, output: &OutputId, name: &str) -> String {
        self.inner.staged_place(output, name)
    }

    fn finish(&mut self, output: &OutputId, name: &str, part: S::Part) -> Result<(), StoreError> {
        self.inner.finish(output, name, part)
    }

    fn sync_staged(&mut self) -> Result<(), StoreError> {
        self.committing = true;
        self.publishes_no_more = false;
        self.published.clear();
        self.inner.sync_staged()
    }

    fn seal(&mut self, epoch: Epoch, bytes: &[u8]) -> Result<SealOutcome, StoreError> {
        if self.is(Mutant::SealAfterPublish) {
            self.unsealed = Some((epoch, bytes.to_vec()));
            return Ok(SealOutcome::Created);
        }
        self.inner.seal(epoch, bytes)
    }

    fn sync_sealed(&mut self) -> Result<(), StoreError> {
        self.inner.sync_sealed()
    }

    fn publish(&mut self, entry: &PublishEntry) -> Result<PublishOutcome, StoreError> {
        if self.publishes_no_more || (self.is(Mutant::NoRedo) && !self.committing) {
            return Ok(PublishOutcome::Done);
        }
        self.publishes_no_more = self.is(Mutant::StopAtFirstExisting) && self.is_published(entry)?;
        self.published.push(entry.clone());
        self.inner.publish(entry)
    }

    fn sync_published(&mut self) -> Result<(), StoreError> {
        if self.is(Mutant::StagedGoEarly) {
            for entry in std::mem::take(&mut self.published) {
                self.inner.remove_staged(&entry.output, &entry.staged)?;
            }
        }
        self.inner.sync_published()?;
        if let Some((epoch, bytes)) = self.unsealed.take() {
            self.inner.seal(epoch, &bytes)?;
        }
        Ok(())
    }

    fn remove_staged(&mut self, output: &OutputId, name: &str) -> Result<(), StoreError> {
        self.inner.remove_staged(output, name)
    }

    fn remove_checkpoint(&mut self, epoch: Epoch) -> Result<(), StoreError> {
        self.inner.remove_checkpoint(epoch)
    }

    fn remove_snapshots(&mut self, epoch: Epoch) -> Result<(), StoreError> {
        self.inner.remove_snapshots(epoch)
    }

    fn set_aside(&mut self, epoch: Epoch) -> Result<(), StoreError> {
        self.inner.set_aside(epoch)
    }

    fn remove_old_generations(&mut self) -> Result<(), StoreError> {
        self.inner.remove_old_generations()
    }
}
