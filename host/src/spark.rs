//! What a job of Spark's Structured Streaming has left in its checkpoint folder: up to where it has read its topic,
//! and which windows it has written. Nothing of Spark's state store is read; what it held is made again from the topic.
//!
//! The folder has `offsets/N`, up to where batch N reads, written before it begins, and `commits/N`, written when it
//! is done; numbers rise. Each is a line `v1` and lines of JSON. So it is in Spark 3.x
//! (`OffsetSeqLog`, `CommitLog` and `KafkaSourceOffset` in its sources).

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};
use serde::Deserialize;

const VERSION: &str = "v1";

/// A job of Spark's as of its last committed batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SparkCheckpoint {
    pub dir: PathBuf,
    pub batch: u64,
    pub topic: String,
    /// Of each partition what the job has read: from its first offset to the one that comes next.
    pub read: BTreeMap<i32, std::ops::Range<i64>>,
    /// Windows that end at or before this are written; `None` before the first watermark.
    pub closed_through_ms: Option<i64>,
    /// What the batch has moved the watermark to, from which the next one goes on.
    pub watermark_ms: Option<i64>,
    /// A batch that was begun and is not committed.
    pub begun: Option<u64>,
}

#[derive(Debug, Deserialize)]
struct BatchMetadata {
    #[serde(rename = "batchWatermarkMs", default)]
    watermark_ms: i64,
}

#[derive(Debug, Default, Deserialize)]
struct CommitMetadata {
    #[serde(rename = "nextBatchWatermarkMs", default)]
    next_watermark_ms: i64,
}

type Offsets = BTreeMap<String, BTreeMap<i32, i64>>;

impl SparkCheckpoint {
    /// # Errors
    /// It is no such folder, nothing is committed in it, or it has another form than is known here; the file is named.
    pub fn read(dir: &Path) -> anyhow::Result<Self> {
        let (begun, done) = (batches(&dir.join("offsets"))?, batches(&dir.join("commits"))?);
        let Some(&batch) = done.last() else {
            bail!(
                "no batch is committed in {}: the job has written nothing, so there is nothing to go on from",
                dir.display()
            );
        };
        let lines = lines_of(&dir.join("commits").join(batch.to_string()))?;
        let committed: CommitMetadata = lines.first(CommitMetadata::default())?;
        let lines = lines_of(&dir.join("offsets").join(batch.to_string()))?;
        let metadata: BatchMetadata = lines.json(0)?;
        let (topic, next) = lines.offsets(1)?;
        ensure!(
            lines.texts.len() == 2,
            "{} has several sources; this takes over jobs with one topic",
            lines.path.display()
        );
        let first = initial_offsets(dir, &topic)?;
        let read = next.iter().map(|(&of, &next)| (of, first.get(&of).copied().unwrap_or(0).min(next)..next));
        Ok(Self {
            dir: dir.to_owned(),
            batch,
            topic,
            read: read.collect(),
            closed_through_ms: watermark(metadata.watermark_ms),
            watermark_ms: watermark(committed.next_watermark_ms),
            begun: begun.last().copied().filter(|last| *last > batch),
        })
    }

    /// Refuses a job whose last batch may have written windows that it has not committed. `output`: where Spark writes
    /// them, if that is known.
    ///
    /// # Errors
    /// Says how to find out, or that Spark has to end the batch.
    pub fn check_ended(&self, output: Option<&Path>) -> anyhow::Result<()> {
        let (Some(begun), dir) = (self.begun, self.dir.display()) else { return Ok(()) };
        let Some(output) = output else {
            bail!(
                "batch {begun} of {dir} was begun and is not committed, so its windows may be written or not: start the Spark \
                 job once more and stop it between two batches, or say with --spark-output where it writes, so that its \
                 log there can be asked"
            );
        };
        let log = output.join("_spark_metadata");
        ensure!(
            log.is_dir(),
            "{} has no _spark_metadata, so it is not what the Spark job writes to; give the folder of its file sink",
            output.display()
        );
        let written =
            [begun.to_string(), format!("{begun}.compact")].iter().any(|name| log.join(name).exists());
        ensure!(
            !written,
            "batch {begun} of {dir} has written its windows to {} and is not committed: start the Spark job once more, \
             which commits it, and stop it between two batches",
            output.display()
        );
        Ok(())
    }
}

