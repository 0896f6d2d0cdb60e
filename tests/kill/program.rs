//! The program with failpoints: which points it has, and a job of it in a folder.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use fastrand::Rng;
use serde_json::Value;
use speed_layer_tests::host::{Finished, Running};
use speed_layer_tests::places;

use crate::records::{WATERMARK_MS, WINDOW_MS};

const VARIABLE: &str = "SPEED_LAYER_FAILPOINT";
const SIGKILL: i32 = 9;
/// Some hundred records: so that the partitions are read side by side, and windows close all along.
const FETCH_BYTES: u32 = 20_000;
/// Makes states heavy enough for snapshots: several in a run.
const PADDING: u32 = 64;
pub const JOB: &str = "kill";
/// No run takes longer, on a machine that is busy with others.
pub const LIMIT: Duration = Duration::from_secs(120);

/// A failpoint as the program names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Point {
    pub name: String,
    /// `Batch`, `Commit`, `End`, `Start`, `Outbox`, `Swap` or `Revert`.
    pub stage: String,
}

impl Point {
    /// Passed only where somebody asks for a swap.
    pub fn is_of_swap(&self) -> bool {
        self.stage == "Swap" || self.is_of_revert()
    }

    /// Passed only where letters go to topics.
    pub fn is_of_outbox(&self) -> bool {
        self.stage == "Outbox"
    }

    /// Passed only where the new plugin fails.
    pub fn is_of_revert(&self) -> bool {
        self.stage == "Revert"
    }
}

fn program() -> Result<Command> {
    let program = places::target().join("release/host-failpoints");
    ensure!(program.is_file(), "{} is missing; run `cargo xtask kill`", program.display());
    Ok(Command::new(program))
}

fn answer(order: &str) -> Result<Finished> {
    Running::start(program()?.env(VARIABLE, order))?.finish(LIMIT)
}

/// All failpoints.
///
/// # Errors
/// The program is not built, or takes a point that does not exist for one that does.
pub fn points() -> Result<Vec<Point>> {
    let list = answer("list")?;
    let point = |line: &str| {
        let (name, stage) = line.split_once(' ')?;
        Some(Point { name: name.to_owned(), stage: stage.to_owned() })
    };
    let points: Vec<Point> = list.stdout.lines().filter_map(point).collect();
    ensure!(points.len() > 20, "the program has hardly any failpoints: {}", list.told());
    let wrong = answer("seal.after_lnik=kill@2")?;
    let is_refused = wrong.status.code() == Some(2) && wrong.stderr.contains("\"seal.after_link\"");
    ensure!(is_refused, "an unknown failpoint is to be refused with the nearest: {}", wrong.told());
    Ok(points)
}

/// How a started program ended.
#[derive(Debug)]
pub enum End {
    /// In order, with its summary.
    Done(Value),
    /// By SIGKILL; at the failpoint that it names, if it killed itself.
    Killed(Option<String>),
}

/// A job in a folder of its own, which stays until it is removed.
pub struct Job {
    pub folder: PathBuf,
}

impl Job {
    /// A fresh folder with the job's file in it.
    ///
    /// # Errors
    /// There is no room for it.
    pub fn new(folder: &Path, brokers: &str, topic: &str, records_per_commit: u64) -> Result<Self> {
        if folder.exists() {
            fs::remove_dir_all(folder).with_context(|| format!("cannot remove {}", folder.display()))?;
        }
        fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
        fs::write(folder.join("pipeline.toml"), pipeline(folder, brokers, topic, records_per_commit))?;
        Ok(Self { folder: folder.to_owned() })
    }

    /// Has it send its dead letters to a topic and its windows to another, under a name of its own: other jobs of the
    /// name send, too.
    ///
    /// # Errors
    /// There is no room.
    pub fn send(&self, name: &str, letters: &str, windows: &str) -> Result<()> {
        let path = self.folder.join("pipeline.toml");
        let named = format!("name = \"{name}\"");
        let text = fs::read_to_string(&path)?.replace(&format!("name = \"{JOB}\""), &named);
        let files = "/out\" }]";
        ensure!(text.contains(files), "no sink to put another beside: {text}");
        let both = format!("/out\" }}, {{ type = \"kafka\", topic = \"{windows}\" }}]");
        let text = text.replace(files, &both);
        let sink = format!("[dead_letters]\nsink = {{ type = \"kafka\", topic = \"{letters}\" }}\n");
        Ok(fs::write(path, text + &sink)?)
    }

