//! The licences of everything that is linked: those of `deny.toml`, judged from cargo's own metadata.

use std::fs;
use std::process::Command;

use serde_json::Value;
use speed_layer_tests::places::root;

use crate::files::assert_none;

/// Whether an SPDX expression can be met with the allowed licences. `AND` binds tighter than `OR`; the old
/// slash is an `OR`.
fn is_met(expression: &str, allowed: &[String]) -> bool {
    let spaced = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
    let joined = spaced.replace(" WITH ", "+WITH+");
    let words: Vec<&str> = joined.split_whitespace().collect();
    let mut rest = words.as_slice();
    any(&mut rest, allowed) && rest.is_empty()
}

fn any(rest: &mut &[&str], allowed: &[String]) -> bool {
    let mut met = all(rest, allowed);
    while take(rest, "OR") {
        met |= all(rest, allowed);
    }
    met
}

fn all(rest: &mut &[&str], allowed: &[String]) -> bool {
    let mut met = one(rest, allowed);
    while take(rest, "AND") {
        met &= one(rest, allowed);
    }
    met
}

fn one(rest: &mut &[&str], allowed: &[String]) -> bool {
    if take(rest, "(") {
        return any(rest, allowed) & take(rest, ")");
    }
    let Some((name, tail)) = rest.split_first() else { return false };
    *rest = tail;
    allowed.iter().any(|licence| *licence == name.replace("+WITH+", " WITH "))
}

fn take(rest: &mut &[&str], word: &str) -> bool {
    let Some((first, tail)) = rest.split_first().filter(|(first, _)| **first == word) else { return false };
    debug_assert_eq!(*first, word);
    *rest = tail;
    true
}

fn allowed() -> Vec<String> {
    let text = fs::read_to_string(root().join("deny.toml")).expect("deny.toml");
    let settings: toml::Table = text.parse().expect("deny.toml is TOML");
    let list = settings["licenses"]["allow"].as_array().expect("a list of licences");
    list.iter().filter_map(|licence| licence.as_str().map(String::from)).collect()
}

fn packages(workspace: &str) -> Vec<Value> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["metadata", "--locked", "--format-version", "1"])
        .current_dir(root().join(workspace))
        .output()
        .expect("cargo starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("cargo writes JSON");
    metadata["packages"].as_array().expect("packages").clone()
}

#[test]
fn every_licence_is_allowed() {
    let allowed = allowed();
    for workspace in [".", "plugins"] {
        let packages = packages(workspace);
        let bad =
            packages.iter().filter(|package| !is_met(package["license"].as_str().unwrap_or(""), &allowed));
        assert_none(bad.map(|package| format!("{}: {}", package["name"], package["license"])));
    }
}

#[test]
fn expressions_are_read_as_spdx_means_them() {
    let allowed = ["MIT".to_string(), "Zlib".into(), "Apache-2.0 WITH LLVM-exception".into()];
    let cases = [
        ("MIT", true),
        ("GPL-3.0", false),
        ("GPL-3.0 OR MIT", true),
        ("GPL-3.0/MIT", true),
        ("MIT AND GPL-3.0", false),
        ("MIT AND Zlib", true),
        ("GPL-3.0 AND MIT OR Zlib", true),
        ("(GPL-3.0 OR MIT) AND Zlib", true),
        ("(GPL-3.0 OR MIT) AND BSL-1.0", false),
        ("Apache-2.0 WITH LLVM-exception", true),
        ("Apache-2.0", false),
        ("", false),
    ];
    for (expression, expected) in cases {
        assert_eq!(is_met(expression, &allowed), expected, "{expression}");
    }
}
