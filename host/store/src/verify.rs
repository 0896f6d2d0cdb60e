//! Whether everything that a job has written is as it was written: each checkpoint
//! byte by byte, the chain of them, and each file that the newest one publishes. Says
//! what to do about each thing that is wrong, and repairs nothing.

use std::path::{Path, PathBuf};

use speed_layer_core::commit::{
    Content, Epoch, JobName, Manifest, OutputFile, PartName, PublishEntry, PublishOutcome, chain_problems,
};

use crate::checkpoint::CheckpointError;
use crate::error::StoreError;
use crate::inspect::{ReadAll, ReadCheckpoint, ReadSnapshot, broken_chain, read_all};
use crate::layer::FileLayer;
use crate::posix::PosixStore;
use crate::rollback::{published, staged};
use crate::store::CommitStore;

/// One file, looked at whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    pub path: PathBuf,
    /// Of the checkpoint that it is, or that publishes it.
    pub epoch: Epoch,
    pub verdict: Verdict,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// As it was written, with so many bytes.
    Whole(u64),
    /// Sealed and staged, not published yet: a running job or the next start does it.
    Staged,
    Wrong {
        what: String,
        advice: String,
    },
}

/// Everything that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Verification {
    /// Newest first, the snapshots behind them.
    pub checkpoints: Vec<Finding>,
    /// Of the newest readable checkpoint.
    pub files: Vec<Finding>,
    /// That one says that its job ended in order: its files are their owner's, and
    /// none is looked for.
    pub clean: bool,
}

impl Verification {
    pub fn wrong(&self) -> usize {
        let is_wrong = |finding: &&Finding| matches!(finding.verdict, Verdict::Wrong { .. });
        self.checkpoints.iter().chain(&self.files).filter(is_wrong).count()
    }
}

/// Reads everything; where checkpoints are missing, the files that were published
/// beyond them are wrong. Takes no lock and changes nothing.
///
/// # Errors
/// [`StoreError`] where the disk fails; what is wrong with a file is in the result.
pub fn verify<L: FileLayer>(store: &PosixStore<L>) -> Result<Verification, StoreError> {
    let found = read_all(store)?;
    let mut verification =
        Verification { checkpoints: judge_checkpoints(store, &found), ..Verification::default() };
    let newest = found.checkpoints.iter().find_map(|one| one.content.as_ref().ok());
    if let Some(newest) = newest {
        let manifest = &newest.manifest;
        verification.clean = manifest.clean;
        let staged = staged(store, &found)?;
        let entries = if manifest.clean { &[] } else { manifest.publish.as_slice() };
        for entry in entries {
            verification.files.push(judge_file(store, manifest, entry, &staged)?);
        }
    }
    verification.files.extend(beyond(store, &found)?);
    Ok(verification)
}

/// What is published without a checkpoint that says so. The checkpoints are listed
/// after the files, lest those of a running job look lost.
fn beyond<L: FileLayer>(store: &PosixStore<L>, found: &ReadAll) -> Result<Vec<Finding>, StoreError> {
    let mut files = published(store, found)?;
    let newest = store.epochs()?.into_iter().max().unwrap_or_default();
    files.retain(|file| file.name.epoch > newest);
    let finding = |file: OutputFile| Finding {
        path: Path::new(&file.root.path).join(&file.path),
        epoch: file.name.epoch,
        verdict: Verdict::Wrong {
            what: format!(
                "it is of epoch {}, but the newest checkpoint is of epoch {newest}",
                file.name.epoch
            ),
            advice: format!("restore the missing checkpoint from a copy; else {}", rollback_hint(store)),
        },
    };
    Ok(files.into_iter().map(finding).collect())
}

fn rollback_hint<L: FileLayer>(store: &PosixStore<L>) -> String {
    format!("`host checkpoint rollback --checkpoint '{}'` says what going back would move", store.place())
}

