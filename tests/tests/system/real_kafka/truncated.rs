//! A broker that forgets: after a crash a log ends before the place where a job stands, as after an unclean
//! election or on a disk that lies.

use std::time::Instant;

use speed_layer_tests::job::Job;
use speed_layer_tests::kafka::Broker;
use speed_layer_tests::ticks::{Placed, Plan, Spread};
use speed_layer_tests::topics::read_all;

use super::LIMIT;

const PARTITION_ROWS: usize = 1_000;

/// Two topics of one partition each, in small batches, so that half of a log is some batches.
fn written(broker: &Broker, topics: &[&str]) -> Vec<Placed> {
    let records = Plan { rows: 2 * PARTITION_ROWS, ..Plan::default() }.records(1, Spread::InTurn);
    for topic in topics {
        broker.create_topic(topic, 1, &[]).expect("a new name");
        records[..PARTITION_ROWS].chunks(100).for_each(|part| broker.append(topic, part));
    }
    records
}

/// Kills the broker and cuts these topics' logs in half; gives the end that each then has.
fn forget(broker: &mut Broker, topics: &[&str]) -> Vec<i64> {
    broker.kill().expect("it runs");
    topics.iter().for_each(|topic| broker.cut_log(topic, 0).expect("it is there"));
    broker.restart().expect("it comes back");
    let ends: Vec<_> = topics.iter().map(|topic| end_once_led(broker, topic)).collect();
    assert!(ends.iter().all(|end| (1..PARTITION_ROWS as i64).contains(end)), "{ends:?}");
    ends
}

/// A broker that has just come back answers before it leads its partitions.
fn end_once_led(broker: &Broker, topic: &str) -> i64 {
    let began = Instant::now();
    loop {
        match broker.end_offset(topic, 0) {
            Ok(end) => return end,
            Err(error) => assert!(began.elapsed() < LIMIT, "{error:#}"),
        }
    }
}

fn refused(job: &Job, told: &[&str]) {
    let run = job.run().expect("it ends");
    assert_eq!(run.status.code(), Some(1), "{}", run.told());
    for text in told {
        assert!(run.stderr.contains(text), "`{text}` is not said: {}", run.told());
    }
}

#[test]
fn a_log_that_is_shorter_than_the_checkpoint_is_refused_or_gone_on_from_with_a_gap() {
    let mut broker = Broker::start(&[]).expect("a broker of its own");
    let topics = ["short-start", "short-running", "short-skipping"];
    let records = written(&broker, &topics);
    let [at_start, running, skipping] = topics.map(|topic| Job::new(&broker, topic));
    assert_eq!(at_start.summary()["records_in"], PARTITION_ROWS);
    let steady = |job: Job| job.set("--trigger", "200ms");
    let [running, skipping] = [steady(running), steady(skipping).set("--on-data-loss", "skip")];
    let mut runs = [&running, &skipping].map(|job| job.start().expect("it starts"));
    runs.iter_mut().for_each(|run| {
        run.wait_for("total=1000", LIMIT).expect("it reads them");
    });

    let ends = forget(&mut broker, &topics);
    let told =
        |end: i64| ["partition 0".into(), format!("ends at offset {end}"), "stands at offset 1000".into()];
    let [stopped, mut skipped] = runs;
    let stopped = stopped.finish(LIMIT).expect("it ends");
    assert_eq!(stopped.status.code(), Some(1), "{}", stopped.told());
    for text in told(ends[1]) {
        assert!(stopped.stderr.contains(&text), "`{text}` is not said: {}", stopped.told());
    }
    skipped.wait_for("going on as asked", LIMIT).expect("it says what is lost");
    skipped.wait_for("committed", LIMIT).expect("it commits the gap");
    broker.append("short-skipping", &records[PARTITION_ROWS..]);
    skipped.wait_for("total=2000", LIMIT).expect("it reads what comes after the cut");
    skipped.signal("TERM").expect("it runs");
    skipped.finish(LIMIT).and_then(|run| run.summary()).expect("a normal end");
    assert_eq!(skipping.gaps(), [(0, ends[2], PARTITION_ROWS as i64)]);

    let told: Vec<String> = told(ends[0]).into_iter().chain(["--on-data-loss skip".into()]).collect();
    refused(&at_start, &told.iter().map(String::as_str).collect::<Vec<_>>());
    let at_start = at_start.set("--on-data-loss", "skip");
    assert_eq!(at_start.summary()["records_in"], 0);
    assert_eq!(at_start.gaps(), [(0, ends[0], PARTITION_ROWS as i64)]);
    let at_start = at_start.without("--on-data-loss");
    broker.append("short-start", &records[PARTITION_ROWS..]);
    assert_eq!(at_start.summary()["records_in"], PARTITION_ROWS, "the gap is behind it");
}

/// The log is as long as before when the job comes back, and only the leader's epochs tell.
#[test]
fn a_log_that_was_cut_and_written_anew_is_found_out_by_its_leaders_epochs() {
    let mut broker = Broker::start(&[]).expect("a broker of its own");
    let topics = ["anew-start", "anew-skipping"];
    let records = written(&broker, &topics);
    let [at_start, skipping] = topics.map(|topic| Job::new(&broker, topic));
    assert_eq!(at_start.summary()["records_in"], PARTITION_ROWS);
    let skipping = skipping.set("--trigger", "200ms").set("--on-data-loss", "skip");
    let mut running = skipping.start().expect("it starts");
    running.wait_for("total=1000", LIMIT).expect("it reads them");
    running.signal("STOP").expect("it runs");

    let ends = forget(&mut broker, &topics);
    topics.iter().for_each(|topic| broker.append(topic, &records[PARTITION_ROWS..]));
    running.signal("CONT").expect("it stands still");
    running.wait_for("was cut back", LIMIT).expect("it says what is lost");
    running.wait_for("total=2000", LIMIT).expect("it reads all that is new");
    running.signal("TERM").expect("it runs");
    running.finish(LIMIT).and_then(|run| run.summary()).expect("a normal end");
    assert_eq!(skipping.gaps(), [(0, ends[1], PARTITION_ROWS as i64)]);
    let there = read_all(&broker, "anew-skipping", 1).expect("the broker answers");
    assert_eq!(there.len() as i64, ends[1] + PARTITION_ROWS as i64);

    refused(&at_start, &["anew-start", "was cut back to before offset 1000", "--on-data-loss skip"]);
    let at_start = at_start.set("--on-data-loss", "skip");
    assert_eq!(at_start.summary()["records_in"], PARTITION_ROWS, "all that is new");
    assert_eq!(at_start.gaps(), [(0, ends[0], PARTITION_ROWS as i64)]);
}
