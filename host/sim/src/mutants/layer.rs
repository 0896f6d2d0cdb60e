//! A file layer that leaves out a kind of sync, repeats one that failed, or publishes
//! by copying. What a sync is for is told by its path and by what was done in the
//! directory before.

use std::collections::BTreeSet;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use speed_layer_store::layer::{Entry, FileLayer, LayerDir, LayerFile, LockAttempt, Owner, Stat};

use super::{Mutant, SyncKind};

/// See the module.
#[derive(Clone)]
pub struct MutantLayer<L> {
    inner: L,
    mutant: Mutant,
    marks: Arc<Mutex<Marks>>,
}

/// What was done since a directory's last sync.
#[derive(Default)]
struct Marks {
    sealed: BTreeSet<PathBuf>,
    published: BTreeSet<PathBuf>,
}

pub struct MutantFile<L, F> {
    inner: F,
    path: PathBuf,
    layer: MutantLayer<L>,
}

impl<L> MutantLayer<L> {
    pub fn new(inner: L, mutant: Mutant) -> Self {
        Self { inner, mutant, marks: Arc::default() }
    }

    fn marks(&self) -> MutexGuard<'_, Marks> {
        self.marks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wrap<F>(&self, inner: F, path: &Path) -> MutantFile<L, F>
    where
        L: Clone,
    {
        MutantFile { inner, path: path.to_owned(), layer: self.clone() }
    }

    fn dir_kind(&self, dir: &Path) -> SyncKind {
        let mut marks = self.marks();
        if marks.sealed.remove(dir) {
            SyncKind::SealedName
        } else if marks.published.remove(dir) {
            SyncKind::PublishedName
        } else if dir.components().any(|part| part.as_os_str() == "checkpoints") && dir.ends_with("job") {
            SyncKind::ClaimedName
        } else if dir.to_string_lossy().contains(".staging/") {
            SyncKind::StagedName
        } else {
            SyncKind::DirectoryName
        }
    }

    fn sync(&self, kind: SyncKind, mut sync: impl FnMut() -> io::Result<()>) -> io::Result<()> {
        match self.mutant {
            Mutant::NoSync(left_out) if left_out == kind => Ok(()),
            Mutant::SyncAgain => sync().or_else(|_| sync()),
            _ => sync(),
        }
    }
}

fn file_kind(path: &Path) -> SyncKind {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    match name.as_ref() {
        name if name.starts_with("ckpt-") => SyncKind::CheckpointFile,
        name if name.starts_with("snapshot-") => SyncKind::SnapshotFile,
        _ => SyncKind::StagedFile,
    }
}

impl<L: FileLayer + Clone + Send> MutantLayer<L> {
    fn seal(&self, from: &Path, to: &Path) -> io::Result<()> {
        match self.inner.link(from, to) {
            Err(cause)
                if cause.kind() == io::ErrorKind::AlreadyExists && self.mutant == Mutant::SealReplaces =>
            {
                self.inner.unlink(to)?;
                self.inner.link(from, to)
            }
            outcome => outcome,
        }
    }

    fn copy(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut bytes = Vec::new();
        self.inner.open(from)?.read_to_end(&mut bytes)?;
        let mut file = self.inner.create_new(to)?;
        bytes.chunks(200).try_for_each(|chunk| file.write_all(chunk))?;
        file.sync()
    }
}

impl<L: FileLayer + Clone + Send> FileLayer for MutantLayer<L> {
    type File = MutantFile<L, L::File>;
    type Dir = MutantFile<L, L::Dir>;
    type Reader = L::Reader;
    type Lock = L::Lock;

    fn create_new(&self, path: &Path) -> io::Result<Self::File> {
        Ok(self.wrap(self.inner.create_new(path)?, path))
    }

    fn open(&self, path: &Path) -> io::Result<L::Reader> {
        self.inner.open(path)
    }

    fn open_dir(&self, path: &Path) -> io::Result<Self::Dir> {
        Ok(self.wrap(self.inner.open_dir(path)?, path))
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        let dir = to.parent().unwrap_or(to).to_owned();
        match file_kind(to) {
            SyncKind::CheckpointFile => {
                self.marks().sealed.insert(dir);
                self.seal(from, to)
            }
            SyncKind::SnapshotFile => self.inner.link(from, to),
            _ => {
                self.marks().published.insert(dir);
                if self.mutant == Mutant::PublishByCopy {
                    self.copy(from, to)
                } else {
                    self.inner.link(from, to)
                }
            }
        }
    }

    fn unlink(&self, path: &Path) -> io::Result<()> {
        self.inner.unlink(path)
    }

    fn make_dir(&self, path: &Path) -> io::Result<()> {
        self.inner.make_dir(path)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<Entry>> {
        self.inner.list(dir)
    }

    fn stat(&self, path: &Path) -> io::Result<Option<Stat>> {
        self.inner.stat(path)
    }

    fn canonical(&self, path: &Path) -> io::Result<PathBuf> {
        self.inner.canonical(path)
    }

    fn lock(&self, path: &Path) -> io::Result<LockAttempt<L::Lock>> {
        self.inner.lock(path)
    }

    fn probe_lock(&self, path: &Path) -> io::Result<LockAttempt<()>> {
        self.inner.probe_lock(path)
    }

    fn this_process(&self) -> Owner {
        self.inner.this_process()
    }

    fn is_running(&self, owner: Owner) -> bool {
        self.inner.is_running(owner)
    }
}

impl<L: Send, F: Write> Write for MutantFile<L, F> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.inner.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

impl<L: Send, F: LayerFile> LayerFile for MutantFile<L, F> {
    fn sync(&mut self) -> io::Result<()> {
        let inner = &mut self.inner;
        self.layer.sync(file_kind(&self.path), || inner.sync())
    }
}

impl<L: Send, F: LayerDir> LayerDir for MutantFile<L, F> {
    fn sync(&self) -> io::Result<()> {
        self.layer.sync(self.layer.dir_kind(&self.path), || self.inner.sync())
    }

    fn sync_file_system(&self) -> io::Result<()> {
        let published = !std::mem::take(&mut self.layer.marks().published).is_empty();
        let kind = if published { SyncKind::ManyPublishedNames } else { SyncKind::ManyStagedFiles };
        self.layer.sync(kind, || self.inner.sync_file_system())
    }
}
