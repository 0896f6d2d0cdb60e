//! A disk that is full, read-only or broken, at each kind of call that the real program makes to it: strace
//! makes the call fail. The job ends with exit code 1 and a paragraph that names the path, the cause and what
//! to do, and shows nothing half done; the next start completes.
//!
//! Which calls there are is taken from a run without mishap, so that a new one is tried without being listed.

use std::collections::BTreeMap;
use std::path::Path;

use speed_layer_tests::job::Job;
use speed_layer_tests::strace::Mishap;
use speed_layer_tests::trace::{Act, Call, parse};

use super::sided::{COMPONENTS, Sided};

/// How often calls of one name on paths of one kind are made to fail: the first and the last of them.
const SPREAD: usize = 2;

/// A call of the run without mishap.
#[derive(Clone, Debug)]
struct Spot {
    call: String,
    /// Below the job's folder, as the program writes it.
    path: String,
    /// The how manieth call of that name on that path.
    nth: usize,
    act: Act,
}

/// A cause, how it is said, and the advice that goes with it.
struct Cause {
    errno: &'static str,
    said: &'static str,
    advice: &'static str,
}

const FULL: Cause = Cause { errno: "ENOSPC", said: "No space left on device", advice: "make room" };
const READ_ONLY: Cause =
    Cause { errno: "EROFS", said: "Read-only file system", advice: "make the file system writable" };
const BROKEN: Cause = Cause { errno: "EIO", said: "Input/output error", advice: "check the disk" };
/// What was not written may be noticed by a sync only; then nothing is known about the disk.
const FULL_AT_SYNC: Cause = Cause { advice: "check the disk", ..FULL };

/// What may befall such a call.
fn causes(act: &Act) -> &'static [Cause] {
    match act {
        Act::Open { writes: true, .. } => &[FULL, READ_ONLY, BROKEN],
        Act::Write(_) => &[FULL, BROKEN],
        Act::Link { .. } => &[FULL, BROKEN, READ_ONLY],
        Act::MakeDir(_) => &[READ_ONLY, FULL],
        Act::Remove(_) => &[READ_ONLY, BROKEN],
        Act::Sync(_) => &[BROKEN, FULL_AT_SYNC],
        Act::Open { .. } | Act::SyncFileSystem(_) => &[BROKEN],
        Act::Rename { .. } | Act::Say { .. } => &[],
    }
}

/// The path with numbers and symbols left out: files of one kind.
fn kind(path: &str) -> String {
    let name = |part: &str| match part.split_once('=') {
        Some((column, _symbol)) => format!("{column}="),
        None => part.chars().filter(|c| !c.is_ascii_digit()).collect(),
    };
    path.split('/').map(name).collect::<Vec<_>>().join("/")
}

/// The calls to try, each with a cause: the first and the last of every call on every kind of path.
fn spots(calls: &[Call], job: &Job, is_wanted: fn(&Act) -> bool) -> Vec<(Spot, &'static Cause)> {
    let folder = job.path("").display().to_string();
    let mut counts: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    let mut kinds: BTreeMap<String, Vec<Spot>> = BTreeMap::new();
    for call in calls {
        let path = call.act.path().and_then(Path::to_str).and_then(|path| path.strip_prefix(&folder));
        let Some(path) = path else { continue };
        let nth = counts.entry((&call.name, path)).or_default();
        *nth += 1;
        // The control socket's name goes with the job; one that stays is replaced by the next start.
        let is_left = matches!(call.act, Act::Remove(_)) && path.ends_with("control.sock");
        if call.ok && is_wanted(&call.act) && !is_left {
            let (name, act) = (call.name.clone(), call.act.clone());
            let writes = matches!(act, Act::Open { writes: true, .. });
            let spot = Spot { call: name, path: path.to_owned(), nth: *nth, act };
            kinds.entry(format!("{} {writes} {}", spot.call, kind(path))).or_default().push(spot);
        }
    }
    let mut chosen = Vec::new();
    for (turn, of_kind) in kinds.values().enumerate() {
        let wanted = of_kind.len().min(SPREAD);
        for step in 0..wanted {
            let spot = &of_kind[step * (of_kind.len() - 1) / (wanted - 1).max(1)];
            let causes = causes(&spot.act);
            chosen.push((spot.clone(), &causes[(turn + step) % causes.len()]));
        }
    }
    chosen
}

