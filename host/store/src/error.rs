//! What can go wrong with storage, sorted by what the caller should do: refuse to
//! start, end the process, or tell the operator about the disk.

use std::io;
use std::path::PathBuf;

use speed_layer_core::commit::{Epoch, OutputId};

use crate::layer::Owner;

#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A file operation failed: full, read-only or broken disk, missing rights.
    #[error("cannot {action} {path}: {cause}{advice}", path = path.display(), advice = advice(cause))]
    Io { action: &'static str, path: PathBuf, cause: io::Error },
    /// What was to be made durable may be lost. The process must end: a second sync
    /// may succeed without having written anything.
    #[error(
        "syncing {path} failed: {cause}; what was written since the last commit may not be on the disk, so this \
         process ends and does not try again; check the disk and start again, the job resumes from its last \
         checkpoint",
        path = path.display()
    )]
    SyncFailed { path: PathBuf, cause: io::Error },
    #[error(
        "{path} is not the component that it is named after: restore it from a copy, or remove it and give the job \
         the plugin of that digest",
        path = path.display()
    )]
    KeptDamaged { path: PathBuf },
    #[error(
        "the checkpoint of epoch {epoch} in {place} is not there any more: another process of this job has dropped \
         it, or somebody removed it; see who that is, and start again"
    )]
    Vanished { epoch: Epoch, place: String },
    #[error(
        "another process runs this job{holder} and holds {path}; end that one first (`host run --take-over` does \
         so itself), or give this one another --name and output",
        holder = holder(owner), path = path.display()
    )]
    Owned { path: PathBuf, owner: Option<Owner> },
    #[error(
        "{path} has no last path part that a sibling could be named after; give another output directory",
        path = path.display()
    )]
    Unnamed { path: PathBuf },
    #[error(
        "{path} is on another file system than {staging}, and a file can only be published by a link within one; \
         make both directories lie on the same file system (neither may be a mount point or a link to another)",
        path = path.display(), staging = staging.display()
    )]
    OtherFileSystem { path: PathBuf, staging: PathBuf },
    #[error(
        "the output {path} holds `_spark_metadata`: Spark wrote it, and readers that honour that log would not \
         see our files; give another output, or remove that directory if Spark is done with this one",
        path = path.display()
    )]
    SparkOutput { path: PathBuf },
    #[error(
        "{inner_what} {inner} lies inside {outer_what} {outer}, where nothing else may be; give another directory",
        inner = inner.display(), outer = outer.display()
    )]
    Overlap { inner_what: String, inner: PathBuf, outer_what: String, outer: PathBuf },
    #[error("{path} is not a directory; give a directory, or remove the file", path = path.display())]
    NotADirectory { path: PathBuf },
    #[error(
        "{path} exists already with another content than the file that is to be moved there; move it away and try \
         again",
        path = path.display()
    )]
    AsideTaken { path: PathBuf },
    #[error("there is no output for {0} in this store")]
    NoSuchOutput(OutputId),
    #[error("{path:?} is not a path below an output: the checkpoint or the plugin that gave it is wrong")]
    BadPath { path: String },
}

impl StoreError {
    pub(crate) fn io(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |cause| Self::Io { action, path, cause }
    }

    pub(crate) fn sync(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |cause| Self::SyncFailed { path, cause }
    }
}

fn holder(owner: &Option<Owner>) -> String {
    owner.map(|owner| format!(" (pid {})", owner.pid)).unwrap_or_default()
}

fn advice(cause: &io::Error) -> &'static str {
    match cause.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            "; make room and start again, the job resumes from its last checkpoint"
        }
        io::ErrorKind::FileTooLarge => "; raise the limit of file sizes (`ulimit -f`) and start again",
        io::ErrorKind::ReadOnlyFilesystem => "; make the file system writable and start again",
        io::ErrorKind::PermissionDenied => "; give this user the right to it, or another directory",
        _ if cause.raw_os_error() == Some(rustix::io::Errno::IO.raw_os_error()) => {
            "; check the disk and start again, the job resumes from its last checkpoint"
        }
        _ => "",
    }
}
