//! Rows that leave the line: dead letters and late rows, with the raw record that
//! each came from, kept until the cut.

use std::sync::Arc;

use speed_layer_core::records::{Records, TimestampKind};

/// Who refused a row: the stage, the aggregate, the plugin's digest.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Culprit {
    pub stage: String,
    pub aggregate: Option<String>,
    /// Of the plugin of that stage, 64 hexadecimal digits; the parser's where the host itself refused the row.
    pub plugin_digest: String,
}

/// Where a row went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Side {
    DeadLetter,
    /// Of a window that was closed, or that its aggregate has not begun.
    Late {
        window_start_us: i64,
        window_end_us: i64,
        late_by_ms: i64,
    },
}

/// One row that left the line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SideRow {
    pub side: Side,
    pub partition: i32,
    pub offset: i64,
    /// Milliseconds since 1970 UTC, where the record has a timestamp.
    pub timestamp_ms: Option<i64>,
    pub key: Option<Vec<u8>>,
    pub value: Option<Vec<u8>>,
    pub kind: String,
    pub message: String,
    pub culprit: Arc<Culprit>,
}

/// The side rows of one worker since the last cut.
#[derive(Debug, Default)]
pub struct Sides {
    rows: Vec<SideRow>,
    bytes: usize,
}

/// Why a row leaves the line.
#[derive(Debug)]
pub struct Reason {
    pub side: Side,
    pub kind: String,
    pub message: String,
}

impl Sides {
    /// Sets the record `record` aside.
    pub fn push(&mut self, records: &Records, record: usize, culprit: &Arc<Culprit>, reason: Reason) {
        let timestamp_ms = records.timestamps_ms[record];
        let known = records.timestamp_kind != TimestampKind::NotAvailable && timestamp_ms >= 0;
        let row = SideRow {
            side: reason.side,
            partition: records.partitions[record],
            offset: records.offsets[record],
            timestamp_ms: known.then_some(timestamp_ms),
            key: records.keys.get(record).map(<[u8]>::to_vec),
            value: records.values.get(record).map(<[u8]>::to_vec),
            kind: reason.kind,
            message: reason.message,
            culprit: Arc::clone(culprit),
        };
        self.bytes += row.bytes();
        self.rows.push(row);
    }

    /// Roughly what the rows hold in memory.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// The rows that were set aside after the first `before`.
    pub fn since(&self, before: usize) -> &[SideRow] {
        &self.rows[before..]
    }

    /// Adds another worker's.
    pub fn append(&mut self, mut other: Self) {
        self.rows.append(&mut other.rows);
        self.bytes += other.bytes;
    }

    /// Forgets the rows that no aggregate set aside.
    pub fn keep_aggregates(&mut self) {
        self.rows.retain(|row| row.culprit.aggregate.is_some());
        self.bytes = self.rows.iter().map(SideRow::bytes).sum();
    }

    /// Takes all rows, in the order of partitions and offsets.
    pub fn into_sorted(mut self) -> Vec<SideRow> {
        self.rows
            .sort_by(|a, b| (a.partition, a.offset, &a.culprit).cmp(&(b.partition, b.offset, &b.culprit)));
        self.rows
    }
}

impl SideRow {
    fn bytes(&self) -> usize {
        let payload = self.key.as_ref().map_or(0, Vec::len) + self.value.as_ref().map_or(0, Vec::len);
        size_of::<Self>() + payload + self.kind.len() + self.message.len()
    }
}
