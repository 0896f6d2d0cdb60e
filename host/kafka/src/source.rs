//! Reading a topic: one consumer without a group, its partitions dealt out to workers,
//! each worker packing batches on its own thread. It keeps positions and reports where a
//! partition ends; it stores no offset anywhere and decides no commit.
//!
//! What waits in librdkafka is bounded per worker in messages (`config`), because all of a
//! worker's partitions share its queue and librdkafka looks at that queue's length before
//! it fetches for any of them.

mod feed;
mod position;

use std::ffi::CString;
use std::sync::{Arc, Mutex, TryLockError};
use std::time::Duration;

use rdkafka::consumer::{CommitMode, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::types::RDKafkaErrorCode;
use rdkafka::{Message as _, Offset, TopicPartitionList};

pub use feed::{Feed, PollLimits, PollOutcome};
pub use position::Position;

use crate::config::Connection;
use crate::consume_ffi::{self, Client, Start, WorkerQueue};
use crate::context::Context;
use crate::error::{Place, SourceError, fatal_for_source, keeps_out};

/// A seek is settled inside this process; it takes this long only when that is stuck.
const SEEK_TIMEOUT: Duration = Duration::from_secs(10);
/// How long the brokers are asked about a partition that is new to the client.
const METADATA_TIMEOUT: Duration = Duration::from_secs(5);

/// A partition and the part of it to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Assignment {
    pub partition: i32,
    /// The first record wanted.
    pub start_offset: i64,
    /// Records at or beyond it are not given out; `None` reads on for ever.
    pub end_offset: Option<i64>,
    /// Of the record before the start, as its position told: lets the broker say that the
    /// log was cut back since.
    pub leader_epoch: Option<i32>,
}

impl Assignment {
    /// From `start_offset` on, without an end.
    pub fn open(partition: i32, start_offset: i64) -> Self {
        Self { partition, start_offset, end_offset: None, leader_epoch: None }
    }
}

/// How a source is to be read.
#[derive(Debug, Clone, Copy)]
pub struct SourceOptions {
    /// Feeds at most; there are never more than partitions.
    pub workers: usize,
    /// Whether records' headers are packed.
    pub wants_headers: bool,
}

/// What a source's feeds share: the consumer and the topic.
pub(crate) struct Shared {
    client: Arc<Client>,
    topic: String,
    topic_c: CString,
    /// Held by the thread that is serving events.
    serving: Mutex<()>,
}

/// The control side of a topic being read; its feeds are on the workers' threads.
pub struct Source {
    shared: Arc<Shared>,
    queues: Vec<Arc<WorkerQueue>>,
}

impl Source {
    /// Connects and starts fetching; partition number i goes to feed `i % feeds`.
    ///
    /// # Errors
    /// Properties that do not make a client. Faults of the brokers come by the feeds.
    pub fn start(
        connection: &Connection,
        job: &str,
        topic: &str,
        assignments: &[Assignment],
        options: SourceOptions,
    ) -> Result<(Self, Vec<Feed>), SourceError> {
        let feeds = options.workers.clamp(1, assignments.len().max(1));
        let shared = Arc::new(Shared::connect(connection, job, topic, feeds)?);
        let queues = shared.queues(feeds)?;
        shared.assign(assignments, &queues)?;
        let feed = |(index, queue): (usize, &Arc<WorkerQueue>)| {
            let own = assignments.iter().filter(move |one| feed_of(one.partition, feeds) == index);
            Feed::new(Arc::clone(&shared), Arc::clone(queue), own, options.wants_headers)
        };
        let feeds = queues.iter().enumerate().map(feed).collect();
        Ok((Self { shared, queues }, feeds))
    }

    /// Makes each feed's present or next wait return at once: for a prompt stop.
    pub fn wake(&self) {
        self.queues.iter().for_each(|queue| queue.wake());
    }

