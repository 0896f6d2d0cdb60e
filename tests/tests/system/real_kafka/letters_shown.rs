//! `host dead-letters count` and `show`: what did not get through is found by what it is, and nothing that
//! was in a record reaches the terminal as it was.

use serde_json::Value;
use speed_layer_tests::host::{Finished, Running};
use speed_layer_tests::job::{Job, LIMIT};
use speed_layer_tests::kafka;
use speed_layer_tests::ticks::{Plan, Spread};
use speed_layer_tests::topics::Record;

/// `host dead-letters WORDS` for a job.
pub fn dead_letters(job: &Job, words: &str) -> Finished {
    let words: Vec<&str> = std::iter::once("dead-letters").chain(words.split_whitespace()).collect();
    let mut command = job.command_of(&words).expect("it is built");
    Running::start(&mut command).and_then(|running| running.finish(LIMIT)).expect("it ends")
}

/// The same as JSON, of a command that succeeds.
pub fn told(job: &Job, words: &str) -> Value {
    let finished = dead_letters(job, &format!("{words} --format json"));
    assert!(finished.status.success(), "{words}: {}", finished.told());
    serde_json::from_str(&finished.stdout).expect("one JSON value")
}

/// What a terminal obeys, what is no text, what turns letters around, and what is long.
fn hostile() -> Vec<Vec<u8>> {
    let long = format!("{{\"symbol\": \"{}", "x".repeat(5_000));
    [
        &b"\x1b]0;owned\x07\x1b[2J{"[..],
        b"\xff\xfe\x00\x80",
        "\u{9b}31m \u{202e}".as_bytes(),
        long.as_bytes(),
        b"",
        b"[1]",
    ]
    .map(<[u8]>::to_vec)
    .to_vec()
}

/// A job that has met all of them, one an offset of partition 0, and a tombstone in partition 1.
fn hostile_job(topic: &str) -> Job {
    let broker = kafka::shared();
    broker.create_topic(topic, 2, &[]).expect("a new name");
    let record = |partition, value| Record {
        partition,
        key: Some(b"\x1b[31mkey".to_vec()),
        value,
        timestamp_ms: Some(1_763_640_000_000),
    };
    let all = hostile().into_iter().map(|value| record(0, Some(value))).chain([record(1, None)]);
    broker.produce(topic, "gzip", all).expect("all acknowledged");
    let job = Job::new(broker, topic).set("--name", topic);
    assert_eq!(job.summary()["records_dead_lettered"], 7);
    job
}

/// The offsets of what is shown, in its order.
fn offsets(job: &Job, words: &str) -> Vec<(i64, i64)> {
    let shown = told(job, &format!("show {words}"));
    let letters = shown["letters"].as_array().expect("a list").clone();
    let number = |letter: &Value, name: &str| letter[name].as_i64().expect("a number");
    letters.iter().map(|letter| (number(letter, "partition"), number(letter, "offset"))).collect()
}

#[test]
fn hostile_bytes_are_escaped_for_people_and_whole_for_programs() {
    let job = hostile_job("letters-hostile");
    let shown = dead_letters(&job, "show");
    assert!(shown.status.success(), "{}", shown.told());
    let wrong = |letter: &char| letter.is_control() && *letter != '\n' || *letter == '\u{202e}';
    assert_eq!(shown.stdout.chars().find(wrong), None, "{:?}", shown.stdout);
    for text in [
        "\\u{1b}]0;owned\\u{7}\\u{1b}[2J{",
        "\\xff\\xfe\\0\\x80",
        "\\u{9b}31m \\u{202e}",
        "(5012 bytes)",
        "\\u{1b}[31mkey",
        "- (none)",
        "letters-hostile/0/0",
        "2025-11-20T12:00:00.000Z",
        "7 of 7 letters",
    ] {
        assert!(shown.stdout.contains(text), "{text}: {}", shown.stdout);
    }
    let report = told(&job, "show --order offset");
    let of = |index: usize, name: &str| report["letters"][index][name].clone();
    assert_eq!(of(0, "value_base64"), "G10wO293bmVkBxtbMkp7");
    assert_eq!(of(1, "value_base64"), "//4AgA==");
    assert_eq!((of(4, "value_base64"), of(6, "value_base64")), ("".into(), Value::Null));
    assert_eq!(of(0, "key_base64"), "G1szMW1rZXk=");
    assert_eq!(of(0, "timestamp_ms"), 1_763_640_000_000_i64);
}

