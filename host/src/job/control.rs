//! The string by which a running job is held from outside: a request to stop, and how far it
//! is between two commits.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use crossbeam_channel::Sender;

/// Holds one job: asks it to commit what is whole and end, and tells how far it is. Clones hold the same.
#[derive(Debug, Clone, Default)]
pub struct JobHandle {
    state: Arc<HandleState>,
}

#[derive(Debug, Default)]
struct HandleState {
    asked: AtomicBool,
    wake: OnceLock<Sender<super::Event>>,
    live: Arc<Live>,
}

/// How far a job is, committed or not.
#[derive(Debug, Default)]
pub struct Live {
    /// Records that this process has taken in.
    pub taken_in: AtomicU64,
    /// Offsets that a bounded run has to read.
    pub to_read: OnceLock<u64>,
}

impl JobHandle {
    /// Asks; the job ends after one more commit.
    pub fn stop(&self) {
        self.state.asked.store(true, Ordering::SeqCst);
        if let Some(wake) = self.state.wake.get() {
            // A job that has ended no longer listens, which is what was asked for.
            let _ = wake.send(super::Event::StopAsked);
        }
    }

    pub fn is_asked(&self) -> bool {
        self.state.asked.load(Ordering::SeqCst)
    }

    /// Records that this process has taken in, committed or not.
    pub fn taken_in(&self) -> u64 {
        self.state.live.taken_in.load(Ordering::Relaxed)
    }

    /// How many offsets a bounded run has to read; `None` before it begins, and of one without an end.
    pub fn to_read(&self) -> Option<u64> {
        self.state.live.to_read.get().copied()
    }

    /// The counters of a job that begins, with so many offsets to read if it is bounded.
    pub(super) fn live_of(&self, to_read: Option<u64>) -> Arc<Live> {
        if let Some(offsets) = to_read {
            // Only the first job that a handle is given to counts; there is never a second.
            let _ = self.state.live.to_read.set(offsets);
        }
        Arc::clone(&self.state.live)
    }

    pub(super) fn wakes(&self, events: Sender<super::Event>) {
        // Only the first job that a handle is given to is woken; there is never a second.
        let _ = self.state.wake.set(events);
    }
}
