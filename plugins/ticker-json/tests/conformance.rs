//! Every case of `tests/conformance/parse.ndjson`, alone and after a good record.

mod common;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use common::{ALL, Outcome, fresh, outcomes};
use serde_json::Value as Json;

const CASES: &str = include_str!("../../../tests/conformance/parse.ndjson");

fn cases() -> Vec<Json> {
    CASES.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn decoded(case: &Json) -> Option<Vec<u8>> {
    case["value_base64"].as_str().map(|text| BASE64_STANDARD.decode(text).unwrap())
}

/// The value that `made` describes.
fn make(made: &str, good: &[u8]) -> Vec<u8> {
    let words: Vec<&str> = made.split(' ').collect();
    let good = std::str::from_utf8(good).unwrap();
    let text = match words[..] {
        ["nested", count] => {
            let count = count.parse().unwrap();
            format!("{},\"x\":{}{}}}", &good[..good.len() - 1], "[".repeat(count), "]".repeat(count))
        }
        ["nested", "open", count] => format!("{{\"x\":{}", "[".repeat(count.parse().unwrap())),
        ["price", "of", count, "digits"] => good.replace("92000.5", &"1".repeat(count.parse().unwrap())),
        ["timestamp", "of", count, "y"] => {
            good.replace("2025-12-03T00:00:00.123000", &"y".repeat(count.parse().unwrap()))
        }
        _ => panic!("nobody knows how to make {made:?}"),
    };
    text.into_bytes()
}

/// The row that is expected; a made timestamp is written out.
fn expected_row(case: &Json) -> Json {
    let mut row = case["row"].clone();
    if row["timestamp"].is_object() {
        row["timestamp"] = "y".repeat(1_000_000).into();
    }
    row
}

fn check(case: &Json, outcome: &Outcome, how: &str) {
    let name = &case["name"];
    match outcome {
        Outcome::Row(row) => {
            assert_ne!(case["expect"], "reject", "{name} {how}: {row}");
            assert_eq!(row.to_string(), expected_row(case).to_string(), "{name} {how}");
        }
        Outcome::Reject(kind, message) => {
            assert_eq!(case["expect"], "reject", "{name} {how}: {message}");
            assert_eq!(case["kind"], kind.as_str(), "{name} {how}: {message}");
        }
    }
}

#[test]
fn every_case_becomes_what_it_says() {
    let cases = cases();
    let good = decoded(&cases[0]).unwrap();
    assert!(cases.len() >= 96 + 40);
    for case in &cases {
        let value = case["value_made"].as_str().map(|made| make(made, &good)).or_else(|| decoded(case));
        let value = value.as_deref();
        check(case, &outcomes(&mut fresh("{}", &ALL), &ALL, &[value])[0], "alone");
        let after = outcomes(&mut fresh("{}", &ALL), &ALL, &[Some(&good), value, Some(&good)]);
        check(case, &after[1], "after a good record");
        assert!(matches!((&after[0], &after[2]), (Outcome::Row(_), Outcome::Row(_))), "{}", case["name"]);
        let unwanted = outcomes(&mut fresh("{}", &[]), &[], &[Some(&good), value, Some(&good)]);
        let kind = |outcome: &Outcome| match outcome {
            Outcome::Row(_) => None,
            Outcome::Reject(kind, message) => Some((kind.clone(), message.clone())),
        };
        assert_eq!(kind(&after[1]), kind(&unwanted[1]), "{} with no column wanted", case["name"]);
    }
}
