//! One staging directory: the files written since the last sync stay open until
//! then, because a sync reports a failed write for certain only on the handle that
//! wrote. Many of them are not kept open, they are synced with their file system,
//! on a handle that was open before they were written.

use std::path::{Path, PathBuf};

use super::checkpoints::read_if_there;
use super::{PosixStore, SYNCED_ONE_BY_ONE_MAX};
use crate::error::StoreError;
use crate::failpoint::fail_point;
use crate::layer::{FileLayer, LayerDir, LayerFile};
use speed_layer_core::commit::OutputId;

pub(super) struct Staging<L: FileLayer> {
    path: PathBuf,
    dir: L::Dir,
    /// Empty once there were too many.
    open: Vec<(PathBuf, L::File)>,
    /// Files finished since the last sync, open or not.
    unsynced: usize,
}

impl<L: FileLayer> Staging<L> {
    pub(super) fn open(layer: &L, path: &Path) -> Result<Self, StoreError> {
        let dir = layer.open_dir(path).map_err(StoreError::io("open directory", path))?;
        Ok(Self { path: path.to_owned(), dir, open: Vec::new(), unsynced: 0 })
    }

    fn add(&mut self, path: PathBuf, file: L::File) {
        self.unsynced += 1;
        if self.unsynced > SYNCED_ONE_BY_ONE_MAX {
            self.open.clear();
        } else {
            self.open.push((path, file));
        }
    }

    /// Makes the files' content and then their names durable.
    pub(super) fn sync(&mut self) -> Result<(), StoreError> {
        let unsynced = std::mem::take(&mut self.unsynced);
        if unsynced == 0 {
            return Ok(());
        }
        if unsynced > SYNCED_ONE_BY_ONE_MAX {
            self.sync_file_system()?;
        }
        for (path, mut file) in self.open.drain(..) {
            fail_point("stage.before_sync");
            file.sync().map_err(StoreError::sync(path))?;
            fail_point("stage.after_sync");
        }
        fail_point("stage.before_dir_sync");
        self.dir.sync().map_err(StoreError::sync(&self.path))?;
        fail_point("stage.after_dir_sync");
        Ok(())
    }

    /// Syncs the file system that the directory and its output are on.
    pub(super) fn sync_file_system(&self) -> Result<(), StoreError> {
        self.dir.sync_file_system().map_err(StoreError::sync(&self.path))
    }
}

impl<L: FileLayer> PosixStore<L> {
    pub(super) fn finish_staged(
        &mut self,
        output: &OutputId,
        name: &str,
        file: L::File,
    ) -> Result<(), StoreError> {
        let staging = self.place_of(output)?.staging.clone();
        let path = staging.join(name);
        match self.staging.get_mut(&staging) {
            Some(staging) => staging.add(path, file),
            None => return Err(StoreError::NoSuchOutput(output.clone())),
        }
        Ok(())
    }

    pub(super) fn read_staged_file(
        &self,
        output: &OutputId,
        name: &str,
    ) -> Result<Option<Vec<u8>>, StoreError> {
        read_if_there(&self.layer, &self.place_of(output)?.staging.join(name))
    }
}
