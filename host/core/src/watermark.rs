//! The watermark: how far event time has come in each partition, which partitions
//! hold the job's clock back, and up to where an aggregate's windows are closed.
//! It reads no clock and no broker: the facts are handed in.

use crate::time::WindowSpec;

/// What a job knows about one partition; stored in every commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PartitionProgress {
    /// The greatest event time of an accepted row; `None` before the first one.
    pub max_event_ms: Option<i64>,
    /// Left out of the clock until it gives something again (streaming runs).
    pub idle: bool,
    /// Wall clock at which it last gave a record, accepted or not.
    pub last_gave_ms: Option<i64>,
}

/// What the source says about one partition at a trigger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PartitionFacts {
    /// The next offset to read, past control records and gaps.
    pub position: i64,
    /// The first offset that the log still has.
    pub log_start: i64,
    /// Up to where committed records can be read.
    pub last_stable_offset: i64,
    /// The end of the log, with open transactions.
    pub high_watermark: i64,
    /// How long it has been at the end of its log; time in which it was paused, held
    /// back or being assigned is not in it. 0 while it is not at the end.
    pub at_end_for_ms: u64,
}

/// How one partition of a bounded run stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BoundedFacts {
    /// The next offset to read, past control records and gaps.
    pub position: i64,
    /// Where the run ends: the last stable offset when it began.
    pub end: i64,
    /// Whether it gave a record in this run.
    pub gave_in_this_run: bool,
    /// Wall clock at which the run began.
    pub run_began_ms: i64,
}

/// What a partition is to the job's clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Not counted: idle, or empty.
    LeftOut,
    /// Counts, and has shown no time yet: the clock cannot move.
    Unknown,
    /// Counts with its greatest event time.
    At(i64),
}

impl PartitionProgress {
    /// Notes that the partition gave records at `now_ms`; it is not idle any more.
    pub fn gave(&mut self, now_ms: i64) {
        self.idle = false;
        self.last_gave_ms = Some(self.last_gave_ms.map_or(now_ms, |last_ms| last_ms.max(now_ms)));
    }

    /// Notes the event time of an accepted row.
    pub fn accepted(&mut self, event_ms: i64) {
        self.max_event_ms = Some(self.max_event_ms.map_or(event_ms, |max_ms| max_ms.max(event_ms)));
    }

    /// Adds what a worker saw of the same partition.
    pub fn merge(&mut self, other: &Self) {
        if let Some(event_ms) = other.max_event_ms {
            self.accepted(event_ms);
        }
        if let Some(gave_ms) = other.last_gave_ms {
            self.gave(gave_ms);
        }
    }

    /// Sets the idle flag: on after `idle_timeout_ms` at the end of the log, off once
    /// there is something to read, otherwise as it was.
    pub fn update_idle(&mut self, facts: &PartitionFacts, idle_timeout_ms: u64) {
        self.idle = facts.at_end() && (self.idle || facts.at_end_for_ms >= idle_timeout_ms);
    }

    /// Its standing in a streaming run. Call [`Self::update_idle`] before.
    pub fn standing(&self, facts: &PartitionFacts) -> Standing {
        match self.max_event_ms {
            _ if self.idle => Standing::LeftOut,
            Some(event_ms) => Standing::At(event_ms),
            None if facts.log_is_empty() => Standing::LeftOut,
            None => Standing::Unknown,
        }
    }

    /// Its standing in a bounded run.
    pub fn standing_bounded(&self, facts: &BoundedFacts, idle_timeout_ms: u64) -> Standing {
        let at_end = facts.position >= facts.end;
        match self.max_event_ms {
            None if at_end => Standing::LeftOut,
            None => Standing::Unknown,
            Some(_) if at_end && self.was_quiet(facts, idle_timeout_ms) => Standing::LeftOut,
            Some(event_ms) => Standing::At(event_ms),
        }
    }

    /// Nothing in this run, and nothing for the timeout before it.
    fn was_quiet(&self, facts: &BoundedFacts, idle_timeout_ms: u64) -> bool {
        let quiet_for_ms = |last_ms: i64| facts.run_began_ms.saturating_sub(last_ms).max(0).unsigned_abs();
        !facts.gave_in_this_run
            && self.last_gave_ms.is_none_or(|last_ms| quiet_for_ms(last_ms) >= idle_timeout_ms)
    }
}

impl PartitionFacts {
    /// Everything is read, and no open transaction hides the rest.
    pub fn at_end(&self) -> bool {
        self.position >= self.last_stable_offset && self.last_stable_offset >= self.high_watermark
    }

