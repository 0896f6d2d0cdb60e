//! A worker: a thread that owns some partitions and an instance of every plugin. It
//! polls, takes batches through its stages, and at a cut hands over what has piled
//! up. It decides nothing about triggers and commits.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Context;
use crossbeam_channel::{Receiver, Sender, TryRecvError};
use speed_layer_core::records::Records;
use speed_layer_kafka::{Assignment, PollLimits, Position, SourceError};
use speed_layer_store::fail_point;

use super::Event;
use super::budget::Budget;
use super::feed::RecordFeed;
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
    /// Go on in this epoch, and read these partitions from these places.
    Resume(Arc<EpochContext>, Vec<Assignment>),
}

/// What a worker says.
#[derive(Debug)]
pub enum Report {
    Cut(Box<CutReport>),
    /// Something that may call for a trigger; said once an epoch each.
    Has(Occasion),
    /// A partition gives nothing any more, until it is assigned again.
    Lost(i32, SourceError),
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
    /// Every partition has reached the end of a bounded run.
    ReachedEnd,
}

#[derive(Debug)]
pub struct CutReport {
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
    /// Taken in by this process so far, committed or not.
    pub records_in: AtomicU64,
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
                Ok(Command::Resume(epoch, assignments)) => self.resume(epoch, &assignments)?,
                Err(TryRecvError::Empty) => {}
                Err(TryRecvError::Disconnected) => return Ok(()),
            }
            let occasion = self.step(&mut records)?;
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
            self.say(Report::Lost(loss.lost_partition().unwrap_or(-1), loss));
        }
        self.shared.budget.give_back(rows_max - outcome.records);
        if outcome.records == 0 {
            return Ok(None);
        }
        fail_point("source.after_poll");
        self.shared.records_in.fetch_add(outcome.records as u64, Ordering::Relaxed);
        self.chain.process(&self.epoch, records).with_context(|| self.batch_name(records))?;
        Ok(Some(Occasion::Records))
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
        let report = CutReport { partial: self.chain.cut(), positions: self.feed.positions() };
        self.say(Report::Cut(Box::new(report)));
        while let Ok(command) = self.commands.recv() {
            if let Command::Resume(epoch, assignments) = command {
                self.resume(epoch, &assignments)?;
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn resume(&mut self, epoch: Arc<EpochContext>, assignments: &[Assignment]) -> anyhow::Result<()> {
        self.epoch = epoch;
        assignments.iter().try_for_each(|assignment| self.feed.assign(assignment))
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
