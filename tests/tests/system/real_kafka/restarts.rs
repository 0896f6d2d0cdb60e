//! A job that is stopped, killed and started again gives the rows of one run.

use speed_layer_tests::host::Running;
use speed_layer_tests::job::Job;
use speed_layer_tests::kafka;
use speed_layer_tests::reference::{closed, ohlcv, watermark_ms};
use speed_layer_tests::table::{Table, assert_equal};
use speed_layer_tests::ticks::{Placed, Plan, Spread};

use super::{DAY_MS, HOUR_MS, LIMIT};

const ROWS: usize = 40_000;

fn records() -> Vec<Placed> {
    let plan = Plan { rows: ROWS, jitter_ms: HOUR_MS / 2, bad_per_million: 500, ..Plan::default() };
    plan.records(2, Spread::InTurn)
}

fn expected(records: &[Placed]) -> Table {
    closed(ohlcv(records, DAY_MS, "daily"), DAY_MS, watermark_ms(records, HOUR_MS))
}

/// Starts the job and waits for its `commits`th commit.
fn started(job: &Job, commits: usize) -> Running {
    let mut running = job.start().expect("it starts");
    for _ in 0..commits {
        running.wait_for("committed", LIMIT).expect("it commits");
    }
    running
}

/// Stops a run after each of these numbers of commits, then reads the rest.
fn check(topic: &str, job: Job, signal: &str, stops: &[usize]) {
    let broker = kafka::shared();
    let records = records();
    broker.topic_of(topic, 2, &records);
    let mut taken_in = 0;
    for commits in stops {
        let running = started(&job, *commits);
        running.signal(signal).expect("it runs");
        let finished = running.finish(LIMIT).expect("it ends");
        assert_eq!(finished.stdout.lines().count(), 1, "{}", finished.told());
        let summary = finished.summary().expect("it ends well");
        assert!(summary["commits"].as_u64() >= Some(*commits as u64), "{summary}");
        taken_in += summary["records_in"].as_u64().expect("a number");
    }
    assert!(taken_in < ROWS as u64, "{topic}: it was through before it was stopped");
    let rest = job.set("--trigger", "available-now");
    let summary = rest.summary();
    assert_eq!(taken_in + summary["records_in"].as_u64().expect("a number"), ROWS as u64, "{summary}");
    assert_equal(&expected(&records), &rest.table());
}

#[test]
fn sigterm_at_several_moments_of_a_bounded_run_changes_no_row() {
    let topic = "restarts-bounded";
    let job = Job::new(kafka::shared(), topic).set("--max-records-per-trigger", 1_000);
    check(topic, job, "TERM", &[1, 4, 7, 2]);
}

#[test]
fn sigint_at_several_moments_of_a_steady_run_changes_no_row() {
    let topic = "restarts-steady";
    let job = Job::new(kafka::shared(), topic).set("--trigger", "200ms");
    check(topic, job.set("--max-records-per-trigger", 3_000), "INT", &[1, 2, 3]);
}

#[test]
fn a_killed_run_changes_no_row_and_leaves_no_part_of_a_file() {
    let broker = kafka::shared();
    let records = records();
    broker.topic_of("restarts-killed", 2, &records);
    let job = Job::new(broker, "restarts-killed").set("--max-records-per-trigger", 1_000);
    for commits in [1, 5, 9] {
        let running = started(&job, commits);
        running.signal("KILL").expect("it runs");
        let finished = running.finish(LIMIT).expect("it ends");
        assert!(!finished.status.success() && finished.stdout.is_empty(), "{}", finished.told());
        job.table();
    }
    job.summary();
    assert_equal(&expected(&records), &job.table());
    let bad = records.iter().filter(|record| record.tick.is_none()).count();
    assert_eq!(job.dead_letters().len(), bad);
}

#[test]
fn a_job_that_has_read_all_starts_and_ends_again_without_a_word() {
    let broker = kafka::shared();
    let records = records();
    broker.topic_of("restarts-none", 2, &records);
    let job = Job::new(broker, "restarts-none");
    job.summary();
    let before = job.table();
    let summary = job.summary();
    assert_eq!((&summary["records_in"], &summary["windows_out"]), (&0.into(), &0.into()));
    assert_equal(&before, &job.table());
}

#[test]
fn a_second_process_of_a_running_job_is_refused() {
    let broker = kafka::shared();
    broker.topic_of("restarts-second", 2, &records()[..500]);
    let job = Job::new(broker, "restarts-second").set("--trigger", "200ms");
    let running = started(&job, 1);
    let second = job.run().expect("it ends at once");
    assert_eq!(second.status.code(), Some(1), "{}", second.told());
    assert!(second.stderr.contains("another process runs this job"), "{}", second.told());
    assert!(second.stderr.contains(&running.id().to_string()), "{}", second.told());
    running.signal("TERM").expect("it runs");
    running.finish(LIMIT).and_then(|run| run.summary()).expect("the first one was not disturbed");
}
