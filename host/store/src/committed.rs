//! The files of an output whose rows are committed, as a reader wants them who knows the
//! checkpoint that it stands upon: those of later epochs are left out, and those that are
//! sealed and not yet published are found where they are staged. Takes no lock.

use std::path::{Path, PathBuf};

use speed_layer_core::commit::{Manifest, OutputId, PartName, PublishEntry};

use crate::layer::FileLayer;
use crate::layout::Place;
use crate::posix::PosixStore;
use crate::published::{FileError, parquet_files};

/// One file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommittedFile {
    /// Where it can be read.
    pub path: PathBuf,
    /// Where it is, or will be, below the output's root; `/` between the components.
    pub place: String,
    pub bytes: u64,
}

/// The files of `output` with the rows of epochs up to that of `manifest`, which this store's job wrote.
///
/// # Errors
/// [`FileError::Io`] where a folder cannot be listed, and [`FileError::Missing`] where a file is neither
/// published nor staged.
pub fn committed_files<L: FileLayer>(
    store: &PosixStore<L>,
    manifest: &Manifest,
    output: &OutputId,
) -> Result<Vec<CommittedFile>, FileError> {
    let Ok(layout) = store.layout().with_outputs(&manifest.outputs) else { return Ok(Vec::new()) };
    let Some(place) = layout.place(output) else { return Ok(Vec::new()) };
    let mut files: Vec<CommittedFile> = parquet_files(&place.root)?
        .into_iter()
        .filter(|path| is_committed(path, manifest))
        .filter_map(|path| found(&place.root, path))
        .collect();
    if manifest.clean {
        return Ok(files);
    }
    for entry in manifest.publish.iter().filter(|entry| entry.output == *output) {
        if !files.iter().any(|file| file.place == entry.path) {
            files.push(on_its_way(place, entry)?);
        }
    }
    Ok(files)
}

fn is_committed(path: &Path, manifest: &Manifest) -> bool {
    let name = path.file_name().and_then(|name| PartName::parse(name.to_str()?));
    name.is_some_and(|name| name.job == manifest.job && name.epoch <= manifest.epoch)
}

/// A file that has gone since it was listed is none.
fn found(root: &Path, path: PathBuf) -> Option<CommittedFile> {
    let place = path.strip_prefix(root).ok()?.to_str()?.to_owned();
    let bytes = std::fs::metadata(&path).ok()?.len();
    Some(CommittedFile { path, place, bytes })
}

/// A file of the newest epoch, which was not listed where it will be. The staged name goes after the final
/// one is there, so that one of three looks finds it.
fn on_its_way(place: &Place, entry: &PublishEntry) -> Result<CommittedFile, FileError> {
    let last = place.root.join(&entry.path);
    let looked = [last.clone(), place.staging.join(&entry.staged), last.clone()];
    match looked.into_iter().find(|path| path.is_file()) {
        Some(path) => Ok(CommittedFile { path, place: entry.path.clone(), bytes: entry.bytes }),
        None => Err(FileError::Missing { path: last }),
    }
}
