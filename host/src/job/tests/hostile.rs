//! Plugins that mean ill, in every call of every stage, and what becomes of the job: it is refused at its start, it
//! stops before the batch, it goes on without the rows that the plugin fails on, or the swap is refused. Whatever it
//! is, the error says whose call it was, and no record is lost or doubled.
//!
//! How a single call ends, and what it may use until then, is tested with the plugin runtime.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::{Duration, Instant};

use speed_layer_core::account::Account;
use speed_layer_plugin::{Digest, Limits, Runtime, RuntimeOptions};

use super::memory::{self, MemoryTopic, Tick};
use super::poison::{Where, letters, refused, stage_of, up_to};
use super::recomputed::{Table, published, recompute};
use super::resets::run_with_swap_of;
use super::{DAY_MS, START_MS, open, run, spec, try_open};
use crate::config::JobSpec;
use crate::job::JobHandle;
use crate::job::swap::{Outcome, Windows};
use crate::plan::StageName;

const HOUR_MS: i64 = 3_600_000;
const STAGES: [Where; 3] = [Where::Parse, Where::Transform, Where::Aggregate];

impl Where {
    fn stage(self) -> &'static str {
        match self {
            Self::Parse => "parse",
            Self::Transform => "transform",
            Self::Aggregate => "aggregate",
        }
    }

    /// The call that takes rows.
    fn row_call(self) -> &'static str {
        match self {
            Self::Aggregate => "update",
            _ => self.stage(),
        }
    }
}

/// A job with small limits, in which one plugin is a guest's of the tests.
struct Hostile {
    folder: tempfile::TempDir,
    spec: JobSpec,
    at: Where,
    digest: String,
    ticks: Vec<Tick>,
    topic: MemoryTopic,
}

impl Hostile {
    fn new(at: Where, mischief: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut spec = spec(folder.path(), Some(500));
        spec.limits.call_cpu_ms = 60;
        spec.limits.memory_bytes_max = 16 << 20;
        spec.poison.budget_ms = 500;
        let mut ticks = memory::jittered_ticks(7, 2_000, 5, 3 * DAY_MS, START_MS);
        ticks.iter_mut().for_each(|tick| tick.partition = 0);
        let mut topic = MemoryTopic::new(1);
        topic.append(&ticks);
        if at == Where::Transform {
            spec.transforms.push(stage_of(folder.path().join("hostile.wasm")));
        }
        let mut hostile = Self { folder, spec, at, digest: String::new(), ticks, topic };
        hostile.become_(mischief);
        hostile
    }

    /// Puts another plugin in the place of the file.
    fn become_(&mut self, mischief: &str) {
        let (file, component) = (self.folder.path().join("hostile.wasm"), up_to(self.at, mischief));
        self.digest = Digest::of(&component).short();
        std::fs::write(&file, component).unwrap();
        match self.at {
            Where::Parse => self.spec.parse.plugin = file,
            Where::Transform => {}
            Where::Aggregate => self.spec.aggregates[0].stage.plugin = file,
        }
    }

    /// Why the job does not start or stops.
    fn stops(&self) -> String {
        let opened = try_open(&self.spec, &self.topic, 1);
        let ended = opened.and_then(|opened| opened.run(&JobHandle::default(), &mut |_| {}));
        format!("{:#}", ended.expect_err("it stops"))
    }

    fn check_told(&self, told: &str, call: &str, parts: &[&str]) {
        let whose = format!("plugin hostile (sha256:{}), {}.{call}:", self.digest, self.at.stage());
        assert!(told.contains(&whose), "no {whose} in: {told}");
        parts.iter().for_each(|part| assert!(told.contains(part), "no {part} in: {told}"));
    }

    fn output(&self) -> &Path {
        &self.spec.aggregates[0].output
    }

    /// The windows of all ticks but these.
    fn expected_without(&self, left_out: &BTreeSet<i64>) -> Table {
        let kept = (0..).zip(&self.ticks).filter(|(offset, _)| !left_out.contains(offset));
        let kept: Vec<Tick> = kept.map(|(_, tick)| tick.clone()).collect();
        let mut topic = MemoryTopic::new(1);
        topic.append(&kept);
        recompute(&kept, &topic, DAY_MS, HOUR_MS)
    }

