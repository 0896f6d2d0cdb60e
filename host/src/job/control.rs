//! The strings by which a running job is held from outside: a request to stop, and
//! somebody who is told of each commit.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use crossbeam_channel::Sender;

/// Asks a job to commit what is whole and end. Clones ask the same job.
#[derive(Debug, Clone, Default)]
pub struct StopHandle {
    state: Arc<StopState>,
}

#[derive(Debug, Default)]
struct StopState {
    asked: AtomicBool,
    wake: OnceLock<Sender<super::Event>>,
}

impl StopHandle {
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

    pub(super) fn wakes(&self, events: Sender<super::Event>) {
        // Only the first job that a handle is given to is woken; there is never a second.
        let _ = self.state.wake.set(events);
    }
}

/// What one commit did, for whoever watches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress {
    pub epoch: u64,
    /// Since the process started.
    pub records_in: u64,
    /// Since the process started.
    pub windows_out: u64,
    /// The first aggregate's.
    pub closed_through_ms: Option<i64>,
}
