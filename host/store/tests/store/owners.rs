//! One owner: a second one is refused, and a first one that lost its lock finds out
//! and commits nothing more.

use std::fs;
use std::sync::mpsc::channel;
use std::thread;

use speed_layer_store::{CommitError, Committer, DiskStore, StoreError, peek, recover};

use crate::job::{Place, commit, pending, progress, run, stage, stage_below};
use crate::layer::{Fault, Kind, TestLayer};

#[test]
fn a_second_owner_is_refused_with_the_pid_of_the_first() {
    let place = Place::new();
    let first = recover(place.store()).unwrap();
    let before = place.everything();
    for said in [
        peek(&place.store()).unwrap_err().to_string(),
        recover(place.store()).map(|_| ()).unwrap_err().to_string(),
    ] {
        assert!(said.contains(&format!("(pid {})", std::process::id())), "{said}");
    }
    assert_eq!(place.everything(), before);
    drop(first);
    recover(place.store()).unwrap();
}

#[test]
fn every_start_has_a_generation_of_its_own() {
    let place = Place::new();
    for generation in 1..=3 {
        let mut committer = recover(place.store()).unwrap().committer;
        assert_eq!(committer.generation().0, generation);
        commit(&mut committer, 0, 10).unwrap();
    }
    let records = fs::read_dir(place.checkpoints())
        .unwrap()
        .filter(|entry| entry.as_ref().unwrap().file_name().to_string_lossy().starts_with("generation-"));
    assert_eq!(records.count(), 1, "earlier generations are forgotten");
}

#[test]
fn a_generation_is_above_the_checkpoints_even_if_its_record_is_lost() {
    let place = Place::new();
    for _ in 0..3 {
        commit(&mut recover(place.store()).unwrap().committer, 0, 10).unwrap();
    }
    fs::remove_file(place.checkpoints().join("generation-0000000003")).unwrap();
    assert_eq!(recover(place.store()).unwrap().committer.generation().0, 4);
}

/// The lock file is lost, so that a second owner gets in beside the first.
fn second_owner(place: &Place) -> Committer<DiskStore> {
    fs::remove_file(place.checkpoints().join("lock")).unwrap();
    recover(place.store()).unwrap().committer
}

fn assert_fenced<T: std::fmt::Debug>(outcome: Result<T, CommitError>) {
    assert!(matches!(outcome, Err(CommitError::Fenced { .. })), "{outcome:?}");
}

#[test]
fn an_owner_that_lost_its_lock_commits_nothing_more() {
    let place = Place::new();
    let mut first = recover(place.store()).unwrap().committer;
    commit(&mut first, 0, 10).unwrap();
    let files = stage(&mut first, 10, 20).unwrap();
    let mut second = second_owner(&place);
    let pending = pending(progress(20), vec![], files);
    assert_fenced(first.commit(pending));
    commit(&mut second, 10, 25).unwrap();
    assert_eq!(place.published(), (0..25).collect());
}

#[test]
fn the_first_owner_finds_itself_fenced_after_the_second_has_committed() {
    for commits in 1..6 {
        let place = Place::new();
        let mut first = recover(place.store()).unwrap().committer;
        commit(&mut first, 0, 10).unwrap();
        let mut second = second_owner(&place);
        for step in 0..commits {
            commit(&mut second, 10 + step * 10, 20 + step * 10).unwrap();
        }
        assert_fenced(commit(&mut first, 10, 20));
        commit(&mut second, 10 + commits * 10, 20 + commits * 10).unwrap();
        assert_eq!(place.published(), (0..20 + commits * 10).collect());
    }
}

