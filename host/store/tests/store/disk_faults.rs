//! Full, read-only and broken disks: a clean end that names the path and the cause,
//! and a next start that completes.

use rustix::io::Errno;
use speed_layer_store::{CommitError, StoreError, recover};

use crate::job::{Place, commit, run};
use crate::layer::{Fault, Kind, TestLayer};

fn fail(kind: Kind, errno: Errno) -> CommitError {
    let place = Place::new();
    run(place.store(), 10, 5).unwrap();
    let layer = TestLayer::with(Fault::Fail(kind, errno.raw_os_error()));
    let cause = run(place.store_on(layer), 20, 5).unwrap_err();
    run(place.store(), 20, 5).unwrap();
    assert_eq!(place.published(), (0..20).collect());
    cause
}

#[test]
fn a_disk_that_fails_is_named_with_its_path_and_cause() {
    let check = |kind, errno, needles: &[&str]| {
        let said = fail(kind, errno).to_string();
        for needle in needles {
            assert!(said.contains(needle), "{kind:?}: {said}");
        }
    };
    check(
        Kind::Create,
        Errno::ROFS,
        &["generation-0000000002", "Read-only", "make the file system writable"],
    );
    check(Kind::Write, Errno::NOSPC, &["generation-0000000002", "No space left", "make room"]);
    check(Kind::Write, Errno::FBIG, &["generation-0000000002", "File too large", "ulimit -f"]);
    check(Kind::Link, Errno::IO, &["seal", "ckpt-", "Input/output error", "check the disk"]);
    check(Kind::Unlink, Errno::ACCESS, &["remove", "Permission denied", "give this user the right"]);
}

#[test]
fn a_failed_sync_says_that_the_process_must_end() {
    for kind in [Kind::SyncFile, Kind::SyncDir] {
        let cause = fail(kind, Errno::IO);
        assert!(matches!(cause, CommitError::Store(StoreError::SyncFailed { .. })), "{cause}");
    }
}

#[test]
fn a_full_disk_under_a_parquet_file_is_named_with_the_file() {
    let place = Place::new();
    let layer = TestLayer::default();
    let mut committer = recover(place.store_on(layer.clone())).unwrap().committer;
    layer.set(Fault::Fail(Kind::Write, Errno::NOSPC.raw_os_error()));
    let said = commit(&mut committer, 0, 10).unwrap_err().to_string();
    assert!(said.contains("part-daily-g1-e0000000001-00000.snappy.parquet"), "{said}");
    assert!(said.contains("No space left") && said.contains("make room"), "{said}");
}

#[test]
fn a_committer_that_failed_does_not_go_on() {
    let place = Place::new();
    let layer = TestLayer::default();
    let mut committer = recover(place.store_on(layer.clone())).unwrap().committer;
    layer.set(Fault::Fail(Kind::SyncDir, Errno::IO.raw_os_error()));
    commit(&mut committer, 0, 10).unwrap_err();
    layer.clear();
    let again = commit(&mut committer, 0, 10).unwrap_err();
    assert!(matches!(again, CommitError::Ended { .. }), "{again}");
}
