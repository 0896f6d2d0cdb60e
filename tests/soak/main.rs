//! `swap-soak`: swaps again and again in running jobs over a real Kafka, every trigger full of rows. In the end
//! the results must be those of a job that never was swapped, and the process no larger than after the first
//! swaps. `cargo xtask swap-soak` builds it and the program, and starts it.
//!
//! Pauses depend on the machine: they are told with what was aimed at, and fail nothing.

#![forbid(unsafe_code)]

mod chain;
mod figures;
mod load;
mod process;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};
use speed_layer_tests::components::{naughty, variant};
use speed_layer_tests::job::Job;
use speed_layer_tests::kafka;
use speed_layer_tests::places;

use chain::Next;
use figures::{Goal, Run};
use load::Load;

const USAGE: &str = "\
usage: cargo xtask swap-soak [--swaps N] [--groups N] [--json FILE]

  --swaps N    of each long run (1000)
  --groups N   that are open in the run that migrates many (100000); it has a tenth of the swaps
  --json FILE  where to write the figures as JSON, besides";

/// Of each trigger, at most.
const ROWS_PER_TRIGGER: usize = 3_000;
/// Goals, in milliseconds of the 99th percentile.
const GOAL_FEW_MS: f64 = 10.0;
const GOAL_MANY_MS: f64 = 250.0;

#[derive(Debug)]
struct Asked {
    swaps: usize,
    groups: usize,
    json: Option<PathBuf>,
}

fn main() -> ExitCode {
    match parse(std::env::args().skip(1)) {
        Ok(asked) => match play(&asked) {
            Ok(true) => ExitCode::SUCCESS,
            Ok(false) => ExitCode::FAILURE,
            Err(error) => {
                eprintln!("error: {error:#}");
                ExitCode::FAILURE
            }
        },
        Err(error) => {
            eprintln!("error: {error:#}\n\n{USAGE}");
            ExitCode::from(2)
        }
    }
}

fn parse(mut words: impl Iterator<Item = String>) -> Result<Asked> {
    let mut asked = Asked { swaps: 1_000, groups: 100_000, json: None };
    while let Some(word) = words.next() {
        let mut value = || words.next().with_context(|| format!("{word} needs a value"));
        let number = |text: String| text.parse().with_context(|| format!("{text:?} is no number"));
        match word.as_str() {
            "--swaps" => asked.swaps = number(value()?)?,
            "--groups" => asked.groups = number(value()?)?,
            "--json" => asked.json = Some(value()?.into()),
            other => bail!("cannot make sense of {other:?}"),
        }
    }
    ensure!(asked.swaps >= 20, "fewer than 20 swaps say nothing about what grows");
    Ok(asked)
}

/// Plays the three runs; whether all that can fail is as it must be.
fn play(asked: &Asked) -> Result<bool> {
    let load = Load::of_days(kafka::shared(), "soak", asked.swaps * ROWS_PER_TRIGGER * 3)?;
    let unswapped = chain::play_unswapped(job(&load), &load)?;
    println!("{unswapped}");
    let few = Goal { p99_ms: GOAL_FEW_MS, groups: load.groups };
    let mut runs = Vec::new();
    for (name, next) in [("digests", digests as Make), ("versions", versions as Make)] {
        let job = job(&load);
        let turns = next(&job)?;
        let played = chain::play(job, &load, asked.swaps, &turns)?;
        runs.push(told(Run::new(name, few, &unswapped, played, true)));
    }
    let swaps = (asked.swaps / 10).max(5);
    let many =
        Load::of_open_groups(kafka::shared(), "soak-groups", asked.groups, swaps * ROWS_PER_TRIGGER * 3)?;
    let job = job(&many).set("--window", "1m").set("--watermark", "30d");
    let turns = versions(&job)?;
    let played = chain::play(job, &many, swaps, &turns)?;
    let goal = Goal { p99_ms: GOAL_MANY_MS, groups: many.groups };
    runs.push(told(Run::new("many groups", goal, &unswapped, played, false)));
    if let Some(path) = &asked.json {
        let report = json!({ "swaps": asked.swaps, "unswapped": unswapped.to_json(), "runs": list(&runs) });
        std::fs::write(path, format!("{report:#}\n"))
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(runs.iter().all(Run::is_sound))
}

fn told(run: Run) -> Run {
    println!("{run}");
    run
}

fn list(runs: &[Run]) -> Vec<Value> {
    runs.iter().map(Run::to_json).collect()
}

/// The daily job, which takes a part of the topic at every trigger and has few that no swap calls for.
fn job(load: &Load) -> Job {
    Job::new(kafka::shared(), &load.topic)
        .set("--trigger", "1s")
        .set("--max-records-per-trigger", ROWS_PER_TRIGGER)
}

type Make = fn(&Job) -> Result<Vec<Next>>;

/// The same code under two digests, by turns.
fn digests(job: &Job) -> Result<Vec<Next>> {
    let ohlcv = std::fs::read(places::plugin("ohlcv"))?;
    ["one", "two"].iter().map(|mark| next(job, mark, &variant(&ohlcv, mark), "live")).collect()
}

/// Two versions of the state, by turns: each takes over the other's.
fn versions(job: &Job) -> Result<Vec<Next>> {
    let version = |name, text| next(job, name, &naughty(text)?, "migrate");
    Ok(vec![version("second", "nothing migrate")?, version("first", "nothing update")?])
}

fn next(job: &Job, name: &str, component: &[u8], change: &'static str) -> Result<Next> {
    let file = job.path(&format!("{name}.wasm"));
    write(&file, component)?;
    Ok(Next { file, change })
}

fn write(file: &Path, component: &[u8]) -> Result<()> {
    std::fs::write(file, component).with_context(|| format!("cannot write {}", file.display()))
}
