//! One seed's story: processes start, work, are stopped, fail and start again, now
//! and then two at once; at last one reads everything and ends in order, and another
//! finds nothing left to do. The same seed tells the same story.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;

use fastrand::Rng;
use speed_layer_core::commit::{Epoch, JobName, OutputId};
use speed_layer_store::{CommitError, Layout, PosixStore, StoreError};

use crate::job::{Habits, JobError, Witness, run};
use crate::layer::MemoryLayer;
use crate::machine::{Ended, Machine, Pid};
use crate::mutants::{Mutant, MutantLayer, MutantStore};
use crate::plan::Plan;
use crate::truth::{Group, Sum, Truth};
use crate::watcher::{Places, Violation, Watcher};

const JOB: &str = "job";
const DATA: &str = "/data";
const DISTURBED_MAX: usize = 6;

/// What a seed brought about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tally {
    pub seeds: u64,
    pub processes: u64,
    /// Killed, or the power was lost.
    pub stopped: u64,
    /// An operation failed.
    pub faulty: u64,
    /// Two processes at once.
    pub rivals: u64,
    /// Processes that found another one to have gone on.
    pub fenced: u64,
    pub clean_ends: u64,
    pub changes: u64,
}

impl Tally {
    pub fn add(&mut self, other: Self) {
        self.seeds += other.seeds;
        self.processes += other.processes;
        self.stopped += other.stopped;
        self.faulty += other.faulty;
        self.rivals += other.rivals;
        self.fenced += other.fenced;
        self.clean_ends += other.clean_ends;
        self.changes += other.changes;
    }
}

/// A seed that broke a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    pub seed: u64,
    pub violation: Violation,
    /// Everything that happened, a line each.
    pub log: Vec<String>,
}

type Outcome = Result<BTreeMap<Group, Sum>, JobError>;

/// Plays a seed through, with a planted bug if one is given.
///
/// # Errors
/// [`Failure`], with the whole log: the seed is played a second time for it.
pub fn play(seed: u64, mutant: Option<Mutant>) -> Result<Tally, Failure> {
    let story = Story::new(seed, mutant, false);
    story.tell().map_err(|violation| {
        let again = Story::new(seed, mutant, true);
        let told = again.tell();
        let mut log = again.machine.take_log();
        if told != Err(violation.clone()) {
            log.push(format!("played again, it ends otherwise: {told:?}"));
        }
        Failure { seed, violation, log }
    })
}

/// The log of a seed, whatever its end.
pub fn log(seed: u64, mutant: Option<Mutant>) -> Vec<String> {
    let story = Story::new(seed, mutant, true);
    let end = story.tell();
    let mut log = story.machine.take_log();
    log.push(match end {
        Ok(tally) => format!("ends well: {tally:?}"),
        Err(violation) => format!("violated: {violation}"),
    });
    log
}

struct Story {
    machine: Arc<Machine>,
    truth: Arc<Truth>,
    rng: Rng,
    mutant: Option<Mutant>,
}

/// One process as the story sees it.
struct Actor<'a> {
    story: &'a Story,
    pid: Pid,
    rng: Rng,
    habits: Habits,
    /// It gets in beside an owner, because the lock file is lost.
    breaks_in: bool,
}

impl Story {
    fn new(seed: u64, mutant: Option<Mutant>, logs: bool) -> Self {
        let mut rng = Rng::with_seed(seed);
        let truth = Arc::new(Truth::draw(&mut rng.fork()));
        let watcher = Watcher::new(places(&truth), truth.clone());
        let machine = Arc::new(Machine::new(Path::new(DATA), watcher, rng.fork(), logs));
        Self { machine, truth, rng, mutant }
    }

    fn tell(&self) -> Result<Tally, Violation> {
        let mut rng = self.rng.clone();
        let mut tally = Tally { seeds: 1, ..Tally::default() };
        let disturbed = rng.usize(..=DISTURBED_MAX);
        let (arrives_slowly, rival_one_in) = (rng.bool(), [8, 2, 1][rng.usize(..3)]);
        for number in 1..=disturbed {
            let arrived_percent = if arrives_slowly { 100 * number / (disturbed + 1) } else { 100 };
            let with_rival = rng.u8(..rival_one_in) == 0;
            self.disturbed(arrived_percent, with_rival, &mut rng, &mut tally)?;
        }
        if self.machine.gave_up() {
            self.machine.lose_power();
        }
        let habits = Habits { end_one_in: 0, ..Habits::draw(&mut rng, 100) };
        let mut open = BTreeMap::new();
        for _ in 0..2 {
            open = self.undisturbed(habits, &mut rng, &mut tally)?;
        }
        tally.changes = self.machine.changes();
        self.machine.verdict(|watcher, disk| watcher.judge_end(disk, &open))?;
        Ok(tally)
    }

    fn undisturbed(
        &self,
        habits: Habits,
        rng: &mut Rng,
        tally: &mut Tally,
    ) -> Result<BTreeMap<Group, Sum>, Violation> {
        let pid = self.machine.start(Plan::default());
        let actor = Actor { story: self, pid, rng: rng.fork(), habits, breaks_in: false };
        let (outcome, ended) = actor.play();
        tally.processes += 1;
        self.judge(pid, outcome, ended, false)?.ok_or_else(|| {
            Violation::new("a process that nothing befalls ends well", format!("process {pid} was stopped"))
        })
    }

