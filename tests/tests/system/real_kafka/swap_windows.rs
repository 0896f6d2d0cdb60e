//! Swaps that do not go on with the open windows' states: what was in them, what comes after,
//! and that nothing of it is there when the new plugin fails.

use std::collections::BTreeMap;
use std::fs;

use serde_json::Value;
use speed_layer_tests::components::{naughty, variant};
use speed_layer_tests::job::Job;
use speed_layer_tests::parquet_table;
use speed_layer_tests::reference::{closed, ohlcv, vwap, watermark_ms};
use speed_layer_tests::table::{Table, assert_equal};
use speed_layer_tests::ticks::Placed;
use speed_layer_tests::{kafka, places};

use super::swaps::{AGGREGATE, Half, done, plugin};
use super::{DAY_MS, HOUR_MS, LIMIT};

/// A swap's cut in the records, and what follows from it.
struct Cut {
    offsets: BTreeMap<i64, i64>,
    /// Where the first window begins that the new plugin has whole.
    until_ms: i64,
}

impl Cut {
    fn of(report: &Value, records: &[Placed]) -> Self {
        let marks = report["from_offsets"].as_array().expect("a list");
        let number = |mark: &Value, name: &str| mark[name].as_i64().expect("a number");
        let offsets = marks.iter().map(|mark| (number(mark, "partition"), number(mark, "offset"))).collect();
        let mut cut = Self { offsets, until_ms: 0 };
        let before = records.iter().filter(|record| cut.is_before(record));
        let greatest_ms = before.filter_map(|record| Some(record.tick.as_ref()?.event_time_ms)).max();
        cut.until_ms = (greatest_ms.expect("some records").div_euclid(DAY_MS) + 1) * DAY_MS;
        cut
    }

    fn is_before(&self, record: &Placed) -> bool {
        record.offset < self.offsets[&i64::from(record.partition)]
    }

    fn before(&self, records: &[Placed]) -> Vec<Placed> {
        records.iter().filter(|record| self.is_before(record)).cloned().collect()
    }

    fn withheld(&self, records: &[Placed]) -> usize {
        let after = records.iter().filter(|record| !self.is_before(record));
        after.filter(|of| of.tick.as_ref().is_some_and(|tick| tick.event_time_ms < self.until_ms)).count()
    }
}

fn partial(job: &Job) -> Table {
    let folder = job.path("output/daily.partial/daily/aggregate=daily");
    parquet_table::read_partial(&folder, "symbol").unwrap_or_else(|why| panic!("{why:#}"))
}

/// What a reset leaves: windows closed before it, those open at it as they were, and the others from
/// `until_ms` on.
fn check_reset(job: &Job, records: &[Placed], cut: &Cut) {
    let so_far = ohlcv(&cut.before(records), DAY_MS, "daily");
    let partial = partial(job);
    assert!(!partial.is_empty());
    let mut expected = so_far.clone();
    expected.retain(|group, _| partial.contains_key(group));
    assert_equal(&expected, &partial);
    let mut expected = closed(ohlcv(records, DAY_MS, "daily"), DAY_MS, watermark_ms(records, HOUR_MS));
    let count = expected.len();
    expected.retain(|group, _| group.1 >= cut.until_ms || !partial.contains_key(group));
    assert!(expected.len() < count && expected.keys().any(|group| group.1 >= cut.until_ms));
    assert_equal(&expected, &job.table());
    let late = job.late();
    assert!(late.iter().all(|letter| letter.kind == "withheld"));
    assert_eq!(late.len(), cut.withheld(records));
}

#[test]
fn a_reset_writes_down_the_open_windows_and_withholds_the_rest_of_them_also_when_killed() {
    let half = Half::start("resets-killed");
    let file = half.file("new.wasm", &variant(&plugin("ohlcv"), "reset"));
    let report = done(&half.swap(AGGREGATE, &file, &["--reset-windows", "--format", "json"]));
    assert_eq!((&report["outcome"], &report["change"]), (&"swapped".into(), &"reset".into()), "{report}");
    let (job, records) = half.killed().end();
    let cut = Cut::of(&report, &records);
    assert_eq!(job.checkpoint()["aggregates"][0]["withheld_until_ms"], cut.until_ms);
    check_reset(&job, &records, &cut);
}

