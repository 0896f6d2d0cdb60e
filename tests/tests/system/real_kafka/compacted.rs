//! Compacted topics: most offsets are gone, also where a job left off, and that is no loss.

use std::collections::BTreeSet;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use speed_layer_tests::job::Job;
use speed_layer_tests::kafka;
use speed_layer_tests::reference::{closed, ohlcv, watermark_ms};
use speed_layer_tests::table::assert_equal;
use speed_layer_tests::ticks::{Placed, Plan, Spread};
use speed_layer_tests::topics::{Record, read_all};

use super::{DAY_MS, HOUR_MS, LIMIT};

const TOPIC: &str = "compacted";
const COMPACTING: [(&str, &str); 4] = [
    ("cleanup.policy", "compact"),
    ("segment.ms", "1000"),
    ("min.cleanable.dirty.ratio", "0.01"),
    ("segment.bytes", "1048576"),
];

/// Writes the records in parts whose timestamps lie so far apart that each begins a segment.
fn write_in_segments(records: &[Placed]) {
    let now_ms = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_millis() as i64;
    for (number, part) in (0..).zip(records.chunks(2_000)) {
        let stamped = |record: &Placed| Record {
            timestamp_ms: Some(now_ms - 1_000_000 + number * 10_000),
            ..record.to_record()
        };
        kafka::shared().produce(TOPIC, "gzip", part.iter().map(stamped)).expect("all acknowledged");
    }
}

/// Waits until the cleaner has been through every segment but the last: then no key is left in
/// two of them.
fn left_after_cleaning(records: &[Placed]) -> Vec<Placed> {
    let began = Instant::now();
    let last_segment: i64 =
        records[records.len() - 2_000..].iter().map(|record| record.offset).min().unwrap_or(0);
    loop {
        let there = read_all(kafka::shared(), TOPIC, 2).expect("the broker answers");
        let there: BTreeSet<(i32, i64)> =
            there.into_iter().map(|(partition, offset, _)| (partition, offset)).collect();
        let left: Vec<_> = records
            .iter()
            .filter(|record| there.contains(&(record.partition, record.offset)))
            .cloned()
            .collect();
        let before = left.iter().filter(|record| record.offset < last_segment);
        let mut keys = BTreeSet::new();
        if before.filter_map(|record| record.tick.as_ref()).all(|tick| keys.insert(tick.symbol.clone())) {
            assert_eq!(left.len(), there.len(), "nothing else is in the topic");
            return left;
        }
        assert!(began.elapsed() < LIMIT, "{} records are left in time", left.len());
    }
}

#[test]
fn gaps_of_a_compacted_topic_are_no_loss_wherever_a_job_left_off() {
    kafka::shared().create_topic(TOPIC, 2, &COMPACTING).expect("a new name");
    // A key lies in one partition, so that each partition is compacted to one record a key.
    let records = Plan { rows: 10_000, symbols: 400, ..Plan::default() }.records(2, Spread::BySymbol);
    write_in_segments(&records);
    let left = left_after_cleaning(&records);
    assert!(left.len() < records.len() / 2, "{} are left", left.len());

    let job = Job::new(kafka::shared(), TOPIC).set("--max-records-per-trigger", 50);
    let mut taken_in = 0;
    for commits in [1, 3] {
        let mut running = job.start().expect("it starts");
        (0..commits).for_each(|_| drop(running.wait_for("committed", LIMIT).expect("it commits")));
        running.signal("TERM").expect("it runs");
        let summary = running.finish(LIMIT).and_then(|run| run.summary()).expect("a normal end");
        taken_in += summary["records_in"].as_u64().expect("a number");
    }
    assert!(taken_in < left.len() as u64, "it was through before it was stopped");
    let summary = job.summary();
    assert_eq!(taken_in + summary["records_in"].as_u64().expect("a number"), left.len() as u64, "{summary}");
    assert!(job.gaps().is_empty());
    assert_equal(&closed(ohlcv(&left, DAY_MS, "daily"), DAY_MS, watermark_ms(&left, HOUR_MS)), &job.table());
    assert_eq!(job.without("--max-records-per-trigger").summary()["records_in"], 0);
}
