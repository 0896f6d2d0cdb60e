//! Plugins that fail on groups, where there is no row to blame: the job stops and names the group, or goes on without
//! it, whatever comes later and however often it is started again.

use std::collections::BTreeSet;
use std::path::Path;

use arrow_array::cast::AsArray;
use arrow_array::types::Float64Type;

use super::memory::{self, MemoryTopic, Tick};
use super::poison::{Where, up_to};
use super::recomputed::{batches, published, recompute};
use super::{DAY_MS, START_MS, run, spec, try_open};
use crate::config::{JobSpec, OnGroupFailure};
use crate::job::JobHandle;

const HOUR_MS: i64 = 3_600_000;
/// A group whose highest price is this one is what the guest trips over.
const TRIPWIRE: f64 = 1_000_005.25;

/// The job with a plugin that fails in `call` on groups that hold the tripwire.
fn tripping(folder: &Path, action: &str, call: &str) -> JobSpec {
    let mut spec = spec(folder, Some(500));
    spec.limits.call_cpu_ms = 60;
    spec.limits.memory_bytes_max = 32 << 20;
    let file = folder.join("tripping.wasm");
    std::fs::write(&file, up_to(Where::Aggregate, &format!("trip-{action} {call}"))).unwrap();
    spec.aggregates[0].stage.plugin = file;
    spec
}

/// Three days of five symbols in order; S2 of the first day and S4 of the second hold the tripwire.
fn ticks() -> Vec<Tick> {
    let mut ticks = memory::jittered_ticks(29, 3_000, 5, 3 * DAY_MS, START_MS + HOUR_MS);
    ticks.iter_mut().for_each(|tick| tick.partition = 0);
    for place in [212, 1_414] {
        ticks[place].price = TRIPWIRE;
    }
    ticks
}

/// Symbol and start of the groups that hold it.
fn tripped(ticks: &[Tick]) -> BTreeSet<(String, i64)> {
    let with = ticks.iter().filter(|tick| tick.price == TRIPWIRE);
    with.map(|tick| (tick.symbol.clone(), tick.event_time_ms.div_euclid(DAY_MS) * DAY_MS)).collect()
}

/// The dead letters of groups: kind and group, and the highest prices of the states in them.
fn group_letters(spec: &JobSpec) -> Vec<(String, String, Vec<f64>)> {
    let folder = spec.aggregates[0].output.with_file_name("daily.dead-letters").join("daily");
    let mut letters = Vec::new();
    for batch in batches(&folder) {
        let text = |name: &str| batch.column_by_name(name).unwrap().as_string::<i32>().clone();
        let bytes = |name: &str| batch.column_by_name(name).unwrap().as_binary::<i32>().clone();
        let (kinds, messages, keys, values) = (text("kind"), text("message"), bytes("key"), bytes("value"));
        for row in 0..batch.num_rows() {
            assert!(messages.value(row).contains("symbol=S"), "{}", messages.value(row));
            assert_eq!(text("aggregate").value(row), "daily");
            let group = String::from_utf8(keys.value(row).to_vec()).unwrap();
            letters.push((kinds.value(row).to_owned(), group, highs(values.value(row))));
        }
    }
    letters
}

fn highs(states: &[u8]) -> Vec<f64> {
    let mut stream = arrow_ipc::reader::StreamReader::try_new(states, None).unwrap();
    let states = stream.next().unwrap().unwrap();
    let high = states.column_by_name("high").unwrap().as_primitive::<Float64Type>();
    high.iter().flatten().collect()
}

#[test]
fn a_group_that_a_plugin_fails_on_stops_the_job_and_is_named() {
    for call in ["merge", "finish"] {
        for (action, said) in [("trap", "trapped"), ("miscount", "broke the contract"), ("loop", "CPU time")]
        {
            let folder = tempfile::tempdir().unwrap();
            let spec = tripping(folder.path(), action, call);
            let ticks = ticks();
            let mut topic = MemoryTopic::new(1);
            topic.append(&ticks);
            let stopped = try_open(&spec, &topic, 1).unwrap().run(&JobHandle::default(), &mut |_| {});
            let told = format!("{:#}", stopped.unwrap_err());
            let (symbol, start_ms) =
                tripped(&ticks).into_iter().min_by_key(|(_, start_ms)| *start_ms).unwrap();
            let group = format!("the group symbol={symbol} of the window at {} us", start_ms * 1000);
            for part in [group.as_str(), "on_group_failure", said, &format!("aggregate.{call}:"), "(sha256:"]
            {
                assert!(told.contains(part), "{action} {call}: no {part} in: {told}");
            }
            assert!(group_letters(&spec).is_empty());
        }
    }
}

