//! Records of other fields, messages, and what a batch's edges do.

mod common;

use common::{ALL, GOOD, Outcome, fresh, outcomes};
use serde_json::json;

const READING: &str = r#"{"fields": [
    {"name": "at", "type": "s64"}, {"name": "level", "type": "f32"}, {"name": "count", "type": "s32"},
    {"name": "ok", "type": "boolean"}, {"name": "note", "type": "utf8"}], "event_time": "at"}"#;

/// Each record after a whole one and before another, so that the quick parser sees it.
fn check(config: &str, wanted: &[u32], record: &str, expected: Outcome) {
    let whole = r#"{"at":1,"level":0.5,"count":2,"ok":true,"note":"x"}"#.as_bytes();
    let values = [Some(whole), Some(record.as_bytes()), Some(whole)];
    assert_eq!(outcomes(&mut fresh(config, wanted), wanted, &values)[1], expected, "{record}");
    assert_eq!(outcomes(&mut fresh(config, wanted), wanted, &values[1..2])[0], expected, "{record} alone");
}

fn reject(kind: &str, message: &str) -> Outcome {
    Outcome::Reject(kind.to_owned(), message.to_owned())
}

#[test]
fn every_type_is_read_and_refused() {
    let wanted = [0, 1, 2, 3, 4];
    let row = |at: i64, level: f32, count: i32, ok: bool, note: &str| {
        Outcome::Row(json!({"at": at, "level": level, "count": count, "ok": ok, "note": note}))
    };
    let check = |record, expected| check(READING, &wanted, record, expected);
    check(r#"{"at":7,"level":0.1,"count":-3,"ok":false,"note":"né"}"#, row(7, 0.1, -3, false, "né"));
    check(
        r#"{"at":7,"level":16777217,"count":2147483647,"ok":true,"note":"12345678"}"#,
        row(7, 16777216.0, i32::MAX, true, "12345678"),
    );
    let too_large =
        reject("out-of-range", "in the field \"count\" at byte 28: `2147483648` is too large for s32");
    check(r#"{"at":7,"level":0.1,"count":2147483648,"ok":false,"note":""}"#, too_large);
    let too_large =
        reject("out-of-range", "in the field \"level\" at byte 16: `3.5e38` is too large for f32");
    check(r#"{"at":7,"level":3.5e38,"count":1,"ok":false,"note":""}"#, too_large);
    let number = reject(
        "wrong-type",
        "in the field \"ok\" at byte 36: expected true or false, found `0,\"note\":\"\"}`",
    );
    check(r#"{"at":7,"level":0.1,"count":1,"ok": 0,"note":""}"#, number);
    let missing = reject("missing-event-time", "the field \"at\", the event time, is missing or null");
    check(r#"{"at":null,"level":0.1,"count":1,"ok":true,"note":""}"#, missing);
}

#[test]
fn without_an_event_time_any_object_is_a_row() {
    let config =
        READING.replace("\"at\"}", "null}").replace("\"event_time\": \"at\"", "\"event_time\": null");
    let nothing = json!({"at": null, "count": null});
    check(&config, &[0, 2], "{}", Outcome::Row(nothing.clone()));
    check(
        &config,
        &[0, 2],
        r#"{"at":null,"level":null,"count":null,"ok":null,"note":null}"#,
        Outcome::Row(nothing),
    );
}

#[test]
fn a_message_names_the_place_the_field_and_what_was_found_in_bounded_length() {
    let record = GOOD.replace("92000.5", &format!("\"{}\"", "9".repeat(5_000)));
    let found = outcomes(&mut fresh("{}", &ALL), &ALL, &[Some(record.as_bytes())]).remove(0);
    let expected =
        format!("in the field \"price\" at byte 60: expected a number, found `\"{}…`", "9".repeat(39));
    assert_eq!(found, reject("wrong-type", &expected));
}

#[test]
fn nulls_of_a_record_that_is_given_up_do_not_stay() {
    let first = GOOD.replace("92000.5", "null");
    let longer = first.replace('}', ", \"x\": 1}");
    let whole = GOOD.replace('}', ", \"x\": [1]}");
    let values = [GOOD, &first, &longer, &whole, GOOD].map(|record| Some(record.as_bytes()));
    let prices: Vec<_> = outcomes(&mut fresh("{}", &[2]), &[2], &values);
    let expected = [json!(92000.5), json!(null), json!(null), json!(92000.5), json!(92000.5)];
    assert_eq!(prices, expected.map(|price| Outcome::Row(json!({"price": price}))));
}

#[test]
fn records_of_many_shapes_are_all_read() {
    let keys = |seed: usize| (0..12).map(move |i| (i * 5 + seed) % 12);
    let names = ["symbol", "event_time", "price", "open", "high", "low"];
    let shape = |seed: usize| {
        let members = keys(seed).filter_map(|i| names.get(i)).map(|name| match *name {
            "symbol" => "\"symbol\":\"é\\n\"".to_owned(),
            other => format!("\"{other}\":{seed}"),
        });
        format!("{{{}}}", members.collect::<Vec<_>>().join(","))
    };
    let records: Vec<String> = (0..100).map(|i| shape(i % 12)).collect();
    let values: Vec<_> = records.iter().map(|record| Some(record.as_bytes())).collect();
    for (seed, outcome) in outcomes(&mut fresh("{}", &[0, 5]), &[0, 5], &values).into_iter().enumerate() {
        assert_eq!(outcome, Outcome::Row(json!({"symbol": "é\n", "low": (seed % 12) as f64})));
    }
}
