//! While a swap is under way: another one is told so at once, and the one on probation can be taken back as
//! if it had never been.

use std::fs::File;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::thread;

use speed_layer_tests::components::{naughty, variant};
use speed_layer_tests::host::{self, Finished};
use speed_layer_tests::job::Job;
use speed_layer_tests::kafka;

use super::LIMIT;
use super::swaps::{AGGREGATE, Half, done, plugin, swap};

/// Swaps the aggregate, has something done while the new one is on probation, and gives both outcomes.
fn during_probation<R>(half: &mut Half, file: &Path, act: impl FnOnce(&Job) -> R) -> (Finished, R) {
    let Half { job, running, .. } = half;
    let job = &*job;
    thread::scope(|scope| {
        let first = scope.spawn(|| swap(job, AGGREGATE, file, &["--format", "json"]));
        running.wait_for("on probation", LIMIT).expect("it comes to that");
        let done = act(job);
        (first.join().expect("it answers"), done)
    })
}

fn listed(job: &Job) -> serde_json::Value {
    let checkpoint = job.path("checkpoint").display().to_string();
    done(&host::run(&["swaps", "--format", "json", "--checkpoint", &checkpoint], LIMIT).expect("it lists"))
}

#[test]
fn a_second_swap_is_told_at_once_of_the_first_ones_stage_and_digest() {
    let mut half = Half::idle("swaps-second");
    let file = half.file("first.wasm", &variant(&plugin("ohlcv"), "first"));
    let other = half.file("second.wasm", &variant(&plugin("ticker_json"), "second"));
    let (first, second) = during_probation(&mut half, &file, |job| swap(job, "parse", &other, &[]));
    assert_eq!(second.status.code(), Some(1), "{}", second.told());
    let first = done(&first);
    assert_eq!(first["outcome"], "swapped");
    let digest = &first["to"]["digest"].as_str().expect("a digest")[..12];
    let told = format!("another swap is under way, aggregate:daily to first (sha256:{digest})");
    assert!(second.stderr.contains(&told), "{told}: {}", second.told());
    half.check_rows();
}

#[test]
fn a_swap_on_probation_is_taken_back_as_if_it_had_never_been() {
    let mut half = Half::idle("swaps-taken-back");
    let liar = half.file("liar.wasm", &naughty("lie update").expect("the guest is built"));
    let (topic, given) = (half.topic.clone(), half.given);
    let few = half.records[given..given + 100].to_vec();
    half.given += few.len();
    let (first, back) = during_probation(&mut half, &liar, |job| {
        kafka::shared().append(&topic, &few);
        swap(job, AGGREGATE, Path::new(""), &["--back"])
    });
    assert!(back.status.success() && back.stdout.contains("was taken back"), "{}", back.told());
    assert_eq!(first.status.code(), Some(1), "{}", first.told());
    assert!(first.stderr.contains("was taken back by uid"), "{}", first.told());
    let listed = listed(&half.job);
    assert_eq!(listed.as_array().map(Vec::len), Some(1), "{listed}");
    let line = &listed[0];
    assert_eq!((&line["outcome"], line["by"].is_string()), (&"taken_back".into(), true), "{line}");
    let again = swap(&half.job, AGGREGATE, Path::new(""), &["--back"]);
    assert!(again.stderr.contains("no other plugin"), "{}", again.told());
    half.check_rows();
}

#[test]
fn a_dry_run_is_answered_while_a_swap_is_under_way() {
    let mut half = Half::idle("swaps-dry-meanwhile");
    let file = half.file("first.wasm", &variant(&plugin("ohlcv"), "first"));
    let other = half.file("second.wasm", &variant(&plugin("ticker_json"), "second"));
    let (_, dry) = during_probation(&mut half, &file, |job| swap(job, "parse", &other, &["--dry-run"]));
    assert!(dry.status.success() && dry.stdout.contains("nothing was changed"), "{}", dry.told());
}

#[test]
fn connections_that_say_nothing_are_borne_up_to_a_number() {
    let half = Half::idle("swaps-connections");
    let file = half.file("new.wasm", &variant(&plugin("ohlcv"), "new"));
    let folder = File::open(half.job.path("checkpoint/daily")).expect("it is there");
    let socket = format!("/proc/self/fd/{}/control.sock", folder.as_raw_fd());
    let silent: Vec<_> = (0..8).map(|_| UnixStream::connect(&socket).expect("it listens")).collect();
    let refused = swap(&half.job, AGGREGATE, &file, &[]);
    assert_eq!(refused.status.code(), Some(1), "{}", refused.told());
    assert!(refused.stderr.contains("hears 8 connections already"), "{}", refused.told());
    drop(silent);
    let mut swapped = swap(&half.job, AGGREGATE, &file, &[]);
    while swapped.stderr.contains("connections already") {
        swapped = swap(&half.job, AGGREGATE, &file, &[]);
    }
    assert!(swapped.status.success(), "{}", swapped.told());
}
