//! The rows of the two outputs for what did not get through: dead letters, and late
//! rows. Builds batches; who writes them, and why a row is one, is the caller's.

use std::sync::Arc;

use arrow_array::builder::{
    BinaryBuilder, Int32Builder, Int64Builder, StringBuilder, TimestampMicrosecondBuilder,
};
use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::{ArrowError, DataType, Field, Schema, SchemaRef, TimeUnit};
use speed_layer_core::commit::Epoch;

/// A record that was rejected, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Letter<'a> {
    pub topic: &'a str,
    pub partition: i32,
    pub offset: i64,
    /// The record's own timestamp, where it has one.
    pub timestamp_ms: Option<i64>,
    pub key: Option<&'a [u8]>,
    pub value: Option<&'a [u8]>,
    /// The reason as a name for programs, such as `malformed-json` or `late`.
    pub kind: &'a str,
    /// The reason for people.
    pub message: &'a str,
    /// `parse`, `transform:0`, `clock`, `aggregate`, …
    pub stage: &'a str,
    pub aggregate: Option<&'a str>,
    /// Of the plugin that rejected it, 64 hexadecimal digits.
    pub plugin_digest: Option<&'a str>,
    pub epoch: Epoch,
}

/// A row that came too late for its window, or whose window was begun without the
/// aggregate: `kind` is `late` or `withheld`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LateRow<'a> {
    pub letter: Letter<'a>,
    pub window_start_ms: i64,
    pub window_end_ms: i64,
    pub late_by_ms: i64,
}

fn instant() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
}

fn letter_fields() -> Vec<Field> {
    let field = |name: &str, data_type, nullable| Field::new(name, data_type, nullable);
    vec![
        field("topic", DataType::Utf8, false),
        field("partition", DataType::Int32, false),
        field("offset", DataType::Int64, false),
        field("timestamp", instant(), true),
        field("key", DataType::Binary, true),
        field("value", DataType::Binary, true),
        field("kind", DataType::Utf8, false),
        field("message", DataType::Utf8, false),
        field("stage", DataType::Utf8, false),
        field("aggregate", DataType::Utf8, true),
        field("plugin_digest", DataType::Utf8, true),
        field("epoch", DataType::Int64, false),
    ]
}

/// The columns of the dead-letter output.
pub fn dead_letter_schema() -> SchemaRef {
    Arc::new(Schema::new(letter_fields()))
}

/// The columns of the late output: a dead letter's, and the window missed.
pub fn late_schema() -> SchemaRef {
    let mut fields = letter_fields();
    fields.push(Field::new("window_start", instant(), false));
    fields.push(Field::new("window_end", instant(), false));
    fields.push(Field::new("late_by_ms", DataType::Int64, false));
    Arc::new(Schema::new(fields))
}

/// Collects dead letters into batches of [`dead_letter_schema`].
#[derive(Debug)]
pub struct DeadLetters {
    schema: SchemaRef,
    columns: LetterColumns,
}

impl Default for DeadLetters {
    fn default() -> Self {
        Self { schema: dead_letter_schema(), columns: LetterColumns::default() }
    }
}

impl DeadLetters {
    pub fn push(&mut self, letter: &Letter<'_>) {
        self.columns.push(letter);
    }

    pub fn len(&self) -> usize {
        self.columns.rows
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes of keys, values and messages held; fixed widths do not count.
    pub fn bytes(&self) -> usize {
        self.columns.bytes
    }

    /// The letters so far as one batch; begins anew.
    ///
    /// # Errors
    /// None that a caller can cause; Arrow's own checks.
    pub fn take(&mut self) -> Result<RecordBatch, ArrowError> {
        RecordBatch::try_new(self.schema.clone(), self.columns.take())
    }
}

/// Collects late rows into batches of [`late_schema`].
#[derive(Debug)]
pub struct LateRows {
    schema: SchemaRef,
    columns: LetterColumns,
    window_start: TimestampMicrosecondBuilder,
    window_end: TimestampMicrosecondBuilder,
    late_by_ms: Int64Builder,
}

impl Default for LateRows {
    fn default() -> Self {
        Self {
            schema: late_schema(),
            columns: LetterColumns::default(),
            window_start: instants(),
            window_end: instants(),
            late_by_ms: Int64Builder::new(),
        }
    }
}

impl LateRows {
    pub fn push(&mut self, row: &LateRow<'_>) {
        self.columns.push(&row.letter);
        self.window_start.append_value(micros(row.window_start_ms));
        self.window_end.append_value(micros(row.window_end_ms));
        self.late_by_ms.append_value(row.late_by_ms);
    }

