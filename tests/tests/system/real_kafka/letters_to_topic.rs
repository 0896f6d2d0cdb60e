//! Dead letters and late rows that go to topics: each there once, with all that is known of it, however the
//! job ends, and never left out because the brokers would not take it.

use std::collections::BTreeMap;

use speed_layer_tests::job::Job;
use speed_layer_tests::kafka;
use speed_layer_tests::ticks::{Placed, Plan, Spread};
use speed_layer_tests::topics::{Headed, Record, read_headed};

use super::letters_shown::told;
use super::{DAY_MS, HOUR_MS, LIMIT};

const PIPELINE: &str = r#"
name = "{topic}"
checkpoint = "{folder}/checkpoint"
max_records_per_trigger = 500
[source.kafka]
brokers = "{brokers}"
topic = "{topic}"
[dead_letters]
sink = { type = "kafka", topic = "{topic}-dead" }
[late]
sink = { type = "kafka", topic = "{topic}-late" }
[parse]
plugin = "{plugins}/ticker_json.wasm"
[[transform]]
plugin = "{plugins}/ticker_time.wasm"
[[aggregate]]
name = "daily"
plugin = "{plugins}/ohlcv.wasm"
sink = [{ type = "parquet", path = "{folder}/output/daily" }]
"#;

/// The topics and the job of this name.
fn job_of(topic: &str, records: &[Placed]) -> Job {
    let broker = kafka::shared();
    broker.topic_of(topic, 2, records);
    for side in ["dead", "late"] {
        broker.create_topic(&format!("{topic}-{side}"), 3, &[]).expect("a new name");
    }
    Job::new(broker, topic).pipeline(PIPELINE)
}

fn letters(topic: &str) -> Vec<Headed> {
    read_headed(kafka::shared(), topic, 3).expect("it can be read")
}

/// Where each letter's record was, and how often it is there.
fn places(letters: &[Headed]) -> BTreeMap<(i32, i64), usize> {
    let mut places = BTreeMap::new();
    for letter in letters {
        let number = |name: &str| letter.headers[&format!("speed-layer.{name}")].parse::<i64>().expect(name);
        *places.entry((number("partition") as i32, number("offset"))).or_default() += 1;
    }
    places
}

fn bad_places(records: &[Placed]) -> BTreeMap<(i32, i64), usize> {
    let bad = records.iter().filter(|record| record.tick.is_none());
    bad.map(|record| ((record.partition, record.offset), 1)).collect()
}

fn plan(rows: usize) -> Plan {
    Plan { rows, jitter_ms: HOUR_MS / 2, bad_per_million: 30_000, ..Plan::default() }
}

