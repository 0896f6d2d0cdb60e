//! Where a worker's batches come from: Kafka, or records in memory in tests.

use speed_layer_core::records::Records;
use speed_layer_kafka::{Assignment, Feed, PollLimits, PollOutcome, Position, SourceError};

/// A worker's half of a source.
///
/// # Contract
/// - a poll replaces what is in `records`; within a partition offsets rise, over all polls.
/// - `positions` stands after everything that polls gave out.
/// - an error is final.
pub trait RecordFeed: Send {
    fn poll(&mut self, records: &mut Records, limits: &PollLimits) -> anyhow::Result<PollOutcome>;
    fn positions(&self) -> Vec<Position>;
    /// Reads a partition, new or known, from this place on; only asked of a source that is
    /// looked at while it is read.
    fn assign(&mut self, assignment: &Assignment) -> anyhow::Result<()> {
        anyhow::bail!("partition {} cannot be added to a source that does not change", assignment.partition)
    }
    /// Reads nothing more of these partitions until it is to go on with them; what is in hand
    /// is still given out.
    fn pause(&mut self, partitions: &[i32]) -> anyhow::Result<()>;
    /// Goes on with partitions that were paused.
    fn resume(&mut self, partitions: &[i32]) -> anyhow::Result<()>;
    /// Partitions that give nothing any more, each told once.
    fn take_losses(&mut self) -> Vec<SourceError> {
        Vec::new()
    }
    /// Every partition has reached its bound; without one, has nothing more to read now.
    fn is_at_end(&self) -> bool;
}

impl RecordFeed for Feed {
    fn poll(&mut self, records: &mut Records, limits: &PollLimits) -> anyhow::Result<PollOutcome> {
        Ok(Self::poll(self, records, limits)?)
    }

    fn positions(&self) -> Vec<Position> {
        Self::positions(self).collect()
    }

    fn assign(&mut self, assignment: &Assignment) -> anyhow::Result<()> {
        Ok(Self::assign(self, assignment)?)
    }

    fn pause(&mut self, partitions: &[i32]) -> anyhow::Result<()> {
        Ok(Self::pause(self, partitions)?)
    }

    fn resume(&mut self, partitions: &[i32]) -> anyhow::Result<()> {
        Ok(Self::resume(self, partitions)?)
    }

    fn take_losses(&mut self) -> Vec<SourceError> {
        Self::take_losses(self)
    }

    fn is_at_end(&self) -> bool {
        Self::is_at_end(self)
    }
}
