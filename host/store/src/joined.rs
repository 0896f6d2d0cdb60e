//! What a joined copy of published files says of itself: of each file that went into it, what its own
//! metadata said, and its digest. What is equal in many of them is there once. Which files are joined is the
//! caller's; nothing is read back from here by a job.

use std::path::{Path, PathBuf};

use parquet::file::metadata::KeyValue;
use serde::{Deserialize, Serialize};
use speed_layer_core::commit::{Codec, Digest, Epoch, Gap, Generation, JobName, PluginUse};

use crate::footer::{Footer, FooterError, OffsetRange, Recipe, entry, of_json};
use crate::published::{FileError, PublishedFile, each_batch, file_metadata};

const KEY: &str = "joined";
const PREFIX: &str = "joined-";
/// Digits of the digest in a name.
const DIGITS: usize = 16;

/// The metadata of a joined file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Joined {
    pub job: JobName,
    pub aggregate: String,
    /// The folder below the output, as `symbol=BTCUSDT`.
    pub path: String,
    /// How large the file was to be, about.
    pub file_bytes: u64,
    /// What several sources have in common, by [`Source::maker`].
    pub makers: Vec<Maker>,
    /// The files whose rows these are, in the order of the rows.
    pub sources: Vec<Source>,
}

/// What made the rows of a source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Maker {
    pub plugins: Vec<PluginUse>,
    pub gaps: Vec<Gap>,
    pub recipe: Recipe,
}

/// A published file that went into a joined one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    pub name: String,
    pub bytes: u64,
    pub rows: u64,
    pub sha256: Digest,
    /// The first and the last window by their starts, microseconds since 1970 UTC; `None` without rows.
    pub windows_us: Option<(i64, i64)>,
    pub epoch: Epoch,
    pub generation: Generation,
    pub offsets: Vec<OffsetRange>,
    pub closed_through_ms: Option<i64>,
    pub clock_bound_ms: i64,
    pub maker: usize,
}

/// A published file's facts beside its metadata.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceFacts {
    pub name: String,
    pub sha256: Digest,
    /// As [`Source::windows_us`].
    pub windows_us: Option<(i64, i64)>,
}

impl Joined {
    /// Of files of an aggregate's output, as the first of them has it; none is in it yet.
    pub fn begin(of: &Footer, recipe: &Recipe, file_bytes: u64) -> Self {
        Self {
            job: of.job.clone(),
            aggregate: recipe.aggregate.clone(),
            path: recipe.path.clone(),
            file_bytes,
            makers: Vec::new(),
            sources: Vec::new(),
        }
    }

    /// Notes the next file.
    pub fn add(&mut self, file: &PublishedFile, recipe: &Recipe, facts: SourceFacts) {
        let footer = &file.footer;
        let maker =
            Maker { plugins: footer.plugins.clone(), gaps: footer.gaps.clone(), recipe: recipe.clone() };
        let known = self.makers.iter().rposition(|known| *known == maker);
        let maker = known.unwrap_or_else(|| {
            self.makers.push(maker);
            self.makers.len() - 1
        });
        self.sources.push(Source {
            name: facts.name,
            bytes: file.bytes,
            rows: file.rows,
            sha256: facts.sha256,
            windows_us: facts.windows_us,
            epoch: footer.epoch,
            generation: footer.generation,
            offsets: footer.offsets.clone(),
            closed_through_ms: footer.closed_through_ms,
            clock_bound_ms: footer.clock_bound_ms,
            maker,
        });
    }

    pub(crate) fn key_values(&self) -> Vec<KeyValue> {
        vec![entry(KEY, serde_json::json!(self).to_string())]
    }

    /// `None` for metadata of a file that is not a joined one.
    pub(crate) fn read(entries: &[KeyValue]) -> Option<Result<Self, FooterError>> {
        match of_json(entries, KEY) {
            Err(FooterError::Missing { .. }) => None,
            read => Some(read),
        }
    }
}

/// A joined file.
#[derive(Debug, Clone)]
pub struct JoinedFile {
    pub path: PathBuf,
    pub bytes: u64,
    pub rows: u64,
    pub row_groups: usize,
    /// The program that wrote it.
    pub created_by: String,
    pub joined: Joined,
}

impl JoinedFile {
    /// Opens a file and reads its metadata, not its rows; `None` for one that is not a joined file.
    ///
    /// # Errors
    /// [`FileError`] for one that is not there, no Parquet or has damaged metadata.
    pub fn open(path: &Path) -> Result<Option<Self>, FileError> {
        let (metadata, bytes) = file_metadata(path)?;
        let of_file = metadata.file_metadata();
        let entries = of_file.key_value_metadata().map_or(&[][..], Vec::as_slice);
        let Some(joined) = Joined::read(entries) else { return Ok(None) };
        let joined = joined.map_err(|cause| FileError::Footer { path: path.to_owned(), cause })?;
        Ok(Some(Self {
            path: path.to_owned(),
            bytes,
            rows: u64::try_from(of_file.num_rows()).unwrap_or_default(),
            row_groups: metadata.num_row_groups(),
            created_by: of_file.created_by().unwrap_or_default().to_owned(),
            joined,
        }))
    }

    /// Reads all rows, so that damage shows.
    ///
    /// # Errors
    /// [`FileError::Rows`] for pages that cannot be read.
    pub fn check_rows(&self) -> Result<(), FileError> {
        each_batch(&self.path, self.rows, &mut |_| Ok::<(), FileError>(()))
    }
}

/// The name of a joined file: `joined-<job>-<number>-<digest>.<codec>.parquet`. It is none that a job would
/// take for its own.
pub fn joined_name(job: &JobName, number: usize, sha256: &Digest, codec: Codec) -> String {
    let digest = sha256.to_string();
    format!("{PREFIX}{job}-{number:05}-{}.{}.parquet", &digest[..DIGITS], codec.as_str())
}

/// The digits of the digest in such a name; `None` for any other.
pub fn digest_in_name(name: &str) -> Option<&str> {
    let stem = name.strip_prefix(PREFIX)?.strip_suffix(".parquet")?;
    let (stem, _codec) = stem.rsplit_once('.')?;
    let (_, digits) = stem.rsplit_once('-')?;
    (digits.len() == DIGITS && digits.bytes().all(|digit| digit.is_ascii_hexdigit())).then_some(digits)
}

#[cfg(test)]
mod tests {
    use super::*;
    use speed_layer_core::commit::PartName;

    #[test]
    fn a_name_has_the_digest_and_is_none_of_a_job() {
        let name = joined_name(&JobName::new("a-g1-e2-3").unwrap(), 7, &Digest([0xAB; 32]), Codec::Zstd);
        assert_eq!(name, "joined-a-g1-e2-3-00007-abababababababab.zstd.parquet");
        assert_eq!(digest_in_name(&name), Some("abababababababab"));
        assert_eq!(PartName::parse(&name), None);
        for other in [
            "joined-a-00007-abababababababab.parquet",
            "joined-a-00007-ababab.snappy.parquet",
            "joined-a-00007-gbababababababab.snappy.parquet",
            "part-a-g1-e2-3.snappy.parquet",
            "x.parquet",
        ] {
            assert_eq!(digest_in_name(other), None, "{other}");
        }
    }
}
