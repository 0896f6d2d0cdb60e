//! The groups of one window, and the lowest offset of each partition that
//! contributed to it.

use hashbrown::HashTable;
use hashbrown::hash_table::Entry as TableEntry;

use super::{GroupError, KeyBytes};
use crate::hash::hash;
use crate::time::WindowSpec;

/// The greatest partition number that is taken. Kafka allows more than anybody has.
pub(super) const PARTITION_MAX: i32 = 1_000_000;

/// No row of the partition.
const NO_OFFSET: i64 = i64::MAX;

/// One window's groups by key.
#[derive(Debug, Clone, Default)]
pub(super) struct Window {
    entries: HashTable<Entry>,
    /// By partition.
    lowest: Vec<i64>,
    /// Bytes of keys outside the entries.
    bytes_apart: usize,
}

/// A key's slot, and its number in the call that used it last.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub key: KeyBytes,
    pub slot: u32,
    pub group: u32,
    pub call: u64,
}

/// One window with its groups, ordered by key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WindowGroups {
    /// Microseconds since 1970 UTC; inside.
    pub start_us: i64,
    /// Microseconds since 1970 UTC; not inside.
    pub end_us: i64,
    /// One a group, rising.
    pub keys: Vec<KeyBytes>,
    /// One a group.
    pub slots: Vec<u32>,
    /// Partition and lowest offset of a row in this window, by rising partition.
    pub lowest_offsets: Vec<(i32, i64)>,
}

impl Window {
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// The group of `key`; a new one gets the slot that `slot` makes.
    #[inline]
    pub(super) fn entry(
        &mut self,
        key: &[u8],
        slot: impl FnOnce() -> Result<u32, GroupError>,
    ) -> Result<&mut Entry, GroupError> {
        let is_key = |entry: &Entry| entry.key.as_bytes() == key;
        let entry = self.entries.entry(hash(key), is_key, |entry| hash(entry.key.as_bytes()));
        match entry {
            TableEntry::Occupied(entry) => Ok(entry.into_mut()),
            TableEntry::Vacant(entry) => {
                let new = Entry { key: key.into(), slot: slot()?, group: 0, call: 0 };
                self.bytes_apart += new.key.bytes_apart();
                Ok(entry.insert(new).into_mut())
            }
        }
    }

    /// The group of `key`, if there is one.
    pub(super) fn find(&self, key: &[u8]) -> Option<&Entry> {
        self.entries.find(hash(key), |entry| entry.key.as_bytes() == key)
    }

    pub(super) fn forget(&mut self, slots: &[u32]) {
        self.entries.retain(|entry| !slots.contains(&entry.slot));
        self.bytes_apart = self.entries.iter().map(|entry| entry.key.bytes_apart()).sum();
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub(super) fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter()
    }

    /// Notes that a row at `offset` of `partition` is in this window.
    #[inline]
    pub(super) fn contributed(&mut self, partition: i32, offset: i64) -> Result<(), GroupError> {
        let at = partition as usize;
        match self.lowest.get_mut(at) {
            Some(lowest) if *lowest <= offset => {}
            Some(lowest) => *lowest = offset,
            None if (0..=PARTITION_MAX).contains(&partition) => {
                self.lowest.resize(at + 1, NO_OFFSET);
                self.lowest[at] = offset;
            }
            None => return Err(GroupError::Partition { partition }),
        }
        Ok(())
    }

    pub(super) fn lowest_offsets(&self) -> impl Iterator<Item = (i32, i64)> {
        let offsets = self.lowest.iter().enumerate().filter(|(_, offset)| **offset != NO_OFFSET);
        offsets.map(|(partition, offset)| (partition as i32, *offset))
    }

    pub(super) fn groups(&self, start_us: i64, spec: WindowSpec) -> WindowGroups {
        let mut entries: Vec<&Entry> = self.entries.iter().collect();
        entries.sort_unstable_by(|a, b| a.key.cmp(&b.key));
        WindowGroups {
            start_us,
            end_us: spec.end_of(start_us),
            keys: entries.iter().map(|entry| entry.key.clone()).collect(),
            slots: entries.iter().map(|entry| entry.slot).collect(),
            lowest_offsets: self.lowest_offsets().collect(),
        }
    }

    pub(super) fn bytes(&self) -> usize {
        let entries = self.entries.capacity() * (size_of::<Entry>() + 1);
        entries + self.lowest.capacity() * 8 + self.bytes_apart
    }
}
