//! Brokers that go away under what is running, for longer than any timeout, and come back: everything waits,
//! says so once, and goes on by itself.

use std::time::{Duration, Instant};

use speed_layer_tests::host::{self, Finished, Running};
use speed_layer_tests::job::{DAILY, Job};
use speed_layer_tests::kafka::Broker;
use speed_layer_tests::reference::{closed, ohlcv, watermark_ms};
use speed_layer_tests::table::assert_equal;
use speed_layer_tests::ticks::{Placed, Plan, Spread};
use speed_layer_tests::topics::read_all;

use super::{DAY_MS, HOUR_MS, LIMIT};

/// librdkafka's patience, as short as it may be: an absence of seconds is then longer than each of them, as
/// one of minutes is longer than the defaults.
const SHORT: [&str; 6] = [
    "socket.timeout.ms=1000",
    "metadata.max.age.ms=1000",
    "topic.metadata.refresh.interval.ms=500",
    "topic.metadata.propagation.max.ms=1000",
    "metadata.recovery.rebootstrap.trigger.ms=1000",
    "reconnect.backoff.max.ms=500",
];
/// Longer than `idle_timeout` below as well: silence of brokers that are away is no idleness.
const AWAY: Duration = Duration::from_secs(20);

fn impatient(job: Job) -> Job {
    SHORT.iter().fold(job, |job, property| job.and("--kafka", property))
}

fn records() -> Vec<Placed> {
    Plan { rows: 60_000, jitter_ms: HOUR_MS / 2, ..Plan::default() }.records(2, Spread::InTurn)
}

fn check_table(job: &Job, records: &[Placed]) {
    assert_equal(
        &closed(ohlcv(records, DAY_MS, "daily"), DAY_MS, watermark_ms(records, HOUR_MS)),
        &job.table(),
    );
}

/// One line when they went, one when they came, and no flood in between.
fn check_told(run: &Finished, topic: &str, broker: &str) {
    let told = |text: &str| run.stderr.lines().filter(|line| line.contains(text)).collect::<Vec<_>>();
    let [away] = told("the brokers are away")[..] else { panic!("{}", run.told()) };
    for part in [topic, broker, "since=", "goes on by itself"] {
        assert!(away.contains(part), "{part}: {away}");
    }
    assert_eq!(told("the brokers are back").len(), 1, "{}", run.told());
    let warnings = told("WARN").len() + told("ERROR").len();
    assert!(warnings <= 4, "{warnings} warnings: {}", run.told());
}

fn producing(broker: &Broker) -> Running {
    let mut command = host::command().expect("it is built");
    command.args(["produce", "--topic", "away-produced", "--from", "synthetic", "--rate", "1000"]);
    command.args(["--count", "20000", "--brokers", &broker.address()]);
    command.args(SHORT.iter().flat_map(|property| ["--kafka", property]));
    Running::start(&mut command).expect("it starts")
}

#[test]
fn brokers_away_for_longer_than_every_timeout_are_waited_for_by_all_that_runs() {
    let mut broker = Broker::start(&[]).expect("a broker of its own");
    let records = records();
    let (first, rest) = records.split_at(40_000);
    for topic in ["away-steady", "away-bounded"] {
        broker.topic_of(topic, 2, first);
    }
    broker.create_topic("away-produced", 2, &[]).expect("a new name");
    let text = format!("{DAILY}[time]\nidle_timeout = \"15s\"\n");
    let steady = Job::new(&broker, "away-steady").pipeline(&text).set("--trigger", "50ms");
    let steady = impatient(steady);
    // One batch of the producer's at a time: it is not to have fetched all when they go.
    let slow = impatient(Job::new(&broker, "away-bounded").set("--max-records-per-trigger", 50))
        .and("--kafka", "max.partition.fetch.bytes=1")
        .and("--kafka", "queued.min.messages=1");
    let producing = producing(&broker);
    while broker.end_offset("away-produced", 0).expect("the broker answers") == 0 {}
    let mut reading = steady.start().expect("it starts");
    reading.wait_for("total=40000", LIMIT).expect("it reads them");
    let mut ending = slow.start().expect("it starts");
    ending.wait_for("committed", LIMIT).expect("it is under way");

    broker.kill().expect("it runs");
    let killed = Instant::now();
    for running in [&mut reading, &mut ending] {
        running.wait_for("the brokers are away", LIMIT).expect("it says so");
    }
    // The time itself is what is tried here.
    std::thread::sleep(AWAY.saturating_sub(killed.elapsed()));
    broker.restart().expect("it comes back");
    for running in [&mut reading, &mut ending] {
        running.wait_for("the brokers are back", LIMIT).expect("it says so");
    }
    // One partition after the other: were the second left out of the clock, its rows would be late.
    for (number, total) in [(0, 50_000), (1, 60_000)] {
        let part: Vec<_> = rest.iter().filter(|record| record.partition == number).cloned().collect();
        broker.append("away-steady", &part);
        reading.wait_for(&format!("total={total}"), LIMIT).expect("it goes on by itself");
    }
    reading.signal("TERM").expect("it runs");

    let ended = ending.finish(LIMIT).expect("it ends by itself");
    check_told(&ended, "away-bounded", &broker.address());
    assert_eq!(ended.summary().expect("a normal end")["records_in"], first.len());
    check_table(&slow, first);
    let read = reading.finish(LIMIT).expect("it ends");
    check_told(&read, "away-steady", &broker.address());
    check_table(&steady, &records);
    let produced = producing.finish(LIMIT).expect("it ends");
    assert!(produced.status.success(), "{}", produced.told());
    assert_eq!(read_all(&broker, "away-produced", 2).expect("the broker answers").len(), 20_000);
}

#[test]
fn a_job_whose_brokers_are_away_ends_at_a_signal_with_all_that_it_has_read() {
    let mut broker = Broker::start(&[]).expect("a broker of its own");
    let records = records();
    broker.topic_of("away-ended", 2, &records);
    let job = Job::new(&broker, "away-ended").set("--trigger", "1h");
    let mut running = job.start().expect("it starts");
    running.wait_for("started", LIMIT).expect("it says so");
    broker.kill().expect("it runs");
    running.wait_for("the brokers are away", LIMIT).expect("it says so");
    let asked = Instant::now();
    running.signal("TERM").expect("it runs");
    let summary = running.finish(LIMIT).and_then(|run| run.summary()).expect("a normal end");
    assert!(asked.elapsed() < Duration::from_secs(10), "{:?}", asked.elapsed());
    broker.restart().expect("it comes back");
    let rest = job.set("--trigger", "available-now").summary();
    let [before, after] = [summary, rest].map(|summary| summary["records_in"].as_u64().expect("a number"));
    assert_eq!(before + after, records.len() as u64);
}
