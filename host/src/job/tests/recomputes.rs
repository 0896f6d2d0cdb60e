//! Published files and stretches of the past made again over records in memory: by the
//! plugins that made them, in turn where they were swapped, and by others.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use serde_json::{Value, json};
use speed_layer_store::PublishedFile;
use speed_layer_store::published::parquet_files;

use super::memory::{self, MemoryTopic, Tick};
use super::rebuilds::Again;
use super::resets::run_with_swap_of;
use super::swaps::{plugin, variant};
use super::{DAY_MS, START_MS, open, run, spec};
use crate::config::JobSpec;
use crate::job::replay::{runtime, store};
use crate::job::swap::{Outcome, Windows};
use crate::plan::StageName;
use crate::recompute::backtest::{BacktestReport, backtest};
use crate::recompute::components::Components;
use crate::recompute::file::{FileReport, Verdict, recompute, spec_of};
use crate::recompute::published::Published;
use crate::recompute::tried::{Tried, plan};

const SYMBOLS: usize = 4;

fn ticks(count: usize) -> Vec<Tick> {
    memory::jittered_ticks(29, count, SYMBOLS, 6 * DAY_MS, START_MS)
}

fn topic_of(ticks: &[Tick], partitions: i32) -> MemoryTopic {
    let mut topic = MemoryTopic::new(partitions);
    topic.append(ticks);
    topic
}

fn again(file: &Path, job: &JobSpec, topic: &MemoryTopic) -> anyhow::Result<FileReport> {
    let file = PublishedFile::open(file)?;
    let spec = spec_of(&file, job)?;
    let components = Components::of(runtime(job)?, store(&spec)?.layout().checkpoint_dir(), &spec, &[]);
    recompute(&file, job, &spec, &components, topic)
}

/// Makes one file of every commit again; none may differ. How many turns each took.
fn check(job: &JobSpec, topic: &MemoryTopic) -> Vec<usize> {
    let files = parquet_files(&job.aggregates[0].output).unwrap();
    let of_each_commit = files.len().div_ceil(SYMBOLS);
    let mut turns = Vec::new();
    for file in files.iter().take(of_each_commit) {
        let report = again(file, job, topic).unwrap();
        assert_ne!(report.verdict, Verdict::Differs, "{}", json!(report));
        assert_eq!(report.rows_made as u64, report.rows_in_file);
        turns.push(report.turns.len());
    }
    assert!(turns.len() > 1);
    turns
}

#[test]
fn a_file_made_again_is_the_same_however_the_records_were_cut_and_dealt() {
    for (partitions, cap, workers) in [(1, None, 1), (2, Some(700), 2), (8, Some(1_500), 3)] {
        let folder = tempfile::tempdir().unwrap();
        let spec = spec(folder.path(), cap);
        let mut topic = MemoryTopic::new(partitions);
        for part in memory::split(&ticks(8_000), &[10, 3_000, 7_000]) {
            topic.append(part);
            run(&spec, &topic, workers);
        }
        let turns = check(&spec, &topic);
        assert!(turns.iter().all(|turns| *turns == 1), "{turns:?}");
    }
}

/// A job over four partitions whose stage is swapped between two commits; with its folder and topic.
fn swapped(stage: &StageName, name: &str, windows: Windows) -> (tempfile::TempDir, JobSpec, MemoryTopic) {
    let folder = tempfile::tempdir().unwrap();
    let spec = spec(folder.path(), Some(1_000));
    let topic = topic_of(&ticks(100_000), 4);
    let mut opened = open(&spec, &topic, 2);
    Arc::get_mut(&mut opened.swapper).unwrap().topic = Arc::new(Again::whole(topic.clone()));
    let component = variant(&plugin(&spec, name), "another");
    let (_, outcome) = run_with_swap_of(stage, &component, opened, windows);
    assert!(matches!(outcome, Ok(Outcome::Swapped { .. })), "{outcome:?}");
    (folder, spec, topic)
}

#[test]
fn a_file_that_several_plugins_made_in_turn_is_made_again_by_the_same_ones() {
    for (stage, name) in [
        (StageName::Aggregate("daily".into()), "ohlcv_upticks"),
        (StageName::Transform(0), "ticker_time"),
        (StageName::Parse, "ticker_json"),
    ] {
        let (_folder, spec, topic) = swapped(&stage, name, Windows::TakeOver);
        let turns = check(&spec, &topic);
        assert!(turns.contains(&2), "{stage}: {turns:?}");
    }
}

#[test]
fn a_file_whose_windows_a_swap_made_anew_is_made_again_by_the_new_plugin_alone() {
    for (stage, name) in [(StageName::Aggregate("daily".into()), "ohlcv"), (StageName::Parse, "ticker_json")]
    {
        let (_folder, spec, topic) = swapped(&stage, name, Windows::Rebuild);
        let turns = check(&spec, &topic);
        assert!(turns.iter().all(|turns| *turns == 1), "{stage}: {turns:?}");
    }
}

