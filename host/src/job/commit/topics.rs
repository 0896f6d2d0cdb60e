//! Windows that go to topics, staged with the commit as records that are ready to be sent, and sent with its letters:
//! closed ones for good, and where the sink wants it those that the commit has changed, or all that are open.

use std::collections::BTreeMap;

use arrow_array::RecordBatch;
use speed_layer_core::commit::{Codec, Epoch, OutboxEntry, OutputId};
use speed_layer_core::group::GroupTable;
use speed_layer_store::letters::{DeadLetters, Letter, dead_letter_schema};
use speed_layer_store::{CommitStore, Footer};

use super::Commits;
use crate::config::{OutputMode, TopicSink};
use crate::job::open_windows::GroupsSoFar;
use crate::job::partitions::Partitions;
use crate::sinks::RecordWriter;
use crate::stages::EpochContext;

/// Of what is written down at a time.
const HELD_BYTES_MAX: usize = 8 << 20;
/// What a staged record has in place of the offset that a letter has.
const NO_OFFSET: (i32, i64) = (-1, -1);

impl<S: CommitStore> Commits<S> {
    /// The closed windows of an aggregate, for all of its topics.
    pub(super) fn stage_closed_records(
        &mut self,
        index: usize,
        rows: &[RecordBatch],
        epoch: &EpochContext,
        partitions: &Partitions,
        outbox: &mut Vec<OutboxEntry>,
    ) -> anyhow::Result<()> {
        let footer = self.record_footer(index, epoch, partitions);
        for sink in self.aggregates[index].spec.topics.clone() {
            self.stage_records(index, &sink, rows, true, &footer, outbox)?;
        }
        Ok(())
    }

    /// The open windows that topics are given, by the workers' partial states, one list a worker, since the commit before.
    pub(super) fn stage_open_records(
        &mut self,
        epoch: &EpochContext,
        changed: &[Vec<GroupTable>],
        partitions: &Partitions,
        outbox: &mut Vec<OutboxEntry>,
    ) -> anyhow::Result<()> {
        for index in 0..self.aggregates.len() {
            for mode in [OutputMode::Update, OutputMode::Complete] {
                let mut sinks = self.aggregates[index].spec.topics.clone();
                sinks.retain(|sink| sink.mode == mode);
                if sinks.is_empty() {
                    continue;
                }
                let so_far = self.so_far(index, mode, epoch, changed, usize::MAX)?;
                let footer = self.record_footer(index, epoch, partitions);
                for sink in &sinks {
                    self.stage_records(index, sink, &so_far.rows, false, &footer, outbox)?;
                }
            }
        }
        Ok(())
    }

    /// The open windows of an aggregate that a sink of this mode is given, at most `rows_max` of them.
    pub(super) fn so_far(
        &mut self,
        index: usize,
        mode: OutputMode,
        epoch: &EpochContext,
        changed: &[Vec<GroupTable>],
        rows_max: usize,
    ) -> anyhow::Result<GroupsSoFar> {
        let (open, context) = (&mut self.aggregates[index].open, epoch.for_aggregate(index));
        match mode {
            OutputMode::Append => Ok(GroupsSoFar::default()),
            OutputMode::Update => {
                let of_it: Vec<&GroupTable> = changed.iter().map(|groups| &groups[index]).collect();
                open.changed_so_far(&context, &of_it, rows_max)
            }
            OutputMode::Complete => open.open_so_far(&context, rows_max),
        }
    }

    fn record_footer(&self, index: usize, epoch: &EpochContext, partitions: &Partitions) -> Footer {
        let mut footer = self.footer(epoch, partitions, &BTreeMap::new());
        footer.plugins = self.row_plugins().chain(self.aggregates[index].plugins.iter().cloned()).collect();
        footer
    }

    fn stage_records(
        &mut self,
        index: usize,
        sink: &TopicSink,
        rows: &[RecordBatch],
        is_final: bool,
        footer: &Footer,
        outbox: &mut Vec<OutboxEntry>,
    ) -> anyhow::Result<()> {
        if rows.iter().all(|batch| batch.num_rows() == 0) {
            return Ok(());
        }
        let aggregate = &self.aggregates[index];
        let (name, keys) = (aggregate.spec.name.clone(), aggregate.open.key_columns());
        let output = OutputId::Aggregate(name.clone());
        let mut part = self.committer.begin_part(&output, "", dead_letter_schema(), Codec::Snappy)?;
        let mut staged = DeadLetters::default();
        for batch in rows {
            let writer = RecordWriter::of(batch, keys, sink.form, is_final)?;
            for row in 0..batch.num_rows() {
                let (key, value) = writer.record(row)?;
                staged.push(&self.staged_record(&name, (&key, &value), footer.epoch));
                if staged.bytes() > HELD_BYTES_MAX {
                    part.write(&staged.take()?)?;
                }
            }
        }
        if !staged.is_empty() {
            part.write(&staged.take()?)?;
        }
        let file = self.committer.finish_part(part, footer)?;
        outbox.push(OutboxEntry::of(file, &sink.topic));
        Ok(())
    }

    /// In the form that letters have, since both go the same way.
    fn staged_record<'a>(
        &'a self,
        aggregate: &'a str,
        (key, value): (&'a [u8], &'a [u8]),
        epoch: Epoch,
    ) -> Letter<'a> {
        let (partition, offset) = NO_OFFSET;
        Letter {
            topic: &self.topic,
            partition,
            offset,
            timestamp_ms: None,
            key: Some(key),
            value: Some(value),
            kind: "window",
            message: "",
            stage: "aggregate",
            aggregate: Some(aggregate),
            plugin_digest: None,
            epoch,
        }
    }
}
