//! Publishing: each file's final name is a link that never replaces; where the name is
//! taken, the content decides.

use std::io;
use std::path::{Component, Path};

use speed_layer_core::commit::{PublishEntry, PublishOutcome};

use super::PosixStore;
use crate::error::StoreError;
use crate::layer::FileLayer;
use crate::part::digest_of;

impl<L: FileLayer> PosixStore<L> {
    /// Links one staged file to its final name, or finds it there.
    pub(super) fn publish_file(&mut self, entry: &PublishEntry) -> Result<PublishOutcome, StoreError> {
        check_below(&entry.path)?;
        let place = self.place_of(&entry.output)?;
        let (root, staged) = (place.root.clone(), place.staging.join(&entry.staged));
        let path = root.join(&entry.path);
        if !self.exists(&staged)? && !self.exists(&path)? {
            return Ok(PublishOutcome::Missing);
        }
        let dir = path.parent().unwrap_or(&root).to_owned();
        self.ensure_dir(&dir)?;
        self.directories.touch(&dir);
        match self.layer.link(&staged, &path) {
            Ok(()) => Ok(PublishOutcome::Done),
            Err(cause) => match cause.kind() {
                io::ErrorKind::AlreadyExists | io::ErrorKind::NotFound => self.compare(&path, entry),
                io::ErrorKind::CrossesDevices => Err(StoreError::OtherFileSystem { path, staging: staged }),
                _ => Err(StoreError::io("publish", &path)(cause)),
            },
        }
    }

    fn exists(&self, path: &Path) -> Result<bool, StoreError> {
        Ok(self.layer.stat(path).map_err(StoreError::io("look at", path))?.is_some())
    }

    /// What is at the final name, against what should be.
    pub(crate) fn compare(&self, path: &Path, entry: &PublishEntry) -> Result<PublishOutcome, StoreError> {
        let Some(found) = self.layer.stat(path).map_err(StoreError::io("look at", path))? else {
            return Ok(PublishOutcome::Missing);
        };
        if found.is_dir || found.bytes != entry.bytes {
            return Ok(PublishOutcome::Conflict);
        }
        let mut file = self.layer.open(path).map_err(StoreError::io("open", path))?;
        let digest = digest_of(&mut file).map_err(StoreError::io("read", path))?;
        Ok(if digest == entry.sha256 { PublishOutcome::Done } else { PublishOutcome::Conflict })
    }
}

/// A path of plain components only: what a checkpoint lists stays below the root.
fn check_below(path: &str) -> Result<(), StoreError> {
    let plain = |component| matches!(component, Component::Normal(_));
    if !path.is_empty() && Path::new(path).components().all(plain) {
        return Ok(());
    }
    Err(StoreError::BadPath { path: path.to_owned() })
}
