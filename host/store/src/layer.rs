//! The file operations under the POSIX store, as a trait: so that the same store
//! runs on a disk, on a disk that is made to fail, and on one that forgets what was
//! not synced. No policy: what is written when is the store's.
//!
//! # Contract
//! - After a crash of the machine, a file's content is there for certain only if
//!   [`LayerFile::sync`] on it, or [`LayerDir::sync_file_system`] on its file
//!   system, returned `Ok` after the last write. Until then any part of it may be.
//! - A name (by create, link, unlink or make_dir) is there, or gone, for certain
//!   only if [`LayerDir::sync`] on its directory, or `sync_file_system`, returned
//!   `Ok` afterwards. Names in one directory and in several may become durable in
//!   any order before that.
//! - Each link and each unlink happens wholly or not at all.
//! - After a sync that failed, nothing is known about what it covered, and a second
//!   one may succeed without having written anything: it must not be retried.
//! - A crash of the process alone loses nothing.

use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

/// See the module's contract. All paths are absolute.
/// A clone works on the same files, for the same process.
pub trait FileLayer: Clone {
    type File: LayerFile;
    type Dir: LayerDir;
    type Reader: Read;
    /// Held until it is dropped or the process ends, however it ends.
    type Lock;

    /// Opens a new file for writing; `AlreadyExists` if the name is taken.
    fn create_new(&self, path: &Path) -> io::Result<Self::File>;
    fn open(&self, path: &Path) -> io::Result<Self::Reader>;
    fn open_dir(&self, path: &Path) -> io::Result<Self::Dir>;
    /// Gives the file a second name; `AlreadyExists` if that is taken, whatever has
    /// it, and `CrossesDevices` if it lies on another file system.
    fn link(&self, from: &Path, to: &Path) -> io::Result<()>;
    fn unlink(&self, path: &Path) -> io::Result<()>;
    /// Makes one directory; its parent must exist.
    fn make_dir(&self, path: &Path) -> io::Result<()>;
    /// The entries of a directory, in no order.
    fn list(&self, dir: &Path) -> io::Result<Vec<Entry>>;
    /// What is at `path`, symbolic links followed; `None` if nothing is.
    fn stat(&self, path: &Path) -> io::Result<Option<Stat>>;
    /// `path` without symbolic links or `..`; it must exist.
    fn canonical(&self, path: &Path) -> io::Result<PathBuf>;
    /// Takes the lock on the file `path`, made if it is not there, for this process,
    /// or says who holds it. Never waits.
    fn lock(&self, path: &Path) -> io::Result<LockAttempt<Self::Lock>>;
    /// Whether the lock on the file `path` is held; changes nothing. `Taken` means
    /// that it could be taken; so it does for a file that is not there.
    fn probe_lock(&self, path: &Path) -> io::Result<LockAttempt<()>>;
    /// The process that calls.
    fn this_process(&self) -> Owner;
    fn is_running(&self, owner: Owner) -> bool;
}

/// An open file.
pub trait LayerFile: Write + Send {
    /// Makes what was written durable, not the file's name.
    fn sync(&mut self) -> io::Result<()>;
}

/// An open directory.
pub trait LayerDir: Send {
    /// Makes the names in the directory durable.
    fn sync(&self) -> io::Result<()>;
    /// Makes all files and names of the directory's file system durable, and reports
    /// what failed since the directory was opened.
    fn sync_file_system(&self) -> io::Result<()>;
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// `None` for a name that is not UTF-8: none of ours.
    pub name: Option<String>,
    /// A directory itself, not a symbolic link to one.
    pub is_dir: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stat {
    pub device: u64,
    pub is_dir: bool,
    pub bytes: u64,
}

pub enum LockAttempt<L> {
    Taken(L),
    /// By the process that the lock file names, where it names one.
    Held(Option<Owner>),
}

/// A process, told apart from a later one with the same number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Owner {
    pub pid: u32,
    /// When it started, in the kernel's ticks since boot.
    pub start_ticks: u64,
}

impl Owner {
    /// From the text that [`Owner`]'s `Display` gives.
    pub fn parse(text: &str) -> Option<Self> {
        let mut words = text.split_whitespace();
        let (pid, start) = (words.nth(1)?, words.nth(1)?);
        Some(Self { pid: pid.parse().ok()?, start_ticks: start.parse().ok()? })
    }
}

impl std::fmt::Display for Owner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "pid {} start {}", self.pid, self.start_ticks)
    }
}
