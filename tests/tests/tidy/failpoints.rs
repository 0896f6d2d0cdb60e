//! The list of failpoints and the places in the code that bear their names.

use std::collections::BTreeMap;
use std::fs;

use speed_layer_tests::places::root;

use crate::files::{assert_none, rust};

const LIST: &str = "host/failpoints/points.rs";
const CALL: &str = "fail_point(";

/// The names between quotes.
fn quoted(text: &str) -> Vec<String> {
    text.split('"').skip(1).step_by(2).map(str::to_owned).collect()
}

/// The names that a source passes to `fail_point`.
fn passed(source: &str) -> Vec<String> {
    let calls = source.split(CALL).skip(1);
    calls.flat_map(|rest| quoted(rest.split(')').next().unwrap_or_default())).collect()
}

fn complaints(listed: &[String], in_code: &[String]) -> Vec<String> {
    let mut times: BTreeMap<&String, usize> = listed.iter().map(|name| (name, 0)).collect();
    for name in in_code {
        *times.entry(name).or_default() += 1;
    }
    let mut told: Vec<String> = listed
        .iter()
        .filter(|name| times[name] != 1)
        .map(|name| format!("{name} is in {LIST} and {} times in the code", times[name]))
        .collect();
    let unlisted = in_code.iter().filter(|name| !listed.contains(name));
    told.extend(unlisted.map(|name| format!("{name} is in the code and not in {LIST}")));
    told
}

#[test]
fn every_failpoint_is_listed_and_stands_at_one_place() {
    let listed = quoted(&fs::read_to_string(root().join(LIST)).expect(LIST));
    assert!(listed.len() >= 30, "{listed:?}");
    let sources = rust();
    let product = sources.iter().filter(|file| file.path.starts_with("host/") && file.path.contains("/src/"));
    let in_code: Vec<String> = product.flat_map(|file| passed(&file.text)).collect();
    assert_none(complaints(&listed, &in_code));
}

#[test]
fn a_point_that_is_not_listed_or_not_there_is_seen() {
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    let source = "fail_point(\"a.b\");\nfail_point(if x { \"c.d\" } else { \"e.f\" });\n";
    assert_eq!(passed(source), names(&["a.b", "c.d", "e.f"]));
    assert_eq!(complaints(&names(&["a.b"]), &names(&["a.b"])).len(), 0);
    assert_eq!(complaints(&names(&["a.b"]), &names(&["a.c"])).len(), 2);
    assert_eq!(complaints(&names(&["a.b"]), &names(&["a.b", "a.b"])).len(), 1);
}
