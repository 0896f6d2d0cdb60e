//! Batches of librdkafka's messages, which the safe wrapper does not offer. They are counted and given back.

use std::ptr;
use std::time::Duration;

use anyhow::{Result, bail};
use rdkafka::bindings as rd;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::types::RDKafkaRespErr;

const BATCH_MESSAGES_MAX: usize = 8_192;

/// Takes one batch and gives how many records were in it.
///
/// # Errors
/// One of them is an error.
pub fn count(consumer: &BaseConsumer, wait: Duration) -> Result<u64> {
    let mut batch = [ptr::null_mut(); BATCH_MESSAGES_MAX];
    let wait_ms = i32::try_from(wait.as_millis())?;
    let (mut records, mut failure) = (0, None);
    // SAFETY: the client outlives the call, the queue is given back, the batch holds as many places as are said, and
    // each message in it is destroyed once.
    unsafe {
        let queue = rd::rd_kafka_queue_get_consumer(consumer.client().native_ptr());
        let taken = rd::rd_kafka_consume_batch_queue(queue, wait_ms, batch.as_mut_ptr(), batch.len());
        for message in batch.iter().take(usize::try_from(taken).unwrap_or_default()) {
            match (**message).err {
                RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR => records += 1,
                other => failure = Some(other),
            }
            rd::rd_kafka_message_destroy(*message);
        }
        rd::rd_kafka_queue_destroy(queue);
    }
    match failure {
        Some(failure) => bail!("librdkafka says {failure:?}"),
        None => Ok(records),
    }
}
