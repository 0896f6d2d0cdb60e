//! Finding what is there: checkpoints, generations, staged and published files.
//! Only looks.

use speed_layer_core::commit::{Epoch, OutputFile, OutputRoot, PartName, PublishedFile, StagedFile};
use std::collections::{BTreeMap, btree_map};
use std::path::Path;

use super::PosixStore;
use crate::error::StoreError;
use crate::layer::{Entry, FileLayer};
use crate::layout::{CHECKPOINT_PREFIX, Layout};

/// Deeper than this no file of ours is published.
const OUTPUT_DEPTH_MAX: usize = 64;

impl<L: FileLayer> PosixStore<L> {
    pub(super) fn list_epochs(&self) -> Result<Vec<Epoch>, StoreError> {
        Ok(self.list_numbers(CHECKPOINT_PREFIX)?.into_iter().map(Epoch).collect())
    }

    /// The numbers of the files `<prefix><number>` in the checkpoint directory.
    pub(super) fn list_numbers(&self, prefix: &str) -> Result<Vec<u64>, StoreError> {
        let entries = self.list_dir(self.layout.checkpoint_dir())?;
        let number = |entry: &Entry| entry.name.as_deref()?.strip_prefix(prefix)?.parse().ok();
        Ok(entries.iter().filter_map(number).collect())
    }

    pub(super) fn list_staged(&self) -> Result<Vec<StagedFile>, StoreError> {
        let mut found = Vec::new();
        let mut running = BTreeMap::new();
        let mut seen: Vec<&Path> = Vec::new();
        for place in self.layout.places() {
            if seen.contains(&place.staging.as_path()) {
                continue;
            }
            seen.push(&place.staging);
            for name in self.parts_in(&place.staging)? {
                let owner_running = match running.entry(name.generation) {
                    btree_map::Entry::Occupied(known) => *known.get(),
                    btree_map::Entry::Vacant(unknown) => *unknown.insert(self.owner_runs(name.generation)?),
                };
                found.push(StagedFile { output: place.output.clone(), name, owner_running });
            }
        }
        Ok(found)
    }

    /// The names of the job's files in the staging places of any layout.
    pub(crate) fn parts_staged(&self, layout: &Layout) -> Result<Vec<PartName>, StoreError> {
        let mut found = Vec::new();
        for place in layout.places() {
            found.extend(self.parts_in(&place.staging)?);
        }
        Ok(found)
    }

    /// `None` if nothing is at `path`.
    pub(crate) fn length_of(&self, path: &Path) -> Result<Option<u64>, StoreError> {
        Ok(self.layer.stat(path).map_err(StoreError::io("look at", path))?.map(|found| found.bytes))
    }

    pub(super) fn parts_in(&self, dir: &Path) -> Result<Vec<PartName>, StoreError> {
        let entries = self.list_dir(dir)?;
        Ok(entries.iter().filter_map(|entry| self.part_name(entry)).collect())
    }

    fn part_name(&self, entry: &Entry) -> Option<PartName> {
        let name = PartName::parse(entry.name.as_deref()?)?;
        (!entry.is_dir && name.job == *self.layout.job()).then_some(name)
    }

    pub(super) fn list_published(&self, since: Epoch) -> Result<Vec<PublishedFile>, StoreError> {
        let mut found = Vec::new();
        for place in self.layout.places() {
            self.walk(&place.root, "", 0, &mut |path, name| {
                if name.epoch >= since {
                    found.push(PublishedFile { output: place.output.clone(), path, name });
                }
            })?;
        }
        Ok(found)
    }

    /// The job's files under any root, of every epoch.
    pub(crate) fn files_under(&self, root: &OutputRoot) -> Result<Vec<OutputFile>, StoreError> {
        let mut found = Vec::new();
        self.walk(Path::new(&root.path), "", 0, &mut |path, name| {
            found.push(OutputFile { root: root.clone(), path, name });
        })?;
        Ok(found)
    }

    /// Gives the job's files at and below `below`, a path under `root` that is empty
    /// or ends in `/`.
    fn walk(
        &self,
        root: &Path,
        below: &str,
        depth: usize,
        give: &mut impl FnMut(String, PartName),
    ) -> Result<(), StoreError> {
        for entry in self.list_dir(&root.join(below))? {
            let Some(file_name) = entry.name.as_deref() else { continue };
            if entry.is_dir && depth < OUTPUT_DEPTH_MAX {
                self.walk(root, &format!("{below}{file_name}/"), depth + 1, give)?;
            } else if let Some(name) = self.part_name(&entry) {
                give(format!("{below}{file_name}"), name);
            }
        }
        Ok(())
    }

    /// The entries of a directory; none if it is not there.
    pub(super) fn list_dir(&self, dir: &Path) -> Result<Vec<Entry>, StoreError> {
        match self.layer.list(dir) {
            Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
            listed => listed.map_err(StoreError::io("list", dir)),
        }
    }
}
