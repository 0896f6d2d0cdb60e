//! The quick and the general parser against one another, and both against serde_json, on
//! good records that were damaged by a seeded sequence.

mod common;

use common::{ALL, GOOD, Outcome, fresh, outcomes};
use serde_json::Value as Json;

/// Bytes that mean something somewhere in JSON or UTF-8.
const BYTES: &[u8] =
    b"\"\\{}[],:.-+eE0159 \t\n\r\0\x01\x0b\x1f\x7f/bntruflsa\x80\xbf\xc3\xa9\xe4\xed\xa0\xf0\xf4\xff";

/// Values that take a value's place.
const VALUES: [&str; 34] = [
    "0",
    "-0",
    "-0.0",
    "1e5",
    "1E-3",
    "null",
    "true",
    "false",
    "\"\"",
    "\"a\\n\"",
    "\"\\u00e9\"",
    "\"é中\"",
    "\"12345678\"",
    "\"1234567\"",
    "[]",
    "{}",
    "[1,{\"a\":null}]",
    "9007199254740993",
    "123456789.12345678",
    "999999999999999999",
    "9223372036854775807",
    "9223372036854775808",
    "-9223372036854775808",
    "1e400",
    "1.7976931348623157e308",
    "0.1234567890123456789",
    "00",
    "1.",
    ".5",
    "nul",
    "\"\\ud800\"",
    "12345678",
    "1234567.8",
    "-123456.75",
];

/// A seeded sequence of numbers (splitmix64).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }

    fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())]
    }
}

/// Where the values of a flat record are, roughly: between a colon and the next comma.
fn value_ranges(record: &[u8]) -> Vec<std::ops::Range<usize>> {
    let colons = (1..record.len()).filter(|&at| record[at] == b':' && record[at - 1] == b'"');
    let range = |colon: usize| {
        let rest = &record[colon + 1..];
        colon + 1..colon + 1 + rest.iter().position(|byte| b",}".contains(byte)).unwrap_or(rest.len())
    };
    colons.map(range).collect()
}

fn damage(random: &mut Random, record: &mut Vec<u8>) {
    let at = random.below(record.len().max(1));
    match random.below(8) {
        _ if record.is_empty() => record.push(random.pick(BYTES)),
        0 => record[at] = random.pick(BYTES),
        1 => record.insert(at, random.pick(BYTES)),
        2 => _ = record.remove(at),
        3 => record.truncate(at),
        4 => record[at] ^= 1 << random.below(8),
        5 => {
            let end = (at + random.below(40)).min(record.len());
            let copy = record[at..end].to_vec();
            record.splice(end..end, copy);
        }
        _ => {
            let ranges = value_ranges(record);
            if !ranges.is_empty() {
                let range = ranges[random.below(ranges.len())].clone();
                record.splice(range, random.pick(&VALUES).bytes());
            }
        }
    }
}

/// The good record as different producers write it.
fn styles() -> Vec<Vec<u8>> {
    let compact = GOOD.replace(": ", ":").replace(", ", ",");
    let indented = GOOD.replace(", ", ",\n  ").replace('{', "{\n  ").replace('}', "\n}\n");
    let without = GOOD.replace("\"open\": 91000.0, ", "").replace("{", "{\"extra\": \"é\", \"more\": 1.5, ");
    [GOOD.to_owned(), compact, indented, without].map(String::into_bytes).to_vec()
}

fn damaged(count: usize, seed: u64) -> Vec<Vec<u8>> {
    let mut random = Random(seed);
    let styles = styles();
    let one = |_| {
        let mut record = styles[random.below(styles.len())].clone();
        (0..random.below(4)).for_each(|_| damage(&mut random, &mut record));
        record
    };
    (0..count).map(one).collect()
}

