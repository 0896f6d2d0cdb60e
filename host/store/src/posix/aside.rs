//! Moving published files aside, for a rollback: to a directory beside the output,
//! where no reader of the output looks. A file gets its second name first and loses
//! its published one later, so that it is never without a name.

use std::io;
use std::path::{Path, PathBuf};

use speed_layer_core::commit::{Epoch, OutputFile, OutputId, OutputRoot};

use super::PosixStore;
use super::checkpoints::unlink;
use crate::error::StoreError;
use crate::layer::FileLayer;
use crate::layout::sibling;
use crate::part::digest_of;

impl<L: FileLayer> PosixStore<L> {
    /// Where a file is kept: `<output>.rolled-back/<job>/e<epoch>/<its path>`.
    pub(crate) fn aside_path(&self, file: &OutputFile) -> Result<PathBuf, StoreError> {
        let epoch = format!("e{:010}", file.name.epoch.0);
        Ok(aside_root(&file.root)?.join(self.layout.job().as_str()).join(epoch).join(&file.path))
    }

    /// Gives a published file its name aside.
    pub(crate) fn keep_aside(&mut self, file: &OutputFile) -> Result<(), StoreError> {
        let (path, aside) = (Path::new(&file.root.path).join(&file.path), self.aside_path(file)?);
        let dir = aside.parent().unwrap_or(&aside).to_owned();
        self.ensure_dir(&dir)?;
        self.directories.touch(&dir);
        match self.layer.link(&path, &aside) {
            Err(cause) if cause.kind() == io::ErrorKind::AlreadyExists => self.check_same(&path, aside),
            linked => linked.map_err(StoreError::io("move aside", path)),
        }
    }

    /// The file aside is what an earlier, unfinished rollback left of the same one.
    fn check_same(&self, path: &Path, aside: PathBuf) -> Result<(), StoreError> {
        let digest = |path: &Path| {
            let mut file = self.layer.open(path).map_err(StoreError::io("open", path))?;
            digest_of(&mut file).map_err(StoreError::io("read", path))
        };
        if digest(path)? == digest(&aside)? { Ok(()) } else { Err(StoreError::AsideTaken { path: aside }) }
    }

    /// Removes the published name of a file that is kept aside.
    pub(crate) fn remove_published(&mut self, file: &OutputFile) -> Result<(), StoreError> {
        let path = Path::new(&file.root.path).join(&file.path);
        unlink(&self.layer, &path)?;
        self.directories.touch(path.parent().unwrap_or(&path));
        Ok(())
    }

    /// Makes the names given and removed durable.
    pub(crate) fn sync_aside(&mut self) -> Result<(), StoreError> {
        self.sync_directories()
    }

    pub(crate) fn roll_checkpoint_aside(&mut self, epoch: Epoch) -> Result<(), StoreError> {
        self.checkpoints().set_aside(epoch, "rolled-back")
    }
}

/// `<output>.rolled-back`; the places beside an output end in the job's name already.
fn aside_root(root: &OutputRoot) -> Result<PathBuf, StoreError> {
    let path = Path::new(&root.path);
    match root.output {
        OutputId::Aggregate(_) => sibling(path, ".rolled-back"),
        OutputId::DeadLetters | OutputId::Late | OutputId::Partial => {
            sibling(path.parent().unwrap_or(path), ".rolled-back")
        }
    }
}
