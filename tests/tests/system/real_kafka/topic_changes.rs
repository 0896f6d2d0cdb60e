//! A topic that changes under a running job: partitions are added, records are deleted before they were
//! read, the topic is deleted, and made again.

use speed_layer_tests::host::Running;
use speed_layer_tests::job::Job;
use speed_layer_tests::kafka;
use speed_layer_tests::reference::{closed, ohlcv, watermark_ms};
use speed_layer_tests::table::assert_equal;
use speed_layer_tests::ticks::{Placed, Plan, Spread};

use super::{DAY_MS, HOUR_MS, LIMIT};

fn streaming(topic: &str) -> Job {
    Job::new(kafka::shared(), topic).set("--trigger", "200ms").set("--metadata-refresh", "200ms")
}

/// Waits until a run has committed so many records.
fn wait_for_total(running: &mut Running, records: usize) {
    running.wait_for(&format!("total={records}"), LIMIT).expect("it reads and commits all of them");
}

/// The daily table must be that of these records.
fn check_table(job: &Job, records: &[Placed]) {
    assert_equal(
        &closed(ohlcv(records, DAY_MS, "daily"), DAY_MS, watermark_ms(records, HOUR_MS)),
        &job.table(),
    );
}

fn refused(run: Running, told: &[&str]) {
    let refused = run.finish(LIMIT).expect("it ends");
    assert_eq!(refused.status.code(), Some(1), "{}", refused.told());
    for text in told {
        assert!(refused.stderr.contains(text), "`{text}` is not said: {}", refused.told());
    }
}

/// The new partition's first records come first, and the rest of them after twenty days of the others: were
/// the clock not held for it, all the rest would be late.
#[test]
fn partitions_added_while_a_job_runs_are_read_from_their_beginning_and_hold_the_watermark() {
    let (broker, topic) = (kafka::shared(), "changes-more");
    let before = Plan { rows: 1_000, days: 10, ..Plan::default() };
    let after = Plan { rows: 3_000, days: 20, start_ms: before.start_ms + 10 * DAY_MS, ..before.clone() };
    let before = before.records(2, Spread::InTurn);
    let after = after.records(3, Spread::InTurn);
    let (new, old): (Vec<_>, Vec<_>) = after.iter().cloned().partition(|record| record.partition == 2);
    broker.topic_of(topic, 2, &before);
    let job = streaming(topic);
    let mut running = job.start().expect("it starts");
    let mut total = before.len();
    wait_for_total(&mut running, total);

    broker.add_partitions(topic, 3).expect("one more");
    running.wait_for("partition 2 of the topic changes-more is new", LIMIT).expect("it is found");
    for part in [&new[..10], &old, &new[10..]] {
        broker.append(topic, part);
        total += part.len();
        wait_for_total(&mut running, total);
    }
    running.signal("KILL").expect("it runs");
    running.finish(LIMIT).expect("it ends");
    let partitions = &job.checkpoint()["partitions"];
    assert_eq!(partitions[2]["next_offset"], new.len(), "{partitions}");
    let job = job.set("--trigger", "available-now");
    assert_eq!(job.summary()["records_in"], 0);
    check_table(&job, &[before, after].concat());
    assert!(job.late().is_empty());
}

/// A job that stood still while the records that it was to read next were deleted, and is woken.
fn overtaken(topic: &str, job: &Job, records: &[Placed]) -> Running {
    let broker = kafka::shared();
    broker.topic_of(topic, 2, &records[..1_000]);
    let mut running = job.start().expect("it starts");
    running.wait_for("started", LIMIT).expect("it says so");
    running.signal("STOP").expect("it runs");
    // Many small batches: one may be on its way to the job.
    records[1_000..].chunks(100).for_each(|part| broker.append(topic, part));
    broker.delete_records(topic, &[(0, 1_400)]).expect("they are there");
    running.signal("CONT").expect("it stands still");
    running
}

fn small_fetches(topic: &str) -> Job {
    streaming(topic).set("--kafka", "max.partition.fetch.bytes=1")
}

fn not_in(gaps: &[(i32, i64, i64)], records: &[Placed]) -> Vec<Placed> {
    let is_in = |record: &Placed, (partition, from, to): &(i32, i64, i64)| {
        record.partition == *partition && (*from..*to).contains(&record.offset)
    };
    records.iter().filter(|record| !gaps.iter().any(|gap| is_in(record, gap))).cloned().collect()
}

/// With a trigger that never comes, so that what was read is committed because of the end.
#[test]
fn a_job_whose_next_records_were_deleted_commits_what_it_has_and_ends_by_name() {
    let records = Plan { rows: 3_000, ..Plan::default() }.records(2, Spread::InTurn);
    let topic = "changes-overtaken";
    let job = small_fetches(topic).set("--trigger", "1h");
    let told = ["partition 0", topic, "begins at offset 1400", "stands at offset ", "--on-data-loss skip"];
    refused(overtaken(topic, &job, &records), &told);
    let stood = job.checkpoint()["partitions"][0]["next_offset"].as_i64().expect("a number");
    assert!(stood <= 550 && job.gaps().is_empty(), "{stood}");

    let job = job.set("--trigger", "available-now");
    refused(job.start().expect("it starts"), &told);
    let job = job.set("--on-data-loss", "skip");
    job.summary();
    assert_eq!(job.gaps(), [(0, stood, 1_400)]);
    check_table(&job, &not_in(&job.gaps(), &records));
}

