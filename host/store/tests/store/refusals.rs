//! What a start refuses, each by what it says; and that a refusal writes nothing.

use std::fs;
use std::path::{Path, PathBuf};

use speed_layer_core::commit::JobName;
use speed_layer_store::{CommitError, CommitStore, DiskLayer, Layout, PosixStore, StoreError, peek, recover};

use crate::job::{JOB, Place, parquet_files, run};
use crate::layer::TestLayer;

/// Both the look and the start refuse with the same words and change nothing.
fn refused(place: &Place, store: impl Fn() -> PosixStore<DiskLayer>) -> String {
    let before = place.everything();
    let said = peek(&store()).unwrap_err().to_string();
    assert_eq!(place.everything(), before, "the look wrote something");
    let started = recover(store()).map(|_| ()).unwrap_err().to_string();
    assert_eq!(started, said);
    said
}

fn check(said: &str, needles: &[&str]) {
    for needle in needles {
        assert!(said.contains(needle), "no {needle:?} in: {said}");
    }
}

fn layout(place: &Place, checkpoint: &str, outputs: &[&str]) -> Result<Layout, StoreError> {
    let outputs: Vec<_> = outputs.iter().map(|below| (below.replace('/', "_"), place.path(below))).collect();
    Layout::new(JobName::new(JOB).unwrap(), &place.path(checkpoint), &outputs)
}

/// Directories that cannot serve are refused before anything is made.
fn check_layout(checkpoint: &str, outputs: &[&str], prepare: impl Fn(&Place), needles: &[&str]) {
    let place = Place::new();
    prepare(&place);
    let layout = layout(&place, checkpoint, outputs).unwrap();
    let before = place.everything();
    check(&refused(&place, || PosixStore::new(DiskLayer, layout.clone())), needles);
    assert_eq!(place.everything(), before, "the start wrote something");
}

fn dir(path: PathBuf) {
    fs::create_dir_all(path).unwrap();
}

#[test]
fn directories_that_cannot_serve_are_refused() {
    let nothing = |_: &Place| {};
    check_layout("c", &["a", "a/b"], nothing, &["a_b", "lies inside", "the output of aggregate a"]);
    check_layout("c", &["a", "a"], nothing, &["lies inside"]);
    check_layout("a", &["a"], nothing, &["the checkpoint directory", "lies inside"]);
    check_layout("out", &["out/daily"], nothing, &["the checkpoint directory", "lies inside"]);
    check_layout("c", &["c/daily/x"], nothing, &["lies inside the checkpoint directory"]);
    check_layout("c", &["a", "a.staging/daily/x"], nothing, &["the staging directory of aggregate a"]);
    check_layout(
        "c",
        &["a", "link/b"],
        |place| {
            dir(place.path("a"));
            std::os::unix::fs::symlink(place.path("a"), place.path("link")).unwrap();
        },
        &["lies inside"],
    );
    check_layout("c", &["a"], |place| dir(place.path("a/_spark_metadata")), &["_spark_metadata", "Spark"]);
    check_layout("c", &["a"], |place| fs::write(place.path("a"), "").unwrap(), &["is not a directory"]);
    check_layout("c", &["a"], |place| fs::write(place.path("c"), "").unwrap(), &["is not a directory"]);
}

#[test]
fn an_output_on_another_file_system_than_its_staging_is_refused() {
    let elsewhere = Path::new("/dev/shm");
    let same = |place: &Place| {
        use std::os::unix::fs::MetadataExt;
        fs::metadata(elsewhere).map(|found| found.dev()).ok()
            == Some(fs::metadata(place.path("")).unwrap().dev())
    };
    assert!(
        elsewhere.is_dir() && !same(&Place::new()),
        "this test needs /dev/shm as a file system of its own"
    );
    let other = tempfile::tempdir_in(elsewhere).unwrap();
    for link in ["a", "a.staging", "a.late"] {
        check_layout(
            "c",
            &["a"],
            |place| std::os::unix::fs::symlink(other.path(), place.path(link)).unwrap(),
            &["on another file system than"],
        );
    }
}

#[test]
fn an_output_without_a_name_is_refused() {
    let unnamed =
        Layout::new(JobName::new(JOB).unwrap(), Path::new("c"), &[("a".to_owned(), PathBuf::from("/"))]);
    assert!(matches!(unnamed, Err(StoreError::Unnamed { .. })), "{unnamed:?}");
}

/// A place with three commits and, unless it is a crash, a clean end after them.
pub fn committed(clean: bool) -> Place {
    let place = Place::new();
    let mut committer = recover(place.store_on(TestLayer::default())).unwrap().committer;
    for from in [0, 10, 20] {
        crate::job::commit(&mut committer, from, from + 10).unwrap();
    }
    if clean {
        committer.close_clean().unwrap();
    }
    place
}