/// The lines of a file of Spark's behind its version.
struct Lines {
    path: PathBuf,
    texts: Vec<String>,
}

impl Lines {
    fn json<'a, T: Deserialize<'a>>(&'a self, at: usize) -> anyhow::Result<T> {
        let path = self.path.display();
        let text = self.texts.get(at).with_context(|| format!("{path} ends before its line {}", at + 2))?;
        serde_json::from_str(text)
            .with_context(|| format!("line {} of {path} is not what Spark 3 writes", at + 2))
    }

    /// The first one, or `none` where there is none.
    fn first<'a, T: Deserialize<'a>>(&'a self, none: T) -> anyhow::Result<T> {
        if self.texts.is_empty() { Ok(none) } else { self.json(0) }
    }

    /// Of the one topic of a source of Kafka's.
    fn offsets(&self, at: usize) -> anyhow::Result<(String, BTreeMap<i32, i64>)> {
        let mut topics: Offsets = self.json(at)?;
        let named: Vec<&str> = topics.keys().map(String::as_str).collect();
        ensure!(
            named.len() == 1,
            "{} has offsets of the topics {}; this takes over jobs with one topic",
            self.path.display(),
            named.join(", ")
        );
        topics.pop_first().with_context(|| format!("{} names no topic", self.path.display()))
    }
}

fn lines_of(path: &Path) -> anyhow::Result<Lines> {
    let text = std::fs::read_to_string(path).with_context(|| format!("{} cannot be read", path.display()))?;
    // Kafka's first offsets have a zero byte before the version, for readers of before Spark 2.1.
    let mut lines = text.trim_start_matches('\0').lines();
    let version = lines.next().unwrap_or_default();
    ensure!(
        version == VERSION,
        "{} has the version {version:?}; known here is {VERSION:?}, of Spark 3",
        path.display()
    );
    let texts = lines.filter(|line| !line.trim().is_empty()).map(str::to_owned).collect();
    Ok(Lines { path: path.to_owned(), texts })
}

/// The numbers of the batches in a log of Spark's, rising.
fn batches(log: &Path) -> anyhow::Result<Vec<u64>> {
    let entries = std::fs::read_dir(log).with_context(|| {
        format!(
            "{} cannot be read; give the checkpoint folder (checkpointLocation) of the Spark job",
            log.display()
        )
    })?;
    let mut batches = Vec::new();
    for entry in entries {
        let name = entry.with_context(|| format!("{} cannot be read", log.display()))?.file_name();
        batches.extend(name.to_str().and_then(|name| name.parse::<u64>().ok()));
    }
    batches.sort_unstable();
    Ok(batches)
}

/// Where the job began; partitions that came later began at 0.
fn initial_offsets(dir: &Path, topic: &str) -> anyhow::Result<BTreeMap<i32, i64>> {
    let (of, first) = lines_of(&dir.join("sources").join("0").join("0"))?.offsets(0)?;
    ensure!(of == topic, "{} began with the topic {of} and reads {topic}", dir.display());
    Ok(first)
}

