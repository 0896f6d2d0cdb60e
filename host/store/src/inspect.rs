//! Looking at a job's checkpoints from outside: which jobs a directory holds, and
//! every checkpoint of one of them, read and verified. Takes no lock and changes
//! nothing, so that it may be done while the job runs.

use std::path::{Path, PathBuf};

use speed_layer_core::commit::{ChainLink, Digest, Epoch, FoundCheckpoint, JobName, SnapshotId, is_whole};

use crate::chain::{read_one as read_alone, read_whole};
use crate::checkpoint::{Checkpoint, CheckpointError, decode_snapshot};
use crate::container::damaged;
use crate::disk::DiskLayer;
use crate::error::StoreError;
use crate::layer::FileLayer;
use crate::layout::{CHECKPOINT_PREFIX, Layout};
use crate::posix::PosixStore;
use crate::recover::found;
use crate::store::{ChainStore, CommitStore};

/// A checkpoint as it was found.
pub struct ReadCheckpoint {
    /// By its name.
    pub epoch: Epoch,
    pub path: PathBuf,
    /// Of its file.
    pub bytes: u64,
    pub content: Result<Checkpoint, CheckpointError>,
}

/// A snapshot as it was found.
pub struct ReadSnapshot {
    /// By its name.
    pub epoch: Epoch,
    pub path: PathBuf,
    /// Of its file.
    pub bytes: u64,
    /// Whose it is, and of which checkpoint.
    pub content: Result<(JobName, Digest), CheckpointError>,
}

/// Every checkpoint and snapshot of a job, each file read alone.
pub struct ReadAll {
    /// Newest first. Their states are what is in the files.
    pub checkpoints: Vec<ReadCheckpoint>,
    /// Newest first.
    pub snapshots: Vec<ReadSnapshot>,
}

impl ReadAll {
    /// The readable ones.
    pub(crate) fn links(&self) -> Vec<ChainLink<'_>> {
        let readable = self.checkpoints.iter().filter_map(|one| one.content.as_ref().ok());
        readable.map(|one| ChainLink { manifest: &one.manifest, digest: one.digest }).collect()
    }

    /// The readable ones.
    pub(crate) fn snapshot_ids(&self) -> Vec<SnapshotId> {
        let readable = self.snapshots.iter().filter_map(|one| Some((one.epoch, one.content.as_ref().ok()?)));
        readable.map(|(epoch, (_, of))| SnapshotId { epoch, of: *of }).collect()
    }

    /// The checkpoints as a start would find them: one whose states cannot be put
    /// together is damaged.
    pub(crate) fn as_found(&self) -> Vec<FoundCheckpoint<'_>> {
        let (links, snapshots) = (self.links(), self.snapshot_ids());
        let broken = broken_chain();
        let as_found = |one: &'_ ReadCheckpoint| {
            let link = links.iter().find(|link| link.manifest.epoch == one.epoch);
            match (link, &one.content) {
                (Some(link), _) if is_whole(link, &links, &snapshots) => found(one.epoch, Ok(link.manifest)),
                (_, Err(cause)) => found(one.epoch, Err(cause)),
                (_, Ok(_)) => found(one.epoch, Err(&broken)),
            }
        };
        self.checkpoints.iter().map(as_found).collect()
    }
}

/// What is wrong with a checkpoint that is whole itself, but not with what it needs.
pub(crate) fn broken_chain() -> CheckpointError {
    damaged("its states build upon checkpoints before it that are not all there and readable")
}

#[derive(Debug, thiserror::Error)]
pub enum FindError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(
        "{dir} holds no job's checkpoints; give the folder that `host run` was given as --checkpoint",
        dir = dir.display()
    )]
    NoJob { dir: PathBuf },
    #[error("{dir} holds no job {wanted}; it holds {found}", dir = dir.display())]
    NotThere { dir: PathBuf, wanted: JobName, found: String },
    #[error("{dir} holds several jobs: {found}; say which with --job", dir = dir.display())]
    Several { dir: PathBuf, found: String },
}

/// A store over the checkpoints of one job below `dir`; without outputs, since only
/// its checkpoints say where they are. `dir` may be the job's own directory too. The
/// name may be left out where there is only one job.
///
/// # Errors
/// [`FindError`] where `dir` holds no such job, or several and no name is given.
pub fn find(dir: &Path, wanted: Option<&JobName>) -> Result<PosixStore<DiskLayer>, FindError> {
    let (parent, jobs) = match own_directory(dir)? {
        Some((parent, job)) => (parent, vec![job]),
        None => (dir.to_owned(), jobs_in(dir)?),
    };
    let job = choose(dir, &jobs, wanted)?;
    Ok(PosixStore::new(DiskLayer, Layout::new(job, &parent, &[])?))
}

