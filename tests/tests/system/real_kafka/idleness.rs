//! What time means for partitions that are quiet, hung or behind: who holds the windows open, who does not, and
//! who waits for whom.

use std::thread;
use std::time::Duration;

use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use serde_json::Value;
use speed_layer_tests::host::Running;
use speed_layer_tests::job::Job;
use speed_layer_tests::kafka;
use speed_layer_tests::ticks::{Placed, Plan, Spread};
use speed_layer_tests::topics::Record;

use super::{DAY_MS, LIMIT};

const PIPELINE: &str = r#"
name = "daily"
checkpoint = "{folder}/checkpoint"
trigger = "100ms"
[source.kafka]
brokers = "{brokers}"
topic = "{topic}"
[time]
idle_timeout = "1s"
close_on_idle = true
[parse]
plugin = "{plugins}/ticker_json.wasm"
[[aggregate]]
name = "daily"
plugin = "{plugins}/ohlcv.wasm"
window = "1s"
watermark = "500ms"
sink = [{ type = "parquet", path = "{folder}/output/daily" }]
"#;

fn now_ms() -> i64 {
    chrono::Utc::now().timestamp_millis()
}

fn tick(event_time_ms: i64) -> Vec<u8> {
    format!(r#"{{"symbol":"A","event_time":{event_time_ms},"price":2.0}}"#).into_bytes()
}

fn write(topic: &str, ticks: &[(i32, i64)]) {
    let record = |&(partition, event_ms): &(i32, i64)| Record {
        partition,
        key: None,
        value: Some(tick(event_ms)),
        timestamp_ms: None,
    };
    kafka::shared().produce(topic, "none", ticks.iter().map(record)).expect("all acknowledged");
}

fn ended(running: Running) -> Value {
    running.signal("INT").expect("it runs");
    running.finish(LIMIT).and_then(|run| run.summary()).expect("it ends well")
}

/// The number behind `name=` in a line of the log.
fn number(line: &str, name: &str) -> u64 {
    let value = line.split_whitespace().find_map(|word| word.strip_prefix(name)?.strip_prefix('='));
    value.and_then(|value| value.parse().ok()).unwrap_or_else(|| panic!("no {name} in {line}"))
}

/// Of three partitions one never gets a record.
#[test]
fn the_last_windows_close_while_nothing_comes_and_stay_closed_after_a_restart() {
    let (topic, then_ms) = ("idle-closes", now_ms() - 60_000);
    kafka::shared().create_topic(topic, 3, &[]).expect("a new name");
    write(topic, &[(0, then_ms), (1, then_ms + 5_000)]);
    let job = Job::new(kafka::shared(), topic).pipeline(PIPELINE).without("--trigger");
    let mut running = job.start().expect("it starts");
    running.wait_for("windows=2", LIMIT).expect("all are idle: the windows close without a newer row");
    write(topic, &[(0, then_ms + 2_000), (0, now_ms())]);
    running.wait_for("windows=1", LIMIT).expect("so does the next one, of now");
    let summary = ended(running);
    let rows = ["rows_aggregated", "rows_late", "windows_out"].map(|term| summary[term].as_u64());
    assert_eq!(rows, [3, 1, 3].map(Some), "{summary}");
    let of = &job.checkpoint()["aggregates"][0];
    let at = |name: &str| of[name].as_i64().unwrap_or_else(|| panic!("{name}: {of}"));
    assert_eq!(
        at("idle_trigger_ms") - at("closed_through_ms"),
        1_500,
        "timeout and delay before the trigger"
    );
    write(topic, &[(1, then_ms + 30_000)]);
    let mut running = job.start().expect("it starts");
    running.wait_for("records=1", LIMIT).expect("it takes it in");
    assert_eq!(ended(running)["rows_late"], 1, "its window had no row, and was closed all the same");
}

/// The first partition goes on, and the second has a transaction open behind which nobody sees.
#[test]
fn a_hung_transaction_is_not_idleness() {
    let (topic, then_ms) = ("idle-hung", now_ms() - 3_600_000);
    kafka::shared().create_topic(topic, 2, &[]).expect("a new name");
    write(topic, &[(0, then_ms), (1, then_ms)]);
    let mut config = kafka::shared().client();
    let producer: BaseProducer = config.set("transactional.id", topic).create().expect("a producer");
    producer.init_transactions(LIMIT).expect("the broker takes transactions");
    producer.begin_transaction().expect("none is open");
    let hung = tick(then_ms + 1);
    let message = BaseRecord::<[u8], [u8]>::to(topic).partition(1).payload(&hung);
    producer.send(message).map_err(|(why, _)| why).expect("room for it");
    producer.flush(LIMIT).expect("acknowledged");
    let job = Job::new(kafka::shared(), topic).pipeline(PIPELINE).without("--trigger");
    let mut running = job.start().expect("it starts");
    running.wait_for("records=2", LIMIT).expect("what is committed is taken in");
    // Three times the timeout, each with a record to tell that time has passed.
    for _ in 0..15 {
        thread::sleep(Duration::from_millis(200));
        write(topic, &[(0, then_ms)]);
        let line = running.wait_for("committed", LIMIT).expect("it takes it in");
        assert_eq!(number(&line, "windows"), 0, "{line}");
    }
    producer.commit_transaction(LIMIT).expect("it is open");
    running.wait_for("windows=1", LIMIT).expect("all are idle now");
    let summary = ended(running);
    assert_eq!((&summary["rows_aggregated"], &summary["rows_late"]), (&18.into(), &0.into()), "{summary}");
}

/// As from cron: each run takes what is there and ends.
#[test]
fn a_bounded_run_leaves_out_a_partition_that_has_been_quiet_for_the_timeout() {
    let (topic, day_ms) = ("idle-cron", 1_763_640_000_000);
    kafka::shared().create_topic(topic, 2, &[]).expect("a new name");
    write(topic, &[(0, day_ms), (1, day_ms)]);
    let bounded = PIPELINE.replace("100ms", "available-now").replace("close_on_idle = true", "");
    let job = Job::new(kafka::shared(), topic).pipeline(&bounded).without("--trigger");
    assert_eq!(job.summary()["windows_out"], 0);
    thread::sleep(Duration::from_millis(1_100));
    let pipeline = job.path("pipeline.toml");
    let written = std::fs::read_to_string(&pipeline).expect("it is there");
    let change = |text: &str| std::fs::write(&pipeline, text).expect("it can be written");
    write(topic, &[(0, day_ms + DAY_MS)]);
    change(&written.replace("idle_timeout = \"1s\"", "idle_timeout = \"1h\""));
    assert_eq!(job.summary()["windows_out"], 0, "for an hour the quiet partition counts");
    thread::sleep(Duration::from_millis(1_100));
    change(&written);
    write(topic, &[(0, day_ms + 2 * DAY_MS)]);
    assert_eq!(job.summary()["windows_out"], 2, "it is left out");
    thread::sleep(Duration::from_millis(1_100));
    assert_eq!(job.summary()["windows_out"], 0, "all are quiet: the clock stays");
    change(&written.replace("[time]", "[time]\nclose_on_idle = true"));
    assert_eq!(job.summary()["windows_out"], 1, "unless it is to go on by the wall");
}

/// Ticks of thirty days in each of two partitions, four times as many in the second.
fn uneven() -> Vec<Placed> {
    let of = |rows: usize, partition: i32| {
        Plan { rows, ..Plan::default() }.records(2, Spread::Only(partition)).into_iter()
    };
    of(100_000, 0).chain(of(400_000, 1)).collect()
}

/// The greatest drift of any commit but the last, in days.
fn drift_days(topic: &str, setting: &str) -> u64 {
    let text = PIPELINE.replace("100ms", "available-now").replace("close_on_idle = true", setting);
    let text =
        text.replace("[source", "max_records_per_trigger = 20000\n[source").replace("\"1s\"", "\"30s\"");
    let job = Job::new(kafka::shared(), topic).pipeline(&text).without("--trigger");
    let finished = job.run().expect("it ends");
    let summary = finished.summary().expect("it ends well");
    assert_eq!(
        (&summary["rows_aggregated"], &summary["rows_late"]),
        (&500_000.into(), &0.into()),
        "{summary}"
    );
    let commits = finished.stderr.lines().filter(|line| line.contains("committed"));
    commits.map(|line| number(line, "drift_ms")).max().expect("commits") / DAY_MS as u64
}

#[test]
fn a_partition_that_is_ahead_waits_for_the_slowest_where_that_is_asked_for() {
    kafka::shared().topic_of("drifts", 2, &uneven());
    let (free, bound) = (drift_days("drifts", ""), drift_days("drifts", "max_drift = \"1d\""));
    // A batch of the first partition is more than two days.
    assert!(bound <= 7 && free >= 14, "{free} days apart without a limit, {bound} with one of a day");
}
