//! One worker's half of the source: packs what has arrived into the worker's reusable
//! buffers. Nothing is allocated for a record, and nothing is awaited but the arrival of
//! the first.

use std::sync::Arc;

use rdkafka::types::RDKafkaErrorCode;
use speed_layer_core::records::{Headers, Records};

use super::position::{Fate, Tracked};
use super::{Assignment, Position, Shared};
use crate::consume_ffi::{Message, MessageBatch, WorkerQueue};
use crate::error::{Place, SourceError, fatal_for_source};

/// Packed offsets are 32 bits wide, so a batch's bytes have a bound of their own.
const BATCH_BYTES_LIMIT: usize = 1 << 30;

/// When a batch is full, and how long an empty one is waited for.
#[derive(Debug, Clone, Copy)]
pub struct PollLimits {
    pub rows_max: usize,
    /// Of keys and values; a larger record is a batch of its own.
    pub bytes_max: usize,
    pub timeout_ms: i32,
}

/// What a poll brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PollOutcome {
    pub records: usize,
    /// Something was heard, be it only the end of a partition: positions may have moved.
    pub moved: bool,
}

/// The partitions of one worker. It may move to another thread, and is used by one.
pub struct Feed {
    // Before the queue's and the client's owners, for its messages must go first.
    batch: MessageBatch,
    shared: Arc<Shared>,
    tracked: Vec<Tracked>,
    /// By partition number: its index in `tracked`.
    slots: Vec<usize>,
    wants_headers: bool,
    losses: Vec<SourceError>,
}

impl Feed {
    pub(super) fn new<'a>(
        shared: Arc<Shared>,
        queue: Arc<WorkerQueue>,
        assignments: impl Iterator<Item = &'a Assignment>,
        wants_headers: bool,
    ) -> Self {
        let mut feed = Self {
            batch: MessageBatch::new(queue),
            shared,
            tracked: Vec::new(),
            slots: Vec::new(),
            wants_headers,
            losses: Vec::new(),
        };
        assignments.for_each(|assignment| feed.track(assignment));
        feed
    }

    /// Notes a partition's place in place of any that it had.
    fn track(&mut self, assignment: &Assignment) {
        let partition = assignment.partition as usize;
        self.slots.resize(self.slots.len().max(partition + 1), usize::MAX);
        match self.tracked.get_mut(self.slots[partition]) {
            Some(tracked) => *tracked = Tracked::new(assignment),
            None => {
                self.slots[partition] = self.tracked.len();
                self.tracked.push(Tracked::new(assignment));
            }
        }
    }

    /// Takes on a partition, or reads one of its own again from another start. Messages of
    /// its former life that are on their way are not given out.
    ///
    /// # Errors
    /// When the client refuses it.
    pub fn assign(&mut self, assignment: &Assignment) -> Result<(), SourceError> {
        let slot = self.slots.get(assignment.partition as usize);
        if let Some(known) = slot.and_then(|slot| self.tracked.get(*slot)) {
            if known.is_held() {
                self.shared.resume(&[assignment.partition])?;
            }
            self.shared.unassign(assignment.partition)?;
            self.batch.forget(assignment.partition);
        }
        self.track(assignment);
        self.shared.assign_more(assignment, self.batch.queue())
    }

    /// What partitions have lost since this was asked before. They give nothing until they
    /// are assigned again.
    pub fn take_losses(&mut self) -> Vec<SourceError> {
        std::mem::take(&mut self.losses)
    }

    /// Empties `records` and fills it with what has arrived, waiting up to the limit when
    /// nothing has. A batch ends where it is full or where the timestamps change their
    /// kind; what does not fit is kept for the next poll.
    ///
    /// # Errors
    /// What retrying cannot cure: see `SourceError`. Records that came before it are given
    /// out first. A partition whose records are gone is no error of the feed: `take_losses`
    /// tells of it.
    pub fn poll(&mut self, records: &mut Records, limits: &PollLimits) -> Result<PollOutcome, SourceError> {
        records.clear();
        records.headers = if self.wants_headers { records.headers.take().or_else(new_headers) } else { None };
        self.shared.serve_events()?;
        let mut outcome = PollOutcome::default();
        let mut timeout_ms = limits.timeout_ms;
        while self.batch.refill(timeout_ms) > 0 {
            outcome.moved = true;
            timeout_ms = 0;
            match self.pack(records, limits) {
                Ok(false) => {}
                Err(error) if records.is_empty() => return Err(error),
                Ok(true) | Err(_) => break,
            }
        }
        outcome.records = records.len();
        Ok(outcome)
    }

    /// Where this feed's partitions stand, after all that polls gave out.
    pub fn positions(&self) -> impl Iterator<Item = Position> + '_ {
        self.tracked.iter().map(|tracked| {
            let position = tracked.position;
            Position { high_watermark: self.shared.high_watermark(position.partition), ..position }
        })
    }

    /// Stops fetching these partitions of this feed. Up to 1,024 messages that are in hand
    /// are still given out. Where their end is, is not known from then on.
    ///
    /// # Errors
    /// When the client is shutting down.
    pub fn pause(&mut self, partitions: &[i32]) -> Result<(), SourceError> {
        self.asked_for(partitions).for_each(Tracked::hold);
        self.shared.pause(partitions)
    }

    fn asked_for(&mut self, partitions: &[i32]) -> impl Iterator<Item = &mut Tracked> {
        self.tracked.iter_mut().filter(|tracked| partitions.contains(&tracked.position.partition))
    }

    /// Goes on with these partitions of this feed after the last record given out.
    ///
    /// # Errors
    /// When the client is shutting down.
    pub fn resume(&mut self, partitions: &[i32]) -> Result<(), SourceError> {
        let next = |tracked: &mut Tracked| {
            tracked.go_on();
            (tracked.position.partition, tracked.position.next_offset)
        };
        let next_offsets: Vec<_> = self.asked_for(partitions).map(next).collect();
        self.shared.resume_at(&next_offsets)
    }

    /// Whether every partition is at its end.
    pub fn is_at_end(&self) -> bool {
        self.tracked.iter().all(|tracked| tracked.position.at_end)
    }

    /// Packs the messages in hand; true when the batch is full before they are used up.
    /// What fails stays in hand, so that it fails again.
    fn pack(&mut self, records: &mut Records, limits: &PollLimits) -> Result<bool, SourceError> {
        while let Some(message) = self.batch.front() {
            let slot = self.slots.get(message.partition() as usize);
            let Some(tracked) = slot.and_then(|slot| self.tracked.get_mut(*slot)) else {
                self.batch.pop();
                continue;
            };
            let reached_bound = match message.error() {
                Some(code) => match hear(tracked, code, &message, &self.shared) {
                    Err(error) if error.lost_partition().is_some() => {
                        self.losses.push(error);
                        false
                    }
                    heard => heard?,
                },
                None => match tracked.fate(message.offset()) {
                    Fate::Repeated => false,
                    Fate::BeyondBound => tracked.end_heard(message.offset()),
                    Fate::Wanted if !push(records, &message, limits) => return Ok(true),
                    Fate::Wanted => tracked.given_out(message.offset(), message.leader_epoch()),
                },
            };
            self.batch.pop();
            if reached_bound {
                self.shared.pause(&[tracked.position.partition])?;
            }
        }
        Ok(false)
    }
}

