//! What the lock files hold: one version of what must agree with itself, from one source.

use std::collections::BTreeMap;
use std::fs;

use speed_layer_tests::places::root;
use toml::{Table, Value};

use crate::files::assert_none;

const LOCK_FILES: [&str; 4] =
    ["Cargo.lock", "plugins/Cargo.lock", "tests/guests/Cargo.lock", "fuzz/Cargo.lock"];
const REGISTRY: &str = "registry+https://github.com/rust-lang/crates.io-index";

/// Two versions of these cannot exchange values, or double the slowest part of the build.
fn must_be_single(name: &str) -> bool {
    name.starts_with("arrow-") || ["arrow", "parquet", "object_store", "wasmparser"].contains(&name)
}

fn packages(lock: &str) -> Vec<Table> {
    let lock: Table = lock.parse().expect("a lock file is TOML");
    let packages = lock.get("package").and_then(Value::as_array).expect("packages");
    packages.iter().filter_map(|package| package.as_table().cloned()).collect()
}

fn doubled(lock: &str) -> Vec<String> {
    let mut versions: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for package in packages(lock) {
        let text = |field: &str| package[field].as_str().unwrap_or_default().to_string();
        versions.entry(text("name")).or_default().push(text("version"));
    }
    let doubled = versions.into_iter().filter(|(name, all)| must_be_single(name) && all.len() > 1);
    doubled.map(|(name, all)| format!("{name}: {}", all.join(" and "))).collect()
}

fn foreign(lock: &str) -> Vec<String> {
    let sources = packages(lock).into_iter().filter_map(|package| package.get("source").cloned());
    sources.filter(|source| source.as_str() != Some(REGISTRY)).map(|source| source.to_string()).collect()
}

fn each_lock_file(rule: fn(&str) -> Vec<String>) -> Vec<String> {
    let read = |path: &str| fs::read_to_string(root().join(path)).expect(path);
    LOCK_FILES.iter().flat_map(|path| rule(&read(path))).collect()
}

#[test]
fn crates_whose_values_are_exchanged_exist_once() {
    assert_none(each_lock_file(doubled));
}

#[test]
fn every_crate_comes_from_the_registry() {
    assert_none(each_lock_file(foreign));
}

#[test]
fn a_doubled_and_a_foreign_crate_are_seen() {
    let package = |name: &str, version: &str, source: &str| {
        format!("[[package]]\nname = \"{name}\"\nversion = \"{version}\"\nsource = \"{source}\"\n")
    };
    let twice = package("arrow-array", "1.0.0", REGISTRY) + &package("arrow-array", "2.0.0", REGISTRY);
    assert_eq!(doubled(&twice), ["arrow-array: 1.0.0 and 2.0.0"]);
    assert!(foreign(&twice).is_empty());
    let harmless =
        package("syn", "1.0.0", REGISTRY) + &package("syn", "2.0.0", "git+https://example.org/syn");
    assert!(doubled(&harmless).is_empty());
    assert_eq!(foreign(&harmless).len(), 1);
}
