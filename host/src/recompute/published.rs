//! What was published below a folder, and which records its windows were made of.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};
use arrow_array::RecordBatch;
use speed_layer_store::footer::Recipe;
use speed_layer_store::published::parquet_files;
use speed_layer_store::{FileError, PublishedFile};

use super::rows::{Rows, WINDOW_START, starts_us};
use super::{ranges_of_window, recipe_of};
use crate::config::{AggregateSpec, JobSpec};
use crate::job::replay::OffsetRanges;

/// The files of one aggregate that say what they are made of.
pub struct Published {
    pub folder: PathBuf,
    files: Vec<PublishedFile>,
    /// Files of no job, or of an earlier version: their windows' records are not known.
    pub unknown: usize,
}

impl Published {
    /// Looks at every Parquet file below `folder`.
    ///
    /// # Errors
    /// There is none that says what it is made of, or they are not of one aggregate.
    pub fn below(folder: &Path) -> anyhow::Result<Self> {
        let (mut files, mut unknown) = (Vec::new(), 0);
        for path in parquet_files(folder)? {
            match PublishedFile::open(&path) {
                Ok(file) if file.footer.recipe.is_some() => files.push(file),
                Ok(_) | Err(FileError::NotOurs { .. }) => unknown += 1,
                Err(cause) => return Err(cause.into()),
            }
        }
        let found = Self { folder: folder.to_owned(), files, unknown };
        let first = found.recipe()?;
        for file in &found.files {
            let recipe = recipe_of(file)?;
            ensure!(
                (&recipe.aggregate, &recipe.key, recipe.keep_key_column, recipe.window_ms)
                    == (&first.aggregate, &first.key, first.keep_key_column, first.window_ms),
                "{} holds files of aggregate {} and of aggregate {}, or with another key or window; give the output of one",
                folder.display(),
                first.aggregate,
                recipe.aggregate
            );
        }
        Ok(found)
    }

    /// The job under the name by which it published these files.
    ///
    /// # Errors
    /// There is no file.
    pub fn job_of(&self, job: JobSpec) -> anyhow::Result<JobSpec> {
        Ok(JobSpec { name: self.newest()?.footer.job.to_string(), ..job })
    }

    /// The job with the one aggregate that published these files.
    ///
    /// # Errors
    /// The job has no such aggregate, or groups otherwise.
    pub fn spec_of(&self, job: &JobSpec) -> anyhow::Result<JobSpec> {
        let recipe = self.recipe()?;
        let found = job.aggregates.iter().find(|aggregate| aggregate.name == recipe.aggregate);
        let aggregate = found.with_context(|| {
            let names = job.aggregates.iter().map(|of| of.name.as_str()).collect::<Vec<_>>().join(", ");
            format!(
                "{} was published by aggregate {}; the job has {names}",
                self.folder.display(),
                recipe.aggregate
            )
        })?;
        ensure!(
            aggregate.key == recipe.key && aggregate.window_ms == recipe.window_ms.unsigned_abs(),
            "aggregate {} has the key {} and windows of {} ms, and what was published the key {} and windows of {} ms",
            aggregate.name,
            aggregate.key.join(", "),
            aggregate.window_ms,
            recipe.key.join(", "),
            recipe.window_ms
        );
        let aggregate = AggregateSpec { keep_key_column: recipe.keep_key_column, ..aggregate.clone() };
        Ok(JobSpec { aggregates: vec![aggregate], ..job.clone() })
    }

    /// What they all have in common, and the key of one of them.
    ///
    /// # Errors
    /// There is no such file.
    pub fn recipe(&self) -> anyhow::Result<&Recipe> {
        let Some(first) = self.files.first() else {
            bail!(
                "{} has no Parquet file that says what it was made of ({} others); give the output of a job",
                self.folder.display(),
                self.unknown
            );
        };
        recipe_of(first)
    }

    /// The newest file: whose clock believes all that those before it did.
    ///
    /// # Errors
    /// There is no file.
    pub fn newest(&self) -> anyhow::Result<&PublishedFile> {
        self.files.iter().max_by_key(|file| file.footer.epoch).context("no file was published")
    }

    /// Every published window by its start, with the offsets of its records.
    ///
    /// # Errors
    /// A file cannot be read.
    pub fn windows(&self) -> anyhow::Result<BTreeMap<i64, OffsetRanges>> {
        let mut windows: BTreeMap<i64, OffsetRanges> = BTreeMap::new();
        for file in &self.files {
            for batch in file.read_columns(&[WINDOW_START])? {
                for start_us in starts_us(&batch)?.into_iter().collect::<BTreeSet<_>>() {
                    let ranges = ranges_of_window(file, recipe_of(file)?, start_us);
                    widen(windows.entry(start_us).or_default(), &ranges);
                }
            }
        }
        Ok(windows)
    }

    /// The rows of these windows, with their keys.
    ///
    /// # Errors
    /// As [`Self::windows`].
    pub fn rows_of(&self, windows: &BTreeMap<i64, OffsetRanges>) -> anyhow::Result<RecordBatch> {
        let mut rows = Rows::default();
        for file in &self.files {
            for batch in file.read_rows()? {
                rows.add(&recipe_of(file)?.path, &batch, |start_us| windows.contains_key(&start_us))?;
            }
        }
        rows.all()
    }
}

/// Takes the records of `by` in.
pub fn widen(held: &mut OffsetRanges, by: &OffsetRanges) {
    for (&partition, range) in by {
        let held = held.entry(partition).or_insert_with(|| range.clone());
        *held = held.start.min(range.start)..held.end.max(range.end);
    }
}
