//! Other plugins in the aggregate's place, several aggregates over one read, other columns, other keys.

use std::fs;

use speed_layer_tests::job::Job;
use speed_layer_tests::kafka;
use speed_layer_tests::places::plugin;
use speed_layer_tests::reference::{closed, ohlcv, vwap, watermark_ms};
use speed_layer_tests::table::{Table, assert_equal};
use speed_layer_tests::ticks::{Placed, Plan, Spread};

use super::{DAY_MS, HOUR_MS};

fn plan() -> Plan {
    Plan { rows: 30_000, days: 10, jitter_ms: HOUR_MS / 2, nulls_per_million: 20_000, ..Plan::default() }
}

/// A topic of the plan's records.
fn topic(name: &str) -> Vec<Placed> {
    let records = plan().records(2, Spread::InTurn);
    kafka::shared().topic_of(name, 2, &records);
    records
}

fn expected(table: Table, window_ms: i64, records: &[Placed]) -> Table {
    closed(table, window_ms, watermark_ms(records, HOUR_MS))
}

#[test]
fn vwap_works_in_the_aggregates_place_with_no_other_change() {
    let records = topic("pipelines-vwap");
    let job = Job::new(kafka::shared(), "pipelines-vwap").set("--aggregate", plugin("vwap").display());
    let job = job.set("--max-records-per-trigger", 7_777);
    job.summary();
    assert_equal(&expected(vwap(&records, DAY_MS, "daily"), DAY_MS, &records), &job.table());
}

/// `{more}` is what a test adds.
pub const DAILY: &str = r#"
name = "crypto"
checkpoint = "{folder}/checkpoint"
trigger = "available-now"
max_records_per_trigger = 5000
[source.kafka]
brokers = "{brokers}"
topic = "{topic}"
[parse]
plugin = "{plugins}/ticker_json.wasm"
[[transform]]
plugin = "{plugins}/ticker_time.wasm"
[[aggregate]]
name = "daily"
plugin = "{plugins}/ohlcv.wasm"
sink = [{ type = "parquet", path = "{folder}/output/daily", compression = "zstd" }]
"#;

pub const HOURLY: &str = r#"
[[aggregate]]
name = "hourly"
plugin = "{plugins}/vwap.wasm"
config = { prefix = "hourly" }
key = "symbol"
window = "1h"
watermark = "2h"
sink = [{ type = "parquet", path = "{folder}/output/hourly" }]
"#;

#[test]
fn a_daily_and_an_hourly_table_come_from_one_read() {
    let records = topic("pipelines-two");
    let job = Job::new(kafka::shared(), "pipelines-two").pipeline(&format!("{DAILY}{HOURLY}"));
    let summary = job.summary();
    assert_eq!((&summary["job"], &summary["records_in"]), (&"crypto".into(), &records.len().into()));
    for name in ["daily", "hourly"] {
        assert_eq!(summary["account"]["aggregates"][name]["aggregated"], records.len(), "{summary}");
    }
    assert_equal(&expected(ohlcv(&records, DAY_MS, "daily"), DAY_MS, &records), &job.table());
    let hourly = vwap(&records, HOUR_MS, "hourly");
    let hourly = closed(hourly, HOUR_MS, watermark_ms(&records, 2 * HOUR_MS));
    assert_equal(&hourly, &job.table_of("output/hourly", "symbol"));
}

/// The job with another pipeline file over the same folder.
pub fn rewritten(job: Job, topic: &str, text: &str) -> Job {
    let text = text.replace("{brokers}", &kafka::shared().address()).replace("{topic}", topic);
    job.without("").pipeline(&text)
}

