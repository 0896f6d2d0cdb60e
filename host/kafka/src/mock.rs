//! librdkafka's own pretended cluster, in this process, for `host demo` and for tests. It
//! keeps about 5 MiB and 100,000 messages a partition, so it must be read while it is
//! written; it is no broker to keep anything in.

use rdkafka::error::KafkaError;
use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;
use thiserror::Error;

/// The pretended cluster could not do what it was asked.
#[derive(Debug, Error)]
#[error("the in-process Kafka cluster failed at {what}: {source}; try again")]
pub struct MockError {
    what: &'static str,
    source: KafkaError,
}

/// A cluster of pretended brokers on local ports; gone when dropped.
pub struct MockKafka {
    cluster: MockCluster<'static, DefaultProducerContext>,
}

impl MockKafka {
    /// Starts so many brokers.
    ///
    /// # Errors
    /// When no port or no memory is left.
    pub fn start(brokers: i32) -> Result<Self, MockError> {
        let cluster =
            MockCluster::new(brokers).map_err(|source| MockError { what: "starting its brokers", source })?;
        Ok(Self { cluster })
    }

    /// Its address list.
    pub fn brokers(&self) -> String {
        self.cluster.bootstrap_servers()
    }

    /// Makes a topic of one replica.
    ///
    /// # Errors
    /// When there is such a topic already.
    pub fn create_topic(&self, topic: &str, partitions: i32) -> Result<(), MockError> {
        let made = self.cluster.create_topic(topic, partitions, 1);
        made.map_err(|source| MockError { what: "creating a topic", source })
    }
}
