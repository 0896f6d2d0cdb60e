//! The last rows on stdout: those that the topic ends with, exactly, and nothing that a terminal would obey; what
//! cannot be shown is refused before anything is read.

use chrono::{DateTime, SecondsFormat};
use serde_json::Value;
use speed_layer_tests::host::Finished;
use speed_layer_tests::job::{DAILY, Job};
use speed_layer_tests::kafka;
use speed_layer_tests::ticks::{Placed, Plan, Spread};
use speed_layer_tests::topics::Record;

use super::LIMIT;

const HEAD: [&str; 5] = ["symbol", "price", "volume", "price_change_percent", "event_timestamp"];

/// The cells that the table has for a tick.
fn cells(record: &Placed) -> Vec<String> {
    let tick = record.tick.as_ref().expect("a good one");
    let time = DateTime::from_timestamp_millis(tick.event_time_ms).expect("a time");
    let percent = tick.price.zip(tick.open).map(|(price, open)| (price / open - 1.0) * 100.0);
    let numbers = [tick.price, tick.volume, percent].map(|number| Value::from(number).to_string());
    let (symbol, time) = (tick.symbol.clone(), time.to_rfc3339_opts(SecondsFormat::AutoSi, true));
    std::iter::once(symbol).chain(numbers).chain([time]).collect()
}

/// The tables of a run, each as lines of cells; its last line is the summary.
fn tables(finished: &Finished) -> Vec<Vec<Vec<String>>> {
    finished.summary().expect("it ends well");
    let (text, _) = finished.stdout.rsplit_once('\n').expect("more than the summary");
    let table = |text: &str| {
        let lines = text.lines().filter(|line| !line.is_empty());
        lines.map(|line| line.split_whitespace().map(str::to_owned).collect()).collect()
    };
    text.split("\n\n").map(table).filter(|table: &Vec<_>| !table.is_empty()).collect()
}

fn ticks(rows: usize) -> Vec<Placed> {
    Plan { rows, bad_per_million: 50_000, nulls_per_million: 50_000, ..Plan::default() }
        .records(1, Spread::InTurn)
}

#[test]
fn the_last_ten_rows_are_those_that_the_topic_ends_with() {
    let (topic, records) = ("console-last", ticks(20_000));
    kafka::shared().topic_of(topic, 1, &records);
    let job = Job::new(kafka::shared(), topic).set("--max-records-per-trigger", 7_003).and("--console", "");
    let tables = tables(&job.run().expect("it ends"));
    let last = tables.last().expect("a table");
    assert_eq!(last[0], HEAD);
    assert!(last[1].iter().all(|rule| rule.chars().all(|letter| letter == '-')), "{:?}", last[1]);
    let good: Vec<&Placed> = records.iter().filter(|record| record.tick.is_some()).collect();
    let expected: Vec<_> = good[good.len() - 10..].iter().map(|record| cells(record)).collect();
    assert_eq!(last[2..], expected);
}

#[test]
fn a_running_job_prints_what_is_new_at_every_interval_and_ends_with_its_summary() {
    let (topic, records) = ("console-running", ticks(400));
    kafka::shared().topic_of(topic, 1, &records[..200]);
    let job = Job::new(kafka::shared(), topic).set("--trigger", "100ms").and("--console=100ms", "");
    let mut running = job.start().expect("it starts");
    let last = |records: &[Placed]| {
        let last = records.iter().rfind(|record| record.tick.is_some()).expect("a good one");
        cells(last).pop().expect("a time")
    };
    running.wait_for(&last(&records[..200]), LIMIT).expect("it is printed");
    kafka::shared().append(topic, &records[200..]);
    running.wait_for(&last(&records), LIMIT).expect("it is printed");
    running.signal("TERM").expect("it runs");
    let finished = running.finish(LIMIT).expect("it ends");
    let tables = tables(&finished);
    assert!(tables.len() >= 2, "{}", finished.told());
    assert!(tables.iter().all(|table| table[0] == HEAD && table.len() <= 12), "{}", finished.told());
    assert_eq!(finished.summary().expect("one")["records_in"], records.len());
}

#[test]
fn a_file_names_columns_and_how_many_rows_and_hostile_texts_are_escaped() {
    let (broker, topic) = (kafka::shared(), "console-hostile");
    broker.create_topic(topic, 1, &[]).expect("a new name");
    let symbols = ["\x1b[2J\x1b]0;owned\x07", "a\nb", "{\"job\":1}", "\u{202e}right", "日本"];
    let records = symbols.iter().enumerate().map(|(at, symbol)| Record {
        partition: 0,
        key: None,
        value: Some(
            serde_json::json!({ "symbol": symbol, "event_time": 1_763_640_000_000_i64, "price": at })
                .to_string()
                .into_bytes(),
        ),
        timestamp_ms: None,
    });
    broker.produce(topic, "none", records).expect("all acknowledged");
    let sink = "sink = [{ type = \"console\", columns = [\"price\", \"symbol\"], rows = 4, every = \"1h\" }]";
    let job = Job::new(broker, topic).pipeline(&format!("{sink}\n{DAILY}"));
    let finished = job.set("--trigger", "available-now").run().expect("it ends");
    let tables = tables(&finished);
    let expected = [
        ["price", "symbol"],
        ["-----", "-------------"],
        ["1.0", "a\\nb"],
        ["2.0", "{\"job\":1}"],
        ["3.0", "\\u{202e}right"],
        ["4.0", "日本"],
    ];
    assert_eq!(tables, [expected.map(|line| line.map(str::to_owned).to_vec()).to_vec()]);
    assert!(!finished.stdout.contains(|letter: char| letter.is_control() && letter != '\n'));
}

#[test]
fn what_cannot_be_shown_is_refused_and_nothing_is_written() {
    let (broker, topic) = (kafka::shared(), "console-refused");
    broker.create_topic(topic, 1, &[]).expect("a new name");
    let named = |columns: &str| {
        let sink = format!("sink = [{{ type = \"console\", columns = {columns} }}]");
        Job::new(broker, topic).pipeline(&format!("{sink}\n{DAILY}"))
    };
    let both = Job::new(broker, topic).and("--console", "").set("--progress", "json");
    for (job, code, parts) in [
        (named("[\"prise\"]"), 1, &["`prise`", "did you mean `price`?", "number_trades"][..]),
        (named("[]"), 2, &["`columns` names none"]),
        (both, 2, &["--console", "--progress json"]),
    ] {
        let refused = job.run().expect("it ends");
        assert_eq!(refused.status.code(), Some(code), "{}", refused.told());
        assert!(parts.iter().all(|part| refused.stderr.contains(part)), "{}", refused.told());
        assert!(!job.path("checkpoint").exists() && refused.stdout.is_empty(), "{}", refused.told());
    }
}