#[test]
fn a_plugin_that_fails_on_rows_that_are_withheld_from_it_is_taken_out_again() {
    let mut half = Half::start("resets-naughty");
    for mischief in ["trap update", "miscount update", "trap merge", "trap finish"] {
        let file = half.file("naughty.wasm", &naughty(mischief).expect("the guest is built"));
        let refused = half.swap_under_load(AGGREGATE, &file, &["--reset-windows"]);
        assert_eq!(refused.status.code(), Some(1), "{mischief}: {}", refused.told());
        assert!(refused.stderr.contains("taken out again"), "{mischief}: {}", refused.told());
    }
    assert!(!fs::exists(half.job.path("output/daily.partial/daily")).expect("it can be looked for"));
    half.check_rows();
}

#[test]
fn a_state_that_cannot_be_taken_over_is_refused_with_what_would_do() {
    let half = Half::start("resets-refused");
    let file = half.file("naughty.wasm", &naughty("refuse migrate").expect("the guest is built"));
    let refused = half.swap(AGGREGATE, &file, &[]);
    assert_eq!(refused.status.code(), Some(1), "{}", refused.told());
    let command = format!("--stage aggregate:daily {} --reset-windows", file.display());
    for needle in ["is version 1, that of naughty", "version 2", "naughty refuses", &command] {
        assert!(refused.stderr.contains(needle), "{needle}: {}", refused.told());
    }
    let report = done(&half.swap(AGGREGATE, &file, &["--reset-windows", "--format", "json"]));
    let (job, records) = half.end();
    check_reset(&job, &records, &Cut::of(&report, &records));
}

#[test]
fn another_plugin_writes_into_another_folder_from_the_next_window_on_also_after_restarts() {
    let half = Half::start("resets-moved");
    let path = |inside: &str| half.job.path(inside).display().to_string();
    fs::create_dir_all(path("spark/_spark_metadata")).expect("a folder");
    for (flags, folder, needles) in [
        (&[][..], None, vec!["`daily_open` is gone", "--reset-windows --output DIR", "is version 1"]),
        (&["--reset-windows"], None, vec!["the output of aggregate daily would change", "--output DIR"]),
        (&["--reset-windows"], Some("output/daily/inside"), vec!["output/daily/inside", "inside"]),
        (&["--reset-windows"], Some("spark"), vec!["spark", "Spark"]),
        (&["--reset-windows"], Some("output/daily"), vec!["is the output of aggregate daily already"]),
    ] {
        let mut flags: Vec<String> = flags.iter().map(ToString::to_string).collect();
        flags.extend(folder.into_iter().flat_map(|folder| ["--output".to_owned(), path(folder)]));
        let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
        let refused = half.swap(AGGREGATE, &places::plugin("vwap"), &flags);
        assert_eq!(refused.status.code(), Some(1), "{}", refused.told());
        let told = refused.told();
        assert!(needles.iter().all(|needle| told.contains(needle)), "{needles:?}: {told}");
    }
    let output = path("output/vwap");
    let flags = ["--reset-windows", "--output", &output, "--format", "json"];
    let report = done(&half.swap(AGGREGATE, &places::plugin("vwap"), &flags));
    assert_eq!((&report["outcome"], &report["change"]), (&"swapped".into(), &"reset".into()), "{report}");
    let Half { job, running, topic, records, given } = half;
    drop(running);
    let mut running = job.start().expect("it starts");
    running.wait_for("where a swap moved its output", LIMIT).expect("it says so");
    running.wait_for("started", LIMIT).expect("it starts");
    let (job, records) = Half { job, running, topic, records, given }.end();
    check_moved(&job, &records, &Cut::of(&report, &records));
    let moved =
        |job: &Job| job.checkpoint()["aggregates"][0]["moved_output"]["to"].as_str().map(String::from);
    assert_eq!(moved(&job), Some(output.clone()));
    let job = job.set("--output", &output).set("--name", "daily");
    let named = job.run().expect("it runs");
    assert!(named.status.success() && !named.stderr.contains("moved"), "{}", named.told());
    let third = job.path("output/third").display().to_string();
    let job = job.set("--output", third);
    let elsewhere = job.run().expect("it runs");
    assert!(elsewhere.stderr.contains("a swap had moved it to"), "{}", elsewhere.told());
    assert!(elsewhere.status.success(), "{}", elsewhere.told());
}

