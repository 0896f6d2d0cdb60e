//! The loop that owns the job: waits for a trigger, cuts all workers, lets them go on,
//! and has the epoch committed. It decides when; `commit` does it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};
use speed_layer_core::commit::Epoch;
use speed_layer_kafka::source::feed_of;
use speed_layer_kafka::{Assignment, Source};
use speed_layer_store::fail_point;
use tracing::{debug, info, warn};

use super::changes::TopicChanges;
use super::closing::Closing;
use super::commit::{Done, EpochCommit, Folded};
use super::control::JobHandle;
use super::partitions::Partitions;
use super::progress::{Progress, Took};
use super::swap::{Prepared, Seat, Trial, Watch};
use super::worker::{Command, CutReport, Errand, Occasion, Report, Shared, Turn};
use super::{Event, now_ms};
use crate::config::Trigger;
use crate::stages::{AggregateClock, EpochContext, Partial};

/// How often a job that commits as fast as it can looks at partitions that are silent.
const QUIET_LOOK: Duration = Duration::from_secs(1);

pub struct Coordinator<'a> {
    pub trigger: Trigger,
    pub closing: Closing,
    pub workers: Vec<Sender<Command>>,
    pub events: Receiver<Event>,
    pub shared: Arc<Shared>,
    pub partitions: Partitions,
    pub topic: TopicChanges,
    /// Not there over records in memory.
    pub source: Option<&'a Source>,
    pub epoch: Arc<EpochContext>,
    pub commits: &'a mut dyn EpochCommit,
    pub stop: &'a JobHandle,
    pub on_commit: &'a mut dyn FnMut(&Progress),
    pub pulse: Pulse,
    /// Waits for the next cut.
    pub swap: Option<Box<Prepared>>,
    /// On probation.
    pub trial: Option<Trial>,
    /// Beside the stream.
    pub shadow: Seat,
}

/// What the loop remembers between triggers.
#[derive(Debug)]
pub struct Pulse {
    begun: Instant,
    last_cut: Instant,
    triggers: u32,
    at_end: BTreeSet<usize>,
    /// A worker waited in this epoch and did not hear its partitions.
    held_back: bool,
    watch: Watch,
    pub last_commit: Option<Instant>,
}

/// Why the workers are cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cut {
    Trigger,
    /// The run is over after this one.
    Last,
}

impl Pulse {
    pub fn new() -> Self {
        let now = Instant::now();
        Self {
            begun: now,
            last_cut: now,
            triggers: 0,
            at_end: BTreeSet::new(),
            held_back: false,
            watch: Watch::new(),
            last_commit: None,
        }
    }

    /// How long it was since the last commit, or since the first fetch.
    fn note_commit(&mut self) -> Duration {
        let now = Instant::now();
        now.duration_since(self.last_commit.replace(now).unwrap_or(self.begun))
    }

    /// How long it is to the next trigger by the clock, where one is set.
    fn until_next(&self, trigger: Trigger) -> Option<Duration> {
        let Trigger::IntervalMs(ms) = trigger else { return None };
        let next = self.begun + Duration::from_millis(ms) * (self.triggers + 1);
        Some(next.saturating_duration_since(Instant::now()))
    }

    /// From the first fetch to the last commit.
    pub fn running_ms(&self) -> Option<u64> {
        self.last_commit.map(|last| last.duration_since(self.begun).as_millis() as u64)
    }
}

