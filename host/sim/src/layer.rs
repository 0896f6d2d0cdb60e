//! The file layer of one simulated process: every operation is a step of its machine.
//! How a failure shows is told here: a write that fails may have written a part.

use std::io::{self, Cursor, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use speed_layer_store::layer::{Entry, FileLayer, LayerDir, LayerFile, LockAttempt, Owner, Stat};

use crate::disk::Ino;
use crate::machine::{Machine, Pid, Turn};
use crate::plan::Op;

/// See the module.
#[derive(Clone)]
pub struct MemoryLayer {
    machine: Arc<Machine>,
    pid: Pid,
}

/// A file being written, or a directory; open as long as it lives.
pub struct Handle {
    layer: MemoryLayer,
    path: PathBuf,
    ino: Ino,
}

/// Freed when it is dropped or its process is gone.
pub struct MemoryLock(Handle);

impl MemoryLayer {
    pub fn new(machine: Arc<Machine>, pid: Pid) -> Self {
        Self { machine, pid }
    }

    fn step<T>(
        &self,
        op: Op,
        path: &Path,
        act: impl FnOnce(&mut Turn<'_>) -> io::Result<T>,
    ) -> io::Result<T> {
        self.machine.step(self.pid, op, (path, None), |turn| {
            turn.or_fail()?;
            act(turn)
        })
    }

    fn handle(&self, path: &Path, ino: Ino) -> Handle {
        Handle { layer: self.clone(), path: path.to_owned(), ino }
    }

    /// Whoever holds the lock is what the lock file says.
    fn owner(&self, pid: Pid) -> Owner {
        Owner { pid, start_ticks: u64::from(pid) }
    }
}

impl FileLayer for MemoryLayer {
    type File = Handle;
    type Dir = Handle;
    type Reader = Cursor<Vec<u8>>;
    type Lock = MemoryLock;

    fn create_new(&self, path: &Path) -> io::Result<Handle> {
        let ino = self.step(Op::Create, path, |turn| turn.disk.create(path))?;
        Ok(self.handle(path, ino))
    }

    fn open(&self, path: &Path) -> io::Result<Self::Reader> {
        self.step(Op::Look, path, |turn| {
            let ino = turn.disk.find(path)?.ino;
            turn.disk.bytes(ino).map(|bytes| Cursor::new(bytes.to_vec()))
        })
    }

    fn open_dir(&self, path: &Path) -> io::Result<Handle> {
        let found = self.step(Op::Look, path, |turn| turn.disk.find(path))?;
        if !found.is_dir {
            return Err(io::ErrorKind::NotADirectory.into());
        }
        Ok(self.handle(path, found.ino))
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.step(Op::Link, to, |turn| turn.disk.link(from, to))
    }

    fn unlink(&self, path: &Path) -> io::Result<()> {
        self.step(Op::Unlink, path, |turn| turn.disk.unlink(path))
    }

    fn make_dir(&self, path: &Path) -> io::Result<()> {
        self.step(Op::MakeDir, path, |turn| turn.disk.make_dir(path).map(drop))
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<Entry>> {
        self.step(Op::Look, dir, |turn| {
            let names = turn.disk.list(turn.disk.find(dir)?.ino)?;
            let entry = |(name, ino): (&String, &Ino)| Entry {
                name: Some(name.clone()),
                is_dir: turn.disk.is_dir(*ino),
            };
            Ok(names.iter().map(entry).collect())
        })
    }

    fn stat(&self, path: &Path) -> io::Result<Option<Stat>> {
        self.step(Op::Look, path, |turn| match turn.disk.find(path) {
            Ok(found) => Ok(Some(Stat { device: 1, is_dir: found.is_dir, bytes: found.bytes })),
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(cause) => Err(cause),
        })
    }

    fn canonical(&self, path: &Path) -> io::Result<PathBuf> {
        self.step(Op::Look, path, |turn| turn.disk.find(path).map(|_| path.to_owned()))
    }

    fn lock(&self, path: &Path) -> io::Result<LockAttempt<MemoryLock>> {
        let us = self.pid;
        let taken = self.step(Op::Lock, path, |turn| {
            let ino = match turn.disk.find(path) {
                Ok(found) => found.ino,
                Err(_) => turn.disk.create(path)?,
            };
            Ok((ino, *turn.locks.entry(ino).or_insert(us)))
        })?;
        Ok(match taken {
            (ino, holder) if holder == us => LockAttempt::Taken(MemoryLock(self.handle(path, ino))),
            (_, holder) => LockAttempt::Held(Some(self.owner(holder))),
        })
    }

    fn probe_lock(&self, path: &Path) -> io::Result<LockAttempt<()>> {
        let holder = self.step(Op::Look, path, |turn| {
            let found = turn.disk.find(path).ok();
            Ok(found.and_then(|found| turn.locks.get(&found.ino).copied()))
        })?;
        Ok(holder.map_or(LockAttempt::Taken(()), |holder| LockAttempt::Held(Some(self.owner(holder)))))
    }

    fn this_process(&self) -> Owner {
        self.owner(self.pid)
    }

    fn is_running(&self, owner: Owner) -> bool {
        self.owner(owner.pid) == owner && self.machine.is_running(owner.pid)
    }
}

impl Handle {
    fn step<T>(&self, op: Op, act: impl FnOnce(&mut Turn<'_>) -> io::Result<T>) -> io::Result<T> {
        self.layer.machine.step(self.layer.pid, op, (&self.path, Some(self.ino)), act)
    }
}

impl Write for Handle {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.step(Op::Write, |turn| {
            let cut = turn.fails.is_some() || (turn.short_writes && turn.rng.u8(..4) == 0);
            let least = usize::from(turn.fails.is_none()).min(bytes.len());
            let taken = if cut { turn.rng.usize(least..=bytes.len()) } else { bytes.len() };
            turn.disk.append(self.ino, &bytes[..taken])?;
            turn.or_fail().map(|()| taken)
        })
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl LayerFile for Handle {
    fn sync(&mut self) -> io::Result<()> {
        self.step(Op::SyncFile, |turn| {
            turn.or_fail()?;
            turn.disk.sync(self.ino);
            Ok(())
        })
    }
}

impl LayerDir for Handle {
    fn sync(&self) -> io::Result<()> {
        self.step(Op::SyncDir, |turn| {
            turn.or_fail()?;
            turn.disk.sync(self.ino);
            Ok(())
        })
    }

    fn sync_file_system(&self) -> io::Result<()> {
        self.step(Op::SyncFileSystem, |turn| {
            turn.or_fail()?;
            turn.disk.sync_all();
            Ok(())
        })
    }
}

impl Drop for MemoryLock {
    fn drop(&mut self) {
        let freed = self.0.step(Op::Lock, |turn| {
            turn.locks.remove(&self.0.ino);
            Ok(())
        });
        // A process that is gone has freed it already.
        drop(freed);
    }
}