#[test]
fn other_records_make_other_rows() {
    let folder = tempfile::tempdir().unwrap();
    let spec = spec(folder.path(), None);
    let mut ticks = ticks(4_000);
    run(&spec, &topic_of(&ticks, 2), 1);
    let file = parquet_files(&spec.aggregates[0].output).unwrap().remove(0);
    ticks.iter_mut().filter(|tick| tick.symbol == "S0").for_each(|tick| tick.price += 1.0);
    let report = json!(again(&file, &spec, &topic_of(&ticks, 2)).unwrap());
    assert_eq!(report["verdict"], "differs");
    let columns = report["comparison"]["columns"].as_array().unwrap();
    let differing: Vec<&str> = columns
        .iter()
        .filter(|column| column["differing"] != 0)
        .map(|column| column["column"].as_str().unwrap())
        .collect();
    assert_eq!(differing, ["daily_open", "daily_high", "daily_low", "daily_close", "avg_price"]);
    assert_eq!(report["comparison"]["examples"][0]["key"]["symbol"], "S0");
}

#[test]
fn what_cannot_be_made_again_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let job = spec(folder.path(), None);
    let topic = topic_of(&ticks(4_000), 2);
    run(&job, &topic, 1);
    let file = parquet_files(&job.aggregates[0].output).unwrap().remove(0);
    let refused = |job: &JobSpec, topic: &MemoryTopic, needle: &str| {
        let why = format!("{:#}", again(&file, job, topic).expect_err(needle));
        assert!(why.contains(needle), "{needle}: {why}");
    };
    refused(&job, &topic_of(&[], 2), "ends at offset 0");
    let mut other = job.clone();
    other.aggregates[0].name = "hourly".into();
    refused(&other, &topic, "aggregate daily");
    let mut other = job.clone();
    other.transforms.clear();
    refused(&other, &topic, "1 transforms made the file");
    let mut other = job.clone();
    other.aggregates[0].stage.config.insert("prefix".into(), "x".into());
    refused(&other, &topic, "was configured otherwise");
    std::fs::remove_dir_all(store(&job).unwrap().layout().checkpoint_dir().join("plugins")).unwrap();
    let mut other = job.clone();
    other.aggregates[0].stage.plugin = "nowhere.wasm".into();
    refused(&other, &topic, "--plugin");
    again(&file, &job, &topic).unwrap();
}

fn tried(job: &JobSpec, topic: &MemoryTopic, name: Option<&str>, from: &[(i32, i64)]) -> BacktestReport {
    let published = Published::below(&job.aggregates[0].output).unwrap();
    let spec = published.spec_of(job).unwrap();
    let tried = name.map(|name| Tried {
        stage: StageName::Aggregate("daily".into()),
        file: job.parse.plugin.with_file_name(format!("{name}.wasm")),
    });
    let plan = Arc::new(plan(job, &spec, tried.as_slice()).unwrap());
    let from: BTreeMap<i32, i64> = from.iter().copied().collect();
    backtest(job, &spec, &published, &from, &plan, topic).unwrap()
}

#[test]
fn the_present_plugins_over_the_past_make_what_was_published() {
    let folder = tempfile::tempdir().unwrap();
    let spec = spec(folder.path(), Some(900));
    let topic = topic_of(&ticks(12_000), 3);
    run(&spec, &topic, 2);
    let all = tried(&spec, &topic, None, &[]);
    assert!(all.is_same(), "{}", json!(all));
    assert_eq!((all.windows.left_out, all.windows.differing), (0, 0));
    assert!(all.windows.compared > 3 && all.comparison.both == all.windows.compared as u64 * SYMBOLS as u64);
    let some = tried(&spec, &topic, None, &[(0, 2_000)]);
    assert!(some.is_same() && some.windows.left_out > 0, "{}", json!(some));
    assert_eq!(some.windows.left_out + some.windows.compared, all.windows.compared);
    let with_more = tried(&spec, &topic, Some("ohlcv_upticks"), &[]);
    assert_eq!(with_more.comparison.only_new_columns, ["up_ticks"]);
    assert!(!with_more.is_same() && with_more.comparison.is_nearly_equal());
}

#[test]
fn another_aggregate_over_the_past_is_told_from_what_was_published() {
    let folder = tempfile::tempdir().unwrap();
    let spec = spec(folder.path(), None);
    let topic = topic_of(&ticks(8_000), 2);
    run(&spec, &topic, 1);
    let report: Value = json!(tried(&spec, &topic, Some("vwap"), &[]));
    assert_eq!(report["comparison"]["only_new_columns"][0], "daily_vwap");
    assert_eq!(report["comparison"]["only_old_columns"].as_array().unwrap().len(), 8);
    assert_eq!(report["windows"]["differing"], report["windows"]["compared"]);
}
