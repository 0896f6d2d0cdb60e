//! `host run --watch`: a plugin file that is saved is swapped in, a broken one leaves the old plugin running.

use std::fs;

use serde_json::Value;
use speed_layer_tests::components::variant;
use speed_layer_tests::host::{self, Running};
use speed_layer_tests::job::Job;
use speed_layer_tests::kafka;
use speed_layer_tests::reference::{closed, ohlcv, watermark_ms};
use speed_layer_tests::table::assert_equal;
use speed_layer_tests::ticks::{Placed, Plan, Spread};

use super::swaps::{done, plugin};
use super::{DAY_MS, HOUR_MS, LIMIT};

const AGGREGATE_FILE: &str = "own_ohlcv.wasm";
const PARSE_FILE: &str = "own_parse.wasm";

/// A job with plugin files of its own, and its records.
fn watched(topic: &str) -> (Job, Running, Vec<Placed>) {
    let records = Plan { rows: 6_000, ..Plan::default() }.records(2, Spread::InTurn);
    kafka::shared().topic_of(topic, 2, &records);
    let job = Job::new(kafka::shared(), topic).set("--trigger", "100ms").set("--watch", "");
    let (aggregate, parse) = (job.path(AGGREGATE_FILE), job.path(PARSE_FILE));
    fs::write(&aggregate, plugin("ohlcv")).expect("it can be written");
    fs::write(&parse, plugin("ticker_json")).expect("it can be written");
    let job = job.set("--aggregate", aggregate.display()).set("--parse", parse.display());
    let mut running = job.start().expect("it starts");
    running.wait_for("total=6000", LIMIT).expect("it reads all");
    (job, running, records)
}

/// Ends the job in order; its rows must be those of a job without swaps.
fn check_rows(job: &Job, running: Running, records: &[Placed]) {
    running.signal("TERM").expect("it runs");
    running.finish(LIMIT).and_then(|run| run.summary()).expect("it ends well");
    let expected = closed(ohlcv(records, DAY_MS, "daily"), DAY_MS, watermark_ms(records, HOUR_MS));
    assert_equal(&expected, &job.table());
}

fn swaps(job: &Job) -> Vec<Value> {
    let checkpoint = job.path("checkpoint").display().to_string();
    let listed = host::run(&["swaps", "--format", "json", "--checkpoint", &checkpoint], LIMIT);
    done(&listed.expect("it lists")).as_array().cloned().unwrap_or_default()
}

#[test]
fn a_saved_plugin_is_swapped_in_and_one_saved_as_it_was_is_not() {
    let (job, mut running, records) = watched("watch-saved");
    fs::write(job.path(PARSE_FILE), plugin("ticker_json")).expect("it can be written");
    for (file, name) in [(AGGREGATE_FILE, "ohlcv"), (PARSE_FILE, "ticker_json")] {
        fs::write(job.path(file), variant(&plugin(name), "edited")).expect("it can be written");
        let said = running.wait_for("from now on", LIMIT).expect("it is swapped in");
        assert!(said.contains(file), "{said}");
    }
    let swaps = swaps(&job);
    let told: Vec<_> =
        swaps.iter().map(|swap| (&swap["stage"], &swap["outcome"], &swap["asked_by"])).collect();
    let line = |stage: &str| (Value::from(stage), Value::from("swapped"), Value::from("host run --watch"));
    let wanted = [line("aggregate:daily"), line("parse")];
    assert_eq!(told, wanted.iter().map(|(a, b, c)| (a, b, c)).collect::<Vec<_>>());
    check_rows(&job, running, &records);
}

#[test]
fn a_broken_plugin_leaves_the_old_one_running_until_it_is_mended() {
    let (job, mut running, records) = watched("watch-broken");
    let edited = variant(&plugin("ohlcv"), "edited");
    for (broken, why) in [(&b"not yet"[..], "is not WebAssembly"), (&edited[..edited.len() / 2], "cut short")]
    {
        fs::write(job.path(AGGREGATE_FILE), broken).expect("it can be written");
        let said = running.wait_for("is not taken", LIMIT).expect("it is refused");
        assert!(said.contains(AGGREGATE_FILE) && said.contains(why), "{said}");
    }
    assert_eq!(swaps(&job).len(), 0);
    fs::write(job.path(AGGREGATE_FILE), &edited).expect("it can be written");
    running.wait_for("from now on", LIMIT).expect("it is swapped in");
    check_rows(&job, running, &records);
}
