//! A job that goes on where another engine's stopped: its first commit says what that one has read and written, and
//! has the windows that it held open, made again from the topic. Nothing of this knows which engine that was.

use std::collections::BTreeMap;
use std::ops::Range;

use anyhow::{bail, ensure};
use chrono::DateTime;
use speed_layer_core::choice::Choice;
use speed_layer_core::commit::OffsetMark;
use speed_layer_core::watermark::{PartitionProgress as Clock, close_through};
use speed_layer_kafka::{ANSWER_TIMEOUT, Broker, Connection, TopicFacts};
use speed_layer_store::layer::FileLayer;
use tracing::info;

use super::{Planned, Taken};
use crate::config::{AggregateSpec, JobSpec};
use crate::job::JobHandle;
use crate::job::commit::{Commits, EpochCommit, clock_bounds};
use crate::job::now_ms;
use crate::job::open_windows::OpenWindows;
use crate::job::partitions::{Beginning, Partitions};
use crate::job::positions::Beginnings;
use crate::job::replay::{Judge, KafkaTopic, Refold, Refused, Stretch, read};
use crate::stages::{AggregateClock, EpochContext};

/// How often it is told how far the topic is read again.
const TOLD_EVERY_RECORDS: u64 = 1 << 20;

/// Where the other engine's job stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standpoint {
    pub topic: String,
    /// Of each partition what it has read: from its first offset to the one that comes next.
    pub read: BTreeMap<i32, Range<i64>>,
    /// Windows that end at or before this are written, milliseconds since 1970 UTC.
    pub closed_through_ms: Option<i64>,
    pub watermark_ms: Option<i64>,
    /// Records before this time are known to have no row of an open window.
    pub rebuild_from_ms: Option<i64>,
}

/// What was taken over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Adopted {
    pub epoch: u64,
    /// That were read again.
    pub records: u64,
    /// Open groups, by aggregate.
    pub groups: Vec<(String, usize)>,
    /// Where the job goes on, by partition.
    pub next_offsets: Vec<(i32, i64)>,
    /// That the watermark had closed and the other engine had not written.
    pub windows: u64,
    pub files: usize,
}

/// Makes the first commit of a job, from where another engine's stands.
///
/// # Errors
/// The job has a checkpoint already, the topic is another one or has lost what is needed, or a plugin failed:
/// nothing has changed then.
pub fn adopt(spec: &JobSpec, from: &Standpoint, stop: &JobHandle) -> anyhow::Result<Adopted> {
    let planned = Planned::of(spec, super::store(spec)?)?;
    if let Some(seen) = &planned.seen {
        bail!(
            "job {} has a checkpoint of its own already, of epoch {}; give the new job another name, or another folder for \
             its checkpoints",
            spec.name,
            seen.manifest.epoch
        );
    }
    ensure!(
        spec.source.topic == from.topic,
        "the other job reads the topic {}, and the new one is to read {}; give it the same one",
        from.topic,
        spec.source.topic
    );
    let connection = Connection::new(&spec.source.brokers, spec.source.properties.clone())?;
    let broker = Broker::new(&connection, ANSWER_TIMEOUT)?;
    let facts = broker.topic_facts(&spec.source.topic)?;
    let stretch = from.stretch(spec, &broker, &facts)?;
    stretch.check(&facts)?;
    let sender = planned.sender()?;
    let taken = planned.take(sender)?;
    taken.adopt(from, &facts, &stretch, stop)
}

impl<L: FileLayer + Send + 'static> Taken<'_, L> {
    fn adopt(
        self,
        standpoint: &Standpoint,
        facts: &TopicFacts,
        stretch: &Stretch,
        stop: &JobHandle,
    ) -> anyhow::Result<Adopted> {
        let spec = self.spec;
        let clock = AggregateClock::published(standpoint.closed_through_ms);
        let clocks = vec![clock; spec.aggregates.len()];
        let number = self.committer.epoch().0;
        let epoch = EpochContext { epoch: number, epoch_began_ms: now_ms(), aggregates: clocks.clone() };
        let (open, records) = self.rebuilt(&epoch, stretch, stop)?;
        let beginnings = standpoint.beginnings(spec, facts);
        let next_offsets = beginnings.iter().map(|of| (of.partition, of.start_offset)).collect();
        let idle_timeout_ms = spec.clock.idle_timeout_ms.unsigned_abs();
        let (partitions, _) = Partitions::new(facts, &beginnings, idle_timeout_ms, None);
        let from: Vec<_> = beginnings.iter().map(|of| mark(of, stretch)).collect();
        let mut commits = Commits::anew(spec, &self.plan, open, &from, self.committer);
        let now = standpoint.closed_now(spec);
        let folded = commits.fold(&epoch, Vec::new(), &now)?;
        let done = commits.seal(&epoch, folded, &now, &partitions)?;
        let groups = commits.aggregates.iter().map(|of| (of.spec.name.clone(), of.open.len())).collect();
        commits.close()?;
        Ok(Adopted { epoch: number, records, groups, next_offsets, windows: done.windows, files: done.files })
    }

