//! The commands of docs/compaction.md, typed into a shell.

use std::fs;
use std::os::unix::fs::symlink;

use speed_layer_tests::job::new_folder;
use speed_layer_tests::kafka;
use speed_layer_tests::places::{root, target};
use speed_layer_tests::transcript::{Shell, steps};

use super::LIMIT;

const DOCUMENT: &str = "docs/compaction.md";

#[test]
fn every_command_of_the_page_prints_what_the_page_says() {
    let steps = steps(&fs::read_to_string(root().join(DOCUMENT)).expect(DOCUMENT));
    assert!(steps.len() >= 6, "there are only {} commands in {DOCUMENT}", steps.len());
    let broker = kafka::shared();
    broker.create_topic("compaction-docs", 1, &[]).expect("a new name");
    let folder = new_folder().expect("a folder in the build directory");
    symlink(target(), folder.path().join("target")).expect("a link");
    let usual = std::env::var("PATH").unwrap_or_default();
    let path = format!("{}:{usual}", target().join("release").display());
    let mut shell = Shell::start(folder.path(), &path).expect("sh starts");
    for mut step in steps {
        step.command = step
            .command
            .replace("localhost:9092", &broker.address())
            .replace("crypto-prices", "compaction-docs");
        shell.check(&step, LIMIT).unwrap_or_else(|error| panic!("{error:#}"));
    }
}
