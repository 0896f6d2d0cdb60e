//! Checkpoints that build upon one another: all states of an epoch put together from a
//! base and the deltas after it, and a new base made beside the stream. Which files
//! that takes follows from their digests alone; what they hold is the core's to join.

use speed_layer_core::commit::{
    Chain, Digest, Epoch, FORMAT_VERSION, JobName, Kind, Manifest, SnapshotManifest,
};
use speed_layer_core::group::{StoredGroups, replay};
use speed_layer_core::time::{Duration, WindowSpec};

use crate::checkpoint::{
    Checkpoint, CheckpointError, Snapshot, States, decode, decode_snapshot, encode_snapshot,
};
use crate::container::damaged;
use crate::error::StoreError;
use crate::failpoint::fail_point;
use crate::store::ChainStore;

/// A checkpoint with all states of its epoch, and how they lie in files.
#[derive(Debug, Clone, PartialEq)]
pub struct Whole {
    pub checkpoint: Checkpoint,
    pub chain: Chain,
}

/// Reads the checkpoint of `epoch` with everything that it builds upon.
///
/// # Errors
/// Outside, [`StoreError`] where the disk fails or the checkpoint is not there; inside,
/// what is wrong with it or with one that it needs.
pub fn read_whole<C: ChainStore>(
    store: &C,
    epoch: Epoch,
) -> Result<Result<Whole, CheckpointError>, StoreError> {
    let newest = match read_one(store, epoch)? {
        Some(read) => read,
        None => return Err(StoreError::Vanished { epoch, place: store.place() }),
    };
    match newest {
        Ok(newest) => Walk::from(newest).back(store),
        Err(cause) => Ok(Err(cause)),
    }
}

/// One checkpoint file, alone; `None` if it is not there.
pub(crate) fn read_one<C: ChainStore>(
    store: &C,
    epoch: Epoch,
) -> Result<Option<Result<Checkpoint, CheckpointError>>, StoreError> {
    let Some(bytes) = store.read_checkpoint(epoch)? else { return Ok(None) };
    Ok(Some(decode(&bytes).and_then(|checkpoint| {
        let says = checkpoint.manifest.epoch;
        if says == epoch {
            return Ok(checkpoint);
        }
        Err(damaged(format!("it says that it is of epoch {says}: it was renamed")))
    })))
}

/// On the way from a checkpoint back to its base.
struct Walk {
    newest: Checkpoint,
    /// Between the base and the newest, newest first.
    deltas: Vec<(Epoch, States)>,
    /// The one to look at next.
    epoch: Epoch,
    digest: Digest,
}

enum Step {
    Base(States),
    Delta { states: States, parent: Option<Digest> },
}

impl Walk {
    fn from(newest: Checkpoint) -> Self {
        let (epoch, digest) = (newest.manifest.epoch, newest.digest);
        Self { newest, deltas: Vec::new(), epoch, digest }
    }

    fn back<C: ChainStore>(mut self, store: &C) -> Result<Result<Whole, CheckpointError>, StoreError> {
        loop {
            let (states, parent) = match self.step(store)? {
                Ok(Step::Base(states)) => return Ok(self.join(states)),
                Ok(Step::Delta { states, parent }) => (states, parent),
                Err(cause) => return Ok(Err(self.needs(&cause))),
            };
            self.deltas.push((self.epoch, states));
            let Some(parent) = parent else {
                return Ok(Err(damaged("it builds upon a checkpoint, but names none")));
            };
            (self.epoch, self.digest) = (self.epoch.previous(), parent);
        }
    }

    /// A snapshot that is damaged is passed over: the deltas before it say the same.
    fn step<C: ChainStore>(&mut self, store: &C) -> Result<Result<Step, CheckpointError>, StoreError> {
        let is_newest = self.epoch == self.newest.manifest.epoch;
        if is_newest && self.newest.manifest.kind == Kind::Full {
            return Ok(Ok(Step::Base(std::mem::take(&mut self.newest.states))));
        }
        if let Some(Ok(snapshot)) = read_snapshot(store, self.epoch, self.digest)? {
            return Ok(Ok(Step::Base(snapshot.states)));
        }
        if is_newest {
            let states = std::mem::take(&mut self.newest.states);
            return Ok(Ok(Step::Delta { states, parent: self.newest.manifest.parent }));
        }
        Ok(match read_one(store, self.epoch)? {
            None => Err(damaged("it is not there")),
            Some(Err(cause)) => Err(cause),
            Some(Ok(read)) if read.digest != self.digest => Err(damaged("it is another one")),
            Some(Ok(read)) if read.manifest.kind == Kind::Full => Ok(Step::Base(read.states)),
            Some(Ok(read)) => Ok(Step::Delta { states: read.states, parent: read.manifest.parent }),
        })
    }

    fn needs(&self, cause: &CheckpointError) -> CheckpointError {
        match cause {
            CheckpointError::OtherFormat(version) => CheckpointError::OtherFormat(*version),
            cause => damaged(format!(
                "its states build upon the checkpoint of epoch {}, which cannot be used: {cause}",
                self.epoch
            )),
        }
    }

