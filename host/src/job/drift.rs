//! The partitions' event times as their workers see them, shared, so that who is too far
//! ahead of the slowest one stops reading, and goes on when it has come up. What "too far"
//! means is the core's to say; here are the clock, the lock and the feeds.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use speed_layer_core::drift::{Lane, slowest_ms};
use speed_layer_kafka::Position;

use super::feed::RecordFeed;
use super::partitions::Beginning;
use crate::config::ClockSpec;

#[derive(Debug)]
pub struct Drift {
    max_drift_ms: u64,
    patience_ms: u64,
    lanes: Mutex<BTreeMap<i32, Known>>,
}

#[derive(Debug)]
struct Known {
    max_event_ms: Option<i64>,
    at_end: bool,
    /// When its event time advanced, or it could be read again.
    since: Instant,
    waits: bool,
}

/// What a worker does with its partitions.
#[derive(Debug, Default, PartialEq, Eq)]
struct Turns {
    pause: Vec<i32>,
    resume: Vec<i32>,
}

impl Drift {
    /// `None` where the settings set no limit. A partition that does not come on for the idle
    /// timeout is not waited for.
    pub fn of(clock: &ClockSpec, beginnings: &[Beginning]) -> Option<Self> {
        let lanes = beginnings.iter().map(|begin| (begin.partition, Known::at(begin.clock.max_event_ms)));
        Some(Self {
            max_drift_ms: clock.max_drift_ms?,
            patience_ms: clock.idle_timeout_ms.unsigned_abs(),
            lanes: Mutex::new(lanes.collect()),
        })
    }

    /// A partition is read from another place, or for the first time.
    pub fn begin(&self, partition: i32) {
        let mut lanes = self.lanes();
        let max_event_ms = lanes.get(&partition).and_then(|known| known.max_event_ms);
        lanes.insert(partition, Known::at(max_event_ms));
    }

    /// A partition gives nothing any more.
    pub fn leave(&self, partition: i32) {
        self.lanes().remove(&partition);
    }

    /// Time in which their worker stood still is not held against partitions.
    pub fn go_on(&self, partitions: impl Iterator<Item = i32>) {
        let mut lanes = self.lanes();
        for partition in partitions {
            if let Some(known) = lanes.get_mut(&partition) {
                known.since = Instant::now();
            }
        }
    }

    /// Notes how far a worker's partitions are, and has its feed stop or go on with them.
    ///
    /// # Errors
    /// The client is shutting down.
    pub fn align(&self, feed: &mut impl RecordFeed, greatest_ms: &BTreeMap<i32, i64>) -> anyhow::Result<()> {
        let turns = self.note(&feed.positions(), greatest_ms);
        if !turns.pause.is_empty() {
            feed.pause(&turns.pause)?;
        }
        if !turns.resume.is_empty() {
            feed.resume(&turns.resume)?;
        }
        Ok(())
    }

    fn note(&self, positions: &[Position], greatest_ms: &BTreeMap<i32, i64>) -> Turns {
        let mut lanes = self.lanes();
        let mut advanced = Vec::new();
        for position in positions {
            let Some(known) = lanes.get_mut(&position.partition) else { continue };
            known.at_end = position.at_end;
            let event_ms = greatest_ms.get(&position.partition).copied();
            if event_ms > known.max_event_ms {
                known.max_event_ms = event_ms;
                known.since = Instant::now();
                advanced.push(position.partition);
            }
        }
        let slowest_ms = slowest_ms(&lanes.values().map(Known::lane).collect::<Vec<_>>(), self.patience_ms);
        let mut turns = Turns::default();
        for position in positions {
            let Some(known) = lanes.get_mut(&position.partition) else { continue };
            let is_to_wait = known.lane().is_to_wait(slowest_ms, self.max_drift_ms);
            // One that has just given something may give more, at its end or not.
            let has_more = !known.at_end || advanced.contains(&position.partition);
            if is_to_wait && !known.waits && has_more {
                turns.pause.push(position.partition);
                known.waits = true;
            } else if known.waits && !is_to_wait {
                turns.resume.push(position.partition);
                (known.waits, known.since) = (false, Instant::now());
            }
        }
        turns
    }