    /// Sends next offsets (partition, offset) to the group, without waiting; they are for
    /// lag monitors and are never read back. A refusal is logged.
    ///
    /// # Errors
    /// When the client is shutting down.
    pub fn commit_for_monitoring(&self, next_offsets: &[(i32, i64)]) -> Result<(), SourceError> {
        let entry = |(partition, offset): &(i32, i64)| (*partition, Offset::Offset(*offset));
        let list = self.shared.list(next_offsets.iter().map(entry))?;
        self.shared.client.commit(&list, CommitMode::Async).map_err(|error| self.shared.client_error(&error))
    }
}

/// The feed that a partition belongs to, of so many.
pub fn feed_of(partition: i32, feeds: usize) -> usize {
    partition.unsigned_abs() as usize % feeds.max(1)
}

impl Start {
    fn of(assignment: &Assignment) -> Self {
        Self {
            partition: assignment.partition,
            offset: assignment.start_offset,
            leader_epoch: assignment.leader_epoch,
        }
    }
}

impl Shared {
    fn connect(connection: &Connection, job: &str, topic: &str, queues: usize) -> Result<Self, SourceError> {
        let redactor = connection.redactor();
        let client_error = |reason: String| SourceError::Client {
            topic: topic.to_owned(),
            reason: redactor.redact(&reason),
        };
        let topic_c = CString::new(topic).map_err(|error| client_error(error.to_string()))?;
        let config = connection.for_source(job, queues);
        let client: Client = config
            .create_with_context(Context::of(connection))
            .map_err(|error| client_error(error.to_string()))?;
        Ok(Self { client: Arc::new(client), topic: topic.to_owned(), topic_c, serving: Mutex::new(()) })
    }

    fn queues(&self, count: usize) -> Result<Vec<Arc<WorkerQueue>>, SourceError> {
        let queue = |_| WorkerQueue::new(Arc::clone(&self.client)).map(Arc::new);
        (0..count).map(queue).collect::<Option<_>>().ok_or_else(|| SourceError::Client {
            topic: self.topic.clone(),
            reason: "no memory for a queue".to_owned(),
        })
    }

    fn assign(&self, assignments: &[Assignment], queues: &[Arc<WorkerQueue>]) -> Result<(), SourceError> {
        for assignment in assignments {
            self.direct(assignment.partition, &queues[feed_of(assignment.partition, queues.len())])?;
        }
        let starts: Vec<_> = assignments.iter().map(Start::of).collect();
        consume_ffi::assign(&self.client, &self.topic_c, &starts).map_err(|code| self.not_assigned(code))
    }

    /// Assigns a partition beside the others, its messages to go to `queue`.
    pub(crate) fn assign_more(
        &self,
        assignment: &Assignment,
        queue: &WorkerQueue,
    ) -> Result<(), SourceError> {
        // A round trip through the client's own thread: an `unassign` before it has come to its
        // end, which clears where a partition's messages go, and partitions that are new are known.
        // Should it fail, a partition that is not known is reported as gone, and tried again.
        let _ = self.client.fetch_metadata(Some(&self.topic), METADATA_TIMEOUT);
        self.direct(assignment.partition, queue)?;
        consume_ffi::assign_more(&self.client, &self.topic_c, Start::of(assignment))
            .map_err(|code| self.not_assigned(code))
    }

    pub(crate) fn unassign(&self, partition: i32) -> Result<(), SourceError> {
        let list = self.list(std::iter::once((partition, Offset::Invalid)))?;
        self.client.incremental_unassign(&list).map_err(|error| self.client_error(&error))
    }

    /// Has a partition's messages go to `queue`.
    pub(crate) fn direct(&self, partition: i32, queue: &WorkerQueue) -> Result<(), SourceError> {
        if queue.take_partition(&self.topic_c, partition) {
            return Ok(());
        }
        let reason = "librdkafka has no such partition".to_owned();
        Err(SourceError::TopicGone { topic: self.topic.clone(), partition, reason })
    }

