//! More than a job has room for: keys without end, messages of many megabytes, a burst before a slow plugin, a slow
//! disk. Memory stays within what is configured, what does not fit is refused by name, and no record is lost.

use speed_layer_tests::host::Running;
use speed_layer_tests::job::{DAILY, Job};
use speed_layer_tests::kafka;
use speed_layer_tests::reference::{closed, ohlcv, watermark_ms};
use speed_layer_tests::strace::{self, Mishap};
use speed_layer_tests::table::assert_equal;
use speed_layer_tests::ticks::{Plan, Spread};
use speed_layer_tests::topics::Record;

use super::{DAY_MS, HOUR_MS, LIMIT};

/// 2025-11-20, noon.
const NOON_MS: i64 = 1_763_640_000_000;

/// What the program takes beside the open groups, MiB: itself, its plugins, batches, Kafka's queues.
const BESIDE_MB: u64 = 250;

fn job(topic: &str, limits: &str) -> Job {
    Job::new(kafka::shared(), topic).pipeline(&format!("{DAILY}[limits]\n{limits}\n"))
}

fn record(partition: i32, symbol: &str, padding: usize) -> Record {
    let padding = "x".repeat(padding);
    let value =
        format!(r#"{{"symbol":"{symbol}","event_time":{NOON_MS},"price":2.0,"padding":"{padding}"}}"#);
    Record { partition, key: None, value: Some(value.into_bytes()), timestamp_ms: None }
}

/// Runs to the end, and how much memory it held at its last commit, MiB.
fn watched(mut running: Running) -> (speed_layer_tests::host::Finished, u64) {
    let mut peak_mb = 0;
    while running.wait_for("committed", LIMIT).is_ok() {
        peak_mb = running.peak_rss_mb().unwrap_or(peak_mb);
    }
    (running.finish(LIMIT).expect("it ends"), peak_mb)
}

#[test]
fn a_million_keys_stop_a_job_with_little_memory_by_name_and_one_with_more_goes_on() {
    const KEYS: usize = 1_000_000;
    let (broker, topic) = (kafka::shared(), "pressure-keys");
    broker.create_topic(topic, 2, &[]).expect("a new name");
    let records = (0..KEYS).map(|number| record(number as i32 % 2, &format!("K{number}"), 0));
    broker.produce(topic, "lz4", records).expect("all acknowledged");
    let little_mb = 256;
    let job = job(topic, &format!("memory_max = {}", little_mb << 20));
    let (refused, peak_mb) = watched(job.start().expect("it starts"));
    assert_eq!(refused.status.code(), Some(1), "{}", refused.told());
    for text in ["open groups need", "`memory_max`", "what was read before is committed"] {
        assert!(refused.stderr.contains(text), "`{text}`: {}", refused.told());
    }
    assert!(peak_mb < little_mb + BESIDE_MB, "{peak_mb} MiB");
    let committed = job.checkpoint();
    let groups =
        |shown: &serde_json::Value| shown["aggregates"][0]["open_groups"].as_u64().expect("a number");
    assert!((50_000..KEYS as u64).contains(&groups(&committed)), "{}", groups(&committed));
    let again = job.run().expect("it ends");
    assert_eq!(again.status.code(), Some(1), "{}", again.told());
    assert!(again.stderr.contains("nothing was read"), "{}", again.told());
    let enough_mb = 2_048;
    let pipeline = job.path("pipeline.toml");
    let text = std::fs::read_to_string(&pipeline).expect("it is there");
    let more = text.replace(&(little_mb << 20).to_string(), &(enough_mb << 20).to_string());
    std::fs::write(&pipeline, more).expect("it can be written");
    let summary = job.summary();
    let shown = job.checkpoint();
    let read: i64 = (0..2).map(|at| shown["partitions"][at]["next_offset"].as_i64().expect("a number")).sum();
    assert_eq!((groups(&shown), read), (KEYS as u64, KEYS as i64));
    let enough_peak_mb = summary["peak_rss_mb"].as_u64().expect("a number");
    assert!(enough_peak_mb < enough_mb + BESIDE_MB, "{enough_peak_mb} MiB");
    println!("{} groups: {peak_mb} MiB; {KEYS} groups: {enough_peak_mb} MiB", groups(&committed));
}

#[test]
fn messages_of_twenty_megabytes_pass_or_are_dead_letters_where_the_plugin_has_no_room() {
    let (broker, topic) = (kafka::shared(), "pressure-sizes");
    broker.create_topic(topic, 1, &[("max.message.bytes", "50000000")]).expect("a new name");
    let sizes = [0, 20_000_000, 0, 20_000_000, 20_000_000, 0];
    broker.produce(topic, "none", sizes.map(|bytes| record(0, "A", bytes))).expect("all acknowledged");
    for (limits, dead) in [("", 0), ("memory_bytes_max = 16777216", 3)] {
        let job = job(topic, limits);
        let summary = job.summary();
        assert_eq!(summary["records_dead_lettered"], dead, "{summary}");
        assert_eq!(summary["rows_aggregated"], sizes.len() - dead, "{summary}");
        let letters = job.dead_letters();
        let places: Vec<_> = letters.iter().map(|letter| (letter.offset, letter.kind.as_str())).collect();
        let expected = [1, 3, 4].map(|offset| (offset, "plugin-over-limit"));
        assert_eq!(places, expected[..dead]);
        assert!(
            letters.iter().all(|letter| letter.value.as_ref().is_some_and(|value| value.len() > 20_000_000))
        );
        let peak_mb = summary["peak_rss_mb"].as_u64().expect("a number");
        assert!(peak_mb < 500, "{limits}: {peak_mb} MiB");
    }
}

#[test]
fn a_message_larger_than_may_be_received_is_named_with_its_topic_and_what_to_raise() {
    let (broker, topic) = (kafka::shared(), "pressure-too-large");
    broker.create_topic(topic, 1, &[("max.message.bytes", "50000000")]).expect("a new name");
    let sizes = [0, 0, 5_000_000, 0];
    for bytes in sizes {
        broker.produce(topic, "none", [record(0, "A", bytes)]).expect("acknowledged");
    }
    let small = ["receive.message.max.bytes=2000000", "fetch.max.bytes=1000000"];
    let job = small.iter().fold(Job::new(broker, topic), |job, property| job.and("--kafka", property));
    let refused = job.run().expect("it ends");
    assert_eq!(refused.status.code(), Some(1), "{}", refused.told());
    for said in [topic, "larger than this client takes", "5000", "raise receive.message.max.bytes"] {
        assert!(refused.stderr.contains(said), "no {said:?} in {}", refused.told());
    }
    let large = job.and("--kafka", "receive.message.max.bytes=20000000");
    assert_eq!(large.summary()["rows_aggregated"], sizes.len());
}

/// States of 64 KiB and a plugin that turns each of them over cost a hundred times what a price does.
#[test]
fn a_burst_before_a_slow_plugin_waits_in_kafka() {
    let (broker, topic) = (kafka::shared(), "pressure-burst");
    let plan = Plan { rows: 220_000, symbols: 50, days: 4, ..Plan::default() };
    let records = plan.records(2, Spread::InTurn);
    let (steady, burst) = records.split_at(20_000);
    broker.topic_of(topic, 2, steady);
    let slow = DAILY.replace(
        "{plugins}/ohlcv.wasm\"",
        "{plugins}/../test-plugins/sketch.wasm\"\nconfig = { registers = 65536 }",
    );
    let job = Job::new(broker, topic).pipeline(&format!("{slow}[limits]\nmemory_max = 134217728\n"));
    let job = job.set("--trigger", "200ms");
    let mut running = job.start().expect("it starts");
    running.wait_for("committed", LIMIT).expect("it takes in what is there");
    broker.append(topic, burst);
    running.wait_for(&format!("total={}", records.len()), LIMIT).expect("it takes in all");
    running.signal("INT").expect("it runs");
    let summary = running.finish(LIMIT).and_then(|run| run.summary()).expect("it ends well");
    assert_eq!(summary["rows_aggregated"], records.len(), "{summary}");
    let peak_mb = summary["peak_rss_mb"].as_u64().expect("a number");
    assert!(peak_mb < 128 + BESIDE_MB, "{peak_mb} MiB");
}

/// Each sync takes a fifth of a second, and Kafka's client would leave a group after half of one: nobody is in one.
#[test]
fn a_slow_disk_slows_a_job_down_and_loses_nothing() {
    let (broker, topic) = (kafka::shared(), "pressure-disk");
    let records = Plan { rows: 200_000, ..Plan::default() }.records(2, Spread::InTurn);
    broker.topic_of(topic, 2, &records);
    let job = Job::new(broker, topic)
        .set("--max-records-per-trigger", 50_000)
        .set("--kafka", "max.poll.interval.ms=500")
        .and("--kafka", "session.timeout.ms=500");
    let slow = Mishap::Slow { calls: "fsync,fdatasync,syncfs", delay_ms: 200 };
    let traced = strace::around(&job.command().expect("it is built"), &job.path("trace"), &slow);
    let running = Running::start(&mut traced.expect("strace works")).expect("it starts");
    let summary = running.finish(LIMIT).and_then(|run| run.summary()).expect("it ends well");
    assert_eq!(summary["records_in"], records.len(), "{summary}");
    assert!(summary["peak_rss_mb"].as_u64() < Some(BESIDE_MB), "{summary}");
    assert_equal(
        &closed(ohlcv(&records, DAY_MS, "daily"), DAY_MS, watermark_ms(&records, HOUR_MS)),
        &job.table(),
    );
}
