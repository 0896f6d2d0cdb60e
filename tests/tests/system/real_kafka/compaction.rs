//! `host compact` over the outputs of real jobs: while they commit, over thousands of files with few descriptors,
//! and killed or out of room at each step that matters.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use speed_layer_tests::host::{self, Finished, Running};
use speed_layer_tests::job::Job;
use speed_layer_tests::kafka;
use speed_layer_tests::parquet_table::files;
use speed_layer_tests::strace::{self, Mishap};
use speed_layer_tests::table::assert_equal;
use speed_layer_tests::ticks::{Plan, Spread};

use super::{HOUR_MS, LIMIT};

/// A job of that topic that has committed often, so that its output has many files.
fn committed(topic: &str, rows: usize, window: &str, often: u64) -> Job {
    let broker = kafka::shared();
    let plan = Plan { rows, jitter_ms: HOUR_MS / 2, ..Plan::default() };
    broker.topic_of(topic, 1, &plan.records(1, Spread::InTurn));
    let job = Job::new(broker, topic).set("--max-records-per-trigger", often).set("--window", window);
    job.summary();
    job
}

fn compact(job: &Job, limit_files: Option<u64>) -> Finished {
    let host = host::command().expect("it is built");
    let mut command = Command::new("sh");
    let limit = limit_files.map_or_else(String::new, |files| format!("ulimit -n {files}; "));
    command.args(["-c", &format!("{limit}exec \"$@\""), "sh"]).arg(host.get_program());
    command.args(words(job));
    Running::start(&mut command).and_then(|running| running.finish(LIMIT)).expect("it ends")
}

fn words(job: &Job) -> Vec<String> {
    let (from, into) = (job.path("output/daily"), job.path("joined"));
    let words = ["compact", &from.display().to_string(), "--into", &into.display().to_string()];
    words.into_iter().chain(["--format", "json"]).map(str::to_owned).collect()
}

fn report(finished: &Finished) -> Value {
    assert!(finished.status.success(), "{}", finished.told());
    serde_json::from_str(&finished.stdout).expect("one JSON value")
}

fn contents(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let found = files(folder).expect("only Parquet is there");
    found.into_iter().map(|path| (path.clone(), fs::read(&path).expect("it can be read"))).collect()
}

#[test]
fn thousands_of_files_are_joined_with_few_descriptors_and_hold_the_same_rows() {
    let job = committed("compact-many", 40_000, "1h", 400);
    let told = report(&compact(&job, Some(256)));
    assert!(told["from"]["files"].as_u64() > Some(1_000), "{told}");
    assert_eq!((&told["into"]["files"], &told["partitions_joined"]), (&20.into(), &20.into()), "{told}");
    assert_eq!(told["from"]["rows"], told["into"]["rows"]);
    assert!(told["into"]["bytes"].as_u64() < told["from"]["bytes"].as_u64(), "{told}");
    assert_equal(&job.table(), &job.table_of("joined", "symbol"));
    let before = contents(&job.path("joined"));
    let again = report(&compact(&job, Some(64)));
    assert_eq!((&again["partitions_joined"], &again["partitions_kept"]), (&0.into(), &20.into()), "{again}");
    assert_eq!(contents(&job.path("joined")), before);
}

#[test]
fn an_output_is_copied_while_its_job_commits_and_a_later_copy_has_the_rest() {
    let broker = kafka::shared();
    let records = Plan { rows: 30_000, ..Plan::default() }.records(1, Spread::InTurn);
    broker.topic_of("compact-live", 1, &records[..15_000]);
    let job = Job::new(broker, "compact-live").set("--trigger", "50ms").set("--max-records-per-trigger", 500);
    let mut running = job.start().expect("it starts");
    running.wait_for("total=15000", LIMIT).expect("it takes in what is there");
    broker.append("compact-live", &records[15_000..]);
    let mut copies = 0;
    while running.wait_for("total=", LIMIT).is_ok_and(|line| !line.contains("total=30000")) {
        let told = report(&compact(&job, None));
        assert_eq!(told["from"]["rows"], told["into"]["rows"], "{told}");
        copies += 1;
    }
    assert!(copies > 2, "{copies} copies while it committed");
    running.signal("INT").expect("it runs");
    running.finish(LIMIT).and_then(|run| run.summary()).expect("it ends well");
    let last = report(&compact(&job, None));
    assert_eq!(last["into"]["rows"], last["from"]["rows"]);
    assert_equal(&job.table(), &job.table_of("joined", "symbol"));
}

/// Has a copy meet a mishap where there was one before; that one is whole, and the next call makes the new one.
fn check(job: &Job, mishap: &Mishap, told: Option<&str>) {
    let before = contents(&job.path("joined"));
    let mut host = host::command().expect("it is built");
    host.args(words(job)).args(["--file-bytes", "9999"]);
    let traced = strace::around(&host, &job.path("trace"), mishap);
    let finished = traced.and_then(|mut traced| Running::start(&mut traced)?.finish(LIMIT)).expect("it ends");
    assert!(!finished.status.success(), "{mishap:?}: {}", finished.told());
    if let Some(told) = told {
        let folder = job.path("joined").display().to_string();
        assert!(finished.stderr.contains(told), "{mishap:?}: {}", finished.told());
        assert!(finished.stderr.contains(&folder), "{mishap:?}: {}", finished.told());
        assert!(!job.path("joined.compacting").exists(), "{mishap:?}");
    }
    assert_eq!(contents(&job.path("joined")), before, "{mishap:?}");
}

#[test]
fn a_copy_that_is_killed_or_out_of_room_leaves_the_one_before_as_it_was() {
    let job = committed("compact-killed", 6_000, "1d", 600);
    report(&compact(&job, None));
    let kill = |call, nth| Mishap::Kill { call, nth };
    for (call, nth) in [("mkdir", 3), ("rename", 7), ("write", 20), ("syncfs", 1), ("renameat2", 1)] {
        check(&job, &kill(call, nth), None);
    }
    let scratch = job.path("joined.compacting/new");
    let fail = |call: &str, errno, path| Mishap::Fail { call: call.into(), errno, path, nth: 1 };
    let folder =
        fs::read_dir(job.path("joined")).expect("a copy").next().expect("a folder").expect("its name");
    let file = scratch.join(folder.file_name()).join("unnamed");
    for (mishap, told) in [
        (fail("write", "ENOSPC", file.clone()), "No space left on device"),
        (fail("openat", "EROFS", file), "Read-only file system"),
        (fail("renameat2", "EINVAL", scratch.clone()), "RENAME_EXCHANGE"),
        (fail("syncfs", "EIO", job.path("joined.compacting/lock")), "Input/output error"),
    ] {
        check(&job, &mishap, Some(told));
    }
    let rows = report(&compact(&job, None))["into"]["rows"].clone();
    assert_eq!(rows, job.table().len());
    assert_equal(&job.table(), &job.table_of("joined", "symbol"));
}