#[test]
fn a_job_that_may_skip_goes_on_after_the_gap_and_records_it() {
    let records = Plan { rows: 3_200, ..Plan::default() }.records(2, Spread::InTurn);
    let (topic, written) = ("changes-skipped", &records[..3_000]);
    let job = small_fetches(topic).set("--on-data-loss", "skip");
    let mut running = overtaken(topic, &job, written);
    running.wait_for("going on as asked", LIMIT).expect("it says what is lost");
    kafka::shared().append(topic, &records[3_000..]);
    running.wait_for("committed", LIMIT).expect("it commits the gap");
    let [(partition, from, to)] = job.gaps()[..] else { panic!("{:?}", job.gaps()) };
    assert_eq!((partition, to), (0, 1_400));
    assert!(from <= 550, "{from}");
    wait_for_total(&mut running, records.len() - (to - from) as usize);
    running.signal("TERM").expect("it runs");
    running.finish(LIMIT).and_then(|run| run.summary()).expect("a normal end");
    check_table(&job, &not_in(&[(partition, from, to)], &records));
    assert_eq!(job.set("--trigger", "available-now").summary()["records_in"], 0);
}

#[test]
fn a_topic_deleted_under_a_job_ends_it_with_everything_committed() {
    let topic = "changes-deleted";
    let records = Plan { rows: 2_000, ..Plan::default() }.records(2, Spread::InTurn);
    kafka::shared().topic_of(topic, 2, &records);
    let job = streaming(topic);
    let mut running = job.start().expect("it starts");
    wait_for_total(&mut running, records.len());
    kafka::shared().delete_topic(topic).expect("it exists");
    refused(running, &[topic, "was deleted while the job read it"]);
    check_table(&job, &records);
    for may_lose in ["stop", "skip"] {
        let again = job.start_with(&[("--on-data-loss", may_lose)]).expect("it starts");
        refused(again, &[topic, "does not exist", "--wait-for-topic"]);
    }
}

/// Deletes a topic that a job has read to its end, and makes it again of `new`.
fn made_again(topic: &str, job: &Job, old: &[Placed], new: &[Placed]) -> Running {
    let broker = kafka::shared();
    broker.topic_of(topic, 2, old);
    let mut running = job.start().expect("it starts");
    wait_for_total(&mut running, old.len());
    broker.delete_topic(topic).expect("it exists");
    let made = (0..100).any(|_| broker.create_topic(topic, 2, &[]).is_ok());
    assert!(made, "the broker deletes topics within a moment");
    broker.append(topic, new);
    running
}

/// The new topic's records go on in time where the old one's ended.
fn two_topics(new_rows: usize) -> [Vec<Placed>; 2] {
    let old = Plan { rows: 1_000, days: 10, ..Plan::default() };
    let new = Plan { rows: new_rows, start_ms: old.start_ms + 10 * DAY_MS, ..old.clone() };
    [old.records(2, Spread::InTurn), new.records(2, Spread::InTurn)]
}

#[test]
fn a_topic_made_again_under_a_job_is_refused_and_read_from_its_start_where_that_is_asked_for() {
    for new_rows in [400, 1_000, 2_000] {
        let topic = format!("changes-again-{new_rows}");
        let [old, new] = two_topics(new_rows);
        let job = streaming(&topic);
        refused(made_again(&topic, &job, &old, &new), &[&topic, "made again"]);
        let job = job.set("--trigger", "available-now");
        refused(job.start().expect("it starts"), &[&topic, "made again", "--on-data-loss skip"]);
        check_table(&job, &old);
        let job = job.set("--on-data-loss", "skip");
        assert_eq!(job.summary()["records_in"], new.len());
        assert_eq!(job.gaps().len(), 2, "{:?}", job.gaps());
        check_table(&job, &[old, new].concat());
    }
}

/// Shorter than the old one, so that nothing of it can have been taken for the old one's.
#[test]
fn a_job_that_may_skip_goes_over_to_a_shorter_topic_of_the_same_name() {
    let topic = "changes-over";
    let [old, new] = two_topics(400);
    let job = streaming(topic).set("--on-data-loss", "skip");
    let mut running = made_again(topic, &job, &old, &new);
    wait_for_total(&mut running, old.len() + new.len());
    running.signal("TERM").expect("it runs");
    running.finish(LIMIT).and_then(|run| run.summary()).expect("a normal end");
    assert_eq!(job.gaps().iter().map(|gap| gap.0).collect::<Vec<_>>(), [0, 1]);
    check_table(&job, &[old, new].concat());
}
