//! The simulated machine: a disk, the processes on it, whose turn it is, and what
//! befalls them. Processes are threads of which exactly one runs at a time; after
//! each operation the seed says whether another goes on. After each change the
//! watcher looks at the disk as a reader would.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::Path;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use fastrand::Rng;
use rustix::io::Errno;
use speed_layer_core::commit::Epoch;

use crate::disk::{Disk, Ino};
use crate::plan::{FaultKind, Op, Plan, What};
use crate::watcher::{Violation, Watcher};

const BURST_POWERS: u32 = 12;

/// The number of a process; never used again.
pub type Pid = u32;

/// See the module.
pub struct Machine {
    state: Mutex<State>,
    passed_on: Condvar,
}

struct State {
    disk: Disk,
    rng: Rng,
    /// So many operations later another process goes on.
    burst: u32,
    processes: BTreeMap<Pid, Process>,
    turn: Pid,
    locks: BTreeMap<Ino, Pid>,
    /// The file system gave up after a directory could not be synced.
    gave_up: bool,
    watcher: Watcher,
    violation: Option<Violation>,
    /// Lines of what happened, if anybody wants them.
    log: Option<Vec<String>>,
}

#[derive(Default)]
struct Process {
    plan: Plan,
    changes: u32,
    running: bool,
    fault_seen: bool,
    failed_syncs: BTreeSet<Ino>,
}

/// How a process came to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ended {
    /// By the plan, or with the machine; else by itself.
    pub stopped: bool,
    /// An operation of its failed.
    pub fault_seen: bool,
}

/// A step of a process while it has its turn.
pub struct Turn<'a> {
    pub disk: &'a mut Disk,
    pub rng: &'a mut Rng,
    pub locks: &'a mut BTreeMap<Ino, Pid>,
    pub short_writes: bool,
    /// The operation is to fail so, having done what such a failure may have done.
    pub fails: Option<Errno>,
}

impl Turn<'_> {
    /// For an operation that fails without any effect.
    pub fn or_fail(&self) -> io::Result<()> {
        self.fails.map_or(Ok(()), |errno| Err(errno.into()))
    }
}

fn gone() -> io::Error {
    io::Error::other("the process is gone")
}

