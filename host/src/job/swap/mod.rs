//! Another plugin in a running job. `prepare` does all that can be done beside the
//! stream: compile, describe, compare, open. The coordinator then cuts, lets the workers
//! go on with the new stages on `probation`, and judges them at the next cut: either they
//! are committed, or everything goes on from the cut with the old ones.

mod asked;
mod component;
mod history;
mod output;
mod pause;
mod prepare;
mod probation;
mod rebuild;
mod refusal;
mod shadow;
mod swapper;
mod under_way;
mod watch;
mod windows;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::anyhow;
use crossbeam_channel::Sender;
use serde::Serialize;
use speed_layer_core::commit::OffsetMark;
use tracing::info;

use super::commit::Replacement;
use super::open_windows::OpenWindows;
use crate::plan::Plan;
use crate::stages::{AggregateClock, Chain, EpochContext};

pub use asked::{Promote, Shadowing, Windows};
pub use component::read_component;
pub use history::{history_path, read_history, settle};
pub use pause::{Pause, Watch};
pub use prepare::Request;
pub use probation::Probation;
pub use rebuild::{OfKafka, Rebuild, Topic, check_groups};
pub use shadow::{OpenState, Order, Seat, ShadowReport, Tap};
pub use swapper::{Report, Swapper, Told};
pub use under_way::{Busy, Gate, TakenBack};
pub use watch::Watcher;

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
    /// One an aggregate.
    pub windows: Vec<Windows>,
    /// Where the windows of an aggregate, by its number, go from now on.
    pub output: Option<(usize, PathBuf)>,
    /// Makes the windows anew that are to be.
    pub rebuild: Option<Box<Rebuild>>,
    pub reply: Reply,
}

impl Prepared {
    /// The aggregates' clocks from the cut on, where rows up to `greatest_event_ms` have
    /// been and windows are open until `open_until_ms`.
    ///
    /// # Errors
    /// None that a running job can cause: its windows have a length.
    pub fn clocks(
        &self,
        before: &[AggregateClock],
        greatest_event_ms: Option<i64>,
        open_until_ms: &[Option<i64>],
    ) -> anyhow::Result<Vec<AggregateClock>> {
        let each = before.iter().zip(open_until_ms).zip(self.windows.iter().zip(&self.plan.aggregates));
        each.map(|((clock, open_until_ms), (windows, plan))| match windows {
            Windows::TakeOver | Windows::Rebuild => Ok(*clock),
            Windows::Reset => windows::reset_clock(&plan.spec, clock, greatest_event_ms, *open_until_ms),
        })
        .collect()
    }
}

/// What became of a swap.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Outcome {
    /// Committed with this epoch; its plugin has served since these offsets.
    /// The stream stood for `pause_ms`, of it `hand_over_ms` until the workers had ended
    /// their batches, as at every trigger.
    Swapped { epoch: u64, from_offsets: Vec<OffsetMark>, pause_ms: f64, hand_over_ms: f64 },
    /// Somebody has taken it back before it was committed: the old plugin goes on as if
    /// nothing had been.
    TakenBack { by: String },
    /// The old plugin goes on as if nothing had been.
    RolledBack { why: String },
    /// Nothing was tried.
    Refused { why: String },
    /// It ran beside the stream and has not changed anything.
    Shadowed { shadow: Box<ShadowReport> },
    /// It failed beside the stream, which goes on as if nothing had been.
    ShadowFailed { why: String },
}

/// Where the outcome is waited for.
#[derive(Debug)]
pub struct Reply {
    pub outcome: Sender<Outcome>,
    pub taken_back: TakenBack,
}

impl Reply {
    pub fn refused(&self, why: &str) {
        self.say(Outcome::Refused { why: why.to_owned() });
    }

    /// The old stages have gone on.
    pub fn rolled_back(&self, why: &anyhow::Error) {
        let failed = || Outcome::RolledBack { why: format!("{why:#}") };
        let by = self.taken_back.by().map(str::to_owned);
        self.say(by.map_or_else(failed, |by| Outcome::TakenBack { by }));
    }

    pub fn swapped(&self, epoch: u64, from: &[OffsetMark], pause: Pause) {
        let (pause_ms, hand_over_ms) = (pause.whole_ms(), pause.hand_over_ms());
        self.say(Outcome::Swapped { epoch, from_offsets: from.to_vec(), pause_ms, hand_over_ms });
    }

    fn say(&self, outcome: Outcome) {
        // Whoever asked may have gone; the swap stands all the same.
        let _ = self.outcome.send(outcome);
    }
}

impl Prepared {
    /// Itself, if nobody has taken it back meanwhile; else whoever asked is told.
    pub fn unless_taken_back(self: Box<Self>) -> Option<Box<Self>> {
        let Some(by) = self.reply.taken_back.by() else { return Some(self) };
        self.reply.rolled_back(&taken_back(by));
        None
    }
}

fn taken_back(by: &str) -> anyhow::Error {
    anyhow!("it was taken back by {by}")
}

/// New stages on probation, as the coordinator sees it.
pub struct Trial {
    replacement: Option<Replacement>,
    pub from: Vec<OffsetMark>,
    pub failure: Option<anyhow::Error>,
    pub deadline: Instant,
    /// So far.
    pub pause: Pause,
    pub reply: Reply,
    /// The epoch as it is without the swap.
    pub epoch_before: Arc<EpochContext>,
}

impl Trial {
    /// The workers go on with the new stages in `epoch`, after a pause.
    pub fn begin(
        swap: Prepared,
        pause: Pause,
        from: Vec<OffsetMark>,
        epoch: &Arc<EpochContext>,
        epoch_before: Arc<EpochContext>,
    ) -> Self {
        let Prepared { plan, aggregates, windows, output, rebuild, reply, .. } = swap;
        let (epoch, marks) = (Arc::clone(epoch), from.clone());
        let replacement =
            Some(Replacement { plan, aggregates, windows, output, rebuild, from: marks, epoch });
        info!("new stages are on probation");
        let deadline = Instant::now() + PROBATION_MAX;
        Self { replacement, from, failure: None, deadline, pause, reply, epoch_before }
    }

    /// What takes the open windows over, once.
    pub fn take_replacement(&mut self) -> Option<Replacement> {
        self.replacement.take()
    }

    /// Whether it will be rolled back, whatever comes.
    pub fn is_lost(&self) -> bool {
        self.failure.is_some() || self.reply.taken_back.by().is_some()
    }

    /// Why it is to be rolled back.
    pub fn take_failure(&mut self) -> Option<anyhow::Error> {
        self.failure.take().or_else(|| self.reply.taken_back.by().map(taken_back))
    }
}