pub fn flip_a_byte(path: &Path) {
    let mut bytes = fs::read(path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(path, bytes).unwrap();
}

#[test]
fn an_output_of_this_job_without_its_checkpoints_is_refused() {
    let place = committed(true);
    fs::remove_dir_all(place.path("checkpoint")).unwrap();
    check(&refused(&place, || place.store()), &["there is no checkpoint", "part-daily-g1-e0000000001"]);
}

#[test]
fn a_lost_newest_checkpoint_is_noticed_because_it_published() {
    let place = committed(false);
    fs::remove_file(place.checkpoint(3)).unwrap();
    check(
        &refused(&place, || place.store()),
        &["newest checkpoint is of epoch 2", "e0000000003", "host checkpoint rollback --checkpoint"],
    );
}

#[test]
fn a_damaged_newest_checkpoint_that_published_is_refused() {
    let place = committed(false);
    flip_a_byte(&place.checkpoint(3));
    let said = refused(&place, || place.store());
    let command = format!("`host checkpoint rollback --checkpoint '{}'`", place.checkpoints().display());
    check(&said, &["of epoch 3 is damaged", "checksum", &command]);
}

#[test]
fn a_damaged_newest_checkpoint_that_published_nothing_is_set_aside() {
    let place = committed(true);
    flip_a_byte(&place.checkpoint(4));
    let recovered = recover(place.store()).unwrap();
    assert_eq!(recovered.set_aside, [speed_layer_core::commit::Epoch(4)]);
    assert_eq!(recovered.checkpoint.unwrap().manifest.epoch.0, 3);
    drop(recovered.committer);
    run(place.store(), 50, 10).unwrap();
    assert_eq!(place.published(), (0..50).collect());
}

#[test]
fn no_readable_checkpoint_at_all_is_refused() {
    let place = committed(true);
    (1..=4).for_each(|epoch| flip_a_byte(&place.checkpoint(epoch)));
    check(&refused(&place, || place.store()), &["no checkpoint is readable", "of epoch 4"]);
}

#[test]
fn a_renamed_checkpoint_is_not_believed() {
    let place = committed(true);
    fs::rename(place.checkpoint(4), place.checkpoint(9)).unwrap();
    let recovered = recover(place.store()).unwrap();
    assert_eq!(recovered.checkpoint.unwrap().manifest.epoch.0, 3);
}

#[test]
fn the_checkpoint_of_another_job_is_refused() {
    let place = committed(true);
    let other = || {
        let outputs = [("x".to_owned(), place.path("other"))];
        let layout = Layout::new(JobName::new("hourly").unwrap(), &place.path("checkpoint"), &outputs);
        PosixStore::new(DiskLayer, layout.unwrap())
    };
    fs::rename(place.checkpoints(), place.path("checkpoint/hourly")).unwrap();
    check(&refused(&place, other), &["belongs to job daily"]);
}

#[test]
fn a_published_file_with_another_content_is_refused_and_not_touched() {
    let place = committed(false);
    let file = parquet_files(&place.output()).into_iter().find(|path| name(path).contains("e0000000003"));
    let file = file.unwrap();
    fs::remove_file(&file).unwrap();
    fs::write(&file, "not ours").unwrap();
    let said = recover(place.store()).map(|_| ()).unwrap_err().to_string();
    check(&said, &["exists with another content", &name(&file)]);
    assert_eq!(fs::read(&file).unwrap(), b"not ours");
}

#[test]
fn a_file_that_is_gone_from_both_places_is_refused() {
    let place = committed(false);
    for file in parquet_files(&place.path("out")) {
        if name(&file).contains("e0000000003-00001") {
            fs::remove_file(file).unwrap();
        }
    }
    let cause = recover(place.store()).map(|_| ()).unwrap_err();
    assert!(matches!(cause, CommitError::Missing { .. }), "{cause}");
}

#[test]
fn after_a_clean_end_the_published_files_may_go() {
    let place = committed(true);
    fs::rename(place.output(), place.path("archive")).unwrap();
    run(place.store(), 40, 10).unwrap();
    assert_eq!(place.published(), (30..40).collect());
}

#[test]
fn a_published_file_that_is_gone_is_published_again_until_the_clean_end() {
    let place = committed(false);
    fs::remove_dir_all(place.output()).unwrap();
    recover(place.store()).unwrap();
    assert_eq!(place.published(), (20..30).collect());
}

#[test]
fn a_pending_file_of_an_output_that_is_gone_is_refused() {
    let place = committed(false);
    let other = || {
        let outputs = [("hourly".to_owned(), place.output())];
        let layout = Layout::new(JobName::new(JOB).unwrap(), &place.path("checkpoint"), &outputs);
        PosixStore::new(DiskLayer, layout.unwrap())
    };
    check(&refused(&place, other), &["aggregate daily, which this start does not have"]);
}

#[test]
fn a_path_out_of_the_output_is_refused() {
    let place = committed(false);
    let mut entry = peek(&place.store()).unwrap().unwrap().manifest.publish[0].clone();
    let mut store = place.store();
    for path in ["../x.parquet", "/x.parquet", "", "a/../../x.parquet"] {
        entry.path = path.to_owned();
        let outcome = store.publish(&entry);
        assert!(matches!(outcome, Err(StoreError::BadPath { .. })), "{path}: {outcome:?}");
    }
}

fn name(path: &Path) -> String {
    path.file_name().unwrap().to_string_lossy().into_owned()
}
