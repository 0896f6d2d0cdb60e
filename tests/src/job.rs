//! A job of the program in a folder of its own: how it is called, and the files that it leaves.
//!
//! A job begins as the README's: the ticks' parser, the time's transform, the daily table, read to the end
//! of what is there. A test says what is different about its own.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::Value;
use tempfile::TempDir;

use crate::host::{self, Finished, Running};
use crate::kafka::Broker;
use crate::letters::{self, Letter};
use crate::strace::{self, Mishap};
use crate::sync_order::Places;
use crate::table::Table;
use crate::{parquet_table, places};

/// No run in these tests takes longer, on a machine that is busy with others.
pub const LIMIT: Duration = Duration::from_secs(180);

/// The least that a pipeline file says: what [`Job::new`] does, without the transform. Lines may follow: those of its
/// aggregate first, then further tables.
pub const DAILY: &str = r#"
checkpoint = "{folder}/checkpoint"
[source.kafka]
brokers = "{brokers}"
topic = "{topic}"
[parse]
plugin = "{plugins}/ticker_json.wasm"
[[aggregate]]
name = "daily"
plugin = "{plugins}/ohlcv.wasm"
sink = [{ type = "parquet", path = "{folder}/output/daily" }]
"#;

/// What `{stages}` stands for: the topic, the ticks' parser and the time's transform.
const STAGES: &str = r#"
[source.kafka]
brokers = "{brokers}"
topic = "{topic}"
[parse]
plugin = "{plugins}/ticker_json.wasm"
[[transform]]
plugin = "{plugins}/ticker_time.wasm"
"#;

/// A job's command line and its folder, which is removed with it.
pub struct Job {
    folder: TempDir,
    flags: Vec<(String, String)>,
    variables: Vec<(String, String)>,
}

impl Job {
    /// The README's job over a topic, with the trigger `available-now`.
    ///
    /// # Panics
    /// There is no room for its folder.
    pub fn new(broker: &Broker, topic: &str) -> Self {
        Self::at(&broker.address(), topic)
    }

    /// The same over a broker that may not be there.
    ///
    /// # Panics
    /// There is no room for its folder.
    pub fn at(brokers: &str, topic: &str) -> Self {
        let folder = new_folder().expect("a folder in the build directory");
        let inside = |name: &str| folder.path().join(name).display().to_string();
        let flags = [
            ("--brokers", brokers.to_owned()),
            ("--topic", topic.to_owned()),
            ("--parse", places::plugin("ticker_json").display().to_string()),
            ("--transform", places::plugin("ticker_time").display().to_string()),
            ("--aggregate", places::plugin("ohlcv").display().to_string()),
            ("--output", inside("output/daily")),
            ("--checkpoint", inside("checkpoint")),
            ("--trigger", "available-now".to_owned()),
        ];
        let flags = flags.map(|(flag, value)| (flag.to_owned(), value)).to_vec();
        Self { folder, flags, variables: Vec::new() }
    }

    /// Adds a flag; in place of those of the same name where it had some.
    pub fn set(mut self, flag: &str, value: impl ToString) -> Self {
        self = self.without(flag);
        self.and(flag, value)
    }

    /// Adds a flag beside those of the same name.
    pub fn and(mut self, flag: &str, value: impl ToString) -> Self {
        self.flags.push((flag.to_owned(), value.to_string()));
        self
    }

    /// Leaves a flag out.
    pub fn without(mut self, flag: &str) -> Self {
        self.flags.retain(|(name, _)| name != flag);
        self
    }

