//! Another plugin in a running job. `prepare` does all that can be done beside the
//! stream: compile, describe, compare, open. The coordinator then cuts, lets the workers
//! go on with the new stages on `probation`, and judges them at the next cut: either they
//! are committed, or everything goes on from the cut with the old ones.

mod prepare;
mod probation;
mod swapper;

use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::Sender;
use serde::Serialize;
use speed_layer_core::commit::OffsetMark;

use super::commit::Replacement;
use super::open_windows::OpenWindows;
use crate::plan::Plan;
use crate::stages::Chain;

pub use prepare::Request;
pub use probation::Probation;
pub use swapper::{Swapper, history_path, read_history};

/// A stream that gives nothing to try the new plugin on is waited for so long.
const PROBATION_MAX: Duration = Duration::from_secs(2);

/// A swap that can be made at the next cut.
#[derive(Debug)]
pub struct Prepared {
    pub plan: Arc<Plan>,
    /// One a worker.
    pub chains: Vec<Option<Box<Chain>>>,
    /// Without windows yet; one an aggregate.
    pub aggregates: Vec<OpenWindows>,
    pub reply: Reply,
}

/// What became of a swap.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Outcome {
    /// Committed with this epoch; its plugin has served since these offsets.
    Swapped { epoch: u64, from_offsets: Vec<OffsetMark>, pause_ms: f64 },
    /// The old plugin goes on as if nothing had been.
    RolledBack { why: String },
    /// Nothing was tried.
    Refused { why: String },
}

/// Where the outcome is waited for.
#[derive(Debug)]
pub struct Reply(pub Sender<Outcome>);

impl Reply {
    pub fn refused(&self, why: &str) {
        self.say(Outcome::Refused { why: why.to_owned() });
    }

    pub fn rolled_back(&self, why: &anyhow::Error) {
        self.say(Outcome::RolledBack { why: format!("{why:#}") });
    }

    pub fn swapped(&self, epoch: u64, from: &[OffsetMark], pause: Duration) {
        let pause_ms = pause.as_secs_f64() * 1000.0;
        self.say(Outcome::Swapped { epoch, from_offsets: from.to_vec(), pause_ms });
    }

    fn say(&self, outcome: Outcome) {
        // Whoever asked may have gone; the swap stands all the same.
        let _ = self.0.send(outcome);
    }
}

/// New stages on probation, as the coordinator sees it.
pub struct Trial {
    replacement: Option<Replacement>,
    pub from: Vec<OffsetMark>,
    pub failure: Option<anyhow::Error>,
    pub deadline: Instant,
    /// For which the workers have stood so far.
    pub pause: Duration,
    pub reply: Reply,
}

impl Trial {
    /// The workers go on with the new stages; they stood since `cut_at`.
    pub fn begin(swap: Prepared, cut_at: Instant, from: Vec<OffsetMark>) -> Self {
        let Prepared { plan, aggregates, reply, .. } = swap;
        let replacement = Some(Replacement { plan, aggregates, from: from.clone() });
        let (pause, deadline) = (cut_at.elapsed(), Instant::now() + PROBATION_MAX);
        Self { replacement, from, failure: None, deadline, pause, reply }
    }

    /// What takes the open windows over, once.
    pub fn take_replacement(&mut self) -> Option<Replacement> {
        self.replacement.take()
    }
}
