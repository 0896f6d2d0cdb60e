//! One run: a job that reads a full topic, asked for one swap after the other, and then for the rest of the
//! rows. Its results are compared with a plain recomputation.

use std::fmt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use speed_layer_tests::host::{self, Running};
use speed_layer_tests::job::{Job, LIMIT};
use speed_layer_tests::parquet_table;
use speed_layer_tests::table::{Table, differences};

use crate::figures::Spread;
use crate::load::Load;
use crate::process::Size;

/// What a job publishes, and late rows lie beside.
const OUTPUT: &str = "output/daily";
const STAGE: &str = "aggregate:daily";

/// A plugin whose turn comes again and again.
#[derive(Debug)]
pub struct Next {
    pub file: PathBuf,
    /// What the swap to it must be: `live` or `migrate`.
    pub change: &'static str,
}

/// A swap as the program has reported it.
#[derive(Debug, Clone, Copy)]
pub struct Swap {
    pub pause_ms: f64,
    pub hand_over_ms: f64,
    pub epoch: u64,
    /// Records before the cut.
    pub offset: i64,
}

/// What a run has shown.
#[derive(Debug)]
pub struct Played {
    pub swaps: Vec<Swap>,
    /// After each swap.
    pub sizes: Vec<Size>,
    pub took: Duration,
    /// What is wrong with the results; empty if nothing is.
    pub differences: Vec<String>,
}

/// A job without swaps: the time for which its workers stood at each trigger, after their hand-over.
#[derive(Debug)]
pub struct Unswapped {
    pub stood_ms: Spread,
    pub rows: usize,
    pub triggers: usize,
}

/// Runs a job to the end of its topic without a swap.
///
/// # Errors
/// It fails, or its results are not those of the recomputation.
pub fn play_unswapped(job: Job, load: &Load) -> Result<Unswapped> {
    let job = job.set("--trigger", "available-now");
    let finished = job.run()?;
    let summary = finished.summary()?;
    ensure!(summary["records_in"] == load.rows, "{} records of {}", summary["records_in"], load.rows);
    let wrong = compare(&job, load)?;
    ensure!(wrong.is_empty(), "the run without swaps differs from the recomputation: {wrong:?}");
    let stood_us = |line: &str| line.split("stood_us=").nth(1)?.split(' ').next()?.parse::<f64>().ok();
    let stood: Vec<f64> = finished.stderr.lines().filter_map(stood_us).map(|us| us / 1000.0).collect();
    Ok(Unswapped { stood_ms: Spread::of(&stood), rows: load.rows, triggers: stood.len() })
}

impl Unswapped {
    pub fn to_json(&self) -> Value {
        json!({ "rows": self.rows, "triggers": self.triggers, "stood_ms": self.stood_ms.to_json() })
    }
}

impl fmt::Display for Unswapped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { stood_ms, rows, triggers } = self;
        write!(
            f,
            "never swapped: {rows} rows at {triggers} triggers, workers stood {stood_ms} after handing over"
        )
    }
}

/// Runs a job, swaps `turns` in it one after the other until there were `count` swaps, and lets it read the rest.
///
/// # Errors
/// It fails, or a swap does.
pub fn play(job: Job, load: &Load, count: usize, turns: &[Next]) -> Result<Played> {
    let mut running = job.start()?;
    await_rows(&mut running, load.rows_before)?;
    let began = Instant::now();
    let (mut swaps, mut sizes) = (Vec::new(), Vec::new());
    for next in turns.iter().cycle().take(count) {
        let swap = swap(&job, next).with_context(|| format!("swap {}", swaps.len() + 1))?;
        swaps.push(swap);
        sizes.push(Size::of(running.id())?);
    }
    let took = began.elapsed();
    running.signal("TERM")?;
    running.finish(LIMIT)?.summary()?;
    check_load(&swaps, load)?;
    let rest = job.set("--trigger", "available-now");
    rest.run()?.summary()?;
    Ok(Played { swaps, sizes, took, differences: compare(&rest, load)? })
}

/// Waits until so many rows are committed.
fn await_rows(running: &mut Running, rows: usize) -> Result<()> {
    loop {
        let line = running.wait_for("committed", LIMIT)?;
        let total =
            line.split("total=").nth(1).and_then(|rest| rest.split(' ').next()?.parse::<usize>().ok());
        if total.context("a commit without a total")? >= rows {
            return Ok(());
        }
    }
}

fn swap(job: &Job, next: &Next) -> Result<Swap> {
    let (checkpoint, file) = (job.path("checkpoint").display().to_string(), next.file.display().to_string());
    let words = [
        "swap",
        "--checkpoint",
        &checkpoint,
        "--stage",
        STAGE,
        &file,
        "--allow-downgrade",
        "--format",
        "json",
    ];
    let finished = host::run(&words, LIMIT)?;
    ensure!(finished.status.success(), "{}", finished.told());
    let report: Value = serde_json::from_str(&finished.stdout).with_context(|| finished.told())?;
    ensure!(report["outcome"] == "swapped" && report["change"] == next.change, "{report:#}");
    let number = |name: &str| report[name].as_f64().with_context(|| format!("no {name} in {report:#}"));
    let offsets = report["from_offsets"].as_array().into_iter().flatten();
    Ok(Swap {
        pause_ms: number("pause_ms")?,
        hand_over_ms: number("hand_over_ms")?,
        epoch: number("epoch")? as u64,
        offset: offsets.filter_map(|mark| mark["offset"].as_i64()).sum(),
    })
}

/// A soak without rows would show nothing: between two swaps the job must have read some, to the last. Now and
/// then a swap comes faster than the broker's next answer.
fn check_load(swaps: &[Swap], load: &Load) -> Result<()> {
    let is_idle = |pair: &&[Swap]| pair[0].offset == pair[1].offset;
    let idle = swaps.windows(2).filter(is_idle).count();
    let last = swaps.last().map_or(0, |swap| swap.offset);
    ensure!(
        idle * 20 <= swaps.len(),
        "no rows came between {idle} of {} swaps, at last at {last} of {}",
        swaps.len(),
        load.rows
    );
    ensure!(last < load.rows as i64, "the topic was read to its end, {last}, before the last swap");
    Ok(())
}

/// What is wrong with a job's output and late rows.
fn compare(job: &Job, load: &Load) -> Result<Vec<String>> {
    let found: Table = parquet_table::read(&job.path(OUTPUT), "symbol")?;
    let mut told = differences(&load.expected, &found);
    let beside = job.late().len() + job.dead_letters().len();
    if beside > 0 {
        told.push(format!("{beside} rows lie among the late ones and the dead letters"));
    }
    Ok(told)
}
