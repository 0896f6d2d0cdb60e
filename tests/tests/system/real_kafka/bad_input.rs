//! Records as a topic should not have them: a table whose lines each have a topic and a run of the program to
//! themselves. After each line the account must add up, every record must have gone where the table says, and
//! the dead letters must be those records, with their bytes and the reason.

use std::process::Command;

use serde_json::Value;
use speed_layer_tests::job::Job;
use speed_layer_tests::kafka;
use speed_layer_tests::letters::Letter;
use speed_layer_tests::places;
use speed_layer_tests::table::Value as Cell;
use speed_layer_tests::topics::Record;

use super::{DAY_MS, HOUR_MS};

/// 2025-11-20, noon.
const NOON_MS: i64 = 1_763_640_000_000;

/// Where a record must go.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fate {
    Aggregated,
    Late,
    /// The dead letter's kind, and what its message must hold.
    Dead(&'static str, &'static str),
}
use Fate::{Aggregated, Dead, Late};

struct Given {
    value: Option<Vec<u8>>,
    timestamp_ms: Option<i64>,
    fate: Fate,
}

/// What one line of the table gives to the program between two good records, which are at noon of the first day
/// and of the third.
struct Line {
    name: &'static str,
    given: Vec<Given>,
    /// Each record is committed before the next is taken in.
    one_by_one: bool,
    /// What else must hold then.
    then: fn(&Job),
}

fn line(name: &'static str, given: Vec<Given>) -> Line {
    Line { name, given, one_by_one: false, then: |_| {} }
}

fn given(value: impl Into<Vec<u8>>, fate: Fate) -> Given {
    Given { value: Some(value.into()), timestamp_ms: None, fate }
}

/// A good tick with the raw text of one field written over, or left out where that is empty.
fn tick_with(field: &str, raw: &str) -> String {
    let noon = NOON_MS.to_string();
    let fields = [
        ("symbol", "\"A\""),
        ("event_time", noon.as_str()),
        ("price", "2.0"),
        ("open", "1.0"),
        ("high", "3.0"),
        ("low", "0.5"),
        ("volume", "4.0"),
        ("quote_volume", "8.0"),
        ("number_trades", "3"),
    ];
    let written = fields.into_iter().map(|(name, usual)| (name, if name == field { raw } else { usual }));
    let written = written.filter(|(_, raw)| !raw.is_empty()).map(|(name, raw)| format!("\"{name}\":{raw}"));
    format!("{{{}}}", written.collect::<Vec<_>>().join(","))
}

fn tick() -> String {
    tick_with("", "")
}

fn at(event_time_ms: i64) -> String {
    tick_with("event_time", &event_time_ms.to_string())
}

/// A good tick with one more field, which nobody reads.
fn tick_and(field: &str) -> String {
    tick().replacen('{', &format!("{{{field},"), 1)
}

fn no_value() -> Vec<Given> {
    let tombstone = Given { value: None, timestamp_ms: None, fate: Dead("tombstone", "no value") };
    vec![tombstone, given("", Dead("empty", "")), given(" \n\t", Dead("empty", ""))]
}

