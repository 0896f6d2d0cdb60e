//! What the coordinator knows of each partition between cuts: how far it is read, how
//! far its event time is, and since when it has been silent at its end.

use std::collections::BTreeMap;

use speed_layer_core::commit;
use speed_layer_core::watermark::{self, BoundedFacts, PartitionFacts, PartitionProgress, Standing};
use speed_layer_kafka::{self as kafka, Assignment, Position, TopicFacts};

use super::positions;
use super::progress::PartitionStep;
use super::worker::CutReport;

/// All partitions of the job.
#[derive(Debug, Clone)]
pub struct Partitions {
    by_number: BTreeMap<i32, Partition>,
    topic: String,
    topic_id: Option<String>,
    idle_timeout_ms: u64,
    /// Set for a bounded run: the wall clock at which it began.
    run_began_ms: Option<i64>,
}

#[derive(Debug, Clone)]
struct Partition {
    clock: PartitionProgress,
    next_offset: i64,
    /// As of the last commit.
    committed_offset: i64,
    leader_epoch: Option<i32>,
    log_start: i64,
    /// At the start; where a bounded run ends.
    stable_at_start: i64,
    high_watermark: i64,
    at_log_end: bool,
    /// Counted from cut to cut while it is at its log's end and nothing holds it back.
    at_end_for_ms: u64,
    gave_in_this_run: bool,
}

/// A partition as a run begins with it.
#[derive(Debug, Clone, Copy)]
pub struct Beginning {
    pub partition: i32,
    pub start_offset: i64,
    pub leader_epoch: Option<i32>,
    pub clock: PartitionProgress,
}

impl Beginning {
    /// Where it begins, in a topic.
    pub fn mark(&self, topic: &str) -> commit::OffsetMark {
        commit::OffsetMark { topic: topic.to_owned(), partition: self.partition, offset: self.start_offset }
    }
}

impl Partitions {
    /// With what is to be read. `run_began_ms` makes it a bounded run, which ends where the
    /// partitions stand now.
    pub fn new(
        facts: &TopicFacts,
        beginnings: &[Beginning],
        idle_timeout_ms: u64,
        run_began_ms: Option<i64>,
    ) -> (Self, Vec<Assignment>) {
        let by_number = BTreeMap::new();
        let (topic, topic_id) = (facts.topic.clone(), facts.id.clone());
        let mut partitions = Self { by_number, topic, topic_id, idle_timeout_ms, run_began_ms };
        let assignments = partitions.take_on(facts, beginnings);
        (partitions, assignments)
    }

    /// Begins partitions at these places, be they new or known; gives what is to be read.
    pub fn take_on(&mut self, facts: &TopicFacts, beginnings: &[Beginning]) -> Vec<Assignment> {
        if self.is_other_topic(facts) {
            self.by_number.clear();
            self.topic_id.clone_from(&facts.id);
        }
        let mut assignments = Vec::new();
        for begin in beginnings {
            let Some(now) = facts.partitions.iter().find(|now| now.partition == begin.partition) else {
                continue;
            };
            let known = self.by_number.get(&begin.partition);
            let partition = Partition::begin(begin, now, known.map(|known| known.stable_at_start));
            assignments.push(Assignment {
                partition: begin.partition,
                start_offset: begin.start_offset,
                end_offset: self.run_began_ms.map(|_| partition.stable_at_start),
                leader_epoch: begin.leader_epoch,
            });
            self.by_number.insert(begin.partition, partition);
        }
        assignments
    }

    /// Whether these are the facts of another topic of the same name.
    pub fn is_other_topic(&self, facts: &TopicFacts) -> bool {
        positions::is_other(self.topic_id.as_deref(), facts)
    }

    /// Whether another topic reaches as far as the job stands in any partition.
    pub fn may_have_read(&self, facts: &TopicFacts) -> bool {
        facts.partitions.iter().any(|now| {
            let next_offset = self.by_number.get(&now.partition).map_or(0, |known| known.next_offset);
            next_offset > 0 && next_offset <= now.high_watermark
        })
    }

    /// The broker's id of the topic, where it tells one.
    pub fn topic_id(&self) -> Option<&str> {
        self.topic_id.as_deref()
    }

    /// Has every partition's silence counted from now on: before, nobody could be heard.
    pub fn break_silence(&mut self) {
        self.by_number.values_mut().for_each(|partition| partition.at_end_for_ms = 0);
    }

    /// Notes what a worker saw up to a cut. `since_last_cut_ms` counts as silence only
    /// where `held_back` is false: a worker that waited for a commit heard nothing.
    pub fn note(&mut self, report: &CutReport, now_ms: i64, since_last_cut_ms: u64, held_back: bool) {
        for position in &report.positions {
            let Some(partition) = self.by_number.get_mut(&position.partition) else { continue };
            partition.note_position(position, now_ms, if held_back { 0 } else { since_last_cut_ms });
            if let Some(&event_ms) = report.partial.greatest_ms.get(&position.partition) {
                partition.clock.accepted(event_ms);
            }
            partition.clock.update_idle(&partition.facts(), self.idle_timeout_ms);
        }
    }

    /// The job's clock, milliseconds of event time.
    pub fn clock_ms(&self) -> Option<i64> {
        watermark::job_clock(self.by_number.values().map(|partition| self.standing(partition)))
    }

    /// What each partition is to the job's clock.
    pub fn standings(&self) -> BTreeMap<i32, Standing> {
        self.by_number.iter().map(|(&number, partition)| (number, self.standing(partition))).collect()
    }

