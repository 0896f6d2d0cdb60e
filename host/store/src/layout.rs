//! Which directory is what, and whether the directories given can serve. Only looks:
//! every check is made before anything is written.
//!
//! ```text
//! <output>/                      published files, and nothing else
//! <output>.staging/<job>/        its sibling, on the same file system
//! <output>.dead-letters/<job>/   beside the first output
//! <output>.late/<job>/           beside the first output
//! <output>.partial/<job>/        beside the first output
//! <checkpoint>/<job>/            checkpoints, generations, the lock
//! ```

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

use speed_layer_core::commit::{Epoch, Generation, JobName, OutputId, OutputRoot};

use crate::error::StoreError;
use crate::layer::FileLayer;

/// The directories of one job. Paths are absolute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    job: JobName,
    checkpoint: PathBuf,
    outputs: Vec<Place>,
    /// Roots that hold what was published before an output went elsewhere.
    former: Vec<PathBuf>,
}

/// Where the files of one output go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    pub output: OutputId,
    pub root: PathBuf,
    pub staging: PathBuf,
}

impl Layout {
    /// The directories of `job`. `checkpoint` is the parent of the job's own
    /// directory; `outputs` are the aggregates' names and output directories, the
    /// first of which also places the dead letters, the late rows and the partial windows.
    ///
    /// # Errors
    /// [`StoreError::Unnamed`] for an output such as `/` or `..`, and
    /// [`StoreError::Io`] where the current directory is needed and gone.
    pub fn new(job: JobName, checkpoint: &Path, outputs: &[(String, PathBuf)]) -> Result<Self, StoreError> {
        let checkpoint = absolute(checkpoint)?.join(job.as_str());
        let mut places = Vec::new();
        for (aggregate, root) in outputs {
            let root = absolute(root)?;
            let staging = sibling(&root, ".staging")?.join(job.as_str());
            places.push(Place { output: OutputId::Aggregate(aggregate.clone()), root, staging });
        }
        if let Some(first) = places.first().cloned() {
            for (output, suffix) in SIDES {
                let root = sibling(&first.root, suffix)?.join(job.as_str());
                places.push(Place { output, root, staging: first.staging.clone() });
            }
        }
        Ok(Self { job, checkpoint, outputs: places, former: Vec::new() })
    }

    /// The same with the output of an aggregate in another directory. What lies beside the
    /// first output stays there.
    ///
    /// # Errors
    /// As [`Layout::new`].
    pub fn with_output(mut self, aggregate: &str, root: &Path) -> Result<Self, StoreError> {
        let output = OutputId::Aggregate(aggregate.to_owned());
        let root = absolute(root)?;
        let staging = sibling(&root, ".staging")?.join(self.job.as_str());
        let Some(place) = self.outputs.iter_mut().find(|place| place.output == output) else {
            return Err(StoreError::NoSuchOutput(output));
        };
        let before = std::mem::replace(&mut place.root, root.clone());
        place.staging = staging;
        self.former.push(before);
        self.former.retain(|former| *former != root);
        Ok(self)
    }

    /// The directories of the same job as they were when a checkpoint named these outputs.
    ///
    /// # Errors
    /// [`StoreError::Unnamed`] for an output that is none of ours by its name.
    pub fn with_outputs(&self, roots: &[OutputRoot]) -> Result<Self, StoreError> {
        let place = |of: &OutputRoot| {
            let (output, root) = (of.output.clone(), PathBuf::from(&of.path));
            let staging = sibling(&self.staged_beside(&output, &root)?, ".staging")?.join(self.job.as_str());
            Ok(Place { output, root, staging })
        };
        let outputs = roots.iter().map(place).collect::<Result<_, StoreError>>()?;
        Ok(Self { outputs, former: Vec::new(), ..self.clone() })
    }

    /// The output beside which the files of `output` are staged: the first one for those that lie beside it.
    fn staged_beside(&self, output: &OutputId, root: &Path) -> Result<PathBuf, StoreError> {
        let Some((_, suffix)) = SIDES.iter().find(|(side, _)| side == output) else {
            return Ok(root.to_owned());
        };
        let first = || {
            let beside = root.parent()?;
            Some(beside.with_file_name(beside.file_name()?.to_str()?.strip_suffix(suffix)?))
        };
        first().ok_or_else(|| StoreError::Unnamed { path: root.to_owned() })
    }

