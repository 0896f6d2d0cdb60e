//! docs/security.md names the tests that show what each kind of hostile plugin comes to: they are there.

use std::fs;

use speed_layer_tests::places::root;

use crate::files::{assert_none, rust};

/// The tests in the last column of the table of cases, whose rows begin with their number.
fn named_tests(text: &str) -> Vec<String> {
    let rows = text
        .lines()
        .filter(|line| line.strip_prefix("| ").is_some_and(|rest| rest.starts_with(char::is_numeric)));
    let last = rows.filter_map(|row| row.trim_end_matches(" |").rsplit(" | ").next());
    let quoted = last.flat_map(|cell| cell.split('`').skip(1).step_by(2));
    quoted.filter(|name| name.contains('_')).map(str::to_owned).collect()
}

#[test]
fn the_tests_of_hostile_plugins_that_are_documented_are_there() {
    let named = named_tests(&fs::read_to_string(root().join("docs/security.md")).expect("docs/security.md"));
    assert!(named.len() > 30, "{named:?}");
    let sources = rust();
    let is_there = |name: &String| sources.iter().any(|file| file.text.contains(&format!("fn {name}()")));
    assert_none(named.into_iter().filter(|name| !is_there(name)).map(|name| format!("{name} is no test")));
}

#[test]
fn names_of_tests_are_found_in_a_table() {
    let table =
        "| # | case | test |\n|---|---|---|\n| 1 | a `b_c` | R `one_two`, `three` |\n| 28 | none | |\n";
    assert_eq!(named_tests(table), ["one_two"]);
}
