//! Going back to an earlier checkpoint: what is moved aside and in which order.
//! Decides over what was found; moves nothing.
//!
//! Nothing is ever deleted: files are *kept* under a name that no reader looks at
//! before their published name is removed, and checkpoints get a name that is no
//! checkpoint's. The order makes every stop harmless. Keeping changes nothing that a
//! start looks at. Checkpoints then go newest first, so that what is left is at every
//! moment how the job once stood; whatever was published beyond it makes a start
//! refuse. Only when the chosen checkpoint is the newest do the files go.

use super::manifest::{Manifest, OutputRoot, PublishEntry};
use super::names::{Epoch, JobName, PartName};
use super::start::{Content, FoundCheckpoint};

/// A file of the job under an output's root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutputFile {
    pub root: OutputRoot,
    /// Below the root, `/` between components.
    pub path: String,
    pub name: PartName,
}

/// Everything that a rollback looks at.
#[derive(Debug, Clone)]
pub struct RollbackFacts<'a> {
    pub job: &'a JobName,
    /// Where to go back to; `None` for the newest checkpoint that is readable.
    pub wanted: Option<Epoch>,
    /// All there are, each of them read.
    pub checkpoints: &'a [FoundCheckpoint<'a>],
    /// The job's files under every root that a readable checkpoint names.
    pub published: &'a [OutputFile],
    /// Names in the staging places of the same roots.
    pub staged: &'a [PartName],
}

/// What a rollback moves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RollbackPlan {
    /// The epoch that the next start goes on from.
    pub to: Epoch,
    /// Published files of later epochs.
    pub files: Vec<OutputFile>,
    /// Checkpoints of later epochs, newest first.
    pub checkpoints: Vec<Epoch>,
}

/// A step of a rollback, in the order in which they come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RollbackStep {
    /// Give the plan's file of this index a second name aside.
    Keep(usize),
    /// Make those names durable.
    SyncKept,
    /// Give a checkpoint another name, durably.
    SetAside(Epoch),
    /// Remove the published name of the plan's file of this index.
    Remove(usize),
    /// Make the removals durable.
    SyncRemoved,
}

impl RollbackPlan {
    /// The job stands there already.
    pub fn is_empty(&self) -> bool {
        self.files.is_empty() && self.checkpoints.is_empty()
    }

    pub fn steps(&self) -> Vec<RollbackStep> {
        let files = 0..self.files.len();
        let mut steps: Vec<_> = files.clone().map(RollbackStep::Keep).collect();
        steps.push(RollbackStep::SyncKept);
        steps.extend(self.checkpoints.iter().copied().map(RollbackStep::SetAside));
        steps.extend(files.map(RollbackStep::Remove));
        steps.push(RollbackStep::SyncRemoved);
        steps
    }
}

/// Why a rollback is refused. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RollbackRefusal {
    #[error(
        "no checkpoint of job {job} is readable, so there is none to go back to; restore the checkpoint \
         directory from a copy, or remove it and the job's published files to start over"
    )]
    NoneReadable { job: JobName },
    #[error("there is no checkpoint of epoch {wanted} to go back to; there are: {found}")]
    NotThere { wanted: Epoch, found: String },
    #[error("the checkpoint of epoch {wanted} is damaged itself ({why}); go back to one of: {readable}")]
    Damaged { wanted: Epoch, why: String, readable: String },
    #[error(
        "the checkpoint of epoch {epoch} has format version {found}, which this program does not read, so it \
         cannot know what that epoch published; roll back with the host that wrote it"
    )]
    OtherFormat { epoch: Epoch, found: u32 },
    #[error(
        "the checkpoint of epoch {epoch} belongs to job {found}; give another directory or that job's name"
    )]
    OtherJob { epoch: Epoch, found: JobName },
    #[error(
        "{path}, which epoch {epoch} published, is neither in the output {root} nor staged, so that a start from \
         there would be refused; put it back, or go back to a checkpoint of a clean end"
    )]
    FileGone { epoch: Epoch, root: String, path: String },
}

/// Decides what a rollback moves.
///
/// # Errors
/// [`RollbackRefusal`], where there is nothing that the next start could go on from.
pub fn plan_rollback(facts: &RollbackFacts<'_>) -> Result<RollbackPlan, RollbackRefusal> {
    let target = target(facts)?;
    if target.job != *facts.job {
        return Err(RollbackRefusal::OtherJob { epoch: target.epoch, found: target.job.clone() });
    }
    if !target.clean {
        target.publish.iter().try_for_each(|entry| check_there(facts, target, entry))?;
    }
    let mut checkpoints: Vec<Epoch> = facts.checkpoints.iter().map(|found| found.epoch).collect();
    checkpoints.retain(|epoch| *epoch > target.epoch);
    checkpoints.sort_unstable_by(|a, b| b.cmp(a));
    let files = facts.published.iter().filter(|file| file.name.epoch > target.epoch).cloned().collect();
    Ok(RollbackPlan { to: target.epoch, files, checkpoints })
}

fn target<'a>(facts: &RollbackFacts<'a>) -> Result<&'a Manifest, RollbackRefusal> {
    let mut readable = Vec::new();
    for found in facts.checkpoints {
        match &found.content {
            Content::Valid(manifest) => readable.push(*manifest),
            Content::OtherFormat(version) => {
                return Err(RollbackRefusal::OtherFormat { epoch: found.epoch, found: *version });
            }
            Content::Damaged(_) | Content::Unread => {}
        }
    }
    let none = || RollbackRefusal::NoneReadable { job: facts.job.clone() };
    let newest = readable.iter().max_by_key(|manifest| manifest.epoch).ok_or_else(none)?;
    let Some(wanted) = facts.wanted else { return Ok(newest) };
    let found = readable.iter().find(|manifest| manifest.epoch == wanted);
    found.copied().ok_or_else(|| unreadable(facts, wanted, &readable))
}

fn unreadable(facts: &RollbackFacts<'_>, wanted: Epoch, readable: &[&Manifest]) -> RollbackRefusal {
    let mut epochs: Vec<Epoch> = readable.iter().map(|manifest| manifest.epoch).collect();
    epochs.sort_unstable();
    let readable = epochs.iter().map(Epoch::to_string).collect::<Vec<_>>().join(", ");
    match facts.checkpoints.iter().find(|found| found.epoch == wanted).map(|found| &found.content) {
        Some(Content::Damaged(why)) => RollbackRefusal::Damaged { wanted, why: why.clone(), readable },
        _ => RollbackRefusal::NotThere { wanted, found: readable },
    }
}

/// A start would publish this file again if need be: it must be able to.
fn check_there(
    facts: &RollbackFacts<'_>,
    target: &Manifest,
    entry: &PublishEntry,
) -> Result<(), RollbackRefusal> {
    let is_published = |file: &OutputFile| file.root.output == entry.output && file.path == entry.path;
    let is_staged = |name: &PartName| name.to_string() == entry.staged;
    if facts.published.iter().any(is_published) || facts.staged.iter().any(is_staged) {
        return Ok(());
    }
    let root = target.outputs.iter().find(|root| root.output == entry.output);
    Err(RollbackRefusal::FileGone {
        epoch: target.epoch,
        root: root.map(|root| root.path.clone()).unwrap_or_default(),
        path: entry.path.clone(),
    })
}

#[cfg(test)]
#[path = "rollback_tests.rs"]
mod tests;