    fn standing(&self, partition: &Partition) -> Standing {
        match self.run_began_ms {
            Some(run_began_ms) => {
                partition.clock.standing_bounded(&partition.bounded_facts(run_began_ms), self.idle_timeout_ms)
            }
            None => partition.standing(),
        }
    }

    /// Whether nothing comes from anywhere, where something has come before: every partition is
    /// left out, and a job that goes on has heard each of them say so for the timeout, since its
    /// start and since its brokers were last away.
    pub fn are_all_idle(&self) -> bool {
        let is_heard =
            |of: &Partition| self.run_began_ms.is_some() || of.at_end_for_ms >= self.idle_timeout_ms;
        let is_idle = |of: &Partition| self.standing(of) == Standing::LeftOut && is_heard(of);
        self.by_number.values().all(is_idle) && self.greatest_event_ms().is_some()
    }

    /// How far the partitions are apart in event time, of those that count.
    pub fn drift_ms(&self) -> u64 {
        let least_ms = self.clock_ms();
        let apart_ms = self.greatest_event_ms().zip(least_ms).map(|(most, least)| most.saturating_sub(least));
        apart_ms.unwrap_or_default().max(0).unsigned_abs()
    }

    /// The greatest event time that was accepted from any partition.
    pub fn greatest_event_ms(&self) -> Option<i64> {
        self.by_number.values().filter_map(|partition| partition.clock.max_event_ms).max()
    }

    /// Next offsets, for the group's lag monitors.
    pub fn next_offsets(&self) -> Vec<(i32, i64)> {
        self.by_number.iter().map(|(&number, partition)| (number, partition.next_offset)).collect()
    }

    /// Where the next cut goes on from.
    pub fn marks(&self) -> Vec<commit::OffsetMark> {
        let mark = |(&partition, of): (&i32, &Partition)| commit::OffsetMark {
            topic: self.topic.clone(),
            partition,
            offset: of.next_offset,
        };
        self.by_number.iter().map(mark).collect()
    }

    /// How many offsets a bounded run has to read.
    pub fn to_read(&self) -> Option<u64> {
        self.run_began_ms?;
        let of_one = |of: &Partition| of.stable_at_start.saturating_sub(of.next_offset).max(0).unsigned_abs();
        Some(self.by_number.values().map(of_one).sum())
    }

    /// How far each partition has come since the last commit.
    pub fn steps(&self) -> Vec<PartitionStep> {
        let is_bounded = self.run_began_ms.is_some();
        let step = |(&partition, of): (&i32, &Partition)| PartitionStep {
            partition,
            from_offset: of.committed_offset,
            next_offset: of.next_offset,
            end_offset: if is_bounded { of.stable_at_start } else { of.high_watermark.max(of.next_offset) },
        };
        self.by_number.iter().map(step).collect()
    }

    /// Has the steps counted from here.
    pub fn note_commit(&mut self) {
        self.by_number.values_mut().for_each(|partition| partition.committed_offset = partition.next_offset);
    }

    /// For the checkpoint.
    pub fn progress(&self) -> Vec<commit::PartitionProgress> {
        let progress = |(&number, partition): (&i32, &Partition)| commit::PartitionProgress {
            topic: self.topic.clone(),
            partition: number,
            topic_id: self.topic_id.clone(),
            leader_epoch: partition.leader_epoch,
            next_offset: partition.next_offset,
            log_start_offset: Some(partition.log_start),
            stable_offset: Some(partition.stable_at_start.max(partition.next_offset)),
            clock: commit::PartitionClock {
                max_event_ms: partition.clock.max_event_ms,
                idle: partition.clock.idle,
                last_gave_ms: partition.clock.last_gave_ms,
            },
        };
        self.by_number.iter().map(progress).collect()
    }
}

impl Partition {
    /// `end_before` is where a bounded run was to end before it began again.
    fn begin(begin: &Beginning, now: &kafka::PartitionFacts, end_before: Option<i64>) -> Self {
        let end = end_before.map_or(now.last_stable, |before| before.min(now.last_stable));
        Self {
            clock: begin.clock,
            next_offset: begin.start_offset,
            committed_offset: begin.start_offset,
            leader_epoch: begin.leader_epoch,
            log_start: now.log_start,
            stable_at_start: end.max(begin.start_offset),
            high_watermark: now.high_watermark,
            at_log_end: false,
            at_end_for_ms: 0,
            gave_in_this_run: false,
        }
    }

    fn note_position(&mut self, position: &Position, now_ms: i64, silent_ms: u64) {
        let gave = position.next_offset > self.next_offset;
        if gave {
            self.clock.gave(now_ms);
            self.gave_in_this_run = true;
        }
        let still_at_end = self.at_log_end && !gave;
        self.at_log_end = position.is_at_log_end();
        self.at_end_for_ms = if still_at_end && self.at_log_end { self.at_end_for_ms + silent_ms } else { 0 };
        self.next_offset = position.next_offset;
        self.leader_epoch = position.leader_epoch.or(self.leader_epoch);
        self.high_watermark = position.high_watermark.unwrap_or(self.high_watermark).max(self.high_watermark);
    }

    fn facts(&self) -> PartitionFacts {
        PartitionFacts {
            position: self.next_offset,
            log_start: self.log_start,
            last_stable_offset: if self.at_log_end { self.next_offset } else { self.high_watermark },
            high_watermark: self.high_watermark,
            at_end_for_ms: self.at_end_for_ms,
        }
    }

    fn standing(&self) -> Standing {
        self.clock.standing(&self.facts())
    }

    fn bounded_facts(&self, run_began_ms: i64) -> BoundedFacts {
        BoundedFacts {
            position: self.next_offset,
            end: self.stable_at_start,
            gave_in_this_run: self.gave_in_this_run,
            run_began_ms,
        }
    }
}