    pub fn job(&self) -> &JobName {
        &self.job
    }

    /// The job's own checkpoint directory.
    pub fn checkpoint_dir(&self) -> &Path {
        &self.checkpoint
    }

    /// The directory that the files of `output` are published under.
    pub fn root(&self, output: &OutputId) -> Option<&Path> {
        self.place(output).map(|place| place.root.as_path())
    }

    /// All outputs, those beside the first among them.
    pub fn outputs(&self) -> impl Iterator<Item = &OutputId> {
        self.outputs.iter().map(|place| &place.output)
    }

    pub(crate) fn place(&self, output: &OutputId) -> Option<&Place> {
        self.outputs.iter().find(|place| place.output == *output)
    }

    pub(crate) fn places(&self) -> &[Place] {
        &self.outputs
    }

    /// Whether `dir` only leads to the job's directories.
    pub(crate) fn is_above(&self, dir: &Path) -> bool {
        let ours =
            self.outputs.iter().flat_map(|place| [&place.root, &place.staging]).chain([&self.checkpoint]);
        ours.into_iter().all(|own| !dir.starts_with(own))
    }

    pub(crate) fn lock_path(&self) -> PathBuf {
        self.checkpoint.join("lock")
    }

    pub(crate) fn checkpoint_path(&self, epoch: Epoch) -> PathBuf {
        self.checkpoint.join(format!("{CHECKPOINT_PREFIX}{:020}", epoch.0))
    }

    pub(crate) fn generation_path(&self, generation: Generation) -> PathBuf {
        self.checkpoint.join(format!("{GENERATION_PREFIX}{:010}", generation.0))
    }

    /// Whether these directories can serve, as far as looking tells.
    ///
    /// # Errors
    /// [`StoreError`], naming the directory: an overlap, an output that Spark wrote,
    /// one on another file system than its staging place, a file in the way.
    pub fn check(&self, layer: &impl FileLayer) -> Result<(), StoreError> {
        self.check_overlaps(layer)?;
        for place in &self.outputs {
            check_is_dir(layer, &place.root)?;
            check_same_file_system(layer, place)?;
            let spark = place.root.join("_spark_metadata");
            if layer.stat(&spark).map_err(StoreError::io("look at", &spark))?.is_some() {
                return Err(StoreError::SparkOutput { path: place.root.clone() });
            }
        }
        check_is_dir(layer, &self.checkpoint)
    }

    /// No place may lie inside another one, by whatever path it is reached.
    fn check_overlaps(&self, layer: &impl FileLayer) -> Result<(), StoreError> {
        let mut places = vec![("the checkpoint directory".to_owned(), resolved(layer, &self.checkpoint)?)];
        for place in &self.outputs {
            places.push((format!("the output of {}", place.output), resolved(layer, &place.root)?));
            if matches!(place.output, OutputId::Aggregate(_)) {
                let staging = resolved(layer, &place.staging)?;
                places.push((format!("the staging directory of {}", place.output), staging));
            }
        }
        for former in &self.former {
            places.push(("an output of the job before a swap".to_owned(), resolved(layer, former)?));
        }
        for (index, (inner_what, inner)) in places.iter().enumerate() {
            for (other, (outer_what, outer)) in places.iter().enumerate() {
                if index != other && inner.starts_with(outer) {
                    let (inner_what, inner) = (inner_what.clone(), inner.clone());
                    let (outer_what, outer) = (outer_what.clone(), outer.clone());
                    return Err(StoreError::Overlap { inner_what, inner, outer_what, outer });
                }
            }
        }
        Ok(())
    }
}

/// The outputs beside the first, by what their names end in.
const SIDES: [(OutputId, &str); 3] =
    [(OutputId::DeadLetters, ".dead-letters"), (OutputId::Late, ".late"), (OutputId::Partial, ".partial")];

