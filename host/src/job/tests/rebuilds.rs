//! Swaps over records in memory whose plugin makes the open windows anew from the topic: the
//! windows are those of a job that had it from the beginning, or nothing has changed.

use std::sync::{Arc, OnceLock};
use std::thread::{self, ThreadId};

use speed_layer_core::records::Records;
use speed_layer_kafka::TopicFacts;

use super::memory::{self, MemoryTopic, Tick};
use super::poison::{TRAP, stumbling_aggregate};
use super::recomputed::{published, recompute};
use super::resets::{run_with_swap, run_with_swap_of};
use super::{DAY_MS, START_MS, open, run, spec};
use crate::job::replay::{Stretch, read};
use crate::job::swap::{Outcome, Topic, Windows};
use crate::plan::StageName;

/// The topic in memory, read a second time, with what has become of it.
pub struct Again {
    topic: MemoryTopic,
    log_start: i64,
    /// Where it is there, only the thread that reads first can read at all.
    reader: Option<OnceLock<ThreadId>>,
}

impl Again {
    pub fn whole(topic: MemoryTopic) -> Self {
        Self { topic, log_start: 0, reader: None }
    }
}

impl Topic for Again {
    fn facts(&self) -> anyhow::Result<TopicFacts> {
        let mut facts = self.topic.facts();
        facts.partitions.iter_mut().for_each(|partition| partition.log_start = self.log_start);
        Ok(facts)
    }

    fn read(
        &self,
        stretch: &Stretch,
        _wants_headers: bool,
        take: &mut dyn FnMut(&Records) -> anyhow::Result<()>,
    ) -> anyhow::Result<u64> {
        let own = thread::current().id();
        let may_read = self.reader.as_ref().is_none_or(|reader| *reader.get_or_init(|| own) == own);
        anyhow::ensure!(may_read, "as the test says");
        read(&self.topic, stretch, take)
    }
}

/// Runs a job over `ticks` in which a plugin makes the windows anew while the first part is
/// read, and compares; what became of the swap.
fn check(
    ticks: &[Tick],
    stops: &[usize],
    workers: usize,
    again: impl FnOnce(MemoryTopic) -> Again,
) -> anyhow::Result<Outcome> {
    check_of(None, ticks, stops, workers, again)
}

/// The same with a component; another digest of the same where there is none.
fn check_of(
    component: Option<Vec<u8>>,
    ticks: &[Tick],
    stops: &[usize],
    workers: usize,
    again: impl FnOnce(MemoryTopic) -> Again,
) -> anyhow::Result<Outcome> {
    let folder = tempfile::tempdir().unwrap();
    let spec = spec(folder.path(), Some(2_000));
    let mut topic = MemoryTopic::new(4);
    let parts = memory::split(ticks, stops);
    topic.append(parts[0]);
    let mut opened = open(&spec, &topic, workers);
    Arc::get_mut(&mut opened.swapper).unwrap().topic = Arc::new(again(topic.clone()));
    let (_, swapped) = match component {
        Some(component) => {
            let daily = StageName::Aggregate("daily".into());
            run_with_swap_of(&daily, &component, opened, Windows::Rebuild)
        }
        None => run_with_swap(&spec, opened, Windows::Rebuild),
    };
    for part in &parts[1..] {
        topic.append(part);
        run(&spec, &topic, workers);
    }
    let output = &spec.aggregates[0].output;
    assert_eq!(published(output), recompute(ticks, &topic, DAY_MS, 3_600_000));
    assert!(!output.with_file_name("daily.partial").join("daily").exists());
    assert!(!output.with_file_name("daily.late").join("daily").exists());
    swapped
}

fn ticks() -> Vec<Tick> {
    memory::jittered_ticks(23, 300_000, 20, 6 * DAY_MS, START_MS)
}

#[test]
fn windows_made_anew_hold_every_row_once() {
    for (stops, workers) in [(&[][..], 2), (&[], 1), (&[250_000, 250_001, 270_000], 2)] {
        let outcome = check(&ticks(), stops, workers, Again::whole);
        assert!(matches!(outcome, Ok(Outcome::Swapped { .. })), "{outcome:?}");
    }
}

#[test]
fn a_swap_that_needs_records_that_are_gone_is_refused() {
    let gone = |topic| Again { log_start: 1_000_000, ..Again::whole(topic) };
    let refused = check(&ticks(), &[], 2, gone).unwrap_err();
    assert!(format!("{refused:#}").contains("retention has taken"), "{refused:#}");
}

#[test]
fn a_swap_whose_last_records_cannot_be_read_is_rolled_back() {
    // The thread that asks reads beside the stream, and another one after the cut.
    let unreadable = |topic| Again { reader: Some(OnceLock::new()), ..Again::whole(topic) };
    let outcome = check(&ticks(), &[], 2, unreadable);
    let Ok(Outcome::RolledBack { why }) = outcome else { panic!("{outcome:?}") };
    assert!(why.contains("as the test says"), "{why}");
}

#[test]
fn a_plugin_that_fails_on_a_row_that_was_counted_is_refused() {
    let mut ticks = ticks();
    ticks[..40].iter_mut().for_each(|tick| tick.price = TRAP);
    let refused = check_of(Some(stumbling_aggregate()), &ticks, &[], 2, Again::whole).unwrap_err();
    assert!(format!("{refused:#}").contains("trapped"), "{refused:#}");
}
