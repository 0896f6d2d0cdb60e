//! The commands of docs/query.md, typed into a shell.

use std::fs;
use std::os::unix::fs::symlink;

use speed_layer_tests::job::new_folder;
use speed_layer_tests::kafka;
use speed_layer_tests::places::{root, target};
use speed_layer_tests::transcript::{Shell, steps};

use super::LIMIT;

const DOCUMENT: &str = "docs/query.md";

#[test]
fn every_command_of_the_page_prints_what_the_page_says() {
    let steps = steps(&fs::read_to_string(root().join(DOCUMENT)).expect(DOCUMENT));
    assert!(steps.len() >= 5, "there are only {} commands in {DOCUMENT}", steps.len());
    kafka::shared().create_topic("asked-docs", 2, &[]).expect("a new name");
    let folder = new_folder().expect("a folder in the build directory");
    symlink(target().join("plugins"), folder.path().join("plugins")).expect("a link");
    let path =
        format!("{}:{}", target().join("release").display(), std::env::var("PATH").unwrap_or_default());
    let mut shell = Shell::start(folder.path(), &path).expect("sh starts");
    for mut step in steps {
        step.command = step
            .command
            .replace("localhost:9092", &kafka::shared().address())
            .replace("crypto-prices", "asked-docs");
        step.output.iter_mut().for_each(|line| *line = line.replace("crypto-prices", "asked-docs"));
        shell.check(&step, LIMIT).unwrap_or_else(|error| panic!("{error:#}"));
    }
}
