//! What a start does with what it finds: go on, fall back, begin afresh, or refuse
//! and say what to do. Decides over a list of what was found; looks at no disk.
//!
//! The rule behind every case: a checkpoint may be passed over only if nothing of
//! its epoch, or of a later one, can have been seen by a reader. Whatever else is
//! wrong, a refusal loses nothing.

use std::collections::BTreeSet;

use super::manifest::{FORMAT_VERSION, FORMAT_VERSION_MIN, Manifest, OutputId, PublishEntry};
use super::names::{Epoch, Generation, JobName, PartName};
use super::outbox::pending_outbox;

/// What was read of one checkpoint.
#[derive(Debug, Clone)]
pub enum Content<'a> {
    Valid(&'a Manifest),
    /// Not what was written: a checksum, a length or the layout is wrong.
    Damaged(String),
    /// In order, but of a format that this program does not read.
    OtherFormat(u32),
    /// Not looked at, because a newer one is valid.
    Unread,
}

#[derive(Debug, Clone)]
pub struct FoundCheckpoint<'a> {
    /// By its name.
    pub epoch: Epoch,
    pub content: Content<'a>,
}

/// A file of the job under an output's root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublishedFile {
    pub output: OutputId,
    /// Below the output's root, `/` between components.
    pub path: String,
    pub name: PartName,
}

/// A file of the job in a staging place; its name is unique over all of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StagedFile {
    /// One of the outputs that stage in that place.
    pub output: OutputId,
    pub name: PartName,
    /// The process that wrote it is still there.
    pub owner_running: bool,
}

/// Everything that a start looks at.
#[derive(Debug, Clone)]
pub struct StartFacts<'a> {
    pub job: &'a JobName,
    /// The generation that this start has claimed; `None` for a look without one.
    pub claimed: Option<Generation>,
    pub newest_generation: Generation,
    /// The outputs that this start is configured with.
    pub outputs: &'a [OutputId],
    pub checkpoints: &'a [FoundCheckpoint<'a>],
    /// At least those of the newest valid checkpoint's epoch and later.
    pub published: &'a [PublishedFile],
    pub staged: &'a [StagedFile],
}

/// What to do. Deleting comes after publishing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StartDecision {
    /// Nothing was ever committed.
    Fresh {
        delete_staged: Vec<StagedFile>,
    },
    Resume(Resume),
    /// The newest checkpoints are damaged and published nothing: set them aside,
    /// then resume from the one before.
    FallBack {
        damaged: Vec<Epoch>,
        resume: Resume,
    },
    /// A later start has claimed the job.
    Fenced,
    Refuse(Refusal),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resume {
    pub epoch: Epoch,
    /// To be published again, each on its own; most will be there.
    pub redo: Vec<PublishEntry>,
    pub delete_staged: Vec<StagedFile>,
}

