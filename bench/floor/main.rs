//! Reads a topic to its end by librdkafka's batches and counts the records: what no consumer of librdkafka's can be
//! faster than. `bench-floor BROKERS TOPIC PARTITIONS`; its one line is JSON.

mod batches_ffi;

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::{Offset, TopicPartitionList};

const ANSWER: Duration = Duration::from_secs(30);
/// Nothing for so long means that something is wrong.
const SILENCE: Duration = Duration::from_secs(60);

fn main() -> Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [brokers, topic, partitions] = words.as_slice() else {
        bail!("usage: bench-floor BROKERS TOPIC PARTITIONS");
    };
    let consumer = consumer(brokers)?;
    let (assigned, wanted) =
        assignment(&consumer, topic, partitions.parse().context("PARTITIONS is no number")?)?;
    let began = Instant::now();
    consumer.assign(&assigned)?;
    let (mut records, mut heard) = (0, Instant::now());
    while records < wanted {
        match batches_ffi::count(&consumer, Duration::from_millis(100))? {
            0 if heard.elapsed() > SILENCE => bail!("only {records} of {wanted} records came"),
            0 => {}
            more => {
                records += more;
                heard = Instant::now();
            }
        }
    }
    println!("{{\"records\":{records},\"running_s\":{}}}", began.elapsed().as_secs_f64());
    Ok(())
}

/// As fast as its settings allow, within bounds that a job has too.
fn consumer(brokers: &str) -> Result<BaseConsumer> {
    let settings = [
        ("bootstrap.servers", brokers),
        ("group.id", "bench-floor"),
        ("enable.auto.commit", "false"),
        ("check.crcs", "true"),
        ("queued.min.messages", "1000000"),
        ("queued.max.messages.kbytes", "65536"),
        ("fetch.message.max.bytes", "8388608"),
        ("fetch.queue.backoff.ms", "2"),
    ];
    let mut config = ClientConfig::new();
    config.extend(settings.map(|(name, value)| (name.to_owned(), value.to_owned())));
    Ok(config.create()?)
}

/// Every partition from its begin, and how many records there are.
fn assignment(consumer: &BaseConsumer, topic: &str, partitions: i32) -> Result<(TopicPartitionList, u64)> {
    let (mut assigned, mut records) = (TopicPartitionList::new(), 0);
    for partition in 0..partitions {
        let (start, end) = consumer.fetch_watermarks(topic, partition, ANSWER)?;
        assigned.add_partition_offset(topic, partition, Offset::Offset(start))?;
        records += (end - start).unsigned_abs();
    }
    Ok((assigned, records))
}