/// Windows closed before a swap are in the folder that was, later ones in the new one.
fn check_moved(job: &Job, records: &[Placed], cut: &Cut) {
    let partial = partial(job);
    let mut before = ohlcv(&cut.before(records), DAY_MS, "daily");
    before.retain(|group, _| !partial.contains_key(group));
    assert!(!before.is_empty());
    assert_equal(&before, &job.table());
    let mut after = closed(vwap(records, DAY_MS, "daily"), DAY_MS, watermark_ms(records, HOUR_MS));
    after.retain(|group, _| group.1 >= cut.until_ms);
    assert!(!after.is_empty());
    assert_equal(&after, &job.table_of("output/vwap", "symbol"));
    assert_eq!(job.late().len(), cut.withheld(records));
}

#[test]
fn a_rebuild_gives_the_windows_of_a_plugin_that_was_there_from_the_beginning() {
    // Its open windows were taken in by several commits of two processes.
    let mut half = Half::start("rebuilds").killed();
    let refused = half.swap(AGGREGATE, &places::plugin("vwap"), &[]);
    let ways = ["--rebuild --output DIR", "--reset-windows --output DIR"].map(|way| refused.stderr.find(way));
    assert!(ways[0].is_some() && ways[0] < ways[1], "{}", refused.told());
    let output = half.job.path("output/vwap").display().to_string();
    let flags = ["--rebuild", "--output", &output, "--format", "json"];
    let report = done(&half.swap_under_load(AGGREGATE, &places::plugin("vwap"), &flags));
    assert_eq!((&report["outcome"], &report["change"]), (&"swapped".into(), &"rebuild".into()), "{report}");
    let (job, records) = half.killed().end();
    let watermark_ms = watermark_ms(&records, HOUR_MS);
    let mut before = closed(ohlcv(&records, DAY_MS, "daily"), DAY_MS, watermark_ms);
    let mut after = closed(vwap(&records, DAY_MS, "daily"), DAY_MS, watermark_ms);
    let found = job.table();
    before.retain(|group, _| found.contains_key(group));
    after.retain(|group, _| !before.contains_key(group));
    assert!(!before.is_empty() && !after.is_empty());
    assert_equal(&before, &found);
    assert_equal(&after, &job.table_of("output/vwap", "symbol"));
    assert!(job.late().is_empty() && partial(&job).is_empty());
}

#[test]
fn a_rebuild_that_fails_leaves_the_plugin_that_was_there() {
    let mut half = Half::start("rebuilds-failing");
    for (mischief, said) in [
        ("trap update", "refused"),
        ("trap merge", ""),
        ("trap finish", "taken out again"),
        ("trap open", "refused"),
    ] {
        let file = half.file("naughty.wasm", &naughty(mischief).expect("the guest is built"));
        let refused = half.swap_under_load(AGGREGATE, &file, &["--rebuild"]);
        assert_eq!(refused.status.code(), Some(1), "{mischief}: {}", refused.told());
        assert!(refused.stderr.contains(said), "{mischief}: {}", refused.told());
    }
    let taken = i64::try_from(half.given / 2 - 1).expect("few");
    kafka::shared().delete_records(&half.topic, &[(0, taken)]).expect("they can be deleted");
    let file = half.file("new.wasm", &variant(&plugin("ohlcv"), "rebuild"));
    for flags in [&["--rebuild"][..], &["--rebuild", "--dry-run"]] {
        let refused = half.swap(AGGREGATE, &file, flags);
        assert_eq!(refused.status.code(), Some(1), "{}", refused.told());
        assert!(refused.stderr.contains("retention has taken what lay between"), "{}", refused.told());
    }
    half.check_rows();
}
