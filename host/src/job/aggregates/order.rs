//! Which new aggregates a start is to build, and from which records: all that the job has
//! read, if the brokers still have them. Looks, and refuses what could not be exact; reads
//! no record and writes nothing.

use anyhow::{Context, bail};
use speed_layer_core::backfill::origins;
use speed_layer_core::commit::{AggregateProgress, Epoch, Gap, OutputId, PartitionProgress, Progress};
use speed_layer_kafka::TopicFacts;
use speed_layer_store::layer::FileLayer;
use speed_layer_store::{Checkpoint, CommitStore, PosixStore};
use tracing::info;

use crate::config::JobSpec;
use crate::job::replay::Stretch;
use crate::job::stored::USES_MAX;

/// What would do in place of a backfill.
const WITHOUT: &str = "start without --backfill: the aggregate then begins at the present position, with the first window \
                       that it sees whole";

/// New aggregates, and the records that they are built from.
#[derive(Debug, Clone, PartialEq)]
pub struct Order {
    pub names: Vec<String>,
    pub stretch: Stretch,
    known: Vec<String>,
}

impl Order {
    /// What the settings ask for over this checkpoint; `None` where nothing is to be built. `gaps` are the records
    /// that this start has found lost.
    ///
    /// # Errors
    /// The records are not all there, an aggregate is in the checkpoint and began later than the
    /// job, or its output has rows of the job.
    pub fn of<L: FileLayer>(
        spec: &JobSpec,
        checkpoint: Option<&Checkpoint>,
        store: &PosixStore<L>,
        facts: &TopicFacts,
        gaps: &[Gap],
    ) -> anyhow::Result<Option<Self>> {
        let (Some(checkpoint), Some(first)) = (checkpoint, spec.changes.backfill.first()) else {
            return Ok(None);
        };
        let progress = &checkpoint.manifest.progress;
        let (mut names, mut known) = (Vec::new(), Vec::new());
        for name in &spec.changes.backfill {
            match progress.aggregates.iter().find(|of| of.name == *name) {
                Some(of) => {
                    refuse_late_beginner(of)?;
                    known.push(name.clone());
                }
                None => {
                    refuse_used_output(name, store)?;
                    names.push(name.clone());
                }
            }
        }
        let order = Self { names, stretch: stretch(progress), known };
        if !order.names.is_empty() {
            refuse_gaps(first, progress.gaps.iter().chain(gaps))?;
            let whole = order.stretch.check(facts);
            whole.with_context(|| {
                format!("--backfill {first}: it cannot be built from the job's first record on; {WITHOUT}")
            })?;
        }
        Ok(Some(order))
    }

    /// Says what there is nothing to do for.
    pub fn tell(&self) {
        for name in &self.known {
            info!(
                "aggregate {name} is in the checkpoint and has every window whole: there is nothing to backfill"
            );
        }
    }
}

/// Everything that the job has read.
fn stretch(progress: &Progress) -> Stretch {
    let origins = origins(progress, USES_MAX);
    let range = |of: &PartitionProgress| {
        let origin = origins.get(&of.partition).copied().unwrap_or(0);
        (of.partition, origin..of.next_offset)
    };
    let topic = progress.partitions.first().map_or("", |of| of.topic.as_str());
    let topic_id = progress.partitions.iter().find_map(|of| of.topic_id.clone());
    Stretch { topic_id, ..Stretch::new(topic, progress.partitions.iter().map(range)) }
}

fn refuse_late_beginner(known: &AggregateProgress) -> anyhow::Result<()> {
    if known.withheld_until_ms.is_none() {
        return Ok(());
    }
    let name = &known.name;
    bail!(
        "--backfill {name}: the checkpoint has this aggregate already, and it began later than the job; to have it from \
         the beginning, take it out of the settings and drop it (--drop-aggregate {name}), then put it in again with \
         another output and --backfill {name}"
    )
}

fn refuse_used_output<L: FileLayer>(name: &str, store: &PosixStore<L>) -> anyhow::Result<()> {
    let output = OutputId::Aggregate(name.to_owned());
    let files = store.published(Epoch::default())?;
    let Some(file) = files.into_iter().find(|file| file.output == output) else { return Ok(()) };
    let root = store.layout().root(&output).map(|root| root.display().to_string()).unwrap_or_default();
    bail!(
        "--backfill {name}: its output {root} holds rows of this job already ({}), and their windows would be there \
         twice; give the aggregate another output, or move these files away",
        file.path
    )
}

fn refuse_gaps<'a>(name: &str, mut gaps: impl Iterator<Item = &'a Gap>) -> anyhow::Result<()> {
    let Some(Gap { topic, partition, from, to, reason }) = gaps.next() else { return Ok(()) };
    bail!(
        "--backfill {name}: records of the job are lost (offsets {from} to {to} of partition {partition} of the topic \
         {topic}: {reason}), so that it cannot be built as if it had been there from the beginning; {WITHOUT}"
    )
}
