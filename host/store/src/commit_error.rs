//! What can end a start or a commit, each with what the operator can do about it.

use parquet::errors::ParquetError;
use speed_layer_core::commit::{Epoch, Generation, JobName, OutboxRefusal, PublishEntry, Refusal, Stop};

use crate::checkpoint::CheckpointError;
use crate::error::StoreError;
use crate::outbox::OutboxError;
use crate::store::CommitStore;

/// Why a start or a commit failed. In every case the process ends; what is committed
/// stays, and the next start goes on from there.
#[derive(Debug, thiserror::Error)]
pub enum CommitError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(
        "job {job} (checkpoints in {place}) does not start: {refusal}{command}",
        command = rollback_command(refusal, place)
    )]
    Refused { job: JobName, place: String, refusal: Box<Refusal> },
    #[error(
        "job {job} belongs to another process now (the highest `generation-` file in {place} names it): this one \
         commits nothing more and ends; see that only one host runs the job and that nobody removes its lock \
         file, then start again if the other one is gone too"
    )]
    Fenced { job: JobName, place: String },
    #[error(
        "{path} under {root} exists with another content than the one committed for it; it was not touched: see \
         who wrote it, move it away, and start again"
    )]
    Conflict { root: String, path: String },
    #[error(
        "{path} is committed but neither in the output {root} nor in its staging directory; if the output was \
         moved, start once with the directories as they were and end it in order (Ctrl-C or SIGTERM), else \
         restore that file"
    )]
    Missing { root: String, path: String },
    #[error("the checkpoint of job {job} cannot be written: {cause}")]
    Checkpoint { job: JobName, cause: CheckpointError },
    #[error(
        "the checkpoint of epoch {epoch} in {place}, which this process wrote, cannot be read again: {cause}; check \
         the disk, and see what `host checkpoint verify` says before starting again"
    )]
    Unreadable { epoch: Epoch, place: String, cause: CheckpointError },
    #[error("{path} cannot be written as Parquet: {cause}")]
    Parquet { path: String, cause: ParquetError },
    #[error(
        "the letters of epoch {epoch} of job {job} could not be published: {cause}. Nothing is lost or doubled: they are \
         sealed, and the next start publishes them if they are not"
    )]
    Outbox { job: JobName, epoch: Epoch, cause: OutboxError },
    #[error("job {job} (checkpoints in {place}) does not start: {refusal}")]
    OutboxRefused { job: JobName, place: String, refusal: Box<OutboxRefusal> },
    #[error(
        "epoch {epoch} of job {job} has letters for the topic {topic}, and nobody to send them: start once with the \
         settings as they were and end it in order (Ctrl-C or SIGTERM), then change them"
    )]
    NoSender { job: JobName, epoch: Epoch, topic: String },
    #[error("{path} is to be sent, and is not as it was sealed ({why}); restore that file from a copy")]
    OutboxLost { path: String, why: String },
    #[error("an earlier commit of job {job} failed in this process: end it and start again")]
    Ended { job: JobName },
}

impl CommitError {
    pub(crate) fn fenced<S: CommitStore>(store: &S) -> Self {
        Self::Fenced { job: store.job().clone(), place: store.place() }
    }

    /// A later owner may have dropped the checkpoint that this one was about to read.
    pub(crate) fn unless_fenced<S: CommitStore>(store: &S, ours: Generation, cause: StoreError) -> Self {
        match store.newest_generation() {
            Ok(newest) if newest > ours => Self::fenced(store),
            _ => cause.into(),
        }
    }

    pub(crate) fn stopped<S: CommitStore>(store: &S, stop: Stop, files: &[PublishEntry]) -> Self {
        let file = |index: usize| {
            let entry = &files[index];
            let root = store.outputs().into_iter().find(|root| root.output == entry.output);
            (root.map(|root| root.path).unwrap_or_default(), entry.path.clone())
        };
        match stop {
            Stop::Fenced { .. } => Self::fenced(store),
            Stop::Conflict(index) => {
                let (root, path) = file(index);
                Self::Conflict { root, path }
            }
            Stop::Missing(index) => {
                let (root, path) = file(index);
                Self::Missing { root, path }
            }
        }
    }
}

/// The command line of a rollback, where the refusal speaks of one.
fn rollback_command(refusal: &Refusal, place: &str) -> String {
    if refusal.is_for_rollback() {
        format!(": `host checkpoint rollback --checkpoint '{place}'` says what that would move")
    } else {
        String::new()
    }
}

/// A failed write through Parquet: where the disk is to blame, it is said.
pub(crate) fn writing(place: &str, cause: ParquetError) -> CommitError {
    match cause {
        ParquetError::External(inner) => match inner.downcast::<std::io::Error>() {
            Ok(cause) => StoreError::io("write", place)(*cause).into(),
            Err(inner) => parquet(place, ParquetError::External(inner)),
        },
        cause => parquet(place, cause),
    }
}

fn parquet(place: &str, cause: ParquetError) -> CommitError {
    CommitError::Parquet { path: place.to_string(), cause }
}
