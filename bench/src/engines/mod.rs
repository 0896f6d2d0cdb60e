//! Who runs the job: how each is made ready, started and asked how fast it was.

mod floor;
mod host;
mod spark;

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use clap::ValueEnum;
use speed_layer_tests::kafka::Broker;

use crate::plan::Case;
use crate::topics::Ticks;
use crate::watched::{self, Watched};

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum Name {
    /// This host, its stages as WebAssembly
    Host,
    /// librdkafka alone, which counts records and does nothing with them
    Floor,
    /// Spark Structured Streaming on two threads
    Spark,
}

/// One that is ready to run.
pub struct Engine {
    pub name: Name,
    pub version: String,
    program: Box<dyn Program>,
}

/// What is different about each.
trait Program {
    fn version(&self) -> Result<String>;

    /// Runs the job once, with whatever it writes in `folder`, its result in `folder/output`.
    fn command(&self, case: &Case, brokers: &str, folder: &Path) -> Result<Command>;

    /// How long it ran, by what it printed; starting is left out.
    fn running_s(&self, stdout: &str) -> Result<f64>;

    /// What is wrong with its result; `None` if it is right.
    fn wrong(&self, ticks: &Ticks, output: &Path, stdout: &str) -> Result<Option<String>>;
}

/// One run.
#[derive(Debug, Clone)]
pub struct Outcome {
    pub engine: &'static str,
    /// From its first batch to its last commit, as it tells itself: starting is left out.
    pub running_s: f64,
    /// From the start of its process to the first file of its result.
    pub first_commit_s: Option<f64>,
    pub watched: Watched,
    /// The broker's, meanwhile.
    pub broker_cpu_s: f64,
    /// What is wrong with its result.
    pub wrong: Option<String>,
    pub command: String,
}

impl Name {
    pub fn text(self) -> &'static str {
        match self {
            Self::Host => "host",
            Self::Floor => "floor",
            Self::Spark => "spark",
        }
    }
}

impl Engine {
    /// Fetches and builds what it needs.
    pub fn ready(name: Name) -> Result<Self> {
        let program: Box<dyn Program> = match name {
            Name::Host => Box::new(host::Host),
            Name::Floor => Box::new(floor::Floor),
            Name::Spark => Box::new(spark::Spark::ready()?),
        };
        Ok(Self { name, version: program.version()?, program })
    }

    /// Runs the job once in an empty folder.
    pub fn run(&self, case: &Case, ticks: &Ticks, broker: &Broker, folder: &Path) -> Result<Outcome> {
        let mut command = self.program.command(case, &broker.address(), folder)?;
        let output = folder.join("output");
        let before = broker_cpu_s(broker)?;
        let log = folder.join("log");
        let watched = watched::watch(&mut command, &log, || has_parquet(&output))?;
        let broker_cpu_s = broker_cpu_s(broker)? - before;
        let told = || std::fs::read_to_string(&log).unwrap_or_default();
        ensure!(watched.status.success(), "{} failed: {}\n{}", self.name.text(), watched.stdout, told());
        let running_s = self
            .program
            .running_s(&watched.stdout)
            .with_context(|| format!("{}: {}", self.name.text(), told()))?;
        Ok(Outcome {
            engine: self.name.text(),
            running_s,
            first_commit_s: watched.appeared_s,
            wrong: self.program.wrong(ticks, &output, &watched.stdout)?,
            watched,
            broker_cpu_s,
            command: shown(&command),
        })
    }
}

/// The last line of what an engine printed, as JSON.
fn summary(stdout: &str) -> Result<serde_json::Value> {
    let last = stdout.lines().last().unwrap_or_default();
    serde_json::from_str(last).with_context(|| format!("its last line is no JSON: {last}"))
}

fn number(summary: &serde_json::Value, name: &str) -> Result<f64> {
    summary[name].as_f64().with_context(|| format!("no {name} in {summary}"))
}

fn has_parquet(folder: &Path) -> bool {
    let Ok(entries) = std::fs::read_dir(folder) else { return false };
    entries.filter_map(Result::ok).any(|entry| {
        let path = entry.path();
        path.extension().is_some_and(|ending| ending == "parquet") || path.is_dir() && has_parquet(&path)
    })
}

fn broker_cpu_s(broker: &Broker) -> Result<f64> {
    let process = broker.process().context("the broker does not run")?;
    watched::cpu_s(process).context("the broker is gone")
}

fn shown(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ")
}