/// Why a start is refused, and what the operator can do. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error(
        "{output} already holds {path} of this job, but there is no checkpoint: reading on from the start would \
         write its rows a second time; give the checkpoint directory that belongs to this output, or another \
         output, or move the old files away"
    )]
    OutputWithoutCheckpoint { output: OutputId, path: String },
    #[error(
        "the checkpoint of epoch {epoch} belongs to job {found}; give another --checkpoint or that --name"
    )]
    OtherJob { epoch: Epoch, found: JobName },
    #[error(
        "the checkpoint of epoch {epoch} has format version {found}, this program reads versions \
         {FORMAT_VERSION_MIN} to {FORMAT_VERSION}: use the host that wrote it, or a later one"
    )]
    OtherFormat { epoch: Epoch, found: u32 },
    #[error(
        "no checkpoint is readable (the newest, of epoch {epoch}: {why}) and none is left to fall back to; \
         restore the checkpoint directory from a copy, or remove it and the job's published files to start over"
    )]
    NothingReadable { epoch: Epoch, why: String },
    #[error(
        "the checkpoint of epoch {epoch} is damaged ({why}), and {output} already holds {path} of that epoch: \
         going back would write its rows a second time; restore the checkpoint from a copy, or roll back, which \
         moves the published files of that epoch aside"
    )]
    DamagedAndPublished { epoch: Epoch, why: String, output: OutputId, path: String },
    #[error(
        "{output} holds {path}, but the newest checkpoint is of epoch {newest}: checkpoints are missing or an \
         old copy was restored, and going on would write rows a second time; restore the missing checkpoints, \
         or roll back, which moves the later files aside"
    )]
    PublishedBeyond { newest: Epoch, output: OutputId, path: String },
    #[error(
        "{output} holds {path}, which the checkpoint of epoch {newest} does not list: another process has \
         written for this job; see which of the two is right, and move the other's files away"
    )]
    Unlisted { newest: Epoch, output: OutputId, path: String },
    #[error(
        "the checkpoint of epoch {epoch} has {path} to publish for {output}, which this start does not have: \
         start once with the settings as they were and end it in order (Ctrl-C or SIGTERM), then change them; an \
         aggregate that is to go for good is dropped by `host run --drop-aggregate NAME`, which publishes this first"
    )]
    OutputGone { epoch: Epoch, output: OutputId, path: String },
}

impl Refusal {
    /// Whether a rollback is one of the ways out that the text names.
    pub fn is_for_rollback(&self) -> bool {
        matches!(self, Self::DamagedAndPublished { .. } | Self::PublishedBeyond { .. })
    }
}

/// Decides what a start does.
pub fn at_start(facts: &StartFacts<'_>) -> StartDecision {
    if let Some(claimed) = facts.claimed
        && facts.newest_generation > claimed
    {
        return StartDecision::Fenced;
    }
    decide(facts).unwrap_or_else(StartDecision::Refuse)
}

fn decide(facts: &StartFacts<'_>) -> Result<StartDecision, Refusal> {
    let mut found: Vec<&FoundCheckpoint<'_>> = facts.checkpoints.iter().collect();
    found.sort_by_key(|checkpoint| std::cmp::Reverse(checkpoint.epoch));
    let damaged = damaged_ahead(&found)?;
    match found.get(damaged.len()) {
        None if damaged.is_empty() => fresh(facts),
        None => Err(nothing_readable(&damaged[0])),
        Some(newest) => go_on(facts, newest, &damaged),
    }
}

struct DamagedCheckpoint {
    epoch: Epoch,
    why: String,
}

