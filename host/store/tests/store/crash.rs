//! The process is gone at each single operation in turn, in the first run and again
//! in the second: what a reader sees is never torn, never doubled and never shrinks,
//! and the third run ends with everything there once. The runs cut their commits
//! differently, so nothing can come out right by being computed again.

use std::collections::BTreeSet;

use crate::job::{Place, parquet_files, run};
use crate::layer::{Fault, TestLayer};

const END: i64 = 24;

fn all() -> BTreeSet<i64> {
    (0..END).collect()
}

/// One run that stops at operation `at`; whether it did.
fn stop_at(place: &Place, at: usize, step: i64) -> bool {
    let before = place.published();
    let layer = TestLayer::with(Fault::StopAt(at));
    let outcome = run(place.store_on(layer.clone()), END, step);
    let after = place.published();
    assert!(after.is_superset(&before), "the output shrank at operation {at}");
    assert!(after.is_subset(&all()));
    assert_eq!(outcome.is_err(), layer.stopped(), "{outcome:?}");
    layer.stopped()
}

fn check_whole(place: &Place, case: &str) {
    run(place.store(), END, 5).unwrap_or_else(|cause| panic!("{case}: {cause}"));
    assert_eq!(place.published(), all(), "{case}");
    assert_eq!(parquet_files(&place.staging()).len(), 0, "{case}: staged files are left");
    let dead = parquet_files(&place.path("out/daily.dead-letters"));
    assert!(!dead.is_empty(), "{case}");
}

#[test]
fn a_stop_at_any_operation_loses_and_doubles_nothing() {
    let mut at = 1;
    loop {
        let place = Place::new();
        if !stop_at(&place, at, 9) {
            assert!(at > 100, "only {at} operations were tried");
            break;
        }
        check_whole(&place, &format!("stopped at {at}"));
        at += 1;
    }
}

#[test]
fn a_second_stop_while_the_first_is_repaired_loses_and_doubles_nothing() {
    for first in (1..160).step_by(7) {
        for second in (1..60).step_by(9) {
            let place = Place::new();
            stop_at(&place, first, 9);
            stop_at(&place, second, 7);
            check_whole(&place, &format!("stopped at {first}, then at {second}"));
        }
    }
}

#[test]
fn a_run_without_a_stop_publishes_everything_once() {
    let place = Place::new();
    check_whole(&place, "no stop");
    check_whole(&place, "a second run with nothing to do");
}
