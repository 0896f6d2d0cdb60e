//! `host dead-letters replay`: records that were refused go into the topic again, each once, however often
//! and however rudely a replay is ended.

use std::collections::BTreeMap;

use speed_layer_tests::host::Running;
use speed_layer_tests::job::Job;
use speed_layer_tests::reference::{closed, ohlcv, watermark_ms};
use speed_layer_tests::table::assert_equal;
use speed_layer_tests::ticks::{Placed, Plan, Spread};
use speed_layer_tests::topics::{Record, read_all};
use speed_layer_tests::{kafka, places};

use super::letters_shown::{dead_letters, told};
use super::swaps::{done, swap};
use super::{DAY_MS, HOUR_MS, LIMIT};

/// Records that cannot be parsed, all different, as `count` of each partition.
fn broken(partitions: i32, count: usize) -> Vec<Record> {
    let record = |number: usize| Record {
        partition: number as i32 % partitions,
        key: Some(format!("key {number}").into_bytes()),
        value: Some(format!("{{broken {number}").into_bytes()),
        timestamp_ms: Some(1_763_640_000_000 + number as i64),
    };
    (0..count * partitions as usize).map(record).collect()
}

/// A job over a new topic that has dead-lettered these records.
fn job_of(topic: &str, partitions: i32, config: &[(&str, &str)], records: Vec<Record>) -> Job {
    let (broker, count) = (kafka::shared(), records.len());
    broker.create_topic(topic, partitions, config).expect("a new name");
    broker.produce(topic, "gzip", records).expect("all acknowledged");
    let job = Job::new(broker, topic).set("--name", topic);
    assert_eq!(job.summary()["records_dead_lettered"], count);
    job
}

/// How often each value lies in each partition of a topic.
fn times(topic: &str, partitions: i32) -> BTreeMap<(i32, Option<Vec<u8>>), usize> {
    let mut times = BTreeMap::new();
    for (partition, _, value) in read_all(kafka::shared(), topic, partitions).expect("it can be read") {
        *times.entry((partition, value)).or_default() += 1;
    }
    times
}

fn assert_each(topic: &str, partitions: i32, records: usize, expected: usize) {
    let times = times(topic, partitions);
    assert_eq!(times.len(), records);
    let wrong: Vec<_> = times.iter().filter(|(_, times)| **times != expected).take(3).collect();
    assert!(wrong.is_empty(), "not {expected} times: {wrong:?}");
}

/// Ticks of which some have a field that `ticker_json_quantity` refuses, and `ticker_json` does not know.
fn half_refused() -> (Vec<Placed>, usize) {
    let mut records = Plan { rows: 3_000, days: 6, ..Plan::default() }.records(2, Spread::InTurn);
    let mut refused = 0;
    for record in records.iter_mut().skip(2_800).step_by(3) {
        let value = String::from_utf8(record.value.clone()).expect("JSON");
        record.value = value.replacen('{', "{\"last_quantity\":\"many\",", 1).into_bytes();
        refused += 1;
    }
    (records, refused)
}

#[test]
fn after_a_swap_to_a_parser_that_takes_them_refused_records_are_counted_once() {
    let (broker, topic) = (kafka::shared(), "replay-swapped");
    let (mut records, refused) = half_refused();
    broker.topic_of(topic, 2, &records);
    let job = Job::new(broker, topic).set("--name", topic).set("--trigger", "100ms");
    let job = job.set("--parse", places::plugin("ticker_json_quantity").display());
    let mut running = job.start().expect("it starts");
    running.wait_for("total=3000", LIMIT).expect("it reads all");
    assert_eq!(told(&job, "count --kind wrong-type --stage parse")["letters"], refused);
    let swapped = swap(&job, "parse", &places::plugin("ticker_json"), &["--format", "json"]);
    assert_eq!(done(&swapped)["outcome"], "swapped");
    let dry = told(&job, "replay --dry-run");
    assert_eq!((&dry["chosen"], &dry["replayed"]), (&refused.into(), &0.into()), "{dry}");
    let report = told(&job, "replay");
    assert_eq!((&report["replayed"], &report["letters"]), (&refused.into(), &refused.into()), "{report}");
    running.wait_for(&format!("total={}", 3_000 + refused), LIMIT).expect("it reads them again");
    let again = told(&job, "replay");
    assert_eq!((&again["replayed"], &again["already_replayed"]), (&0.into(), &refused.into()), "{again}");
    running.signal("TERM").expect("it runs");
    running.finish(LIMIT).and_then(|run| run.summary()).expect("it ends well");
    let mut last = Plan { rows: 2, days: 1, start_ms: 1_763_640_000_000, ..Plan::default() };
    last.seed += 1;
    let last = last.records(2, Spread::InTurn);
    broker.append(topic, &last);
    records.extend(last);
    let rest = job.set("--trigger", "available-now");
    assert_eq!(rest.summary()["rows_late"], 0);
    let expected = closed(ohlcv(&records, DAY_MS, "daily"), DAY_MS, watermark_ms(&records, HOUR_MS));
    assert_equal(&expected, &rest.table());
}