fn judge_checkpoints<L: FileLayer>(store: &PosixStore<L>, found: &ReadAll) -> Vec<Finding> {
    let present: Vec<Epoch> = found.checkpoints.iter().map(|one| one.epoch).collect();
    let problems = chain_problems(&found.links(), &present, &found.snapshot_ids());
    let broken = broken(found);
    let verdict = |one: &ReadCheckpoint| match &one.content {
        Err(cause) => unreadable(store, cause),
        Ok(checkpoint) if checkpoint.manifest.job != *store.job() => of_another_job(&checkpoint.manifest.job),
        Ok(_) => match problems.iter().find(|(epoch, _)| *epoch == one.epoch) {
            Some((_, problem)) => {
                Verdict::Wrong { what: problem.to_string(), advice: problem.advice().to_owned() }
            }
            None if broken.contains(&one.epoch) => unreadable(store, &broken_chain()),
            None => Verdict::Whole(one.bytes),
        },
    };
    let checkpoint =
        |one: &ReadCheckpoint| Finding { path: one.path.clone(), epoch: one.epoch, verdict: verdict(one) };
    let snapshot = |one: &ReadSnapshot| Finding {
        path: one.path.clone(),
        epoch: one.epoch,
        verdict: judge_snapshot(store, one),
    };
    found.checkpoints.iter().map(checkpoint).chain(found.snapshots.iter().map(snapshot)).collect()
}

/// The checkpoints that are whole themselves, but not with what they build upon. Those
/// before the oldest that can be used are on their way out.
fn broken(found: &ReadAll) -> Vec<Epoch> {
    let as_found = found.as_found();
    let is_usable = |content: &Content<'_>| matches!(content, Content::Valid(_));
    let usable = as_found.iter().filter(|one| is_usable(&one.content)).map(|one| one.epoch);
    let oldest = usable.min().unwrap_or_default();
    let broken = as_found.iter().filter(|one| !is_usable(&one.content) && one.epoch > oldest);
    broken.map(|one| one.epoch).collect()
}

fn judge_snapshot<L: FileLayer>(store: &PosixStore<L>, one: &ReadSnapshot) -> Verdict {
    match &one.content {
        Ok((job, _)) if job != store.job() => of_another_job(job),
        Ok(_) => Verdict::Whole(one.bytes),
        Err(cause) => Verdict::Wrong {
            what: cause.to_string(),
            advice:
                "restore it from a copy, or remove it: the checkpoints before it are used in its place while \
                     they are there"
                    .to_owned(),
        },
    }
}

fn of_another_job(job: &JobName) -> Verdict {
    Verdict::Wrong {
        what: format!("it belongs to job {job}"),
        advice: "move it to that job's directory".to_owned(),
    }
}

fn unreadable<L: FileLayer>(store: &PosixStore<L>, cause: &CheckpointError) -> Verdict {
    let advice = match cause {
        CheckpointError::OtherFormat(_) => "use the host that wrote it, or a later one".to_owned(),
        _ => format!(
            "restore it from a copy; else, if it is the newest, {}; an older one goes by itself as new ones come",
            rollback_hint(store)
        ),
    };
    Verdict::Wrong { what: cause.to_string(), advice }
}

fn judge_file<L: FileLayer>(
    store: &PosixStore<L>,
    manifest: &Manifest,
    entry: &PublishEntry,
    staged: &[PartName],
) -> Result<Finding, StoreError> {
    let root = manifest.outputs.iter().find(|root| root.output == entry.output);
    let path = Path::new(root.map(|root| root.path.as_str()).unwrap_or_default()).join(&entry.path);
    let verdict = match store.compare(&path, entry)? {
        PublishOutcome::Done => Verdict::Whole(entry.bytes),
        PublishOutcome::Missing if staged.iter().any(|name| name.to_string() == entry.staged) => {
            Verdict::Staged
        }
        PublishOutcome::Missing => Verdict::Wrong {
            what: "it is committed, but neither published nor staged".to_owned(),
            advice: "put it back where it was; the next start is refused without it".to_owned(),
        },
        PublishOutcome::Conflict => Verdict::Wrong {
            what: format!("it is not the file of {} bytes that was committed", entry.bytes),
            advice: "see who wrote it, and restore the committed one from a copy".to_owned(),
        },
    };
    Ok(Finding { path, epoch: manifest.epoch, verdict })
}
