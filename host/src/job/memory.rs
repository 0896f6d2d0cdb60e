//! What the open groups take in memory, over the workers and the coordinator, against what
//! the settings allow. Who is over it stops taking records in; what happens then is the
//! coordinator's to decide. Nothing is moved to disk.

use std::sync::atomic::{AtomicU64, Ordering};

use speed_layer_core::group::GroupTable;
use speed_layer_store::CommitStore;

use super::commit::Commits;
use super::process;

/// What a commit makes of the open groups beside the table that holds them: their columns for
/// the checkpoint and its bytes, or a snapshot's.
const COPIES: u64 = 3;

/// Without a setting and where the kernel does not say how much there is.
const MEMORY_MAX_DEFAULT: u64 = 4 << 30;

/// One job's account of memory, shared by its workers.
#[derive(Debug)]
pub struct Memory {
    bytes_max: u64,
    /// The job's open groups, and workers' that are on their way to it.
    open: AtomicU64,
    /// What each worker has piled up since the last cut.
    piled_up: Vec<AtomicU64>,
}

/// The open groups of all aggregates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Held {
    pub groups: u64,
    pub bytes: u64,
}

/// Tells what is open.
pub trait HoldsGroups {
    fn held(&self) -> Held;
}

/// More groups are open than there is memory for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "{groups} open groups need {needed} bytes, with the copies that a commit makes of them, and `memory_max` in [limits] \
     allows {bytes_max}: {outcome}. Set more, or have fewer groups open (a shorter window or watermark, a coarser key, \
     `max_drift`), and start again",
    groups = held.groups,
    needed = held.bytes * COPIES
)]
pub struct MemoryFull {
    held: Held,
    bytes_max: u64,
    outcome: &'static str,
}

impl Memory {
    /// `bytes_max` is the setting; without one it is half of what this process may have.
    pub fn new(bytes_max: Option<u64>, workers: usize) -> Self {
        let half = || process::memory_bytes().map_or(MEMORY_MAX_DEFAULT, |bytes| bytes / 2);
        Self {
            bytes_max: bytes_max.unwrap_or_else(half),
            open: AtomicU64::new(0),
            piled_up: (0..workers).map(|_| AtomicU64::new(0)).collect(),
        }
    }

    /// Notes what a worker has piled up.
    pub fn note_worker(&self, worker: usize, bytes: usize) {
        if let Some(held) = self.piled_up.get(worker) {
            held.store(bytes as u64, Ordering::Relaxed);
        }
    }

    /// The workers have handed over; what they had is the job's until it says what that came to.
    pub fn handed_over(&self) {
        let piled_up = self.piled_up.iter().map(|held| held.swap(0, Ordering::Relaxed)).sum();
        self.open.fetch_add(piled_up, Ordering::Relaxed);
    }

    /// Notes what is open.
    pub fn note_open(&self, held: Held) {
        self.open.store(held.bytes, Ordering::Relaxed);
    }

    /// Whether nothing more may be taken in before a commit.
    pub fn is_full(&self) -> bool {
        let piled_up: u64 = self.piled_up.iter().map(|held| held.load(Ordering::Relaxed)).sum();
        (self.open.load(Ordering::Relaxed) + piled_up) * COPIES > self.bytes_max
    }

    /// Whether what is open after a commit leaves room for more.
    ///
    /// # Errors
    /// It does not; `outcome` says what has become of the records.
    pub fn check(&self, held: Held, outcome: &'static str) -> Result<(), MemoryFull> {
        let bytes_max = self.bytes_max;
        if held.bytes * COPIES <= bytes_max { Ok(()) } else { Err(MemoryFull { held, bytes_max, outcome }) }
    }
}

impl Held {
    fn of<'a>(tables: impl Iterator<Item = &'a GroupTable>) -> Self {
        tables.fold(Self::default(), |held, table| Self {
            groups: held.groups + table.len() as u64,
            bytes: held.bytes + table.bytes() as u64,
        })
    }
}

impl<S: CommitStore> HoldsGroups for Commits<S> {
    fn held(&self) -> Held {
        Held::of(self.aggregates.iter().map(|aggregate| aggregate.open.groups()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(bytes: u64) -> Held {
        Held { groups: 7, bytes }
    }

    #[test]
    fn workers_and_open_windows_together_keep_to_the_limit() {
        let memory = Memory::new(Some(30 * COPIES), 2);
        assert!(!memory.is_full());
        memory.note_open(held(10));
        memory.note_worker(0, 15);
        memory.note_worker(1, 5);
        assert!(!memory.is_full());
        memory.note_worker(1, 6);
        assert!(memory.is_full());
        memory.handed_over();
        assert!(memory.is_full(), "what is on its way counts");
        memory.note_open(held(30));
        assert!(!memory.is_full());
        assert!(memory.check(held(30), "").is_ok());
        let full = memory.check(held(31), "what was read is committed").unwrap_err().to_string();
        for part in ["7 open groups", &format!("need {} bytes", 31 * COPIES), "`memory_max`", "is committed"]
        {
            assert!(full.contains(part), "{part}: {full}");
        }
    }

    #[test]
    fn without_a_setting_it_is_half_of_what_there_is() {
        let memory = Memory::new(None, 1);
        assert!(memory.bytes_max > 64 << 20, "{}", memory.bytes_max);
        assert!(memory.bytes_max <= process::memory_bytes().unwrap_or(u64::MAX) / 2);
    }
}
