//! The file layer on a real disk. Each method is one system call or two; nothing is
//! retried and nothing is decided.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock, syncfs};

use crate::layer::{Entry, FileLayer, LayerDir, LayerFile, LockAttempt, Owner, Stat};

/// The local disk.
#[derive(Debug, Clone, Copy, Default)]
pub struct DiskLayer;

/// A file being written.
#[derive(Debug)]
pub struct DiskFile(File);

/// An open directory.
#[derive(Debug)]
pub struct DiskDir(File);

/// A lock that the kernel frees when the process ends.
#[derive(Debug)]
pub struct DiskLock {
    _file: File,
}

impl FileLayer for DiskLayer {
    type File = DiskFile;
    type Dir = DiskDir;
    type Reader = File;
    type Lock = DiskLock;

    fn create_new(&self, path: &Path) -> io::Result<DiskFile> {
        OpenOptions::new().write(true).create_new(true).open(path).map(DiskFile)
    }

    fn open(&self, path: &Path) -> io::Result<File> {
        File::open(path)
    }

    fn open_dir(&self, path: &Path) -> io::Result<DiskDir> {
        File::open(path).map(DiskDir)
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::hard_link(from, to)
    }

    fn unlink(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn make_dir(&self, path: &Path) -> io::Result<()> {
        fs::create_dir(path)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<Entry>> {
        fs::read_dir(dir)?
            .map(|entry| {
                let entry = entry?;
                let name = entry.file_name().into_string().ok();
                Ok(Entry { name, is_dir: entry.file_type()?.is_dir() })
            })
            .collect()
    }

    fn stat(&self, path: &Path) -> io::Result<Option<Stat>> {
        match fs::metadata(path) {
            Ok(found) => Ok(Some(Stat { device: found.dev(), is_dir: found.is_dir(), bytes: found.len() })),
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(cause) => Err(cause),
        }
    }

    fn canonical(&self, path: &Path) -> io::Result<PathBuf> {
        fs::canonicalize(path)
    }

    fn lock(&self, path: &Path) -> io::Result<LockAttempt<DiskLock>> {
        let mut file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {
                file.set_len(0)?;
                writeln!(file, "{}", self.this_process())?;
                Ok(LockAttempt::Taken(DiskLock { _file: file }))
            }
            Err(rustix::io::Errno::WOULDBLOCK) => held(&mut file),
            Err(errno) => Err(errno.into()),
        }
    }

    fn probe_lock(&self, path: &Path) -> io::Result<LockAttempt<()>> {
        let mut file = match File::open(path) {
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Ok(LockAttempt::Taken(())),
            opened => opened?,
        };
        match flock(&file, FlockOperation::NonBlockingLockShared) {
            Ok(()) => Ok(LockAttempt::Taken(())),
            Err(rustix::io::Errno::WOULDBLOCK) => held(&mut file),
            Err(errno) => Err(errno.into()),
        }
    }

    fn this_process(&self) -> Owner {
        let pid = std::process::id();
        Owner { pid, start_ticks: start_ticks(pid).unwrap_or_default() }
    }

    fn is_running(&self, owner: Owner) -> bool {
        start_ticks(owner.pid) == Some(owner.start_ticks)
    }
}

/// Who holds the lock on `file`, as its holder wrote into it.
fn held<L>(file: &mut File) -> io::Result<LockAttempt<L>> {
    let mut text = String::new();
    file.read_to_string(&mut text)?;
    Ok(LockAttempt::Held(Owner::parse(&text)))
}

/// When a process started, from the 22nd field of its `stat`; the name before may
/// hold spaces and brackets itself.
fn start_ticks(pid: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, after_name) = stat.rsplit_once(')')?;
    after_name.split_whitespace().nth(19)?.parse().ok()
}

impl Write for DiskFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

impl LayerFile for DiskFile {
    fn sync(&mut self) -> io::Result<()> {
        self.0.sync_all()
    }
}

impl LayerDir for DiskDir {
    fn sync(&self) -> io::Result<()> {
        self.0.sync_all()
    }

    fn sync_file_system(&self) -> io::Result<()> {
        syncfs(&self.0).map_err(io::Error::from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_told_apart_from_a_later_one_of_its_number() {
        let ours = DiskLayer.this_process();
        assert!(DiskLayer.is_running(ours));
        assert!(!DiskLayer.is_running(Owner { start_ticks: ours.start_ticks + 1, ..ours }));
        assert_eq!(Owner::parse(&ours.to_string()), Some(ours));
        assert_eq!(Owner::parse("pid 12"), None);
    }

    #[test]
    fn a_held_lock_names_its_holder() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        let first = DiskLayer.lock(&path).unwrap();
        assert!(matches!(first, LockAttempt::Taken(_)));
        let ours = Some(DiskLayer.this_process());
        assert!(matches!(DiskLayer.lock(&path).unwrap(), LockAttempt::Held(owner) if owner == ours));
        assert!(matches!(DiskLayer.probe_lock(&path).unwrap(), LockAttempt::Held(owner) if owner == ours));
        drop(first);
        assert!(matches!(DiskLayer.probe_lock(&path).unwrap(), LockAttempt::Taken(())));
        assert!(matches!(DiskLayer.lock(&path).unwrap(), LockAttempt::Taken(_)));
    }

    #[test]
    fn a_link_never_replaces() {
        let dir = tempfile::tempdir().unwrap();
        let (one, two) = (dir.path().join("one"), dir.path().join("two"));
        DiskLayer.create_new(&one).unwrap();
        DiskLayer.create_new(&two).unwrap();
        assert_eq!(DiskLayer.link(&one, &two).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert!(DiskLayer.create_new(&one).is_err());
    }
}
