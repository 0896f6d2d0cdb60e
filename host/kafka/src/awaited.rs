//! Writing single records whose fate matters one by one: each is handed over with a ticket,
//! and what became of it is told with that ticket, within a bounded time. For sources that
//! give a few records a second; [`Producer`](crate::Producer) is the one for many. It waits
//! for nothing itself: a thread of librdkafka's binding calls back.

use std::error::Error;
use std::thread;
use std::time::{Duration, Instant};

use rdkafka::ClientContext;
use rdkafka::client::OAuthToken;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::KafkaError;
use rdkafka::message::DeliveryResult;
use rdkafka::producer::{BaseRecord, Producer as _, ProducerContext, ThreadedProducer};
use rdkafka::types::RDKafkaErrorCode;

use crate::config::Connection;
use crate::context::Context;
use crate::error::ProduceError;

/// librdkafka looks for records whose time is up once a second; then they are told.
const LOOKS_EVERY: Duration = Duration::from_secs(2);

/// Between two questions for a topic that is being made.
const ASKED_EVERY: Duration = Duration::from_millis(100);

/// What became of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settled {
    pub ticket: usize,
    /// Acknowledged by all replicas, or why not. A record that timed out on its way may
    /// still be in the topic.
    pub outcome: Result<(), String>,
}

/// Writes records to one topic, one request in flight, each tried three times at most.
pub struct AwaitedProducer {
    client: ThreadedProducer<Tickets>,
    topic: String,
    patience: Duration,
}

impl AwaitedProducer {
    /// `settled` is called once for each record taken, on a thread of this producer.
    ///
    /// # Errors
    /// Properties that librdkafka refuses.
    pub fn new(
        connection: &Connection,
        topic: &str,
        settled: impl Fn(Settled) + Send + Sync + 'static,
    ) -> Result<Self, ProduceError> {
        let (config, timeout) = connection.for_awaited();
        let tickets = Tickets { base: Context::of(connection), settled: Box::new(settled) };
        let client = config.create_with_context(tickets).map_err(|error| ProduceError::Client {
            topic: topic.to_owned(),
            reason: connection.redactor().redact(&error.to_string()),
        })?;
        Ok(Self { client, topic: topic.to_owned(), patience: timeout + LOOKS_EVERY })
    }

    /// Waits until the topic is there, which makes it where the brokers make topics on demand.
    ///
    /// # Errors
    /// It is not there within `timeout`: with what was answered last.
    pub fn wait_for_topic(&self, timeout: Duration) -> Result<(), ProduceError> {
        let until = Instant::now() + timeout;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            match self.look_for_topic(left.max(ASKED_EVERY)) {
                Ok(()) => return Ok(()),
                Err(reason) if left.is_zero() => {
                    return Err(ProduceError::NoTopic { topic: self.topic.clone(), reason });
                }
                Err(_) => thread::sleep(ASKED_EVERY),
            }
        }
    }

    fn look_for_topic(&self, timeout: Duration) -> Result<(), String> {
        let told = self.client.client().fetch_metadata(Some(&self.topic), timeout);
        let told = told.map_err(|error| self.client.context().base.redact(&error.to_string()))?;
        match told.topics() {
            [topic] if topic.error().is_none() && !topic.partitions().is_empty() => Ok(()),
            [topic] => Err(topic.error().map_or_else(
                || "it has no partitions".to_owned(),
                |code| RDKafkaErrorCode::from(code).to_string(),
            )),
            _ => Err("the brokers do not know it".to_owned()),
        }
    }

    /// Hands one record over, without waiting; the key chooses the partition.
    ///
    /// # Errors
    /// It was not taken, and nothing will be told of it: the queue is full, or it can never be sent.
    pub fn hand_over(&self, key: &[u8], value: &[u8], ticket: usize) -> Result<(), ProduceError> {
        let record = BaseRecord::with_opaque_to(&self.topic, ticket).key(key).payload(value);
        self.client.send(record).map_err(|(error, _)| ProduceError::Refused {
            topic: self.topic.clone(),
            bytes: key.len() + value.len(),
            reason: error.to_string(),
        })
    }

    /// Has what waits in the queue sent at once, and waits until all is told of, for
    /// [`patience`](Self::patience) at most.
    pub fn flush(&self) {
        // What is left over is told of as lost by whoever asked for it.
        let _ = self.client.flush(self.patience);
    }

    /// By when every record that was handed over has been told of.
    pub fn patience(&self) -> Duration {
        self.patience
    }

    /// Why no record can be written any more, if that is so.
    pub fn broken(&self) -> Option<String> {
        let (code, reason) = self.client.client().fatal_error()?;
        Some(self.client.context().base.redact(&format!("{code}: {reason}")))
    }
}

/// Passes each delivery report on; the rest goes to the common context.
struct Tickets {
    base: Context,
    settled: Box<dyn Fn(Settled) + Send + Sync>,
}

impl ClientContext for Tickets {
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

impl ProducerContext for Tickets {
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, ticket: usize) {
        let outcome = match result {
            Ok(_) => Ok(()),
            Err((error, _)) => Err(self.base.redact(&error.to_string())),
        };
        (self.settled)(Settled { ticket, outcome });
    }
}
