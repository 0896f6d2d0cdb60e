//! What the brokers know of a topic: whether it is there, its id, its partitions and
//! their offsets. It only asks, and never makes a topic by asking; what the facts mean
//! for a stored position is `positions`' business.

use std::ffi::{CStr, CString};
use std::time::{Duration, Instant};

use rdkafka::consumer::Consumer;
use rdkafka::error::KafkaError;
use rdkafka::types::RDKafkaErrorCode;
use tracing::info;

use crate::admin_ffi::{self, Asked, ListedOffset, NewTopic};
use crate::config::Connection;
use crate::consume_ffi::Client;
use crate::context::{Context, Told};
use crate::error::{BrokerError, ConfigError, is_authentication, is_of_connection, is_passing};

/// How long a broker is waited for by default.
pub const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// Long enough for every event that waits: one look at them ends at the first that is served.
const EVENTS_SETTLE: Duration = Duration::from_millis(10);

/// How often a missing topic is looked for.
const LOOK_AGAIN: Duration = Duration::from_millis(250);

/// A topic as it is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicFacts {
    pub topic: String,
    /// As Kafka's tools print it; `None` from brokers older than topic ids.
    pub id: Option<String>,
    /// In ascending order.
    pub partitions: Vec<PartitionFacts>,
}

/// A partition's offsets as they are now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PartitionFacts {
    pub partition: i32,
    /// The first offset still there.
    pub log_start: i64,
    /// Everything before it is decided: what a reader of committed records can reach.
    pub last_stable: i64,
    /// The offset after the last record.
    pub high_watermark: i64,
    /// The current leader's epoch, where the broker tells it.
    pub leader_epoch: Option<i32>,
}

/// A client for questions. Creating it connects to nothing yet.
pub struct Broker {
    client: Client,
    brokers: String,
    timeout_ms: u64,
}

