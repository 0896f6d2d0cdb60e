//! A pipeline file to begin with, what `host check` says of one without running it, and the manual pages.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use speed_layer_tests::host::{self, Finished};
use speed_layer_tests::job::{LIMIT, new_folder};
use speed_layer_tests::places::plugin;

fn host(words: &[&str]) -> Finished {
    host::run(words, LIMIT).expect("it ends")
}

/// What `host init` writes, with the plugins that are built here.
fn begun(folder: &Path) -> String {
    let path = folder.join("pipeline.toml");
    let name = path.display().to_string();
    let written = host(&["init", &name]);
    assert!(written.status.success() && written.stdout.contains("host check"), "{}", written.told());
    let ohlcv = plugin("ohlcv");
    let plugins = ohlcv.parent().expect("a folder").display().to_string();
    let text = fs::read_to_string(&path).expect("it is there").replace("target/plugins", &plugins);
    fs::write(&path, text).expect("it can be written");
    name
}

#[test]
fn a_file_to_begin_with_is_one_that_check_takes_and_is_not_written_over() {
    let folder = new_folder().expect("a folder");
    let file = begun(folder.path());
    let checked = host(&["check", &file]);
    assert!(checked.status.success(), "{}", checked.told());
    for said in [
        "job crypto: topic crypto-prices at localhost:9092, trigger 10s, checkpoint checkpoint",
        "parse: ticker_json sha256:",
        "event_time s64 (event time), price",
        "volume f64?",
        "(not read)",
        "aggregate:daily: ohlcv sha256:",
        "by symbol in windows of 1d, rows up to 1h late",
        "state version 1",
        "daily_open f64",
        "into streaming_output/daily",
        "dead letters: Parquet",
        "nothing was run",
    ] {
        assert!(checked.stdout.contains(said), "no {said:?} in {}", checked.told());
    }
    let before = fs::read_to_string(&file).expect("it is there");
    let again = host(&["init", &file]);
    assert!(again.status.code() == Some(1) && again.stderr.contains("is there already"), "{}", again.told());
    assert_eq!(fs::read_to_string(&file).expect("it is there"), before);
    let names = fs::read_dir(folder.path()).expect("a folder").count();
    assert_eq!(names, 1, "check or init left something beside the file");
    assert!(host(&["init", "-"]).stdout.contains("[[aggregate]]"));
}

#[test]
fn as_json_the_plan_says_what_each_stage_gives_and_what_of_it_is_read() {
    let folder = new_folder().expect("a folder");
    let flags = ["--trigger", "available-now", "--hold", "6h", "--format", "json"];
    let checked = host(&[&["check", &begun(folder.path())], flags.as_slice()].concat());
    let plan: Value = serde_json::from_str(&checked.stdout).expect("JSON");
    for (pointer, expected) in [
        ("/trigger", json!("available-now")),
        ("/event_time", json!({ "column": "event_time", "stage": "parse" })),
        ("/stages/0/stage", json!("parse")),
        ("/stages/0/output/0", json!({ "name": "symbol", "type": "utf8", "nullable": true, "read": true })),
        ("/stages/1/stage", json!("transform:0")),
        ("/aggregates/0/stage", json!("aggregate:daily")),
        ("/aggregates/0/key", json!(["symbol"])),
        ("/aggregates/0/state/version", json!(1)),
        ("/aggregates/0/sink/hold", json!("6h")),
        ("/late", json!({ "type": "parquet" })),
    ] {
        assert_eq!(plan.pointer(pointer), Some(&expected), "{pointer} of {plan:#}");
    }
}

#[test]
fn what_does_not_fit_is_said_with_the_stage_and_what_to_do() {
    let folder = new_folder().expect("a folder");
    let file = begun(folder.path());
    let text = fs::read_to_string(&file).expect("it is there");
    let (parser, transform) = ("ticker_json.wasm", "ticker_time.wasm");
    for (from, to, code, said) in [
        (parser, "gone.wasm", 1, &["gone.wasm"][..]),
        (parser, transform, 1, &["ticker_time", "parse"]),
        ("# key = \"symbol\"", "key = \"symbl\"", 1, &["symbl", "there are: symbol", "daily"]),
        ("# event_time = \"event_time\"", "event_time = \"when\"", 1, &["when", "--event-time"]),
        ("# window = \"1d\"", "windw = \"1d\"", 2, &["windw", "`window`"]),
        ("[late]", "[late]\nsink = { type = \"kafka\", topic = \"crypto-prices\" }", 2, &["[late]"]),
    ] {
        let wrong = text.replacen(from, to, 1);
        assert_ne!(wrong, text, "{from} is not in the file");
        fs::write(&file, wrong).expect("it can be written");
        let refused = host(&["check", &file]);
        assert_eq!(refused.status.code(), Some(code), "{to}: {}", refused.told());
        for part in said {
            assert!(refused.stderr.contains(part), "no {part:?} for {to} in {}", refused.told());
        }
    }
}

#[test]
fn every_command_has_a_manual_page() {
    let folder = new_folder().expect("a folder");
    let man = folder.path().join("man/man1");
    let written = host(&["man", &man.display().to_string()]);
    assert!(written.status.success(), "{}", written.told());
    let page =
        |name: &str| fs::read_to_string(man.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
    for (name, said) in [
        ("host.1", "Speed Layer"),
        ("host-run.1", "take\\-over"),
        ("host-swap.1", "dry\\-run"),
        ("host-checkpoint-rollback.1", "yes"),
        ("host-check.1", "pipeline.toml"),
    ] {
        assert!(page(name).contains(said), "no {said:?} in {name}");
    }
}
