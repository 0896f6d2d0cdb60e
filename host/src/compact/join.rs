//! Files of one folder joined: their rows one after the other, which is by rising window, since a window closes
//! once. Rows are never sorted or changed, and one batch of them is held at a time.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use arrow_array::RecordBatch;
use speed_layer_core::commit::Codec;
use speed_layer_store::joined::{Joined, SourceFacts, joined_name};
use speed_layer_store::part::{ParquetPart, PartFacts};

use super::source::Source;
use crate::recompute::starts_us;

/// So many at most go into one file, since its metadata tells of each.
const SOURCES_MAX: usize = 4096;
/// The file that is being written.
const UNNAMED: &str = "unnamed";

/// The joined files of one folder.
pub struct Join<'a> {
    folder: &'a Path,
    file_bytes: u64,
    open: Option<Open>,
    made: Vec<PartFacts>,
    /// The last window that was copied, and the file that it was in.
    last: Option<(i64, String)>,
}

/// A file that more may go into.
struct Open {
    path: PathBuf,
    part: ParquetPart<File>,
    joined: Joined,
    codec: Codec,
    schema: arrow_schema::SchemaRef,
}

impl<'a> Join<'a> {
    /// Into `folder`, in files of about `file_bytes`.
    pub fn new(folder: &'a Path, file_bytes: u64) -> Self {
        Self { folder, file_bytes, open: None, made: Vec::new(), last: None }
    }

    /// Copies all of these, in their order.
    ///
    /// # Errors
    /// One is damaged, has a window that another one has, or the disk is full.
    pub fn all(mut self, sources: &[Source]) -> anyhow::Result<Vec<PartFacts>> {
        for source in sources {
            self.copy(source)?;
        }
        self.end()?;
        Ok(self.made)
    }

    fn copy(&mut self, source: &Source) -> anyhow::Result<()> {
        if self.open.as_ref().is_some_and(|open| open.is_full(self.file_bytes) || !open.takes(source)) {
            self.end()?;
        }
        let mut open = match self.open.take() {
            Some(open) => open,
            None => self.begin(source)?,
        };
        let mut windows_us = None;
        source.file.each_batch(|batch| {
            let starts = starts_us(batch).with_context(|| format!("in {}", source.file.path.display()))?;
            self.check_order(&starts, windows_us.map(|(_, last)| last), source)?;
            if let (Some(first), Some(last)) = (starts.first(), starts.last()) {
                windows_us = Some((windows_us.map_or(*first, |(first, _)| first), *last));
            }
            let rows = RecordBatch::try_new(open.schema.clone(), batch.columns().to_vec())?;
            open.part.write(&rows).with_context(|| format!("cannot write {}", open.path.display()))
        })?;
        if let Some((_, last)) = windows_us {
            self.last = Some((last, source.name.clone()));
        }
        let facts = SourceFacts { name: source.name.clone(), sha256: source.sha256, windows_us };
        open.joined.add(&source.file, &source.recipe, facts);
        self.open = Some(open);
        Ok(())
    }

    /// Windows rise within a file, and each file's lie after those of the file before.
    fn check_order(&self, starts: &[i64], before: Option<i64>, source: &Source) -> anyhow::Result<()> {
        let own = before.into_iter().chain(starts.iter().copied());
        ensure!(
            own.is_sorted(),
            "the rows of {} are not in the order of their windows",
            source.file.path.display()
        );
        if let (Some((last, name)), Some(first)) = (&self.last, starts.first()) {
            ensure!(
                first > last,
                "{} has a window that {name} has too, or one before it: these are not of one run of the job, as when an \
                 older copy of the output was mixed in; restore the output",
                source.file.path.display()
            );
        }
        Ok(())
    }

    fn begin(&self, first: &Source) -> anyhow::Result<Open> {
        let path = self.folder.join(UNNAMED);
        let file = File::create_new(&path).with_context(|| format!("cannot create {}", path.display()))?;
        let part = ParquetPart::new(file, first.schema.clone(), first.codec)
            .with_context(|| format!("cannot write {}", path.display()))?;
        let joined = Joined::begin(&first.file.footer, &first.recipe, self.file_bytes);
        Ok(Open { path, part, joined, codec: first.codec, schema: first.schema.clone() })
    }

    fn end(&mut self) -> anyhow::Result<()> {
        let Some(Open { path, part, joined, codec, .. }) = self.open.take() else { return Ok(()) };
        let (_, facts) =
            part.finish_joined(&joined).with_context(|| format!("cannot write {}", path.display()))?;
        let name = joined_name(&joined.job, self.made.len(), &facts.sha256, codec);
        fs::rename(&path, self.folder.join(name))
            .with_context(|| format!("cannot name {}", path.display()))?;
        self.made.push(facts);
        Ok(())
    }
}

impl Open {
    fn is_full(&self, file_bytes: u64) -> bool {
        self.part.bytes() >= file_bytes || self.joined.sources.len() >= SOURCES_MAX
    }

    fn takes(&self, source: &Source) -> bool {
        self.schema == source.schema && self.codec == source.codec
    }
}
