//! Where a job begins, how long it waits, and what it does when records are gone.

use std::time::{SystemTime, UNIX_EPOCH};

use speed_layer_tests::job::Job;
use speed_layer_tests::kafka;
use speed_layer_tests::ticks::{Placed, Plan, Spread};
use speed_layer_tests::topics::Record;

use super::LIMIT;

fn records() -> Vec<Placed> {
    Plan { rows: 4_000, days: 4, ..Plan::default() }.records(2, Spread::InTurn)
}

/// Runs the job, writes the rest, runs it again: what each run took in.
fn check(start: &str, expected: [u64; 2]) {
    let broker = kafka::shared();
    let records = records();
    let (first, rest) = records.split_at(3_000);
    let topic = format!("positions-{start}");
    broker.topic_of(&topic, 2, first);
    let job = Job::new(broker, &topic).set("--start", start);
    let before = job.summary();
    broker.append(&topic, rest);
    let after = job.summary();
    assert_eq!([before, after].map(|summary| summary["records_in"].as_u64()), expected.map(Some));
}

#[test]
fn a_job_begins_at_the_earliest_record() {
    check("earliest", [3_000, 1_000]);
}

#[test]
fn a_job_that_began_at_the_latest_record_knows_so_at_its_next_start() {
    check("latest", [0, 1_000]);
}

#[test]
fn a_job_begins_at_the_records_of_a_time() {
    let broker = kafka::shared();
    broker.create_topic("positions-time", 2, &[]).expect("a new name");
    let base_ms = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_millis() as i64;
    let written = records().into_iter().enumerate().map(|(index, record)| Record {
        timestamp_ms: Some(base_ms - 4_000_000 + index as i64 * 1_000),
        ..record.to_record()
    });
    broker.produce("positions-time", "gzip", written).expect("all acknowledged");
    let at_ms = base_ms - 4_000_000 + 2_500 * 1_000;
    let start = chrono::DateTime::from_timestamp_millis(at_ms).expect("a time").to_rfc3339();
    let job = Job::new(broker, "positions-time").set("--start", start);
    assert_eq!(job.summary()["records_in"], 1_500);
}

#[test]
fn a_job_waits_for_its_topic_where_it_is_told_to() {
    let broker = kafka::shared();
    let records = records();
    for wait in ["60s", ""] {
        let topic = format!("positions-wait{}", wait.len());
        let job = Job::new(broker, &topic).set("--wait-for-topic", wait);
        let mut running = job.start().expect("it starts");
        running.wait_for("waiting for it", LIMIT).expect("it says that it waits");
        broker.topic_of(&topic, 2, &records);
        running.finish(LIMIT).and_then(|run| run.summary()).expect("it found the topic");
        assert_eq!(job.summary()["job"], "daily");
    }
}

#[test]
fn a_signal_ends_a_job_that_waits_for_its_topic() {
    let job = Job::new(kafka::shared(), "positions-never").set("--wait-for-topic", "1d");
    let mut running = job.start().expect("it starts");
    running.wait_for("waiting for it", LIMIT).expect("it says that it waits");
    running.signal("TERM").expect("it runs");
    let finished = running.finish(LIMIT).expect("it ends");
    assert_eq!(finished.summary().expect("a normal end")["records_in"], 0);
    assert!(!job.path("checkpoint").exists() && !job.path("output").exists());
}

#[test]
fn records_deleted_unread_stop_a_job_unless_it_may_skip_them() {
    let broker = kafka::shared();
    let records = records();
    let (first, rest) = records.split_at(1_000);
    broker.topic_of("positions-loss", 2, first);
    let job = Job::new(broker, "positions-loss");
    job.summary();
    broker.append("positions-loss", rest);
    broker.delete_records("positions-loss", &[(0, 700)]).expect("they are there");
    let refused = job.run().expect("it ends");
    assert_eq!(refused.status.code(), Some(1), "{}", refused.told());
    for text in ["partition 0", "offset 700", "200 records", "--on-data-loss skip"] {
        assert!(refused.stderr.contains(text), "`{text}`: {}", refused.told());
    }
    let job = job.set("--on-data-loss", "skip");
    assert_eq!(job.summary()["records_in"], 3_000 - 200);
    let job = job.without("--on-data-loss");
    assert_eq!(job.summary()["records_in"], 0, "the gap is behind it");
}

#[test]
fn a_topic_made_again_under_its_name_is_not_the_topic_of_the_checkpoint() {
    let broker = kafka::shared();
    let records = records();
    broker.topic_of("positions-again", 2, &records);
    let job = Job::new(broker, "positions-again");
    job.summary();
    broker.delete_topic("positions-again").expect("it exists");
    let made = (0..100).any(|_| broker.create_topic("positions-again", 2, &[]).is_ok());
    assert!(made, "the broker deletes topics within a moment");
    broker.append("positions-again", &records);
    let refused = job.run().expect("it ends");
    assert_eq!(refused.status.code(), Some(1), "{}", refused.told());
    assert!(
        refused.stderr.contains("positions-again") && refused.stderr.contains("made again"),
        "{}",
        refused.told()
    );
}

#[test]
fn partitions_added_later_are_read_from_their_beginning() {
    let broker = kafka::shared();
    let records = Plan { rows: 3_000, days: 4, ..Plan::default() }.records(3, Spread::InTurn);
    let (old, new): (Vec<_>, Vec<_>) = records.into_iter().partition(|record| record.partition < 2);
    broker.topic_of("positions-more", 2, &old);
    let job = Job::new(broker, "positions-more");
    assert_eq!(job.summary()["records_in"], 2_000);
    broker.add_partitions("positions-more", 3).expect("one more");
    broker.append("positions-more", &new);
    assert_eq!(job.summary()["records_in"], 1_000);
}
