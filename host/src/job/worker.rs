//! A worker: a thread that owns some partitions and an instance of every plugin. It
//! polls, takes batches through its stages, and at a cut hands over what has piled
//! up. It decides nothing about triggers and commits.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use crossbeam_channel::{Receiver, Sender, TryRecvError};
use speed_layer_core::group::GroupTable;
use speed_layer_core::records::Records;
use speed_layer_kafka::{Assignment, PollLimits, Position, SourceError};
use speed_layer_store::fail_point;

use super::Event;
use super::budget::Budget;
use super::control::Live;
use super::drift::Drift;
use super::feed::RecordFeed;
use super::memory::Memory;
use super::swap::{Probation, Tap};
use crate::config::PoisonSpec;
use crate::stages::{Chain, EpochContext, Partial};

/// Rows of one batch: large enough that a call costs nothing a row, small enough that a
/// batch stays in the cache.
const BATCH_ROWS_MAX: usize = 8_192;
const BATCH_BYTES_MAX: usize = 8 << 20;
/// How long an idle worker looks at its queue before it looks at its commands.
const POLL_TIMEOUT_MS: i32 = 20;
/// Side rows that a worker holds before it asks for a commit.
const SIDE_BYTES_MAX: usize = 64 << 20;

/// What the coordinator says to a worker.
#[derive(Debug)]
pub enum Command {
    /// Hand over, then wait.
    Cut,
    /// Copy what has piled up since the cut, one an aggregate, and go on.
    Copy(Sender<Vec<GroupTable>>),
    /// Go on in this epoch.
    Resume(Arc<EpochContext>, Errand),
}

/// What a worker does when it goes on.
#[derive(Debug, Default)]
pub struct Errand {
    /// Partitions to be read from these places from now on.
    pub assignments: Vec<Assignment>,
    pub turn: Option<Turn>,
}

/// What a swap has a worker do.
#[derive(Debug)]
pub enum Turn {
    /// Go on with these stages, on probation.
    Swap(Box<Chain>),
    /// The probation is over.
    Promote,
    /// Go back to the stages before, and take the batches since through those.
    Revert,
    /// Hand batches on to other stages beside the stream.
    Shadow(Tap),
}

/// What a worker says.
#[derive(Debug)]
pub enum Report {
    Cut(Box<CutReport>),
    /// Something that may call for a trigger; said once an epoch each.
    Has(Occasion),
    /// A partition gives nothing any more, until it is assigned again.
    Lost(i32, SourceError),
    /// The stages on probation failed; the worker waits.
    FailedOnProbation(anyhow::Error),
    Failed(anyhow::Error),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Occasion {
    /// Records have come in.
    Records,
    /// The epoch's records are used up.
    SpentBudget,
    /// The side rows have to be written before more are taken in.
    FullSides,
    /// The open groups take as much memory as they may.
    FullMemory,
    /// Every partition has reached the end of a bounded run.
    ReachedEnd,
    /// The stages on probation have taken enough batches.
    TriedEnough,
    /// The stages beside the stream have taken enough batches.
    ShadowedEnough,
}

#[derive(Debug)]
pub struct CutReport {
    pub worker: usize,
    pub partial: Partial,
    pub positions: Vec<Position>,
}

/// What all workers share with the coordinator.
#[derive(Debug)]
pub struct Shared {
    pub budget: Budget,
    /// The run ends when every partition has reached its bound.
    pub is_bounded: bool,
    /// False under the trigger `once`, whose one commit takes everything.
    pub may_commit_early: bool,
    pub poison: PoisonSpec,
    pub memory: Memory,
    /// There where partitions wait for others.
    pub drift: Option<Drift>,
    pub live: Arc<Live>,
}

pub struct Worker<F> {
    pub index: usize,
    pub topic: String,
    pub feed: F,
    pub chain: Chain,
    pub shared: Arc<Shared>,
    pub commands: Receiver<Command>,
    pub events: Sender<Event>,
    pub epoch: Arc<EpochContext>,
    pub probation: Option<Probation>,
    pub tap: Option<Tap>,
}

impl<F: RecordFeed> Worker<F> {
    /// Works until the coordinator is gone.
    pub fn run(mut self) {
        if let Err(error) = self.work() {
            self.say(Report::Failed(error));
        }
    }

    fn work(&mut self) -> anyhow::Result<()> {
        let mut records = Records::default();
        let mut said = Said::default();
        loop {
            match self.commands.try_recv() {
                Ok(Command::Cut) => {
                    if !self.hand_over()? {
                        return Ok(());
                    }
                    said = Said::default();
                }
                Ok(Command::Copy(to)) => {
                    // Whoever asked may not wait any more.
                    let _ = to.send(self.chain.copy());
                }
                Ok(Command::Resume(epoch, errand)) => self.go_on(epoch, errand)?,
                Err(TryRecvError::Empty) => {}
                Err(TryRecvError::Disconnected) => return Ok(()),
            }
            let occasion = self.step(&mut records)?;
            if let Some(drift) = &self.shared.drift {
                drift.align(&mut self.feed, self.chain.greatest_ms())?;
            }
            if let Some(occasion) = occasion
                && said.first_time(occasion)
            {
                self.say(Report::Has(occasion));
            }
        }
    }

