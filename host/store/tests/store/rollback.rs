//! Rollbacks of real directories, stopped at every operation: what a start then does
//! is to refuse, or to go on with every number published once.

use std::fs;
use std::path::Path;

use speed_layer_core::commit::{Epoch, JobName};
use speed_layer_store::layer::FileLayer;
use speed_layer_store::rollback::{Rollback, RollbackError, plan, roll_back};
use speed_layer_store::{CommitError, DiskLayer, Layout, PosixStore, StoreError, peek, recover};

use crate::job::{JOB, Place, parquet_files, run};
use crate::layer::{Fault, TestLayer};
use crate::refusals::{committed, flip_a_byte};

/// A store as the operator's tools have it: without the job's settings.
fn tool<L: FileLayer>(place: &Place, layer: L) -> PosixStore<L> {
    let job = JobName::new(JOB).unwrap();
    PosixStore::new(layer, Layout::new(job, &place.path("checkpoint"), &[]).unwrap())
}

fn go_back<L: FileLayer>(place: &Place, layer: L, to: Option<u64>) -> Result<Rollback, RollbackError> {
    let mut store = tool(place, layer);
    let planned = plan(&store, to.map(Epoch))?;
    roll_back(&mut store, &planned)?;
    Ok(planned)
}

fn names_in(dir: &Path) -> Vec<String> {
    let names = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.collect()
}

/// What a start makes of the place: the epoch that it goes on from, unless it is refused.
fn start(place: &Place) -> Option<u64> {
    match peek(&place.store()) {
        Ok(checkpoint) => Some(checkpoint.unwrap().manifest.epoch.0),
        Err(CommitError::Refused { .. }) => None,
        Err(cause) => panic!("{cause}"),
    }
}

/// Each of three commits has published ten numbers.
fn expected(epoch: u64) -> std::collections::BTreeSet<i64> {
    (0..epoch.cast_signed() * 10).collect()
}

/// Stops a rollback to `to` at each operation in turn, and each time once more.
fn check(prepare: impl Fn() -> Place, to: u64, again_after: usize) {
    let mut at = 1;
    loop {
        let place = prepare();
        let layer = TestLayer::with(Fault::StopAt(at));
        let outcome = go_back(&place, layer.clone(), Some(to));
        assert_eq!(outcome.is_err(), layer.stopped(), "{outcome:?}");
        if !layer.stopped() {
            assert!(at > 20, "only {at} operations were tried");
            break;
        }
        if let Some(epoch) = start(&place) {
            assert_eq!(place.published(), expected(epoch), "stopped at {at}, then resumed from {epoch}");
        }
        let _ = go_back(&place, TestLayer::with(Fault::StopAt(again_after)), Some(to));
        go_back(&place, TestLayer::default(), Some(to)).unwrap();
        assert_eq!((start(&place), place.published()), (Some(to), expected(to)), "stopped at {at}");
        run(place.store_on(TestLayer::default()), 40, 9).unwrap();
        assert_eq!(place.published(), (0..40).collect(), "stopped at {at}");
        at += 1;
    }
}

#[test]
fn a_rollback_of_a_damaged_checkpoint_may_stop_anywhere() {
    let damaged = || {
        let place = committed(false);
        flip_a_byte(&place.checkpoint(3));
        assert_eq!(start(&place), None);
        place
    };
    for again_after in [7, 19] {
        check(damaged, 2, again_after);
    }
}

#[test]
fn a_rollback_over_sound_checkpoints_may_stop_anywhere() {
    for again_after in [9, 23] {
        check(|| committed(false), 1, again_after);
    }
}

#[test]
fn a_rollback_keeps_what_it_moves() {
    let place = committed(false);
    let before = parquet_files(&place.path("out")).len();
    flip_a_byte(&place.checkpoint(3));
    let done = go_back(&place, DiskLayer, None).unwrap();
    assert_eq!((done.plan.to, done.plan.checkpoints), (Epoch(2), vec![Epoch(3)]));
    let outputs = [("daily.rolled-back", 2), ("daily.dead-letters.rolled-back", 1)];
    for (aside, files) in outputs {
        let kept = parquet_files(&place.path("out").join(aside).join(JOB).join("e0000000003"));
        assert_eq!(kept.len(), files, "{aside}");
        assert!(kept.iter().all(|path| done.moves.iter().any(|(_, to)| to == path)));
    }
    let staged = parquet_files(&place.staging()).len();
    assert_eq!(parquet_files(&place.path("out")).len(), before, "{staged} staged");
    assert!(names_in(&place.checkpoints()).contains(&"ckpt-00000000000000000003.g2.rolled-back".to_owned()));
}

#[test]
fn files_beyond_a_lost_checkpoint_are_moved() {
    let place = committed(false);
    fs::remove_file(place.checkpoint(3)).unwrap();
    assert_eq!(start(&place), None);
    go_back(&place, DiskLayer, None).unwrap();
    assert_eq!((start(&place), place.published()), (Some(2), expected(2)));
}

#[test]
fn a_look_changes_nothing_and_where_nothing_is_to_do_nothing_is_done() {
    let place = committed(false);
    let before = place.everything();
    assert!(plan(&tool(&place, DiskLayer), None).unwrap().plan.is_empty());
    assert!(!plan(&tool(&place, DiskLayer), Some(Epoch(1))).unwrap().plan.is_empty());
    assert_eq!(place.everything(), before);
}

#[test]
fn a_running_job_is_not_rolled_back() {
    let place = committed(false);
    let running = recover(place.store()).unwrap();
    let before = place.everything();
    for to in [None, Some(1)] {
        let cause = go_back(&place, DiskLayer, to).unwrap_err();
        assert!(matches!(cause, RollbackError::Store(StoreError::Owned { .. })), "{cause}");
    }
    assert_eq!(place.everything(), before);
    drop(running);
}

#[test]
fn another_file_in_the_way_aside_is_not_replaced() {
    let place = committed(false);
    let planned = plan(&tool(&place, DiskLayer), Some(Epoch(2))).unwrap();
    let (_, aside) = &planned.moves[0];
    fs::create_dir_all(aside.parent().unwrap()).unwrap();
    fs::write(aside, "not ours").unwrap();
    let said = go_back(&place, DiskLayer, Some(2)).unwrap_err().to_string();
    assert!(said.contains("exists already with another content"), "{said}");
    assert_eq!(fs::read(aside).unwrap(), b"not ours");
    assert_eq!((start(&place), place.published()), (Some(3), expected(3)));
}
