//! When a poll is due: tick k at start + k intervals, however long the polls take. Ticks
//! that have gone by are left out, never made up for. It reads no clock itself.

use std::time::{Duration, Instant};

#[derive(Debug, Clone, Copy)]
pub struct Schedule {
    pub start: Instant,
    /// More than zero.
    pub interval: Duration,
}

impl Schedule {
    /// When a tick is due.
    pub fn due(&self, tick: u64) -> Instant {
        let nanos = self.interval.as_nanos().saturating_mul(u128::from(tick));
        self.start + Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }

    /// The first tick after `tick` that is not over at `now`.
    pub fn next_after(&self, tick: u64, now: Instant) -> u64 {
        let gone = now.saturating_duration_since(self.start).as_nanos().div_ceil(self.interval.as_nanos());
        u64::try_from(gone).unwrap_or(u64::MAX).max(tick + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_tick_is_the_first_that_is_not_over() {
        let start = Instant::now();
        let schedule = Schedule { start, interval: Duration::from_millis(1_000) };
        for (tick, now_ms, expected) in [
            (0, 0, 1),
            (0, 10, 1),
            (0, 999, 1),
            (0, 1_000, 1),
            (0, 1_001, 2),
            (0, 4_200, 5),
            (7, 4_200, 8),
            (5, 6_000, 6),
            (5, 3_600_000_000, 3_600_000),
        ] {
            let now = start + Duration::from_millis(now_ms);
            assert_eq!(schedule.next_after(tick, now), expected, "{tick} at {now_ms} ms");
        }
    }

    #[test]
    fn a_tick_is_due_by_its_number_so_that_nothing_adds_up() {
        let start = Instant::now();
        let schedule = Schedule { start, interval: Duration::from_nanos(333_333_333) };
        assert_eq!(schedule.due(0), start);
        assert_eq!(schedule.due(3_000_000_000) - start, Duration::from_nanos(999_999_999_000_000_000));
        let mut tick = 0;
        for _ in 0..1_000 {
            let answered = schedule.due(tick) + Duration::from_millis(300);
            tick = schedule.next_after(tick, answered);
        }
        assert_eq!(tick, 1_000);
    }
}