    /// Runs the job to its end: what is in the dead letters is missing in the windows, and nothing else.
    fn goes_through(&self) -> Account {
        let account = run(&self.spec, &self.topic, 1).account;
        account.check().unwrap();
        let left_out: BTreeSet<i64> = letters(&self.spec).into_keys().collect();
        assert_eq!(refused(&account, self.at), left_out.len() as u64);
        let expected = self.expected_without(&left_out);
        assert!(expected.len() > 5);
        assert_eq!(published(self.output()), expected);
        account
    }
}

/// What a plugin does in a call, and what is said of it.
const FAILURES: [(&str, &str); 4] = [
    ("trap", "the plugin trapped (wasm `unreachable` instruction executed)"),
    ("loop", "ms of CPU time and was ended"),
    ("hoard", "give it smaller batches or a larger memory_bytes_max"),
    ("refuse", "refuses"),
];

#[test]
fn a_plugin_that_fails_before_its_first_row_is_refused_at_the_start() {
    for at in STAGES {
        for call in ["describe", "open"] {
            for (action, said) in FAILURES {
                // To describe these two cannot refuse, since their traits give them no way.
                if (action, call) == ("refuse", "describe") && at != Where::Aggregate {
                    continue;
                }
                let mut hostile = Hostile::new(at, &format!("{action} {call}"));
                hostile.check_told(&hostile.stops(), call, &[said]);
                assert!(!hostile.output().exists() || published(hostile.output()).is_empty());
                hostile.become_("nothing update");
                assert_eq!(hostile.goes_through().records_in, 2_000, "{at:?} {action} {call}");
            }
        }
    }
}

#[test]
fn a_plugin_that_fails_on_every_row_stops_the_job_before_the_batch_within_the_budget() {
    for at in STAGES {
        let call = at.row_call();
        for (action, said) in [
            FAILURES[0],
            FAILURES[1],
            FAILURES[2],
            ("refuse", "the plugin stops the job"),
            ("retry", "asks to try the batch again"),
            ("miscount", "the plugin broke the contract"),
        ] {
            let mut hostile = Hostile::new(at, &format!("{action} {call}"));
            let began = Instant::now();
            let told = hostile.stops();
            // A call that is under way when the budget is over is waited for, as is a start.
            assert!(began.elapsed() < Duration::from_secs(20), "{at:?} {action}: {:?}", began.elapsed());
            hostile.check_told(&told, call, &[said, "partition 0 offsets 0 to 499"]);
            assert!(letters(&hostile.spec).is_empty());
            hostile.become_("nothing update");
            assert_eq!(hostile.goes_through().records_in, 2_000, "{at:?} {action}");
        }
    }
}

#[test]
fn a_plugin_that_fails_now_and_then_costs_no_row_but_those_in_the_dead_letters() {
    for at in STAGES {
        for calls in [1, 2, 3, 7] {
            for action in ["trap", "miscount"] {
                let mut hostile = Hostile::new(at, &format!("{action} {} {calls}", at.row_call()));
                hostile.spec.poison.budget_ms = 30_000;
                hostile.spec.poison.share_max = 1.0;
                assert_eq!(hostile.goes_through().records_in, 2_000, "{at:?} {action} {calls}");
            }
        }
    }
}

#[test]
fn output_that_is_another_each_time_loses_and_doubles_no_window() {
    for call in ["update", "finish"] {
        let hostile = Hostile::new(Where::Aggregate, &format!("vary {call}"));
        let account = run(&hostile.spec, &hostile.topic, 1).account;
        account.check().unwrap();
        let late = account.aggregates["daily"].late;
        assert_eq!((account.records_in, account.aggregates["daily"].aggregated + late), (2_000, 2_000));
        let (mut found, mut expected) =
            (published(hostile.output()), hostile.expected_without(&BTreeSet::new()));
        assert_ne!(found, expected);
        // All but what it varies is as it should be.
        for table in [&mut found, &mut expected] {
            table.values_mut().for_each(|row| row.ticks = 0);
        }
        assert_eq!(found, expected);
    }
}