    /// One batch, or a short wait where none may be taken.
    fn step(&mut self, records: &mut Records) -> anyhow::Result<Option<Occasion>> {
        if self.shared.may_commit_early && self.chain.side_bytes() > SIDE_BYTES_MAX {
            self.rest();
            return Ok(Some(Occasion::FullSides));
        }
        if self.probation.as_ref().is_some_and(Probation::holds_no_more) {
            self.rest();
            return Ok(Some(Occasion::TriedEnough));
        }
        if self.shared.memory.is_full() {
            self.rest();
            return Ok(Some(Occasion::FullMemory));
        }
        self.tap.take_if(|tap| tap.is_over());
        if self.tap.as_ref().is_some_and(Tap::is_full) {
            self.rest();
            return Ok(None);
        }
        if self.shared.is_bounded && self.feed.is_at_end() {
            self.rest();
            return Ok(Some(Occasion::ReachedEnd));
        }
        let rows_max = self.shared.budget.reserve(BATCH_ROWS_MAX);
        if rows_max == 0 {
            self.rest();
            return Ok(Some(Occasion::SpentBudget));
        }
        let limits = PollLimits { rows_max, bytes_max: BATCH_BYTES_MAX, timeout_ms: POLL_TIMEOUT_MS };
        let outcome = self.feed.poll(records, &limits)?;
        for loss in self.feed.take_losses() {
            if let (Some(drift), Some(partition)) = (&self.shared.drift, loss.lost_partition()) {
                drift.leave(partition);
            }
            self.say(Report::Lost(loss.lost_partition().unwrap_or(-1), loss));
        }
        self.shared.budget.give_back(rows_max - outcome.records);
        if outcome.records == 0 {
            return Ok(None);
        }
        fail_point("source.after_poll");
        self.shared.live.note_taken_in(records);
        let outcome = match &self.tap {
            Some(tap) => tap.process(&mut self.chain, &self.epoch, records),
            None => self.chain.process(&self.epoch, records),
        };
        let outcome = outcome.with_context(|| self.batch_name(records));
        if let Some(tail) = self.chain.take_tail() {
            self.shared.live.note_tail(tail);
        }
        self.shared.memory.note_worker(self.index, self.chain.held_bytes());
        let Some(probation) = &mut self.probation else { return outcome.map(|()| Some(self.taken())) };
        fail_point("swap.tried");
        probation.keep(records);
        if let Err(error) = outcome {
            probation.failed = true;
            self.say(Report::FailedOnProbation(error));
            return Ok(None);
        }
        Ok(Some(if probation.has_enough() { Occasion::TriedEnough } else { Occasion::Records }))
    }

    /// What a batch may call for outside a probation.
    fn taken(&self) -> Occasion {
        match &self.tap {
            Some(tap) if tap.has_enough() => Occasion::ShadowedEnough,
            _ => Occasion::Records,
        }
    }

    fn go_on(&mut self, epoch: Arc<EpochContext>, errand: Errand) -> anyhow::Result<()> {
        self.epoch = epoch;
        errand.assignments.iter().try_for_each(|assignment| self.feed.assign(assignment))?;
        if let Some(drift) = &self.shared.drift {
            errand.assignments.iter().for_each(|assignment| drift.begin(assignment.partition));
            drift.go_on(self.feed.positions().iter().map(|position| position.partition));
        }
        match errand.turn {
            None => {}
            Some(Turn::Promote) => {
                self.probation = None;
                self.chain.isolate(self.shared.poison);
                self.chain.rehearse(std::iter::repeat(false));
            }
            Some(Turn::Shadow(tap)) => self.tap = Some(tap),
            Some(Turn::Swap(chain)) => {
                self.probation = Some(Probation::of(std::mem::replace(&mut self.chain, *chain)));
            }
            Some(Turn::Revert) => {
                let Some(Probation { before, batches, .. }) = self.probation.take() else { return Ok(()) };
                self.chain = before;
                for records in &batches {
                    self.chain.process(&self.epoch, records).with_context(|| self.batch_name(records))?;
                }
            }
        }
        Ok(())
    }

    /// Waits for a command without taking it.
    fn rest(&self) {
        let mut ready = crossbeam_channel::Select::new();
        ready.recv(&self.commands);
        // Whether a command came or the time is over, the loop looks.
        let _ = ready.ready_timeout(Duration::from_millis(POLL_TIMEOUT_MS as u64));
    }

    /// Gives the partial results away and waits for the next epoch; false when there is none.
    fn hand_over(&mut self) -> anyhow::Result<bool> {
        fail_point("cut.before_hand_over");
        self.tap.iter().for_each(Tap::cut);
        let (partial, positions) = (self.chain.cut(), self.feed.positions());
        let report = CutReport { worker: self.index, partial, positions };
        self.say(Report::Cut(Box::new(report)));
        while let Ok(command) = self.commands.recv() {
            if let Command::Resume(epoch, errand) = command {
                self.go_on(epoch, errand)?;
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn say(&self, report: Report) {
        // A coordinator that no longer listens has ended the job.
        let _ = self.events.send(Event::Worker(self.index, report));
    }

    fn batch_name(&self, records: &Records) -> String {
        let mut parts: Vec<(i32, i64, i64)> = Vec::new();
        for (&partition, &offset) in records.partitions.iter().zip(&records.offsets) {
            match parts.iter_mut().find(|(of, _, _)| *of == partition) {
                Some((_, _, last)) => *last = offset,
                None => parts.push((partition, offset, offset)),
            }
        }
        let parts = parts
            .iter()
            .map(|(partition, first, last)| format!("partition {partition} offsets {first} to {last}"));
        format!(
            "a batch of topic {} ({}) could not be processed, and nothing since the last commit was committed",
            self.topic,
            parts.collect::<Vec<_>>().join(", ")
        )
    }
}

/// What a worker has said since the last cut.
#[derive(Debug, Default)]
struct Said {
    occasions: Vec<Occasion>,
}

impl Said {
    fn first_time(&mut self, occasion: Occasion) -> bool {
        let is_new = !self.occasions.contains(&occasion);
        if is_new {
            self.occasions.push(occasion);
        }
        is_new
    }
}
