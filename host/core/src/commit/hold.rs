//! Closed windows that are held back from being published, so that more of them go into one file: when each
//! closed, up to where its records are, and when they are let go. In all else a held window is closed: its rows
//! are late. Nothing here looks at a clock or a file; a commit's own clock comes in as a number.

use serde::{Deserialize, Serialize};

use super::manifest::OffsetMark;
use crate::time::WindowSpec;

/// More spans are not kept: each is written down with every commit.
pub const SPANS_MAX: usize = 256;

/// How long closed windows are held at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HoldLimits {
    /// From the commit that closed the oldest of them.
    pub age_ms: u64,
    /// Rows that are held, one a window and key.
    pub rows: Option<u64>,
}

/// The windows that one commit closed: those that end behind the span before and no later than this one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldSpan {
    pub through_ms: i64,
    /// The commit's clock.
    pub closed_at_ms: i64,
    /// Up to where records are in these windows; inside none of them.
    pub cut: Vec<OffsetMark>,
}

/// What is held of one aggregate.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct HeldWindows {
    /// Windows that end at or before this are published.
    pub released_through_ms: Option<i64>,
    /// Oldest first.
    pub spans: Vec<HeldSpan>,
}

/// A cut, as far as holding depends on it.
#[derive(Debug, Clone, Copy)]
pub struct HoldCut<'a> {
    /// Windows up to here are closed with it.
    pub closed_through_ms: i64,
    pub now_ms: i64,
    pub offsets: &'a [OffsetMark],
}

impl HeldWindows {
    /// Nothing is held, and everything up to here is published.
    pub fn none(released_through_ms: Option<i64>) -> Self {
        Self { released_through_ms, spans: Vec::new() }
    }

    /// What is held after a cut, with `rows` in closed windows; and the spans that are let go of with it, those of
    /// this very cut not among them. Without limits nothing is held.
    pub fn after(
        &self,
        cut: HoldCut<'_>,
        window: WindowSpec,
        rows: u64,
        limits: Option<&HoldLimits>,
    ) -> (Self, Vec<HeldSpan>) {
        let released = || (Self::none(Some(cut.closed_through_ms)), self.spans.clone());
        let Some(limits) = limits else { return released() };
        let mut held = self.clone();
        held.close(cut, window);
        if held.is_due(cut.now_ms, rows, limits) { released() } else { (held, Vec::new()) }
    }

    /// Notes the windows that close with a cut, if any can.
    fn close(&mut self, cut: HoldCut<'_>, window: WindowSpec) {
        let last_end_ms = window.start_of(cut.closed_through_ms.saturating_mul(1000)).div_euclid(1000);
        let before_ms = self.spans.last().map(|span| span.through_ms).or(self.released_through_ms);
        if before_ms.is_none_or(|before_ms| last_end_ms > before_ms) {
            self.spans.push(HeldSpan {
                through_ms: last_end_ms,
                closed_at_ms: cut.now_ms,
                cut: cut.offsets.to_vec(),
            });
        }
    }

