//! Where a copy is written, beside the place that it takes as a whole in the end. One process at a time has it; what
//! a killed one left is removed by the next.

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use rustix::fs::{CWD, FlockOperation, RenameFlags, flock, renameat_with, syncfs};
use rustix::io::Errno;
use tracing::warn;

use super::places::Places;

/// How often the folder is taken anew that another process has just removed.
const GOES_MAX: usize = 10;

/// The folder; gone when this is dropped, with all that is in it.
#[derive(Debug)]
pub struct Scratch {
    folder: PathBuf,
    lock: File,
}

impl Scratch {
    /// Makes the folder, or takes over what a killed process left of it.
    ///
    /// # Errors
    /// Another process has it, or the disk does not take it.
    pub fn take(places: &Places) -> anyhow::Result<Self> {
        let folder = places.scratch.clone();
        for _ in 0..GOES_MAX {
            fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
            let path = folder.join("lock");
            let opened = OpenOptions::new().write(true).create(true).truncate(false).open(&path);
            let lock = opened.with_context(|| format!("cannot create {}", path.display()))?;
            match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => {}
                Err(Errno::WOULDBLOCK) => bail!(
                    "another `host compact` writes into {} just now; wait for its end",
                    places.into.display()
                ),
                Err(errno) => return Err(errno).with_context(|| format!("cannot lock {}", path.display())),
            }
            if is_at(&lock, &path) {
                let scratch = Self { folder, lock };
                scratch.clear()?;
                return Ok(scratch);
            }
        }
        bail!("{} comes and goes; see who removes it", folder.display())
    }

    fn new_copy(&self) -> PathBuf {
        self.folder.join("new")
    }

    /// An empty copy in place of what was left.
    fn clear(&self) -> anyhow::Result<()> {
        let new = self.new_copy();
        if new.exists() {
            fs::remove_dir_all(&new).with_context(|| format!("cannot remove {}", new.display()))?;
        }
        fs::create_dir(&new).with_context(|| format!("cannot make {}", new.display()))
    }

    /// A folder of the copy.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn partition(&self, path: &str) -> anyhow::Result<PathBuf> {
        let folder = self.new_copy().join(path);
        fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        Ok(folder)
    }

    /// Makes the copy durable and puts it in its place, in one step.
    ///
    /// # Errors
    /// The place is as it was then, but where a directory cannot be synced at the very end.
    pub fn publish(self, places: &Places) -> anyhow::Result<()> {
        let (new, into) = (self.new_copy(), &places.into);
        syncfs(&self.lock).with_context(|| format!("{} cannot be made durable", new.display()))?;
        put(&new, into)?;
        let parents = [Some(self.folder.as_path()), into.parent()];
        parents.into_iter().flatten().try_for_each(sync)
    }
}

/// Gives the copy its place; what was there lies where the copy was then.
fn put(new: &Path, into: &Path) -> anyhow::Result<()> {
    let failed = || format!("cannot put {} in the place of {}", new.display(), into.display());
    if !into.exists() {
        return fs::rename(new, into).with_context(failed);
    }
    match renameat_with(CWD, new, CWD, into, RenameFlags::EXCHANGE) {
        Ok(()) => Ok(()),
        Err(Errno::INVAL | Errno::NOSYS) => bail!(
            "the file system of {} cannot exchange two folders in one step (RENAME_EXCHANGE); remove the earlier copy \
             first, or give another folder for the new one",
            into.display()
        ),
        Err(errno) => Err(errno).with_context(failed),
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let new = self.new_copy();
        let removed = match fs::remove_dir_all(&new) {
            Err(cause) if cause.kind() != std::io::ErrorKind::NotFound => Err(cause),
            _ => fs::remove_file(self.folder.join("lock")),
        };
        if let Err(cause) = removed {
            warn!("{} cannot be removed ({cause}); it is not needed any more", new.display());
        }
        // Another process may have begun in it just now.
        let _ = fs::remove_dir(&self.folder);
    }
}

/// Gives a file of the earlier copy a name in a folder of the new one.
///
/// # Errors
/// It has none, or it cannot be linked.
pub fn link(file: &Path, folder: &Path) -> anyhow::Result<()> {
    let name = file.file_name().with_context(|| format!("{} has no name", file.display()))?;
    fs::hard_link(file, folder.join(name)).with_context(|| format!("cannot link {}", file.display()))
}

/// Whether the file is still what the path leads to.
fn is_at(file: &File, path: &Path) -> bool {
    let identity = |found: fs::Metadata| (found.dev(), found.ino());
    let own = file.metadata().map(identity);
    fs::metadata(path).map(identity).is_ok_and(|there| own.is_ok_and(|own| own == there))
}

fn sync(folder: &Path) -> anyhow::Result<()> {
    let synced = File::open(folder).and_then(|opened| opened.sync_all());
    synced.with_context(|| format!("{} cannot be made durable", folder.display()))
}