/// Two halves of the stream; the second aggregate is there for the second half only.
#[test]
fn a_new_aggregate_is_withheld_for_the_window_that_it_has_not_seen_whole() {
    let broker = kafka::shared();
    let records = plan().records(1, Spread::InTurn);
    let (first, second) = records.split_at(records.len() / 2 + 77);
    broker.topic_of("pipelines-new", 1, first);
    let job = Job::new(broker, "pipelines-new").pipeline(DAILY);
    job.summary();
    broker.append("pipelines-new", second);
    let job = rewritten(job, "pipelines-new", &format!("{DAILY}{HOURLY}"));
    let summary = job.summary();
    assert_equal(&expected(ohlcv(&records, DAY_MS, "daily"), DAY_MS, &records), &job.table());

    let seen_ms = first.iter().filter_map(|record| Some(record.tick.as_ref()?.event_time_ms)).max();
    let begin_ms = seen_ms.expect("there are ticks").div_euclid(HOUR_MS) * HOUR_MS + HOUR_MS;
    let is_before = |record: &&Placed| record.tick.as_ref().is_some_and(|tick| tick.event_time_ms < begin_ms);
    let withheld = second.iter().filter(is_before).count();
    assert!(withheld > 0, "the cut lies between two windows, which proves nothing");
    assert_eq!(summary["account"]["aggregates"]["hourly"]["withheld"], withheld, "{summary}");
    let mut hourly = vwap(&records, HOUR_MS, "hourly");
    hourly.retain(|(_, start_ms), _| *start_ms >= begin_ms);
    let hourly = closed(hourly, HOUR_MS, watermark_ms(&records, 2 * HOUR_MS));
    assert_equal(&hourly, &job.table_of("output/hourly", "symbol"));
    let side = speed_layer_tests::letters::read(&job.path("output/daily.late/crypto")).expect("readable");
    let count = side.iter().filter(|letter| letter.kind == "withheld").count();
    assert_eq!((count, side.len()), (withheld, withheld));
}

#[test]
fn a_job_without_a_transform_gives_the_same_rows() {
    let records = topic("pipelines-bare");
    let job = Job::new(kafka::shared(), "pipelines-bare").without("--transform");
    job.summary();
    assert_equal(&expected(ohlcv(&records, DAY_MS, "daily"), DAY_MS, &records), &job.table());
}

#[test]
fn settings_and_the_transforms_time_column_reach_the_plugins() {
    let records = topic("pipelines-settings");
    let job = Job::new(kafka::shared(), "pipelines-settings").set("--set", "aggregate.prefix=hourly");
    let job = job.set("--event-time", "event_timestamp").set("--window", "1h").set("--watermark", "90m");
    job.summary();
    let table = ohlcv(&records, HOUR_MS, "hourly");
    let watermark = watermark_ms(&records, HOUR_MS + HOUR_MS / 2);
    assert_equal(&closed(table, HOUR_MS, watermark), &job.table());
}

#[test]
fn several_keys_are_folders_within_folders() {
    let records = topic("pipelines-keys");
    let job = Job::new(kafka::shared(), "pipelines-keys").set("--key", "symbol").and("--key", "hour");
    let summary = job.summary();
    assert_eq!(summary["rows_aggregated"], records.len(), "{summary}");
    let hours = fs::read_dir(job.path("output/daily/symbol=BTCUSDT")).expect("a folder a symbol");
    let mut names: Vec<String> =
        hours.map(|entry| entry.expect("readable").file_name().to_string_lossy().into_owned()).collect();
    names.sort_by_key(|name| name.trim_start_matches("hour=").parse::<i64>().ok());
    assert_eq!(names, (0..24).map(|hour| format!("hour={hour}")).collect::<Vec<_>>());
}

#[test]
fn a_job_over_other_json_records_needs_no_new_plugin() {
    let broker = kafka::shared();
    broker.create_topic("pipelines-other", 1, &[]).expect("a new name");
    let base_ms = 1_763_640_000_000_i64;
    let reading = |index: i64| speed_layer_tests::topics::Record {
        partition: 0,
        key: None,
        value: Some(
            format!(r#"{{"at":{},"room":"r{}","level":{}.5}}"#, base_ms + index * 60_000, index % 3, index)
                .into_bytes(),
        ),
        timestamp_ms: None,
    };
    broker.produce("pipelines-other", "lz4", (0..600).map(reading)).expect("all acknowledged");
    let fields = r#"parse.fields=[{"name":"at","type":"s64"},{"name":"room","type":"utf8"},{"name":"price","type":"f64"},{"name":"level","type":"f64"}]"#;
    let job = Job::new(broker, "pipelines-other").without("--transform").set("--key", "room");
    let job = job.set("--set", fields).and("--set", "parse.event_time=at").set("--event-time", "at");
    let job = job.set("--aggregate", plugin("vwap").display()).and("--set", "aggregate.weight=level");
    let job = job.set("--window", "1h").set("--watermark", "0s");
    let summary = job.summary();
    assert_eq!((&summary["rows_aggregated"], &summary["windows_out"]), (&600.into(), &(3 * 9).into()));
    let table = job.table_of("output/daily", "room");
    assert!(table.values().all(|row| matches!(row["tick_count"], speed_layer_tests::table::Value::Int(20))));
}
