//! Ending the process that owns a job, so that this one can go on: asked to end in
//! order first, killed where it does not. A stopped process is woken to hear it.
//!
//! Only the process that the lock file names is ever signalled, and only while its
//! start time is the recorded one: a number that has gone to another process is left
//! alone. That process is held by a descriptor, so its number cannot change hands
//! between the look and the signal.

use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use speed_layer_store::layer::{FileLayer, Owner};
use speed_layer_store::{DiskLayer, DiskStore, StoreError};
use tracing::{info, warn};

const LOOK_EVERY: Duration = Duration::from_millis(20);

/// How long each stage may take.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// A new owner holds the lock for a moment before it has written its name.
    unnamed: Duration,
    /// To commit what is whole and end.
    asked: Duration,
    /// To vanish.
    killed: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        let [unnamed, asked, killed] = [2, 15, 30].map(Duration::from_secs);
        Self { unnamed, asked, killed }
    }
}

/// Ends whoever owns the job of `store` and waits until it is free. Does nothing if
/// it is free already.
///
/// # Errors
/// The lock's holder is not the process that the lock file names, may not be
/// signalled, or does not end.
pub fn take_over(store: &DiskStore, patience: Patience) -> anyhow::Result<()> {
    let Some(owner) = named_holder(store, patience.unnamed)? else { return Ok(()) };
    let pid = owner.pid;
    let Some(process) = Process::hold(owner)? else { return free_within(store, patience.killed, pid) };
    info!(pid, "asking the job's owner to end");
    process.signal(Signal::TERM)?;
    process.signal(Signal::CONT)?;
    if is_free_within(store, patience.asked)? {
        return Ok(());
    }
    warn!(
        pid,
        waited_s = patience.asked.as_secs(),
        "the job's owner does not end, so it is killed; nothing is lost by that"
    );
    process.signal(Signal::KILL)?;
    free_within(store, patience.killed, pid)
}

fn free_within(store: &DiskStore, limit: Duration, pid: u32) -> anyhow::Result<()> {
    if is_free_within(store, limit)? {
        return Ok(());
    }
    bail!(
        "process {pid} was ended, but the job is not free after {} s: a service manager may have started it again \
         (stop it there), or its disk does not answer",
        limit.as_secs()
    )
}

/// Who holds the job's lock.
enum Holder {
    Nobody,
    Named(Owner),
    /// The lock file names nobody, or a process that is gone.
    Unknown {
        path: PathBuf,
        named: Option<Owner>,
    },
}

fn holder(store: &DiskStore) -> Result<Holder, StoreError> {
    match store.check_unowned() {
        Ok(()) => Ok(Holder::Nobody),
        Err(StoreError::Owned { owner: Some(owner), .. }) if DiskLayer.is_running(owner) => {
            Ok(Holder::Named(owner))
        }
        Err(StoreError::Owned { path, owner }) => Ok(Holder::Unknown { path, named: owner }),
        Err(other) => Err(other),
    }
}

/// The running process that the lock file names; `None` if the lock is free.
fn named_holder(store: &DiskStore, limit: Duration) -> anyhow::Result<Option<Owner>> {
    let deadline = Instant::now() + limit;
    loop {
        match holder(store)? {
            Holder::Nobody => return Ok(None),
            Holder::Named(owner) => return Ok(Some(owner)),
            Holder::Unknown { path, named } if Instant::now() > deadline => {
                let named = named.map_or("names nobody".to_owned(), |owner| {
                    format!("names process {}, which is gone or another one by now", owner.pid)
                });
                bail!(
                    "{path} is held, but {named}; nothing was signalled: `fuser {path}` says who holds it, end that \
                     one by hand",
                    path = path.display()
                )
            }
            Holder::Unknown { .. } => thread::sleep(LOOK_EVERY),
        }
    }
}

fn is_free_within(store: &DiskStore, limit: Duration) -> Result<bool, StoreError> {
    let deadline = Instant::now() + limit;
    while !matches!(holder(store)?, Holder::Nobody) {
        if Instant::now() > deadline {
            return Ok(false);
        }
        thread::sleep(LOOK_EVERY);
    }
    Ok(true)
}

/// A process that is the recorded one.
struct Process {
    pid: u32,
    descriptor: OwnedFd,
}

impl Process {
    /// `None` if it is gone, or if its number is another process's.
    fn hold(owner: Owner) -> anyhow::Result<Option<Self>> {
        let Some(number) = i32::try_from(owner.pid).ok().and_then(Pid::from_raw) else { return Ok(None) };
        let descriptor = match pidfd_open(number, PidfdFlags::empty()) {
            Err(Errno::SRCH) => return Ok(None),
            opened => opened.with_context(|| format!("process {} cannot be looked at", owner.pid))?,
        };
        Ok(DiskLayer.is_running(owner).then_some(Self { pid: owner.pid, descriptor }))
    }

    /// One that is gone needs no signal.
    fn signal(&self, signal: Signal) -> anyhow::Result<()> {
        match pidfd_send_signal(&self.descriptor, signal) {
            Ok(()) | Err(Errno::SRCH) => Ok(()),
            Err(cause) => Err(cause).with_context(|| {
                format!("process {}, which owns the job, cannot be ended; do that as its user", self.pid)
            }),
        }
    }
}

#[cfg(test)]
#[path = "take_over_tests.rs"]
mod tests;
