//! The commands of docs/dashboard.md, typed into a shell; and the picture that it shows.

use std::fs;
use std::net::TcpListener;

use speed_layer_tests::kafka;
use speed_layer_tests::places::root;
use speed_layer_tests::transcript::{Reader, steps};

use super::LIMIT;

const DOCUMENT: &str = "docs/dashboard.md";
const PICTURE_BYTES_MAX: u64 = 200_000;

#[test]
fn every_command_of_the_page_prints_what_the_page_says() {
    let steps = steps(&fs::read_to_string(root().join(DOCUMENT)).expect(DOCUMENT));
    assert!(steps.len() > 10, "there are only {} commands in {DOCUMENT}", steps.len());
    kafka::shared().create_topic("watched-ticks", 2, &[]).expect("a new name");
    let free = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a port");
    let mut reader = Reader::new().expect("a shell");
    reader.shell.run("unset ALL_PROXY HTTP_PROXY all_proxy http_proxy", LIMIT).expect("it ends");
    let (brokers, free) = (kafka::shared().address(), free.to_string());
    let replaced = [("localhost:9092", brokers.as_str()), ("127.0.0.1:8080", &free)];
    reader.type_all(steps, &replaced).unwrap_or_else(|error| panic!("{error:#}"));
}

#[test]
fn the_picture_is_there_and_light() {
    let picture = fs::read(root().join("docs/dashboard.png")).expect("docs/dashboard.png");
    assert!(
        picture.starts_with(b"\x89PNG") && (picture.len() as u64) < PICTURE_BYTES_MAX,
        "{} bytes",
        picture.len()
    );
    assert_eq!(picture[16..20], 1280_u32.to_be_bytes(), "its width");
    for page in [DOCUMENT, "README.md"] {
        assert!(fs::read_to_string(root().join(page)).expect(page).contains("dashboard.png)"), "{page}");
    }
}
