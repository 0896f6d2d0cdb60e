//! Where the reading of one partition stands. Plain arithmetic on offsets: no client.

use super::Assignment;

/// How far a partition has been given out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    pub partition: i32,
    /// The offset after the last record given out, or after the control records that
    /// followed it.
    pub next_offset: i64,
    /// Of the last record given out.
    pub leader_epoch: Option<i32>,
    /// With a bound: it is reached. Without: the last thing heard was that nothing more is
    /// readable, which is the last stable offset.
    pub at_end: bool,
    /// The log's end as of the last fetch; beyond `next_offset` when a transaction is open.
    pub high_watermark: Option<i64>,
}

impl Position {
    /// At the end of the log itself, not held up by an open transaction.
    pub fn is_at_log_end(&self) -> bool {
        self.at_end && self.high_watermark.is_some_and(|high| self.next_offset >= high)
    }
}

/// What is to be done with a record.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Wanted,
    /// Given out before.
    Repeated,
    BeyondBound,
}

pub(super) struct Tracked {
    pub position: Position,
    bound: Option<i64>,
    /// It is not fetched for now.
    is_held: bool,
}

impl Tracked {
    pub(super) fn new(assignment: &Assignment) -> Self {
        let position = Position {
            partition: assignment.partition,
            next_offset: assignment.start_offset,
            leader_epoch: assignment.leader_epoch,
            at_end: assignment.end_offset.is_some_and(|end| assignment.start_offset >= end),
            high_watermark: None,
        };
        Self { position, bound: assignment.end_offset, is_held: false }
    }

    pub(super) fn fate(&self, offset: i64) -> Fate {
        if self.bound.is_some_and(|bound| offset >= bound) {
            Fate::BeyondBound
        } else if offset < self.position.next_offset {
            Fate::Repeated
        } else {
            Fate::Wanted
        }
    }

    /// Notes that the record was given out; true when that reached the bound.
    pub(super) fn given_out(&mut self, offset: i64, leader_epoch: i32) -> bool {
        self.position.leader_epoch = Some(leader_epoch).filter(|epoch| *epoch >= 0);
        self.advance(offset + 1)
    }

    /// Notes that everything before `next_offset` has been given out; true when that
    /// reached the bound.
    fn advance(&mut self, next_offset: i64) -> bool {
        let limit = self.bound.unwrap_or(i64::MAX);
        self.position.next_offset = next_offset.min(limit).max(self.position.next_offset);
        let was_at_end = self.position.at_end;
        self.position.at_end = self.bound.is_some_and(|bound| self.position.next_offset >= bound);
        self.position.at_end && !was_at_end
    }

    /// Notes that nothing is readable at `offset` or beyond; true when that reached the
    /// bound.
    pub(super) fn end_heard(&mut self, offset: i64) -> bool {
        let reached = self.advance(offset);
        self.position.at_end |= self.bound.is_none() && !self.is_held;
        reached
    }

    /// Notes that it is not fetched from now on: nobody hears its end, unless it is a bound.
    pub(super) fn hold(&mut self) {
        self.is_held = true;
        self.position.at_end &= self.bound.is_some();
    }

    pub(super) fn is_held(&self) -> bool {
        self.is_held
    }

    /// Notes that it is fetched again.
    pub(super) fn go_on(&mut self) {
        self.is_held = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tracked(start_offset: i64, end_offset: Option<i64>) -> Tracked {
        Tracked::new(&Assignment { partition: 0, start_offset, end_offset, leader_epoch: None })
    }

    #[test]
    fn a_record_is_given_out_once_and_only_below_the_bound() {
        let tracked = tracked(5, Some(8));
        let fates = [4, 5, 7, 8, 9].map(|offset| tracked.fate(offset));
        use Fate::{BeyondBound, Repeated, Wanted};
        assert_eq!(fates, [Repeated, Wanted, Wanted, BeyondBound, BeyondBound]);
    }

    #[test]
    fn an_empty_range_is_at_its_end_from_the_start() {
        assert!(tracked(5, Some(5)).position.at_end);
        assert!(!tracked(5, Some(6)).position.at_end);
        assert!(!tracked(5, None).position.at_end);
    }

    #[test]
    fn the_bound_is_reached_once_and_by_control_records_too() {
        let mut partition = tracked(5, Some(8));
        assert!(!partition.advance(7));
        assert!(partition.end_heard(9), "offset 7 was a control record");
        assert_eq!(partition.position.next_offset, 8);
        assert!(!partition.advance(8));
    }

    #[test]
    fn an_open_range_leaves_its_end_when_a_record_comes() {
        let mut partition = tracked(5, None);
        assert!(!partition.end_heard(6));
        assert!(partition.position.at_end && partition.position.next_offset == 6);
        partition.advance(7);
        assert!(!partition.position.at_end);
    }

    #[test]
    fn what_is_not_fetched_is_at_no_end_but_its_bound() {
        let mut open = tracked(5, None);
        open.end_heard(6);
        open.hold();
        assert!(!open.position.at_end, "there may be more by now");
        open.end_heard(7);
        assert!(!open.position.at_end, "that was in hand when it was held");
        open.go_on();
        open.end_heard(7);
        assert!(open.position.at_end);
        let mut bounded = tracked(5, Some(6));
        bounded.end_heard(6);
        bounded.hold();
        assert!(bounded.position.at_end);
    }

    #[test]
    fn an_open_transaction_is_not_the_end_of_the_log() {
        let mut partition = tracked(5, None);
        partition.end_heard(6);
        for (high_watermark, at_log_end) in [(None, false), (Some(9), false), (Some(6), true)] {
            partition.position.high_watermark = high_watermark;
            assert_eq!(partition.position.is_at_log_end(), at_log_end);
        }
    }
}