    /// Whether all of it is to be published now.
    fn is_due(&self, now_ms: i64, rows: u64, limits: &HoldLimits) -> bool {
        let Some(oldest) = self.spans.first() else { return false };
        let age_ms = now_ms.saturating_sub(oldest.closed_at_ms);
        let is_old = u64::try_from(age_ms).is_ok_and(|age_ms| age_ms >= limits.age_ms);
        is_old || limits.rows.is_some_and(|most| rows >= most) || self.spans.len() >= SPANS_MAX
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR_MS: i64 = 3_600_000;

    fn hours() -> WindowSpec {
        WindowSpec::new("1h".parse().unwrap()).unwrap()
    }

    fn mark(offset: i64) -> Vec<OffsetMark> {
        vec![OffsetMark { topic: "t".into(), partition: 0, offset }]
    }

    /// Cuts in turn: closed through (hours), clock (ms), rows; what is released and how many spans are held after each.
    fn check(limits: Option<HoldLimits>, cuts: &[(f64, i64, u64, Option<f64>, usize)]) {
        let mut held = HeldWindows::default();
        for (at, (closed, now_ms, rows, released, spans)) in cuts.iter().enumerate() {
            let ms = |hours: f64| (hours * HOUR_MS as f64) as i64;
            let offsets = mark(at as i64);
            let cut = HoldCut { closed_through_ms: ms(*closed), now_ms: *now_ms, offsets: &offsets };
            held = held.after(cut, hours(), *rows, limits.as_ref()).0;
            assert_eq!((held.released_through_ms, held.spans.len()), (released.map(ms), *spans), "cut {at}");
        }
    }

    #[test]
    fn without_limits_everything_is_published_when_it_closes() {
        check(None, &[(1.0, 0, 5, Some(1.0), 0), (2.5, 1, 9, Some(2.5), 0)]);
    }

    #[test]
    fn windows_are_held_until_the_oldest_is_of_an_age() {
        let limits = HoldLimits { age_ms: 100, rows: None };
        check(
            Some(limits),
            &[
                (1.0, 1000, 5, None, 1),
                (1.5, 1040, 5, None, 1),
                (2.0, 1050, 10, None, 2),
                (2.0, 1099, 10, None, 2),
                (2.9, 1100, 10, Some(2.9), 0),
                (2.95, 5000, 0, Some(2.9), 0),
                (3.0, 5000, 5, Some(2.9), 1),
            ],
        );
    }

    #[test]
    fn windows_are_held_until_there_are_enough_rows() {
        let limits = HoldLimits { age_ms: 1 << 40, rows: Some(10) };
        check(Some(limits), &[(1.0, 0, 9, None, 1), (2.0, 1, 10, Some(2.0), 0), (3.0, 2, 3, Some(2.0), 1)]);
    }

    #[test]
    fn a_clock_that_goes_back_and_an_age_of_zero_hold_nothing_for_ever() {
        check(
            Some(HoldLimits { age_ms: 0, rows: None }),
            &[(1.0, 7, 1, Some(1.0), 0), (2.0, 6, 1, Some(2.0), 0)],
        );
        let limits = HoldLimits { age_ms: 10, rows: None };
        check(Some(limits), &[(1.0, 100, 1, None, 1), (2.0, 50, 1, None, 2), (2.0, 110, 1, Some(2.0), 0)]);
    }

    #[test]
    fn no_more_spans_are_kept_than_a_checkpoint_should_hold() {
        let mut held = HeldWindows::default();
        let limits = HoldLimits { age_ms: u64::MAX, rows: None };
        let most = (1..=SPANS_MAX as i64).map(|hour| {
            let cut = HoldCut { closed_through_ms: hour * HOUR_MS, now_ms: 0, offsets: &[] };
            held = held.after(cut, hours(), 1, Some(&limits)).0;
            held.spans.len()
        });
        assert_eq!(most.max(), Some(SPANS_MAX - 1));
        assert_eq!(held.released_through_ms, Some(SPANS_MAX as i64 * HOUR_MS));
    }

    #[test]
    fn what_is_let_go_says_where_each_window_was_cut_but_for_those_of_the_same_cut() {
        let limits = HoldLimits { age_ms: 10, rows: None };
        let cut = |hour, now_ms, offsets| HoldCut { closed_through_ms: hour * HOUR_MS, now_ms, offsets };
        let (one, two) = (mark(4), mark(9));
        let (held, none) = HeldWindows::default().after(cut(1, 0, &one), hours(), 1, Some(&limits));
        let (after, gone) = held.after(cut(2, 10, &two), hours(), 2, Some(&limits));
        assert_eq!((none, after), (Vec::new(), HeldWindows::none(Some(2 * HOUR_MS))));
        assert_eq!(gone, [HeldSpan { through_ms: HOUR_MS, closed_at_ms: 0, cut: one.clone() }]);
    }
}