pub(crate) const CHECKPOINT_PREFIX: &str = "ckpt-";
pub(crate) const SNAPSHOT_PREFIX: &str = "snapshot-";
/// Of a checkpoint or snapshot that is being written.
pub(crate) const UNSEALED_SUFFIX: &str = ".unsealed";
pub(crate) const GENERATION_PREFIX: &str = "generation-";

fn absolute(path: &Path) -> Result<PathBuf, StoreError> {
    std::path::absolute(path).map_err(StoreError::io("find", path))
}

/// `<path><suffix>`: beside `path`, never inside it.
pub(crate) fn sibling(path: &Path, suffix: &str) -> Result<PathBuf, StoreError> {
    let unnamed = || StoreError::Unnamed { path: path.to_owned() };
    let mut name: OsString = path.file_name().ok_or_else(unnamed)?.to_owned();
    name.push(suffix);
    Ok(path.with_file_name(name))
}

/// The path with what exists of it made canonical.
fn resolved(layer: &impl FileLayer, path: &Path) -> Result<PathBuf, StoreError> {
    let (existing, rest) = nearest_existing(layer, path)?;
    let existing = layer.canonical(&existing).map_err(StoreError::io("find", existing))?;
    Ok(existing.join(rest))
}

/// The longest leading part of `path` that exists, and what follows it.
fn nearest_existing(layer: &impl FileLayer, path: &Path) -> Result<(PathBuf, PathBuf), StoreError> {
    for ancestor in path.ancestors() {
        match layer.stat(ancestor) {
            Ok(Some(_)) => {
                let rest = path.strip_prefix(ancestor).unwrap_or(Path::new("")).to_owned();
                return Ok((ancestor.to_owned(), rest));
            }
            Ok(None) => {}
            Err(cause) if cause.kind() == io::ErrorKind::NotADirectory => {}
            Err(cause) => return Err(StoreError::io("look at", ancestor)(cause)),
        }
    }
    Ok((PathBuf::from("/"), path.to_owned()))
}

/// `path`, or the nearest thing above it that exists, must be a directory.
fn check_is_dir(layer: &impl FileLayer, path: &Path) -> Result<(), StoreError> {
    let (existing, _) = nearest_existing(layer, path)?;
    match layer.stat(&existing).map_err(StoreError::io("look at", &existing))? {
        Some(found) if !found.is_dir => Err(StoreError::NotADirectory { path: existing }),
        _ => Ok(()),
    }
}

fn check_same_file_system(layer: &impl FileLayer, place: &Place) -> Result<(), StoreError> {
    if device(layer, &place.root)? == device(layer, &place.staging)? {
        return Ok(());
    }
    Err(StoreError::OtherFileSystem { path: place.root.clone(), staging: place.staging.clone() })
}

/// The file system that `path` is on, or would be made on.
fn device(layer: &impl FileLayer, path: &Path) -> Result<Option<u64>, StoreError> {
    let (existing, _) = nearest_existing(layer, path)?;
    let found = layer.stat(&existing).map_err(StoreError::io("look at", &existing))?;
    Ok(found.map(|found| found.device))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_outputs_that_a_checkpoint_names_give_the_directories_that_it_was_written_with() {
        let outputs = [("daily", "/out/daily"), ("hourly", "/out/hourly")];
        let outputs = outputs.map(|(name, root)| (name.to_owned(), PathBuf::from(root)));
        let job = || JobName::new("job").unwrap();
        let written = Layout::new(job(), Path::new("/ckpt"), &outputs).unwrap();
        let written = written.with_output("daily", Path::new("/elsewhere/daily")).unwrap();
        let root = |place: &Place| OutputRoot {
            output: place.output.clone(),
            path: place.root.display().to_string(),
        };
        let roots: Vec<OutputRoot> = written.places().iter().map(root).collect();
        let other = Layout::new(job(), Path::new("/ckpt"), &outputs[1..]).unwrap();
        assert_eq!(other.with_outputs(&roots).unwrap().places(), written.places());
        let odd = OutputRoot { output: OutputId::Late, path: "/out/daily/job".to_owned() };
        assert!(matches!(other.with_outputs(&[odd]), Err(StoreError::Unnamed { .. })));
    }
}