impl Broker {
    /// `timeout` bounds each question.
    ///
    /// # Errors
    /// Properties that do not make a client.
    pub fn new(connection: &Connection, timeout: Duration) -> Result<Self, BrokerError> {
        let context = Context::of(connection);
        let client = connection.for_facts().create_with_context(context).map_err(|error| {
            ConfigError::Client { reason: connection.redactor().redact(&error.to_string()) }
        })?;
        let timeout_ms = u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX);
        let broker = Self { client, brokers: connection.brokers().to_owned(), timeout_ms };
        broker.client.context().await_token(timeout, || broker.serve_events(EVENTS_SETTLE));
        Ok(broker)
    }

    /// A topic's id, partitions and offsets.
    ///
    /// # Errors
    /// No broker, no such topic, no access: each its own.
    pub fn topic_facts(&self, topic: &str) -> Result<TopicFacts, BrokerError> {
        self.until_passed(|| self.topic_facts_now(topic))
    }

    /// Asks again while the answer is one that may pass, for as long as a question may take.
    fn until_passed<T>(&self, ask: impl Fn() -> Result<T, BrokerError>) -> Result<T, BrokerError> {
        let began = Instant::now();
        loop {
            match ask() {
                Err(BrokerError::Request { may_pass: true, .. })
                    if began.elapsed() < Duration::from_millis(self.timeout_ms) => {}
                answer => return answer,
            }
            self.serve_events(LOOK_AGAIN);
        }
    }

    fn topic_facts_now(&self, topic: &str) -> Result<TopicFacts, BrokerError> {
        let name = self.name(topic)?;
        let (numbers, id) = self.describe(topic, &name)?;
        let starts = self.ask(topic, &name, &numbers, Asked::LogStart)?;
        let stables = self.ask(topic, &name, &numbers, Asked::LastStable)?;
        let ends = self.ask(topic, &name, &numbers, Asked::HighWatermark)?;
        let triples = starts.iter().zip(&stables).zip(&ends);
        let partitions = triples.map(|((start, stable), end)| facts(start, stable, end)).collect();
        Ok(TopicFacts { topic: topic.to_owned(), id, partitions })
    }

    /// As `topic_facts`, but a missing topic (or one not yet led by any broker) is waited
    /// for up to `patience`, for as long as `keep_waiting` says so.
    ///
    /// # Errors
    /// As `topic_facts`.
    pub fn wait_for_topic(
        &self,
        topic: &str,
        patience: Duration,
        keep_waiting: &dyn Fn() -> bool,
    ) -> Result<TopicFacts, BrokerError> {
        let began = Instant::now();
        let mut is_told = false;
        loop {
            match self.topic_facts(topic) {
                Err(BrokerError::TopicMissing { .. } | BrokerError::Request { .. })
                    if began.elapsed() < patience => {}
                answer => return answer,
            }
            if !keep_waiting() {
                let (topic, brokers) = (topic.to_owned(), self.brokers.clone());
                return Err(BrokerError::Stopped { topic, brokers });
            }
            if !std::mem::replace(&mut is_told, true) {
                info!(topic, brokers = self.brokers, "the topic is not there yet; waiting for it");
            }
            self.serve_events(LOOK_AGAIN);
        }
    }

    /// For each partition its first offset whose record is not older than `timestamp_ms`
    /// (since 1970 UTC), `None` where there is none yet.
    ///
    /// # Errors
    /// As `topic_facts`.
    pub fn offsets_at(
        &self,
        topic: &str,
        partitions: &[i32],
        timestamp_ms: i64,
    ) -> Result<Vec<(i32, Option<i64>)>, BrokerError> {
        let name = self.name(topic)?;
        let asked = Asked::TimestampMs(timestamp_ms);
        let listed = self.until_passed(|| self.ask(topic, &name, partitions, asked))?;
        Ok(listed.iter().map(|at| (at.partition, Some(at.offset).filter(|offset| *offset >= 0))).collect())
    }

    /// Makes a topic, for tests and demonstrations, and waits until it is there.
    ///
    /// # Errors
    /// As `topic_facts`, and when there is such a topic already.
    pub fn create_topic(&self, topic: &str, partitions: i32, replicas: i32) -> Result<(), BrokerError> {
        let name = self.name(topic)?;
        self.create(topic, &NewTopic { name: &name, partitions, replicas, config: &[] }).map(|_| ())
    }

    /// A compacted topic of one partition, which is made where there is none.
    ///
    /// # Errors
    /// As `topic_facts`, and when there is none and none may be made.
    pub fn compacted_topic(&self, topic: &str) -> Result<TopicFacts, BrokerError> {
        match self.topic_facts(topic) {
            Err(BrokerError::TopicMissing { .. }) => {}
            answer => return answer,
        }
        let name = self.name(topic)?;
        let config = [(c"cleanup.policy", c"compact")];
        self.create(topic, &NewTopic { name: &name, partitions: 1, replicas: -1, config: &config })
    }

    /// Makes a topic and waits until it is there.
    fn create(&self, topic: &str, wanted: &NewTopic<'_>) -> Result<TopicFacts, BrokerError> {
        admin_ffi::create_topic(&self.client, wanted, self.timeout_c())
            .map_err(|told| self.error("creating", topic, told))?;
        self.wait_for_topic(topic, Duration::from_millis(self.timeout_ms), &|| true)
    }

    /// Whether the connection to the last of the brokers has broken since this was asked
    /// before, and why.
    pub fn lost_connection(&self) -> Option<String> {
        self.serve_events(EVENTS_SETTLE);
        let context = self.client.context();
        let was_lost = context.take_all_down();
        was_lost.then(|| {
            context.last_error().map_or_else(|| "their connections broke".to_owned(), |told| told.reason)
        })
    }

    /// A topic's partitions in ascending order, and its id.
    fn describe(&self, topic: &str, name: &CStr) -> Result<(Vec<i32>, Option<String>), BrokerError> {
        let failed = |told| self.error("describing", topic, told);
        let timeout = Duration::from_millis(self.timeout_ms);
        let metadata =
            self.client.fetch_metadata(Some(topic), timeout).map_err(|error| failed(told(&error)))?;
        let mut numbers = Vec::new();
        for described in metadata.topics() {
            if let Some(code) = described.error() {
                let code = RDKafkaErrorCode::from(code);
                return Err(failed(Told { code, reason: code.to_string() }));
            }
            numbers.extend(described.partitions().iter().map(|partition| partition.id()));
        }
        numbers.sort_unstable();
        // The mock cluster has no controller, and so no ids.
        let controller = admin_ffi::known_controller(&self.client);
        let has_controller = metadata.brokers().iter().any(|broker| broker.id() == controller);
        let ask = || admin_ffi::topic_id(&self.client, name, self.timeout_c()).map_err(failed);
        Ok((numbers, if has_controller { ask()? } else { None }))
    }

    /// The offsets in the order of `partitions`.
    fn ask(
        &self,
        topic: &str,
        name: &CString,
        partitions: &[i32],
        asked: Asked,
    ) -> Result<Vec<ListedOffset>, BrokerError> {
        let mut listed = admin_ffi::list_offsets(&self.client, name, partitions, asked, self.timeout_c())
            .map_err(|told| self.error("asking for the offsets", topic, told))?;
        listed.sort_unstable_by_key(|at| at.partition);
        Ok(listed)
    }

    fn name(&self, topic: &str) -> Result<CString, BrokerError> {
        admin_ffi::c_name(topic).map_err(|told| self.error("naming", topic, told))
    }

    fn timeout_c(&self) -> i32 {
        i32::try_from(self.timeout_ms).unwrap_or(i32::MAX).min(3_600_000)
    }

    /// Waits up to `patience`, meanwhile letting librdkafka tell what it has to tell.
    fn serve_events(&self, patience: Duration) {
        let until = Instant::now() + patience;
        // Errors are kept by the context.
        while self.client.poll(until.saturating_duration_since(Instant::now())).is_some()
            || Instant::now() < until
        {}
    }

    fn error(&self, what: &'static str, topic: &str, told: Told) -> BrokerError {
        self.serve_events(Duration::from_millis(1));
        let cause = self.client.context().last_error();
        let (topic, brokers) = (topic.to_owned(), self.brokers.clone());
        let reason = self.client.context().redact(&told.reason);
        match (told.code, cause) {
            (_, Some(cause)) if is_authentication(cause.code) => {
                BrokerError::Authentication { brokers, reason: cause.reason }
            }
            (_, Some(cause)) if cause.code == RDKafkaErrorCode::SSL => {
                BrokerError::Authentication { brokers, reason: with_expiry(cause.reason) }
            }
            (RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownTopic, _) => {
                BrokerError::TopicMissing { topic, brokers }
            }
            (RDKafkaErrorCode::TopicAuthorizationFailed, _) => {
                BrokerError::NotAuthorized { topic, brokers, reason }
            }
            (code, cause) if is_of_connection(code) => BrokerError::Unreachable {
                brokers,
                timeout_ms: self.timeout_ms,
                reason: cause.map_or(reason, |cause| cause.reason),
            },
            (code, _) => BrokerError::Request { what, topic, brokers, may_pass: is_passing(code), reason },
        }
    }
}

/// OpenSSL knows more of a certificate that it refuses than librdkafka tells.
fn with_expiry(reason: String) -> String {
    if reason.contains("certificate verify failed") {
        reason
            + "; a certificate that has expired is refused in these words too: see its dates with `openssl s_client`"
    } else {
        reason
    }
}

fn told(error: &KafkaError) -> Told {
    let code = error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Unknown);
    Told { code, reason: error.to_string() }
}

fn facts(start: &ListedOffset, stable: &ListedOffset, end: &ListedOffset) -> PartitionFacts {
    PartitionFacts {
        partition: start.partition,
        log_start: start.offset,
        last_stable: stable.offset,
        high_watermark: end.offset.max(stable.offset),
        leader_epoch: Some(end.leader_epoch).filter(|epoch| *epoch >= 0),
    }
}