    /// There is no record in the log.
    pub fn log_is_empty(&self) -> bool {
        self.log_start >= self.high_watermark
    }
}

/// The least event time of the partitions that count. `None` when one of them has
/// shown none yet, or when none counts: the clock then stays where it is.
pub fn job_clock(standings: impl IntoIterator<Item = Standing>) -> Option<i64> {
    let mut clock_ms = None;
    for standing in standings {
        match standing {
            Standing::LeftOut => {}
            Standing::Unknown => return None,
            Standing::At(event_ms) => {
                clock_ms = Some(clock_ms.map_or(event_ms, |least_ms: i64| least_ms.min(event_ms)));
            }
        }
    }
    clock_ms
}

/// Up to where an aggregate's windows are closed: the clock less its delay, and
/// never before `closed_through_ms`.
pub fn close_through(closed_through_ms: Option<i64>, clock_ms: Option<i64>, delay_ms: u64) -> Option<i64> {
    let watermark_ms = clock_ms.map(|clock_ms| clock_ms.saturating_sub_unsigned(delay_ms));
    watermark_ms.max(closed_through_ms)
}

/// Up to where an aggregate's windows are closed at a trigger at which no partition has
/// anything more to give: by the wall clock, less its delay and the timeout. `None` where
/// that closes no window that `closed_through_ms` leaves open.
pub fn close_idle(
    closed_through_ms: Option<i64>,
    trigger_ms: i64,
    delay_ms: u64,
    idle_timeout_ms: u64,
    window: WindowSpec,
) -> Option<i64> {
    let idle_ms = trigger_ms.saturating_sub_unsigned(delay_ms).saturating_sub_unsigned(idle_timeout_ms);
    let last_end_us = |ms: i64| window.start_of(ms.saturating_mul(1_000));
    let closes_more = closed_through_ms.is_none_or(|closed_ms| last_end_us(idle_ms) > last_end_us(closed_ms));
    closes_more.then_some(idle_ms)
}

