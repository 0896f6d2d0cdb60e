//! Which partitions wait for others: those that are further ahead in event time than the
//! settings allow of the slowest one that still has records to read. Waiting changes in what
//! order records are taken in, and with it how many windows are open at once; it changes no
//! result. It reads no clock; nobody waits for a partition that does not come on.

/// What is known of one partition while it is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lane {
    /// The greatest event time that was accepted.
    pub max_event_ms: Option<i64>,
    /// Nothing more is readable now.
    pub at_end: bool,
    /// How long its event time has not advanced although it was read: it gives only rejects,
    /// its broker is away, a transaction is open.
    pub stuck_ms: u64,
    /// It waits for others.
    pub waits: bool,
}

/// The event time of the slowest lane that still has records to read; `None` when nobody is
/// to be waited for. A lane that has shown no time, or is stuck for `patience_ms`, is not.
pub fn slowest_ms<'a>(lanes: impl IntoIterator<Item = &'a Lane>, patience_ms: u64) -> Option<i64> {
    let comes_on = |lane: &&Lane| lane.waits || !lane.at_end && lane.stuck_ms < patience_ms;
    lanes.into_iter().filter(comes_on).filter_map(|lane| lane.max_event_ms).min()
}

impl Lane {
    /// Whether it is to wait while the slowest is at `slowest_ms`. One that waits does so until
    /// half of the way is made up, so that it does not stop and go with every batch.
    pub fn is_to_wait(&self, slowest_ms: Option<i64>, max_drift_ms: u64) -> bool {
        let (Some(event_ms), Some(slowest_ms)) = (self.max_event_ms, slowest_ms) else { return false };
        let ahead_ms = event_ms.saturating_sub(slowest_ms).max(0).unsigned_abs();
        ahead_ms > if self.waits { max_drift_ms / 2 } else { max_drift_ms }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE_MS: u64 = 30_000;
    const DRIFT_MS: u64 = 100;

    fn at(event_ms: i64) -> Lane {
        Lane { max_event_ms: Some(event_ms), at_end: false, stuck_ms: 0, waits: false }
    }

    /// Plays decisions until nothing changes; which lanes wait then.
    fn settle(lanes: &mut [Lane]) -> Vec<bool> {
        for _ in 0..10 {
            for place in 0..lanes.len() {
                let slowest_ms = slowest_ms(lanes.iter(), PATIENCE_MS);
                lanes[place].waits = lanes[place].is_to_wait(slowest_ms, DRIFT_MS);
            }
        }
        lanes.iter().map(|lane| lane.waits).collect()
    }

    #[test]
    fn who_is_too_far_ahead_waits_for_the_slowest_that_comes_on() {
        let none = Lane { max_event_ms: None, ..at(0) };
        let ended = |lane| Lane { at_end: true, ..lane };
        let stuck = |lane| Lane { stuck_ms: PATIENCE_MS, ..lane };
        let slow = |lane| Lane { stuck_ms: PATIENCE_MS - 1, ..lane };
        let waiting = |lane| Lane { waits: true, ..lane };
        let check = |case: &str, lanes: &[Lane], waits: &[bool]| {
            assert_eq!(settle(&mut lanes.to_vec()), waits, "{case}");
        };
        check("one alone", &[at(500)], &[false]);
        check("as far as is allowed", &[at(0), at(100)], &[false, false]);
        check("further", &[at(0), at(101), at(50)], &[false, true, false]);
        check("the slowest is at its end", &[ended(at(0)), at(500)], &[false, false]);
        check("the next one is the slowest then", &[ended(at(0)), at(500), at(700)], &[false, false, true]);
        check("the slowest has shown no time: only rejects", &[none, at(500)], &[false, false]);
        check("the slowest is stuck", &[stuck(at(0)), at(500)], &[false, false]);
        check("the slowest is nearly stuck", &[slow(at(0)), at(500)], &[false, true]);
        check("half made up", &[at(50), waiting(at(100))], &[false, false]);
        check("less than half made up", &[at(49), waiting(at(100))], &[false, true]);
        check("all wait", &[waiting(at(300)), waiting(at(500)), waiting(at(301))], &[false, true, false]);
        check("all are at their end", &[ended(at(0)), ended(at(500))], &[false, false]);
        check("the whole range", &[at(i64::MIN), at(i64::MAX)], &[false, true]);
    }
}
