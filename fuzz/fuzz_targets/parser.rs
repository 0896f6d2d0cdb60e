//! The parser guest as a native library: the quick parser against the general one, both against serde_json, and the
//! contract's clauses on where rows come from.
//!
//! The input's first byte chooses the settings; the records follow, divided by [`DIVIDER`].

#![no_main]

use libfuzzer_sys::fuzz_target;
use serde_json::Value as Json;
use speed_layer_sdk::parse::Parsed;
use speed_layer_sdk::prelude::*;

#[path = "../../plugins/ticker-json/tests/common/mod.rs"]
mod common;

use common::{ALL, Outcome, batch, fresh, outcomes};

/// ASCII's record separator, as text sequences of JSON have it.
const DIVIDER: u8 = 0x1e;
const RECORDS_MAX: usize = 16;

const EVERY_TYPE: &str = r#"{"fields": [{"name": "b", "type": "boolean"}, {"name": "i", "type": "s32"},
    {"name": "l", "type": "s64"}, {"name": "f", "type": "f32"}, {"name": "d", "type": "f64"},
    {"name": "t", "type": "utf8"}], "event_time": null}"#;

/// The kinds that say that a record is no JSON object.
const GRAMMAR: [&str; 5] = ["malformed-json", "trailing-data", "not-an-object", "invalid-utf8", "empty"];

fuzz_target!(|input| check(input));

fn check(input: &[u8]) {
    let Some((choice, records)) = input.split_first() else { return };
    let records: Vec<Option<&[u8]>> =
        records.split(|byte| *byte == DIVIDER).take(RECORDS_MAX).map(Some).collect();
    let (config, wanted): (&str, &[u32]) = match choice % 4 {
        0 => ("{}", &ALL),
        1 => (EVERY_TYPE, &ALL[..6]),
        2 => ("{}", &[0, 1, 8]),
        _ => (EVERY_TYPE, &[]),
    };
    check_origins(config, wanted, &records);
    let together = outcomes(&mut fresh(config, wanted), wanted, &records);
    for (record, outcome) in records.iter().flatten().zip(together) {
        let alone = outcomes(&mut fresh(config, wanted), wanted, &[Some(record)]).remove(0);
        assert_eq!(outcome, alone, "{}", record.escape_ascii());
        check_meaning(record, &alone);
    }
}

/// Each record gives a row or is rejected, and no other record does.
fn check_origins(config: &str, wanted: &[u32], records: &[Option<&[u8]>]) {
    let context = Context { epoch: 1, closed_through_ms: None, epoch_began_ms: 0 };
    let parsed = fresh(config, wanted).parse(&context, batch(records)).expect("a batch is parsed");
    let Parsed { rows, records: kept, rejects } = parsed;
    let kept = kept.unwrap_or_else(|| (0..rows.rows).collect());
    assert_eq!(kept.len(), rows.rows as usize);
    assert_eq!(rows.columns.len(), wanted.len());
    assert!(kept.is_sorted() && rejects.rows.is_sorted());
    let mut all: Vec<u32> = kept.into_iter().chain(rejects.rows).collect();
    all.sort_unstable();
    assert!(all.into_iter().eq(0..records.len() as u32));
}

/// What is JSON, and what it holds, is what serde_json says; but that we nest less deeply, and know numbers
/// that it finds out of range.
fn check_meaning(record: &[u8], ours: &Outcome) {
    let theirs: Result<Json, _> = serde_json::from_slice(record);
    match (ours, theirs) {
        (Outcome::Row(row), Ok(theirs)) => {
            assert!(theirs.is_object(), "{}", record.escape_ascii());
            assert!(agrees(row, &theirs), "{}: {row} is not {theirs}", record.escape_ascii());
        }
        (Outcome::Row(_), Err(error)) => {
            assert!(
                error.to_string().starts_with("number out of range"),
                "{}: {error}",
                record.escape_ascii()
            );
        }
        (Outcome::Reject(kind, message), Ok(theirs)) => {
            let is_refused_as_text =
                GRAMMAR.contains(&kind.as_str()) && !message.contains("nested more than");
            assert!(
                !theirs.is_object() || !is_refused_as_text,
                "{}: {kind}, {message}",
                record.escape_ascii()
            );
        }
        (Outcome::Reject(..), Err(_)) => {}
    }
}

/// The same values; -0 is an integer to us and a float to serde_json.
fn agrees(row: &Json, theirs: &Json) -> bool {
    let Json::Object(row) = row else { return false };
    row.iter().all(|(name, ours)| match (ours, &theirs[name]) {
        (Json::Number(a), Json::Number(b)) if a.is_f64() => {
            let (Some(a), Some(b)) = (a.as_f64(), b.as_f64()) else { return false };
            a.to_bits() == b.to_bits() || a as f32 == b as f32 && f64::from(a as f32) == a
        }
        (Json::Number(a), Json::Number(b)) if b.is_f64() => (a.as_i64(), b.as_f64()) == (Some(0), Some(0.0)),
        (ours, theirs) => ours == theirs,
    })
}
