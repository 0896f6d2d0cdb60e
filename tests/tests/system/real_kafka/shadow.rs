//! `host swap --shadow` against a running job: what it finds of a plugin, whether that one takes over, and the
//! rows of a job that nobody looked at.

use serde_json::Value;
use speed_layer_tests::components::{naughty, variant};
use speed_layer_tests::host::{self, Finished, Running};
use speed_layer_tests::places;

use super::LIMIT;
use super::swaps::{AGGREGATE, Half, done, plugin};

const SHADOW: [&str; 4] = ["--shadow", "20", "--format", "json"];

/// The comparison of the open groups, and the value `name` of a column of it.
fn open_count(shadow: &Value, column: &str, name: &str) -> u64 {
    let columns = shadow["windows"][0]["open"]["columns"].as_array().expect("a list");
    let of = columns.iter().find(|of| of["column"] == column).unwrap_or_else(|| panic!("{shadow:#}"));
    of[name].as_u64().expect("a number")
}

/// What was said as JSON, of a run with this exit code.
fn answer(finished: &Finished, code: i32) -> Value {
    assert_eq!(finished.status.code(), Some(code), "{}", finished.told());
    serde_json::from_str(&finished.stdout).unwrap_or_else(|_| panic!("{}", finished.told()))
}

fn naughty_file(half: &Half, mischief: &str) -> std::path::PathBuf {
    half.file("naughty.wasm", &naughty(mischief).expect("the guest is built"))
}

#[test]
fn an_equal_plugin_takes_over_and_no_row_is_lost_or_doubled() {
    let mut half = Half::start("shadow-equal");
    for (stage, name) in [("parse", "ticker_json"), ("transform:0", "ticker_time"), (AGGREGATE, "ohlcv")] {
        let file = half.file("new.wasm", &variant(&plugin(name), stage));
        let report = done(&half.swap_under_load(stage, &file, &SHADOW));
        let shadow = &report["shadow"];
        assert_eq!((&report["outcome"], &shadow["equal"]), (&"swapped".into(), &true.into()), "{report:#}");
        assert!(shadow["batches"].as_u64().is_some_and(|batches| batches >= 20), "{shadow:#}");
        assert!(open_count(shadow, "tick_count", "equal") > 0);
        assert_eq!(shadow["rows"].is_object(), stage != AGGREGATE);
    }
    half.check_rows();
}

#[test]
fn a_version_with_one_more_column_is_equal_in_the_others_and_takes_over() {
    let mut half = Half::start("shadow-migrated");
    let report = done(&half.swap_under_load(AGGREGATE, &places::plugin("ohlcv_upticks"), &SHADOW));
    assert_eq!((&report["outcome"], &report["change"]), (&"swapped".into(), &"migrate".into()), "{report:#}");
    assert_eq!(report["shadow"]["windows"][0]["open"]["only_new_columns"], serde_json::json!(["up_ticks"]));
    half.check_rows_but(&["up_ticks"]);
}

#[test]
fn a_plugin_that_differs_is_reported_with_examples_and_takes_over_only_where_told_to() {
    let mut half = Half::start("shadow-differs");
    let file = naughty_file(&half, "lie update");
    let never = [SHADOW.as_slice(), &["--promote", "never"]].concat();
    for (more, code) in [(SHADOW.as_slice(), 1), (never.as_slice(), 0)] {
        let report = answer(&half.swap_under_load(AGGREGATE, &file, more), code);
        let shadow = &report["shadow"];
        assert_eq!((&report["outcome"], &shadow["equal"]), (&"shadowed".into(), &false.into()), "{report:#}");
        assert!(open_count(shadow, "tick_count", "differing") > 0);
        let example = &shadow["windows"][0]["open"]["examples"][0];
        assert!(
            example["key"]["group"].as_str().is_some_and(|group| group.starts_with("symbol=")),
            "{example}"
        );
        assert!(example["key"]["window_start"].is_string() && example["old"] != example["new"], "{example}");
    }
    let told = half.swap_under_load(AGGREGATE, &file, &["--shadow", "5"]);
    assert!(told.stdout.contains("different") && told.stdout.contains("became"), "{}", told.told());
    assert!(told.stderr.contains("--promote always"), "{}", told.told());
    let vwap = half.swap(AGGREGATE, &places::plugin("vwap"), &SHADOW);
    assert!(vwap.stderr.contains("output of aggregate daily would change"), "{}", vwap.told());
    half.check_rows();
    let mut half = Half::start("shadow-always");
    let file = naughty_file(&half, "lie update");
    let always = [SHADOW.as_slice(), &["--promote", "always"]].concat();
    let report = done(&half.swap_under_load(AGGREGATE, &file, &always));
    assert_eq!(
        (&report["outcome"], &report["shadow"]["equal"]),
        (&"swapped".into(), &false.into()),
        "{report:#}"
    );
}

#[test]
fn a_plugin_that_fails_beside_the_stream_leaves_it_as_it_was() {
    let mut half = Half::start("shadow-naughty");
    for mischief in ["trap update", "loop update", "miscount update", "trap merge", "trap finish"] {
        let file = naughty_file(&half, mischief);
        let always = [SHADOW.as_slice(), &["--promote", "always"]].concat();
        let finished = half.swap_under_load(AGGREGATE, &file, &always);
        let report = answer(&finished, 1);
        assert_eq!(report["outcome"], "shadow_failed", "{mischief}: {report:#}");
        assert!(finished.stderr.contains("sha256:"), "{mischief}: {}", finished.told());
    }
    half.check_rows();
}

#[test]
fn an_idle_stream_is_waited_for_until_whoever_asked_leaves() {
    let mut half = Half::start("shadow-idle");
    let file = half.file("new.wasm", &variant(&plugin("ohlcv"), "another"));
    let mut command = host::command().expect("it is built");
    command.args(["swap", "--stage", AGGREGATE, "--shadow", "1000000", "--checkpoint"]);
    let mut waiting = Running::start(command.arg(half.job.path("checkpoint")).arg(&file)).expect("it starts");
    waiting.wait_for("of 1000000 batches", LIMIT).expect("it says how far it is");
    // Not an interrupt, which whoever started the tests may have had ignored.
    waiting.signal("TERM").expect("it waits");
    half.running.wait_for("has gone", LIMIT).expect("the job notices");
    let swapped = done(&half.swap(AGGREGATE, &file, &["--format", "json"]));
    assert_eq!(swapped["outcome"], "swapped");
    half.check_rows();
}
