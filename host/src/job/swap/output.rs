//! Another output for an aggregate, by a swap: which aggregate's, and whether the folder
//! can serve. Looks; makes nothing.

use std::path::Path;

use anyhow::{Context, bail, ensure};
use speed_layer_core::commit::OutputId;
use speed_layer_store::{DiskLayer, Layout, PosixStore};

use crate::job::moved::is_same;
use crate::plan::{AggregatePlan, StageName};

/// The number of the aggregate whose output a swap of `stage` may move: its own, or the
/// only one.
///
/// # Errors
/// There are several.
pub fn moved_aggregate(stage: &StageName, aggregates: &[AggregatePlan]) -> anyhow::Result<usize> {
    match (stage, aggregates) {
        (StageName::Aggregate(name), all) => {
            let own = all.iter().position(|of| of.spec.name == *name);
            own.with_context(|| format!("the job has no aggregate {name}"))
        }
        (_, [_only]) => Ok(0),
        _ => bail!(
            "--output: {stage} is before several aggregates, and it does not say whose output it is; swap one of them"
        ),
    }
}

/// The job's directories with the output of `aggregate` in `dir`.
///
/// # Errors
/// What `host run` refuses an output for; or it is the output already.
pub fn check(layout: &Layout, aggregate: &str, dir: &Path) -> anyhow::Result<Layout> {
    let present = layout.root(&OutputId::Aggregate(aggregate.to_owned()));
    ensure!(
        !present.is_some_and(|present| is_same(present, dir)),
        "--output: {} is the output of aggregate {aggregate} already",
        dir.display()
    );
    ensure!(dir.to_str().is_some(), "--output: {} is no UTF-8, and checkpoints are", dir.display());
    let store = PosixStore::new(DiskLayer, layout.clone());
    Ok(store.layout_with(aggregate, dir)?)
}
