//! What the tests on the mock cluster share: a topic with known records, and reading all
//! of it by a source. It asserts nothing itself.

#![allow(dead_code, reason = "each test binary uses its part")]

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use speed_layer_core::records::Records;
use speed_layer_kafka::source::SourceOptions;
use speed_layer_kafka::{
    Assignment, Connection, Feed, Message, MockKafka, PollLimits, Producer, Source, SourceError,
};

pub const PATIENCE: Duration = Duration::from_secs(30);
pub const LIMITS: PollLimits = PollLimits { rows_max: 500, bytes_max: 1 << 20, timeout_ms: 100 };

/// A topic on a cluster of its own.
pub struct Stand {
    pub kafka: MockKafka,
    pub connection: Connection,
    pub topic: &'static str,
}

impl Stand {
    pub fn new(topic: &'static str, partitions: i32) -> Self {
        let kafka = MockKafka::start(1).expect("mock cluster");
        kafka.create_topic(topic, partitions).expect("new topic");
        let connection = Connection::new(&kafka.brokers(), []).expect("valid properties");
        Self { kafka, connection, topic }
    }

    pub fn produce<'a>(&self, messages: impl IntoIterator<Item = Message<'a>>) {
        self.produce_as("none", messages);
    }

    pub fn produce_as<'a>(&self, codec: &str, messages: impl IntoIterator<Item = Message<'a>>) {
        let codec = ("compression.type".to_owned(), codec.to_owned());
        let connection = Connection::new(&self.kafka.brokers(), [codec]).expect("valid properties");
        let mut producer = Producer::new(&connection, self.topic, PATIENCE).expect("producer");
        for message in messages {
            producer.produce(&message).expect("room in the queue");
        }
        let delivery = producer.finish().expect("all delivered");
        assert_eq!((delivery.delivered, delivery.failed), (delivery.produced, 0));
    }

    /// `count` numbered records, dealt out to the partitions in turn.
    pub fn produce_numbers(&self, count: usize, partitions: usize) {
        let texts: Vec<String> = (0..count).map(|number| number.to_string()).collect();
        self.produce(texts.iter().enumerate().map(|(index, text)| Message {
            partition: i32::try_from(index % partitions).ok(),
            value: Some(text.as_bytes()),
            ..Message::default()
        }));
    }

    pub fn start(&self, assignments: &[Assignment], workers: usize) -> (Source, Vec<Feed>) {
        let options = SourceOptions { workers, wants_headers: false };
        Source::start(&self.connection, "test", self.topic, assignments, options).expect("source")
    }
}

pub fn from_start(partitions: i32) -> Vec<Assignment> {
    (0..partitions).map(|partition| Assignment::open(partition, 0)).collect()
}

/// Values by partition, in the order of arrival.
pub type Values = BTreeMap<i32, Vec<String>>;

/// Polls until every partition of every feed is at its end.
pub fn read_to_end(feeds: &mut [Feed], limits: &PollLimits) -> Result<Values, SourceError> {
    let mut values = Values::new();
    let began = Instant::now();
    let mut records = Records::default();
    while !feeds.iter().all(Feed::is_at_end) {
        assert!(began.elapsed() < PATIENCE, "not at the end in time: {values:?}");
        for feed in feeds.iter_mut() {
            feed.poll(&mut records, limits)?;
            if let Some(loss) = feed.take_losses().pop() {
                return Err(loss);
            }
            assert!(records.len() <= limits.rows_max, "{} rows", records.len());
            collect(&records, &mut values);
        }
    }
    Ok(values)
}

pub fn collect(records: &Records, values: &mut Values) {
    for row in 0..records.len() {
        let text = records.values.get(row).map_or("null".into(), String::from_utf8_lossy);
        values.entry(records.partitions[row]).or_default().push(text.into_owned());
    }
}