impl Machine {
    /// A machine on whose disk there is the directory `base` and nothing else.
    pub fn new(base: &Path, watcher: Watcher, rng: Rng, logs: bool) -> Self {
        let mut disk = Disk::default();
        // A base that cannot be made shows at the first operation.
        drop(disk.make_dir(base));
        disk.sync_all();
        let state = State {
            disk,
            rng,
            burst: 0,
            processes: BTreeMap::new(),
            turn: 0,
            locks: BTreeMap::new(),
            gave_up: false,
            watcher,
            violation: None,
            log: logs.then(Vec::new),
        };
        Self { state: Mutex::new(state), passed_on: Condvar::new() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts a process; the first of those running has the turn.
    pub fn start(&self, plan: Plan) -> Pid {
        let mut state = self.state();
        let pid = state.processes.keys().next_back().map_or(1, |last| last + 1);
        if state.others(pid).is_empty() {
            state.turn = pid;
            // Long enough, mostly, to own the job before another one comes.
            state.burst = 1 << state.rng.u32(BURST_POWERS / 2..BURST_POWERS);
        }
        state.note(|| format!("process {pid} starts: {plan:?}"));
        state.processes.insert(pid, Process { plan, running: true, ..Process::default() });
        pid
    }

    /// The process is at its end, by itself or not.
    pub fn end(&self, pid: Pid) -> Ended {
        let mut state = self.wait_for_turn(pid);
        let process = state.processes.entry(pid).or_default();
        let ended = Ended { stopped: !process.running, fault_seen: process.fault_seen };
        process.running = false;
        state.locks.retain(|_, holder| *holder != pid);
        state.pass_on(pid);
        drop(state);
        self.passed_on.notify_all();
        ended
    }

    /// Waits until it is the process's turn, or it is gone.
    fn wait_for_turn(&self, pid: Pid) -> MutexGuard<'_, State> {
        let waits = |state: &mut State| state.turn != pid && state.is_running(pid);
        self.passed_on.wait_while(self.state(), waits).unwrap_or_else(PoisonError::into_inner)
    }

    /// One operation of a process, on `ino` where that is known already.
    ///
    /// # Errors
    /// The process is gone, or the operation failed: by plan or by itself.
    pub fn step<T>(
        &self,
        pid: Pid,
        op: Op,
        (path, ino): (&Path, Option<Ino>),
        act: impl FnOnce(&mut Turn<'_>) -> io::Result<T>,
    ) -> io::Result<T> {
        let mut state = self.wait_for_turn(pid);
        if !state.is_running(pid) {
            return Err(gone());
        }
        let outcome = state.step(pid, op, path, ino, act);
        state.pass_turn(pid);
        drop(state);
        self.passed_on.notify_all();
        outcome
    }

    /// An end that is nobody's plan: power is lost while nothing runs.
    pub fn lose_power(&self) {
        self.state().lose_power();
    }

    pub fn is_running(&self, pid: Pid) -> bool {
        self.state().is_running(pid)
    }

    /// Whether nothing can be written until the machine is started anew.
    pub fn gave_up(&self) -> bool {
        self.state().gave_up
    }

    /// A process said that all epochs up to this one are published and durable.
    pub fn promise(&self, pid: Pid, through: Epoch) {
        let mut state = self.wait_for_turn(pid);
        if state.is_running(pid) {
            state.note(|| format!("process {pid} has everything through epoch {through}"));
            state.watcher.promise(through);
        }
    }

    /// The owner of the outputs removes some of the files, as after a clean end.
    pub fn move_away(&self, one_in: usize) {
        let mut state = self.state();
        let State { disk, rng, watcher, .. } = &mut *state;
        let moved = watcher.move_away(disk, |_| rng.usize(..one_in) == 0);
        state.note(|| format!("the owner of the outputs removed {moved:?}"));
    }

    /// Somebody removes a file that is none of theirs; whether it was there.
    pub fn remove(&self, pid: Pid, path: &Path) {
        let removed = self.step(pid, Op::Look, (path, None), |turn| {
            let removed = turn.disk.unlink(path).is_ok();
            Ok(removed)
        });
        self.state().note(|| format!("somebody removes {}: {removed:?}", path.display()));
    }

    /// Looks for what must hold at the end, and gives the first thing that did not
    /// hold, then or before.
    pub fn verdict(
        &self,
        judge: impl FnOnce(&Watcher, &Disk) -> Result<(), Violation>,
    ) -> Result<(), Violation> {
        let mut state = self.state();
        match state.violation.take() {
            Some(violation) => Err(violation),
            None => judge(&state.watcher, &state.disk),
        }
    }

    /// Changes made by all processes.
    pub fn changes(&self) -> u64 {
        self.state().processes.values().map(|process| u64::from(process.changes)).sum()
    }

    pub fn note(&self, line: impl FnOnce() -> String) {
        self.state().note(line);
    }

    pub fn take_log(&self) -> Vec<String> {
        self.state().log.take().unwrap_or_default()
    }
}

impl State {
    fn is_running(&self, pid: Pid) -> bool {
        self.processes.get(&pid).is_some_and(|process| process.running)
    }

    fn others(&self, pid: Pid) -> Vec<Pid> {
        let running = self.processes.iter().filter(|(other, process)| process.running && **other != pid);
        running.map(|(other, _)| *other).collect()
    }

    fn note(&mut self, line: impl FnOnce() -> String) {
        if let Some(log) = &mut self.log {
            log.push(line());
        }
    }

    fn step<T>(
        &mut self,
        pid: Pid,
        op: Op,
        path: &Path,
        ino: Option<Ino>,
        act: impl FnOnce(&mut Turn<'_>) -> io::Result<T>,
    ) -> io::Result<T> {
        let process = self.processes.entry(pid).or_default();
        process.changes += u32::from(op.changes());
        let change = process.changes;
        let stop = process.plan.stop.filter(|stop| op.changes() && stop.at == change);
        let early = stop.filter(|stop| !stop.after);
        let fails = if early.is_some() { Some(Errno::INTR) } else { self.failure(pid, op, path, ino) };
        let outcome = self.act(pid, fails, act);
        self.note(|| {
            let said = outcome.as_ref().map_or_else(ToString::to_string, |_| "ok".to_owned());
            format!("process {pid} change {change}: {op:?} {}: {said}", path.display())
        });
        if op.changes() {
            self.look();
        }
        if let Some(stop) = stop {
            self.stop(pid, stop.what);
            return Err(gone());
        }
        outcome
    }

    fn act<T>(
        &mut self,
        pid: Pid,
        fails: Option<Errno>,
        act: impl FnOnce(&mut Turn<'_>) -> io::Result<T>,
    ) -> io::Result<T> {
        let short_writes = self.processes.get(&pid).is_some_and(|process| process.plan.short_writes);
        let State { disk, rng, locks, .. } = self;
        act(&mut Turn { disk, rng, locks, short_writes, fails })
    }

    /// Whether and how the operation fails. After a failed sync the process must end,
    /// so a second one of the same thing breaks the contract; and a directory's
    /// failed sync is the end of writing, as journals that fail are.
    fn failure(&mut self, pid: Pid, op: Op, path: &Path, ino: Option<Ino>) -> Option<Errno> {
        let process = self.processes.entry(pid).or_default();
        if op == Op::SyncFile && ino.is_some_and(|ino| process.failed_syncs.contains(&ino)) {
            self.violation.get_or_insert_with(|| Violation::sync_again(path));
        }
        if self.gave_up && op.changes() {
            process.fault_seen = true;
            return Some(Errno::ROFS);
        }
        let (kind, errno) = process.plan.failure(op, process.changes)?;
        process.fault_seen = true;
        if kind == FaultKind::Sync {
            process.failed_syncs.extend(ino);
            match op {
                Op::SyncDir => self.gave_up = true,
                Op::SyncFileSystem => self.disk.drop_all_unsynced(),
                _ => ino.into_iter().for_each(|ino| self.disk.drop_unsynced(ino)),
            }
        }
        Some(errno)
    }

    fn look(&mut self) {
        if self.violation.is_none()
            && let Err(violation) = self.watcher.look(&self.disk)
        {
            self.violate(violation);
        }
    }

    fn violate(&mut self, violation: Violation) {
        self.note(|| format!("violated: {violation}"));
        self.violation = Some(violation);
        self.processes.values_mut().for_each(|process| process.running = false);
    }

    fn stop(&mut self, pid: Pid, what: What) {
        self.note(|| format!("process {pid} ends here: {what:?}"));
        match what {
            What::Killed => {
                self.processes.entry(pid).or_default().running = false;
                self.locks.retain(|_, holder| *holder != pid);
            }
            What::PowerLost => self.lose_power(),
        }
    }

    fn lose_power(&mut self) {
        self.processes.values_mut().for_each(|process| process.running = false);
        self.locks.clear();
        self.gave_up = false;
        self.disk.lose_power(&mut self.rng);
        self.note(|| "the power is lost".to_owned());
        if self.violation.is_none()
            && let Err(violation) = self.watcher.look_after_power_loss(&self.disk)
        {
            self.violate(violation);
        }
    }

    fn pass_turn(&mut self, pid: Pid) {
        let others = self.others(pid);
        if others.is_empty() {
            return;
        }
        self.burst = self.burst.saturating_sub(1);
        if self.burst == 0 || !self.is_running(pid) {
            self.turn = others[self.rng.usize(..others.len())];
            self.burst = self.draw_burst();
        }
    }

    /// Some bursts are a few operations long, others several commits; and some last for as long as
    /// the process does, as if the others had been stopped by a signal meanwhile.
    fn draw_burst(&mut self) -> u32 {
        match self.rng.u32(..=BURST_POWERS) {
            BURST_POWERS => u32::MAX,
            power => 1 << power,
        }
    }

    fn pass_on(&mut self, pid: Pid) {
        if self.turn == pid
            && let Some(other) = self.others(pid).first()
        {
            self.turn = *other;
        }
    }
}