#[test]
fn letters_are_counted_and_found_by_what_they_are() {
    let job = hostile_job("letters-found");
    let all: Vec<(i64, i64)> = (0..6).map(|offset| (0, offset)).chain([(1, 0)]).collect();
    assert_eq!(offsets(&job, "--order offset"), all);
    assert_eq!(offsets(&job, ""), all.iter().rev().copied().collect::<Vec<_>>());
    assert_eq!(offsets(&job, "--order offset --limit 2"), all[..2]);
    assert_eq!(offsets(&job, "--kind tombstone"), [(1, 0)]);
    assert_eq!(offsets(&job, "--kind tombstone --kind empty --order offset"), [(0, 4), (1, 0)]);
    assert_eq!(offsets(&job, "--partition 0 --offset 3..5 --order offset"), [(0, 3), (0, 4)]);
    assert_eq!(offsets(&job, "--stage clock"), []);
    assert_eq!(offsets(&job, "--late"), []);
    let counted = told(&job, "count --partition 0");
    let total: u64 = counted["counts"].as_array().expect("a list").iter().map(letters).sum();
    assert_eq!((counted["letters"].as_u64(), total), (Some(6), 6), "{counted}");
    let one = told(&job, "count --kind not-an-object");
    let digest = one["counts"][0]["plugin_digest"].as_str().expect("a plugin refused it");
    assert_eq!((&one["counts"][0]["stage"], digest.len()), (&"parse".into(), 64), "{one}");
    let table = dead_letters(&job, "count");
    assert!(table.stdout.contains("tombstone") && table.stdout.contains("in all"), "{}", table.told());
    let folder = job.path("output/daily.dead-letters").display().to_string();
    let words = ["dead-letters", "count", "--dir", &folder, "--format", "json"];
    let by_folder = speed_layer_tests::host::run(&words, LIMIT).expect("it ends");
    assert!(by_folder.stdout.contains("\"letters\": 7"), "{}", by_folder.told());
}

fn letters(count: &Value) -> u64 {
    count["letters"].as_u64().expect("a number")
}

#[test]
fn late_rows_are_shown_with_the_window_that_they_missed() {
    let broker = kafka::shared();
    broker.create_topic("letters-late", 1, &[]).expect("a new name");
    let mut records = Plan { rows: 300, days: 3, ..Plan::default() }.records(1, Spread::InTurn);
    let job = Job::new(broker, "letters-late").set("--name", "letters-late");
    broker.append("letters-late", &records);
    job.summary();
    let first = records.swap_remove(0);
    broker.append("letters-late", &[first]);
    assert_eq!(job.summary()["rows_late"], 1);
    let report = told(&job, "show --late");
    let late = &report["letters"][0];
    assert_eq!((&report["matching"], &late["offset"]), (&1.into(), &300.into()), "{report}");
    assert_eq!(late["window_end_ms"].as_i64().expect("a time") % 86_400_000, 0, "{report}");
    assert!(late["late_by_ms"].as_i64().is_some_and(|late_by_ms| late_by_ms > 0), "{report}");
    assert!(dead_letters(&job, "show --late").stdout.contains("late by"));
    assert_eq!(told(&job, "count")["letters"], 0);
}

#[test]
fn what_cannot_be_shown_is_told_by_its_exit_code() {
    let job = Job::at("127.0.0.1:1", "nothing");
    for (words, code, expected) in [
        ("count", 0, "0  in all"),
        ("show", 0, "0 of 0 letters"),
        ("count --dir /no/such/folder", 1, "/no/such/folder"),
        ("show --offset 5..3", 2, "5..3"),
        ("show --limit x", 2, "--limit"),
        ("replay --per-transaction 0", 2, "--per-transaction"),
        ("replay", 1, "127.0.0.1:1"),
        ("burn", 2, "burn"),
    ] {
        let finished = dead_letters(&job, words);
        assert_eq!(finished.status.code(), Some(code), "{words}: {}", finished.told());
        assert!(finished.told().contains(expected), "{words}: {}", finished.told());
    }
}
