//! What is told of each commit, for whoever watches: what it took in, how long it took, and where the job stands
//! after it. How that is shown is not its business.

use std::time::Duration;

use speed_layer_core::account::Account;
use speed_layer_core::event_span::EventSpan;

use crate::stages::SideCounts;

/// One commit.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Progress {
    pub epoch: u64,
    /// One more with each process that runs the job.
    pub generation: u64,
    /// When the epoch began, milliseconds since 1970 UTC by the wall clock.
    pub began_ms: i64,
    pub took: Took,
    /// Of this commit alone.
    pub account: Account,
    /// Of the rows that this commit took in.
    pub event_times: EventSpan,
    pub windows: u64,
    pub files: usize,
    /// Of these files.
    pub published_bytes: u64,
    /// Rows that left the line, by their reason.
    pub sides: SideCounts,
    /// Since the process started.
    pub records_in: u64,
    /// Since the process started.
    pub windows_out: u64,
    /// How far the slowest partition that counts has come, milliseconds of event time.
    pub clock_ms: Option<i64>,
    pub partitions: Vec<PartitionStep>,
    /// In the job's order; never empty.
    pub aggregates: Vec<Standing>,
    /// Until the next trigger by the clock, where one is set.
    pub next_trigger: Option<Duration>,
}

/// Where the time of a commit went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Took {
    /// From the commit before, or the start.
    pub since_last: Duration,
    /// The workers stood still.
    pub cut: Duration,
    /// States merged and closed windows finished.
    pub fold: Duration,
    /// Files staged, the epoch sealed and published.
    pub commit: Duration,
    /// Of it: files staged.
    pub stage: Duration,
    /// Of it: open windows written down, the epoch sealed.
    pub seal: Duration,
    /// Of it: files published, letters sent, what is too old removed.
    pub publish: Duration,
}

/// How far a commit has moved one partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PartitionStep {
    pub partition: i32,
    pub from_offset: i64,
    pub next_offset: i64,
    /// Where a bounded run ends; else the end of the log when it was last heard of.
    pub end_offset: i64,
}

/// What an aggregate has open after a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    pub name: String,
    /// How far its watermark is behind the clock.
    pub delay_ms: u64,
    pub closed_through_ms: Option<i64>,
    pub open_windows: u64,
    pub open_groups: u64,
    /// Closed and not published yet.
    pub held_windows: u64,
    pub held_groups: u64,
    /// Of both.
    pub state_bytes: u64,
}

impl Progress {
    /// Of all partitions: records, and what else has an offset, that are still to be read.
    pub fn lag(&self) -> u64 {
        self.partitions.iter().map(PartitionStep::behind).sum()
    }

    /// The first aggregate's watermark, milliseconds since 1970 UTC.
    pub fn watermark_ms(&self) -> Option<i64> {
        let delay_ms = self.aggregates.first()?.delay_ms;
        Some(self.clock_ms?.saturating_sub_unsigned(delay_ms))
    }

    /// Records of this commit, a second since the commit before.
    pub fn records_per_s(&self) -> f64 {
        self.account.records_in as f64 / self.took.since_last.as_secs_f64().max(0.001)
    }
}

impl PartitionStep {
    pub fn behind(&self) -> u64 {
        self.end_offset.saturating_sub(self.next_offset).max(0).unsigned_abs()
    }
}