fn new_headers() -> Option<Headers> {
    Some(Headers::default())
}

/// Takes in an event; true when the partition has thereby reached its bound.
fn hear(
    tracked: &mut Tracked,
    code: RDKafkaErrorCode,
    message: &Message,
    shared: &Shared,
) -> Result<bool, SourceError> {
    if code == RDKafkaErrorCode::PartitionEOF {
        return Ok(tracked.end_heard(message.offset()));
    }
    let reason = shared.redact(&message.error_text());
    let offset = if message.offset() >= 0 { message.offset() } else { tracked.position.next_offset };
    let place = Place { topic: shared.topic(), partition: message.partition(), offset };
    match fatal_for_source(code, &place, reason.clone()) {
        Some(fatal) => Err(fatal),
        None => {
            let (topic, partition) = (shared.topic(), message.partition());
            tracing::warn!(topic, partition, ?code, "Kafka partition, trying on: {reason}");
            Ok(false)
        }
    }
}

/// Packs one record, unless the batch has no room for it.
fn push(records: &mut Records, message: &Message, limits: &PollLimits) -> bool {
    let (key, value) = (message.key(), message.value());
    let (timestamp_ms, kind) = message.timestamp_ms();
    let bytes = key.map_or(0, <[u8]>::len) + value.map_or(0, <[u8]>::len);
    if records.is_empty() {
        records.timestamp_kind = kind;
    } else if kind != records.timestamp_kind
        || records.len() >= limits.rows_max
        || records.payload_bytes() + bytes > limits.bytes_max.min(BATCH_BYTES_LIMIT)
    {
        return false;
    }
    records.partitions.push(message.partition());
    records.offsets.push(message.offset());
    records.timestamps_ms.push(timestamp_ms);
    records.keys.push(key);
    records.values.push(value);
    if let Some(headers) = &mut records.headers {
        message.for_each_header(|name, value| headers.push(name, value));
        headers.end_record();
    }
    true
}
