//! From rows to groups: each row's group, the groups of a call numbered from 0 in
//! the order in which they first occur, and calls cut to a bounded size of states.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::ops::Range;

use super::{GroupError, GroupTable};
use crate::key::EncodedKeys;
use crate::state::StateTable;

/// Windows whose place is remembered during a call.
const MEMO: usize = 16;

/// A batch's rows as grouping sees them; the slices have one entry a row of the batch.
#[derive(Debug, Clone, Copy)]
pub struct Rows<'a> {
    pub keys: &'a EncodedKeys,
    /// The start of each row's window, microseconds since 1970 UTC.
    pub windows_us: &'a [i64],
    pub partitions: &'a [i32],
    pub offsets: &'a [i64],
    /// The rows to group: those that are neither late nor withheld nor refused.
    pub selected: &'a [u32],
}

/// Rows and their groups. A buffer: use it again for the next batch.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Assignment {
    /// Rows of the batch.
    pub rows: Vec<u32>,
    /// The group of each of these rows; a place in `slots`.
    pub groups: Vec<u32>,
    /// The slot of each group, in the order of their first rows.
    pub slots: Vec<u32>,
    /// Of these, the slots of the groups that were made.
    pub made: Vec<u32>,
}

/// A part of an assignment that is whole in itself: the rows of some of its groups.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chunk<'a> {
    pub rows: Cow<'a, [u32]>,
    /// Places in this chunk's `slots`.
    pub groups: Cow<'a, [u32]>,
    pub slots: Cow<'a, [u32]>,
}

impl GroupTable {
    /// Finds the group of each selected row, making those that are new with the
    /// identity as their state, and notes the offsets. `out` is overwritten.
    ///
    /// # Errors
    /// The table is full, or a partition is no partition number.
    pub fn assign(&mut self, rows: Rows<'_>, out: &mut Assignment) -> Result<(), GroupError> {
        self.call += 1;
        out.clear();
        out.rows.extend_from_slice(rows.selected);
        out.groups.reserve(rows.selected.len());
        let mut memo = [None; MEMO];
        for row in rows.selected.iter().map(|row| *row as usize) {
            let place = self.remembered_place(rows.windows_us[row], &mut memo);
            let window = &mut self.windows[place as usize];
            window.contributed(rows.partitions[row], rows.offsets[row])?;
            let (states, made) = (&mut self.states, &mut out.made);
            let entry = window.entry(rows.keys.get(row), || {
                let slot = states.push_identity()?;
                made.push(slot);
                Ok(slot)
            })?;
            if entry.call != self.call {
                entry.call = self.call;
                entry.group = out.slots.len() as u32;
                out.slots.push(entry.slot);
            }
            out.groups.push(entry.group);
        }
        Ok(())
    }

    fn remembered_place(&mut self, start_us: i64, memo: &mut [Option<(i64, u32)>; MEMO]) -> u32 {
        let at = (start_us as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 60;
        match memo[at as usize] {
            Some((known_us, place)) if known_us == start_us => place,
            _ => {
                let place = self.place(start_us);
                memo[at as usize] = Some((start_us, place));
                place
            }
        }
    }
}

impl Assignment {
    fn clear(&mut self) {
        self.rows.clear();
        self.groups.clear();
        self.slots.clear();
        self.made.clear();
    }

    /// The groups that were made for the rows `gone`, which rise, and for no other ones.
    pub fn made_for(&self, gone: &[u32]) -> Vec<u32> {
        let is_gone = |row: &u32| gone.binary_search(row).is_ok();
        let kept = self.rows.iter().zip(&self.groups).filter(|(row, _)| !is_gone(row));
        let kept: BTreeSet<u32> = kept.map(|(_, group)| self.slots[*group as usize]).collect();
        self.made.iter().copied().filter(|slot| !kept.contains(slot)).collect()
    }

    /// Cuts it into parts whose states have at most `state_bytes_max` bytes, or a
    /// single group. Within a group the rows keep their order. Nothing is copied
    /// when one part is enough.
    pub fn chunks(&self, states: &StateTable, state_bytes_max: usize) -> Vec<Chunk<'_>> {
        let ranges = chunk_ranges(states, &self.slots, state_bytes_max);
        if ranges.len() <= 1 {
            let (rows, groups) = (Cow::from(&self.rows), Cow::from(&self.groups));
            return vec![Chunk { rows, groups, slots: Cow::from(&self.slots) }];
        }
        let mut parts: Vec<(Vec<u32>, Vec<u32>)> = vec![Default::default(); ranges.len()];
        for (row, group) in self.rows.iter().zip(&self.groups) {
            let part = ranges.partition_point(|range| range.end <= *group as usize);
            parts[part].0.push(*row);
            parts[part].1.push(*group - ranges[part].start as u32);
        }
        let chunk = |((rows, groups), range): ((Vec<u32>, Vec<u32>), Range<usize>)| Chunk {
            rows: rows.into(),
            groups: groups.into(),
            slots: Cow::from(&self.slots[range]),
        };
        parts.into_iter().zip(ranges).map(chunk).collect()
    }
}

impl Chunk<'_> {
    /// Two parts with half of the rows each, with the groups of these; `None` for a row.
    pub fn halves(&self) -> Option<[Chunk<'static>; 2]> {
        let (rows, half) = (self.rows.len(), self.rows.len() / 2);
        (half > 0).then(|| [self.part(0..half), self.part(half..rows)])
    }

    fn part(&self, range: Range<usize>) -> Chunk<'static> {
        let (mut numbers, mut slots) = (vec![None; self.slots.len()], Vec::new());
        let mut number = |group: u32| {
            *numbers[group as usize].get_or_insert_with(|| {
                slots.push(self.slots[group as usize]);
                slots.len() as u32 - 1
            })
        };
        let groups: Vec<u32> = self.groups[range.clone()].iter().map(|group| number(*group)).collect();
        Chunk { rows: self.rows[range].to_vec().into(), groups: groups.into(), slots: slots.into() }
    }
}

/// Cuts `slots` into ranges whose states have at most `state_bytes_max` bytes, or
/// have one state: for gather, merge and finish.
pub fn chunk_ranges(states: &StateTable, slots: &[u32], state_bytes_max: usize) -> Vec<Range<usize>> {
    let mut ranges = Vec::new();
    let (mut start, mut bytes) = (0, 0_usize);
    for (at, slot) in slots.iter().enumerate() {
        let more = states.state_bytes(*slot);
        if at > start && bytes.saturating_add(more) > state_bytes_max {
            ranges.push(start..at);
            (start, bytes) = (at, 0);
        }
        bytes = bytes.saturating_add(more);
    }
    if start < slots.len() {
        ranges.push(start..slots.len());
    }
    ranges
}
