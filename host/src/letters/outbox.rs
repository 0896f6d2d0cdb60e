//! Sends a job's letters and windows to topics of Kafka's, each commit's in one transaction with
//! the marker that says so. When they are sent, and whether again, is the commit protocol's.

use std::time::Duration;

use anyhow::Context;
use speed_layer_core::commit::{Marker, OutputId};
use speed_layer_kafka::{ANSWER_TIMEOUT, Broker, Connection, Outgoing, Transactions};
use speed_layer_store::{Outbox, OutboxError, Parcel};

use super::headers::{headers_of, window_headers};
use super::one_log;
use crate::config::{JobSpec, SourceSpec};

/// Of each call; the brokers give up a transaction sooner (`transaction.timeout.ms`).
const TRANSACTION_TIMEOUT: Duration = Duration::from_secs(90);

/// The sender of a job. It has taken nothing over before it is asked to settle.
pub struct KafkaOutbox {
    connection: Connection,
    broker: Broker,
    /// The job's source, over the topic with the marker.
    markers: SourceSpec,
    job: String,
    writer: Option<Transactions>,
}

impl KafkaOutbox {
    /// Looks whether the topics are there that the job names.
    ///
    /// # Errors
    /// One is not there, or no broker answers.
    pub fn of(spec: &JobSpec) -> anyhow::Result<Self> {
        let connection = Connection::new(&spec.source.brokers, spec.source.properties.clone())?;
        let broker = Broker::new(&connection, ANSWER_TIMEOUT)?;
        for topic in [&spec.sides.dead_letters, &spec.sides.late].into_iter().flatten() {
            broker.topic_facts(topic)?;
        }
        for aggregate in &spec.aggregates {
            for sink in &aggregate.topics {
                let place =
                    || format!("the topic for the windows of aggregate {} cannot be used", aggregate.name);
                broker.topic_facts(&sink.topic).with_context(place)?;
            }
        }
        let markers = SourceSpec { topic: format!("{}.commits", spec.name), ..spec.source.clone() };
        Ok(Self { connection, broker, markers, job: spec.name.clone(), writer: None })
    }

    fn take_over(&mut self) -> anyhow::Result<Option<Marker>> {
        let id = format!("speed-layer-{}", self.job);
        self.writer = Some(Transactions::take_over(&self.connection, &id, TRANSACTION_TIMEOUT)?);
        let topic = &self.markers.topic;
        let Some(log) = one_log::find(&self.broker, topic)? else { return Ok(None) };
        let mut last = None;
        one_log::read_whole(&self.markers, &self.job, (topic, log), &mut |records| {
            let is_ours = |row: &usize| records.keys.get(*row) == Some(self.job.as_bytes());
            if let Some(row) = (0..records.len()).rev().find(is_ours) {
                last = records.values.get(row).map(<[u8]>::to_vec);
            }
            Ok(())
        })?;
        let marker = |value: Vec<u8>| {
            serde_json::from_slice(&value).with_context(|| {
                format!("the last record of the topic {topic} with the key {} is no marker", self.job)
            })
        };
        last.map(marker).transpose()
    }

    fn write(&mut self, marker: &Marker, parcels: &[Parcel]) -> anyhow::Result<()> {
        let letters: Vec<_> = parcels
            .iter()
            .flat_map(|parcel| parcel.letters.iter().map(move |letter| (parcel, letter)))
            .map(|(parcel, letter)| match parcel.output {
                OutputId::Aggregate(_) => (parcel, letter, window_headers(letter, &self.job)),
                _ => (parcel, letter, headers_of(letter, &self.job)),
            })
            .collect();
        let headers: Vec<Vec<(&str, &[u8])>> = letters
            .iter()
            .map(|(_, _, headers)| headers.iter().map(|(name, value)| (*name, value.as_bytes())).collect())
            .collect();
        let records = letters.iter().zip(&headers).map(|((parcel, letter, _), headers)| Outgoing {
            topic: &parcel.topic,
            partition: None,
            key: letter.key.as_deref(),
            value: letter.value.as_deref(),
            timestamp_ms: letter.timestamp_ms,
            headers,
        });
        let value = marker.to_string();
        let mark = Outgoing {
            topic: &self.markers.topic,
            partition: Some(0),
            key: Some(self.job.as_bytes()),
            value: Some(value.as_bytes()),
            timestamp_ms: None,
            headers: &[],
        };
        let writer = self.writer.as_mut().context("nothing was settled before letters were sent")?;
        Ok(writer.write(records.chain([mark]))?)
    }
}

impl Outbox for KafkaOutbox {
    fn marker_topic(&self) -> String {
        self.markers.topic.clone()
    }

    fn settle(&mut self) -> Result<Option<Marker>, OutboxError> {
        self.take_over().map_err(told)
    }

    fn mark(&mut self, marker: &Marker) -> Result<(), OutboxError> {
        let topic = &self.markers.topic;
        let made = self.broker.compacted_topic(topic).with_context(|| {
            format!(
                "the topic {topic}, which tells whose letters are published, is not there and cannot be made; make it by \
                 hand, with one partition and cleanup.policy=compact"
            )
        });
        made.map_err(told)?;
        self.write(marker, &[]).map_err(told)
    }

    fn send(&mut self, marker: &Marker, parcels: &[Parcel]) -> Result<(), OutboxError> {
        self.write(marker, parcels).map_err(told)
    }
}

fn told(error: anyhow::Error) -> OutboxError {
    OutboxError(format!("{error:#}").into())
}
