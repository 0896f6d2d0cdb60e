//! Who owns a job: a second process is refused, may take the job over from a first one that hangs, and a
//! first one that lost its lock without knowing commits nothing more.

use std::fs;

use speed_layer_tests::host::Running;
use speed_layer_tests::job::Job;
use speed_layer_tests::kafka;
use speed_layer_tests::reference::{closed, ohlcv, watermark_ms};
use speed_layer_tests::table::{Table, assert_equal};
use speed_layer_tests::ticks::{Placed, Plan, Spread};

use super::{DAY_MS, HOUR_MS, LIMIT};

fn records() -> Vec<Placed> {
    Plan { rows: 60_000, jitter_ms: HOUR_MS / 2, ..Plan::default() }.records(2, Spread::InTurn)
}

fn expected(records: &[Placed]) -> Table {
    closed(ohlcv(records, DAY_MS, "daily"), DAY_MS, watermark_ms(records, HOUR_MS))
}

/// A job that takes its records in many small commits and does not end by itself.
fn steady(topic: &str) -> Job {
    Job::new(kafka::shared(), topic).set("--trigger", "100ms").set("--max-records-per-trigger", 1_000)
}

/// Starts the job, waits for its `commits`th commit and stops it where it stands.
fn stopped(job: &Job, commits: usize) -> Running {
    let mut running = job.start().expect("it starts");
    for _ in 0..commits {
        running.wait_for("committed", LIMIT).expect("it commits");
    }
    running.signal("STOP").expect("it runs");
    running
}

/// Reads the rest and compares.
fn check_rest(job: Job, records: &[Placed]) {
    let job = job.set("--trigger", "available-now").without("--max-records-per-trigger");
    job.summary();
    assert_equal(&expected(records), &job.table());
}

#[test]
fn a_stopped_owner_is_refused_to_a_second_process_and_ended_by_one_that_takes_over() {
    let records = records();
    kafka::shared().topic_of("owners-stopped", 2, &records);
    let mut job = steady("owners-stopped");
    for commits in [1, 4] {
        let owner = stopped(&job, commits);
        let refused = job.run().expect("it ends at once");
        assert_eq!(refused.status.code(), Some(1), "{}", refused.told());
        for part in ["another process runs this job", &format!("(pid {})", owner.id()), "--take-over"] {
            assert!(refused.stderr.contains(part), "no {part:?} in {}", refused.told());
        }
        job = job.set("--take-over", "");
        let mut taker = job.start().expect("it starts");
        taker.wait_for("committed", LIMIT).expect("it goes on");
        let ended = owner.finish(LIMIT).expect("it has ended");
        assert!(ended.stderr.contains("asked to stop") || !ended.status.success(), "{}", ended.told());
        taker.signal("TERM").expect("it runs");
        taker.finish(LIMIT).and_then(|run| run.summary()).expect("it ends well");
        job = job.without("--take-over");
    }
    check_rest(job, &records);
}

#[test]
fn taking_over_a_job_that_nobody_runs_is_a_start() {
    let records = records();
    kafka::shared().topic_of("owners-nobody", 2, &records);
    let job = Job::new(kafka::shared(), "owners-nobody").set("--take-over", "");
    job.summary();
    assert_equal(&expected(&records), &job.table());
}

#[test]
fn an_owner_that_lost_its_lock_file_finds_itself_fenced_and_commits_nothing_more() {
    let records = records();
    kafka::shared().topic_of("owners-fenced", 2, &records);
    let job = steady("owners-fenced");
    for commits in [1, 2, 5] {
        let first = stopped(&job, commits);
        fs::remove_file(job.path("checkpoint/daily/lock")).expect("it is there");
        let mut second = job.start().expect("it starts");
        second.wait_for("committed", LIMIT).expect("it goes on");
        first.signal("CONT").expect("it is there");
        let fenced = first.finish(LIMIT).expect("it ends");
        assert_eq!(fenced.status.code(), Some(1), "{}", fenced.told());
        assert!(fenced.stderr.contains("belongs to another process now"), "{}", fenced.told());
        assert!(fenced.stdout.is_empty(), "{}", fenced.told());
        second.signal("TERM").expect("it runs");
        second.finish(LIMIT).and_then(|run| run.summary()).expect("it was not disturbed");
    }
    check_rest(job, &records);
}
