//! What a checkpoint says, apart from the state itself: how far the job has read,
//! how far its clocks are, what its aggregates are made of, and which files the
//! commit publishes. Plain values that serialise; how they lie in a file, and
//! under which checksum, is the store's.

use std::str::FromStr;

use arrow_schema::{DataType, Field, FieldRef, Schema};
use serde::{Deserialize, Serialize};

use super::hold::HeldWindows;
use super::names::{Digest, Epoch, Generation, JobName};
use super::outbox::OutboxEntry;

/// The version of the checkpoint format that this program writes, and the newest
/// that it reads.
pub const FORMAT_VERSION: u32 = 5;

/// The oldest version that it still reads.
pub const FORMAT_VERSION_MIN: u32 = 1;

/// Which place a file is published to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OutputId {
    /// The output of the aggregate of this name.
    Aggregate(String),
    DeadLetters,
    Late,
    /// What windows held that a swap did not go on with.
    Partial,
}

impl std::fmt::Display for OutputId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Aggregate(name) => write!(f, "aggregate {name}"),
            Self::DeadLetters => f.write_str("dead letters"),
            Self::Late => f.write_str("late rows"),
            Self::Partial => f.write_str("partial windows"),
        }
    }
}

/// One file that a commit publishes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PublishEntry {
    pub output: OutputId,
    /// The file's name in the staging place of its output.
    pub staged: String,
    /// The final path below the output's root, `/` between its components.
    pub path: String,
    pub bytes: u64,
    pub rows: u64,
    pub sha256: Digest,
}

/// Where an output's root was when the checkpoint was written: for messages and
/// for the operator's tools, never for publishing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutputRoot {
    pub output: OutputId,
    pub path: String,
}

/// Whether the states of a checkpoint stand alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Every open group's state is in this checkpoint.
    Full,
    /// Only those that the epoch changed: the rest is what it was in the parent.
    Delta,
}

/// Everything in a checkpoint but the states.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    pub format: u32,
    pub job: JobName,
    pub epoch: Epoch,
    pub generation: Generation,
    /// Digest of the checkpoint that this one goes on from.
    pub parent: Option<Digest>,
    pub kind: Kind,
    /// The newest epoch of which all states are written down, in its checkpoint or in
    /// a snapshot: the deltas after it make the states of this one. `None` when `kind`
    /// is full.
    #[serde(default)]
    pub base: Option<Epoch>,
    /// Every file of this epoch and of those before it was published and synced
    /// before this checkpoint was sealed.
    pub published_through: Epoch,
    /// The job ended in order after this checkpoint: nothing is left to publish,
    /// and what is published belongs to whoever owns the output.
    pub clean: bool,
    pub outputs: Vec<OutputRoot>,
    pub publish: Vec<PublishEntry>,
    /// What it sends to topics; formats before 4 have none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub outbox: Vec<OutboxEntry>,
    pub progress: Progress,
}

/// The job's own part of a checkpoint.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Progress {
    /// The wall clock at which the epoch began, by which its records' clocks were
    /// checked.
    pub epoch_began_ms: i64,
    /// The event time beyond which the epoch's rows went to the dead letters, where
    /// the record's own timestamp did not decide it.
    pub clock_bound_ms: i64,
    pub partitions: Vec<PartitionProgress>,
    /// Parse first, then the transforms in their order.
    pub stages: Vec<StageUse>,
    pub aggregates: Vec<AggregateProgress>,
    /// Records that were gone before they could be read, skipped on request.
    pub gaps: Vec<Gap>,
}

/// What a snapshot says of itself: all states as they were after one epoch, written
/// down beside the stream, so that the deltas before it are not needed any more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SnapshotManifest {
    pub format: u32,
    pub job: JobName,
    pub epoch: Epoch,
    /// Digest of that epoch's checkpoint.
    pub of: Digest,
}

/// What a copy of states says of itself that no commit has yet: it is never a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CopyManifest {
    pub format: u32,
    pub job: JobName,
    /// The commit that the states come after.
    pub epoch: Epoch,
}

/// How far one partition is read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartitionProgress {
    pub topic: String,
    pub partition: i32,
    /// The broker's id of the topic; `None` if the broker gives none.
    pub topic_id: Option<String>,
    pub leader_epoch: Option<i32>,
    /// The first offset that is not in this checkpoint.
    pub next_offset: i64,
    /// The first offset that the broker still had at the cut, where known.
    pub log_start_offset: Option<i64>,
    /// The last stable offset at the cut, where known.
    pub stable_offset: Option<i64>,
    pub clock: PartitionClock,
}

/// What the watermark needs to know of one partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct PartitionClock {
    /// The greatest accepted event time; `None` before the first accepted row.
    pub max_event_ms: Option<i64>,
    pub idle: bool,
    /// The wall clock at which the partition last gave a record.
    pub last_gave_ms: Option<i64>,
}

/// An offset of a partition.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct OffsetMark {
    pub topic: String,
    pub partition: i32,
    pub offset: i64,
}

/// A plugin, its configuration and the offsets from which it was in use.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PluginUse {
    pub name: String,
    pub digest: Digest,
    /// Digest of the configuration text.
    pub config: Digest,
    pub from: Vec<OffsetMark>,
}

/// A parse or transform stage and the plugins that have served it, oldest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StageUse {
    /// `parse`, `transform:0`, `transform:1`, …
    pub stage: String,
    pub plugins: Vec<PluginUse>,
}

