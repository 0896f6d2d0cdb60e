//! What cannot be aggregated is found again and counted. Which records that are, and why, is `bad_input`'s table.

use speed_layer_tests::job::{Job, new_folder};
use speed_layer_tests::kafka;
use speed_layer_tests::reference::{closed, ohlcv, watermark_ms};
use speed_layer_tests::table::assert_equal;
use speed_layer_tests::ticks::{Plan, Spread, Tick};
use speed_layer_tests::topics::Record;

use super::{DAY_MS, HOUR_MS};

/// 2025-11-20.
const NOON_MS: i64 = 1_763_640_000_000;

fn tick(symbol: &str, event_time_ms: i64) -> Tick {
    Tick {
        symbol: symbol.into(),
        event_time_ms,
        price: Some(2.0),
        open: Some(1.0),
        high: Some(3.0),
        low: Some(0.5),
        volume: Some(4.0),
        quote_volume: Some(8.0),
        number_trades: Some(3),
    }
}

fn record(value: Option<&str>) -> Record {
    let value = value.map(|text| text.as_bytes().to_vec());
    Record { partition: 0, key: Some(b"the key".to_vec()), value, timestamp_ms: None }
}

#[test]
fn the_account_adds_up_to_what_was_written() {
    let broker = kafka::shared();
    let plan = Plan { rows: 50_000, jitter_ms: HOUR_MS / 2, bad_per_million: 20_000, ..Plan::default() };
    let records = plan.records(2, Spread::InTurn);
    broker.topic_of("account", 2, &records);
    let job = Job::new(broker, "account").set("--max-records-per-trigger", 9_999);
    let summary = job.summary();
    let term = |name: &str| summary[name].as_u64().expect("a number");
    let bad: Vec<_> = records.iter().filter(|record| record.tick.is_none()).collect();
    assert!(bad.len() > 500);
    assert_eq!(term("records_in"), 50_000);
    assert_eq!(term("records_dead_lettered"), bad.len() as u64);
    assert_eq!(term("rows_late"), 0);
    assert_eq!(term("rows_aggregated") + term("records_dead_lettered"), term("records_in"));
    let mut wanted: Vec<_> =
        bad.iter().map(|record| (record.partition, record.offset, &record.value)).collect();
    wanted.sort();
    let letters = job.dead_letters();
    let found: Vec<_> = letters
        .iter()
        .map(|letter| (letter.partition, letter.offset, letter.value.as_ref().expect("bytes")))
        .collect();
    assert!(wanted == found, "{} letters are not the {} bad records", found.len(), wanted.len());
    let watermark = watermark_ms(&records, HOUR_MS);
    assert_equal(&closed(ohlcv(&records, DAY_MS, "daily"), DAY_MS, watermark), &job.table());
}

#[test]
fn late_rows_lie_beside_the_output_with_the_window_that_they_missed() {
    let broker = kafka::shared();
    let write = |times: &[i64]| {
        let records = times.iter().map(|at_ms| record(Some(&tick("A", *at_ms).to_json())));
        broker.produce("late", "gzip", records).expect("all acknowledged");
    };
    broker.create_topic("late", 1, &[]).expect("a new name");
    let job = Job::new(broker, "late");
    write(&[NOON_MS, NOON_MS + 2 * DAY_MS]);
    assert_eq!(job.summary()["windows_out"], 1);
    write(&[NOON_MS + 5, NOON_MS - DAY_MS, NOON_MS + DAY_MS, NOON_MS + 2 * DAY_MS - 2 * HOUR_MS]);
    let summary = job.summary();
    assert_eq!((&summary["rows_late"], &summary["rows_aggregated"]), (&3.into(), &1.into()), "{summary}");
    let closed_ms = NOON_MS + 2 * DAY_MS - HOUR_MS;
    let midnight_ms = NOON_MS.div_euclid(DAY_MS) * DAY_MS;
    let letters = job.late();
    let found: Vec<_> = letters
        .iter()
        .filter_map(|letter| Some((letter.offset, letter.missed.as_ref()?)))
        .map(|(offset, missed)| (offset, missed.start_ms, missed.end_ms, missed.late_by_ms))
        .collect();
    let missed = |offset, start_ms| (offset, start_ms, start_ms + DAY_MS, closed_ms - start_ms - DAY_MS);
    let wanted = [missed(2, midnight_ms), missed(3, midnight_ms - DAY_MS), missed(4, midnight_ms + DAY_MS)];
    assert_eq!(found, wanted, "{letters:#?}");
    for letter in &letters {
        assert_eq!((letter.kind.as_str(), letter.aggregate.as_deref()), ("late", Some("daily")));
        assert!(letter.value.is_some() && letter.key.is_some());
    }
    assert!(job.dead_letters().is_empty());
}

#[test]
fn nothing_that_was_set_aside_lies_inside_the_output() {
    let folder = new_folder().expect("a folder");
    let output = folder.path().join("table");
    let broker = kafka::shared();
    broker.create_topic("beside", 1, &[]).expect("a new name");
    broker.produce("beside", "none", [record(Some("{")), record(None)]).expect("all acknowledged");
    let summary = Job::new(broker, "beside").set("--output", output.display()).summary();
    assert_eq!(summary["records_dead_lettered"], 2);
    assert!(folder.path().join("table.dead-letters/table").is_dir());
    let inside = std::fs::read_dir(&output).map_or(0, Iterator::count);
    assert_eq!(inside, 0);
}
