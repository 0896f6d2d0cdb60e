//! The commands of docs/dashboard.md, typed into a shell; and the picture that it shows.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::symlink;

use speed_layer_tests::job::new_folder;
use speed_layer_tests::kafka;
use speed_layer_tests::places::{root, target};
use speed_layer_tests::transcript::{Shell, steps};

use super::LIMIT;

const DOCUMENT: &str = "docs/dashboard.md";
const PICTURE_BYTES_MAX: u64 = 200_000;

#[test]
fn every_command_of_the_page_prints_what_the_page_says() {
    let steps = steps(&fs::read_to_string(root().join(DOCUMENT)).expect(DOCUMENT));
    assert!(steps.len() > 10, "there are only {} commands in {DOCUMENT}", steps.len());
    kafka::shared().create_topic("watched-ticks", 2, &[]).expect("a new name");
    let folder = new_folder().expect("a folder in the build directory");
    symlink(target(), folder.path().join("target")).expect("a link");
    let usual = std::env::var("PATH").unwrap_or_default();
    let path = format!("{}:{usual}", target().join("release").display());
    let free = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a port");
    let mut shell = Shell::start(folder.path(), &path).expect("sh starts");
    shell.run("unset ALL_PROXY HTTP_PROXY all_proxy http_proxy", LIMIT).expect("it ends");
    for mut step in steps {
        step.command = step
            .command
            .replace("localhost:9092", &kafka::shared().address())
            .replace("127.0.0.1:8080", &free.to_string());
        if let Err(error) = shell.check(&step, LIMIT) {
            let log = fs::read_to_string(folder.path().join("job.log")).unwrap_or_default();
            panic!("{error:#}\n--- the job's log\n{log}");
        }
    }
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
