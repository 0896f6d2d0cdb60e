//! Making directories and knowing which of them have names in them that are not
//! durable yet. A directory's own name is one of its parent's, so every directory
//! that this process has not seen made durable drags its parent along.

use std::collections::{BTreeSet, HashSet};
use std::io;
use std::path::{Path, PathBuf};

use super::checkpoints::sync_dir;
use super::{PosixStore, SYNCED_ONE_BY_ONE_MAX};
use crate::error::StoreError;
use crate::failpoint::fail_point;
use crate::layer::FileLayer;

#[derive(Debug, Default)]
pub(super) struct Directories {
    /// Those whose own name is durable, or is made so by the next sync.
    known: HashSet<PathBuf>,
    /// Those with names that are not durable yet.
    touched: BTreeSet<PathBuf>,
}

impl Directories {
    pub(super) fn touch(&mut self, dir: &Path) {
        if !self.touched.contains(dir) {
            self.touched.insert(dir.to_owned());
        }
    }
}

impl<L: FileLayer> PosixStore<L> {
    /// Makes `dir` with all its parents. Whichever of them exist may have been made by
    /// a process that died before it synced their names, so each process has all names
    /// synced once, up to the root of the file system: what that is mounted on is not
    /// ours.
    pub(super) fn ensure_dir(&mut self, dir: &Path) -> Result<(), StoreError> {
        if self.directories.known.contains(dir) {
            return Ok(());
        }
        let device = self.device(dir)?;
        if let Some(parent) = dir.parent()
            && (device.is_none() || device == self.device(parent)?)
        {
            self.ensure_dir(parent)?;
            self.make_dir(dir, device.is_some())?;
            fail_point("directory.made");
            self.directories.touch(parent);
        }
        self.directories.known.insert(dir.to_owned());
        Ok(())
    }

    /// The file system that `dir` is on; `None` if it does not exist.
    fn device(&self, dir: &Path) -> Result<Option<u64>, StoreError> {
        let found = self.layer.stat(dir).map_err(StoreError::io("look at", dir))?;
        Ok(found.map(|found| found.device))
    }

    fn make_dir(&self, dir: &Path, exists: bool) -> Result<(), StoreError> {
        if exists {
            return Ok(());
        }
        match self.layer.make_dir(dir) {
            Err(cause) if cause.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            made => made.map_err(StoreError::io("make directory", dir)),
        }
    }

    /// Makes the names in all touched directories durable.
    pub(super) fn sync_directories(&mut self) -> Result<(), StoreError> {
        let mut touched = std::mem::take(&mut self.directories.touched);
        for place in self.layout.places() {
            let inside = touched.iter().filter(|dir| dir.starts_with(&place.root)).count();
            if inside > SYNCED_ONE_BY_ONE_MAX
                && let Some(staging) = self.staging.get(&place.staging)
            {
                staging.sync_file_system()?;
                touched.retain(|dir| !dir.starts_with(&place.root));
            }
        }
        touched.iter().try_for_each(|dir| self.sync_touched(dir))
    }

    /// A directory above ours that we may not read is one that we did not make.
    fn sync_touched(&self, dir: &Path) -> Result<(), StoreError> {
        match sync_dir(&self.layer, dir) {
            Err(StoreError::Io { cause, .. })
                if cause.kind() == io::ErrorKind::PermissionDenied && self.layout.is_above(dir) =>
            {
                Ok(())
            }
            synced => synced,
        }
    }
}
