//! Making directories and knowing which of them have names in them that are not
//! durable yet. A directory's own name is one of its parent's, so every directory
//! that this process has not seen made durable drags its parent along.

use std::collections::{BTreeSet, HashSet};
use std::io;
use std::path::{Path, PathBuf};

use super::{PosixStore, SYNCED_ONE_BY_ONE_MAX};
use crate::error::StoreError;
use crate::layer::{FileLayer, LayerDir};

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
    /// Makes `dir` with all its parents. Directories at or below `root` may have
    /// been made by a process that died before it synced them: their names are
    /// synced even if they exist; what exists above `root` is taken as durable.
    pub(super) fn ensure_dir(&mut self, dir: &Path, root: &Path) -> Result<(), StoreError> {
        if self.directories.known.contains(dir) {
            return Ok(());
        }
        let exists = self.layer.stat(dir).map_err(StoreError::io("look at", dir))?.is_some();
        if let Some(parent) = dir.parent()
            && (!exists || dir.starts_with(root))
        {
            self.ensure_dir(parent, root)?;
            self.make_dir(dir, exists)?;
            self.directories.touch(parent);
        }
        self.directories.known.insert(dir.to_owned());
        Ok(())
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
        touched.iter().try_for_each(|dir| self.sync_dir(dir))
    }

    pub(super) fn sync_dir(&self, path: &Path) -> Result<(), StoreError> {
        let dir = self.layer.open_dir(path).map_err(StoreError::io("open directory", path))?;
        dir.sync().map_err(StoreError::sync(path))
    }
}
