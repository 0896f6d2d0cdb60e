//! Which of our crates may know which.

use std::fs;

use speed_layer_tests::places::root;
use toml::Table;

use crate::files::assert_none;

/// Each manifest with the crates of ours that it may depend on, in any of its dependency tables.
const ROOMS: [(&str, &[&str]); 12] = [
    ("host/core", &[]),
    ("host/plugin", &["speed-layer-core"]),
    ("host/kafka", &["speed-layer-core"]),
    ("host/store", &["speed-layer-core"]),
    ("host/sql", &[]),
    ("host/sim", &["speed-layer-core", "speed-layer-store"]),
    (
        "host",
        &[
            "speed-layer-core",
            "speed-layer-plugin",
            "speed-layer-kafka",
            "speed-layer-sql",
            "speed-layer-store",
        ],
    ),
    ("tests", &[]),
    ("bench", &["speed-layer-tests"]),
    ("xtask", &[]),
    ("plugins/sdk", &[]),
    ("fuzz", &["speed-layer-core", "speed-layer-sdk"]),
];

const TABLES: [&str; 3] = ["dependencies", "dev-dependencies", "build-dependencies"];

fn complaints(room: &str, manifest: &str, allowed: &[&str]) -> Vec<String> {
    let manifest: Table = manifest.parse().expect("a manifest is TOML");
    let tables = TABLES.iter().filter_map(|name| manifest.get(*name)?.as_table());
    let names = tables.flat_map(|table| table.keys());
    let ours = names.filter(|name| name.starts_with("speed-layer") && !allowed.contains(&name.as_str()));
    ours.map(|name| format!("{room} must not depend on {name}")).collect()
}

fn manifest(room: &str) -> String {
    fs::read_to_string(root().join(room).join("Cargo.toml")).expect(room)
}

#[test]
fn every_room_knows_only_the_rooms_it_may() {
    assert_none(ROOMS.iter().flat_map(|(room, allowed)| complaints(room, &manifest(room), allowed)));
}

#[test]
fn every_member_of_the_workspace_is_a_room() {
    let workspace: Table = manifest("").parse().expect("a manifest is TOML");
    let members = workspace["workspace"]["members"].as_array().expect("a list of members");
    let unknown =
        members.iter().filter(|member| !ROOMS.iter().any(|(room, _)| member.as_str() == Some(room)));
    assert_none(unknown.map(|member| format!("{member} has no rule in this file")));
}

#[test]
fn xtask_compiles_in_seconds() {
    let manifest: Table = manifest("xtask").parse().expect("a manifest is TOML");
    let names: Vec<_> = manifest["dependencies"].as_table().expect("dependencies").keys().collect();
    assert_eq!(names, ["anyhow"]);
}

#[test]
fn a_dependency_on_another_room_is_seen() {
    let broken =
        "[dev-dependencies]\nspeed-layer-kafka.workspace = true\nspeed-layer-core.workspace = true\n";
    assert_eq!(complaints("host/plugin", broken, &["speed-layer-core"]).len(), 1);
    assert_eq!(complaints("host/core", broken, &[]).len(), 2);
}
