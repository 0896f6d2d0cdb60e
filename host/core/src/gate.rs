//! The gate before an aggregate: which of the rows offered to it belong to windows
//! that are closed (late), which to windows that it has not seen from the beginning
//! (withheld), and which go on to their groups. It looks at windows alone; keys are
//! looked at by those that go on.

use crate::time::WindowSpec;
use crate::watermark::is_closed;

/// An aggregate's limits during one epoch: they change at a commit only, so that what
/// is late does not depend on how an epoch's rows are cut into batches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gate {
    spec: WindowSpec,
    /// Windows that end here or before are closed.
    closed_through_us: Option<i64>,
    /// Windows that start before are withheld.
    withheld_until_us: Option<i64>,
}

/// Where rows go; each row of a batch is in one of the lists, in rising order. A
/// buffer: use it again for the next batch.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Admission {
    pub selected: Vec<u32>,
    pub late: Vec<u32>,
    pub withheld: Vec<u32>,
}

impl Gate {
    /// `closed_through_ms` is that of the last commit; `withheld_until_us` is there
    /// for an aggregate that was added to a running job.
    pub fn new(spec: WindowSpec, closed_through_ms: Option<i64>, withheld_until_us: Option<i64>) -> Self {
        let closed_through_us = closed_through_ms.map(|closed_ms| closed_ms.saturating_mul(1_000));
        Self { spec, closed_through_us, withheld_until_us }
    }

    /// Sorts the rows of a batch by their windows' starts. `out` is overwritten. A row
    /// that is late and withheld is late.
    pub fn admit(&self, starts_us: &[i64], out: &mut Admission) {
        out.clear();
        let first_open_us = self.first_open_us().max(self.withheld_until_us.unwrap_or(i64::MIN));
        if starts_us.iter().fold(true, |open, start_us| open & (*start_us >= first_open_us)) {
            return out.selected.extend(0..starts_us.len() as u32);
        }
        for (row, start_us) in (0..).zip(starts_us) {
            out.list_of(self, *start_us).push(row);
        }
    }

    /// No window that starts here or later is closed.
    fn first_open_us(&self) -> i64 {
        let closed_us = self.closed_through_us.unwrap_or(i64::MIN);
        closed_us.saturating_sub(self.spec.size_us()).saturating_add(1)
    }

    fn is_late(&self, start_us: i64) -> bool {
        is_closed(self.spec.end_of(start_us), self.closed_through_us)
    }

    fn is_withheld(&self, start_us: i64) -> bool {
        self.withheld_until_us.is_some_and(|until_us| start_us < until_us)
    }
}

impl Admission {
    fn clear(&mut self) {
        self.selected.clear();
        self.late.clear();
        self.withheld.clear();
    }

    fn list_of(&mut self, gate: &Gate, start_us: i64) -> &mut Vec<u32> {
        match start_us {
            _ if gate.is_late(start_us) => &mut self.late,
            _ if gate.is_withheld(start_us) => &mut self.withheld,
            _ => &mut self.selected,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR_MS: i64 = 3_600_000;

    /// Windows that start at the hours -1 to 3.
    fn check(closed_ms: Option<i64>, withheld_until_h: Option<i64>, expected: [&[u32]; 3]) {
        let spec = WindowSpec::new("1h".parse().unwrap()).unwrap();
        let gate = Gate::new(spec, closed_ms, withheld_until_h.map(|hour| hour * HOUR_MS * 1_000));
        let starts_us: Vec<i64> = (-1..4).map(|hour| hour * HOUR_MS * 1_000).collect();
        let mut out = Admission { late: vec![7], ..Admission::default() };
        gate.admit(&starts_us, &mut out);
        assert_eq!([&out.selected[..], &out.late, &out.withheld], expected, "{gate:?}");
    }

    #[test]
    fn a_row_is_late_when_its_window_ends_at_or_before_what_is_closed() {
        check(None, None, [&[0, 1, 2, 3, 4], &[], &[]]);
        check(Some(-1), None, [&[0, 1, 2, 3, 4], &[], &[]]);
        check(Some(0), None, [&[1, 2, 3, 4], &[0], &[]]);
        check(Some(2 * HOUR_MS - 1), None, [&[2, 3, 4], &[0, 1], &[]]);
        check(Some(2 * HOUR_MS), None, [&[3, 4], &[0, 1, 2], &[]]);
        check(Some(i64::MAX), None, [&[], &[0, 1, 2, 3, 4], &[]]);
        check(Some(i64::MIN), None, [&[0, 1, 2, 3, 4], &[], &[]]);
    }

    #[test]
    fn rows_of_windows_not_seen_from_the_beginning_are_withheld() {
        check(None, Some(-1), [&[0, 1, 2, 3, 4], &[], &[]]);
        check(None, Some(2), [&[3, 4], &[], &[0, 1, 2]]);
        check(Some(HOUR_MS), Some(2), [&[3, 4], &[0, 1], &[2]]);
        check(Some(3 * HOUR_MS), Some(1), [&[4], &[0, 1, 2, 3], &[]]);
    }
}