    /// Sets an environment variable.
    pub fn variable(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The job as a file in place of its flags. In `text`, `{folder}`, `{plugins}`, `{brokers}` and
    /// `{topic}` stand for its own, `{stages}` for the tables up to the aggregates.
    ///
    /// # Panics
    /// The file cannot be written.
    pub fn pipeline(mut self, text: &str) -> Self {
        let path = self.path("pipeline.toml");
        let text = text
            .replace("{stages}", STAGES)
            .replace("{folder}", &self.folder.path().display().to_string())
            .replace("{plugins}", &places::target().join("plugins").display().to_string())
            .replace("{brokers}", self.value("--brokers"))
            .replace("{topic}", self.value("--topic"));
        fs::write(&path, text).expect("the pipeline file can be written");
        self.flags.retain(|(flag, _)| flag == "--trigger");
        self.flags.push((String::new(), path.display().to_string()));
        self
    }

    /// A path in the job's folder.
    pub fn path(&self, inside: &str) -> PathBuf {
        self.folder.path().join(inside)
    }

    fn value(&self, flag: &str) -> &str {
        self.flags.iter().find(|(name, _)| name == flag).map_or("", |(_, value)| value)
    }

    /// How it is called.
    ///
    /// # Errors
    /// It is not built.
    pub fn command(&self) -> Result<Command> {
        self.command_of(&["run"])
    }

    /// How another command is called that is told the job as `run` is.
    ///
    /// # Errors
    /// It is not built.
    pub fn command_of(&self, words: &[&str]) -> Result<Command> {
        let mut command = host::command()?;
        command.args(words).envs(self.variables.iter().map(|(name, value)| (name, value)));
        for (flag, value) in &self.flags {
            command.args([flag, value].into_iter().filter(|word| !word.is_empty()));
        }
        Ok(command)
    }

    /// Starts it.
    ///
    /// # Errors
    /// It is not built.
    pub fn start(&self) -> Result<Running> {
        Running::start(&mut self.command()?)
    }

    /// Starts it with these flags beside its own.
    ///
    /// # Errors
    /// It is not built.
    pub fn start_with(&self, flags: &[(&str, &str)]) -> Result<Running> {
        let mut command = self.command()?;
        command.args(flags.iter().flat_map(|(flag, value)| [flag, value]));
        Running::start(&mut command)
    }

    /// Runs it to its end.
    ///
    /// # Errors
    /// It takes too long.
    pub fn run(&self) -> Result<Finished> {
        self.start()?.finish(LIMIT)
    }

    /// Runs it to its end under strace; gives what it asked of the file system as well.
    ///
    /// # Errors
    /// There is no strace, it may not trace, or the run takes too long.
    pub fn run_traced(&self, mishap: &Mishap) -> Result<(Finished, String)> {
        let trace = self.path("trace");
        let finished =
            Running::start(&mut strace::around(&self.command()?, &trace, mishap)?)?.finish(LIMIT)?;
        Ok((finished, fs::read_to_string(trace)?))
    }

    /// Its directories.
    pub fn places(&self) -> Places {
        Places {
            folder: self.path(""),
            outputs: ["daily", "daily.dead-letters/daily", "daily.late/daily", "daily.partial/daily"]
                .map(|output| self.path("output").join(output))
                .to_vec(),
            staging: self.path("output/daily.staging/daily"),
            checkpoints: self.path("checkpoint/daily"),
        }
    }

    /// Runs it to its end; gives its last line.
    ///
    /// # Panics
    /// It fails.
    pub fn summary(&self) -> Value {
        self.run().and_then(|run| run.summary()).unwrap_or_else(|error| panic!("{error:#}"))
    }

    /// The daily table, keyed by symbol.
    ///
    /// # Panics
    /// Something is wrong with its files.
    pub fn table(&self) -> Table {
        self.table_of("output/daily", "symbol")
    }

    /// Another table of the job.
    ///
    /// # Panics
    /// Something is wrong with its files.
    pub fn table_of(&self, output: &str, key: &str) -> Table {
        parquet_table::read(&self.path(output), key).unwrap_or_else(|error| panic!("{error:#}"))
    }

    /// What lies in the dead-letter output beside the daily table, by partition and offset.
    ///
    /// # Panics
    /// It cannot be read.
    pub fn dead_letters(&self) -> Vec<Letter> {
        self.dead_letters_of("daily")
    }

    /// The same of a job with another name.
    ///
    /// # Panics
    /// It cannot be read.
    pub fn dead_letters_of(&self, name: &str) -> Vec<Letter> {
        let folder = self.path("output/daily.dead-letters").join(name);
        letters::read(&folder).unwrap_or_else(|why| panic!("{why:#}"))
    }

    /// What lies in the late output beside the daily table, by partition and offset.
    ///
    /// # Panics
    /// It cannot be read.
    pub fn late(&self) -> Vec<Letter> {
        letters::read(&self.path("output/daily.late/daily")).unwrap_or_else(|why| panic!("{why:#}"))
    }

    /// The newest checkpoint, as `host checkpoint show` tells it.
    ///
    /// # Panics
    /// There is none that can be read.
    pub fn checkpoint(&self) -> Value {
        let folder = self.path("checkpoint").display().to_string();
        let shown = host::run(&["checkpoint", "show", "--format", "json", "--checkpoint", &folder], LIMIT);
        let shown = shown.expect("it ends");
        assert!(shown.status.success(), "{}", shown.told());
        serde_json::from_str(&shown.stdout).expect("one JSON value")
    }

    /// The gaps of the newest checkpoint: partition, first offset, offset after the last.
    ///
    /// # Panics
    /// There is no checkpoint that can be read.
    pub fn gaps(&self) -> Vec<(i32, i64, i64)> {
        let shown = self.checkpoint();
        let number = |gap: &Value, name: &str| gap[name].as_i64().expect("a number");
        let gap = |gap: &Value| (number(gap, "partition") as i32, number(gap, "from"), number(gap, "to"));
        shown["gaps"].as_array().expect("a list").iter().map(gap).collect()
    }

    /// Every file and folder in the job's folder, with its length.
    ///
    /// # Errors
    /// One cannot be looked at.
    pub fn files(&self) -> Result<BTreeMap<PathBuf, u64>> {
        let mut found = BTreeMap::new();
        collect(self.folder.path(), &mut found)?;
        Ok(found)
    }
}

/// A folder in the build directory, so that the disk is the same as the program's own.
///
/// # Errors
/// It cannot be made.
pub fn new_folder() -> Result<TempDir> {
    let parent = places::target().join("jobs");
    fs::create_dir_all(&parent).with_context(|| format!("cannot make {}", parent.display()))?;
    Ok(tempfile::tempdir_in(parent)?)
}

fn collect(folder: &Path, found: &mut BTreeMap<PathBuf, u64>) -> Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let facts = entry.metadata()?;
        found.insert(entry.path(), if facts.is_dir() { 0 } else { facts.len() });
        if facts.is_dir() {
            collect(&entry.path(), found)?;
        }
    }
    Ok(())
}
