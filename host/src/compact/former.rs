//! The copy that was made before: whether it is one, what it was made of, and what of it can be taken over.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow, ensure};
use speed_layer_store::JoinedFile;
use speed_layer_store::joined::digest_in_name;
use speed_layer_store::part::digest_of;

use super::listing::{Listing, walk};
use super::source::Source;

/// An earlier copy; without files where there is none.
#[derive(Debug)]
pub struct Former {
    root: PathBuf,
    /// The names of its files by folder, sorted.
    partitions: BTreeMap<String, Vec<String>>,
}

impl Former {
    /// Lists what is at `root`.
    ///
    /// # Errors
    /// Something else lies there than the files of a copy.
    pub fn at(root: &Path) -> anyhow::Result<Self> {
        let mut former = Self { root: root.to_owned(), partitions: BTreeMap::new() };
        if root.exists() {
            walk(root, "", 0, &mut |path, entry| {
                let name = entry.file_name().to_string_lossy().into_owned();
                if digest_in_name(&name).is_none() {
                    return Err(foreign(&entry.path()));
                }
                former.partitions.entry(path.to_owned()).or_default().push(name);
                Ok(())
            })?;
        }
        former.partitions.values_mut().for_each(|names| names.sort());
        Ok(former)
    }

    /// # Errors
    /// The output has nothing any more of a folder that the copy has.
    pub fn refuse_lost_partitions(&self, listing: &Listing) -> anyhow::Result<()> {
        match self.partitions.keys().find(|path| !listing.partitions.contains_key(*path)) {
            None => Ok(()),
            Some(path) => Err(lost(&self.root, path)),
        }
    }

    /// Its files of one folder, in their order.
    ///
    /// # Errors
    /// One is no joined file, or of another folder.
    pub fn partition(&self, path: &str) -> anyhow::Result<Vec<JoinedFile>> {
        let names = self.partitions.get(path).map_or(&[][..], Vec::as_slice);
        names.iter().map(|name| self.open(path, name)).collect()
    }

    fn open(&self, path: &str, name: &str) -> anyhow::Result<JoinedFile> {
        let at = self.root.join(path).join(name);
        let opened = JoinedFile::open(&at)
            .context("the earlier copy cannot be used; remove it, or give another folder");
        let Some(file) = opened? else { return Err(foreign(&at)) };
        ensure!(file.joined.path == path, "{} belongs into {:?}", at.display(), file.joined.path);
        Ok(file)
    }
}

/// Whether these files are what would be made of `sources`, and are as they were written.
///
/// # Errors
/// One cannot be read.
pub fn is_same(former: &[JoinedFile], sources: &[Source], file_bytes: u64) -> anyhow::Result<bool> {
    let program = format!("speed-layer {}", env!("CARGO_PKG_VERSION"));
    if former.iter().any(|file| file.joined.file_bytes != file_bytes || file.created_by != program) {
        return Ok(false);
    }
    let before = former.iter().flat_map(|file| &file.joined.sources).map(|of| (&of.name, &of.sha256));
    if former.is_empty() || !before.eq(sources.iter().map(|of| (&of.name, &of.sha256))) {
        return Ok(false);
    }
    for file in former {
        let mut bytes =
            File::open(&file.path).with_context(|| format!("cannot read {}", file.path.display()))?;
        let sha256 = digest_of(&mut bytes).with_context(|| format!("cannot read {}", file.path.display()))?;
        let name = file.path.file_name().unwrap_or_default().to_string_lossy();
        if !digest_in_name(&name).is_some_and(|digits| sha256.to_string().starts_with(digits)) {
            return Ok(false);
        }
    }
    Ok(true)
}

fn foreign(path: &Path) -> anyhow::Error {
    anyhow!(
        "{} is not of a copy that `host compact` made; give another folder for the copy, which is empty, not there or \
         holds an earlier copy alone",
        path.display()
    )
}

/// What `root` has a copy of is in the output no more.
pub fn lost(root: &Path, what: &str) -> anyhow::Error {
    anyhow!(
        "the copy in {} has rows of {what}, which the output has no more, so that they would be gone with a new copy in \
         its place; give another folder for the new one",
        root.display()
    )
}
