//! What lies in an output: the names of its files by folder. Nothing is opened.

use std::collections::BTreeMap;
use std::fs::{self, DirEntry};
use std::path::Path;

use anyhow::{Context, bail};
use speed_layer_core::commit::PartName;

/// Deeper than this no file of a job is published.
const DEPTH_MAX: usize = 64;

/// The files of an output.
#[derive(Debug, Default)]
pub struct Listing {
    /// By the folder below the output, as `symbol=BTCUSDT`; each in the order in which they were committed.
    pub partitions: BTreeMap<String, Vec<PartName>>,
    /// Files of other kinds.
    pub others: u64,
}

impl Listing {
    /// # Errors
    /// A folder cannot be listed, or holds a link, or a Parquet file that is not named as a job's.
    pub fn of(output: &Path) -> anyhow::Result<Self> {
        let mut listing = Self::default();
        walk(output, "", 0, &mut |path, entry| listing.take(path, entry))?;
        let in_order = |name: &PartName| (name.epoch, name.generation, name.number);
        listing.partitions.values_mut().for_each(|names| names.sort_by_key(in_order));
        Ok(listing)
    }

    pub fn files(&self) -> u64 {
        self.partitions.values().map(|names| names.len() as u64).sum()
    }

    fn take(&mut self, path: &str, entry: &DirEntry) -> anyhow::Result<()> {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if !name.ends_with(".parquet") {
            self.others += 1;
        } else if let Some(name) = PartName::parse(&name) {
            self.partitions.entry(path.to_owned()).or_default().push(name);
        } else {
            bail!(
                "{} is not named as a job names its files, so it is none of an output's; move it away, or give the \
                 output of an aggregate",
                entry.path().display()
            );
        }
        Ok(())
    }
}

/// Gives the files at and below a folder, each with the path of its folder below `root`.
///
/// # Errors
/// A folder cannot be listed or a link lies there, and those of `take`.
pub fn walk(
    root: &Path,
    path: &str,
    depth: usize,
    take: &mut dyn FnMut(&str, &DirEntry) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let folder = root.join(path);
    for entry in fs::read_dir(&folder).with_context(|| format!("cannot list {}", folder.display()))? {
        let entry = entry.with_context(|| format!("cannot list {}", folder.display()))?;
        let kind = entry.file_type().with_context(|| format!("cannot look at {}", entry.path().display()))?;
        if kind.is_symlink() {
            bail!("{} is a symbolic link, and a job makes none; remove it", entry.path().display());
        }
        if !kind.is_dir() {
            take(path, &entry)?;
            continue;
        }
        let Some(name) = entry.file_name().to_str().map(str::to_owned).filter(|_| depth < DEPTH_MAX) else {
            bail!("{} is no folder that a job makes; move it away", entry.path().display());
        };
        walk(root, &if path.is_empty() { name } else { format!("{path}/{name}") }, depth + 1, take)?;
    }
    Ok(())
}
