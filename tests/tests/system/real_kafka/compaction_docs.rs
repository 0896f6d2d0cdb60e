//! The commands of docs/compaction.md, typed into a shell.

use std::fs;

use speed_layer_tests::kafka;
use speed_layer_tests::places::root;
use speed_layer_tests::transcript::{Reader, steps};

const DOCUMENT: &str = "docs/compaction.md";

#[test]
fn every_command_of_the_page_prints_what_the_page_says() {
    let steps = steps(&fs::read_to_string(root().join(DOCUMENT)).expect(DOCUMENT));
    assert!(steps.len() >= 6, "there are only {} commands in {DOCUMENT}", steps.len());
    let broker = kafka::shared();
    broker.create_topic("compaction-docs", 1, &[]).expect("a new name");
    let address = broker.address();
    let replaced = [("localhost:9092", address.as_str()), ("crypto-prices", "compaction-docs")];
    let typed = Reader::new().and_then(|mut reader| reader.type_all(steps, &replaced));
    typed.unwrap_or_else(|error| panic!("{error:#}"));
}
