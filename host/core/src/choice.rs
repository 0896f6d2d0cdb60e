//! Which rows an aggregate folds when a stretch of the topic is read a second time. Rows
//! of other windows are left out without a word: what became of them was told when they
//! were first read. Keys are not looked at.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::gate::{Admission, Gate};

/// Offsets `[lowest, cut)` by partition.
pub type OffsetRanges = BTreeMap<i32, Range<i64>>;

/// The rows of some windows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Choice {
    /// Of all windows that the aggregate's limits leave open. No row of such a window was
    /// ever late.
    Open,
    /// Of the windows that start at these instants, microseconds since 1970 UTC; each has
    /// the offsets of its rows. Rows beyond came when the window was closed.
    Windows(BTreeMap<i64, OffsetRanges>),
}

/// The rows of a batch; all lists have the same length.
#[derive(Debug, Clone, Copy)]
pub struct Offered<'a> {
    /// Of each row's window, microseconds since 1970 UTC.
    pub starts_us: &'a [i64],
    pub partitions: &'a [i32],
    pub offsets: &'a [i64],
}

impl Choice {
    /// Puts the chosen rows into `out`, in rising order; nothing is late or withheld.
    pub fn admit(&self, gate: &Gate, rows: Offered<'_>, out: &mut Admission) {
        match self {
            Self::Open => {
                gate.admit(rows.starts_us, out);
                out.late.clear();
                out.withheld.clear();
            }
            Self::Windows(windows) => {
                *out = Admission::default();
                out.selected = rows.within(windows);
            }
        }
    }
}

impl Offered<'_> {
    fn within(self, windows: &BTreeMap<i64, OffsetRanges>) -> Vec<u32> {
        let mut last: Option<(i64, Option<&OffsetRanges>)> = None;
        let is_chosen = |row: &u32| {
            let row = *row as usize;
            let start_us = self.starts_us[row];
            let ranges = match last {
                Some((same, ranges)) if same == start_us => ranges,
                _ => windows.get(&start_us),
            };
            last = Some((start_us, ranges));
            let range = ranges.and_then(|ranges| ranges.get(&self.partitions[row]));
            range.is_some_and(|range| range.contains(&self.offsets[row]))
        };
        (0..self.starts_us.len() as u32).filter(is_chosen).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::WindowSpec;

    const HOUR_US: i64 = 3_600_000_000;

    /// Rows of the hours 0 to 3 at the offsets 10 to 13 of the partitions 0, 1, 0, 1.
    fn check(choice: &Choice, closed_ms: Option<i64>, expected: &[u32]) {
        let gate = Gate::new(WindowSpec::new("1h".parse().unwrap()).unwrap(), closed_ms, None);
        let starts_us = [0, HOUR_US, 2 * HOUR_US, 3 * HOUR_US];
        let rows = Offered { starts_us: &starts_us, partitions: &[0, 1, 0, 1], offsets: &[10, 11, 12, 13] };
        let mut out = Admission { late: vec![9], ..Admission::default() };
        choice.admit(&gate, rows, &mut out);
        let expected = Admission { selected: expected.to_vec(), ..Admission::default() };
        assert_eq!(out, expected, "{choice:?}");
    }

    fn window(hour: i64, partition: i32, range: Range<i64>) -> (i64, OffsetRanges) {
        (hour * HOUR_US, [(partition, range)].into())
    }

    #[test]
    fn open_windows_are_those_of_the_gate_and_nothing_is_late() {
        check(&Choice::Open, None, &[0, 1, 2, 3]);
        check(&Choice::Open, Some(7_200_000), &[2, 3]);
    }

    #[test]
    fn rows_of_chosen_windows_count_inside_their_offsets_alone() {
        check(&Choice::Windows([].into()), None, &[]);
        check(&Choice::Windows([window(0, 0, 0..11), window(3, 1, 13..14)].into()), None, &[0, 3]);
        check(&Choice::Windows([window(0, 0, 0..10), window(1, 1, 12..20)].into()), None, &[]);
        check(&Choice::Windows([window(1, 0, 0..20)].into()), None, &[]);
    }
}
