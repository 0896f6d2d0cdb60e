//! The rows of the dead-letter and late outputs, from the rows that left the line.

use speed_layer_core::commit::Epoch;
use speed_layer_store::letters::{DeadLetters, LateRow, LateRows, Letter};

use crate::stages::{EpochContext, Side, SideRow};

/// Adds a row to the output that it belongs to.
pub fn push_side(
    row: &SideRow,
    topic: &str,
    epoch: &EpochContext,
    dead: &mut DeadLetters,
    late: &mut LateRows,
) {
    let letter = Letter {
        topic,
        partition: row.partition,
        offset: row.offset,
        timestamp_ms: row.timestamp_ms,
        key: row.key.as_deref(),
        value: row.value.as_deref(),
        kind: &row.kind,
        message: &row.message,
        stage: &row.culprit.stage,
        aggregate: row.culprit.aggregate.as_deref(),
        plugin_digest: Some(&row.culprit.plugin_digest),
        epoch: Epoch(epoch.epoch),
    };
    match row.side {
        Side::DeadLetter => dead.push(&letter),
        Side::Late { window_start_us, window_end_us, late_by_ms } => late.push(&LateRow {
            letter,
            window_start_ms: window_start_us.div_euclid(1000),
            window_end_ms: window_end_us.div_euclid(1000),
            late_by_ms,
        }),
    }
}