fn choose(dir: &Path, jobs: &[JobName], wanted: Option<&JobName>) -> Result<JobName, FindError> {
    let (dir, found) = (dir.to_owned(), jobs.iter().map(JobName::as_str).collect::<Vec<_>>().join(", "));
    match (jobs, wanted) {
        ([], _) => Err(FindError::NoJob { dir }),
        (_, Some(wanted)) if jobs.contains(wanted) => Ok(wanted.clone()),
        (_, Some(wanted)) => Err(FindError::NotThere { dir, wanted: wanted.clone(), found }),
        ([only], None) => Ok(only.clone()),
        (_, None) => Err(FindError::Several { dir, found }),
    }
}

/// The parent and the name, if `dir` is a job's own directory.
fn own_directory(dir: &Path) -> Result<Option<(PathBuf, JobName)>, StoreError> {
    if !holds_checkpoints(dir)? {
        return Ok(None);
    }
    let dir = DiskLayer.canonical(dir).map_err(StoreError::io("find", dir))?;
    let name = dir.file_name().and_then(|name| JobName::new(name.to_str()?).ok());
    Ok(name.zip(dir.parent()).map(|(name, parent)| (parent.to_owned(), name)))
}

fn jobs_in(dir: &Path) -> Result<Vec<JobName>, StoreError> {
    let mut jobs = Vec::new();
    for entry in DiskLayer.list(dir).map_err(StoreError::io("list", dir))? {
        let name = entry.name.as_deref().filter(|_| entry.is_dir).and_then(|name| JobName::new(name).ok());
        if let Some(name) = name
            && holds_checkpoints(&dir.join(name.as_str()))?
        {
            jobs.push(name);
        }
    }
    jobs.sort_unstable();
    Ok(jobs)
}

fn holds_checkpoints(dir: &Path) -> Result<bool, StoreError> {
    let entries = DiskLayer.list(dir).map_err(StoreError::io("list", dir))?;
    let is_one = |name: &str| name.starts_with(CHECKPOINT_PREFIX);
    Ok(entries.iter().any(|entry| !entry.is_dir && entry.name.as_deref().is_some_and(is_one)))
}

/// Every checkpoint and snapshot there is.
///
/// # Errors
/// [`StoreError`] where the disk fails. What is wrong with a file is in the result.
pub fn read_all<L: FileLayer>(store: &PosixStore<L>) -> Result<ReadAll, StoreError> {
    let mut epochs = store.epochs()?;
    epochs.sort_unstable_by(|a, b| b.cmp(a));
    let dir = store.checkpoints();
    let alone =
        |epoch| read_with(store, epoch, || read_alone(&dir, epoch)?.ok_or_else(|| vanished(&dir, epoch)));
    let checkpoints =
        epochs.into_iter().map(alone).filter_map(Result::transpose).collect::<Result<_, _>>()?;
    let mut snapshots = Vec::new();
    for (epoch, name) in dir.snapshots()?.into_iter().rev() {
        if let Some(bytes) = dir.read(&name)? {
            let path = store.layout().checkpoint_dir().join(&name);
            let content = decode_snapshot(&bytes).map(|read| (read.manifest.job, read.manifest.of));
            snapshots.push(ReadSnapshot { epoch, path, bytes: bytes.len() as u64, content });
        }
    }
    Ok(ReadAll { checkpoints, snapshots })
}

/// The newest readable checkpoint with all its states, and the damaged ones that are
/// newer.
///
/// # Errors
/// As [`read_all`].
pub fn read_newest<L: FileLayer>(store: &PosixStore<L>) -> Result<Vec<ReadCheckpoint>, StoreError> {
    let mut epochs = store.epochs()?;
    epochs.sort_unstable();
    let mut read: Vec<ReadCheckpoint> = Vec::new();
    while read.last().is_none_or(|one| one.content.is_err())
        && let Some(epoch) = epochs.pop()
    {
        read.extend(read_one(store, epoch)?);
    }
    Ok(read)
}

/// One checkpoint with all its states; `None` if it is not there, or not any more: a
/// running job drops old ones.
///
/// # Errors
/// As [`read_all`].
pub fn read_one<L: FileLayer>(
    store: &PosixStore<L>,
    epoch: Epoch,
) -> Result<Option<ReadCheckpoint>, StoreError> {
    read_with(store, epoch, || Ok(read_whole(&store.checkpoints(), epoch)?.map(|whole| whole.checkpoint)))
}

fn read_with<L: FileLayer>(
    store: &PosixStore<L>,
    epoch: Epoch,
    read: impl FnOnce() -> Result<Result<Checkpoint, CheckpointError>, StoreError>,
) -> Result<Option<ReadCheckpoint>, StoreError> {
    let path = store.layout().checkpoint_path(epoch);
    let Some(bytes) = store.length_of(&path)? else { return Ok(None) };
    match read() {
        Ok(content) => Ok(Some(ReadCheckpoint { epoch, path, bytes, content })),
        Err(_) if store.length_of(&path)?.is_none() => Ok(None),
        Err(cause) => Err(cause),
    }
}

fn vanished(from: &impl ChainStore, epoch: Epoch) -> StoreError {
    StoreError::Vanished { epoch, place: from.place() }
}