/// The CPU time of a call that does nothing so many hundred thousand times.
fn dawdled(at: Where, rounds: u32) -> Duration {
    let limits = Limits { call_cpu_ms: 60_000, ..Limits::default() };
    let runtime = Runtime::new(RuntimeOptions { cache_dir: None, limits }).unwrap();
    let input = std::sync::Arc::new(arrow_schema::Schema::empty());
    let time = |rounds: u32| {
        let plugin = runtime.load_bytes("slow", &up_to(at, &format!("dawdle describe {rounds}"))).unwrap();
        let began = thread_cpu();
        match at {
            Where::Parse => drop(plugin.describe_parse("{}").unwrap()),
            Where::Transform => drop(plugin.describe_transform("{}", &input)),
            Where::Aggregate => drop(plugin.describe_aggregate("{}", &input).unwrap()),
        }
        thread_cpu() - began
    };
    time(1);
    time(rounds)
}

fn thread_cpu() -> Duration {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(now.tv_sec.unsigned_abs(), now.tv_nsec.unsigned_abs() as u32)
}

/// Where the machine has become slower since, the second try with twice the time takes it up.
#[test]
fn a_plugin_that_is_as_slow_as_it_may_be_costs_no_row() {
    const ROUNDS: u32 = 500;
    for at in STAGES {
        let mut hostile = Hostile::new(at, &format!("dawdle {} {ROUNDS}", at.row_call()));
        let took_ms = dawdled(at, ROUNDS).as_secs_f64() * 1000.0;
        hostile.spec.limits.call_cpu_ms = (took_ms / 0.99).ceil() as u64;
        let account = hostile.goes_through();
        assert_eq!((account.records_in, refused(&account, at)), (2_000, 0), "{at:?}: {took_ms} ms");
    }
}

/// Every call that a swap makes of a new plugin, and how it may fail there.
fn swaps() -> Vec<(Where, &'static str, String)> {
    let mut swaps = Vec::new();
    for at in STAGES {
        let calls: &[&str] = match at {
            Where::Parse => &["describe", "open", "parse"],
            Where::Transform => &["describe", "open", "transform"],
            Where::Aggregate => &["describe", "open", "update", "merge", "finish", "migrate"],
        };
        for &call in calls {
            let mut actions = vec!["trap", "loop", "hoard"];
            let gives_rows = !matches!(call, "describe" | "open");
            actions.extend(gives_rows.then_some("miscount"));
            actions.extend((call != "describe").then_some("refuse"));
            actions.extend((gives_rows && call != "migrate").then_some("retry"));
            swaps.extend(actions.into_iter().map(|action| (at, call, format!("{action} {call}"))));
        }
    }
    swaps
}

#[test]
fn a_swap_to_a_plugin_that_fails_in_any_call_is_refused_or_taken_back_and_costs_no_row() {
    let ticks = memory::jittered_ticks(23, 24_000, 5, 3 * DAY_MS, START_MS);
    let swaps = swaps();
    assert_eq!(swaps.len(), 56);
    for (at, call, mischief) in swaps {
        let folder = tempfile::tempdir().unwrap();
        let mut spec = spec(folder.path(), Some(1_000));
        spec.limits.call_cpu_ms = 60;
        spec.limits.memory_bytes_max = 16 << 20;
        if at == Where::Transform {
            let file = folder.path().join("honest.wasm");
            std::fs::write(&file, up_to(at, "nothing transform")).unwrap();
            spec.transforms.push(stage_of(file));
        }
        let mut topic = MemoryTopic::new(2);
        topic.append(&ticks);
        let stage = match at {
            Where::Parse => StageName::Parse,
            Where::Transform => StageName::Transform(1),
            Where::Aggregate => StageName::Aggregate("daily".into()),
        };
        let component = up_to(at, &mischief);
        let opened = open(&spec, &topic, 2);
        let (summary, swapped) = run_with_swap_of(&stage, &component, opened, Windows::TakeOver);
        let told = match swapped {
            Err(refused) => format!("{refused:#}"),
            Ok(Outcome::RolledBack { why }) => why,
            Ok(other) => panic!("{mischief}: {other:?}"),
        };
        let digest = Digest::of(&component).short();
        for part in [format!("(sha256:{digest})"), format!("{}.{call}:", at.stage())] {
            assert!(told.contains(&part), "{mischief}: no {part} in: {told}");
        }
        assert_eq!(summary.account.records_in, 24_000, "{mischief}");
        assert!(letters(&spec).is_empty(), "{mischief}");
        let expected = recompute(&ticks, &topic, DAY_MS, HOUR_MS);
        assert_eq!(published(&spec.aggregates[0].output), expected, "{mischief}");
    }
}
