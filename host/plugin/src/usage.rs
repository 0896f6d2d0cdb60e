//! What a loaded plugin was called for, over all its instances: calls and their times, rows, failures, and the memory
//! that its guests hold. Counters that whoever calls adds to without waiting; nothing is decided by them.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::{Callback, PluginError};

/// The callbacks that take rows or groups.
const TIMED: [Callback; 5] =
    [Callback::Parse, Callback::Transform, Callback::Update, Callback::Merge, Callback::Finish];
/// As [`PluginError::kind`] names them; what is the host's own fault is not the plugin's failure.
const FAILURES: [&str; 7] = [
    "plugin-refused",
    "plugin-asked-again",
    "plugin-stopped",
    "plugin-trapped",
    "plugin-overran",
    "plugin-over-limit",
    "plugin-broke-contract",
];
/// Upper bounds of the buckets that calls are counted in by their time, microseconds; one more bucket has the rest.
pub const CALL_BOUNDS_US: [u64; 13] =
    [100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 1_000_000, 5_000_000];

/// See the module. Shared by everybody who has the plugin.
#[derive(Debug, Default)]
pub struct Usage {
    calls: [Calls; TIMED.len()],
    failures: [AtomicU64; FAILURES.len()],
    memory_bytes: AtomicU64,
}

#[derive(Debug, Default)]
struct Calls {
    rows: AtomicU64,
    nanos: AtomicU64,
    buckets: [AtomicU64; CALL_BOUNDS_US.len() + 1],
}

/// The calls of one callback so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CallCount {
    pub callback: Callback,
    /// Rows or groups that it was given.
    pub rows: u64,
    /// All calls together.
    pub took: Duration,
    /// Calls by their time: see [`CALL_BOUNDS_US`].
    pub buckets: [u64; CALL_BOUNDS_US.len() + 1],
}

impl CallCount {
    pub fn calls(&self) -> u64 {
        self.buckets.iter().sum()
    }
}

impl Usage {
    pub(crate) fn note_call(&self, callback: Callback, rows: usize, took: Duration) {
        let Some(calls) = TIMED.iter().position(|timed| *timed == callback).map(|at| &self.calls[at]) else {
            return;
        };
        let bucket = CALL_BOUNDS_US.partition_point(|bound_us| u128::from(*bound_us) < took.as_micros());
        add(&calls.rows, rows as u64);
        add(&calls.nanos, took.as_nanos() as u64);
        add(&calls.buckets[bucket], 1);
    }

    pub(crate) fn note_failure(&self, error: &PluginError) {
        let kind = error.kind();
        if let Some(at) = FAILURES.iter().position(|known| *known == kind) {
            add(&self.failures[at], 1);
        }
    }

    pub(crate) fn memory_grown(&self, bytes: u64) {
        add(&self.memory_bytes, bytes);
    }

    pub(crate) fn memory_freed(&self, bytes: u64) {
        self.memory_bytes.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// The callbacks that were called, each with its calls.
    pub fn calls(&self) -> Vec<CallCount> {
        let counts = TIMED.into_iter().zip(&self.calls).map(|(callback, calls)| CallCount {
            callback,
            rows: get(&calls.rows),
            took: Duration::from_nanos(get(&calls.nanos)),
            buckets: std::array::from_fn(|at| get(&calls.buckets[at])),
        });
        counts.filter(|count| count.calls() > 0).collect()
    }

    /// Failed calls by their kind, those too that were tried again and then went well.
    pub fn failures(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        FAILURES.into_iter().zip(self.failures.iter().map(get))
    }

    /// Linear memory of all instances that are open, bytes.
    pub fn memory_bytes(&self) -> u64 {
        get(&self.memory_bytes)
    }
}

fn add(counter: &AtomicU64, more: u64) {
    counter.fetch_add(more, Ordering::Relaxed);
}

fn get(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_counted_by_their_callback_and_time() {
        let usage = Usage::default();
        for (callback, rows, us) in [
            (Callback::Parse, 10, 100),
            (Callback::Parse, 5, 101),
            (Callback::Update, 1, 6_000_000),
            (Callback::Open, 7, 1),
        ] {
            usage.note_call(callback, rows, Duration::from_micros(us));
        }
        let [parse, update] = usage.calls()[..] else { panic!("{:?}", usage.calls()) };
        assert_eq!((parse.callback, parse.rows, parse.calls()), (Callback::Parse, 15, 2));
        assert_eq!(parse.took, Duration::from_micros(201));
        assert_eq!(parse.buckets[..3], [1, 1, 0]);
        assert_eq!((update.calls(), update.buckets[CALL_BOUNDS_US.len()]), (1, 1));
    }

    #[test]
    fn memory_is_that_of_the_instances_that_are_open() {
        let usage = Usage::default();
        usage.memory_grown(70);
        usage.memory_grown(30);
        usage.memory_freed(70);
        assert_eq!(usage.memory_bytes(), 30);
    }
}
