//! A new plugin beside the stream: it takes the batches that the old one takes, over its
//! own copy of the open windows, and what both make of them is compared. Nothing of it is
//! ever committed, and the stream waits for it only when it lags far behind.
//!
//! Workers hand each batch on through a `Tap`; the coordinator's `Seat` tells of each cut;
//! one thread, the `Beside`, does all the rest and answers whoever asked.

mod ask;
mod beside;
mod report;
mod seat;
mod tap;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use crossbeam_channel::Sender;
use serde::Serialize;
use speed_layer_core::group::GroupTable;
use speed_layer_core::records::Records;

use super::asked::{Promote, Shadowing};
use crate::job::open_windows::Closed;
use crate::stages::{AggregateClock, EpochContext, Seen};

pub use ask::run;
pub use report::ShadowReport;
pub use seat::{OpenState, Seat};
pub use tap::Tap;

/// What waits for the new plugin; with more than that, workers take no batch until it has
/// caught up.
const QUEUE_BYTES_MAX: usize = 64 << 20;

impl Shadowing {
    /// Whether the new plugin takes over after this.
    pub fn promotes(&self, report: &ShadowReport) -> bool {
        match self.promote {
            Promote::Equal => report.equal,
            Promote::Always => true,
            Promote::Never => false,
        }
    }
}

/// A shadow that can begin at the next cut.
#[derive(Debug)]
pub struct Order {
    pub link: Arc<Link>,
    items: Sender<Item>,
    /// Whether the rows offered to the aggregates are compared.
    with_rows: bool,
}

/// What everybody who has to do with one shadow can see.
#[derive(Debug)]
pub struct Link {
    batches_wanted: u64,
    batches: AtomicU64,
    records: AtomicU64,
    queued_bytes: AtomicUsize,
    /// No batch is handed on any more.
    is_over: AtomicBool,
    /// Nobody waits for the comparison.
    is_abandoned: AtomicBool,
}

impl Link {
    fn new(batches_wanted: u64) -> Self {
        Self {
            batches_wanted,
            batches: AtomicU64::new(0),
            records: AtomicU64::new(0),
            queued_bytes: AtomicUsize::new(0),
            is_over: AtomicBool::new(false),
            is_abandoned: AtomicBool::new(false),
        }
    }

    fn has_enough(&self) -> bool {
        self.batches.load(Ordering::SeqCst) >= self.batches_wanted
    }

    fn is_over(&self) -> bool {
        self.is_over.load(Ordering::SeqCst)
    }

    fn end_intake(&self) {
        self.is_over.store(true, Ordering::SeqCst);
    }

    fn abandon(&self) {
        self.is_abandoned.store(true, Ordering::SeqCst);
        self.end_intake();
    }
}

/// How far a shadow has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct ShadowProgress {
    pub batches: u64,
    pub batches_wanted: u64,
    pub records: u64,
}

/// What is told to the thread beside the stream. Everything of one epoch comes before the
/// `Cut` that ends it.
enum Item {
    /// The open windows of each aggregate at the cut where the shadow begins.
    Begin(Vec<GroupTable>),
    Batch(Box<Batch>),
    /// A worker has handed over.
    WorkerCut(usize),
    Cut(Box<CutSeen>),
}

/// A batch that the old stages have taken.
struct Batch {
    worker: usize,
    epoch: Arc<EpochContext>,
    records: Records,
    seen: Seen,
    /// CPU time of the old stages.
    spent: Duration,
    bytes: usize,
}

/// A cut as the job has made it.
struct CutSeen {
    epoch: EpochContext,
    clocks: Vec<AggregateClock>,
    /// The workers in the order in which their partial states were merged.
    merged: Vec<usize>,
    /// Of each aggregate.
    closed: Vec<Closed>,
    /// The workers' partial states.
    changed: Vec<Vec<GroupTable>>,
    /// At the last cut, the open windows after it.
    last: Option<Vec<GroupTable>>,
    bytes: usize,
}