    pub fn len(&self) -> usize {
        self.columns.rows
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes of keys, values and messages held; fixed widths do not count.
    pub fn bytes(&self) -> usize {
        self.columns.bytes
    }

    /// The rows so far as one batch; begins anew.
    ///
    /// # Errors
    /// None that a caller can cause; Arrow's own checks.
    pub fn take(&mut self) -> Result<RecordBatch, ArrowError> {
        let mut columns = self.columns.take();
        columns.push(Arc::new(self.window_start.finish()));
        columns.push(Arc::new(self.window_end.finish()));
        columns.push(Arc::new(self.late_by_ms.finish()));
        RecordBatch::try_new(self.schema.clone(), columns)
    }
}

/// The columns that both outputs have.
#[derive(Debug)]
struct LetterColumns {
    rows: usize,
    bytes: usize,
    topic: StringBuilder,
    partition: Int32Builder,
    offset: Int64Builder,
    timestamp: TimestampMicrosecondBuilder,
    key: BinaryBuilder,
    value: BinaryBuilder,
    kind: StringBuilder,
    message: StringBuilder,
    stage: StringBuilder,
    aggregate: StringBuilder,
    plugin_digest: StringBuilder,
    epoch: Int64Builder,
}

impl Default for LetterColumns {
    fn default() -> Self {
        Self {
            rows: 0,
            bytes: 0,
            topic: StringBuilder::new(),
            partition: Int32Builder::new(),
            offset: Int64Builder::new(),
            timestamp: instants(),
            key: BinaryBuilder::new(),
            value: BinaryBuilder::new(),
            kind: StringBuilder::new(),
            message: StringBuilder::new(),
            stage: StringBuilder::new(),
            aggregate: StringBuilder::new(),
            plugin_digest: StringBuilder::new(),
            epoch: Int64Builder::new(),
        }
    }
}

impl LetterColumns {
    fn push(&mut self, letter: &Letter<'_>) {
        self.rows += 1;
        self.bytes += letter.key.map_or(0, <[u8]>::len) + letter.value.map_or(0, <[u8]>::len);
        self.bytes += letter.message.len();
        self.topic.append_value(letter.topic);
        self.partition.append_value(letter.partition);
        self.offset.append_value(letter.offset);
        self.timestamp.append_option(letter.timestamp_ms.map(micros));
        self.key.append_option(letter.key);
        self.value.append_option(letter.value);
        self.kind.append_value(letter.kind);
        self.message.append_value(letter.message);
        self.stage.append_value(letter.stage);
        self.aggregate.append_option(letter.aggregate);
        self.plugin_digest.append_option(letter.plugin_digest);
        self.epoch.append_value(i64::try_from(letter.epoch.0).unwrap_or(i64::MAX));
    }

    fn take(&mut self) -> Vec<ArrayRef> {
        (self.rows, self.bytes) = (0, 0);
        vec![
            Arc::new(self.topic.finish()),
            Arc::new(self.partition.finish()),
            Arc::new(self.offset.finish()),
            Arc::new(self.timestamp.finish()),
            Arc::new(self.key.finish()),
            Arc::new(self.value.finish()),
            Arc::new(self.kind.finish()),
            Arc::new(self.message.finish()),
            Arc::new(self.stage.finish()),
            Arc::new(self.aggregate.finish()),
            Arc::new(self.plugin_digest.finish()),
            Arc::new(self.epoch.finish()),
        ]
    }
}

fn instants() -> TimestampMicrosecondBuilder {
    TimestampMicrosecondBuilder::new().with_data_type(instant())
}

/// A time beyond what microseconds can say is shown as the greatest that they can.
fn micros(ms: i64) -> i64 {
    ms.saturating_mul(1000)
}
