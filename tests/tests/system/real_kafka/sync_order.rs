//! What the real program asks of the real file system, in which order: traced, and held to `sync_order`'s
//! rules. Whatever dies afterwards, a file that has its final name has its content.

use std::path::PathBuf;
use std::sync::OnceLock;

use speed_layer_tests::job::Job;
use speed_layer_tests::strace::Mishap;
use speed_layer_tests::sync_order::{complaints, published, sealed};
use speed_layer_tests::trace::{Act, Call, parse};

use super::sided::{COMPONENTS, Sided};

/// Rows of three symbols over some days, some of them broken, some too late; read in four commits.
fn few() -> &'static Sided {
    static MADE: OnceLock<Sided> = OnceLock::new();
    MADE.get_or_init(|| Sided::topic("order-few", 3))
}

/// The same of so many symbols that a commit has more files than are synced one by one.
fn many() -> &'static Sided {
    static MADE: OnceLock<Sided> = OnceLock::new();
    MADE.get_or_init(|| Sided::topic("order-many", 90))
}

fn check(job: &Job, text: &str) -> Vec<Call> {
    let mut calls = parse(text).unwrap_or_else(|error| panic!("{error:#}"));
    // The control socket is no file, and nothing of it outlives its process.
    calls.retain(|call| !call.act.path().is_some_and(|path| path.to_string_lossy().contains("/control.")));
    let told = complaints(&calls, &job.places());
    assert!(told.is_empty(), "{} complaints:\n{}", told.len(), told.join("\n"));
    calls
}

fn syncs_of_the_file_system(calls: &[Call]) -> usize {
    calls.iter().filter(|call| matches!(call.act, Act::SyncFileSystem(_))).count()
}

/// A run without mishap, from the first start to the end in order.
fn whole_run(topic: &Sided) -> Vec<Call> {
    let job = topic.job();
    let (finished, text) = job.run_traced(&Mishap::None).unwrap_or_else(|error| panic!("{error:#}"));
    finished.summary().unwrap_or_else(|error| panic!("{error:#}"));
    topic.assert_complete(&job);
    let calls = check(&job, &text);
    assert_eq!(
        sealed(&calls, &job.places()),
        (1..=topic.commits() + 1).collect::<Vec<_>>(),
        "one more at the end"
    );
    let files = published(&calls, &job.places());
    // No swap gave open windows up.
    let without_partial = |output: &&PathBuf| !output.ends_with("daily.partial/daily");
    for output in job.places().outputs.iter().filter(without_partial) {
        assert!(files.iter().any(|file| file.starts_with(output)), "nothing in {}", output.display());
    }
    calls
}

#[test]
fn every_file_is_synced_before_the_link_that_names_it_and_every_directory_after() {
    let calls = whole_run(few());
    assert_eq!(syncs_of_the_file_system(&calls), 0, "few files are synced one by one");
}

#[test]
fn many_files_are_synced_with_their_file_system_in_the_same_order() {
    let calls = whole_run(many());
    assert!(syncs_of_the_file_system(&calls) >= 2, "staged once, published once");
}

/// Kills the job in place of its n-th link, and traces the start after it as well.
fn killed_at_link(topic: &Sided, nth: usize) -> usize {
    let job = topic.job();
    let traced = |mishap: &Mishap| job.run_traced(mishap).unwrap_or_else(|error| panic!("{error:#}"));
    let (killed, first) = traced(&Mishap::Kill { call: "linkat", nth });
    assert!(killed.status.code().is_none() && killed.stdout.is_empty(), "{}", killed.told());
    let before = check(&job, &first);
    let (finished, second) = traced(&Mishap::None);
    finished.summary().unwrap_or_else(|error| panic!("{error:#}"));
    topic.assert_complete(&job);
    let calls = check(&job, &format!("{first}{second}"));
    let started = |call: &&Call| matches!(&call.act, Act::Say { text, .. } if text.contains(" started "));
    let started = calls.iter().rfind(started).expect("it says so").began;
    let finished_publications: Vec<Call> =
        calls.iter().skip(before.len()).filter(|call| call.ended < started).cloned().collect();
    published(&finished_publications, &job.places()).len()
}

#[test]
fn a_start_that_finishes_a_publication_keeps_the_same_order() {
    // After those of the components the first link is the seal, then one a file follows.
    assert_eq!(killed_at_link(few(), COMPONENTS + 1), 0, "nothing was sealed");
    assert!(killed_at_link(few(), COMPONENTS + 2) > 0, "sealed, nothing published");
    assert!(killed_at_link(few(), COMPONENTS + 3) > 0, "one file published");
    assert!(killed_at_link(many(), COMPONENTS + 20) > 64, "the rest of many");
}
