//! The job as the rest of the host sees it: complete, checked, defaults filled in.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde_json::{Map, Value};
use speed_layer_core::commit::HoldLimits;
use speed_layer_plugin::Limits;

use super::aggregate_sinks::{TopicSink, WindowConsole};
use super::console::ConsoleSpec;
use super::http::HttpSpec;

/// One job: a topic read once, parsed once, folded into one or more aggregates.
#[derive(Debug, Clone, PartialEq)]
pub struct JobSpec {
    /// Names the job's checkpoint folder and its files; safe in a path.
    pub name: String,
    pub source: SourceSpec,
    pub trigger: Trigger,
    /// What one commit takes in at most, under any trigger but `once`.
    pub max_records_per_trigger: Option<u64>,
    /// The parent of `<name>/`.
    pub checkpoint: PathBuf,
    pub clock: ClockSpec,
    pub parse: StageSpec,
    pub transforms: Vec<StageSpec>,
    /// At least one; names differ.
    pub aggregates: Vec<AggregateSpec>,
    /// Where compiled plugins are kept; the user's cache folder when not given.
    pub plugin_cache: Option<PathBuf>,
    /// Whether plugin files that change are swapped in.
    pub watch: bool,
    /// What a call of any plugin may use.
    pub limits: Limits,
    pub poison: PoisonSpec,
    pub sides: SideSinks,
    /// Whether the last rows are printed now and then, and which of their columns.
    pub console: Option<ConsoleSpec>,
    /// Whether plugins are compiled by a process of their own, which this program is then, too.
    pub compile_apart: bool,
    /// Files of the public keys by which plugins must be signed; none: they need not be.
    pub trust: Vec<PathBuf>,
    /// What open groups may take, bytes; by default half of what the process may have.
    pub memory_max: Option<u64>,
    /// How it answers over HTTP; `None`: not at all.
    pub http: Option<HttpSpec>,
    pub changes: AggregateChanges,
    /// How old the uncommitted part of an answer to a query may be.
    pub live_refresh_ms: u64,
}

/// What this start does to the aggregates of the checkpoint.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AggregateChanges {
    /// Names that the checkpoint has and the settings no longer: dropped, with their open windows.
    pub drop: Vec<String>,
    /// Names that the settings have and the checkpoint not yet: built from the job's first record on.
    pub backfill: Vec<String>,
}

/// The topics for what does not get through; `None`: Parquet beside the first output.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SideSinks {
    pub dead_letters: Option<String>,
    pub late: Option<String>,
}

/// How far the search for the rows and groups that a plugin fails on goes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PoisonSpec {
    /// For the search in one batch, by the clock on the wall.
    pub budget_ms: u64,
    /// Of a batch's records, how large a part may be dead-lettered for it: from 0 to 1.
    pub share_max: f64,
    pub groups: OnGroupFailure,
}

/// What a plugin does to the job that fails on a group, where no row can be blamed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnGroupFailure {
    #[default]
    Stop,
    /// The group goes to the dead letters.
    DeadLetter,
}

impl Default for PoisonSpec {
    fn default() -> Self {
        Self { budget_ms: 30_000, share_max: 0.1, groups: OnGroupFailure::Stop }
    }
}

#[derive(Debug, Clone, PartialEq)]
pub struct SourceSpec {
    pub brokers: String,
    pub topic: String,
    pub start: Start,
    pub on_data_loss: OnDataLoss,
    /// How long to wait for the topic to appear; zero: do not.
    pub wait_for_topic_ms: u64,
    /// How often the brokers are asked whether the topic has new partitions, and is still the same.
    pub metadata_refresh_ms: u64,
    /// librdkafka's own settings, secrets already filled in.
    pub properties: BTreeMap<String, String>,
}

/// Where a job without a checkpoint begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    Earliest,
    Latest,
    /// The first record at or after this time, milliseconds since 1970 UTC.
    AtMs(i64),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnDataLoss {
    Stop,
    Skip,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trigger {
    IntervalMs(u64),
    Once,
    AvailableNow,
    Continuous,
}

impl Trigger {
    /// True for runs that end by themselves.
    pub fn is_bounded(self) -> bool {
        matches!(self, Self::Once | Self::AvailableNow)
    }
}

/// Which event times are believed, and when a partition counts as idle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClockSpec {
    /// The column that holds the event time.
    pub event_time: String,
    pub min_event_time_ms: i64,
    pub max_future_skew_ms: i64,
    pub idle_timeout_ms: i64,
    /// Whether windows are closed by the wall clock while all partitions are idle.
    pub close_on_idle: bool,
    /// How far a partition may be ahead of the slowest one; without it, as far as it comes.
    pub max_drift_ms: Option<u64>,
}

impl Default for ClockSpec {
    fn default() -> Self {
        Self {
            event_time: "event_time".into(),
            min_event_time_ms: 946_684_800_000,
            max_future_skew_ms: 5 * 60_000,
            idle_timeout_ms: 30_000,
            close_on_idle: false,
            max_drift_ms: None,
        }
    }
}

/// A plugin and its configuration.
#[derive(Debug, Clone, PartialEq)]
pub struct StageSpec {
    pub plugin: PathBuf,
    pub config: Map<String, Value>,
}

impl StageSpec {
    /// The configuration as the plugin is given it.
    pub fn config_json(&self) -> String {
        Value::Object(self.config.clone()).to_string()
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    Snappy,
    Zstd,
}

#[derive(Debug, Clone, PartialEq)]
pub struct AggregateSpec {
    pub name: String,
    pub stage: StageSpec,
    pub key: Vec<String>,
    /// Whether the key is a column of the files too, beside their path.
    pub keep_key_column: bool,
    pub window_ms: u64,
    pub watermark_ms: u64,
    /// Where its files go.
    pub output: PathBuf,
    pub compression: Compression,
    /// How long its closed windows are held back from being published; `None` for not at all.
    pub hold: Option<HoldLimits>,
    /// Where its windows go besides; topics differ.
    pub topics: Vec<TopicSink>,
    /// Where they are shown besides.
    pub console: Option<WindowConsole>,
}
