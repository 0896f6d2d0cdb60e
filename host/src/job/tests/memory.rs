//! A topic in memory, and ticks to put into it.

use std::collections::VecDeque;

use speed_layer_core::records::{Records, TimestampKind};
use speed_layer_kafka::{Assignment, PartitionFacts, PollLimits, PollOutcome, Position, TopicFacts};

use crate::job::feed::RecordFeed;

/// One tick, and where it goes.
#[derive(Debug, Clone, PartialEq)]
pub struct Tick {
    pub symbol: String,
    pub event_time_ms: i64,
    pub price: f64,
    /// Before the topic's partitions are counted: taken modulo their number.
    pub partition: i32,
}

impl Tick {
    fn json(&self) -> String {
        let Self { symbol, event_time_ms, price, .. } = self;
        format!(
            r#"{{"symbol":"{symbol}","event_time":{event_time_ms},"price":{price},"open":{price},"high":{price},"low":{price},"volume":1.5,"quote_volume":3.0,"number_trades":2}}"#
        )
    }
}

/// Ticks over `spread_ms`, each up to 30 minutes before its turn, symbols in turn.
pub fn jittered_ticks(seed: u64, count: usize, symbols: usize, spread_ms: i64, start_ms: i64) -> Vec<Tick> {
    let mut random = fastrand::Rng::with_seed(seed);
    let step_ms = spread_ms / count as i64;
    let tick = |i: usize| Tick {
        symbol: format!("S{}", i % symbols),
        event_time_ms: start_ms + i as i64 * step_ms - random.i64(0..1_800_000),
        price: random.i64(1..100_000) as f64 / 100.0,
        partition: random.i32(0..1_000),
    };
    (0..count).map(tick).collect()
}

/// `ticks` cut at the places `stops`.
pub fn split<'a>(ticks: &'a [Tick], stops: &[usize]) -> Vec<&'a [Tick]> {
    let starts = std::iter::once(0).chain(stops.iter().copied());
    let ends = stops.iter().copied().chain(std::iter::once(ticks.len()));
    starts.zip(ends).map(|(start, end)| &ticks[start..end]).collect()
}

/// Values by partition; the offset is the place.
#[derive(Debug, Clone)]
pub struct MemoryTopic {
    partitions: Vec<Vec<Tick>>,
}

impl MemoryTopic {
    pub fn new(partitions: i32) -> Self {
        Self { partitions: vec![Vec::new(); partitions as usize] }
    }

    pub fn append(&mut self, ticks: &[Tick]) {
        let count = self.partitions.len() as i32;
        for tick in ticks {
            self.partitions[(tick.partition % count) as usize].push(tick.clone());
        }
    }

    /// Partition, offset and tick of everything in it.
    pub fn entries(&self) -> impl Iterator<Item = (i32, i64, &Tick)> {
        let numbered = self.partitions.iter().zip(0..);
        numbered.flat_map(|(ticks, partition)| {
            ticks.iter().zip(0..).map(move |(tick, offset)| (partition, offset, tick))
        })
    }

    pub fn facts(&self) -> TopicFacts {
        let one = |(ticks, partition): (&Vec<Tick>, i32)| PartitionFacts {
            partition,
            log_start: 0,
            last_stable: ticks.len() as i64,
            high_watermark: ticks.len() as i64,
            leader_epoch: None,
        };
        let partitions = self.partitions.iter().zip(0..).map(one).collect();
        TopicFacts { topic: "ticks".into(), id: None, partitions }
    }

    /// Deals the assignments to `workers` feeds, as Kafka's source does.
    pub fn feeds(&self, assignments: &[Assignment], workers: usize) -> Vec<MemoryFeed> {
        let workers = workers.clamp(1, assignments.len().max(1));
        (0..workers).map(|worker| self.feed(assignments.iter().skip(worker).step_by(workers))).collect()
    }

    fn feed<'a>(&self, assignments: impl Iterator<Item = &'a Assignment>) -> MemoryFeed {
        let mut feed = MemoryFeed::default();
        for assignment in assignments {
            let ticks = &self.partitions[assignment.partition as usize];
            let end = assignment.end_offset.unwrap();
            let values = ticks.iter().zip(0..end).skip(assignment.start_offset as usize);
            feed.waiting.extend(values.map(|(tick, offset)| (assignment.partition, offset, tick.json())));
            feed.positions.push(Position {
                partition: assignment.partition,
                next_offset: assignment.start_offset,
                leader_epoch: None,
                at_end: assignment.start_offset >= end,
                high_watermark: Some(end),
            });
        }
        feed
    }
}

/// Gives out its partitions one after the other.
#[derive(Debug, Default)]
pub struct MemoryFeed {
    waiting: VecDeque<(i32, i64, String)>,
    positions: Vec<Position>,
    held: Vec<i32>,
}

impl MemoryFeed {
    fn next(&mut self) -> Option<(i32, i64, String)> {
        let place = self.waiting.iter().position(|(partition, ..)| !self.held.contains(partition))?;
        self.waiting.remove(place)
    }
}

impl RecordFeed for MemoryFeed {
    fn poll(&mut self, records: &mut Records, limits: &PollLimits) -> anyhow::Result<PollOutcome> {
        records.clear();
        records.timestamp_kind = TimestampKind::CreateTime;
        while records.len() < limits.rows_max
            && let Some((partition, offset, value)) = self.next()
        {
            records.partitions.push(partition);
            records.offsets.push(offset);
            records.timestamps_ms.push(0);
            records.keys.push(None);
            records.values.push(Some(value.as_bytes()));
            let position =
                self.positions.iter_mut().find(|position| position.partition == partition).unwrap();
            position.next_offset = offset + 1;
            position.at_end = position.high_watermark == Some(offset + 1);
        }
        Ok(PollOutcome { records: records.len(), moved: !records.is_empty() })
    }

    fn positions(&self) -> Vec<Position> {
        self.positions.clone()
    }

    fn pause(&mut self, partitions: &[i32]) -> anyhow::Result<()> {
        self.held.extend(partitions);
        Ok(())
    }

    fn resume(&mut self, partitions: &[i32]) -> anyhow::Result<()> {
        self.held.retain(|held| !partitions.contains(held));
        Ok(())
    }

    fn is_at_end(&self) -> bool {
        self.waiting.is_empty()
    }
}
