//! A rollback: everything that is there is read, `speed_layer_core::commit` says what
//! is moved in which order, and that is done. A look without owning the job comes
//! first and changes nothing.
//!
//! The outputs are those that the readable checkpoints name, wherever the job's
//! settings put them today.

use std::path::{Path, PathBuf};

use speed_layer_core::commit::{
    Epoch, Generation, JobName, OutputFile, OutputId, OutputRoot, PartName, RollbackFacts, RollbackPlan,
    RollbackRefusal, RollbackStep, plan_rollback,
};

use crate::error::StoreError;
use crate::inspect::{ReadAll, ReadCheckpoint, read_all};
use crate::layer::FileLayer;
use crate::layout::Layout;
use crate::posix::PosixStore;
use crate::store::CommitStore;

#[derive(Debug, thiserror::Error)]
pub enum RollbackError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("job {job} is not rolled back: {refusal}")]
    Refused { job: JobName, refusal: Box<RollbackRefusal> },
    /// Between the look and the rollback.
    #[error(
        "the checkpoints of job {job} have changed since they were looked at; nothing was moved, try again"
    )]
    Changed { job: JobName },
}

/// What a rollback would do, or has done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rollback {
    pub plan: RollbackPlan,
    /// The present path of each of the plan's files, and the one aside.
    pub moves: Vec<(PathBuf, PathBuf)>,
}

/// Looks what going back to `wanted` would move; `None` stands for the newest
/// readable checkpoint. Changes nothing.
///
/// # Errors
/// [`RollbackError::Store`] with [`StoreError::Owned`] while the job runs;
/// [`RollbackError::Refused`] where no start could go on from there.
pub fn plan<L: FileLayer>(store: &PosixStore<L>, wanted: Option<Epoch>) -> Result<Rollback, RollbackError> {
    store.check_unowned()?;
    let found = read_all(store)?;
    let published = published(store, &found)?;
    let checkpoints = found.as_found();
    let facts = RollbackFacts {
        job: store.job(),
        wanted,
        checkpoints: &checkpoints,
        published: &published,
        staged: &staged(store, &found)?,
    };
    let refused = |refusal| RollbackError::Refused { job: store.job().clone(), refusal: Box::new(refusal) };
    let plan = plan_rollback(&facts).map_err(refused)?;
    let from_to =
        |file: &OutputFile| Ok((Path::new(&file.root.path).join(&file.path), store.aside_path(file)?));
    let moves = plan.files.iter().map(from_to).collect::<Result<_, StoreError>>()?;
    Ok(Rollback { plan, moves })
}

/// Takes the job and does what [`plan`] found. May be repeated after a stop at any
/// point; the caller ends with the store, which frees the job.
///
/// # Errors
/// As [`plan`]; [`RollbackError::Changed`] where something else is found now.
pub fn roll_back<L: FileLayer>(store: &mut PosixStore<L>, planned: &Rollback) -> Result<(), RollbackError> {
    let newest = read_all(store)?.checkpoints.iter().filter_map(ReadCheckpoint::generation).max();
    store.own_without_outputs(newest.unwrap_or_default())?;
    if plan(store, Some(planned.plan.to))? != *planned {
        return Err(RollbackError::Changed { job: store.job().clone() });
    }
    for step in planned.plan.steps() {
        take(store, step, &planned.plan)?;
    }
    Ok(())
}

fn take<L: FileLayer>(
    store: &mut PosixStore<L>,
    step: RollbackStep,
    plan: &RollbackPlan,
) -> Result<(), StoreError> {
    match step {
        RollbackStep::Keep(index) => store.keep_aside(&plan.files[index]),
        RollbackStep::SetAside(epoch) => store.roll_checkpoint_aside(epoch),
        RollbackStep::Remove(index) => store.remove_published(&plan.files[index]),
        RollbackStep::SyncKept | RollbackStep::SyncRemoved => store.sync_aside(),
    }
}

impl ReadCheckpoint {
    fn generation(&self) -> Option<Generation> {
        Some(self.content.as_ref().ok()?.manifest.generation)
    }
}

/// The roots that the readable checkpoints name, each once.
fn roots(found: &ReadAll) -> Vec<OutputRoot> {
    let mut roots: Vec<OutputRoot> = Vec::new();
    for checkpoint in found.checkpoints.iter().filter_map(|one| one.content.as_ref().ok()) {
        for root in &checkpoint.manifest.outputs {
            if !roots.contains(root) {
                roots.push(root.clone());
            }
        }
    }
    roots
}

/// The job's files under every root that a readable checkpoint names.
pub(crate) fn published<L: FileLayer>(
    store: &PosixStore<L>,
    found: &ReadAll,
) -> Result<Vec<OutputFile>, StoreError> {
    let mut files = Vec::new();
    for root in roots(found) {
        files.extend(store.files_under(&root)?);
    }
    files.sort_by(|a, b| (&a.root.path, &a.path).cmp(&(&b.root.path, &b.path)));
    Ok(files)
}

pub(crate) fn staged<L: FileLayer>(
    store: &PosixStore<L>,
    found: &ReadAll,
) -> Result<Vec<PartName>, StoreError> {
    let mut outputs = Vec::new();
    for root in roots(found) {
        if let OutputId::Aggregate(name) = root.output {
            outputs.push((name, PathBuf::from(root.path)));
        }
    }
    let layout = Layout::new(store.job().clone(), store.layout().checkpoint_dir(), &outputs)?;
    store.parts_staged(&layout)
}
