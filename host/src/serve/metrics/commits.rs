//! What was committed, how long that took, and what was published.

use std::time::Duration;

use super::duration::BOUNDS_S;
use super::seconds;
use super::text::{Kind, Text};
use crate::job::{Took, swap};
use crate::serve::board::{Board, Word};

/// A part of a commit, and its time.
pub type Phase = (&'static str, fn(&Took) -> Duration);

/// The parts of a commit, in their order.
pub const PHASES: [Phase; 5] = [
    ("cut", |took| took.cut),
    ("fold", |took| took.fold),
    ("stage", |took| took.stage),
    ("seal", |took| took.seal),
    ("publish", |took| took.publish),
];

/// All that a swap can come to.
const OUTCOMES: [&str; 6] = ["swapped", "taken_back", "rolled_back", "refused", "shadowed", "shadow_failed"];

pub fn tell(text: &mut Text, board: &Board, word: &Word) {
    text.single("commits_total", Kind::Counter, "Commits of this process.", word.commits);
    text.family("commit_duration_seconds", Kind::Histogram, "How long each part of a commit took.");
    for ((phase, _), of) in PHASES.iter().zip(&word.phases) {
        text.histogram(&[("phase", phase)], &BOUNDS_S, &of.buckets, of.sum.as_secs_f64());
    }
    let newest = word.newest();
    text.family("epoch", Kind::Gauge, "The last epoch that was committed.");
    newest.iter().for_each(|commit| text.sample(&[], commit.progress.epoch));
    text.family("last_commit_timestamp_seconds", Kind::Gauge, "When it was, seconds since 1970 UTC.");
    newest.iter().for_each(|commit| text.sample(&[], seconds(commit.at_ms)));
    let counters = [
        ("windows_written_total", "Rows written: one a closed window and key.", word.windows),
        ("files_published_total", "Files published, dead letters and late rows among them.", word.files),
        ("published_bytes_total", "Bytes of these files.", word.published_bytes),
    ];
    counters.into_iter().for_each(|(name, help, value)| text.single(name, Kind::Counter, help, value));
    swaps(text, board);
}

/// Of the job, from its history: what earlier processes swapped counts, too.
fn swaps(text: &mut Text, board: &Board) {
    text.family("swaps_total", Kind::Counter, "Swaps in the job's history, by what became of them.");
    let Some(Ok(history)) = board.handle.swap_history().map(|path| swap::read_history(&path)) else { return };
    for outcome in OUTCOMES {
        let swaps = history.iter().filter(|swap| swap["outcome"] == outcome).count();
        text.sample(&[("outcome", outcome)], swaps);
    }
}
