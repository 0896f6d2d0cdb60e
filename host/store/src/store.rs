//! What the commit protocol asks of storage. A file system gives it by links that
//! never replace, an object store by conditional puts.
//!
//! # Contract
//! - *Staged* content is invisible to readers of the output. It is durable once
//!   [`CommitStore::sync_staged`] has returned `Ok`.
//! - [`CommitStore::seal`] is atomic, durable when it returns `Ok`, and never
//!   replaces: of several callers with the same epoch exactly one gets `Created`.
//! - [`CommitStore::publish`] makes one staged file visible whole, or not at all,
//!   and never replaces. It may be repeated any number of times. What it made
//!   visible is durable once [`CommitStore::sync_published`] has returned `Ok`.
//! - A generation is claimed by one caller only, ever.
//! - An error ends the commit; the caller ends the process, and a start sorts it
//!   out. Nothing is retried inside.
//! - Methods that take `&self` change nothing.

use std::io::Write;
use std::path::Path;

use speed_layer_core::commit::{
    Digest, Epoch, Generation, JobName, OutputId, OutputRoot, PublishEntry, PublishOutcome, PublishedFile,
    SealOutcome, StagedFile,
};

use crate::error::StoreError;

/// The checkpoints and snapshots of a job, for reading them and for making snapshots:
/// also on another thread, while the store that gave it commits.
pub trait ChainStore {
    /// Where the checkpoints are, for messages.
    fn place(&self) -> String;

    /// `None` if it is not there.
    fn read_checkpoint(&self, epoch: Epoch) -> Result<Option<Vec<u8>>, StoreError>;

    /// The snapshot of `epoch`, whose checkpoint has the digest `of`; `None` if it is
    /// not there.
    fn read_snapshot(&self, epoch: Epoch, of: Digest) -> Result<Option<Vec<u8>>, StoreError>;

    /// As [`CommitStore::seal`], but the name is durable only with the next seal: nothing
    /// is dropped before that. Where one is there already, it is of the same states.
    fn seal_snapshot(&mut self, epoch: Epoch, of: Digest, bytes: &[u8]) -> Result<SealOutcome, StoreError>;
}

/// See the module's contract.
pub trait CommitStore {
    /// A staged file while it is written.
    type Part: Write + Send;
    type Chain: ChainStore;

    fn job(&self) -> &JobName;

    /// Where the checkpoints are, for messages.
    fn place(&self) -> String;

    /// The configured outputs and their roots.
    fn outputs(&self) -> Vec<OutputRoot>;

    /// Makes ready for an aggregate's files in another directory, and changes nothing yet.
    fn prepare_output(&mut self, aggregate: &str, root: &Path) -> Result<(), StoreError>;

    /// From now on its files go there; all that were staged before must be published.
    fn move_output(&mut self, aggregate: &str, root: &Path) -> Result<(), StoreError>;

    /// Whether the places given can serve and nobody else owns the job, as far as
    /// looking tells.
    fn check(&self) -> Result<(), StoreError>;

    /// The epochs of the checkpoints there are, in no order; readable or not.
    fn epochs(&self) -> Result<Vec<Epoch>, StoreError>;

    /// The highest generation claimed by anyone.
    fn newest_generation(&self) -> Result<Generation, StoreError>;

    /// The checkpoints and snapshots themselves.
    fn chain(&self) -> Self::Chain;

    /// The epochs of the snapshots there are, in no order; readable or not.
    fn snapshots(&self) -> Result<Vec<Epoch>, StoreError>;

    /// The job's files in the outputs, of `since` and later epochs.
    fn published(&self, since: Epoch) -> Result<Vec<PublishedFile>, StoreError>;

    /// The job's files in the staging places.
    fn staged(&self) -> Result<Vec<StagedFile>, StoreError>;

    /// Takes the job for this process, if it has not yet, or fails with
    /// [`StoreError::Owned`]; then claims a generation above `above` and above all
    /// claimed before.
    fn own(&mut self, above: Generation) -> Result<Generation, StoreError>;

    /// Begins a staged file; the name must be new.
    fn stage(&mut self, output: &OutputId, name: &str) -> Result<Self::Part, StoreError>;

    /// The bytes of a staged file that is finished; `None` if it is not there.
    fn read_staged(&self, output: &OutputId, name: &str) -> Result<Option<Vec<u8>>, StoreError>;

    /// Where a staged file is, for messages.
    fn staged_place(&self, output: &OutputId, name: &str) -> String;

    /// Ends a staged file: everything is written, nothing is durable yet.
    fn finish(&mut self, output: &OutputId, name: &str, part: Self::Part) -> Result<(), StoreError>;

    fn sync_staged(&mut self) -> Result<(), StoreError>;

    fn seal(&mut self, epoch: Epoch, bytes: &[u8]) -> Result<SealOutcome, StoreError>;

    /// Makes all checkpoints durable that can be read now, whoever sealed them and
    /// however far they came.
    fn sync_sealed(&mut self) -> Result<(), StoreError>;

    fn publish(&mut self, entry: &PublishEntry) -> Result<PublishOutcome, StoreError>;

    fn sync_published(&mut self) -> Result<(), StoreError>;

    fn remove_staged(&mut self, output: &OutputId, name: &str) -> Result<(), StoreError>;

    fn remove_checkpoint(&mut self, epoch: Epoch) -> Result<(), StoreError>;

    /// All snapshots of `epoch`.
    fn remove_snapshots(&mut self, epoch: Epoch) -> Result<(), StoreError>;

    /// Keeps a damaged checkpoint for the operator under a name that is no
    /// checkpoint's, durably, so that its epoch can be sealed again.
    fn set_aside(&mut self, epoch: Epoch) -> Result<(), StoreError>;

    /// Forgets the generations before the one owned whose processes are gone.
    fn remove_old_generations(&mut self) -> Result<(), StoreError>;
}
