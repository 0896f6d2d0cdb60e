//! What a stream has missed while it was not connected: for how long nothing came, and from
//! which event time to which. A silence within one connection is no gap: nothing was lost.

use std::time::{Duration, Instant};

/// A time of which the stream told nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gap {
    pub lasted: Duration,
    /// The last event time before it and the first one after, milliseconds since 1970 UTC.
    pub from_ms: i64,
    pub to_ms: i64,
}

#[derive(Debug, Default)]
pub struct Gaps {
    last: Option<(Instant, i64)>,
    is_broken: bool,
}

impl Gaps {
    /// The connection is lost.
    pub fn broken(&mut self) {
        self.is_broken = true;
    }

    /// A tick came; the gap that it ends, if there was one.
    pub fn seen(&mut self, now: Instant, event_time_ms: i64) -> Option<Gap> {
        let was_broken = std::mem::take(&mut self.is_broken);
        let (before, from_ms) = self.last.replace((now, event_time_ms))?;
        let lasted = now.saturating_duration_since(before);
        was_broken.then_some(Gap { lasted, from_ms, to_ms: event_time_ms })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gap_is_told_once_by_the_first_tick_after_a_lost_connection() {
        let (mut gaps, start) = (Gaps::default(), Instant::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        gaps.broken();
        assert_eq!(gaps.seen(at(0), 1_000), None, "nothing came before it");
        assert_eq!(gaps.seen(at(50), 51_000), None, "the connection held");
        gaps.broken();
        gaps.broken();
        let gap = Gap { lasted: Duration::from_secs(7), from_ms: 51_000, to_ms: 58_000 };
        assert_eq!(gaps.seen(at(57), 58_000), Some(gap));
        assert_eq!(gaps.seen(at(58), 59_000), None);
    }
}
