//! Topics and the records in them, by plain librdkafka clients.
//!
//! The partition of every record is given, and one producer writes them all, so a record's offset is known
//! before it is written: its place among those of its partition.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rdkafka::admin::{AdminClient, AdminOptions, NewPartitions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Headers};
use rdkafka::producer::{BaseProducer, BaseRecord, DeliveryResult, Producer, ProducerContext};
use rdkafka::{ClientContext, Message};

use crate::block_on::block_on;
use crate::kafka::Broker;
use crate::ticks::Placed;

const LIMIT: Duration = Duration::from_secs(60);

/// A record to write.
pub struct Record {
    pub partition: i32,
    pub key: Option<Vec<u8>>,
    /// None is a tombstone.
    pub value: Option<Vec<u8>>,
    pub timestamp_ms: Option<i64>,
}

impl Broker {
    /// Makes a topic of these records, gzipped as the producer does.
    ///
    /// # Panics
    /// The broker refuses it.
    pub fn topic_of(&self, topic: &str, partitions: i32, records: &[Placed]) {
        self.create_topic(topic, partitions, &[]).expect("a new name");
        self.append(topic, records);
    }

    /// Adds records to a topic.
    ///
    /// # Panics
    /// One is not acknowledged.
    pub fn append(&self, topic: &str, records: &[Placed]) {
        let written = self.produce(topic, "gzip", records.iter().map(Placed::to_record));
        assert_eq!(written.expect("all acknowledged"), records.len() as u64);
    }

    /// Makes a topic; `config` as `("message.timestamp.type", "LogAppendTime")`.
    ///
    /// # Errors
    /// The broker refuses it, as it does a name that exists.
    pub fn create_topic(&self, topic: &str, partitions: i32, config: &[(&str, &str)]) -> Result<()> {
        let mut wanted = NewTopic::new(topic, partitions, TopicReplication::Fixed(1));
        for (name, value) in config {
            wanted = wanted.set(name, value);
        }
        let options = AdminOptions::new().operation_timeout(Some(LIMIT));
        for outcome in block_on(self.admin()?.create_topics([&wanted], &options))? {
            outcome.map_err(|(name, code)| anyhow::anyhow!("topic {name}: {code}"))?;
        }
        self.await_partitions(topic, partitions as usize)
    }

    /// Removes a topic.
    ///
    /// # Errors
    /// There is none of that name.
    pub fn delete_topic(&self, topic: &str) -> Result<()> {
        let options = AdminOptions::new().operation_timeout(Some(LIMIT));
        for outcome in block_on(self.admin()?.delete_topics(&[topic], &options))? {
            outcome.map_err(|(name, code)| anyhow::anyhow!("topic {name}: {code}"))?;
        }
        Ok(())
    }

    /// Deletes the records of partitions before offsets, as retention does.
    ///
    /// # Errors
    /// An offset lies beyond the end.
    pub fn delete_records(&self, topic: &str, before: &[(i32, i64)]) -> Result<()> {
        let mut offsets = rdkafka::TopicPartitionList::new();
        for (partition, offset) in before {
            offsets.add_partition_offset(topic, *partition, rdkafka::Offset::Offset(*offset))?;
        }
        let outcome = block_on(
            self.admin()?.delete_records(&offsets, &AdminOptions::new().operation_timeout(Some(LIMIT))),
        )?;
        outcome.elements().iter().try_for_each(|partition| partition.error()).context("cannot delete records")
    }

    /// Gives a topic more partitions, so that it has `partitions` in all.
    ///
    /// # Errors
    /// It has as many already.
    pub fn add_partitions(&self, topic: &str, partitions: usize) -> Result<()> {
        let wanted = NewPartitions::new(topic, partitions);
        let options = AdminOptions::new().operation_timeout(Some(LIMIT));
        for outcome in block_on(self.admin()?.create_partitions([&wanted], &options))? {
            outcome.map_err(|(name, code)| anyhow::anyhow!("topic {name}: {code}"))?;
        }
        self.await_partitions(topic, partitions)
    }

    /// Waits until the broker tells clients of so many partitions: it answers an admin's
    /// request a little before.
    fn await_partitions(&self, topic: &str, partitions: usize) -> Result<()> {
        let client: BaseProducer<Deliveries> = self.client().create_with_context(Deliveries::default())?;
        let deadline = Instant::now() + LIMIT;
        while Instant::now() < deadline {
            let metadata = client.client().fetch_metadata(Some(topic), LIMIT)?;
            let told = metadata.topics().iter().find(|told| told.name() == topic);
            if told.is_some_and(|told| told.error().is_none() && told.partitions().len() == partitions) {
                return Ok(());
            }
            client.poll(Duration::from_millis(20));
        }
        bail!("the broker does not tell of {partitions} partitions of {topic}")
    }

    /// Writes records in order, compressed by `codec` (`gzip`, `lz4`, …), and waits until all are acknowledged.
    ///
    /// # Errors
    /// A record was not acknowledged.
    pub fn produce(
        &self,
        topic: &str,
        codec: &str,
        records: impl IntoIterator<Item = Record>,
    ) -> Result<u64> {
        let producer = self.producer(codec)?;
        let mut written = 0;
        for record in records {
            send(&producer, topic, &record)?;
            written += 1;
            if written % 1_000 == 0 {
                producer.poll(Duration::ZERO);
            }
        }
        producer.flush(LIMIT).context("records are left over that the broker did not acknowledge")?;
        match producer.context().failure.lock() {
            Ok(failure) if failure.is_none() => Ok(written),
            Ok(failure) => bail!("a record was not acknowledged: {failure:?}"),
            Err(_) => bail!("the producer's thread panicked"),
        }
    }

