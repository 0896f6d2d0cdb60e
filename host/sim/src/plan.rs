//! What befalls one process: where it stops and how, and which operation fails.
//! Drawn from a seed; nothing is done here.

use fastrand::Rng;
use rustix::io::Errno;

/// An operation on the file layer, as plans and the log name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Op {
    Create,
    Write,
    SyncFile,
    SyncDir,
    SyncFileSystem,
    Link,
    Unlink,
    MakeDir,
    Lock,
    Look,
}

impl Op {
    /// Whether it changes anything, or makes a change durable.
    pub fn changes(self) -> bool {
        !matches!(self, Self::Look | Self::Lock)
    }

    fn is_sync(self) -> bool {
        matches!(self, Self::SyncFile | Self::SyncDir | Self::SyncFileSystem)
    }
}

/// The end of a process, before or after one of its changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stop {
    /// The number of the change, from 1.
    pub at: u32,
    pub after: bool,
    pub what: What,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// The process is gone; what it wrote is there to be read.
    Killed,
    /// The machine is: what was not synced may be gone too.
    PowerLost,
}

/// A file operation that fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fault {
    /// The first operation that fits at or after this change.
    pub at: u32,
    pub kind: FaultKind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FaultKind {
    /// A sync fails, and those after it say that all is well.
    Sync,
    /// A change fails once with `EIO`.
    Change,
    /// There is no room from here on: nothing can be made or written.
    Full,
    /// The file system is read-only from here on.
    ReadOnly,
    /// Looking fails once with `EIO`.
    Look,
}

/// See the module.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Plan {
    pub stop: Option<Stop>,
    pub fault: Option<Fault>,
    /// Writes may take fewer bytes than they are given.
    pub short_writes: bool,
}

impl Plan {
    /// One process of two is stopped half the time only: they are to meet.
    pub fn draw(rng: &mut Rng, of_two: bool) -> Self {
        let stop = (rng.u8(..8) > if of_two { 3 } else { 0 }).then(|| Stop {
            at: draw_change(rng),
            after: rng.bool(),
            what: if rng.bool() { What::PowerLost } else { What::Killed },
        });
        let fault = (rng.u8(..4) == 0).then(|| Fault { at: draw_change(rng), kind: draw_kind(rng) });
        Self { stop, fault, short_writes: rng.u8(..4) == 0 }
    }

    /// How operation `op`, with this many changes made before it, fails.
    pub fn failure(&mut self, op: Op, change: u32) -> Option<(FaultKind, Errno)> {
        let fault = self.fault.filter(|fault| change >= fault.at && fault.kind.befalls(op))?;
        if !matches!(fault.kind, FaultKind::Full | FaultKind::ReadOnly) {
            self.fault = None;
        }
        Some((fault.kind, fault.kind.errno()))
    }
}

impl FaultKind {
    fn befalls(self, op: Op) -> bool {
        match self {
            Self::Sync => op.is_sync(),
            Self::Change | Self::ReadOnly => op.changes() && !op.is_sync(),
            Self::Full => matches!(op, Op::Create | Op::Write | Op::Link | Op::MakeDir),
            Self::Look => op == Op::Look,
        }
    }

    fn errno(self) -> Errno {
        match self {
            Self::Sync | Self::Change | Self::Look => Errno::IO,
            Self::Full => Errno::NOSPC,
            Self::ReadOnly => Errno::ROFS,
        }
    }
}

/// Half of them fall into a start, the others anywhere in a run.
fn draw_change(rng: &mut Rng) -> u32 {
    let end = [40, 40, 200, 1_000][rng.usize(..4)];
    rng.u32(1..end)
}

fn draw_kind(rng: &mut Rng) -> FaultKind {
    use FaultKind::{Change, Full, Look, ReadOnly, Sync};
    [Sync, Sync, Sync, Change, Full, ReadOnly, Look][rng.usize(..7)]
}