/// Spark has 0 before the first one.
fn watermark(ms: i64) -> Option<i64> {
    Some(ms).filter(|ms| *ms > 0)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const CONF: &str = r#""batchTimestampMs":1795373389857,"conf":{"spark.sql.shuffle.partitions":"2"}"#;

    /// A folder as Spark 3.5 leaves it, with these files besides.
    fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        let offsets =
            |watermark: i64, next: &str| format!("v1\n{{\"batchWatermarkMs\":{watermark},{CONF}}}\n{next}");
        let usual = [
            ("metadata", r#"{"id":"91e9bd86-418c-438f-a50f-c887cc984244"}"#.to_owned()),
            ("sources/0/0", "\0v1\n{\"ticks\":{\"1\":5,\"0\":0}}".to_owned()),
            ("offsets/.9.crc", "x".to_owned()),
            ("offsets/9", offsets(1000, r#"{"ticks":{"1":40,"0":30}}"#)),
            ("offsets/10", offsets(2000, r#"{"ticks":{"2":7,"1":550,"0":450}}"#)),
            ("commits/9", "v1\n{\"nextBatchWatermarkMs\":2000}".to_owned()),
            ("commits/10", "v1\n{\"nextBatchWatermarkMs\":3000}".to_owned()),
        ];
        let given = files.iter().map(|(name, text)| (*name, (*text).to_owned()));
        for (name, text) in usual.into_iter().chain(given) {
            let path = dir.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        dir
    }

    #[test]
    fn the_last_committed_batch_says_what_was_read_and_which_windows_are_written() {
        let dir = folder(&[]);
        let found = SparkCheckpoint::read(dir.path()).unwrap();
        let read = BTreeMap::from([(0, 0..450), (1, 5..550), (2, 0..7)]);
        let expected = SparkCheckpoint {
            dir: dir.path().to_owned(),
            batch: 10,
            topic: "ticks".to_owned(),
            read,
            closed_through_ms: Some(2000),
            watermark_ms: Some(3000),
            begun: None,
        };
        assert_eq!(found, expected);
        found.check_ended(None).unwrap();
    }

    #[test]
    fn a_batch_that_was_begun_has_to_have_written_nothing() {
        let next = format!("v1\n{{\"batchWatermarkMs\":3000,{CONF}}}\n{{\"ticks\":{{\"0\":500}}}}");
        let dir = folder(&[("offsets/11", &next)]);
        let found = SparkCheckpoint::read(dir.path()).unwrap();
        assert_eq!((found.batch, found.begun), (10, Some(11)));
        let check = |output: Option<&Path>, part: &str| {
            let told = found.check_ended(output).map_err(|error| error.to_string());
            assert!(
                told.as_ref().err().map_or(part.is_empty(), |text| text.contains(part)),
                "{told:?}, not {part}"
            );
        };
        check(None, "--spark-output");
        let output = tempfile::tempdir().unwrap();
        check(Some(output.path()), "has no _spark_metadata");
        fs::create_dir(output.path().join("_spark_metadata")).unwrap();
        check(Some(output.path()), "");
        fs::write(output.path().join("_spark_metadata/11.compact"), "v1").unwrap();
        check(Some(output.path()), "batch 11");
    }

    #[test]
    fn what_is_of_another_form_is_refused_by_the_name_of_its_file() {
        let check = |file: &str, text: &str, parts: [&str; 2]| {
            let told = SparkCheckpoint::read(folder(&[(file, text)]).path()).unwrap_err();
            let told = format!("{told:#}");
            assert!(parts.iter().all(|part| told.contains(part)), "{told}, not {parts:?}");
        };
        check("offsets/10", "v3\n{}\n{}", ["offsets/10", "\"v3\""]);
        check("offsets/10", "v1\n{}\n", ["offsets/10", "ends before its line 3"]);
        check("offsets/10", "v1\n{}\n{\"ticks\":[1]}", ["offsets/10", "line 3"]);
        check("offsets/10", "v1\n{}\n{\"a\":{\"0\":1},\"b\":{\"0\":1}}", ["a, b", "one topic"]);
        check(
            "offsets/10",
            "v1\n{}\n{\"ticks\":{\"0\":1}}\n{\"x\":{\"0\":1}}",
            ["offsets/10", "several sources"],
        );
        check("commits/10", "v1\nno json", ["commits/10", "line 2"]);
        check("sources/0/0", "v1\n{\"other\":{\"0\":1}}", ["other", "ticks"]);
        let empty = tempfile::tempdir().unwrap();
        assert!(SparkCheckpoint::read(empty.path()).unwrap_err().to_string().contains("checkpointLocation"));
        for log in ["offsets", "commits"] {
            fs::create_dir(empty.path().join(log)).unwrap();
        }
        assert!(
            SparkCheckpoint::read(empty.path()).unwrap_err().to_string().contains("no batch is committed")
        );
    }
}