    /// Gives it plugin files of its own, which may then be replaced.
    ///
    /// # Errors
    /// They are not built, or there is no room.
    pub fn own_plugins(&self) -> Result<()> {
        let path = self.folder.join("pipeline.toml");
        let mut text = fs::read_to_string(&path)?;
        for built in configured() {
            let own = self.folder.join(built.file_name().unwrap_or_default());
            fs::copy(&built, &own).with_context(|| format!("cannot copy {}", built.display()))?;
            text = text.replace(&built.display().to_string(), &own.display().to_string());
        }
        Ok(fs::write(path, text)?)
    }

    /// Starts it; `order` is what the failpoints are asked for.
    ///
    /// # Errors
    /// It is not built.
    pub fn start(&self, trigger: &str, order: Option<&str>) -> Result<Running> {
        let mut command = program()?;
        command.arg("run").arg(self.folder.join("pipeline.toml")).args(["--trigger", trigger]);
        if let Some(order) = order {
            command.env(VARIABLE, order);
        }
        Running::start(&mut command)
    }

    /// Runs it over what is there.
    ///
    /// # Errors
    /// It neither ends in order nor is killed.
    pub fn run(&self, order: Option<&str>) -> Result<End> {
        ended(self.start("available-now", order)?.finish(LIMIT)?)
    }

    /// Runs it to its end without a failpoint.
    ///
    /// # Errors
    /// It does not end in order.
    pub fn complete(&self) -> Result<()> {
        self.start("available-now", None)?.finish(LIMIT)?.summary().map(|_| ())
    }

    /// Runs it over what is there; how often each point was passed.
    ///
    /// # Errors
    /// It does not end in order.
    pub fn count(&self) -> Result<BTreeMap<String, u64>> {
        let finished = self.start("available-now", Some("count"))?.finish(LIMIT)?;
        finished.summary()?;
        let counts = finished.stderr.lines().filter_map(|line| {
            let (name, count) = line.strip_prefix("failpoint ")?.split_once(' ')?;
            Some((name.to_owned(), count.parse().ok()?))
        });
        Ok(counts.collect())
    }

    /// Removes the folder.
    ///
    /// # Errors
    /// It cannot be removed.
    pub fn remove(self) -> Result<()> {
        fs::remove_dir_all(&self.folder).with_context(|| format!("cannot remove {}", self.folder.display()))
    }
}

/// The files that every job is configured with.
fn configured() -> [PathBuf; 3] {
    [places::plugin("ticker_json"), places::plugin("ticker_time"), places::test_plugin("ids")]
}

/// # Errors
/// It ended neither in order nor by SIGKILL.
pub fn ended(finished: Finished) -> Result<End> {
    if finished.status.signal() != Some(SIGKILL) {
        return finished.summary().map(End::Done);
    }
    let last = finished.stderr.lines().rev().find_map(|line| line.strip_prefix("failpoint "));
    Ok(End::Killed(last.and_then(|rest| rest.split(' ').next()).map(str::to_owned)))
}

/// To be killed at the `passing`th passing of a point.
pub fn kill_at(point: &str, passing: u64) -> String {
    format!("{point}=kill@{passing}")
}

/// One of the passings from the first to the `count`th.
pub fn any_passing(count: u64, rng: &mut Rng) -> u64 {
    rng.u64(1..=count.max(1))
}

fn pipeline(folder: &Path, brokers: &str, topic: &str, records_per_commit: u64) -> String {
    let folder = folder.display();
    let plugins = places::target().join("plugins").display().to_string();
    let test_plugins = places::target().join("test-plugins").display().to_string();
    format!(
        r#"name = "{JOB}"
checkpoint = "{folder}/checkpoint"
max_records_per_trigger = {records_per_commit}

[source.kafka]
brokers = "{brokers}"
topic = "{topic}"

[source.kafka.properties]
"max.partition.fetch.bytes" = {FETCH_BYTES}

[time]
idle_timeout = "1h"

[parse]
plugin = "{plugins}/ticker_json.wasm"

[[transform]]
plugin = "{plugins}/ticker_time.wasm"

[[aggregate]]
name = "ids"
plugin = "{test_plugins}/ids.wasm"
config = {{ padding = {PADDING} }}
key = "symbol"
window = "{WINDOW_MS}ms"
watermark = "{WATERMARK_MS}ms"
sink = [{{ type = "parquet", path = "{folder}/out" }}]
"#
    )
}
