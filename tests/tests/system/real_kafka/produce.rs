//! `host produce`: what it writes, how fast, and how it fails.

use std::fs;
use std::time::{Duration, Instant};

use speed_layer_tests::host::{self, Finished, Running};
use speed_layer_tests::job::{Job, LIMIT, new_folder};
use speed_layer_tests::kafka;
use speed_layer_tests::topics::read_all;

use super::DAY_MS;

fn produce(topic: &str, extra: &str) -> Finished {
    let brokers = kafka::shared().address();
    let words = ["produce", "--brokers", &brokers, "--topic", topic];
    let words: Vec<&str> = words.into_iter().chain(extra.split_whitespace()).collect();
    host::run(&words, LIMIT).expect("it ends")
}

/// A topic of its own, and what was written to it, in order.
fn written(topic: &str, extra: &str) -> Vec<Vec<u8>> {
    kafka::shared().create_topic(topic, 1, &[]).expect("a new name");
    let finished = produce(topic, extra);
    assert!(finished.status.success(), "{}", finished.told());
    let records = read_all(kafka::shared(), topic, 1).expect("the broker answers");
    records.into_iter().map(|(_, _, value)| value.expect("no tombstone")).collect()
}

#[test]
fn synthetic_ticks_are_the_same_for_the_same_seed_and_spread_over_their_days() {
    let plan = "--count 600 --symbols A,B,C --days 3 --start 2026-01-01T00:00:00Z";
    let one = written("produce-one", &format!("{plan} --seed 1"));
    let same = written("produce-same", &format!("{plan} --seed 1"));
    let other = written("produce-other", &format!("{plan} --seed 2"));
    assert!(one == same, "one seed, two streams");
    assert!(one != other, "two seeds, one stream");
    let start_ms = 1_767_225_600_000;
    for (index, value) in one.iter().enumerate() {
        let tick: serde_json::Value = serde_json::from_slice(value).expect("JSON");
        assert_eq!(tick.as_object().map(serde_json::Map::len), Some(12), "{tick}");
        assert_eq!(tick["symbol"], ["A", "B", "C"][index % 3], "{tick}");
        assert_eq!(tick["event_time"], start_ms + index as i64 * 3 * DAY_MS / 600, "{tick}");
    }
}

#[test]
fn what_it_writes_the_pipeline_reads() {
    let broker = kafka::shared();
    broker.create_topic("produce-run", 2, &[]).expect("a new name");
    let finished = produce("produce-run", "--from synthetic --count 20000 --symbol-count 10 --days 5");
    assert!(finished.status.success() && finished.stdout.is_empty(), "{}", finished.told());
    let summary = Job::new(broker, "produce-run").summary();
    assert_eq!((&summary["rows_aggregated"], &summary["rows_late"]), (&20_000.into(), &0.into()));
    assert!(summary["windows_out"].as_u64() >= Some(3 * 10), "{summary}");
}

#[test]
fn a_files_lines_are_messages_whatever_they_hold() {
    let folder = new_folder().expect("a folder");
    let file = folder.path().join("lines.ndjson");
    fs::write(&file, b"{\"a\":1}\nno json\r\n\n\xff\xfe\nlast").expect("a file in it");
    let expected: [&[u8]; 4] = [b"{\"a\":1}", b"no json", b"\xff\xfe", b"last"];
    assert_eq!(written("produce-file", &format!("--from {}", file.display())), expected);
    assert_eq!(written("produce-part", &format!("--from {} --count 2", file.display())), expected[..2]);
}

#[test]
fn a_rate_is_kept() {
    let began = Instant::now();
    assert_eq!(written("produce-rate", "--count 400 --rate 200").len(), 400);
    let took = began.elapsed();
    assert!(took > Duration::from_millis(1_900) && took < Duration::from_secs(20), "{took:?}");
}

#[test]
fn at_a_signal_what_is_on_its_way_is_delivered_and_counted() {
    kafka::shared().create_topic("produce-signal", 1, &[]).expect("a new name");
    let records = || kafka::shared().end_offset("produce-signal", 0).expect("the broker answers");
    for (rate, signal) in [("--rate=20000", "INT"), ("--rate=0.01", "TERM")] {
        let (brokers, before) = (kafka::shared().address(), records());
        let words = ["produce", "--brokers", &brokers, "--topic", "produce-signal", rate];
        let running = Running::start(host::command().expect("it is built").args(words)).expect("it starts");
        let deadline = Instant::now() + LIMIT;
        while records() == before {
            assert!(Instant::now() < deadline, "nothing comes at {rate}");
        }
        running.signal(signal).expect("it runs");
        let finished = running.finish(LIMIT).expect("it ends");
        assert!(
            finished.status.success() && finished.stderr.contains("asked to stop"),
            "{}",
            finished.told()
        );
        let sent = records() - before;
        assert!(finished.stderr.contains(&format!("delivered messages={sent} ")), "{}", finished.told());
    }
}

/// The sizes on the broker's disk tell: twelve named fields, again and again, shrink to a part.
#[test]
fn batches_are_gzipped_unless_another_codec_is_named() {
    let broker = kafka::shared();
    let bytes = |topic: &str, extra: &str| {
        let count: usize = written(topic, &format!("--count 5000 {extra}")).iter().map(Vec::len).sum();
        (count as u64, broker.log_bytes(topic, 0).expect("the broker's folder"))
    };
    let (raw, gzipped) = bytes("produce-gzip", "");
    assert!(gzipped * 2 < raw, "{gzipped} of {raw}");
    let (raw, plain) = bytes("produce-plain", "--kafka compression.type=none");
    assert!(plain > raw, "{plain} of {raw}");
}

#[test]
fn what_cannot_be_produced_is_told() {
    let nowhere = ["produce", "--brokers", "127.0.0.1:1", "--topic", "t", "--count", "1"];
    let refused = host::run(&nowhere, LIMIT).expect("it ends");
    assert_eq!(refused.status.code(), Some(1), "{}", refused.told());
    assert!(refused.stderr.contains("127.0.0.1:1"), "{}", refused.told());
    let cases = [
        ("not-there", "--count 1", 1, "not-there"),
        ("any", "--from /no/such/file.ndjson", 1, "/no/such/file.ndjson"),
        ("any", "--rate 0", 2, "--rate"),
        ("any", "--days 3", 2, "--count"),
        ("any", "--count 1 --kafka acks=0", 2, "acks"),
        ("any", "--symbols A --symbol-count 3 --count 1", 2, "--symbol-count"),
    ];
    for (topic, extra, code, told) in cases {
        let refused = produce(topic, extra);
        assert_eq!(refused.status.code(), Some(code), "{extra}: {}", refused.told());
        assert!(refused.stderr.contains(told), "{extra}: {}", refused.told());
    }
}
