//! The progress of a job as whoever watches it sees it: a line of JSON a commit, and a line on a terminal.

use std::process::Command;

use serde_json::Value;
use speed_layer_tests::job::Job;
use speed_layer_tests::kafka;
use speed_layer_tests::reference::watermark_ms;
use speed_layer_tests::ticks::{Placed, Plan, Spread};

use super::HOUR_MS;

fn records() -> Vec<Placed> {
    Plan { rows: 20_000, jitter_ms: HOUR_MS / 2, ..Plan::default() }.records(2, Spread::InTurn)
}

fn sum(records: &[Value], pointer: &str) -> u64 {
    records.iter().map(|of| of.pointer(pointer).and_then(Value::as_u64).expect(pointer)).sum()
}

fn offset(record: &Value, which: &str, topic: &str, partition: &str) -> u64 {
    record["sources"][0][which][topic][partition].as_u64().expect("an offset")
}

#[test]
fn each_commit_is_a_line_of_json_and_the_lines_add_up_to_the_summary() {
    let (topic, records) = ("progress-json", records());
    kafka::shared().topic_of(topic, 2, &records);
    let job =
        Job::new(kafka::shared(), topic).set("--max-records-per-trigger", 3_000).set("--progress", "json");
    let finished = job.run().expect("it ends");
    let summary = finished.summary().expect("it ends well");
    let lines: Vec<Value> =
        finished.stdout.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let (last, commits) = lines.split_last().expect("the summary at least");
    assert_eq!(*last, summary);
    assert_eq!(commits.len() as u64, summary["commits"].as_u64().expect("a number"));
    assert!(commits.len() > 5, "{} commits", commits.len());
    for (field, total) in [
        ("/numInputRows", "records_in"),
        ("/sink/numOutputRows", "windows_out"),
        ("/stateOperators/0/numRowsUpdated", "rows_aggregated"),
        ("/stateOperators/0/numRowsDroppedByWatermark", "rows_late"),
    ] {
        assert_eq!(sum(commits, field), summary[total].as_u64().expect("a number"), "{field}");
    }
    for partition in ["0", "1"] {
        let mut next = 0;
        for commit in commits {
            assert_eq!(offset(commit, "startOffset", topic, partition), next, "{commit}");
            next = offset(commit, "endOffset", topic, partition);
            assert_eq!(
                offset(commit, "latestOffset", topic, partition),
                records.len() as u64 / 2,
                "{commit}"
            );
        }
        assert_eq!(next, records.len() as u64 / 2);
    }
    let end = commits.last().expect("some");
    assert_eq!(end["sources"][0]["metrics"]["maxOffsetsBehindLatest"], "0");
    let told = end["eventTime"]["watermark"].as_str().expect("a time");
    let told = chrono::DateTime::parse_from_rfc3339(told).expect("RFC 3339").timestamp_millis();
    assert_eq!(Some(told), watermark_ms(&records, HOUR_MS));
}

#[test]
fn a_terminal_has_a_status_line_that_the_logs_stay_above_and_that_is_gone_in_the_end() {
    let topic = "progress-line";
    kafka::shared().topic_of(topic, 2, &records());
    let job = Job::new(kafka::shared(), topic).set("--max-records-per-trigger", 200);
    let host = job.command().expect("a program");
    let words: Vec<_> = [host.get_program()].into_iter().chain(host.get_args()).collect();
    let words = words.iter().map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ");
    // `script` is a terminal for the program, and writes on what the program writes.
    let mut script = Command::new("script");
    script.args([
        "--quiet",
        "--return",
        "--flush",
        "--command",
        &format!("stty rows 50 cols 200; timeout 120 {words}"),
        "/dev/null",
    ]);
    let output = script.env("TERM", "xterm").output().expect("script(1) starts");
    let seen = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{seen}");
    for said in [" rows  ", "/s  lag ", "watermark 20", " groups open", " % ", "committed"] {
        assert!(seen.contains(said), "no {said:?} in {seen:?}");
    }
    let (_, end) = seen.rsplit_once("{\"job\"").expect("a summary");
    assert!(end.contains("\"records_in\":20000") && !end.contains(" rows  "), "{end:?}");
}