#[test]
fn the_quick_parser_gives_what_the_general_one_gives() {
    let records = damaged(200_000, 1);
    let mut primed = fresh("{}", &ALL);
    let mut rows = 0;
    for chunk in records.chunks(64) {
        let values: Vec<_> = chunk.iter().map(|record| Some(record.as_slice())).collect();
        let quick = outcomes(&mut primed, &ALL, &values);
        for (value, quick) in values.iter().zip(quick) {
            let general = outcomes(&mut fresh("{}", &ALL), &ALL, &[*value]).remove(0);
            rows += usize::from(matches!(general, Outcome::Row(_)));
            assert_eq!(quick, general, "{}", String::from_utf8_lossy(value.unwrap()));
        }
    }
    assert!((60_000..160_000).contains(&rows), "{rows}");
}

#[test]
fn rejects_do_not_depend_on_what_is_wanted() {
    let records = damaged(50_000, 2);
    let mut parsers =
        [vec![], vec![0, 1, 2], vec![3, 8, 11], ALL.to_vec()].map(|wanted| (fresh("{}", &wanted), wanted));
    for chunk in records.chunks(64) {
        let values: Vec<_> = chunk.iter().map(|record| Some(record.as_slice())).collect();
        let rejects = parsers.each_mut().map(|(parser, wanted)| {
            let outcomes = outcomes(parser, wanted, &values);
            outcomes
                .into_iter()
                .map(|outcome| matches!(outcome, Outcome::Reject(..)).then_some(outcome))
                .collect::<Vec<_>>()
        });
        assert!(rejects.iter().all(|other| *other == rejects[0]));
    }
}

/// The columns of a record that serde_json takes for an object of the twelve fields.
fn by_serde(record: &[u8]) -> Result<Json, String> {
    let json: Json = serde_json::from_slice(record).map_err(|error| error.to_string())?;
    if json.is_object() { Ok(json) } else { Err("not an object".to_owned()) }
}

/// The same values; -0 is an integer to us and a float to serde_json.
fn agrees(row: &Json, theirs: &Json) -> bool {
    let Json::Object(row) = row else { return false };
    row.iter().all(|(name, ours)| match (ours, &theirs[name]) {
        (Json::Number(a), Json::Number(b)) if a.is_f64() => {
            a.as_f64().map(f64::to_bits) == b.as_f64().map(f64::to_bits)
        }
        (Json::Number(a), Json::Number(b)) if b.is_f64() => (a.as_i64(), b.as_f64()) == (Some(0), Some(0.0)),
        (ours, theirs) => ours == theirs,
    })
}

#[test]
fn what_is_json_and_what_it_holds_is_what_serde_json_says() {
    let grammar = ["malformed-json", "trailing-data", "not-an-object", "invalid-utf8", "empty"];
    for record in damaged(200_000, 3) {
        let ours = outcomes(&mut fresh("{}", &ALL), &ALL, &[Some(&record)]).remove(0);
        let shown = String::from_utf8_lossy(&record);
        match (ours, by_serde(&record)) {
            (Outcome::Row(row), Ok(theirs)) => {
                assert!(agrees(&row, &theirs), "{shown}: {row} is not {theirs}")
            }
            (Outcome::Row(_), Err(error)) => {
                assert!(error.starts_with("number out of range"), "{shown}: {error}")
            }
            (Outcome::Reject(kind, message), Ok(_)) => {
                assert!(!grammar.contains(&kind.as_str()), "{shown}: {kind}, {message}");
            }
            (Outcome::Reject(..), Err(_)) => {}
        }
    }
}

#[test]
fn a_good_record_cut_off_anywhere_is_malformed() {
    for record in styles() {
        let whole = record.trim_ascii_end().len();
        for end in 1..whole {
            let alone = outcomes(&mut fresh("{}", &ALL), &ALL, &[Some(&record[..end])]).remove(0);
            let after =
                outcomes(&mut fresh("{}", &ALL), &ALL, &[Some(&record), Some(&record[..end]), Some(&record)]);
            assert!(
                matches!(&alone, Outcome::Reject(kind, _) if kind == "malformed-json"),
                "{end}: {alone:?}"
            );
            assert_eq!(after[1], alone);
        }
    }
}
