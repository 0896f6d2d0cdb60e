//! Swaps in a running job over records in memory: whatever is swapped and however often,
//! the windows are those of a job that never was.

use std::sync::Arc;
use std::thread;

use super::memory::{self, MemoryTopic, Tick};
use super::recomputed::{Table, published, recompute};
use super::{DAY_MS, START_MS, open, spec};
use crate::config::JobSpec;
use crate::job::JobHandle;
use crate::job::swap::{Outcome, Request, Shadowing, Swapper, Windows};
use crate::plan::StageName;

/// The same component under another digest: with a custom section at its end.
pub fn variant(component: &[u8], mark: &str) -> Vec<u8> {
    let name = b"variant";
    let content = [&[name.len() as u8], name.as_slice(), mark.as_bytes()].concat();
    assert!(content.len() < 128);
    [component, &[0, content.len() as u8], &content].concat()
}

pub fn plugin(spec: &JobSpec, name: &str) -> Vec<u8> {
    std::fs::read(spec.parse.plugin.with_file_name(format!("{name}.wasm"))).unwrap()
}

pub fn request(stage: &StageName, shadow: Option<Shadowing>) -> Request {
    Request {
        stage: stage.clone(),
        allow_downgrade: false,
        windows: Windows::TakeOver,
        output: None,
        command: "host swap".to_owned(),
        shadow,
        signature: None,
    }
}

pub fn swap(swapper: &Swapper, stage: &StageName, component: &[u8]) -> anyhow::Result<Outcome> {
    swap_with(swapper, stage, component, Windows::TakeOver, &mut || {})
}

pub fn swap_with(
    swapper: &Swapper,
    stage: &StageName,
    component: &[u8],
    windows: Windows,
    prepared: &mut dyn FnMut(),
) -> anyhow::Result<Outcome> {
    let request = Request { windows, ..request(stage, None) };
    let report = swapper.swap(&request, "new", component, "a test", false, &mut |_| {
        prepared();
        Ok(())
    })?;
    Ok(report.unwrap().outcome)
}

/// Runs a job over `ticks` while `meddle` does as it likes, and compares.
fn check(ticks: &[Tick], cap: u64, workers: usize, meddle: impl FnOnce(&JobSpec, &Swapper) + Send) {
    let (found, expected) = run(ticks, cap, workers, |_| {}, meddle);
    assert_eq!(found, expected);
}

/// As [`check`], over a job that is another in something; the rows found and those of a job
/// that nobody meddled with.
pub fn run(
    ticks: &[Tick],
    cap: u64,
    workers: usize,
    adapt: impl FnOnce(&mut JobSpec),
    meddle: impl FnOnce(&JobSpec, &Swapper) + Send,
) -> (Table, Table) {
    let folder = tempfile::tempdir().unwrap();
    let mut spec = spec(folder.path(), Some(cap));
    adapt(&mut spec);
    let mut topic = MemoryTopic::new(4);
    topic.append(ticks);
    let opened = open(&spec, &topic, workers);
    let swapper = Arc::clone(&opened.swapper);
    let summary = thread::scope(|scope| {
        scope.spawn(|| meddle(&spec, &swapper));
        opened.run(&JobHandle::default(), &mut |_| {}).unwrap()
    });
    summary.account.check().unwrap();
    assert_eq!(summary.account.records_in, ticks.len() as u64);
    (published(&spec.aggregates[0].output), recompute(ticks, &topic, DAY_MS, 3_600_000))
}

pub fn ticks(count: usize) -> Vec<Tick> {
    memory::jittered_ticks(13, count, 20, 6 * DAY_MS, START_MS)
}

/// Swaps `stage` between two digests of `name` until the job ends; how often it did.
fn swap_on(spec: &JobSpec, swapper: &Swapper, stage: &StageName, name: &str) -> usize {
    let component = plugin(spec, name);
    let mut swapped = 0;
    for round in 0.. {
        match swap(swapper, stage, &variant(&component, &round.to_string())) {
            Ok(Outcome::Swapped { .. }) => swapped += 1,
            Ok(Outcome::Refused { .. }) | Err(_) => break,
            Ok(rolled_back) => panic!("{rolled_back:?}"),
        }
    }
    swapped
}

#[test]
fn an_aggregate_swapped_again_and_again_changes_no_row() {
    check(&ticks(300_000), 2_000, 2, |spec, swapper| {
        let swapped = swap_on(spec, swapper, &StageName::Aggregate("daily".into()), "ohlcv");
        assert!(swapped >= 3, "{swapped}");
    });
}

#[test]
fn every_other_stage_can_be_swapped_too() {
    for (stage, name) in [(StageName::Parse, "ticker_json"), (StageName::Transform(0), "ticker_time")] {
        check(&ticks(200_000), 2_000, 2, |spec, swapper| {
            let swapped = swap_on(spec, swapper, &stage, name);
            assert!(swapped >= 2, "{stage}: {swapped}");
        });
    }
}
