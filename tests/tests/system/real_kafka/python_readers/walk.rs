//! The walk-through of docs/hot-swap.md, typed line by line into a shell.

use std::fs;
use std::os::unix::fs::symlink;

use speed_layer_tests::job::new_folder;
use speed_layer_tests::kafka;
use speed_layer_tests::places::{root, target};
use speed_layer_tests::transcript::{Shell, steps};

use super::super::LIMIT;

const DOCUMENT: &str = "docs/hot-swap.md";
/// What stands for the broker and the topic.
const BROKER: &str = "localhost:9092";
const TOPIC: &str = "ticks";

#[test]
fn every_command_of_the_walk_through_prints_what_the_document_says() {
    let document = fs::read_to_string(root().join(DOCUMENT)).expect(DOCUMENT);
    let mut steps = steps(&document);
    assert!(steps.len() > 10, "there are only {} commands in {DOCUMENT}", steps.len());
    let broker = kafka::shared();
    broker.create_topic(TOPIC, 1, &[]).expect("a new name");
    let folder = new_folder().expect("a folder in the build directory");
    symlink(target(), folder.path().join("target")).expect("a link");
    let usual = std::env::var("PATH").unwrap_or_default();
    let path = ["release", "python/bin"].map(|inside| target().join(inside).display().to_string()).join(":");
    let mut shell = Shell::start(folder.path(), &format!("{path}:{usual}")).expect("sh starts");
    for step in &mut steps {
        step.command = step.command.replace(BROKER, &broker.address());
        if let Err(error) = shell.check(step, LIMIT) {
            let log = fs::read_to_string(folder.path().join("job.log")).unwrap_or_default();
            panic!("{error:#}\n--- the job's log\n{log}");
        }
    }
}

#[test]
fn the_edit_that_the_walk_through_shows_is_that_of_the_plugin() {
    let document = fs::read_to_string(root().join(DOCUMENT)).expect(DOCUMENT);
    let source = fs::read_to_string(root().join("plugins/ohlcv-upticks/src/lib.rs")).expect("a source");
    let shown: Vec<&str> =
        document.split("```rust\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    assert!(!shown.is_empty(), "no Rust in {DOCUMENT}");
    for line in shown.iter().flat_map(|block| block.lines()) {
        assert!(source.contains(line.trim()), "{line}");
    }
}
