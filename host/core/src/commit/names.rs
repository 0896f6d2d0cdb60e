//! The names that a commit is made of: epochs, generations, jobs, digests, and the
//! file names put together from them. Formatting and parsing only: whether such a
//! file exists is the store's business.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The number of a commit. The first one sealed is 1; 0 stands for "before any".
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Epoch(pub u64);

impl Epoch {
    pub fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }

    pub fn previous(self) -> Self {
        Self(self.0.saturating_sub(1))
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// How often the job was started: every start claims the next one, for good.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Generation(pub u64);

impl Generation {
    pub fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl fmt::Display for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    #[error(
        "{name:?} cannot name a job: a name is 1 to {max} letters, digits, '_', '-' or '.', beginning with a \
         letter, a digit or '_'; give another with --name",
        max = JobName::BYTES_MAX
    )]
    Job { name: String },
    #[error("{text:?} is not a SHA-256 digest (64 hexadecimal digits)")]
    Digest { text: String },
}

/// A job's name: safe as one path component and inside a file name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct JobName(String);

impl JobName {
    /// Leaves room for the rest of a file name within 255 bytes.
    pub const BYTES_MAX: usize = 128;

    /// # Errors
    /// [`NameError::Job`] if the name is empty, too long or holds anything that a
    /// path, a shell pattern or a reader's hidden-file rule might take amiss.
    pub fn new(name: &str) -> Result<Self, NameError> {
        let plain = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'_' | b'-' | b'.');
        let first = name.bytes().next().is_some_and(|c| c.is_ascii_alphanumeric() || c == b'_');
        if first && name.len() <= Self::BYTES_MAX && name.bytes().all(plain) {
            Ok(Self(name.to_owned()))
        } else {
            Err(NameError::Job { name: name.to_owned() })
        }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for JobName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for JobName {
    type Error = NameError;

    fn try_from(name: String) -> Result<Self, NameError> {
        Self::new(&name)
    }
}

impl From<JobName> for String {
    fn from(name: JobName) -> Self {
        name.0
    }
}

/// A SHA-256 digest; shown and stored as 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Digest(pub [u8; 32]);

impl Digest {
    /// The first twelve digits, for messages.
    pub fn short(&self) -> String {
        self.to_string()[..12].to_owned()
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256:{self}")
    }
}

impl FromStr for Digest {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        parse_hex(text).map(Self).ok_or_else(|| NameError::Digest { text: text.to_owned() })
    }
}

fn parse_hex(text: &str) -> Option<[u8; 32]> {
    let digits = text.as_bytes();
    if digits.len() != 64 {
        return None;
    }
    let mut bytes = [0; 32];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        let nibble = |digit: u8| char::from(digit).to_digit(16);
        *byte = (nibble(pair[0])? * 16 + nibble(pair[1])?) as u8;
    }
    Some(bytes)
}

impl TryFrom<String> for Digest {
    type Error = NameError;

    fn try_from(text: String) -> Result<Self, NameError> {
        text.parse()
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> Self {
        digest.to_string()
    }
}

/// How a Parquet file's pages are compressed; it shows in the file's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Codec {
    #[default]
    Snappy,
    Zstd,
}

impl Codec {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Snappy => "snappy",
            Self::Zstd => "zstd",
        }
    }
}

/// The name of a staged or published file:
/// `part-<job>-g<generation>-e<epoch>-<number>.<codec>.parquet`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartName {
    pub job: JobName,
    pub generation: Generation,
    pub epoch: Epoch,
    /// Counts the files of one epoch, over all outputs.
    pub number: u32,
    pub codec: Codec,
}

impl PartName {
    /// The parts of a file's name, `None` if it is no name of ours. Reads from the
    /// right, because a job's name may hold dashes and dots itself.
    pub fn parse(file_name: &str) -> Option<Self> {
        let stem = file_name.strip_suffix(".parquet")?;
        let (stem, codec) = stem.rsplit_once('.')?;
        let codec = [Codec::Snappy, Codec::Zstd].into_iter().find(|known| known.as_str() == codec)?;
        let (stem, number) = stem.rsplit_once('-')?;
        let (stem, epoch) = stem.rsplit_once("-e")?;
        let (stem, generation) = stem.rsplit_once("-g")?;
        Some(Self {
            job: JobName::new(stem.strip_prefix("part-")?).ok()?,
            generation: Generation(generation.parse().ok()?),
            epoch: Epoch(epoch.parse().ok()?),
            number: number.parse().ok()?,
            codec,
        })
    }
}

impl fmt::Display for PartName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { job, generation, epoch, number, codec } = self;
        write!(f, "part-{job}-g{generation}-e{:010}-{number:05}.{}.parquet", epoch.0, codec.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_name_is_one_plain_path_component() {
        let longest = "a".repeat(128);
        for good in ["daily", "a", "_x", "9-lives", "crypto.daily_v2", &longest] {
            assert!(JobName::new(good).is_ok(), "{good}");
        }
        let too_long = "a".repeat(129);
        for bad in ["", ".", "..", ".hidden", "-flag", "a/b", "a b", "a\0", "é", "a*", &too_long] {
            assert!(JobName::new(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_part_name_reads_back_whatever_the_job_is_called() {
        for job in ["daily", "a-g1-e2-3", "x.snappy.parquet", "part-x"] {
            let name = PartName {
                job: JobName::new(job).unwrap(),
                generation: Generation(12),
                epoch: Epoch(34),
                number: 7,
                codec: Codec::Zstd,
            };
            assert_eq!(PartName::parse(&name.to_string()), Some(name.clone()), "{name}");
        }
    }

    #[test]
    fn a_part_name_sorts_by_epoch_and_says_how_it_is_compressed() {
        let name = PartName::parse("part-daily-g3-e0000000012-00004.snappy.parquet").unwrap();
        assert_eq!(name.to_string(), "part-daily-g3-e0000000012-00004.snappy.parquet");
        assert_eq!((name.generation, name.epoch, name.number), (Generation(3), Epoch(12), 4));
    }

    #[test]
    fn other_files_are_not_taken_for_ours() {
        for other in [
            "",
            "part-00000-1234.snappy.parquet",
            "part-daily-g1-e2-3.parquet",
            "part-daily-g1-e2-3.gzip.parquet",
            "part-daily-gx-e2-3.snappy.parquet",
            "part-daily-g1-e2-3.snappy.parquet.tmp",
            "data.parquet",
        ] {
            assert_eq!(PartName::parse(other), None, "{other}");
        }
    }

    #[test]
    fn a_digest_reads_back_from_its_digits() {
        let digest = Digest(std::array::from_fn(|i| i as u8 * 7));
        assert_eq!(digest.to_string().parse(), Ok(digest));
        assert_eq!(digest.short().len(), 12);
        for bad in ["", "00", &"g".repeat(64), &"é".repeat(32)] {
            assert!(bad.parse::<Digest>().is_err(), "{bad}");
        }
    }
}