/// Lets the call fail in a job of its own, which has met `before` already; what was not as it should be.
fn trial(topic: &Sided, before: &Mishap, spot: &Spot, cause: &Cause) -> Vec<String> {
    let job = topic.job();
    if !matches!(before, Mishap::None) {
        job.run_traced(before).expect("it dies");
    }
    let path = format!("{}{}", job.path("").display(), spot.path);
    let named = path.trim_end_matches('/').to_owned();
    let (call, nth) = (spot.call.clone(), spot.nth);
    let mishap = Mishap::Fail { call, errno: cause.errno, path: path.into(), nth };
    let (failed, trace) = job.run_traced(&mishap).unwrap_or_else(|error| panic!("{error:#}"));
    let error = failed.stderr.lines().find(|line| line.starts_with("error: ")).unwrap_or_default();
    let mut wrong = topic.harm(&job);
    let mut must = |holds: bool, what: &str| {
        if !holds {
            wrong.push(what.to_owned());
        }
    };
    must(trace.contains("(INJECTED)"), "the call was not made");
    must(failed.status.code() == Some(1), "it did not end with exit code 1");
    must(failed.stdout.is_empty() && !failed.stderr.contains("panicked"), "it said more than it should");
    must(error.contains(&named), "the path is not named");
    must(error.contains(cause.said), "the cause is not named");
    must(error.contains(cause.advice), "what to do is not said");
    let restarted = job.run().and_then(|run| run.summary());
    wrong.extend(restarted.err().map(|error| format!("{error:#}")));
    wrong.extend(topic.wrong(&job));
    if !wrong.is_empty() {
        wrong.insert(0, format!("{spot:?} {}: {}", cause.errno, failed.told()));
    }
    wrong
}

/// Traces a run that has met `before` already, then fails its calls one by one; gives how many.
fn check(topic: &Sided, before: &Mishap, is_wanted: fn(&Act) -> bool) -> usize {
    let job = topic.job();
    if !matches!(before, Mishap::None) {
        job.run_traced(before).expect("it dies");
    }
    let (finished, text) = job.run_traced(&Mishap::None).unwrap_or_else(|error| panic!("{error:#}"));
    finished.summary().unwrap_or_else(|error| panic!("{error:#}"));
    let calls = parse(&text).unwrap_or_else(|error| panic!("{error:#}"));
    let spots = spots(&calls, &job, is_wanted);
    let wrong: Vec<String> =
        spots.iter().flat_map(|(spot, cause)| trial(topic, before, spot, cause)).collect();
    eprintln!("{} trials", spots.len());
    assert!(wrong.is_empty(), "of {} trials:\n{}", spots.len(), wrong.join("\n"));
    spots.len()
}

#[test]
fn a_write_that_fails_ends_the_job_and_the_next_start_completes() {
    let topic = Sided::topic("faults-writes", 3);
    let is_wanted = |act: &Act| matches!(act, Act::Open { writes: true, .. } | Act::Write(_));
    assert!(check(&topic, &Mishap::None, is_wanted) >= 8);
}

#[test]
fn a_name_that_cannot_be_given_or_taken_ends_the_job_and_the_next_start_completes() {
    let topic = Sided::topic("faults-names", 3);
    let is_wanted = |act: &Act| matches!(act, Act::Link { .. } | Act::MakeDir(_) | Act::Remove(_));
    assert!(check(&topic, &Mishap::None, is_wanted) > 15);
}

#[test]
fn a_sync_that_fails_ends_the_job_and_the_next_start_completes() {
    let topic = Sided::topic("faults-syncs", 3);
    assert!(check(&topic, &Mishap::None, |act| matches!(act, Act::Sync(_))) > 15);
}

#[test]
fn a_sync_of_the_whole_file_system_that_fails_ends_the_job_and_the_next_start_completes() {
    let topic = Sided::topic("faults-many", 90);
    assert!(check(&topic, &Mishap::None, |act| matches!(act, Act::SyncFileSystem(_))) >= 2);
}

#[test]
fn a_file_or_directory_that_cannot_be_opened_ends_the_job_and_the_next_start_completes() {
    let topic = Sided::topic("faults-opens", 3);
    assert!(check(&topic, &Mishap::None, |act| matches!(act, Act::Open { writes: false, .. })) > 15);
}

#[test]
fn a_start_that_finishes_a_publication_may_fail_anywhere_and_the_next_one_completes() {
    let topic = Sided::topic("faults-starts", 3);
    // Sealed, one file published.
    let killed = Mishap::Kill { call: "linkat", nth: COMPONENTS + 3 };
    let is_wanted = |act: &Act| matches!(act, Act::Link { .. } | Act::Remove(_) | Act::Sync(_));
    assert!(check(&topic, &killed, is_wanted) > 15);
}