#[test]
fn a_replay_that_is_killed_is_gone_on_with_and_each_record_is_there_once() {
    let job = job_of("replay-killed", 3, &[], broken(3, 800));
    let words = ["dead-letters", "replay", "--per-transaction", "5"];
    let mut replaying = Running::start(&mut job.command_of(&words).expect("it is built")).expect("it starts");
    replaying.wait_for("replayed", LIMIT).expect("it begins");
    replaying.signal("KILL").expect("it is in its midst");
    assert!(!replaying.finish(LIMIT).expect("it is killed").status.success());
    let report = told(&job, "replay");
    let number = |name: &str| report[name].as_u64().expect("a number");
    assert_eq!(number("replayed") + number("already_replayed"), 2_400, "{report}");
    assert!(number("already_replayed") >= 5 && number("replayed") > 0, "{report}");
    assert_each("replay-killed", 3, 2_400, 2);
    assert_eq!(told(&job, "replay")["replayed"], 0);
}

#[test]
fn what_is_asked_for_is_replayed_with_its_key_and_time_and_nothing_else() {
    let mut records = broken(2, 10);
    records.push(Record { partition: 0, key: None, value: None, timestamp_ms: None });
    let job = job_of("replay-asked", 2, &[], records);
    for (words, replayed, left_out) in [
        ("--partition 1 --offset 2..5", 3, 0),
        ("--offset 4", 1, 0),
        ("--limit 4", 4, 0),
        ("--kind tombstone", 0, 1),
        ("", 20 - 3 - 1 - 4, 1),
        ("--whole-records", 0, 1),
    ] {
        let report = told(&job, &format!("replay {words}"));
        assert_eq!(report["replayed"], replayed, "{words}: {report}");
        let out: u64 = report["left_out"].as_array().expect("a list").iter().map(number_of_letters).sum();
        assert_eq!(out, left_out, "{words}: {report}");
    }
    let mut times = times("replay-asked", 2);
    assert_eq!(times.remove(&(0, None)), Some(1), "a tombstone is no record to try again");
    assert!(times.len() == 20 && times.values().all(|times| *times == 2), "{times:?}");
    let before = job.dead_letters_of("replay-asked");
    assert_eq!(job.summary()["records_dead_lettered"], 20);
    let mut after = job.dead_letters_of("replay-asked");
    after.retain(|letter| !before.contains(letter));
    assert_eq!(after.len(), 20);
    for letter in &after {
        let origin = before.iter().find(|of| of.value == letter.value && of.partition == letter.partition);
        assert_eq!(origin.map(|of| &of.key), Some(&letter.key), "{letter:?}");
    }
    let table = dead_letters(&job, "replay --dry-run");
    assert!(table.stdout.contains("20 records would be replayed"), "{}", table.told());
    assert!(table.stdout.contains("replay-asked/0/10"), "the tombstone is named: {}", table.told());
}

fn number_of_letters(left_out: &serde_json::Value) -> u64 {
    left_out["letters"].as_u64().expect("a number")
}

#[test]
fn a_row_of_a_later_stage_is_replayed_only_as_a_whole_record() {
    let mut record = Plan { rows: 1, ..Plan::default() }.records(1, Spread::InTurn).remove(0);
    let tick = record.tick.as_mut().expect("a good one");
    tick.event_time_ms = 1;
    record.value = tick.to_json().into_bytes();
    let job = job_of("replay-whole", 1, &[], vec![record.to_record()]);
    let report = told(&job, "replay");
    assert_eq!((&report["replayed"], &report["left_out"][0]["reason"]), (&0.into(), &"later-stage".into()));
    assert_eq!(told(&job, "replay --whole-records")["replayed"], 1);
    assert_eq!(told(&job, "replay --whole-records")["already_replayed"], 1);
}

#[test]
fn a_topic_with_the_brokers_own_timestamps_takes_a_replay_as_well() {
    let config = [("message.timestamp.type", "LogAppendTime")];
    let job = job_of("replay-append-time", 2, &config, broken(2, 5));
    assert_eq!(told(&job, "replay")["replayed"], 10);
    assert_each("replay-append-time", 2, 10, 2);
}

#[test]
fn a_ledger_that_cannot_be_one_is_refused_before_anything_is_written() {
    let job = job_of("replay-ledger", 1, &[], broken(1, 3));
    kafka::shared().create_topic("replay-ledger.replays", 2, &[]).expect("a new name");
    let refused = dead_letters(&job, "replay");
    assert_eq!(refused.status.code(), Some(1), "{}", refused.told());
    assert!(refused.stderr.contains("replay-ledger.replays has 2 partitions"), "{}", refused.told());
    assert_each("replay-ledger", 1, 3, 1);
}
