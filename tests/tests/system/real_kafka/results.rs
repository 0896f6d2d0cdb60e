//! The rows that come out are those of the independent recomputation, however the records lie in the topic
//! and however they are cut into commits.

use speed_layer_tests::job::Job;
use speed_layer_tests::kafka;
use speed_layer_tests::reference::{closed, ohlcv, watermark_ms};
use speed_layer_tests::table::{Table, assert_equal};
use speed_layer_tests::ticks::{Placed, Plan, Spread};

use super::{DAY_MS, HOUR_MS};

/// Thirty days of twenty symbols, out of order by up to half an hour, some values missing.
fn month(rows: usize) -> Plan {
    Plan { rows, jitter_ms: HOUR_MS / 2, nulls_per_million: 20_000, ..Plan::default() }
}

fn expected(records: &[Placed]) -> Table {
    closed(ohlcv(records, DAY_MS, "daily"), DAY_MS, watermark_ms(records, HOUR_MS))
}

/// Runs the same topic to its end with each cap, and compares.
fn check(topic: &str, plan: &Plan, partitions: i32, spread: Spread, caps: &[Option<u64>]) {
    let broker = kafka::shared();
    let records = plan.records(partitions, spread);
    broker.topic_of(topic, partitions, &records);
    let expected = expected(&records);
    assert!(expected.len() > 500, "{topic}: {} rows prove little", expected.len());
    for cap in caps {
        let mut job = Job::new(broker, topic);
        if let Some(cap) = cap {
            job = job.set("--max-records-per-trigger", cap);
        }
        let summary = job.summary();
        assert_equal(&expected, &job.table());
        assert_eq!(summary["records_in"], plan.rows, "{topic}: {summary}");
        assert_eq!(summary["rows_aggregated"], plan.rows, "{topic}: {summary}");
        assert_eq!(summary["windows_out"], expected.len(), "{topic}: {summary}");
        let commits_min = cap.map_or(1, |cap| plan.rows as u64 / cap);
        assert!(summary["commits"].as_u64() >= Some(commits_min), "{topic}, {cap:?}: {summary}");
    }
}

#[test]
fn one_partition_gives_the_reference_rows_however_it_is_cut() {
    check("results-1", &month(40_000), 1, Spread::InTurn, &[None, Some(7_777), Some(1_000)]);
}

#[test]
fn two_partitions_give_the_reference_rows_however_they_are_cut() {
    check("results-2", &month(60_000), 2, Spread::InTurn, &[None, Some(7_777), Some(1_000)]);
}

#[test]
fn eight_partitions_give_the_reference_rows_however_they_are_cut() {
    check("results-8", &month(80_000), 8, Spread::BySymbol, &[None, Some(7_777), Some(3_000)]);
}

#[test]
fn an_empty_partition_does_not_hold_the_job() {
    check("results-empty", &month(20_000), 2, Spread::Only(1), &[None, Some(7_777)]);
}

#[test]
fn the_trigger_once_takes_all_in_one_commit() {
    let broker = kafka::shared();
    let records = month(30_000).records(2, Spread::InTurn);
    broker.topic_of("results-once", 2, &records);
    let job = Job::new(broker, "results-once").set("--trigger", "once").set("--max-records-per-trigger", 10);
    assert_eq!(job.summary()["commits"], 1);
    assert_equal(&expected(&records), &job.table());
}

/// The second partition has one row at first; the others come when the first partition is read to its end.
#[test]
fn a_partition_read_wholly_before_another_changes_nothing() {
    let broker = kafka::shared();
    let records = month(40_000).records(2, Spread::InTurn);
    let is_early = |record: &Placed| record.partition == 0 || record.offset == 0;
    let (early, late): (Vec<_>, Vec<_>) = records.iter().cloned().partition(is_early);
    for (topic, cap) in [("results-before", None), ("results-before-cut", Some(3_333))] {
        broker.topic_of(topic, 2, &early);
        let mut job = Job::new(broker, topic);
        if let Some(cap) = cap {
            job = job.set("--max-records-per-trigger", cap);
        }
        assert_eq!(job.summary()["windows_out"], 0, "the second partition is at the first day still");
        broker.append(topic, &late);
        let summary = job.summary();
        assert_eq!((&summary["records_in"], &summary["rows_late"]), (&late.len().into(), &0.into()));
        assert_equal(&expected(&records), &job.table());
    }
}

#[test]
fn what_is_read_live_is_the_same_as_what_is_read_at_once() {
    let broker = kafka::shared();
    let records = month(30_000).records(2, Spread::InTurn);
    for trigger in ["100ms", "continuous"] {
        let topic = format!("results-live-{trigger}");
        broker.create_topic(&topic, 2, &[]).expect("a new name");
        let job = Job::new(broker, &topic).set("--trigger", trigger);
        broker.append(&topic, &records[..10]);
        let mut running = job.start().expect("it starts");
        running.wait_for("committed", super::LIMIT).expect("it takes in what is there");
        for part in records[10..].chunks(5_000) {
            broker.append(&topic, part);
        }
        let last = format!("total={}", records.len());
        running.wait_for(&last, super::LIMIT).expect("it takes in all");
        running.signal("INT").expect("it runs");
        running.finish(super::LIMIT).and_then(|run| run.summary()).expect("it ends well");
        assert_equal(&expected(&records), &job.table());
    }
}
