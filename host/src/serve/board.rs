//! Where the job leaves word of each commit, and answers are made from. Each word replaces the one before whole, so that
//! neither side waits for the other longer than it takes to copy a reference.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use speed_layer_core::account::Account;

use super::metrics::{DurationHistogram, PHASES};
use crate::config::JobSpec;
use crate::job::{JobHandle, Progress, now_ms};
use crate::stages::SideCounts;

/// So many commits are remembered.
const COMMITS_MAX: usize = 100;

/// One job's.
#[derive(Debug, Default)]
pub struct Board {
    pub job: String,
    pub topic: String,
    /// Wall clock, milliseconds since 1970 UTC.
    pub began_ms: i64,
    pub handle: JobHandle,
    word: Mutex<Arc<Word>>,
}

/// What this process has committed.
#[derive(Debug, Clone, Default)]
pub struct Word {
    pub account: Account,
    pub sides: SideCounts,
    pub windows: u64,
    pub files: u64,
    pub published_bytes: u64,
    /// As [`PHASES`].
    pub phases: [DurationHistogram; PHASES.len()],
    pub commits: u64,
    /// The last ones, oldest first.
    pub last: VecDeque<Arc<Commit>>,
}

/// One commit.
#[derive(Debug)]
pub struct Commit {
    /// Wall clock, milliseconds since 1970 UTC.
    pub at_ms: i64,
    pub progress: Progress,
}

impl Board {
    pub fn new(spec: &JobSpec, handle: &JobHandle) -> Arc<Self> {
        let names = spec.aggregates.iter().map(|aggregate| aggregate.name.as_str());
        let word = Word { account: Account::new(names), ..Word::default() };
        Arc::new(Self {
            job: spec.name.clone(),
            topic: spec.source.topic.clone(),
            began_ms: now_ms(),
            handle: handle.clone(),
            word: Mutex::new(Arc::new(word)),
        })
    }

    /// Takes note of a commit; there is one who tells of them.
    pub fn note(&self, progress: &Progress) {
        let mut word = Word::clone(&self.word());
        word.note(progress);
        *self.word.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(word);
    }

    pub fn word(&self) -> Arc<Word> {
        Arc::clone(&self.word.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Word {
    fn note(&mut self, progress: &Progress) {
        self.account.add(&progress.account);
        self.sides.add(&progress.sides);
        self.windows += progress.windows;
        self.files += progress.files as u64;
        self.published_bytes += progress.published_bytes;
        self.commits += 1;
        for ((_, took), phase) in PHASES.iter().zip(&mut self.phases) {
            phase.note(took(&progress.took));
        }
        if self.last.len() == COMMITS_MAX {
            self.last.pop_front();
        }
        self.last.push_back(Arc::new(Commit { at_ms: now_ms(), progress: progress.clone() }));
    }

    pub fn newest(&self) -> Option<&Commit> {
        self.last.back().map(Arc::as_ref)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commits_add_up_and_the_last_hundred_are_remembered() {
        let board = Board::default();
        for epoch in 1..=250 {
            let account = Account { records_in: 10, ..Account::default() };
            board.note(&Progress { epoch, account, files: 2, published_bytes: 7, ..Progress::default() });
        }
        let word = board.word();
        assert_eq!((word.commits, word.account.records_in), (250, 2_500));
        assert_eq!((word.files, word.published_bytes), (500, 1_750));
        assert_eq!(word.last.len(), COMMITS_MAX);
        assert_eq!(word.newest().map(|commit| commit.progress.epoch), Some(250));
        assert_eq!(word.last.front().map(|commit| commit.progress.epoch), Some(151));
    }
}
