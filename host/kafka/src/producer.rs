//! Writing records to one topic: idempotent, acknowledged by all replicas, counted. It
//! keeps no record that librdkafka has taken and makes no topic of its own; what is in a
//! record is the caller's business.

use std::error::Error;
use std::ffi::CString;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rdkafka::ClientContext;
use rdkafka::client::OAuthToken;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::KafkaError;
use rdkafka::message::DeliveryResult;
use rdkafka::producer::{BaseProducer, Producer as _, ProducerContext};
use rdkafka::types::RDKafkaErrorCode;

use crate::config::Connection;
use crate::context::Context;
use crate::error::ProduceError;
use crate::produce_ffi::Topic;

/// Records handed over between two looks at the delivery reports.
const REPORTS_EVERY: u64 = 256;

/// A record to be written; everything is copied.
#[derive(Debug, Clone, Copy, Default)]
pub struct Message<'a> {
    /// `None`: chosen by the key's hash.
    pub partition: Option<i32>,
    pub key: Option<&'a [u8]>,
    /// `None` is a tombstone, which is not the same as empty.
    pub value: Option<&'a [u8]>,
    /// Milliseconds since 1970 UTC; `None`: now.
    pub timestamp_ms: Option<i64>,
}

/// What became of the records handed over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Delivery {
    pub produced: u64,
    pub delivered: u64,
    pub failed: u64,
}

/// Writes to one topic from one thread.
pub struct Producer {
    // Before the client, which must outlive it.
    topic_handle: Topic,
    client: BaseProducer<Reports>,
    topic: String,
    timeout: Duration,
    produced: u64,
}

impl Producer {
    /// `timeout` bounds the wait for room in the queue and, in `finish`, for deliveries.
    ///
    /// # Errors
    /// Properties or a topic name that librdkafka refuses.
    pub fn new(connection: &Connection, topic: &str, timeout: Duration) -> Result<Self, ProduceError> {
        let refused = |reason: String| {
            let reason = connection.redactor().redact(&reason);
            ProduceError::Client { topic: topic.to_owned(), reason }
        };
        let client: BaseProducer<Reports> = connection
            .for_producer()
            .create_with_context(Reports::new(Context::of(connection)))
            .map_err(|error| refused(error.to_string()))?;
        let name = CString::new(topic).map_err(|error| refused(error.to_string()))?;
        let topic_handle =
            Topic::new(client.client(), &name).ok_or_else(|| refused("not a topic's name".to_owned()))?;
        Ok(Self { topic_handle, client, topic: topic.to_owned(), timeout, produced: 0 })
    }

    /// Hands one record over; waits while the queue is full.
    ///
    /// # Errors
    /// A record that can never be sent, or a queue that does not move within the timeout.
    pub fn produce(&mut self, message: &Message) -> Result<(), ProduceError> {
        let began = Instant::now();
        loop {
            match self.topic_handle.produce(self.client.client(), message) {
                Ok(()) => break,
                Err(RDKafkaErrorCode::QueueFull) if began.elapsed() < self.timeout => {
                    self.client.poll(Duration::from_millis(20));
                }
                Err(RDKafkaErrorCode::QueueFull) => return Err(self.stuck()),
                Err(code) => return Err(self.refused(message, code)),
            }
        }
        self.produced += 1;
        if self.produced.is_multiple_of(REPORTS_EVERY) {
            self.client.poll(Duration::ZERO);
        }
        Ok(())
    }

    /// The counts as known now.
    pub fn delivery(&self) -> Delivery {
        self.client.poll(Duration::ZERO);
        let reports = self.client.context();
        Delivery {
            produced: self.produced,
            delivered: reports.delivered.load(Ordering::Relaxed),
            failed: reports.failed.load(Ordering::Relaxed),
        }
    }

    /// Waits until every record is settled, up to the timeout.
    ///
    /// # Errors
    /// When any record was not delivered, or not in time: with their number and the first
    /// reason.
    pub fn finish(&mut self) -> Result<Delivery, ProduceError> {
        let until = Instant::now() + self.timeout;
        let flushed = self.client.flush(self.timeout);
        let mut delivery = self.delivery();
        while delivery.delivered + delivery.failed < delivery.produced && Instant::now() < until {
            self.client.poll(Duration::from_millis(20));
            delivery = self.delivery();
        }
        if delivery.delivered == delivery.produced {
            return Ok(delivery);
        }
        let late = || flushed.err().map_or_else(|| "no answer in time".to_owned(), |error| error.to_string());
        Err(ProduceError::Undelivered {
            topic: self.topic.clone(),
            failed: delivery.produced - delivery.delivered,
            produced: delivery.produced,
            reason: self.client.context().first_failure().unwrap_or_else(late),
        })
    }

    fn stuck(&self) -> ProduceError {
        let reports = self.client.context();
        let told = || reports.last_error().unwrap_or_else(|| "no answer".to_owned());
        ProduceError::Stuck {
            topic: self.topic.clone(),
            timeout_ms: u64::try_from(self.timeout.as_millis()).unwrap_or(u64::MAX),
            reason: reports.first_failure().unwrap_or_else(told),
        }
    }

    fn refused(&self, message: &Message, code: RDKafkaErrorCode) -> ProduceError {
        let bytes = message.key.map_or(0, <[u8]>::len) + message.value.map_or(0, <[u8]>::len);
        ProduceError::Refused { topic: self.topic.clone(), bytes, reason: code.to_string() }
    }
}

/// Counts the delivery reports; the rest goes to the common context.
pub(crate) struct Reports {
    base: Context,
    delivered: AtomicU64,
    failed: AtomicU64,
    first_failure: Mutex<Option<String>>,
}

impl Reports {
    pub(crate) fn new(base: Context) -> Self {
        let (delivered, failed) = (AtomicU64::new(0), AtomicU64::new(0));
        Self { base, delivered, failed, first_failure: Mutex::new(None) }
    }

    /// Why the first record that was not delivered was not.
    pub(crate) fn first_failure(&self) -> Option<String> {
        self.first_failure.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }

    /// The last error that librdkafka told.
    pub(crate) fn last_error(&self) -> Option<String> {
        self.base.last_error().map(|told| told.reason)
    }

    pub(crate) fn redact(&self, text: &str) -> String {
        self.base.redact(text)
    }

    /// See [`Context::await_token`].
    pub(crate) fn await_token(&self, limit: Duration, serve_events: impl Fn()) {
        self.base.await_token(limit, serve_events);
    }
}

impl ClientContext for Reports {
    const ENABLE_REFRESH_OAUTH_TOKEN: bool = true;

    fn generate_oauth_token(&self, config: Option<&str>) -> Result<OAuthToken, Box<dyn Error>> {
        self.base.generate_oauth_token(config)
    }

    fn log(&self, level: RDKafkaLogLevel, facility: &str, line: &str) {
        self.base.log(level, facility, line);
    }

    fn stats_raw(&self, statistics: &[u8]) {
        self.base.stats_raw(statistics);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.base.error(error, reason);
    }
}

impl ProducerContext for Reports {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, _opaque: ()) {
        match result {
            Ok(_) => self.delivered.fetch_add(1, Ordering::Relaxed),
            Err((error, _)) => {
                let mut first = self.first_failure.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                first.get_or_insert_with(|| self.base.redact(&error.to_string()));
                self.failed.fetch_add(1, Ordering::Relaxed)
            }
        };
    }
}
