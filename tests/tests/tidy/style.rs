//! How a source file begins, how long it is, and what must not be in it.

use crate::files::{File, assert_none, rust, texts};
use crate::rust_text::{code_only, without_tests};

const FILE_LINES_MAX: usize = 500;

/// Where C or compiled code is met. Everything else is safe Rust.
const UNSAFE_ALLOWED: [&str; 7] = [
    "bench/floor/batches_ffi.rs",
    "host/kafka/src/admin_ffi.rs",
    "host/kafka/src/consume_ffi.rs",
    "host/kafka/src/gzip_ffi.rs",
    "host/kafka/src/produce_ffi.rs",
    "host/kafka/tests/gzip_is_ours.rs",
    "host/plugin/src/machine_code.rs",
];

/// Words that tell of one workplace, or of a package registry's address. Put together here, so that this
/// file does not hold them.
fn banned_words() -> [String; 6] {
    [
        ["/wo", "rk/"],
        ["static.", "crates.io"],
        ["index.", "crates.io"],
        ["pypi", ".org"],
        ["repo.", "maven"],
        ["deb.", "debian.org"],
    ]
    .map(|parts| parts.concat())
}

fn file_complaints(file: &File) -> Vec<String> {
    let lines = file.text.lines().count();
    let mut complaints = Vec::new();
    if !file.text.starts_with("//! ") {
        complaints.push(format!("{}: does not open with `//!` and what it is", file.path));
    }
    if lines > FILE_LINES_MAX {
        complaints.push(format!("{}: {lines} lines", file.path));
    }
    complaints
}

/// Product code answers with errors: a panic is left to what is never false.
fn panic_complaints(file: &File) -> Vec<String> {
    if is_test_code(&file.path) {
        return Vec::new();
    }
    found(
        file,
        &without_tests(&code_only(&file.text)),
        &[".unwrap()", ".expect(", "todo!(", "unimplemented!("],
    )
}

fn is_test_code(path: &str) -> bool {
    ["tests/", "fuzz/"].iter().any(|folder| path.starts_with(folder))
        || ["/tests/", "/benches/"].iter().any(|folder| path.contains(folder))
        || ["/tests.rs", "_tests.rs"].iter().any(|end| path.ends_with(end))
}

fn unsafe_complaints(file: &File) -> Vec<String> {
    if UNSAFE_ALLOWED.contains(&file.path.as_str()) {
        return Vec::new();
    }
    found(file, &code_only(&file.text), &["unsafe ", "unsafe{", "unsafe("])
}

fn found(file: &File, code: &str, words: &[&str]) -> Vec<String> {
    let lines = code.lines().enumerate();
    let hits = lines.flat_map(|(index, line)| {
        words.iter().filter(move |word| line.contains(**word)).map(move |word| (index + 1, word))
    });
    hits.map(|(line, word)| format!("{}:{line}: {word}", file.path)).collect()
}

fn word_complaints(file: &File) -> Vec<String> {
    let unfinished = [["TO", "DO"].concat(), ["FIX", "ME"].concat()];
    let words: Vec<String> = banned_words().into_iter().chain(unfinished).collect();
    found(file, &file.text, &words.iter().map(String::as_str).collect::<Vec<_>>())
}

#[test]
fn every_source_says_what_it_is_and_is_short() {
    assert_none(rust().iter().flat_map(file_complaints));
}

#[test]
fn product_code_answers_with_errors() {
    assert_none(rust().iter().flat_map(panic_complaints));
}

#[test]
fn unsafe_code_is_where_it_is_listed() {
    assert_none(rust().iter().flat_map(unsafe_complaints));
}

#[test]
fn nothing_names_a_workplace_or_is_unfinished() {
    assert_none(texts().iter().flat_map(word_complaints));
}

fn check(rule: fn(&File) -> Vec<String>, path: &str, text: &str, count: usize) {
    let told = rule(&File { path: path.into(), text: text.into() });
    assert_eq!(told.len(), count, "{path}: {text}: {told:?}");
}

#[test]
fn the_rules_see_what_breaks_them() {
    check(file_complaints, "a.rs", "//! A file.\n", 0);
    check(file_complaints, "a.rs", "use x;\n", 1);
    check(file_complaints, "a.rs", &format!("//! Long.\n{}", "\n".repeat(500)), 1);
    check(panic_complaints, "host/src/a.rs", "fn f() { x.unwrap(); y.expect(\"z\"); }", 2);
    check(panic_complaints, "host/src/a.rs", "fn f() { x.unwrap_or(1) } // .unwrap()", 0);
    check(panic_complaints, "host/src/a.rs", "#[cfg(test)]\nmod tests { fn f() { x.unwrap() } }", 0);
    check(panic_complaints, "tests/src/a.rs", "fn f() { x.unwrap() }", 0);
    check(unsafe_complaints, "host/src/a.rs", "fn f() { unsafe { g() } }", 1);
    check(unsafe_complaints, "host/src/a.rs", "#![forbid(unsafe_code)] // unsafe", 0);
    check(unsafe_complaints, UNSAFE_ALLOWED[0], "fn f() { unsafe { g() } }", 0);
    check(word_complaints, "a.md", &format!("see {}x", banned_words()[0]), 1);
    check(word_complaints, "a.rs", &["// TO", "DO later"].concat(), 1);
}
