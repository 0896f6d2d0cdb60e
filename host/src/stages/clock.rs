//! The clock check of a batch: refuses rows whose event time cannot be, notes how far
//! each partition has come, and leaves the event time in microseconds on the frame.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::Context;
use arrow_array::cast::AsArray;
use arrow_array::types::{Int64Type, TimestampMicrosecondType};
use arrow_array::{Array, TimestampMicrosecondArray};
use speed_layer_core::clock::{ClockBounds, ClockReject, EventTimes, Reference, to_micros};
use speed_layer_core::event_span::EventSpan;
use speed_layer_core::records::TimestampKind;

use super::frame::Frame;
use super::reject::all_but;
use super::sides::{Culprit, Reason, Side, Sides};
use crate::plan::{EventTimeColumn, EventTimeUnit};

/// The check of one worker.
#[derive(Debug)]
pub struct ClockCheck {
    pub bounds: ClockBounds,
    pub column: EventTimeColumn,
    pub culprit: Arc<Culprit>,
    /// The greatest accepted event time of each partition since the last cut.
    pub greatest_ms: BTreeMap<i32, i64>,
    /// Of the rows accepted since the last cut.
    pub event_times: EventSpan,
}

impl ClockCheck {
    /// Checks the frame; returns how many rows were refused.
    pub fn check(
        &mut self,
        frame: &mut Frame<'_>,
        epoch_began_ms: i64,
        sides: &mut Sides,
    ) -> anyhow::Result<usize> {
        let column =
            frame.columns[self.column.column].clone().context("the event time column was not kept")?;
        let values = match self.column.unit {
            EventTimeUnit::Milliseconds => column.as_primitive::<Int64Type>().values(),
            EventTimeUnit::Microseconds => column.as_primitive::<TimestampMicrosecondType>().values(),
        };
        let times = match self.column.unit {
            EventTimeUnit::Milliseconds => EventTimes::Millis(values),
            EventTimeUnit::Microseconds => EventTimes::Micros(values),
        };
        let appended =
            (frame.records.timestamp_kind == TimestampKind::LogAppendTime).then(|| frame.timestamps_ms());
        let reference = Reference { epoch_began_ms, log_append_ms: appended.as_deref() };
        let rejects = self.bounds.check(times, column.nulls(), reference);
        let event_us = TimestampMicrosecondArray::from(to_micros(times)).with_timezone("UTC");
        frame.event_us = Some(event_us);
        self.refuse(frame, &rejects, sides)?;
        self.note_progress(frame);
        Ok(rejects.len())
    }

    fn refuse(
        &self,
        frame: &mut Frame<'_>,
        rejects: &[ClockReject],
        sides: &mut Sides,
    ) -> anyhow::Result<()> {
        if rejects.is_empty() {
            return Ok(());
        }
        for reject in rejects {
            let reason = Reason {
                side: Side::DeadLetter,
                kind: reject.reason.kind().into(),
                message: reject.reason.message(),
            };
            sides.push(frame.records, frame.record_of(reject.row as usize), &self.culprit, reason);
        }
        frame.keep(&all_but(frame.rows, rejects.iter().map(|reject| reject.row)))
    }

    fn note_progress(&mut self, frame: &Frame<'_>) {
        let Some(event_us) = &frame.event_us else { return };
        self.event_times.note(event_us.values());
        let mut run: Option<(i32, i64)> = None;
        for (row, &event_us) in event_us.values().iter().enumerate() {
            let partition = frame.partition_of(row);
            match &mut run {
                Some((of, greatest)) if *of == partition => *greatest = (*greatest).max(event_us),
                _ => {
                    self.note(run);
                    run = Some((partition, event_us));
                }
            }
        }
        self.note(run);
    }

    fn note(&mut self, run: Option<(i32, i64)>) {
        if let Some((partition, event_us)) = run {
            let event_ms = event_us.div_euclid(1000);
            let greatest = self.greatest_ms.entry(partition).or_insert(event_ms);
            *greatest = (*greatest).max(event_ms);
        }
    }
}