    fn lanes(&self) -> MutexGuard<'_, BTreeMap<i32, Known>> {
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn at(max_event_ms: Option<i64>) -> Self {
        Self { max_event_ms, at_end: false, since: Instant::now(), waits: false }
    }

    fn lane(&self) -> Lane {
        let stuck_ms = self.since.elapsed().as_millis() as u64;
        Lane { max_event_ms: self.max_event_ms, at_end: self.at_end, stuck_ms, waits: self.waits }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use speed_layer_core::watermark::PartitionProgress;

    const HOUR_MS: i64 = 3_600_000;

    fn drift(patience_ms: i64, stored_ms: [Option<i64>; 2]) -> Drift {
        let begin = |(partition, max_event_ms)| Beginning {
            partition,
            start_offset: 0,
            leader_epoch: None,
            clock: PartitionProgress { max_event_ms, ..Default::default() },
        };
        let clock =
            ClockSpec { max_drift_ms: Some(3_600_000), idle_timeout_ms: patience_ms, ..ClockSpec::default() };
        let beginnings: Vec<Beginning> = (0..).zip(stored_ms).map(begin).collect();
        Drift::of(&clock, &beginnings).unwrap()
    }

    /// What the worker of one partition does after a look at it.
    fn look(drift: &Drift, partition: i32, event_ms: Option<i64>, at_end: bool) -> Turns {
        let position =
            Position { partition, next_offset: 0, leader_epoch: None, at_end, high_watermark: Some(9) };
        drift.note(&[position], &event_ms.map(|event_ms| (partition, event_ms)).into_iter().collect())
    }

    fn pauses(partition: i32) -> Turns {
        Turns { pause: vec![partition], ..Turns::default() }
    }

    fn resumes(partition: i32) -> Turns {
        Turns { resume: vec![partition], ..Turns::default() }
    }

    #[test]
    fn a_partition_waits_for_one_that_is_an_hour_behind_until_that_has_come_up_or_ended() {
        let drift = drift(30_000, [None, None]);
        assert_eq!(look(&drift, 0, Some(5 * HOUR_MS), false), Turns::default(), "the other has no time yet");
        assert_eq!(look(&drift, 1, Some(HOUR_MS), false), Turns::default());
        assert_eq!(look(&drift, 0, None, false), pauses(0));
        assert_eq!(look(&drift, 0, None, false), Turns::default(), "said once");
        assert_eq!(look(&drift, 1, Some(4 * HOUR_MS), false), Turns::default());
        assert_eq!(look(&drift, 0, None, false), Turns::default(), "half of an hour is to be made up");
        look(&drift, 1, Some(5 * HOUR_MS - HOUR_MS / 2), false);
        assert_eq!(look(&drift, 0, None, false), resumes(0));
        assert_eq!(look(&drift, 0, Some(9 * HOUR_MS), true), pauses(0), "what has just given may give more");
        look(&drift, 1, None, true);
        assert_eq!(look(&drift, 0, None, false), resumes(0), "the other is at its end");
        look(&drift, 1, None, false);
        assert_eq!(look(&drift, 0, None, true), Turns::default(), "nothing more is to be read of it");
    }

    #[test]
    fn nobody_waits_for_one_that_is_stuck_or_gone() {
        let stuck = drift(0, [Some(0), Some(9 * HOUR_MS)]);
        assert_eq!(look(&stuck, 1, None, false), Turns::default());
        let gone = drift(30_000, [Some(0), Some(9 * HOUR_MS)]);
        assert_eq!(look(&gone, 1, None, false), pauses(1), "what the checkpoint says counts");
        gone.leave(0);
        assert_eq!(look(&gone, 1, None, false), resumes(1));
        gone.begin(0);
        assert_eq!(look(&gone, 1, None, false), Turns::default(), "it has shown no time since");
    }
}
