//! How long functions are.

use crate::files::{assert_none, rust};
use crate::rust_text::{code_only, item_length};

const FUNCTION_LINES_MAX: usize = 70;
const MEDIAN_LINES_MAX: usize = 10;

/// A function's name and how many lines it has, from `fn` to its closing brace.
fn functions(source: &str) -> Vec<(String, usize)> {
    let code = code_only(source);
    let starts = code.match_indices("fn ").filter(|(at, _)| begins_a_word(&code, *at));
    starts
        .map(|(at, _)| {
            let item = &code[at..];
            let name = item[3..].split(|c: char| !c.is_alphanumeric() && c != '_').next();
            (name.unwrap_or_default().to_string(), item[..item_length(item)].lines().count())
        })
        .filter(|(name, _)| !name.is_empty())
        .collect()
}

fn begins_a_word(code: &str, at: usize) -> bool {
    !code[..at].chars().next_back().is_some_and(|c| c.is_alphanumeric() || c == '_')
}

#[test]
fn no_function_is_longer_than_a_screen() {
    assert_none(rust().iter().flat_map(|file| {
        let long = functions(&file.text).into_iter().filter(|(_, lines)| *lines > FUNCTION_LINES_MAX);
        let told = long.map(|(name, lines)| format!("{}: fn {name} has {lines} lines", file.path));
        told.collect::<Vec<_>>()
    }));
}

#[test]
fn most_functions_are_short() {
    let mut lines: Vec<usize> =
        rust().iter().flat_map(|file| functions(&file.text)).map(|(_, lines)| lines).collect();
    lines.sort_unstable();
    let median = lines[lines.len() / 2];
    assert!(median < MEDIAN_LINES_MAX, "the median of {} functions is {median} lines", lines.len());
}

#[test]
fn functions_are_found_and_measured() {
    let source = "trait T { fn declared(&self); }\nfn one() {}\npub(crate) const fn three() {\n    \"}\";\n}\n// fn no() {}\n";
    let expected = [("declared".to_string(), 1), ("one".into(), 1), ("three".into(), 3)];
    assert_eq!(functions(source), expected);
    let long = format!("fn long() {{\n{}}}", "    x();\n".repeat(70));
    assert_eq!(functions(&long), [("long".to_string(), 72)]);
}