    /// The windows that are open, with all of their rows.
    fn rebuilt(
        &self,
        epoch: &EpochContext,
        stretch: &Stretch,
        stop: &JobHandle,
    ) -> anyhow::Result<(Vec<OpenWindows>, u64)> {
        let spec = self.spec;
        let judge = Judge {
            bounds: clock_bounds(&spec.clock)?,
            skew_ms: spec.clock.max_future_skew_ms,
            refused: Refused::default(),
        };
        let choices = vec![Choice::Open; spec.aggregates.len()];
        let mut refold = Refold::open(&self.plan, epoch.clone(), judge, choices)?;
        refold.leave_poison_out();
        let topic = KafkaTopic::of(&spec.source, &spec.name, self.plan.parse.reads.headers)?;
        let (mut seen, mut told) = (0, 0);
        let records = read(&topic, stretch, &mut |records| {
            ensure!(!stop.is_asked(), "asked to stop: the job was not taken over");
            seen += records.len() as u64;
            if seen >= told + TOLD_EVERY_RECORDS {
                told = seen;
                info!(records = seen, "read again");
            }
            refold.take(records)
        })?;
        Ok((refold.finish()?, records))
    }
}

/// Where the rows begin that its windows are made of.
fn mark(of: &Beginning, stretch: &Stretch) -> OffsetMark {
    let begin = stretch.ranges.get(&of.partition).map_or(of.start_offset, |range| range.start);
    Beginning { start_offset: begin, ..*of }.mark(&stretch.topic)
}

impl Standpoint {
    /// What has to be read again for the windows that are open.
    fn stretch(&self, spec: &JobSpec, broker: &Broker, facts: &TopicFacts) -> anyhow::Result<Stretch> {
        let at = |ms: i64| {
            let partitions: Vec<i32> = facts.partitions.iter().map(|of| of.partition).collect();
            broker.offsets_at(&self.topic, &partitions, ms)
        };
        let oldest_ms = self.oldest_window_ms(spec);
        let found = self.rebuild_from_ms.or(oldest_ms).map(at).transpose()?;
        let mut ranges = Vec::new();
        for (&partition, read) in &self.read {
            let found = found.as_ref().map(|found| {
                let at = found.iter().find(|(number, _)| *number == partition);
                at.and_then(|(_, offset)| *offset).unwrap_or(read.end)
            });
            let now = facts.partitions.iter().find(|now| now.partition == partition);
            let log_start = now.map_or(0, |now| now.log_start);
            let begin = match found {
                Some(said) if self.rebuild_from_ms.is_some() => {
                    said.clamp(read.start, read.end).max(log_start)
                }
                _ if log_start <= read.start => read.start,
                Some(oldest) if oldest > log_start => log_start,
                _ => bail!(self.taken(partition, log_start, oldest_ms)),
            };
            ranges.push((partition, begin..read.end));
        }
        Ok(Stretch { topic_id: facts.id.clone(), ..Stretch::new(&self.topic, ranges) })
    }

    /// No window that is open begins before this.
    fn oldest_window_ms(&self, spec: &JobSpec) -> Option<i64> {
        let longest_ms = spec.aggregates.iter().map(|of| of.window_ms).max().unwrap_or_default();
        Some(self.closed_through_ms?.saturating_sub_unsigned(longest_ms))
    }

    fn taken(&self, partition: i32, log_start: i64, oldest_ms: Option<i64>) -> String {
        let oldest = oldest_ms.and_then(DateTime::from_timestamp_millis);
        let since = oldest.map_or_else(|| "the first record".to_owned(), |time| time.to_rfc3339());
        format!(
            "partition {partition} of the topic {} begins at offset {log_start}, and windows that are open may have rows since \
             {since}: retention has taken records that may belong to them. If you know that none does, say with \
             --rebuild-from from which time of the records on they begin",
            self.topic
        )
    }

    /// Where the watermark of the aggregate with the least delay is the other engine's: none closes a window earlier than
    /// that one would have.
    fn clock_ms(&self, spec: &JobSpec) -> Option<i64> {
        let delay_ms = spec.aggregates.iter().map(|of| of.watermark_ms).min().unwrap_or_default();
        Some(self.watermark_ms?.saturating_add_unsigned(delay_ms))
    }

    /// Up to where each aggregate is closed with the first commit.
    fn closed_now(&self, spec: &JobSpec) -> Vec<AggregateClock> {
        let clock_ms = self.clock_ms(spec);
        let closed = |of: &AggregateSpec| {
            AggregateClock::published(close_through(self.closed_through_ms, clock_ms, of.watermark_ms))
        };
        spec.aggregates.iter().map(closed).collect()
    }

    /// Where each partition goes on.
    fn beginnings(&self, spec: &JobSpec, facts: &TopicFacts) -> Vec<Beginning> {
        let max_event_ms = self.clock_ms(spec);
        let begin = |mut begin: Beginning| {
            if let Some(read) = self.read.get(&begin.partition) {
                begin.start_offset = read.end;
                begin.clock = Clock { max_event_ms, ..Clock::default() };
            }
            begin
        };
        Beginnings::at_log_start(facts).partitions.into_iter().map(begin).collect()
    }
}