    fn not_assigned(&self, code: RDKafkaErrorCode) -> SourceError {
        SourceError::Client { topic: self.topic.clone(), reason: format!("assigning its partitions: {code}") }
    }

    pub(crate) fn topic(&self) -> &str {
        &self.topic
    }

    pub(crate) fn redact(&self, text: &str) -> String {
        self.client.context().redact(text)
    }

    pub(crate) fn high_watermark(&self, partition: i32) -> Option<i64> {
        consume_ffi::high_watermark(&self.client, &self.topic_c, partition)
    }

    pub(crate) fn pause(&self, partitions: &[i32]) -> Result<(), SourceError> {
        let list = self.list(partitions.iter().map(|partition| (*partition, Offset::Invalid)))?;
        self.client.pause(&list).map_err(|error| self.client_error(&error))
    }

    /// Goes on fetching partitions that may have been paused.
    pub(crate) fn resume(&self, partitions: &[i32]) -> Result<(), SourceError> {
        let list = self.list(partitions.iter().map(|partition| (*partition, Offset::Invalid)))?;
        self.client.resume(&list).map_err(|error| self.client_error(&error))
    }

    /// Resumes at the offsets given: librdkafka's own idea of where the application stands
    /// is one too far after the end of a partition was heard through a batch.
    pub(crate) fn resume_at(&self, next_offsets: &[(i32, i64)]) -> Result<(), SourceError> {
        let entry = |(partition, offset): &(i32, i64)| (*partition, Offset::Offset(*offset));
        let list = self.list(next_offsets.iter().map(entry))?;
        let failed = |error: &KafkaError| self.client_error(error);
        let list = self.client.seek_partitions(list, SEEK_TIMEOUT).map_err(|error| failed(&error))?;
        for entry in list.elements() {
            entry.error().map_err(|error| failed(&error))?;
        }
        self.client.resume(&list).map_err(|error| failed(&error))
    }

    /// Serves log lines, errors and commit answers, unless another thread is at it.
    pub(crate) fn serve_events(&self) -> Result<(), SourceError> {
        let _serving = match self.serving.try_lock() {
            Ok(guard) => guard,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return Ok(()),
        };
        while let Some(event) = self.client.poll(Duration::ZERO) {
            match event {
                Err(error) => self.judge(&error)?,
                Ok(record) => {
                    let reason = format!("a record of partition {} went astray", record.partition());
                    return Err(SourceError::Client { topic: self.topic.clone(), reason });
                }
            }
        }
        Ok(())
    }

    fn judge(&self, error: &KafkaError) -> Result<(), SourceError> {
        let code = match error {
            KafkaError::MessageConsumptionFatal(_) => RDKafkaErrorCode::Fatal,
            other => other.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Unknown),
        };
        let told = self.client.context().last_error();
        let reason = told.map_or_else(|| error.to_string(), |told| told.reason);
        let place = Place { topic: &self.topic, partition: -1, offset: -1 };
        match fatal_for_source(code, &place, reason.clone()) {
            Some(fatal) => Err(fatal),
            // Said once by whoever watches the brokers, not at each attempt.
            None if keeps_out(code) => {
                tracing::debug!(topic = self.topic, ?code, "Kafka client, trying on: {reason}");
                Ok(())
            }
            None => {
                tracing::warn!(topic = self.topic, ?code, "Kafka client, trying on: {reason}");
                Ok(())
            }
        }
    }

    fn list(&self, entries: impl Iterator<Item = (i32, Offset)>) -> Result<TopicPartitionList, SourceError> {
        let mut list = TopicPartitionList::new();
        for (partition, offset) in entries {
            list.add_partition_offset(&self.topic, partition, offset)
                .map_err(|error| self.client_error(&error))?;
        }
        Ok(list)
    }

    fn client_error(&self, error: &KafkaError) -> SourceError {
        SourceError::Client { topic: self.topic.clone(), reason: self.redact(&error.to_string()) }
    }
}
