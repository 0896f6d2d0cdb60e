//! The commands of docs/query.md, typed into a shell.

use std::fs;
use std::os::unix::fs::symlink;

use speed_layer_tests::kafka;
use speed_layer_tests::places::{root, target};
use speed_layer_tests::transcript::{Reader, steps};

const DOCUMENT: &str = "docs/query.md";

#[test]
fn every_command_of_the_page_prints_what_the_page_says() {
    let steps = steps(&fs::read_to_string(root().join(DOCUMENT)).expect(DOCUMENT));
    assert!(steps.len() >= 5, "there are only {} commands in {DOCUMENT}", steps.len());
    kafka::shared().create_topic("asked-docs", 2, &[]).expect("a new name");
    let mut reader = Reader::new().expect("a shell");
    symlink(target().join("plugins"), reader.folder.path().join("plugins")).expect("a link");
    let address = kafka::shared().address();
    let replaced = [("localhost:9092", address.as_str()), ("crypto-prices", "asked-docs")];
    reader.type_all(steps, &replaced).unwrap_or_else(|error| panic!("{error:#}"));
}