/// What an aggregate is and how far it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AggregateProgress {
    pub name: String,
    pub key: Vec<String>,
    pub window_ms: i64,
    pub delay_ms: i64,
    /// Its files hold the key as columns too.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub keep_key_column: bool,
    /// Windows that end at or before this are closed for good, and emitted but for those that are held.
    pub closed_through_ms: Option<i64>,
    /// Closed windows that are not emitted yet; their states are among those of the open ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held: Option<HeldWindows>,
    /// The wall clock at the trigger that closed them, where that was because no partition
    /// had anything more to give, and not by an event time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idle_trigger_ms: Option<i64>,
    /// Windows that begin before this were begun without the aggregate: their rows
    /// are withheld.
    pub withheld_until_ms: Option<i64>,
    pub state_version: u32,
    /// Oldest first; the last one made the states of this checkpoint.
    pub plugins: Vec<PluginUse>,
    /// Where a swap has moved the output; `None` where it is as the settings had it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub moved: Option<MovedOutput>,
    /// What its present plugin was opened with; checkpoints of earlier versions do not say it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub opened_with: Option<OpenedWith>,
    /// Groups of open windows that have no result any more; states of them in the checkpoint do not count.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub given_up: Vec<GivenUp>,
    /// Format 1 alone has the windows' offsets here; since then they lie with the states.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub windows: Vec<WindowOffsets>,
}

impl AggregateProgress {
    /// Windows that end at or before this are emitted.
    pub fn released_through_ms(&self) -> Option<i64> {
        self.held.as_ref().map_or(self.closed_through_ms, |held| held.released_through_ms)
    }
}

/// What it takes to open an aggregate's plugin again, for those who read a checkpoint without the
/// job's settings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenedWith {
    /// The configuration text.
    pub config: String,
    /// The columns of the rows that it is given, as the last stage before it makes them.
    pub input: Vec<InputColumn>,
}

/// A column by its name and its type, which is written as Arrow displays it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InputColumn {
    pub name: String,
    #[serde(rename = "type")]
    pub data_type: String,
    pub nullable: bool,
}

/// A column's type that is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the column {name:?} has the type {data_type:?}, which this program does not know: {why}")]
pub struct UnknownType {
    pub name: String,
    pub data_type: String,
    pub why: String,
}

impl OpenedWith {
    pub fn new(config: &str, input: &Schema) -> Self {
        let column = |field: &FieldRef| InputColumn {
            name: field.name().clone(),
            data_type: field.data_type().to_string(),
            nullable: field.is_nullable(),
        };
        Self { config: config.to_owned(), input: input.fields().iter().map(column).collect() }
    }

    /// The columns as Arrow has them.
    ///
    /// # Errors
    /// [`UnknownType`].
    pub fn schema(&self) -> Result<Schema, UnknownType> {
        let field = |column: &InputColumn| {
            let data_type = DataType::from_str(&column.data_type).map_err(|cause| UnknownType {
                name: column.name.clone(),
                data_type: column.data_type.clone(),
                why: cause.to_string(),
            })?;
            Ok(Field::new(&column.name, data_type, column.nullable))
        };
        Ok(Schema::new(self.input.iter().map(field).collect::<Result<Vec<_>, _>>()?))
    }
}

/// A group that its plugin failed on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GivenUp {
    /// Of its window, microseconds since 1970 UTC.
    pub start_us: i64,
    /// As the states have it.
    pub key: Vec<u8>,
}

/// An output that a swap has moved. Absolute paths.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MovedOutput {
    /// As the job's settings had it when it was moved.
    pub from: String,
    pub to: String,
}

/// The lowest offsets that contributed to one open window.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WindowOffsets {
    pub start_ms: i64,
    pub lowest: Vec<OffsetMark>,
}

/// Offsets `[from, to)` of a partition that nobody will read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gap {
    pub topic: String,
    pub partition: i32,
    pub from: i64,
    pub to: i64,
    pub reason: String,
}

#[cfg(test)]
mod tests {
    use arrow_schema::TimeUnit;

    use super::*;

    #[test]
    fn the_columns_that_a_plugin_is_given_read_back_as_they_were() {
        let text = || Box::new(DataType::Utf8);
        let types = [
            DataType::Boolean,
            DataType::Int32,
            DataType::Int64,
            DataType::UInt64,
            DataType::Float64,
            DataType::Utf8,
            DataType::Binary,
            DataType::Date32,
            DataType::Decimal128(38, 9),
            DataType::Timestamp(TimeUnit::Microsecond, None),
            DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
            DataType::Dictionary(Box::new(DataType::UInt32), text()),
        ];
        let fields = types.into_iter().enumerate();
        let fields = fields.map(|(at, of)| Field::new(format!("column {at}"), of, at % 2 == 0));
        let schema = Schema::new(fields.collect::<Vec<_>>());
        assert_eq!(OpenedWith::new("{}", &schema).schema().unwrap(), schema);
    }

    #[test]
    fn a_type_that_arrow_does_not_know_is_named_with_its_column() {
        let column = InputColumn { name: "price".into(), data_type: "Money".into(), nullable: false };
        let opened = OpenedWith { config: "{}".into(), input: vec![column] };
        let refusal = opened.schema().unwrap_err().to_string();
        assert!(refusal.contains("\"price\"") && refusal.contains("\"Money\""), "{refusal}");
    }
}
