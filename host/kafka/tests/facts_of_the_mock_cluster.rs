//! What is told of brokers and topics that are there, are not there, or come later.

mod common;

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use common::{PATIENCE, Stand};
use speed_layer_kafka::{Broker, BrokerError, Connection, Message};

fn broker(stand: &Stand) -> Broker {
    Broker::new(&stand.connection, PATIENCE).expect("client")
}

#[test]
fn a_topics_partitions_and_offsets_are_told() {
    let stand = Stand::new("known", 3);
    stand.produce_numbers(10, 2);
    let facts = broker(&stand).topic_facts("known").expect("facts");
    let offsets: Vec<_> = facts
        .partitions
        .iter()
        .map(|one| (one.partition, one.log_start, one.last_stable, one.high_watermark))
        .collect();
    assert_eq!(offsets, [(0, 0, 5, 5), (1, 0, 5, 5), (2, 0, 0, 0)]);
}

#[test]
fn a_missing_topic_is_named_and_not_made_by_asking() {
    let stand = Stand::new("there", 1);
    for _ in 0..2 {
        let error = broker(&stand).topic_facts("elsewhere").expect_err("no such topic");
        assert!(matches!(error, BrokerError::TopicMissing { .. }), "{error}");
        assert!(error.to_string().contains("elsewhere"), "{error}");
    }
}

#[test]
fn a_missing_broker_is_named_with_the_reason_when_the_time_is_over() {
    let connection = Connection::new("127.0.0.1:1", []).expect("valid");
    let began = Instant::now();
    let broker = Broker::new(&connection, Duration::from_millis(700)).expect("client");
    let error = broker.topic_facts("any").expect_err("no broker");
    assert!(matches!(error, BrokerError::Unreachable { .. }), "{error}");
    let text = error.to_string();
    assert!(text.contains("127.0.0.1:1") && text.contains("refused"), "{text}");
    assert!(began.elapsed() < Duration::from_secs(5));
}

#[test]
fn a_topic_that_comes_later_is_waited_for() {
    let stand = Stand::new("first", 1);
    let broker = broker(&stand);
    let asked = AtomicBool::new(false);
    let facts = broker.wait_for_topic("later", PATIENCE, &|| {
        if !asked.swap(true, Ordering::Relaxed) {
            stand.kafka.create_topic("later", 2).expect("new topic");
        }
        true
    });
    assert_eq!(facts.expect("it came").partitions.len(), 2);
}

#[test]
fn waiting_for_a_topic_ends_with_its_time_and_when_told_to() {
    let stand = Stand::new("first", 1);
    let broker = broker(&stand);
    let over = broker.wait_for_topic("never", Duration::from_millis(300), &|| true);
    assert!(matches!(over, Err(BrokerError::TopicMissing { .. })));
    let told = broker.wait_for_topic("never", PATIENCE, &|| false);
    assert!(matches!(told, Err(BrokerError::Stopped { .. })));
}

#[test]
fn records_that_cannot_be_delivered_are_counted_with_the_first_reason() {
    let connection = Connection::new("127.0.0.1:1", []).expect("valid");
    let mut producer =
        speed_layer_kafka::Producer::new(&connection, "any", Duration::from_millis(300)).expect("client");
    producer.produce(&Message { value: Some(b"x"), ..Message::default() }).expect("queued");
    let text = producer.finish().expect_err("no broker").to_string();
    assert!(text.contains("1 of 1 records") && text.contains("any"), "{text}");
}

/// librdkafka gives the partitions of a broker that broke the connection no error and no offset.
#[test]
fn offsets_that_a_broker_did_not_tell_are_asked_for_again() {
    use rdkafka::mocking::MockCluster;
    use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};
    let cluster = MockCluster::new(2).expect("ports are free");
    cluster.create_topic("broken", 4, 2).expect("a new name");
    let soon = ("reconnect.backoff.max.ms".to_owned(), "100".to_owned());
    let connection = Connection::new(&cluster.bootstrap_servers(), [soon]).expect("valid");
    let broker = Broker::new(&connection, PATIENCE).expect("client");
    for broken in 1..5 {
        let answers = vec![RDKafkaRespErr::RD_KAFKA_RESP_ERR__TRANSPORT; broken];
        cluster.request_errors(RDKafkaApiKey::ListOffsets, &answers);
        let facts = broker.topic_facts("broken").expect("it is asked again");
        let whole = |one: &speed_layer_kafka::PartitionFacts| (one.log_start, one.last_stable) == (0, 0);
        assert!(facts.partitions.len() == 4 && facts.partitions.iter().all(whole), "{facts:?}");
    }
}
