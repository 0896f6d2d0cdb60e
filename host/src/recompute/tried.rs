//! The stages of a job as a backtest runs them: with the plugins that the job runs now, and
//! others in the place of some.

use std::path::PathBuf;

use anyhow::ensure;
use speed_layer_plugin::{Plugin, Runtime};
use speed_layer_store::{Checkpoint, DiskStore, inspect};

use crate::config::{JobSpec, StageSpec};
use crate::job::replay::{plugin, runtime, store};
use crate::plan::{Plan, StageName};

/// A plugin that is tried as a stage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tried {
    pub stage: StageName,
    pub file: PathBuf,
}

/// The plan of `spec`; `job` is the whole job, whose checkpoint names the plugins that run.
///
/// # Errors
/// A plugin does not load or fit, or there is no such stage.
pub fn plan(job: &JobSpec, spec: &JobSpec, tried: &[Tried]) -> anyhow::Result<Plan> {
    let (runtime, store) = (runtime(job)?, store(job)?);
    let checkpoint = newest(&store)?;
    let plan =
        Plan::make(&spec.of_the_past(), &|name, stage| match tried.iter().find(|one| one.stage == *name) {
            Some(one) => Ok(runtime.load(&one.file)?),
            None => present(name, stage, &runtime, &store, checkpoint.as_ref()),
        })?;
    let stages = plan.stages();
    for one in tried {
        let known = stages.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        ensure!(stages.contains(&one.stage), "there is no stage {} here; there are {known}", one.stage);
    }
    Ok(plan)
}

fn present(
    name: &StageName,
    stage: &StageSpec,
    runtime: &Runtime,
    store: &DiskStore,
    checkpoint: Option<&Checkpoint>,
) -> anyhow::Result<Plugin> {
    plugin(name, stage, runtime, &store.checkpoints(), checkpoint)
}

/// The newest checkpoint that can be read, of a job that may be running; `None` where it never ran.
fn newest(store: &DiskStore) -> anyhow::Result<Option<Checkpoint>> {
    if !store.layout().checkpoint_dir().is_dir() {
        return Ok(None);
    }
    let read = inspect::read_newest(store)?;
    Ok(read.into_iter().find_map(|one| one.content.ok()))
}
