//! A disk on which operations can be counted, logged and made to fail: from a given
//! one on all of them, as for a process that is gone, or that one alone. A write that
//! fails is torn: half of it is there. Syncs are not passed on, a process's end does
//! not need them.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use speed_layer_store::DiskLayer;
use speed_layer_store::layer::{Entry, FileLayer, LayerDir, LayerFile, LockAttempt, Owner, Stat};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// From the operation of this number on, nothing works.
    StopAt(usize),
    /// The operations of this kind fail with this error number.
    Fail(Kind, i32),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Create,
    Write,
    SyncFile,
    SyncDir,
    SyncFileSystem,
    Link,
    Unlink,
    MakeDir,
}

#[derive(Default)]
struct Record {
    before_seal: Option<Box<dyn FnOnce() + Send>>,
    before_list: Option<(PathBuf, Box<dyn FnOnce() + Send>)>,
    fault: Option<Fault>,
    log: Vec<(Kind, PathBuf)>,
    stopped: bool,
    process: Option<Owner>,
}

/// Changes of the disk, recorded; clones share the record.
#[derive(Clone, Default)]
pub struct TestLayer(Arc<Mutex<Record>>);

/// The process that a test layer plays: not this one, and always running.
const OTHER_PROCESS: Owner = Owner { pid: 1, start_ticks: u64::MAX };

impl TestLayer {
    pub fn with(fault: Fault) -> Self {
        let layer = Self::default();
        layer.set(fault);
        layer
    }

    pub fn set(&self, fault: Fault) {
        self.0.lock().unwrap().fault = Some(fault);
    }

    pub fn clear(&self) {
        self.0.lock().unwrap().fault = None;
    }

    /// As another process, one that keeps running.
    pub fn of_another_process() -> Self {
        let layer = Self::default();
        layer.0.lock().unwrap().process = Some(OTHER_PROCESS);
        layer
    }

    /// Does this once, just before a checkpoint is linked.
    pub fn before_seal(&self, act: impl FnOnce() + Send + 'static) {
        self.0.lock().unwrap().before_seal = Some(Box::new(act));
    }

    /// Does this once, just before that directory is listed.
    pub fn before_list(&self, dir: &Path, act: impl FnOnce() + Send + 'static) {
        self.0.lock().unwrap().before_list = Some((dir.to_owned(), Box::new(act)));
    }

    pub fn stopped(&self) -> bool {
        self.0.lock().unwrap().stopped
    }

    pub fn log(&self) -> Vec<(Kind, PathBuf)> {
        self.0.lock().unwrap().log.clone()
    }

    fn record(&self, kind: Kind, path: &Path) -> io::Result<()> {
        let mut record = self.0.lock().unwrap();
        record.log.push((kind, path.to_owned()));
        match record.fault {
            Some(Fault::StopAt(at)) if record.log.len() >= at => {
                record.stopped = true;
                Err(io::Error::other("stopped"))
            }
            Some(Fault::Fail(failing, errno)) if failing == kind => Err(io::Error::from_raw_os_error(errno)),
            _ => Ok(()),
        }
    }
}

pub struct TestFile {
    layer: TestLayer,
    path: PathBuf,
    file: <DiskLayer as FileLayer>::File,
}

pub struct TestDir {
    layer: TestLayer,
    path: PathBuf,
}

impl FileLayer for TestLayer {
    type File = TestFile;
    type Dir = TestDir;
    type Reader = <DiskLayer as FileLayer>::Reader;
    type Lock = <DiskLayer as FileLayer>::Lock;

    fn create_new(&self, path: &Path) -> io::Result<TestFile> {
        self.record(Kind::Create, path)?;
        let file = DiskLayer.create_new(path)?;
        Ok(TestFile { layer: self.clone(), path: path.to_owned(), file })
    }

    fn open(&self, path: &Path) -> io::Result<Self::Reader> {
        DiskLayer.open(path)
    }

    fn open_dir(&self, path: &Path) -> io::Result<TestDir> {
        DiskLayer.open_dir(path)?;
        Ok(TestDir { layer: self.clone(), path: path.to_owned() })
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        if to.file_name().is_some_and(|name| name.to_string_lossy().starts_with("ckpt-")) {
            let act = self.0.lock().unwrap().before_seal.take();
            act.into_iter().for_each(|act| act());
        }
        self.record(Kind::Link, to)?;
        DiskLayer.link(from, to)
    }

    fn unlink(&self, path: &Path) -> io::Result<()> {
        self.record(Kind::Unlink, path)?;
        DiskLayer.unlink(path)
    }

    fn make_dir(&self, path: &Path) -> io::Result<()> {
        self.record(Kind::MakeDir, path)?;
        DiskLayer.make_dir(path)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<Entry>> {
        let act = self.0.lock().unwrap().before_list.take_if(|(at, _)| at == dir);
        act.into_iter().for_each(|(_, act)| act());
        DiskLayer.list(dir)
    }

    fn stat(&self, path: &Path) -> io::Result<Option<Stat>> {
        DiskLayer.stat(path)
    }

    fn canonical(&self, path: &Path) -> io::Result<PathBuf> {
        DiskLayer.canonical(path)
    }

    fn lock(&self, path: &Path) -> io::Result<LockAttempt<Self::Lock>> {
        DiskLayer.lock(path)
    }

    fn probe_lock(&self, path: &Path) -> io::Result<LockAttempt<()>> {
        DiskLayer.probe_lock(path)
    }

    fn this_process(&self) -> Owner {
        self.0.lock().unwrap().process.unwrap_or_else(|| DiskLayer.this_process())
    }

    fn is_running(&self, owner: Owner) -> bool {
        owner == OTHER_PROCESS || DiskLayer.is_running(owner)
    }
}

impl Write for TestFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if let Err(fault) = self.layer.record(Kind::Write, &self.path) {
            self.file.write_all(&bytes[..bytes.len() / 2])?;
            return Err(fault);
        }
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl LayerFile for TestFile {
    fn sync(&mut self) -> io::Result<()> {
        self.layer.record(Kind::SyncFile, &self.path)
    }
}

impl LayerDir for TestDir {
    fn sync(&self) -> io::Result<()> {
        self.layer.record(Kind::SyncDir, &self.path)
    }

    fn sync_file_system(&self) -> io::Result<()> {
        self.layer.record(Kind::SyncFileSystem, &self.path)
    }
}