impl Coordinator<'_> {
    /// Runs until the end of a bounded run or until it is asked to stop.
    ///
    /// # Errors
    /// A worker, a plugin or the store failed; nothing since the last commit is committed.
    pub fn run(&mut self) -> anyhow::Result<()> {
        loop {
            let mut cut = self.wait_for_trigger()?;
            let reports = self.cut()?;
            if let Some(trial) = self.trial.take() {
                self.judge(trial, reports)?;
                continue;
            }
            self.shadow.at_cut(&reports);
            let now_ms = now_ms();
            self.note_positions(&reports, now_ms);
            let revision = self.topic.at_cut(&mut self.partitions)?;
            if revision.failure.is_some() {
                cut = Cut::Last;
            }
            self.commits.note_gaps(revision.gaps);
            let clocks = self.clocks_at(now_ms);
            let finished = Arc::clone(&self.epoch);
            let has_begun_anew = !revision.assignments.is_empty();
            let is_worth_it = has_begun_anew || self.is_worth_committing(&reports, &clocks);
            self.begin_epoch(is_worth_it, now_ms, &clocks);
            let swap = self.swap.take().and_then(Prepared::unless_taken_back);
            match (cut, swap) {
                (Cut::Last, swap) => refuse_at_end(swap),
                (Cut::Trigger, Some(mut swap)) => {
                    fail_point("swap.cut");
                    let epoch_before = self.begin_swap(&swap)?;
                    self.resume(&revision.assignments, |worker| {
                        swap.chains.get_mut(worker).and_then(Option::take).map(Turn::Swap)
                    })?;
                    fail_point("swap.resumed");
                    let (pause, from) = (self.pulse.watch.last(), self.partitions.marks());
                    self.trial = Some(Trial::begin(*swap, pause, from, &self.epoch, epoch_before));
                }
                (Cut::Trigger, None) => {
                    let turns = self.shadow.turns();
                    self.resume(&revision.assignments, turns)?;
                }
            }
            if is_worth_it {
                let folded = self.commits.fold(&finished, partials(reports), &clocks)?;
                self.shared.memory.note_open(self.commits.held());
                self.shadow.note_fold(&finished, &clocks, &folded, self.commits);
                self.commit(&finished, folded, &clocks)?;
                self.shared.memory.check(self.commits.held(), "what was read before is committed")?;
            }
            self.shadow.begin(self.commits);
            if let Some(trial) = &mut self.trial
                && let Some(replacement) = trial.take_replacement()
            {
                trial.failure = self.commits.begin_trial(replacement).err();
                fail_point("swap.taken_over");
            }
            if cut == Cut::Last {
                return revision.failure.map_or(Ok(()), Err);
            }
        }
    }

    fn begin_epoch(&mut self, after_commit: bool, now_ms: i64, clocks: &[AggregateClock]) {
        self.epoch = Arc::new(EpochContext {
            epoch: self.epoch.epoch + u64::from(after_commit),
            epoch_began_ms: now_ms,
            aggregates: clocks.to_vec(),
        });
    }

    /// Withholds what the swap's plugins are not to count; gives the epoch as it was.
    fn begin_swap(&mut self, swap: &Prepared) -> anyhow::Result<Arc<EpochContext>> {
        let greatest_event_ms = self.partitions.greatest_event_ms();
        let open_until_ms = self.commits.open_until_ms();
        let aggregates = swap.clocks(&self.epoch.aggregates, greatest_event_ms, &open_until_ms)?;
        let epoch = Arc::new(EpochContext { aggregates, ..*self.epoch });
        Ok(std::mem::replace(&mut self.epoch, epoch))
    }

    /// Ends a probation: what the new stages made is folded in and the open windows can be
    /// finished, or everything goes on from the cut as if they had never been.
    fn judge(&mut self, mut trial: Trial, reports: Vec<CutReport>) -> anyhow::Result<()> {
        let now_ms = now_ms();
        let (before, finished) = (self.partitions.clone(), Arc::clone(&self.epoch));
        self.note_positions(&reports, now_ms);
        let clocks = self.clocks_at(now_ms);
        let outcome = match trial.take_failure() {
            Some(error) => Err(error),
            None => self.commits.fold(&finished, partials(reports), &clocks),
        };
        fail_point("swap.folded");
        match outcome.and_then(|folded| self.commits.try_finish(&finished).map(|()| folded)) {
            Ok(folded) => {
                fail_point("swap.judged");
                self.commits.end_trial(true)?;
                self.begin_epoch(true, now_ms, &clocks);
                self.resume(&[], |_| Some(Turn::Promote))?;
                fail_point("swap.promoted");
                self.commit(&finished, folded, &clocks)?;
                fail_point("swap.sealed");
                trial.reply.swapped(finished.epoch, &trial.from, trial.pause + self.pulse.watch.last());
                fail_point("swap.replied");
            }
            Err(error) => {
                self.commits.end_trial(false)?;
                self.partitions = before;
                fail_point("swap.rolled_back");
                self.epoch = trial.epoch_before;
                self.resume(&[], |_| Some(Turn::Revert))?;
                fail_point("swap.reverted");
                warn!("a swap was rolled back: {error:#}");
                trial.reply.rolled_back(&error);
            }
        }
        self.shared.memory.note_open(self.commits.held());
        Ok(())
    }

    fn wait_for_trigger(&mut self) -> anyhow::Result<Cut> {
        let judged_at = self.trial.as_ref().map(|trial| trial.deadline);
        let due = judged_at.or_else(|| self.next_due());
        loop {
            let is_over = self.stop.is_asked() || self.trigger.is_bounded() && self.at_end_everywhere();
            let is_pressing = self.topic.is_pressing(&self.partitions);
            match &self.trial {
                Some(trial) if is_over || is_pressing || trial.is_lost() => return Ok(Cut::Trigger),
                None if self.stop.is_asked() => return Ok(Cut::Last),
                None if is_pressing => return Ok(Cut::Trigger),
                None if is_over => return Ok(Cut::Last),
                _ => {}
            }
            let event = match due {
                Some(due) => self.events.recv_deadline(due),
                None => self.events.recv().map_err(RecvTimeoutError::from),
            };
            match event {
                Ok(event) => {
                    if self.calls_for_cut(event)? {
                        return Ok(Cut::Trigger);
                    }
                }
                Err(RecvTimeoutError::Timeout) => return Ok(Cut::Trigger),
                Err(RecvTimeoutError::Disconnected) => {
                    bail!("all workers are gone; see the log lines before this")
                }
            }
        }
    }

    fn at_end_everywhere(&self) -> bool {
        self.pulse.at_end.len() == self.workers.len()
    }

    /// The next trigger by the clock; triggers that a slow commit has swallowed are left out.
    fn next_due(&mut self) -> Option<Instant> {
        match self.trigger {
            Trigger::IntervalMs(ms) => {
                let every = Duration::from_millis(ms);
                let elapsed = self.pulse.begun.elapsed().as_millis() as u64 / ms.max(1);
                self.pulse.triggers = (self.pulse.triggers + 1).max(elapsed as u32 + 1);
                Some(self.pulse.begun + every * self.pulse.triggers)
            }
            Trigger::Continuous => Some(Instant::now() + QUIET_LOOK),
            Trigger::Once | Trigger::AvailableNow => None,
        }
    }

    fn calls_for_cut(&mut self, event: Event) -> anyhow::Result<bool> {
        let (worker, report) = match event {
            Event::StopAsked | Event::TakenBack => return Ok(false),
            Event::Topic(seen) => {
                self.topic.note_seen(seen);
                return Ok(false);
            }
            Event::Swap(swap) => return Ok(self.takes(swap)),
            Event::Shadow(order) => {
                self.shadow.take(order);
                return Ok(true);
            }
            Event::Copy(order) => {
                // What is on probation is not shown.
                if self.trial.is_none() {
                    order.give(Epoch(self.epoch.epoch).previous(), &self.workers);
                }
                return Ok(false);
            }
            Event::Worker(worker, report) => (worker, report),
        };
        match report {
            Report::Failed(error) => Err(error),
            Report::Lost(partition, error) => {
                self.topic.note_loss(partition, error);
                Ok(false)
            }
            Report::FailedOnProbation(error) => {
                if let Some(trial) = &mut self.trial {
                    trial.failure.get_or_insert(error);
                }
                Ok(true)
            }
            Report::Cut(_) => bail!("worker {worker} handed over without being asked"),
            Report::Has(occasion) => Ok(match occasion {
                Occasion::TriedEnough => self.trial.is_some(),
                Occasion::ShadowedEnough => true,
                Occasion::Records => self.trigger == Trigger::Continuous && self.trial.is_none(),
                Occasion::FullSides => {
                    self.pulse.held_back = true;
                    true
                }
                Occasion::FullMemory if !self.shared.may_commit_early => bail!(
                    "the open groups take more than `memory_max` in [limits] allows, and the trigger `once` has one commit \
                     for everything; nothing was committed: set more, or give the trigger `available-now`"
                ),
                Occasion::FullMemory => {
                    self.pulse.held_back = true;
                    true
                }
                Occasion::SpentBudget => {
                    self.pulse.held_back = true;
                    self.trial.is_some() || !matches!(self.trigger, Trigger::IntervalMs(_))
                }
                Occasion::ReachedEnd => {
                    self.pulse.at_end.insert(worker);
                    false
                }
            }),
        }
    }

    /// Whether a swap can begin with the next cut.
    fn takes(&mut self, swap: Box<Prepared>) -> bool {
        let refusal = if self.trigger == Trigger::Once {
            "the trigger `once` makes one commit of everything, and a swap takes several"
        } else if self.swap.is_some() || self.trial.is_some() {
            "another swap is under way"
        } else {
            self.swap = Some(swap);
            return true;
        };
        swap.reply.refused(refusal);
        false
    }

    /// Has every worker end its batch and hand over.
    fn cut(&mut self) -> anyhow::Result<Vec<CutReport>> {
        self.pulse.watch.cut();
        for worker in &self.workers {
            // A worker that is gone has said why: its report is among the events.
            let _ = worker.send(Command::Cut);
        }
        let mut reports = Vec::with_capacity(self.workers.len());
        while reports.len() < self.workers.len() {
            match self.events.recv().context("all workers are gone; see the log lines before this")? {
                Event::Worker(_, Report::Cut(report)) => reports.push(*report),
                Event::Worker(_, Report::Failed(error)) => return Err(error),
                Event::Worker(_, Report::Lost(partition, error)) => self.topic.note_loss(partition, error),
                Event::Topic(seen) => self.topic.note_seen(seen),
                Event::Worker(_, Report::FailedOnProbation(error)) => {
                    if let Some(trial) = &mut self.trial {
                        trial.failure.get_or_insert(error);
                    }
                }
                Event::Swap(swap) if self.swap.is_none() && self.trial.is_none() => self.swap = Some(swap),
                Event::Swap(swap) => swap.reply.refused("another swap is under way"),
                Event::Shadow(order) => self.shadow.take(order),
                // Who asked for a copy asks again.
                Event::Worker(..) | Event::StopAsked | Event::TakenBack | Event::Copy(_) => {}
            }
        }
        self.shared.memory.handed_over();
        self.pulse.watch.handed_over();
        self.pulse.at_end.clear();
        Ok(reports)
    }

    fn note_positions(&mut self, reports: &[CutReport], now_ms: i64) {
        let now = Instant::now();
        let since_ms = now.duration_since(self.pulse.last_cut).as_millis() as u64;
        let was_away = self.topic.take_away();
        if was_away {
            self.partitions.break_silence();
        }
        for report in reports {
            self.partitions.note(report, now_ms, since_ms, self.pulse.held_back || was_away);
        }
        self.pulse.last_cut = now;
        self.pulse.held_back = false;
    }

    /// The first cut of a job always is: from then on its checkpoint says where it begins.
    fn is_worth_committing(&self, reports: &[CutReport], clocks: &[AggregateClock]) -> bool {
        let has_records = reports.iter().any(|report| report.partial.account.records_in > 0);
        has_records || *clocks != self.epoch.aggregates || self.commits.has_news()
    }

    /// Lets every worker go on, each with its partitions and its own turn of a swap.
    fn resume(
        &mut self,
        assignments: &[Assignment],
        mut turn: impl FnMut(usize) -> Option<Turn>,
    ) -> anyhow::Result<()> {
        self.shared.budget.refill();
        for (index, worker) in self.workers.iter().enumerate() {
            let is_its = |one: &&Assignment| feed_of(one.partition, self.workers.len()) == index;
            let assignments = assignments.iter().filter(is_its).copied().collect();
            let errand = Errand { assignments, turn: turn(index) };
            let resume = Command::Resume(Arc::clone(&self.epoch), errand);
            worker.send(resume).ok().context("a worker is gone; see the log lines before this")?;
        }
        self.pulse.watch.resumed();
        Ok(())
    }

    fn commit(
        &mut self,
        epoch: &EpochContext,
        folded: Folded,
        clocks: &[AggregateClock],
    ) -> anyhow::Result<()> {
        let (fold, began) = (folded.began.elapsed(), Instant::now());
        let done = self.commits.seal(epoch, folded, clocks, &self.partitions)?;
        let since_last = self.pulse.note_commit();
        let cut = self.pulse.watch.last().whole();
        let Done { stage, seal, publish, .. } = done;
        let took = Took { since_last, cut, fold, commit: began.elapsed(), stage, seal, publish };
        let taken_in = self.shared.live.taken_in.load(Ordering::Relaxed);
        info!(
            epoch = epoch.epoch,
            records = done.account.records_in,
            windows = done.windows,
            files = done.files,
            commit_ms = (fold + took.commit).as_millis() as u64,
            drift_ms = self.partitions.drift_ms(),
            stood_us = self.pulse.watch.last().beyond_us(),
            total = done.total_records,
            "committed"
        );
        debug!(taken_in, clocks = ?clocks, "clocks");
        fail_point("offsets.before_commit");
        self.tell_lag_monitors();
        fail_point("offsets.after_commit");
        let progress = self.progress(epoch, done, took, clocks);
        (self.on_commit)(&progress);
        self.partitions.note_commit();
        Ok(())
    }

    fn progress(&self, epoch: &EpochContext, done: Done, took: Took, clocks: &[AggregateClock]) -> Progress {
        Progress {
            epoch: epoch.epoch,
            generation: done.generation,
            began_ms: epoch.epoch_began_ms,
            took,
            account: done.account,
            event_times: done.event_times,
            windows: done.windows,
            files: done.files,
            published_bytes: done.published_bytes,
            sides: done.sides,
            records_in: done.total_records,
            windows_out: done.total_windows,
            clock_ms: self.partitions.clock_ms(),
            partitions: self.partitions.steps(),
            aggregates: self.commits.standings(clocks),
            next_trigger: self.pulse.until_next(self.trigger),
        }
    }

    /// The group's offsets are for lag monitors alone and are never read back.
    fn tell_lag_monitors(&self) {
        if let Some(source) = self.source
            && let Err(error) = source.commit_for_monitoring(&self.partitions.next_offsets())
        {
            warn!("lag monitors do not see this commit: {error}");
        }
    }
}

fn partials(reports: Vec<CutReport>) -> Vec<Partial> {
    reports.into_iter().map(|report| report.partial).collect()
}

fn refuse_at_end(swap: Option<Box<Prepared>>) {
    if let Some(swap) = swap {
        swap.reply.refused("the job is ending");
    }
}