#[test]
fn groups_that_a_plugin_fails_on_become_dead_letters_where_that_is_wished() {
    for call in ["merge", "finish"] {
        for (action, kind) in [
            ("trap", "group-trapped"),
            ("miscount", "group-broke-contract"),
            ("loop", "group-overran"),
            ("hoard", "group-over-limit"),
        ] {
            check_given_up(action, call, kind, &[]);
        }
    }
    // A restart forgets none of it.
    check_given_up("trap", "merge", "group-trapped", &[400, 401, 900, 1_700]);
    check_given_up("trap", "finish", "group-trapped", &[400, 401, 900, 1_700]);
}

fn check_given_up(action: &str, call: &str, kind: &str, stops: &[usize]) {
    let folder = tempfile::tempdir().unwrap();
    let mut spec = tripping(folder.path(), action, call);
    spec.poison.groups = OnGroupFailure::DeadLetter;
    let (ticks, mut topic) = (ticks(), MemoryTopic::new(1));
    let (mut records_in, mut given_up) = (0, 0);
    for part in memory::split(&ticks, stops) {
        topic.append(part);
        let account = run(&spec, &topic, 1).account;
        account.check().unwrap();
        records_in += account.records_in;
        given_up += account.groups_dead_lettered;
    }
    let tripped = tripped(&ticks);
    assert_eq!((records_in, given_up), (3_000, tripped.len() as u64), "{action} {call}");
    let mut expected = recompute(&ticks, &topic, DAY_MS, HOUR_MS);
    assert!(tripped.iter().all(|group| expected.contains_key(group)));
    expected.retain(|group, _| !tripped.contains(group));
    assert_eq!(published(&spec.aggregates[0].output), expected, "{action} {call}");
    let letters = group_letters(&spec);
    let symbols: BTreeSet<String> = tripped.iter().map(|(symbol, _)| format!("symbol={symbol}")).collect();
    let of_failures: Vec<_> = letters.iter().filter(|(found, _, _)| found == kind).collect();
    assert_eq!(of_failures.iter().map(|(_, group, _)| group.clone()).collect::<BTreeSet<_>>(), symbols);
    assert_eq!(of_failures.len(), tripped.len(), "{letters:?}");
    for (_, _, highs) in of_failures {
        assert!(highs.contains(&TRIPWIRE) && highs.len() == if call == "merge" { 2 } else { 1 }, "{highs:?}");
    }
    let late_parts = letters.iter().filter(|(found, _, _)| found == "group-given-up").count();
    // What came to them later is told of as well; a finished group is closed, and gets nothing more.
    assert_eq!(late_parts > 0, call == "merge", "{letters:?}");
    assert_eq!(letters.len(), tripped.len() + late_parts);
}

#[test]
fn a_plugin_that_fails_on_every_group_stops_the_job_all_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let mut spec = tripping(folder.path(), "trap", "finish");
    std::fs::write(folder.path().join("tripping.wasm"), up_to(Where::Aggregate, "trap finish")).unwrap();
    spec.poison.groups = OnGroupFailure::DeadLetter;
    let ticks = memory::jittered_ticks(29, 3_000, 50, 3 * DAY_MS, START_MS);
    let mut topic = MemoryTopic::new(1);
    topic.append(&ticks);
    let stopped = try_open(&spec, &topic, 1).unwrap().run(&JobHandle::default(), &mut |_| {});
    let told = format!("{:#}", stopped.unwrap_err());
    assert!(told.contains("fails on more than 10 groups of") && told.contains("poison_share_max"), "{told}");
    assert!(group_letters(&spec).is_empty());
}