/// Whether the window that ends at `end_us` is closed.
pub fn is_closed(end_us: i64, closed_through_us: Option<i64>) -> bool {
    closed_through_us.is_some_and(|closed_us| end_us <= closed_us)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMEOUT_MS: u64 = 30_000;
    const RUN_BEGAN_MS: i64 = 1_000_000;

    fn seen(max_event_ms: i64) -> PartitionProgress {
        PartitionProgress { max_event_ms: Some(max_event_ms), ..Default::default() }
    }

    /// A log of ten records, read up to `position`.
    fn at(position: i64, at_end_for_ms: u64) -> PartitionFacts {
        PartitionFacts { position, log_start: 0, last_stable_offset: 10, high_watermark: 10, at_end_for_ms }
    }

    fn empty_log() -> PartitionFacts {
        PartitionFacts { log_start: 10, ..at(10, 0) }
    }

    fn hung_transaction() -> PartitionFacts {
        PartitionFacts { high_watermark: 12, ..at(10, TIMEOUT_MS * 10) }
    }

    #[test]
    fn a_streaming_clock_is_the_least_of_the_partitions_that_count() {
        let none = PartitionProgress::default();
        let idle = |progress| PartitionProgress { idle: true, ..progress };
        let check = |case: &str, partitions: &[(PartitionProgress, PartitionFacts)], clock_ms| {
            let standings = partitions.iter().map(|(progress, facts)| {
                let mut progress = *progress;
                progress.update_idle(facts, TIMEOUT_MS);
                progress.standing(facts)
            });
            assert_eq!(job_clock(standings), clock_ms, "{case}");
        };
        check("no partition", &[], None);
        check("the least", &[(seen(7), at(5, 0)), (seen(5), at(5, 0))], Some(5));
        check("unread partition", &[(seen(7), at(5, 0)), (none, at(0, 0))], None);
        check("only rejects so far", &[(seen(7), at(5, 0)), (none, at(5, 0))], None);
        check("two symbols in one partition", &[(seen(7), at(5, 0)), (none, empty_log())], Some(7));
        check("all deleted by retention", &[(seen(7), at(5, 0)), (none, empty_log())], Some(7));
        check("rejects alone, then idle", &[(seen(7), at(5, 0)), (none, at(10, TIMEOUT_MS))], Some(7));
        check("idle at the timeout", &[(seen(7), at(5, 0)), (seen(5), at(10, TIMEOUT_MS))], Some(7));
        check("not yet idle", &[(seen(7), at(5, 0)), (seen(5), at(10, TIMEOUT_MS - 1))], Some(5));
        check("stays idle", &[(seen(7), at(5, 0)), (idle(seen(5)), at(10, 0))], Some(7));
        check("idle no more", &[(seen(7), at(5, 0)), (idle(seen(5)), at(9, 0))], Some(5));
        check("hung transaction", &[(seen(7), at(5, 0)), (seen(5), hung_transaction())], Some(5));
        check("all idle", &[(seen(7), at(10, TIMEOUT_MS)), (idle(seen(5)), at(10, 0))], None);
        check("all empty", &[(none, empty_log()), (none, empty_log())], None);
    }

    #[test]
    fn a_bounded_clock_leaves_out_what_was_quiet_before_it() {
        let none = PartitionProgress::default();
        let gave = |max_event_ms, before_ms: i64| PartitionProgress {
            last_gave_ms: Some(RUN_BEGAN_MS - before_ms),
            ..seen(max_event_ms)
        };
        let facts = |position, gave_in_this_run| BoundedFacts {
            position,
            end: 10,
            gave_in_this_run,
            run_began_ms: RUN_BEGAN_MS,
        };
        let timeout_ms = TIMEOUT_MS as i64;
        let check = |case: &str, partitions: &[(PartitionProgress, BoundedFacts)], clock_ms| {
            let standings =
                partitions.iter().map(|(progress, facts)| progress.standing_bounded(facts, TIMEOUT_MS));
            assert_eq!(job_clock(standings), clock_ms, "{case}");
        };
        let fast = (gave(7, 0), facts(10, true));
        check("the least", &[fast, (gave(5, 0), facts(10, true))], Some(5));
        check("never a row, at its end", &[fast, (none, facts(10, true))], Some(7));
        check("never a row, still reading", &[fast, (none, facts(9, true))], None);
        check("quiet for the timeout", &[fast, (gave(5, timeout_ms), facts(10, false))], Some(7));
        check("quiet for less", &[fast, (gave(5, timeout_ms - 1), facts(10, false))], Some(5));
        check("quiet, then gave", &[fast, (gave(5, timeout_ms), facts(10, true))], Some(5));
        check("quiet, not read yet", &[fast, (gave(5, timeout_ms), facts(9, false))], Some(5));
        check("clock set back", &[fast, (gave(5, -timeout_ms), facts(10, false))], Some(5));
        check("no stored time", &[fast, (seen(5), facts(10, false))], Some(7));
        check("all quiet", &[(gave(5, timeout_ms), facts(10, false))], None);
    }

    #[test]
    fn what_is_closed_stays_closed() {
        let check = |closed, clock, delay_ms, expected| {
            assert_eq!(close_through(closed, clock, delay_ms), expected);
        };
        check(None, None, 5, None);
        check(None, Some(20), 5, Some(15));
        check(Some(10), Some(20), 5, Some(15));
        check(Some(18), Some(20), 5, Some(18));
        check(Some(18), None, 5, Some(18));
        check(None, Some(i64::MIN), u64::MAX, Some(i64::MIN));
        assert!(!is_closed(i64::MIN, None));
        assert!(is_closed(15, Some(15)) && !is_closed(16, Some(15)));
    }

    #[test]
    fn an_idle_job_closes_a_window_once_the_wall_clock_has_passed_it_by_delay_and_timeout() {
        let window = WindowSpec::new("1h".parse().unwrap()).unwrap();
        const HOUR_MS: i64 = 3_600_000;
        let check = |closed, trigger_ms, expected| {
            assert_eq!(close_idle(closed, trigger_ms, 60_000, TIMEOUT_MS, window), expected, "{trigger_ms}");
        };
        check(None, 2 * HOUR_MS, Some(2 * HOUR_MS - 90_000));
        check(Some(HOUR_MS), 2 * HOUR_MS + 89_999, None);
        check(Some(HOUR_MS), 2 * HOUR_MS + 90_000, Some(2 * HOUR_MS));
        check(Some(2 * HOUR_MS), 3 * HOUR_MS, None);
        check(Some(9 * HOUR_MS), 3 * HOUR_MS, None);
        check(Some(HOUR_MS - 1), HOUR_MS + 90_000, Some(HOUR_MS));
        check(None, i64::MIN, Some(i64::MIN));
    }

    #[test]
    fn progress_only_grows() {
        let mut progress = PartitionProgress { idle: true, ..seen(5) };
        progress.accepted(3);
        progress.gave(100);
        progress.gave(90);
        assert_eq!(
            progress,
            PartitionProgress { max_event_ms: Some(5), idle: false, last_gave_ms: Some(100) }
        );
        progress.merge(&PartitionProgress { last_gave_ms: Some(120), ..seen(9) });
        assert_eq!((progress.max_event_ms, progress.last_gave_ms), (Some(9), Some(120)));
    }
}
