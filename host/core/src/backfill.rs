//! An aggregate that a job gets later and that is built from the job's first record on:
//! where that was, and how far event time has come while the records are read again.
//! Reads nothing itself.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::commit::{PluginUse, Progress};
use crate::watermark::{Standing, job_clock};

/// The first offset that a job has read of each of its partitions. A checkpoint remembers `uses_max`
/// plugins of a stage: where the parser's first is among the forgotten, and for partitions that
/// came later, it is 0.
pub fn origins(progress: &Progress, uses_max: usize) -> BTreeMap<i32, i64> {
    let parser = progress.stages.first().map_or(0, |parse| parse.plugins.len());
    let stages = progress.stages.iter().flat_map(|of| &of.plugins);
    let uses: Vec<&PluginUse> = stages.chain(progress.aggregates.iter().flat_map(|of| &of.plugins)).collect();
    let origin = |topic: &str, partition: i32| {
        let marks = uses.iter().flat_map(|used| &used.from);
        let own = marks.filter(|mark| (mark.topic.as_str(), mark.partition) == (topic, partition));
        own.map(|mark| mark.offset).min().filter(|_| parser < uses_max).unwrap_or(0)
    };
    progress.partitions.iter().map(|of| (of.partition, origin(&of.topic, of.partition))).collect()
}

/// How far the partitions are read again, each up to the cut at which the aggregate joins the job.
#[derive(Debug, Clone)]
pub struct Reach {
    parts: BTreeMap<i32, Part>,
}

#[derive(Debug, Clone)]
struct Part {
    next_offset: i64,
    cut: i64,
    max_event_ms: Option<i64>,
    at_cut: Standing,
}

impl Reach {
    /// The offsets of each partition that are to be read, and what it is to the job's clock at
    /// the cut.
    pub fn new(parts: impl IntoIterator<Item = (i32, Range<i64>, Standing)>) -> Self {
        let part = |(partition, offsets, at_cut): (i32, Range<i64>, Standing)| {
            let (next_offset, cut) = (offsets.start, offsets.end);
            (partition, Part { next_offset, cut, max_event_ms: None, at_cut })
        };
        Self { parts: parts.into_iter().map(part).collect() }
    }

    /// Notes how far a partition is read.
    pub fn read_to(&mut self, partition: i32, next_offset: i64) {
        if let Some(part) = self.parts.get_mut(&partition) {
            part.next_offset = next_offset.max(part.next_offset);
        }
    }

    /// Notes the event time of an accepted row.
    pub fn accepted(&mut self, partition: i32, event_ms: i64) {
        if let Some(part) = self.parts.get_mut(&partition) {
            part.max_event_ms = part.max_event_ms.max(Some(event_ms));
        }
    }

    /// The clock: the least event time of the partitions that count. One that is read to the cut
    /// counts as it does for the job, so that it holds nothing back which it does not hold back there.
    pub fn clock_ms(&self) -> Option<i64> {
        job_clock(self.parts.values().map(Part::standing))
    }
}

impl Part {
    fn standing(&self) -> Standing {
        match self.max_event_ms {
            _ if self.next_offset >= self.cut => self.at_cut,
            Some(event_ms) => Standing::At(event_ms),
            None => Standing::Unknown,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commit::{Digest, OffsetMark, PartitionClock, PartitionProgress, StageUse};

    fn partition(partition: i32) -> PartitionProgress {
        PartitionProgress {
            topic: "t".to_owned(),
            partition,
            topic_id: None,
            leader_epoch: None,
            next_offset: 99,
            log_start_offset: None,
            stable_offset: None,
            clock: PartitionClock::default(),
        }
    }

    fn used(from: &[(i32, i64)]) -> PluginUse {
        let mark =
            |&(partition, offset): &(i32, i64)| OffsetMark { topic: "t".to_owned(), partition, offset };
        let from = from.iter().map(mark).collect();
        PluginUse { name: "p".to_owned(), digest: Digest([0; 32]), config: Digest([0; 32]), from }
    }

    fn check(parsers: Vec<PluginUse>, uses_max: usize, expected: [(i32, i64); 2]) {
        let stages = vec![StageUse { stage: "parse".to_owned(), plugins: parsers }];
        let progress =
            Progress { partitions: vec![partition(0), partition(1)], stages, ..Progress::default() };
        assert_eq!(origins(&progress, uses_max), expected.into());
    }

    #[test]
    fn a_job_began_where_its_first_plugin_did() {
        check(vec![used(&[(0, 7), (1, 3)])], 9, [(0, 7), (1, 3)]);
        check(vec![used(&[(0, 7)]), used(&[(0, 20), (1, 0)])], 9, [(0, 7), (1, 0)]);
        check(vec![used(&[(0, 7)])], 9, [(0, 7), (1, 0)]);
        check(vec![used(&[(0, 7)]), used(&[(0, 8)])], 2, [(0, 0), (1, 0)]);
    }

    #[test]
    fn who_has_records_left_holds_the_clock_and_who_has_none_is_what_it_is_to_the_job() {
        let mut reach = Reach::new([(0, 0..10, Standing::At(500)), (1, 5..9, Standing::LeftOut)]);
        assert_eq!(reach.clock_ms(), None);
        reach.accepted(0, 300);
        reach.accepted(0, 200);
        assert_eq!(reach.clock_ms(), None, "the other has shown no time");
        reach.accepted(1, 100);
        reach.read_to(1, 8);
        assert_eq!(reach.clock_ms(), Some(100));
        reach.read_to(1, 9);
        assert_eq!(reach.clock_ms(), Some(300), "it is idle");
        reach.read_to(0, 10);
        assert_eq!(reach.clock_ms(), Some(500), "the job has seen that much of it");
        let empty = Reach::new([(0, 4..4, Standing::Unknown), (1, 0..0, Standing::LeftOut)]);
        assert_eq!(empty.clock_ms(), None);
    }
}
