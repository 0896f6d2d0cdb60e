//! Checkpoints that build upon one another: their states put together, what is done
//! about each file of a chain that is damaged or lost, and what is dropped when.

use std::fs;
use std::path::PathBuf;

use speed_layer_core::commit::{Epoch, Kind};
use speed_layer_store::inspect::find;
use speed_layer_store::verify::{Verdict, verify};
use speed_layer_store::{
    CheckpointError, CommitError, CommitStore, Committer, DiskStore, PendingCommit, SnapshotError,
    read_whole, recover,
};

use crate::job::{Place, keyed, pending, progress, snapshot, stage};
use crate::refusals::flip_a_byte;

/// What a commit of [`chain`] writes down.
type Written<'a> = (Kind, &'a [(&'a str, i64)]);

/// Commits `epochs` in turn, ten numbers each.
fn chain(place: &Place, epochs: &[Written<'_>]) -> Committer<DiskStore> {
    let mut committer = recover(place.store()).unwrap().committer;
    epochs.iter().for_each(|written| write(&mut committer, *written));
    committer
}

fn write(committer: &mut Committer<DiskStore>, (kind, states): Written<'_>) {
    let from = (committer.epoch().0 as i64 - 1) * 10;
    let files = stage(committer, from, from + 10).unwrap();
    let pending = PendingCommit { kind, ..pending(progress(from + 10), keyed(states), files) };
    committer.commit(pending).unwrap();
}

fn holds(place: &Place, states: &[(&str, i64)]) {
    assert_eq!(recover(place.store()).unwrap().checkpoint.unwrap().states, keyed(states));
}

/// Full, then three deltas; the third epoch's snapshot is made where asked.
fn grown(with_snapshot: bool) -> Place {
    let place = Place::new();
    let mut committer = chain(
        &place,
        &[
            (Kind::Full, &[("a", 1), ("b", 1)]),
            (Kind::Delta, &[("b", 2)]),
            (Kind::Delta, &[("a", 3), ("c", 3)]),
        ],
    );
    if with_snapshot {
        snapshot(&mut committer).unwrap();
    }
    write(&mut committer, (Kind::Delta, &[("c", 4)]));
    place
}

const GROWN: &[(&str, i64)] = &[("a", 3), ("b", 2), ("c", 4)];

/// The only snapshot there is.
fn only_snapshot(place: &Place) -> PathBuf {
    let entries = fs::read_dir(place.checkpoints()).unwrap().map(|entry| entry.unwrap().path());
    let is_one = |path: &PathBuf| path.file_name().unwrap().to_string_lossy().starts_with("snapshot-");
    let found: Vec<_> = entries.filter(is_one).collect();
    assert_eq!(found.len(), 1, "{found:?}");
    found[0].clone()
}

fn epochs(place: &Place) -> Vec<u64> {
    let mut found: Vec<u64> = place.store().epochs().unwrap().into_iter().map(|epoch| epoch.0).collect();
    found.sort_unstable();
    found
}

#[test]
fn states_are_the_newest_of_the_whole_chain() {
    [false, true].into_iter().for_each(|with_snapshot| holds(&grown(with_snapshot), GROWN));
}

#[test]
fn a_clean_end_writes_no_states_and_loses_none() {
    let place = grown(true);
    let committed = recover(place.store()).unwrap().committer.close_clean().unwrap().unwrap();
    assert_eq!(committed.epoch, Epoch(5));
    holds(&place, GROWN);
}

/// With the snapshot, what lies before it is not needed; without it, everything is.
#[test]
fn every_file_of_a_chain_that_is_needed_and_damaged_or_lost_is_noticed() {
    let check = |with_snapshot: bool, is_needed: bool, spoil: &dyn Fn(&Place)| {
        let place = grown(with_snapshot);
        spoil(&place);
        match recover(place.store()) {
            Ok(recovered) if !is_needed => assert_eq!(recovered.checkpoint.unwrap().states, keyed(GROWN)),
            Err(CommitError::Refused { .. }) if is_needed => {}
            found => panic!("needed: {is_needed}, found {:?}", found.map(drop)),
        }
    };
    for epoch in 1..=3 {
        for with_snapshot in [false, true] {
            check(with_snapshot, !with_snapshot, &|place| flip_a_byte(&place.checkpoint(epoch)));
            check(with_snapshot, !with_snapshot, &|place| fs::remove_file(place.checkpoint(epoch)).unwrap());
        }
    }
    check(true, false, &|place| flip_a_byte(&only_snapshot(place)));
    check(true, false, &|place| fs::remove_file(only_snapshot(place)).unwrap());
    let both = |place: &Place| {
        flip_a_byte(&only_snapshot(place));
        flip_a_byte(&place.checkpoint(2));
    };
    check(true, true, &both);
}

#[test]
fn a_start_falls_back_over_a_broken_chain_that_published_nothing() {
    let place = Place::new();
    let mut committer = chain(&place, &[(Kind::Full, &[("a", 1)])]);
    for number in [2, 3] {
        let pending = pending(progress(10), keyed(&[("a", number)]), Vec::new());
        committer.commit(PendingCommit { kind: Kind::Delta, ..pending }).unwrap();
    }
    drop(committer);
    flip_a_byte(&place.checkpoint(2));
    let recovered = recover(place.store()).unwrap();
    assert_eq!(recovered.set_aside, [Epoch(3), Epoch(2)]);
    assert_eq!(recovered.checkpoint.unwrap().states, keyed(&[("a", 1)]));
}

#[test]
fn what_is_wrong_in_a_chain_is_named_by_verification() {
    let check = |spoil: &dyn Fn(&Place), expected: &[(&str, &str)]| {
        let place = grown(true);
        spoil(&place);
        let found = verify(&find(&place.checkpoints(), None).unwrap()).unwrap();
        let said = found.checkpoints.iter().filter_map(|finding| match &finding.verdict {
            Verdict::Wrong { what, .. } => Some((finding.path.display().to_string(), what.clone())),
            _ => None,
        });
        let said: Vec<_> = said.collect();
        assert_eq!(said.len(), expected.len(), "{said:?}");
        for ((path, what), (name, needle)) in said.iter().zip(expected) {
            assert!(path.contains(name) && what.contains(needle), "{path}: {what}");
        }
    };
    check(&|_| (), &[]);
    check(
        &|place| flip_a_byte(&only_snapshot(place)),
        &[("0004", "those of epoch 3"), ("snapshot-", "checksum")],
    );
    let lost = |place: &Place| fs::remove_file(only_snapshot(place)).unwrap();
    check(&lost, &[("ckpt-00000000000000000004", "those of epoch 3, which are not there as a whole")]);
    let lost = |place: &Place| {
        fs::remove_file(only_snapshot(place)).unwrap();
        flip_a_byte(&place.checkpoint(2));
    };
    check(&lost, &[("0004", "those of epoch 3"), ("0003", "not all there"), ("0002", "checksum")]);
}

#[test]
fn old_checkpoints_stay_until_two_bases_are_newer() {
    let place = Place::new();
    let delta: Written<'_> = (Kind::Delta, &[("a", 2)]);
    let mut committer = chain(&place, &[(Kind::Full, &[("a", 1), ("b", 1)]), delta, delta, delta, delta]);
    assert_eq!(epochs(&place), [1, 2, 3, 4, 5]);
    snapshot(&mut committer).unwrap();
    write(&mut committer, delta);
    assert_eq!(epochs(&place), [1, 2, 3, 4, 5, 6]);
    write(&mut committer, delta);
    snapshot(&mut committer).unwrap();
    write(&mut committer, delta);
    assert_eq!(epochs(&place), [5, 6, 7, 8]);
    assert_eq!(place.store().snapshots().unwrap().len(), 2);
    drop(committer);
    write(&mut recover(place.store()).unwrap().committer, (Kind::Full, &[("a", 9)]));
    assert_eq!(epochs(&place), [7, 8, 9]);
    let mut left = place.store().snapshots().unwrap();
    left.sort_unstable();
    assert_eq!(left, [Epoch(7)]);
}

#[test]
fn nothing_is_dropped_while_a_snapshot_is_made() {
    let place = Place::new();
    let full: Written<'_> = (Kind::Full, &[("a", 1)]);
    let mut committer = chain(&place, &[full, full, (Kind::Delta, &[("a", 2)])]);
    let task = committer.begin_snapshot().unwrap();
    (0..4).for_each(|_| write(&mut committer, full));
    assert_eq!(epochs(&place), [1, 2, 3, 4, 5, 6, 7]);
    assert!(committer.begin_snapshot().is_none());
    assert!(committer.snapshot_ended(task.make()).unwrap().is_none());
    write(&mut committer, full);
    assert_eq!(epochs(&place), [6, 7, 8]);
    assert!(place.store().snapshots().unwrap().is_empty());
}

#[test]
fn a_chain_that_is_damaged_under_a_running_job_is_written_down_anew() {
    let place = grown(false);
    let mut committer = recover(place.store()).unwrap().committer;
    flip_a_byte(&place.checkpoint(2));
    let task = committer.begin_snapshot().unwrap();
    let damaged = committer.snapshot_ended(task.make()).unwrap();
    assert!(matches!(damaged, Some(SnapshotError::Damaged { epoch: Epoch(4), .. })), "{damaged:?}");
    assert_eq!(committer.chain().base(), None);
    write(&mut committer, (Kind::Full, GROWN));
    drop(committer);
    holds(&place, GROWN);
}

#[test]
fn a_snapshot_of_a_job_that_was_taken_over_finds_itself_fenced() {
    let place = grown(false);
    let mut committer = recover(place.store()).unwrap().committer;
    let task = committer.begin_snapshot().unwrap();
    fs::remove_file(place.checkpoints().join("lock")).unwrap();
    let mut later = recover(place.store()).unwrap().committer;
    (0..3).for_each(|_| write(&mut later, (Kind::Full, &[("a", 1)])));
    write(&mut later, (Kind::Full, &[("a", 1)]));
    assert!(!epochs(&place).contains(&2));
    assert!(matches!(committer.snapshot_ended(task.make()), Err(CommitError::Fenced { .. })));
}

/// The number comes again with another content after a rollback.
#[test]
fn a_snapshot_belongs_to_one_checkpoint_and_not_to_its_number() {
    let place = Place::new();
    let write = |committer: &mut Committer<DiskStore>, kind, states: &[(&str, i64)]| {
        let pending = pending(progress(10), keyed(states), Vec::new());
        committer.commit(PendingCommit { kind, ..pending }).unwrap();
    };
    let mut committer = recover(place.store()).unwrap().committer;
    write(&mut committer, Kind::Full, &[("a", 1), ("b", 1)]);
    write(&mut committer, Kind::Delta, &[("a", 2)]);
    snapshot(&mut committer).unwrap();
    drop(committer);
    fs::remove_file(place.checkpoint(2)).unwrap();
    write(&mut recover(place.store()).unwrap().committer, Kind::Delta, &[("b", 9)]);
    holds(&place, &[("a", 1), ("b", 9)]);
}

#[test]
fn a_link_with_other_columns_is_damage() {
    let place = Place::new();
    let mut committer = chain(&place, &[(Kind::Full, &[("a", 1), ("b", 1)])]);
    let mut states = keyed(&[("a", 1)]);
    let groups = states[0].1.groups.take().unwrap();
    states[0].1.groups = Some(groups.project(&[0, 1]).unwrap());
    let pending = pending(progress(10), states, Vec::new());
    committer.commit(PendingCommit { kind: Kind::Delta, ..pending }).unwrap();
    let read = read_whole(&committer.store().chain(), Epoch(2)).unwrap();
    assert!(matches!(read, Err(CheckpointError::Damaged(why)) if why.contains("where those before it have")));
}
