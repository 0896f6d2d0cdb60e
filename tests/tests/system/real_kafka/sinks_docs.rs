//! The commands of docs/sinks.md, typed into a shell, over the pipeline file that it shows.

use std::fs;

use speed_layer_tests::kafka;
use speed_layer_tests::places::root;
use speed_layer_tests::topics::read_headed;
use speed_layer_tests::transcript::{Reader, steps};

const DOCUMENT: &str = "docs/sinks.md";

#[test]
fn every_command_of_the_page_prints_what_the_page_says() {
    let document = fs::read_to_string(root().join(DOCUMENT)).expect(DOCUMENT);
    let steps = steps(&document);
    assert!(steps.len() >= 4, "there are only {} commands in {DOCUMENT}", steps.len());
    let broker = kafka::shared();
    for topic in ["sinks", "daily-stats", "daily-live"] {
        broker.create_topic(topic, 1, &[]).expect("a new name");
    }
    let mut reader = Reader::new().expect("a shell");
    let (_, rest) = document.split_once("```toml\nname = ").expect("a whole pipeline file");
    let (pipeline, _) = rest.split_once("```").expect("its end");
    let pipeline = format!("name = {pipeline}").replace("localhost:9092", &broker.address());
    fs::write(reader.folder.path().join("pipeline.toml"), pipeline).expect("room");
    let address = broker.address();
    reader.type_all(steps, &[("localhost:9092", &address)]).unwrap_or_else(|error| panic!("{error:#}"));
    let windows = |topic: &str| read_headed(broker, topic, 1).expect("it can be read").len();
    assert_eq!((windows("daily-stats"), windows("daily-live") > 4), (4, true));
}