#[test]
fn each_letter_is_in_its_topic_once_with_its_record_and_its_reason() {
    let (broker, topic) = (kafka::shared(), "topic-letters");
    let mut records = plan(3_000).records(2, Spread::InTurn);
    let job = job_of(topic, &records);
    let mut late = records.iter().find(|record| record.tick.is_some()).expect("a good one").clone();
    job.summary();
    broker.append(topic, std::slice::from_ref(&late));
    late.offset = broker.end_offset(topic, late.partition).expect("it is there") - 1;
    let far = Record {
        partition: 0,
        key: Some(b"a key".to_vec()),
        value: Some(br#"{"symbol":"A","event_time":1}"#.to_vec()),
        timestamp_ms: Some(1_763_640_000_000),
    };
    broker.produce(topic, "none", [far]).expect("all acknowledged");
    let summary = job.summary();
    assert_eq!(
        (&summary["rows_late"], &summary["records_dead_lettered"]),
        (&1.into(), &1.into()),
        "{summary}"
    );
    let dead = letters("topic-letters-dead");
    let by_clock = dead.iter().find(|of| of.headers["speed-layer.stage"] == "clock").expect("one");
    assert_eq!(
        (by_clock.key.as_deref(), by_clock.timestamp_ms),
        (Some(&b"a key"[..]), Some(1_763_640_000_000))
    );
    assert_eq!(by_clock.headers["speed-layer.kind"], "before-min-event-time");
    assert_eq!(by_clock.headers["speed-layer.topic"], topic);
    assert_eq!(by_clock.headers["speed-layer.plugin-digest"].len(), 64);
    let parsed: Vec<Headed> = dead.iter().filter(|of| *of != by_clock).cloned().collect();
    assert_eq!(places(&parsed), bad_places(&records));
    records.retain(|record| record.tick.is_none());
    for letter in &parsed {
        let number = |name: &str| letter.headers[name].parse::<i64>().expect(name);
        let place = (number("speed-layer.partition") as i32, number("speed-layer.offset"));
        let record = records.iter().find(|of| (of.partition, of.offset) == place).expect("a bad one");
        assert_eq!(letter.value.as_ref(), Some(&record.value));
        assert!(!letter.headers["speed-layer.message"].is_empty() && number("speed-layer.epoch") > 0);
    }
    let missed = letters("topic-letters-late");
    assert_eq!(places(&missed), BTreeMap::from([((late.partition, late.offset), 1)]));
    let header = |name: &str| missed[0].headers[name].parse::<i64>().expect(name);
    assert_eq!(header("speed-layer.window-end-ms") - header("speed-layer.window-start-ms"), DAY_MS);
    assert!(header("speed-layer.late-by-ms") > 0);
    let kept: Vec<String> = job.dead_letters_of(topic).into_iter().map(|letter| letter.stage).collect();
    assert_eq!(kept, ["clock"], "those are needed to make rows again");
    assert_eq!(told(&job, "count")["letters"], dead.len());
    assert_eq!(told(&job, "show --late")["letters"][0]["late_by_ms"], header("speed-layer.late-by-ms"));
    let replayed = told(&job, "replay --stage parse");
    assert_eq!(replayed["replayed"], parsed.len(), "{replayed}");
    assert_eq!(told(&job, "replay --stage parse")["replayed"], 0);
}

#[test]
fn kills_neither_lose_nor_double_a_letter() {
    let topic = "topic-killed";
    let records = plan(20_000).records(2, Spread::InTurn);
    let job = job_of(topic, &records[..10_000]).set("--trigger", "continuous");
    for round in 0..6_usize {
        let mut running = job.start().expect("it starts");
        running.wait_for("committed", LIMIT).expect("it commits");
        let next = 10_000 + round * 1_500;
        kafka::shared().append(topic, &records[next..next + 1_500]);
        for _ in 0..round {
            running.wait_for("committed", LIMIT).expect("it commits");
        }
        running.signal("KILL").expect("it runs");
        assert!(!running.finish(LIMIT).expect("it is killed").status.success());
    }
    kafka::shared().append(topic, &records[19_000..]);
    job.set("--trigger", "available-now").summary();
    assert_eq!(places(&letters("topic-killed-dead")), bad_places(&records));
}

#[test]
fn letters_that_a_topic_does_not_take_stop_the_job_and_are_there_once_when_it_does() {
    let (broker, topic) = (kafka::shared(), "topic-refusing");
    let mut records = Plan { rows: 50, ..Plan::default() }.records(2, Spread::InTurn);
    let mut rng = fastrand::Rng::with_seed(3);
    records[7].tick = None;
    records[7].value = std::iter::repeat_with(|| rng.u8(..)).take(20_000).collect();
    let job = job_of(topic, &records);
    let name = "topic-refusing-dead";
    broker.delete_topic(name).expect("it is there");
    broker.create_topic(name, 3, &[("max.message.bytes", "5000")]).expect("it is gone");
    for _ in 0..2 {
        let stopped = job.run().expect("it ends");
        assert_eq!(stopped.status.code(), Some(1), "{}", stopped.told());
        for part in ["the letters of epoch ", "speed-layer-topic-refusing"] {
            assert!(stopped.stderr.contains(part), "{part}: {}", stopped.told());
        }
    }
    assert!(letters(name).is_empty());
    broker.delete_topic(name).expect("it is there");
    broker.create_topic(name, 3, &[]).expect("it is gone");
    job.summary();
    assert_eq!(places(&letters(name)), bad_places(&records));
    job.summary();
    assert_eq!(letters(name).len(), 1);
}

#[test]
fn a_second_job_of_the_name_is_refused_and_the_first_one_sends_nothing_more() {
    let (broker, topic) = (kafka::shared(), "topic-twins");
    let records = plan(2_000).records(2, Spread::InTurn);
    let first = job_of(topic, &records[..1_000]).set("--trigger", "100ms");
    let mut running = first.start().expect("it starts");
    running.wait_for("total=1000", LIMIT).expect("it reads all");
    let second = Job::new(broker, topic).pipeline(PIPELINE).run().expect("it ends");
    assert_eq!(second.status.code(), Some(1), "{}", second.told());
    assert!(second.stderr.contains("topic-twins.commits says that letters of epoch"), "{}", second.told());
    broker.append(topic, &records[1_000..]);
    let fenced = running.finish(LIMIT).expect("it ends");
    assert_eq!(fenced.status.code(), Some(1), "{}", fenced.told());
    assert!(fenced.stderr.contains("another process writes as speed-layer-topic-twins"), "{}", fenced.told());
    first.set("--trigger", "available-now").summary();
    assert_eq!(places(&letters("topic-twins-dead")), bad_places(&records));
}

#[test]
fn a_topic_for_letters_that_is_not_there_refuses_the_start() {
    let broker = kafka::shared();
    broker.create_topic("topic-missing", 1, &[]).expect("a new name");
    let job = Job::new(broker, "topic-missing").pipeline(PIPELINE);
    let refused = job.run().expect("it ends");
    assert_eq!(refused.status.code(), Some(1), "{}", refused.told());
    assert!(refused.stderr.contains("topic-missing-dead does not exist"), "{}", refused.told());
    assert!(!job.path("checkpoint").exists() && !job.path("output").exists());
}
