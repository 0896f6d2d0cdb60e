//! What no swap is made of: each is refused, or taken out again, with the plugin's digest and the reason, and
//! exit code 1; the old plugin serves on, and no row is lost.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use speed_layer_tests::components::{naughty, patched};
use speed_layer_tests::host::{self, Finished};
use speed_layer_tests::kafka;

use super::LIMIT;
use super::swaps::{AGGREGATE, Half, plugin};

/// Gives its own name to a mischief of the guest `naughty`.
fn up_to(mischief: &str) -> Vec<u8> {
    naughty(mischief).expect("the guest is built")
}

/// The stage, the file, and what the refusal says of it.
fn refused() -> Vec<(&'static str, Vec<u8>, &'static str)> {
    let (parser, ohlcv) = (plugin("ticker_json"), plugin("ohlcv"));
    vec![
        (AGGREGATE, b"no component".to_vec(), "is not WebAssembly"),
        (AGGREGATE, ohlcv[..1000].to_vec(), "cut"),
        (AGGREGATE, b"\0asm\x01\0\0\0".to_vec(), "host plugin pack"),
        (AGGREGATE, parser.clone(), "parse"),
        ("parse", ohlcv.clone(), "aggregate"),
        (AGGREGATE, patched(&ohlcv, "@0.1.0", "@9.1.0"), "version 9.1.0 of the plugin contract"),
        ("parse", patched(&parser, "quote_volume", "quote_volumX"), "quote_volume"),
        (AGGREGATE, plugin("vwap"), "output of aggregate daily would change"),
        (AGGREGATE, up_to("refuse migrate"), "the state of the open windows of aggregate daily is version 1"),
        (AGGREGATE, up_to("trap describe"), "aggregate.describe"),
        (AGGREGATE, up_to("trap open"), "aggregate.open"),
        (AGGREGATE, up_to("trap migrate"), "aggregate.migrate"),
        (AGGREGATE, ohlcv.clone(), "already"),
        ("parse", parser, "already"),
        ("aggregate:hourly", ohlcv, "no stage aggregate:hourly; it has parse, transform:0, aggregate:daily"),
        ("transform:7", plugin("ticker_time"), "no stage transform:7"),
    ]
}

/// The first digits of a file's SHA-256, by another program than ours.
fn digest(file: &Path) -> String {
    let output = Command::new("sha256sum").arg(file).output().expect("sha256sum is there");
    String::from_utf8_lossy(&output.stdout)[..12].to_owned()
}

/// The answer must have exit code 1, the digest and the reason, and the job its old plugins.
fn check(half: &Half, file: &Path, answer: &Finished, reason: &str) {
    assert_eq!(answer.status.code(), Some(1), "{reason}: {}", answer.told());
    let digest = format!("sha256:{}", digest(file));
    for part in [reason, digest.as_str()] {
        assert!(answer.stderr.contains(part), "{part}: {}", answer.told());
    }
    let shown = half.job.checkpoint();
    let stages =
        ["stages", "aggregates"].map(|of| shown[of].as_array().cloned().unwrap_or_default()).concat();
    let have_one = |stage: &Value| stage["plugins"].as_array().is_some_and(|plugins| plugins.len() == 1);
    assert!(stages.len() == 3 && stages.iter().all(have_one), "{reason}: {shown:#}");
}

#[test]
fn what_is_no_plugin_for_the_place_is_refused_with_its_digest_and_the_reason() {
    let half = Half::start("swaps-refused");
    for (index, (stage, component, reason)) in refused().into_iter().enumerate() {
        let file = half.file(&format!("new-{index}.wasm"), &component);
        check(&half, &file, &half.swap(stage, &file, &[]), reason);
        let dry = half.swap(stage, &file, &["--dry-run", "--format", "json"]);
        check(&half, &file, &dry, reason);
    }
    let empty = half.file("empty.wasm", b"");
    for (file, reason) in
        [(empty, "empty.wasm is empty"), (PathBuf::from("/no.wasm"), "cannot read /no.wasm")]
    {
        let refused = half.swap(AGGREGATE, &file, &[]);
        assert_eq!(refused.status.code(), Some(1), "{}", refused.told());
        assert!(refused.stderr.contains(reason), "{}", refused.told());
    }
    half.check_rows();
}

#[test]
fn one_that_never_returns_is_refused_or_taken_out_again() {
    let mut half = Half::start("swaps-loops");
    for (mischief, reason) in [
        ("loop open", "aggregate.open"),
        ("loop migrate", "aggregate.migrate"),
        ("loop update", "failed on probation and was taken out again"),
    ] {
        let file = half.file("loop.wasm", &up_to(mischief));
        let next = (half.given + 50).min(half.records.len());
        kafka::shared().append(&half.topic, &half.records[half.given..next]);
        half.given = next;
        let answer = half.swap_under_load(AGGREGATE, &file, &[]);
        check(&half, &file, &answer, reason);
    }
    half.check_rows();
}

#[test]
fn a_job_that_is_not_there_has_nothing_swapped() {
    let half = Half::start("swaps-no-job");
    let ohlcv = half.file("new.wasm", &plugin("ohlcv")).display().to_string();
    let checkpoint = half.job.path("checkpoint").display().to_string();
    for (words, reason) in [
        (["--checkpoint", "/nowhere", "--stage", "parse"].as_slice(), "/nowhere"),
        (["--checkpoint", &checkpoint, "--job", "hourly", "--stage", "parse"].as_slice(), "hourly"),
    ] {
        let refused = host::run(&[&["swap"], words, &[ohlcv.as_str()]].concat(), LIMIT).expect("it answers");
        assert_eq!(refused.status.code(), Some(1), "{}", refused.told());
        assert!(refused.stderr.contains(reason), "{reason}: {}", refused.told());
    }
}