fn of_bytes(bytes: usize) -> String {
    let padding = bytes - tick_and(r#""padding":"""#).len();
    tick_and(&format!(r#""padding":"{}""#, "x".repeat(padding)))
}

/// A fetch asks for half a megabyte of a partition; Kafka's usual greatest message is a megabyte.
fn sizes() -> Vec<Given> {
    [500_000, 524_288, 1_000_000, 1_048_576, 3_000_000]
        .map(|bytes| given(of_bytes(bytes), Aggregated))
        .into_iter()
        .chain([given("x".repeat(3_000_000), Dead("malformed-json", "byte 0"))])
        .collect()
}

fn no_text() -> Vec<Given> {
    let raw = |symbol: &[u8]| {
        let tick = tick();
        let (before, after) = tick.split_once("\"A\"").expect("the symbol");
        [before.as_bytes(), b"\"", symbol, b"\"", after.as_bytes()].concat()
    };
    let utf16 = [vec![0xFF, 0xFE], tick().encode_utf16().flat_map(u16::to_le_bytes).collect()].concat();
    vec![
        given(raw(b"BT\xFF\xFEUSDT"), Dead("invalid-utf8", "byte")),
        given(raw(b"overlong \xC0\xAF"), Dead("invalid-utf8", "byte")),
        given(raw(b"\\ud83d"), Dead("invalid-utf8", "")),
        given(b"\xFF".to_vec(), Dead("malformed-json", "byte 0")),
        given(format!("\u{feff}{}", tick()), Dead("malformed-json", "byte 0")),
        given(utf16, Dead("malformed-json", "byte 0")),
        given(raw(b"N\0L"), Dead("malformed-json", "byte")),
        given("\0", Dead("malformed-json", "byte 0")),
        given(raw("漢🦀".as_bytes()), Aggregated),
    ]
}

fn nested() -> Vec<Given> {
    let deep = |depth: usize| tick_and(&format!(r#""x":{}{}"#, "[".repeat(depth), "]".repeat(depth)));
    vec![
        given(deep(60), Aggregated),
        given(deep(65), Dead("malformed-json", "nested")),
        given(deep(10_000), Dead("malformed-json", "nested")),
        given("[".repeat(10_000), Dead("not-an-object", "")),
        given(format!(r#"{{"a":{}"#, r#"{"a":"#.repeat(10_000)), Dead("malformed-json", "nested")),
    ]
}

fn names_twice() -> Vec<Given> {
    vec![
        given(tick_and(r#""symbol":"first""#), Aggregated),
        given(tick_and(r#""price":"text""#), Dead("wrong-type", "price")),
        given(tick_and(r#""Price":"another name""#), Aggregated),
    ]
}

fn numbers() -> Vec<Given> {
    vec![
        given(tick_with("price", "1e400"), Dead("out-of-range", "price")),
        given(tick_with("price", "-1e400"), Dead("out-of-range", "price")),
        given(tick_with("price", "NaN"), Dead("malformed-json", "byte")),
        given(tick_with("price", "-Infinity"), Dead("malformed-json", "byte")),
        given(tick_with("price", "\"2.0\""), Dead("wrong-type", "price")),
        given(tick_with("price", "4.9e-324"), Aggregated),
        given(tick_with("low", "-0.0"), Aggregated),
        given(tick_with("number_trades", "9007199254740993"), Aggregated),
        given(tick_with("number_trades", "9223372036854775808"), Dead("out-of-range", "number_trades")),
        given(tick_with("number_trades", "1.5"), Dead("wrong-type", "number_trades")),
    ]
}

/// 2^53 + 1 is counted to the last digit; the other good ticks have three trades each.
fn trades_are_exact(job: &Job) {
    let table = job.table();
    let trades = table.values().next().and_then(|row| row.get("total_trades"));
    assert!(matches!(trades, Some(Cell::Int(9_007_199_254_741_002))), "{trades:?}");
}

fn event_times() -> Vec<Given> {
    let time = |raw: &str, fate| given(tick_with("event_time", raw), fate);
    vec![
        time("", Dead("missing-event-time", "event_time")),
        time("null", Dead("missing-event-time", "event_time")),
        time("\"1763640000000\"", Dead("wrong-type", "event_time")),
        time("1.76364e12", Dead("wrong-type", "event_time")),
        time("true", Dead("wrong-type", "event_time")),
        time("-1", Dead("before-min-event-time", "-1")),
        time("0", Dead("before-min-event-time", "0")),
        time("-9223372036854775808", Dead("before-min-event-time", "")),
        time("9223372036854775807", Dead("beyond-max-future-skew", "")),
        time("9223372036854775808", Dead("out-of-range", "event_time")),
        time("915148800000", Dead("before-min-event-time", "915148800000")),
        time(&(NOON_MS / 1_000).to_string(), Dead("before-min-event-time", "seconds")),
        time(&(NOON_MS * 1_000).to_string(), Dead("beyond-max-future-skew", "microseconds")),
        time("4102444800000", Dead("beyond-max-future-skew", "4102444800000")),
    ]
}

/// Clocks ten minutes wrong, and four.
fn skewed() -> Vec<Given> {
    let now_ms = chrono::Utc::now().timestamp_millis();
    vec![
        given(at(now_ms + 10 * 60_000), Dead("beyond-max-future-skew", "beyond")),
        given(at(now_ms + 4 * 60_000), Aggregated),
        given(at(now_ms - 10 * 60_000), Aggregated),
    ]
}

/// The producer's own timestamps prove nothing and decide nothing.
fn record_timestamps() -> Vec<Given> {
    let far_ms = 4_102_444_800_000;
    [1, NOON_MS, far_ms].map(|ms| Given { timestamp_ms: Some(ms), ..given(tick(), Aggregated) }).into()
}

/// The end of a leap second's day, and the hour that Europe had twice.
fn odd_hours() -> Vec<Given> {
    [1_483_228_799_999, 1_483_228_800_000, 1_761_438_600_000, 1_761_442_200_000]
        .map(|ms| given(at(ms), Aggregated))
        .into()
}

/// The first day is closed once the third has come to an hour after its beginning.
fn out_of_order() -> Vec<Given> {
    let third_ms = NOON_MS - 12 * HOUR_MS + 2 * DAY_MS;
    vec![
        given(at(NOON_MS + DAY_MS), Aggregated),
        given(at(NOON_MS + HOUR_MS), Late),
        given(at(third_ms + HOUR_MS - 1), Aggregated),
        given(at(third_ms - 1), Aggregated),
        given(at(third_ms + HOUR_MS), Aggregated),
        given(at(third_ms - 1), Late),
        given(at(third_ms), Aggregated),
    ]
}

fn broken() -> Vec<Given> {
    let whole = tick();
    vec![
        given(&whole[..whole.len() - 1], Dead("malformed-json", "byte")),
        given(&whole[..30], Dead("malformed-json", "byte")),
        given(format!("{whole} {whole}"), Dead("trailing-data", "byte")),
        given("[1, 2]", Dead("not-an-object", "")),
        given("null", Dead("not-an-object", "")),
        given(whole.replace('"', "'"), Dead("malformed-json", "byte")),
        given(b"\x00\x00\x00\x00\x05avro".to_vec(), Dead("malformed-json", "byte 0")),
    ]
}

fn keys() -> Vec<Given> {
    let key = |key: &str, fate| given(tick_with("symbol", &Value::from(key).to_string()), fate);
    let unpathable = Dead("key-unpathable", "symbol");
    ["..", "../../etc/passwd", "/", "%", "a=b", "A", "a", "漢", "N\0L"]
        .map(|text| key(text, Aggregated))
        .into_iter()
        .chain([
            given(tick_with("symbol", "null"), Aggregated),
            given(tick_with("symbol", ""), Aggregated),
            key(&"x".repeat(248), Aggregated),
            key("", unpathable),
            key("__HIVE_DEFAULT_PARTITION__", unpathable),
            key(&"x".repeat(249), unpathable),
            key(&"/".repeat(100), unpathable),
            key(&"x".repeat(300), unpathable),
        ])
        .collect()
}

fn table() -> Vec<Line> {
    vec![
        line("no value", no_value()),
        line("sizes", sizes()),
        line("no text", no_text()),
        line("nested", nested()),
        line("names twice", names_twice()),
        Line { then: trades_are_exact, ..line("numbers", numbers()) },
        line("event times", event_times()),
        line("skewed clocks", skewed()),
        line("record timestamps", record_timestamps()),
        line("odd hours", odd_hours()),
        Line { one_by_one: true, ..line("out of order", out_of_order()) },
        line("broken", broken()),
        line("keys", keys()),
    ]
}

/// The digest that `inspect` must also tell, by another program.
fn sha256(plugin: &str) -> String {
    let output = Command::new("sha256sum").arg(places::plugin(plugin)).output().expect("coreutils");
    String::from_utf8_lossy(&output.stdout).split_whitespace().next().unwrap_or_default().to_owned()
}

fn check_letter(about: &str, topic: &str, offset: i64, given: &Given, letter: &Letter) {
    let Dead(kind, message) = given.fate else { panic!("{about}: offset {offset} should be no dead letter") };
    let (stage, plugin) = match kind {
        "before-min-event-time" | "beyond-max-future-skew" => ("clock", "ticker_json"),
        "key-unpathable" => ("aggregate", "ohlcv"),
        _ => ("parse", "ticker_json"),
    };
    let found = (letter.topic.as_str(), letter.partition, letter.offset, letter.kind.as_str());
    assert_eq!(found, (topic, 0, offset, kind), "{about}: {}", letter.message);
    assert_eq!(letter.stage, stage, "{about}, offset {offset}");
    assert!(
        letter.message.contains(message) && !letter.message.is_empty(),
        "{about}, offset {offset}: {:?}",
        letter.message
    );
    assert_eq!(letter.aggregate.is_some(), stage == "aggregate", "{about}, offset {offset}");
    assert_eq!(letter.plugin_digest, Some(sha256(plugin)), "{about}, offset {offset}");
    assert_eq!(letter.key.as_deref(), Some(&b"the key"[..]), "{about}, offset {offset}");
    assert!(letter.value == given.value, "{about}, offset {offset}: other bytes");
}

/// `in = aggregated + late + dead-lettered`, and each is what the table says.
fn check_account(line: &Line, records: &[Given], summary: &Value) {
    let count = |is: fn(&Fate) -> bool| records.iter().filter(|given| is(&given.fate)).count();
    let (late, dead) = (count(|fate| *fate == Late), count(|fate| matches!(fate, Dead(..))));
    let expected = [
        ("records_in", records.len()),
        ("rows_aggregated", count(|fate| *fate == Aggregated)),
        ("rows_late", late),
        ("records_dead_lettered", dead),
    ];
    for (term, expected) in expected {
        assert_eq!(summary[term], expected, "{}, {term}: {summary}", line.name);
    }
}

fn check(line: Line) {
    let broker = kafka::shared();
    let topic = format!("bad-input-{}", line.name.replace(' ', "-"));
    let any = i64::MAX.to_string();
    let config = [("max.message.bytes", "10000000"), ("message.timestamp.after.max.ms", any.as_str())];
    broker.create_topic(&topic, 1, &config).expect("a new name");
    let mut line = line;
    let mut records = vec![given(at(NOON_MS), Aggregated)];
    records.append(&mut line.given);
    records.push(given(at(NOON_MS + 2 * DAY_MS), Aggregated));
    let written = records.iter().map(|given| Record {
        partition: 0,
        key: Some(b"the key".to_vec()),
        value: given.value.clone(),
        timestamp_ms: given.timestamp_ms,
    });
    broker.produce(&topic, "none", written).expect("all acknowledged");
    let job = Job::new(broker, &topic);
    let job = if line.one_by_one { job.set("--max-records-per-trigger", 1) } else { job };
    check_account(&line, &records, &job.summary());
    let set_aside = |is: fn(&Fate) -> bool| {
        let numbered = (0..).zip(&records).filter(move |(_, given)| is(&given.fate));
        numbered.collect::<Vec<(i64, &Given)>>()
    };
    let (dead, letters) = (set_aside(|fate| matches!(fate, Dead(..))), job.dead_letters());
    assert_eq!(letters.len(), dead.len(), "{}", line.name);
    for ((offset, given), letter) in dead.into_iter().zip(&letters) {
        check_letter(line.name, &topic, offset, given, letter);
    }
    let late: Vec<i64> = job.late().iter().map(|letter| letter.offset).collect();
    let expected: Vec<i64> = set_aside(|fate| *fate == Late).into_iter().map(|(offset, _)| offset).collect();
    assert_eq!(late, expected, "{}", line.name);
    assert!(!job.table().is_empty(), "{}: the stream goes on, the first day is closed", line.name);
    (line.then)(&job);
}

#[test]
fn every_bad_record_goes_where_the_table_says_and_the_account_adds_up() {
    table().into_iter().for_each(check);
}
