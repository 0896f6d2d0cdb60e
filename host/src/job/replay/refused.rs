//! The records that the clock refused when they were first read, and what it held them to.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use speed_layer_core::commit::OutputId;
use speed_layer_core::records::Records;
use speed_layer_store::refusals::{ClockRefusal, clock_refusals};
use speed_layer_store::{FileError, Layout};

use super::stretch::Stretch;

/// Bounds by partition and offset. A record that is not among them was believed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Refused {
    bounds_ms: HashMap<(i32, i64), i64>,
}

impl Refused {
    /// Those of a stretch, from a job's dead letters.
    ///
    /// # Errors
    /// A dead-letter file that cannot be read.
    pub fn read(layout: &Layout, stretch: &Stretch) -> Result<Self, FileError> {
        layout.root(&OutputId::DeadLetters).map_or(Ok(Self::default()), |dir| Self::read_dir(dir, stretch))
    }

    fn read_dir(dir: &Path, stretch: &Stretch) -> Result<Self, FileError> {
        let refusals = clock_refusals(dir, |range| {
            range.topic == stretch.topic && stretch.overlaps(range.partition, &(range.lowest..range.cut))
        })?;
        Ok(refusals.into_iter().collect())
    }

    /// How many they are.
    pub fn count(&self) -> usize {
        self.bounds_ms.len()
    }

    /// The records of a batch by the bound that they are held to, `None` for those that were
    /// believed; no parts where that is all of them.
    pub(super) fn parts(&self, records: &Records) -> Option<BTreeMap<Option<i64>, Vec<usize>>> {
        if self.bounds_ms.is_empty() {
            return None;
        }
        let mut parts: BTreeMap<Option<i64>, Vec<usize>> = BTreeMap::new();
        for (row, place) in
            records.partitions.iter().copied().zip(records.offsets.iter().copied()).enumerate()
        {
            parts.entry(self.bounds_ms.get(&place).copied()).or_default().push(row);
        }
        parts.keys().any(Option::is_some).then_some(parts)
    }
}

impl FromIterator<ClockRefusal> for Refused {
    fn from_iter<I: IntoIterator<Item = ClockRefusal>>(refusals: I) -> Self {
        let bound = |of: ClockRefusal| ((of.partition, of.offset), of.bound_ms);
        Self { bounds_ms: refusals.into_iter().map(bound).collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_is_parted_by_what_its_records_were_held_to() {
        let records =
            Records { partitions: vec![0, 0, 1, 1], offsets: vec![5, 6, 5, 6], ..Records::default() };
        let refused = |places: &[((i32, i64), i64)]| Refused { bounds_ms: places.iter().copied().collect() };
        assert_eq!(refused(&[]).parts(&records), None);
        assert_eq!(refused(&[((0, 7), 1)]).parts(&records), None);
        let parts = refused(&[((0, 6), 1), ((1, 5), 2), ((1, 6), 1)]).parts(&records).unwrap();
        let expected = [(None, vec![0]), (Some(1), vec![1, 3]), (Some(2), vec![2])];
        assert_eq!(parts, expected.into());
    }
}