    fn join(self, base: States) -> Result<Whole, CheckpointError> {
        let Self { mut newest, deltas, epoch, .. } = self;
        let mut chain = Chain::default();
        chain.based(epoch, bytes_of(&base));
        let deltas: Vec<(Epoch, States)> = deltas.into_iter().rev().collect();
        deltas.iter().for_each(|(epoch, states)| chain.sealed(*epoch, Kind::Delta, bytes_of(states)));
        newest.states = if deltas.is_empty() {
            base
        } else {
            let links: Vec<&States> =
                std::iter::once(&base).chain(deltas.iter().map(|(_, states)| states)).collect();
            joined(&newest.manifest, &links)?
        };
        Ok(Whole { checkpoint: newest, chain })
    }
}

/// The states of each aggregate of `manifest` over all links, oldest first.
fn joined(manifest: &Manifest, links: &[&States]) -> Result<States, CheckpointError> {
    let is_listed =
        |name: &String| manifest.progress.aggregates.iter().any(|aggregate| aggregate.name == *name);
    if let Some((name, _)) = links.iter().flat_map(|link| link.iter()).find(|(name, _)| !is_listed(name)) {
        return Err(damaged(format!("it has states of aggregate {name}, which it does not list")));
    }
    let mut all = States::new();
    for aggregate in &manifest.progress.aggregates {
        let wrong = |cause: &dyn std::fmt::Display| {
            damaged(format!("the states of aggregate {} do not add up: {cause}", aggregate.name))
        };
        let of_it = |link: &&States| link.iter().position(|(name, _)| *name == aggregate.name);
        let of_it: Vec<&StoredGroups> =
            links.iter().filter_map(|link| of_it(link).map(|at| &link[at].1)).collect();
        let window = Duration::from_ms(aggregate.window_ms.unsigned_abs()).map_err(|cause| wrong(&cause))?;
        let window = WindowSpec::new(window).map_err(|cause| wrong(&cause))?;
        let released_through_us = aggregate.released_through_ms().map(|ms| ms.saturating_mul(1000));
        let stored = replay(&of_it, window, released_through_us).map_err(|cause| wrong(&cause))?;
        if stored != StoredGroups::default() {
            all.push((aggregate.name.clone(), stored));
        }
    }
    Ok(all)
}

/// What states take in a file, roughly.
pub(crate) fn bytes_of(states: &[(String, StoredGroups)]) -> u64 {
    states.iter().map(|(_, stored)| stored.bytes() as u64).sum()
}

fn read_snapshot<C: ChainStore>(
    store: &C,
    epoch: Epoch,
    of: Digest,
) -> Result<Option<Result<Snapshot, CheckpointError>>, StoreError> {
    let Some(bytes) = store.read_snapshot(epoch, of)? else { return Ok(None) };
    Ok(Some(decode_snapshot(&bytes).and_then(|snapshot| {
        let manifest = &snapshot.manifest;
        if (manifest.epoch, manifest.of) == (epoch, of) {
            return Ok(snapshot);
        }
        Err(damaged(format!("it says that it is of epoch {}: it was renamed", manifest.epoch)))
    })))
}

/// A snapshot that is to be made, on any thread, while commits go on.
pub struct SnapshotTask<C> {
    pub(crate) store: C,
    pub(crate) job: JobName,
    pub(crate) epoch: Epoch,
    pub(crate) of: Digest,
}

/// A snapshot that is there, was read again, and holds what it should.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SnapshotMade {
    pub epoch: Epoch,
    /// Of the states in it.
    pub(crate) bytes: u64,
}

/// Why a snapshot could not be made. Nothing is lost by it.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    #[error(transparent)]
    Store(#[from] StoreError),
    /// What it is made from, or it itself when it was read again.
    #[error("the snapshot of epoch {epoch}: {cause}")]
    Damaged { epoch: Epoch, cause: CheckpointError },
}

impl<C: ChainStore> SnapshotTask<C> {
    /// The epoch that the snapshot is of.
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// Reads the chain, writes all its states down in one piece, and reads that again.
    ///
    /// # Errors
    /// [`SnapshotError`]; give it to the committer in place of the snapshot.
    pub fn make(mut self) -> Result<SnapshotMade, SnapshotError> {
        let (epoch, of) = (self.epoch, self.of);
        let failed = |cause| SnapshotError::Damaged { epoch, cause };
        let whole = read_whole(&self.store, epoch)?.map_err(failed)?;
        if whole.checkpoint.digest != of {
            return Err(failed(damaged("its checkpoint is another one than was sealed")));
        }
        let states = whole.checkpoint.states;
        let manifest = SnapshotManifest { format: FORMAT_VERSION, job: self.job.clone(), epoch, of };
        let bytes = encode_snapshot(&manifest, &states).map_err(failed)?;
        self.store.seal_snapshot(epoch, of, &bytes)?;
        drop(bytes);
        fail_point("snapshot.before_verify");
        match read_snapshot(&self.store, epoch, of)? {
            Some(read) if read.as_ref().is_ok_and(|read| read.states == states) => {
                Ok(SnapshotMade { epoch, bytes: bytes_of(&states) })
            }
            Some(Err(cause)) => Err(failed(cause)),
            _ => Err(failed(damaged("it does not read back as it was written"))),
        }
    }
}
