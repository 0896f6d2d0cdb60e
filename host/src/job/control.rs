//! The string by which a running job is held from outside: a request to stop, how far it
//! is between two commits, and what runs in it.

use std::fmt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use crossbeam_channel::Sender;
use speed_layer_core::records::Records;

use super::swap::Swapper;
use crate::plan::Plan;
use crate::stages::Tail;

/// Holds one job: asks it to commit what is whole and end, and tells how far it is. Clones hold the same.
#[derive(Debug, Clone, Default)]
pub struct JobHandle {
    state: Arc<HandleState>,
}

#[derive(Debug, Default)]
struct HandleState {
    asked: AtomicBool,
    ended: AtomicBool,
    wake: OnceLock<Sender<super::Event>>,
    live: Arc<Live>,
    begun: OnceLock<Begun>,
}

/// Who knows what runs in the job.
struct Begun(Arc<Swapper>);

impl fmt::Debug for Begun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.running().fmt(f)
    }
}

/// How far a job is, committed or not.
#[derive(Debug, Default)]
pub struct Live {
    /// Records that this process has taken in.
    pub taken_in: AtomicU64,
    /// The bytes of their keys and values.
    pub taken_in_bytes: AtomicU64,
    /// Offsets that a bounded run has to read.
    pub to_read: OnceLock<u64>,
    /// The last rows of all workers, where they are printed.
    tail: Mutex<Option<Tail>>,
}

impl Live {
    /// Takes note of a worker's last rows.
    pub fn note_tail(&self, tail: Tail) {
        let mut held = self.tail.lock().unwrap_or_else(PoisonError::into_inner);
        match held.as_mut() {
            Some(held) => held.append(tail),
            None => *held = Some(tail),
        }
    }

    pub fn note_taken_in(&self, records: &Records) {
        self.taken_in.fetch_add(records.len() as u64, Ordering::Relaxed);
        self.taken_in_bytes.fetch_add(records.payload_bytes() as u64, Ordering::Relaxed);
    }
}

/// Where a job is on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Its partitions are not assigned yet.
    Starting,
    Running,
    /// It commits what is whole, or has done so.
    Stopping,
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

    pub fn phase(&self) -> Phase {
        if self.is_asked() || self.state.ended.load(Ordering::SeqCst) {
            return Phase::Stopping;
        }
        if self.state.begun.get().is_some() { Phase::Running } else { Phase::Starting }
    }

    /// Records that this process has taken in, committed or not.
    pub fn taken_in(&self) -> u64 {
        self.state.live.taken_in.load(Ordering::Relaxed)
    }

    /// The bytes of their keys and values.
    pub fn taken_in_bytes(&self) -> u64 {
        self.state.live.taken_in_bytes.load(Ordering::Relaxed)
    }

    /// The last rows that went through the stages; `None` before there were any, and where nobody prints them.
    pub fn tail(&self) -> Option<Tail> {
        self.state.live.tail.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How many offsets a bounded run has to read; `None` before it begins, and of one without an end.
    pub fn to_read(&self) -> Option<u64> {
        self.state.live.to_read.get().copied()
    }

    /// The stages that serve the job now; `None` before it begins.
    pub fn plan(&self) -> Option<Arc<Plan>> {
        self.state.begun.get().map(|begun| begun.0.running())
    }

    /// Who makes its swaps; `None` before it begins.
    pub fn swapper(&self) -> Option<Arc<Swapper>> {
        self.state.begun.get().map(|begun| Arc::clone(&begun.0))
    }

    /// Where the history of its swaps is; `None` before it begins.
    pub fn swap_history(&self) -> Option<PathBuf> {
        self.state.begun.get().map(|begun| begun.0.history.clone())
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

    /// Notes what runs; gives it back.
    pub(super) fn begins(&self, swapper: Arc<Swapper>) -> Arc<Swapper> {
        // Only the first job that a handle is given to is told of; there is never a second.
        let _ = self.state.begun.set(Begun(Arc::clone(&swapper)));
        swapper
    }

    pub(super) fn ends(&self) {
        self.state.ended.store(true, Ordering::SeqCst);
    }
}