/// The damaged checkpoints newer than the newest readable one.
fn damaged_ahead(newest_first: &[&FoundCheckpoint<'_>]) -> Result<Vec<DamagedCheckpoint>, Refusal> {
    let mut damaged = Vec::new();
    for checkpoint in newest_first {
        match &checkpoint.content {
            Content::Damaged(why) => {
                damaged.push(DamagedCheckpoint { epoch: checkpoint.epoch, why: why.clone() });
            }
            Content::OtherFormat(found) => {
                return Err(Refusal::OtherFormat { epoch: checkpoint.epoch, found: *found });
            }
            Content::Valid(_) | Content::Unread => break,
        }
    }
    Ok(damaged)
}

fn nothing_readable(newest: &DamagedCheckpoint) -> Refusal {
    Refusal::NothingReadable { epoch: newest.epoch, why: newest.why.clone() }
}

fn fresh(facts: &StartFacts<'_>) -> Result<StartDecision, Refusal> {
    if let Some(file) = facts.published.first() {
        return Err(Refusal::OutputWithoutCheckpoint {
            output: file.output.clone(),
            path: file.path.clone(),
        });
    }
    Ok(StartDecision::Fresh { delete_staged: deletable(facts.staged, None) })
}

fn go_on(
    facts: &StartFacts<'_>,
    newest: &FoundCheckpoint<'_>,
    damaged: &[DamagedCheckpoint],
) -> Result<StartDecision, Refusal> {
    let Content::Valid(manifest) = &newest.content else {
        let why = "it was not read".to_owned();
        return Err(Refusal::NothingReadable { epoch: newest.epoch, why });
    };
    if manifest.job != *facts.job {
        return Err(Refusal::OtherJob { epoch: newest.epoch, found: manifest.job.clone() });
    }
    check_outputs(facts.outputs, manifest)?;
    let listed = manifest.publish.iter().map(|entry| (&entry.output, entry.path.as_str())).collect();
    facts.published.iter().try_for_each(|file| check_published(file, manifest, &listed, damaged))?;
    let resume = resume(facts, manifest);
    Ok(if damaged.is_empty() {
        StartDecision::Resume(resume)
    } else {
        StartDecision::FallBack { damaged: damaged.iter().map(|one| one.epoch).collect(), resume }
    })
}

/// A published file is accounted for, or the start is refused. `listed` are those of the newest
/// checkpoint: a commit may have a file for each of very many keys.
fn check_published(
    file: &PublishedFile,
    newest: &Manifest,
    listed: &BTreeSet<(&OutputId, &str)>,
    damaged: &[DamagedCheckpoint],
) -> Result<(), Refusal> {
    let (output, path) = (file.output.clone(), file.path.clone());
    if file.name.epoch > newest.epoch {
        return Err(match damaged.iter().find(|one| one.epoch == file.name.epoch) {
            Some(one) => {
                Refusal::DamagedAndPublished { epoch: one.epoch, why: one.why.clone(), output, path }
            }
            None => Refusal::PublishedBeyond { newest: newest.epoch, output, path },
        });
    }
    let is_listed = || listed.contains(&(&file.output, file.path.as_str()));
    if file.name.epoch == newest.epoch && !newest.clean && !is_listed() {
        return Err(Refusal::Unlisted { newest: newest.epoch, output, path });
    }
    Ok(())
}

fn check_outputs(configured: &[OutputId], newest: &Manifest) -> Result<(), Refusal> {
    let gone = |entry: &&PublishEntry| !configured.contains(&entry.output);
    match pending(newest).iter().find(gone) {
        None => Ok(()),
        Some(entry) => Err(Refusal::OutputGone {
            epoch: newest.epoch,
            output: entry.output.clone(),
            path: entry.path.clone(),
        }),
    }
}

/// After a clean end the published files are their owner's: nothing is looked for.
fn pending(newest: &Manifest) -> &[PublishEntry] {
    if newest.clean { &[] } else { &newest.publish }
}

fn resume(facts: &StartFacts<'_>, newest: &Manifest) -> Resume {
    Resume {
        epoch: newest.epoch,
        redo: pending(newest).to_vec(),
        delete_staged: deletable(facts.staged, Some(newest)),
    }
}

/// All but what the newest checkpoint still publishes from, and what a process that
/// is still running wrote for a later epoch: it may yet seal that epoch, and then
/// its files are needed.
fn deletable(staged: &[StagedFile], newest: Option<&Manifest>) -> Vec<StagedFile> {
    let sealed = newest.map_or(Epoch(0), |manifest| manifest.epoch);
    let publish = newest.into_iter().flat_map(|manifest| pending(manifest).iter().map(|entry| &entry.staged));
    let send =
        newest.into_iter().flat_map(|manifest| pending_outbox(manifest).iter().map(|entry| &entry.staged));
    let needed: BTreeSet<&str> = publish.chain(send).map(String::as_str).collect();
    let needed = |file: &StagedFile| needed.contains(file.name.to_string().as_str());
    let in_use = |file: &StagedFile| file.owner_running && file.name.epoch > sealed;
    staged.iter().filter(|file| !needed(file) && !in_use(file)).cloned().collect()
}

#[cfg(test)]
#[path = "start_tests.rs"]
mod tests;
