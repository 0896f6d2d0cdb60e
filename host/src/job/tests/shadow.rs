//! A new plugin beside a stream of records in memory: what is found of it, and that the
//! stream's rows are those of a job that nobody looked at.

use std::cell::RefCell;
use std::path::PathBuf;

use serde_json::{Value, json};

use super::swaps::{plugin, request, run, ticks, variant};
use crate::config::{JobSpec, StageSpec, Trigger};
use crate::job::swap::{
    Outcome, Promote, Report, Request, ShadowReport, Shadowing, Swapper, Told, read_history,
};
use crate::plan::StageName;

const BATCHES: u64 = 12;
/// A worker's partitions are read one after the other, so that windows close only in the second
/// half of a job whose workers have two: with one each they close all along.
const WORKERS_OF_ONE_PARTITION: usize = 4;

fn daily() -> StageName {
    StageName::Aggregate("daily".into())
}

/// Runs `component` beside the stream; what came in the end, and what was found before a swap.
fn beside(
    swapper: &Swapper,
    stage: &StageName,
    component: &[u8],
    promote: Promote,
    tell: impl Fn(&Told<'_>) -> anyhow::Result<()>,
) -> (Report, Option<ShadowReport>) {
    let shadow = Some(Shadowing { batches: BATCHES, promote });
    let request = request(stage, shadow);
    let found = RefCell::new(None);
    let report = swapper.swap(&request, "new", component, "a test", false, &mut |told| {
        if let Told::Shadowed(Report { outcome: Outcome::Shadowed { shadow }, .. }) = &told {
            *found.borrow_mut() = Some(ShadowReport::clone(shadow));
        }
        tell(&told)
    });
    (report.unwrap().unwrap(), found.into_inner())
}

fn found(report: Report) -> ShadowReport {
    let Outcome::Shadowed { shadow } = report.outcome else { panic!("{report:?}") };
    *shadow
}

fn outcomes(swapper: &Swapper) -> Vec<Value> {
    let history = read_history(&swapper.history).unwrap();
    history.into_iter().map(|entry| entry["outcome"].clone()).collect()
}

/// A second transform that passes everything on; `min_price` in its place drops rows.
fn with_pass_all(spec: &mut JobSpec) {
    let plugins = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../target/test-plugins");
    let config = json!({"min": 500.0}).as_object().unwrap().clone();
    spec.transforms.push(StageSpec { plugin: plugins.join("pass_all.wasm"), config });
}

#[test]
fn an_equal_plugin_is_equal_to_the_bit_in_every_stage_and_takes_over() {
    for (stage, name) in
        [(daily(), "ohlcv"), (StageName::Parse, "ticker_json"), (StageName::Transform(0), "ticker_time")]
    {
        let (rows, expected) = run(
            &ticks(300_000),
            2_000,
            2,
            |_| {},
            |spec, swapper| {
                let component = variant(&plugin(spec, name), "another");
                let (report, found) = beside(swapper, &stage, &component, Promote::Equal, |_| Ok(()));
                assert!(matches!(report.outcome, Outcome::Swapped { .. }), "{report:?}");
                let found = found.unwrap();
                assert!(found.equal && found.batches >= BATCHES && found.records > 0, "{found:?}");
                let windows = &found.windows[0];
                assert!(windows.open.both > 0 && windows.open.columns.len() > 5, "{windows:?}");
                assert_eq!(found.rows.is_some(), stage != daily());
                assert!(found.rows.is_none_or(|rows| rows.both == found.records));
                assert_eq!(outcomes(swapper), ["shadowed", "swapped"]);
            },
        );
        assert_eq!(rows, expected, "{stage}");
    }
}

#[test]
fn a_plugin_with_one_more_column_migrates_and_is_equal_in_the_others() {
    let (rows, expected) = run(
        &ticks(300_000),
        2_000,
        2,
        |_| {},
        |spec, swapper| {
            let component = plugin(spec, "ohlcv_upticks");
            let (report, _) = beside(swapper, &daily(), &component, Promote::Never, |_| Ok(()));
            let found = found(report);
            assert!(found.equal, "{found:?}");
            assert_eq!(found.windows[0].open.only_new_columns, ["up_ticks"]);
            assert_eq!(outcomes(swapper), ["shadowed"]);
        },
    );
    assert_eq!(rows, expected);
}

#[test]
fn windows_that_close_meanwhile_are_compared_as_they_were_published() {
    let (rows, expected) = run(
        &ticks(400_000),
        10_000,
        WORKERS_OF_ONE_PARTITION,
        |_| {},
        |spec, swapper| {
            let component = variant(&plugin(spec, "ohlcv"), "another");
            let shadow = Some(Shadowing { batches: 40, promote: Promote::Never });
            let request = request(&daily(), shadow);
            let report = swapper.swap(&request, "new", &component, "a test", false, &mut |_| Ok(()));
            let found = found(report.unwrap().unwrap());
            assert!(found.equal && found.windows[0].closed.both >= 20, "{found:?}");
        },
    );
    assert_eq!(rows, expected);
}

#[test]
fn rows_that_the_new_plugin_drops_are_told_with_their_places_and_nothing_has_changed() {
    let (rows, expected) = run(&ticks(300_000), 2_000, 2, with_pass_all, |spec, swapper| {
        let component = plugin(spec, "min_price");
        let (report, _) = beside(swapper, &StageName::Transform(1), &component, Promote::Equal, |_| Ok(()));
        let found = found(report);
        let rows = found.rows.as_ref().unwrap();
        assert!(!found.equal && rows.only_old > 0 && rows.only_new == 0, "{found:?}");
        assert!(rows.columns.iter().all(|column| column.differing == 0 && column.equal == rows.both));
        assert_eq!(json!(rows.examples[0])["what"], "only_old");
        let key: Vec<_> = rows.examples[0].key.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(key, ["partition", "offset", "ordinal"]);
        let open = &found.windows[0].open;
        let differing = open.columns.iter().filter(|of| of.differing > 0).map(|of| of.column.as_str());
        assert!(differing.collect::<Vec<_>>().contains(&"tick_count"), "{open:?}");
    });
    assert_eq!(rows, expected);
}

#[test]
fn a_plugin_that_differs_takes_over_where_it_is_told_to() {
    let (rows, expected) = run(&ticks(300_000), 2_000, 2, with_pass_all, |spec, swapper| {
        let component = plugin(spec, "min_price");
        let (report, found) =
            beside(swapper, &StageName::Transform(1), &component, Promote::Always, |_| Ok(()));
        assert!(matches!(report.outcome, Outcome::Swapped { .. }), "{report:?}");
        assert!(!found.unwrap().equal);
    });
    assert_ne!(rows, expected);
}

#[test]
fn another_swap_is_refused_meanwhile_and_one_who_leaves_ends_it() {
    let (rows, expected) = run(
        &ticks(600_000),
        2_000,
        2,
        |_| {},
        |spec, swapper| {
            let component = variant(&plugin(spec, "ohlcv"), "another");
            let shadow = Some(Shadowing { batches: u64::MAX, promote: Promote::Equal });
            let request = request(&daily(), shadow);
            let report = swapper.swap(&request, "new", &component, "a test", false, &mut |told| {
                let Told::Shadowing(_) = told else { return Ok(()) };
                let plain = Request { shadow: None, ..request.clone() };
                let busy = swapper.swap(&plain, "other", &component, "a test", false, &mut |_| Ok(()));
                assert!(busy.unwrap_err().to_string().contains("another swap is under way"));
                anyhow::bail!("the line is cut")
            });
            let Outcome::ShadowFailed { why } = report.unwrap().unwrap().outcome else {
                panic!("it was to end")
            };
            assert!(why.contains("has gone"), "{why}");
            let (report, _) = beside(swapper, &daily(), &component, Promote::Equal, |_| Ok(()));
            assert!(matches!(report.outcome, Outcome::Swapped { .. }), "{report:?}");
            assert_eq!(outcomes(swapper), ["shadow_failed", "shadowed", "swapped"]);
        },
    );
    assert_eq!(rows, expected);
}

#[test]
fn the_end_of_the_job_ends_it() {
    let (rows, expected) = run(
        &ticks(100_000),
        2_000,
        2,
        |_| {},
        |spec, swapper| {
            let component = variant(&plugin(spec, "ohlcv"), "another");
            let shadow = Some(Shadowing { batches: u64::MAX, promote: Promote::Always });
            let request = request(&daily(), shadow);
            let report = swapper.swap(&request, "new", &component, "a test", false, &mut |_| Ok(()));
            let Outcome::ShadowFailed { why } = report.unwrap().unwrap().outcome else {
                panic!("it was to end")
            };
            assert!(why.contains("the job ended"), "{why}");
        },
    );
    assert_eq!(rows, expected);
}

#[test]
fn a_job_of_one_commit_has_none() {
    let once = |spec: &mut JobSpec| spec.trigger = Trigger::Once;
    let (rows, expected) = run(&ticks(2_000), 2_000, 2, once, |spec, swapper| {
        let component = variant(&plugin(spec, "ohlcv"), "another");
        let shadow = Some(Shadowing { batches: 1, promote: Promote::Always });
        let request = request(&daily(), shadow);
        let refused = swapper.swap(&request, "new", &component, "a test", false, &mut |_| Ok(()));
        assert!(refused.unwrap_err().to_string().contains("`once`"));
    });
    assert_eq!(rows, expected);
}
