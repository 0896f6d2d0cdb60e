//! What did not get through, staged with the commit: as Parquet beside the first output,
//! or as letters for a topic.

use std::collections::BTreeMap;

use arrow_array::RecordBatch;
use speed_layer_core::commit::{Codec, OutboxEntry, OutputId, PublishEntry};
use speed_layer_store::letters::{DeadLetters, LateRows};
use speed_layer_store::{CommitStore, Footer};

use super::Commits;
use crate::job::partitions::Partitions;
use crate::job::side_files::push_side;
use crate::stages::{EpochContext, Sides};

/// What a commit publishes, as far as it is staged.
#[derive(Default)]
pub struct Staged {
    pub files: Vec<PublishEntry>,
    pub outbox: Vec<OutboxEntry>,
}

impl<S: CommitStore> Commits<S> {
    pub(super) fn stage_sides(
        &mut self,
        sides: Sides,
        mut dead: DeadLetters,
        epoch: &EpochContext,
        partitions: &Partitions,
        staged: &mut Staged,
    ) -> anyhow::Result<()> {
        let (mut late, mut by_clock) = (LateRows::default(), DeadLetters::default());
        let mut lowest = BTreeMap::new();
        let to_topic = self.sides.dead_letters.is_some();
        for row in sides.into_sorted() {
            lowest.entry(row.partition).or_insert(row.offset);
            push_side(&row, &self.topic, epoch, &mut dead, &mut late);
            if to_topic && row.culprit.stage == "clock" {
                push_side(&row, &self.topic, epoch, &mut by_clock, &mut late);
            }
        }
        let mut footer = self.footer(epoch, partitions, &lowest);
        footer.plugins = self.row_plugins().collect();
        let sinks = self.sides.clone();
        let dead = (!dead.is_empty()).then(|| dead.take()).transpose()?;
        self.stage_side(&OutputId::DeadLetters, dead, sinks.dead_letters.as_deref(), &footer, staged)?;
        // Whoever reads the records again has to know what the clock refused, also when no
        // topic keeps it any more.
        let by_clock = (!by_clock.is_empty()).then(|| by_clock.take()).transpose()?;
        self.stage_side(&OutputId::DeadLetters, by_clock, None, &footer, staged)?;
        let late = (!late.is_empty()).then(|| late.take()).transpose()?;
        self.stage_side(&OutputId::Late, late, sinks.late.as_deref(), &footer, staged)
    }

    fn stage_side(
        &mut self,
        output: &OutputId,
        batch: Option<RecordBatch>,
        topic: Option<&str>,
        footer: &Footer,
        staged: &mut Staged,
    ) -> anyhow::Result<()> {
        let Some(batch) = batch else { return Ok(()) };
        let mut part = self.committer.begin_part(output, "", batch.schema(), Codec::Snappy)?;
        part.write(&batch)?;
        let file = self.committer.finish_part(part, footer)?;
        match topic {
            Some(topic) => staged.outbox.push(OutboxEntry::of(file, topic)),
            None => staged.files.push(file),
        }
        Ok(())
    }
}