    /// The offset that the partition's next record will have.
    ///
    /// # Errors
    /// The partition does not exist.
    pub fn end_offset(&self, topic: &str, partition: i32) -> Result<i64> {
        let client: BaseConsumer = self.client().create()?;
        let (_start, end) = client.fetch_watermarks(topic, partition, LIMIT)?;
        Ok(end)
    }

    fn admin(&self) -> Result<AdminClient<DefaultClientContext>> {
        self.client().create().context("cannot make an admin client")
    }

    fn producer(&self, codec: &str) -> Result<BaseProducer<Deliveries>> {
        ensure!(!codec.is_empty(), "name a codec; `none` is one");
        let mut config = self.client();
        config.set("compression.type", codec).set("enable.idempotence", "true").set("linger.ms", "20");
        config.set("batch.num.messages", "10000").set("queue.buffering.max.messages", "200000");
        config.set("message.max.bytes", "200000000");
        config.create_with_context(Deliveries::default()).context("cannot make a producer")
    }
}

/// Where librdkafka is full, acknowledgements are waited for.
fn send(producer: &BaseProducer<Deliveries>, topic: &str, record: &Record) -> Result<()> {
    loop {
        let mut wanted = BaseRecord::<[u8], [u8]>::to(topic).partition(record.partition);
        wanted.key = record.key.as_deref();
        wanted.payload = record.value.as_deref();
        wanted.timestamp = record.timestamp_ms;
        match producer.send(wanted) {
            Ok(()) => return Ok(()),
            Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), _)) => {
                producer.poll(Duration::from_millis(100));
            }
            Err((error, _)) => return Err(error).context("cannot produce"),
        }
    }
}

/// Keeps the first failure.
#[derive(Default)]
struct Deliveries {
    failure: Mutex<Option<KafkaError>>,
}

impl ClientContext for Deliveries {}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, _opaque: ()) {
        if let (Err((error, _message)), Ok(mut failure)) = (result, self.failure.lock()) {
            failure.get_or_insert_with(|| error.clone());
        }
    }
}

/// A partition, an offset, and the value that lies there; None is a tombstone.
pub type Read = (i32, i64, Option<Vec<u8>>);

/// Reads every record of a topic, partition by partition.
///
/// # Errors
/// The broker stops answering.
pub fn read_all(broker: &Broker, topic: &str, partitions: i32) -> Result<Vec<Read>> {
    let mut records = Vec::new();
    for_each(broker, topic, partitions, |record| {
        records.push((record.partition(), record.offset(), record.payload().map(<[u8]>::to_vec)));
    })?;
    records.sort_by_key(|(partition, offset, _)| (*partition, *offset));
    Ok(records)
}

/// A record with its headers, whose values are text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Headed {
    pub key: Option<Vec<u8>>,
    pub value: Option<Vec<u8>>,
    pub timestamp_ms: Option<i64>,
    pub headers: BTreeMap<String, String>,
}

/// Reads every committed record of a topic with its headers, in no order.
///
/// # Errors
/// The broker stops answering.
pub fn read_headed(broker: &Broker, topic: &str, partitions: i32) -> Result<Vec<Headed>> {
    let mut records = Vec::new();
    for_each(broker, topic, partitions, |record| {
        let headers = record.headers().into_iter().flat_map(Headers::iter);
        let text = |bytes: Option<&[u8]>| String::from_utf8_lossy(bytes.unwrap_or_default()).into_owned();
        records.push(Headed {
            key: record.key().map(<[u8]>::to_vec),
            value: record.payload().map(<[u8]>::to_vec),
            timestamp_ms: record.timestamp().to_millis(),
            headers: headers.map(|header| (header.key.to_owned(), text(header.value))).collect(),
        });
    })?;
    Ok(records)
}

/// To the end of what is committed.
fn for_each(
    broker: &Broker,
    topic: &str,
    partitions: i32,
    mut take: impl FnMut(&BorrowedMessage<'_>),
) -> Result<()> {
    let mut config = broker.client();
    config.set("group.id", "reader").set("enable.auto.commit", "false").set("enable.partition.eof", "true");
    let consumer: BaseConsumer = config.set("auto.offset.reset", "earliest").create()?;
    let mut wanted = rdkafka::TopicPartitionList::new();
    for partition in 0..partitions {
        wanted.add_partition_offset(topic, partition, rdkafka::Offset::Beginning)?;
    }
    consumer.assign(&wanted)?;
    let mut ends = 0;
    while ends < partitions {
        match consumer.poll(LIMIT) {
            Some(Ok(record)) => take(&record),
            Some(Err(KafkaError::PartitionEOF(_))) => ends += 1,
            Some(Err(error)) => return Err(error.into()),
            None => bail!("the broker gave nothing for {} s", LIMIT.as_secs()),
        }
    }
    Ok(())
}
