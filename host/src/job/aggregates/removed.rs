//! An aggregate that a checkpoint has and the settings no longer. Without being told to, a
//! start refuses, since windows would be lost that nobody has seen. Told to, it first brings
//! the job to an end as it was, in the directories that the checkpoint names, so that what
//! was sealed is published; then one commit goes on without the aggregate. What it has
//! published is left alone.

use std::collections::BTreeSet;

use anyhow::{Context, bail, ensure};
use speed_layer_core::commit::{Kind, OutputId};
use speed_layer_store::inspect::read_newest;
use speed_layer_store::layer::FileLayer;
use speed_layer_store::{
    Checkpoint, CommitStore, LetterSender, PendingCommit, PosixStore, Recovered, peek, recover_with,
};
use tracing::warn;

use crate::config::{JobSpec, nearest};

/// What is dropped, and the job as it was with it.
pub struct Removal<L: FileLayer> {
    names: Vec<String>,
    former: PosixStore<L>,
}

/// Why a start without an aggregate of the checkpoint is refused.
pub fn refusal(name: &str, checkpoint: &Checkpoint) -> String {
    let open = Open::of(name, checkpoint);
    format!(
        "the settings have no aggregate {name:?} any more, and the checkpoint has {open} of it that were never written \
         (what it has published, below {}, stays in any case): put it back into the settings, or go on without it by \
         `--drop-aggregate {name}`",
        output_of(name, checkpoint)
    )
}

/// What is open of one aggregate.
struct Open {
    windows: usize,
    groups: usize,
}

impl Open {
    fn of(name: &str, checkpoint: &Checkpoint) -> Self {
        let stored = checkpoint.states.iter().find(|(of, _)| of == name).map(|(_, stored)| stored);
        let starts = stored.into_iter().flat_map(|of| of.offsets.iter().map(|offset| offset.start_us));
        let windows = starts.collect::<BTreeSet<i64>>().len();
        Self { windows, groups: stored.map_or(0, |of| of.len()) }
    }
}

impl std::fmt::Display for Open {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let of = |count: usize, what: &str| format!("{count} {what}{}", if count == 1 { "" } else { "s" });
        write!(f, "{} with {}", of(self.windows, "open window"), of(self.groups, "group"))
    }
}

fn output_of(name: &str, checkpoint: &Checkpoint) -> String {
    let output = OutputId::Aggregate(name.to_owned());
    let root = checkpoint.manifest.outputs.iter().find(|root| root.output == output);
    root.map_or_else(|| "its output".to_owned(), |root| root.path.clone())
}

impl<L: FileLayer> Removal<L> {
    /// What the start is told to drop; `None` where that is nothing, and where no checkpoint can
    /// be read, which others refuse better. Writes nothing.
    ///
    /// # Errors
    /// The job has no checkpoint, or none with such an aggregate.
    pub fn asked(spec: &JobSpec, store: &PosixStore<L>) -> anyhow::Result<Option<Self>> {
        let names = spec.changes.drop.clone();
        let Some(first) = names.first() else { return Ok(None) };
        let read = read_newest(store)?;
        ensure!(
            !read.is_empty(),
            "--drop-aggregate {first}: job {} has no checkpoint in {}, so that there is nothing to drop; give the --name \
             and the --checkpoint that it was run with (a job without a name has that of its first aggregate), or \
             leave the flag out",
            spec.name,
            store.place()
        );
        let Some(checkpoint) = read.into_iter().find_map(|one| one.content.ok()) else { return Ok(None) };
        names.iter().try_for_each(|name| check_known(name, &checkpoint))?;
        // After an end in order nothing is left to publish, and the folders are their owner's.
        let layout = match &checkpoint.manifest {
            manifest if manifest.clean => store.layout().clone(),
            manifest => store.layout().with_outputs(&manifest.outputs)?,
        };
        Ok(Some(Self { names, former: store.elsewhere(layout) }))
    }

    /// The checkpoint that a start would go on from, as it will be then.
    ///
    /// # Errors
    /// The start would be refused for another reason.
    pub fn peek(&self) -> anyhow::Result<Option<Checkpoint>> {
        Ok(peek(&self.former)?.map(|checkpoint| without(&self.names, checkpoint)))
    }

    /// Takes the job as it was, publishes what is sealed, and commits that the aggregates are
    /// gone; then the job is free again.
    ///
    /// # Errors
    /// As any start's; and when another process has changed the job meanwhile.
    pub fn carry_out(self, sender: Option<LetterSender>) -> anyhow::Result<()> {
        let Self { names, former } = self;
        let Recovered { mut committer, checkpoint, .. } = recover_with(former, sender)?;
        let checkpoint = checkpoint.context("the job has lost its checkpoints meanwhile; start again")?;
        names.iter().try_for_each(|name| check_known(name, &checkpoint))?;
        let told: Vec<(&String, Open, String)> = names
            .iter()
            .map(|name| (name, Open::of(name, &checkpoint), output_of(name, &checkpoint)))
            .collect();
        let Checkpoint { manifest, states, .. } = without(&names, checkpoint.clone());
        // The chain of states before knows aggregates that this checkpoint does not: it stands alone.
        let (progress, kind, files, outbox) = (manifest.progress, Kind::Full, Vec::new(), Vec::new());
        committer.commit(PendingCommit { progress, kind, states, files, outbox })?;
        for (name, open, output) in told {
            warn!(
                windows = open.windows,
                groups = open.groups,
                "aggregate {name} is dropped: {open} will not be written; what it has published stays below {output}"
            );
        }
        Ok(())
    }
}

fn check_known(name: &str, checkpoint: &Checkpoint) -> anyhow::Result<()> {
    let known = || checkpoint.manifest.progress.aggregates.iter().map(|of| of.name.as_str());
    if known().any(|known| known == name) {
        return Ok(());
    }
    let meant = nearest(name, known()).map(|near| format!("; did you mean `{near}`?"));
    bail!(
        "--drop-aggregate {name}: the checkpoint of job {} has no aggregate of that name, it has {}{}",
        checkpoint.manifest.job,
        known().collect::<Vec<_>>().join(", "),
        meant.unwrap_or_default()
    )
}

fn without(names: &[String], mut checkpoint: Checkpoint) -> Checkpoint {
    checkpoint.manifest.progress.aggregates.retain(|of| !names.contains(&of.name));
    checkpoint.states.retain(|(name, _)| !names.contains(name));
    checkpoint
}