    /// One process to its end, or two at once.
    fn disturbed(
        &self,
        arrived_percent: usize,
        with_rival: bool,
        rng: &mut Rng,
        tally: &mut Tally,
    ) -> Result<(), Violation> {
        if self.machine.gave_up() || rng.u8(..8) == 0 {
            self.machine.lose_power();
        }
        let mut actor = |breaks_in: bool| Actor {
            story: self,
            pid: self.machine.start(Plan::draw(rng, with_rival)),
            rng: rng.fork(),
            habits: Habits::draw(rng, arrived_percent),
            breaks_in,
        };
        let first = actor(false);
        let rival = with_rival.then(|| actor(true));
        let mut endings = Vec::new();
        thread::scope(|scope| {
            let rival = rival.map(|rival| (rival.pid, scope.spawn(|| rival.play())));
            endings.push((first.pid, first.play()));
            if let Some((pid, rival)) = rival {
                endings.extend(rival.join().ok().map(|ending| (pid, ending)));
            }
        });
        tally.processes += endings.len() as u64;
        tally.rivals += u64::from(with_rival);
        let mut clean = !with_rival;
        for (pid, (outcome, ended)) in endings {
            tally.fenced += u64::from(is_fenced(&outcome) && !ended.stopped);
            tally.stopped += u64::from(ended.stopped);
            tally.faulty += u64::from(ended.fault_seen);
            clean &= self.judge(pid, outcome, ended, with_rival)?.is_some();
        }
        tally.clean_ends += u64::from(clean);
        if clean && rng.bool() {
            self.machine.move_away(3);
        }
        Ok(())
    }

    /// Whether the process had a reason to end as it did; what it held open, if it
    /// ended well.
    fn judge(
        &self,
        pid: Pid,
        outcome: Result<Outcome, String>,
        ended: Ended,
        with_rival: bool,
    ) -> Result<Option<BTreeMap<Group, Sum>>, Violation> {
        self.machine.verdict(|_, _| Ok(()))?;
        let cause = match outcome {
            Err(panic) => return Err(Violation::new("no process panics", panic)),
            Ok(Ok(open)) => return Ok((!ended.stopped).then_some(open)),
            Ok(Err(_)) if ended.stopped => return Ok(None),
            Ok(Err(cause)) => cause,
        };
        self.machine.note(|| format!("process {pid} ends: {cause}"));
        let has_reason = match &cause {
            JobError::Commit(CommitError::Fenced { .. } | CommitError::Store(StoreError::Owned { .. })) => {
                with_rival
            }
            JobError::Commit(CommitError::Store(_) | CommitError::Parquet { .. }) => ended.fault_seen,
            _ => false,
        };
        if has_reason {
            return Ok(None);
        }
        Err(Violation::new("a process ends for a reason only", format!("process {pid}: {cause}")))
    }
}

impl Actor<'_> {
    fn play(mut self) -> (Result<Outcome, String>, Ended) {
        let outcome = catch_unwind(AssertUnwindSafe(|| self.run())).map_err(|panic| {
            let text = panic.downcast_ref::<String>().cloned();
            text.or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string)).unwrap_or_default()
        });
        (outcome, self.story.machine.end(self.pid))
    }

    fn run(&mut self) -> Outcome {
        let machine = &self.story.machine;
        let layout = layout(&self.story.truth).map_err(CommitError::from)?;
        if self.breaks_in && self.rng.u8(..4) > 0 {
            machine.remove(self.pid, &layout.checkpoint_dir().join("lock"));
        }
        let layer = MemoryLayer::new(machine.clone(), self.pid);
        let witness = Observer { machine, pid: self.pid };
        let (truth, habits) = (&self.story.truth, self.habits);
        match self.story.mutant {
            None => run(PosixStore::new(layer, layout), truth, habits, &mut self.rng, &witness),
            Some(mutant) => {
                let store = PosixStore::new(MutantLayer::new(layer, mutant), layout);
                run(MutantStore::new(store, mutant), truth, habits, &mut self.rng, &witness)
            }
        }
    }
}

fn is_fenced(outcome: &Result<Outcome, String>) -> bool {
    matches!(outcome, Ok(Err(JobError::Commit(CommitError::Fenced { .. }))))
}

struct Observer<'a> {
    machine: &'a Machine,
    pid: Pid,
}

impl Witness for Observer<'_> {
    fn durable(&self, through: Epoch) {
        self.machine.promise(self.pid, through);
    }
}

fn output_root(aggregate: &str) -> PathBuf {
    Path::new(DATA).join("out").join(aggregate)
}

fn layout(truth: &Truth) -> Result<Layout, StoreError> {
    let job = JobName::new(JOB).map_err(|_| StoreError::Unnamed { path: PathBuf::from(JOB) })?;
    let outputs: Vec<(String, PathBuf)> =
        truth.aggregates.iter().map(|what| (what.name.to_owned(), output_root(what.name))).collect();
    Layout::new(job, &Path::new(DATA).join("checkpoints"), &outputs)
}

/// The same once more, from the documents rather than from the code.
fn places(truth: &Truth) -> Places {
    let roots = truth
        .aggregates
        .iter()
        .map(|what| (OutputId::Aggregate(what.name.to_owned()), output_root(what.name)));
    let first = truth.aggregates[0].name;
    let beside = |suffix: &str| output_root(&format!("{first}.{suffix}")).join(JOB);
    let sides = [
        (OutputId::DeadLetters, beside("dead-letters")),
        (OutputId::Late, beside("late")),
        (OutputId::Partial, beside("partial")),
    ];
    Places {
        roots: roots.chain(sides).collect(),
        checkpoints: Path::new(DATA).join("checkpoints").join(JOB),
        staging: truth
            .aggregates
            .iter()
            .map(|what| output_root(&format!("{}.staging", what.name)).join(JOB))
            .collect(),
    }
}