#[test]
fn what_happens_between_the_look_and_the_seal_is_found_after_it() {
    for commits in 0..5 {
        let place = Place::new();
        let mut first = recover(place.store()).unwrap().committer;
        commit(&mut first, 0, 10).unwrap();
        drop(first);
        let layer = TestLayer::of_another_process();
        let mut first = recover(place.store_on(layer.clone())).unwrap().committer;
        let rival = place.clone();
        layer.before_seal(move || {
            fs::remove_file(rival.checkpoints().join("lock")).unwrap();
            let mut second = recover(rival.store_on(TestLayer::default())).unwrap().committer;
            (0..commits).for_each(|step| {
                commit(&mut second, 10 + step * 10, 20 + step * 10).unwrap();
            });
        });
        let outcome = commit(&mut first, 10, 17);
        assert!(matches!(outcome, Err(CommitError::Fenced { .. })), "{commits}: {outcome:?}");
        drop(first);
        run(place.store(), 70, 10).unwrap();
        assert_eq!(place.published(), (0..70).collect(), "after {commits} commits of the rival");
    }
}

#[test]
fn what_is_sealed_while_a_start_looks_is_not_taken_for_a_leftover() {
    let (place, layer, rival) = (Place::new(), TestLayer::default(), TestLayer::default());
    let mut first = recover(place.store_on(layer.clone())).unwrap().committer;
    commit(&mut first, 0, 10).unwrap();
    let ((begin, begun), (look, looked), (seal, sealed)) = (channel(), channel(), channel());
    layer.before_seal(move || {
        begin.send(()).unwrap();
        looked.recv().unwrap();
    });
    rival.before_list(&place.staging(), move || {
        look.send(()).unwrap();
        sealed.recv().unwrap();
    });
    let second = place.clone();
    let start = thread::spawn(move || {
        begun.recv().unwrap();
        fs::remove_file(second.checkpoints().join("lock")).unwrap();
        recover(second.store_on(rival)).map(drop)
    });
    assert_fenced(commit(&mut first, 10, 17));
    seal.send(()).unwrap();
    start.join().unwrap().unwrap();
    assert_eq!(place.published(), (0..17).collect());
}

#[test]
fn a_clean_end_leaves_the_staged_files_of_a_later_owner() {
    let place = Place::new();
    let layer = TestLayer::default();
    let mut first = recover(place.store_on(layer.clone())).unwrap().committer;
    commit(&mut first, 0, 10).unwrap();
    let rival = place.clone();
    // The end's seal lists no files, so the staging place is listed for its cleaning alone.
    layer.before_list(&place.staging(), move || {
        fs::remove_file(rival.checkpoints().join("lock")).unwrap();
        let failing = TestLayer::default();
        let mut second = recover(rival.store_on(failing.clone())).unwrap().committer;
        failing.set(Fault::Fail(Kind::MakeDir, rustix::io::Errno::IO.raw_os_error()));
        let files = stage_below(&mut second, "symbol=C", 10, 17);
        second.commit(pending(progress(17), vec![], files)).unwrap_err();
    });
    first.close_clean().unwrap();
    assert_eq!(resumed_numbers(&place), (0..17).collect());
}

#[test]
fn an_end_in_order_after_a_later_owner_has_cleaned_up_is_fenced() {
    let place = Place::new();
    let mut first = recover(place.store()).unwrap().committer;
    commit(&mut first, 0, 10).unwrap();
    let mut second = second_owner(&place);
    for step in 1..6 {
        commit(&mut second, step * 10, step * 10 + 10).unwrap();
    }
    assert!(!place.checkpoint(1).exists());
    assert_fenced(first.close_clean());
}

/// What is published once the next start is through.
fn resumed_numbers(place: &Place) -> std::collections::BTreeSet<i64> {
    drop(recover(place.store()).unwrap());
    place.published()
}

#[test]
fn an_owned_job_is_told_from_other_trouble() {
    let place = Place::new();
    let mut owner = recover(place.store()).unwrap().committer;
    commit(&mut owner, 0, 10).unwrap();
    fs::remove_file(place.checkpoint(1)).unwrap();
    let cause = peek(&place.store()).unwrap_err();
    assert!(matches!(cause, CommitError::Store(StoreError::Owned { .. })), "{cause}");
}
