//! The unsafe half of the questions to the brokers: requests that the safe wrapper lacks
//! (topic ids, offsets under a chosen isolation level) or offers only as futures. One
//! request at a time, awaited up to a timeout. It judges no answer.

use std::ffi::{CStr, CString, c_char};
use std::ptr::{self, NonNull};
use std::slice;

use rdkafka::bindings as rd;
use rdkafka::consumer::Consumer;
use rdkafka::types::RDKafkaErrorCode;

use crate::consume_ffi::Client;
use crate::context::Told;

/// Which offset of a partition is asked for.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Asked {
    LogStart,
    /// The end for readers of committed records.
    LastStable,
    HighWatermark,
    /// The first record at or after it.
    TimestampMs(i64),
}

impl Asked {
    fn spec(self) -> i64 {
        match self {
            Self::LogStart => rd::rd_kafka_OffsetSpec_t::RD_KAFKA_OFFSET_SPEC_EARLIEST as i64,
            Self::LastStable | Self::HighWatermark => {
                rd::rd_kafka_OffsetSpec_t::RD_KAFKA_OFFSET_SPEC_LATEST as i64
            }
            Self::TimestampMs(ms) => ms.max(0),
        }
    }

    fn isolation(self) -> rd::rd_kafka_IsolationLevel_t {
        match self {
            Self::LastStable => rd::rd_kafka_IsolationLevel_t::RD_KAFKA_ISOLATION_LEVEL_READ_COMMITTED,
            _ => rd::rd_kafka_IsolationLevel_t::RD_KAFKA_ISOLATION_LEVEL_READ_UNCOMMITTED,
        }
    }
}

/// An offset as the broker told it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ListedOffset {
    pub partition: i32,
    /// Negative when there is none.
    pub offset: i64,
    /// Negative when the broker told none.
    pub leader_epoch: i32,
}

/// The controller as of the last answer from a broker; negative when none is known.
pub(crate) fn known_controller(client: &Client) -> i32 {
    // SAFETY: the client is valid; no wait.
    unsafe { rd::rd_kafka_controllerid(client.client().native_ptr(), 0) }
}

/// Asks the controller for a topic's id, as Kafka's tools print it; `None` from brokers
/// older than topic ids.
pub(crate) fn topic_id(client: &Client, topic: &CStr, timeout_ms: i32) -> Result<Option<String>, Told> {
    let call = Call::new(client, rd::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBETOPICS, timeout_ms)?;
    let mut names = [topic.as_ptr()];
    // SAFETY: the names are copied into the collection, which lives until after the request
    // has been queued, and that copies it.
    unsafe {
        let collection = rd::rd_kafka_TopicCollection_of_topic_names(names.as_mut_ptr(), names.len());
        rd::rd_kafka_DescribeTopics(call.client, collection, call.options.as_ptr(), call.queue.as_ptr());
        rd::rd_kafka_TopicCollection_destroy(collection);
    }
    let event = call.answer(timeout_ms)?;
    // SAFETY: the event is the answer to the request above; all that is read from it lives
    // as long as it does, to the end of this block.
    unsafe {
        let result = rd::rd_kafka_event_DescribeTopics_result(event.raw.as_ptr());
        let topics = array(|count| rd::rd_kafka_DescribeTopics_result_topics(result, count));
        let Some(description) = topics.first().copied() else { return Err(no_answer()) };
        error_of(rd::rd_kafka_TopicDescription_error(description))?;
        Ok(id_text(rd::rd_kafka_TopicDescription_topic_id(description)))
    }
}

/// Asks for one offset of each partition.
pub(crate) fn list_offsets(
    client: &Client,
    topic: &CStr,
    partitions: &[i32],
    asked: Asked,
    timeout_ms: i32,
) -> Result<Vec<ListedOffset>, Told> {
    let call = Call::new(client, rd::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_LISTOFFSETS, timeout_ms)?;
    // SAFETY: the list is made, filled and freed here; the request copies it. The options
    // are valid, and a returned error object is owned and freed by `take_error`.
    unsafe {
        take_error(rd::rd_kafka_AdminOptions_set_isolation_level(call.options.as_ptr(), asked.isolation()))?;
        let list = rd::rd_kafka_topic_partition_list_new(i32::try_from(partitions.len()).unwrap_or(0));
        for partition in partitions {
            let entry = rd::rd_kafka_topic_partition_list_add(list, topic.as_ptr(), *partition);
            (*entry).offset = asked.spec();
        }
        rd::rd_kafka_ListOffsets(call.client, list, call.options.as_ptr(), call.queue.as_ptr());
        rd::rd_kafka_topic_partition_list_destroy(list);
    }
    let event = call.answer(timeout_ms)?;
    // SAFETY: as in `topic_id`.
    unsafe {
        let result = rd::rd_kafka_event_ListOffsets_result(event.raw.as_ptr());
        let infos = array(|count| rd::rd_kafka_ListOffsets_result_infos(result, count));
        infos.iter().map(|info| listed(&*rd::rd_kafka_ListOffsetsResultInfo_topic_partition(*info))).collect()
    }
}

/// A topic to be made.
pub(crate) struct NewTopic<'a> {
    pub name: &'a CStr,
    pub partitions: i32,
    /// -1: as many as the brokers choose.
    pub replicas: i32,
    pub config: &'a [(&'a CStr, &'a CStr)],
}

/// Asks the controller to make a topic.
pub(crate) fn create_topic(client: &Client, wanted: &NewTopic<'_>, timeout_ms: i32) -> Result<(), Told> {
    let call = Call::new(client, rd::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_CREATETOPICS, timeout_ms)?;
    let mut why = [0 as c_char; 256];
    let NewTopic { name, partitions, replicas, config } = *wanted;
    // SAFETY: the new topic is freed after the request, which copies it, as it does the
    // names and values given; `why` is written within its length and ends with a zero.
    unsafe {
        let new = rd::rd_kafka_NewTopic_new(name.as_ptr(), partitions, replicas, why.as_mut_ptr(), why.len());
        if new.is_null() {
            return Err(Told { code: RDKafkaErrorCode::InvalidArgument, reason: text(why.as_ptr()) });
        }
        for (key, value) in config {
            rd::rd_kafka_NewTopic_set_config(new, key.as_ptr(), value.as_ptr());
        }
        let mut news = [new];
        let (options, queue) = (call.options.as_ptr(), call.queue.as_ptr());
        rd::rd_kafka_CreateTopics(call.client, news.as_mut_ptr(), news.len(), options, queue);
        rd::rd_kafka_NewTopic_destroy(new);
    }
    let event = call.answer(timeout_ms)?;
    // SAFETY: as in `topic_id`.
    unsafe {
        let result = rd::rd_kafka_event_CreateTopics_result(event.raw.as_ptr());
        let topics = array(|count| rd::rd_kafka_CreateTopics_result_topics(result, count));
        let Some(made) = topics.first().copied() else { return Err(no_answer()) };
        told(rd::rd_kafka_topic_result_error(made), || text(rd::rd_kafka_topic_result_error_string(made)))
    }
}

/// One request: its options and the queue its answer comes to.
struct Call {
    client: *mut rd::rd_kafka_t,
    options: NonNull<rd::rd_kafka_AdminOptions_t>,
    queue: NonNull<rd::rd_kafka_queue_t>,
}

impl Call {
    fn new(client: &Client, operation: rd::rd_kafka_admin_op_t, timeout_ms: i32) -> Result<Self, Told> {
        let client = client.client().native_ptr();
        // SAFETY: the client is valid; what is made here is freed by drop. A timeout that is
        // out of range is refused and leaves the default.
        unsafe {
            let queue = NonNull::new(rd::rd_kafka_queue_new(client)).ok_or_else(no_answer)?;
            let Some(options) = NonNull::new(rd::rd_kafka_AdminOptions_new(client, operation)) else {
                rd::rd_kafka_queue_destroy(queue.as_ptr());
                return Err(no_answer());
            };
            let (no_text, size) = (ptr::null_mut(), 0);
            rd::rd_kafka_AdminOptions_set_request_timeout(options.as_ptr(), timeout_ms, no_text, size);
            Ok(Self { client, options, queue })
        }
    }

    /// Waits for the answer; librdkafka itself gives one when the timeout is over.
    fn answer(&self, timeout_ms: i32) -> Result<Event, Told> {
        // SAFETY: the queue is valid; the event is owned by what is returned.
        let raw = unsafe { rd::rd_kafka_queue_poll(self.queue.as_ptr(), timeout_ms.saturating_add(1_000)) };
        let event = Event { raw: NonNull::new(raw).ok_or_else(no_answer)? };
        // SAFETY: the event is valid, and its text lives as long as it does.
        unsafe {
            told(rd::rd_kafka_event_error(event.raw.as_ptr()), || {
                text(rd::rd_kafka_event_error_string(event.raw.as_ptr()))
            })?;
        }
        Ok(event)
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        // SAFETY: both are owned by this call and freed once.
        unsafe {
            rd::rd_kafka_AdminOptions_destroy(self.options.as_ptr());
            rd::rd_kafka_queue_destroy(self.queue.as_ptr());
        }
    }
}

struct Event {
    raw: NonNull<rd::rd_kafka_event_t>,
}

impl Drop for Event {
    fn drop(&mut self) {
        // SAFETY: owned, freed once.
        unsafe { rd::rd_kafka_event_destroy(self.raw.as_ptr()) }
    }
}

fn no_answer() -> Told {
    Told { code: RDKafkaErrorCode::OperationTimedOut, reason: "no answer".to_owned() }
}

fn told(code: rd::rd_kafka_resp_err_t, reason: impl FnOnce() -> String) -> Result<(), Told> {
    match code {
        rd::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR => Ok(()),
        code => Err(Told { code: code.into(), reason: reason() }),
    }
}

/// # Safety
/// `error` is null or valid.
unsafe fn error_of(error: *const rd::rd_kafka_error_t) -> Result<(), Told> {
    if error.is_null() {
        return Ok(());
    }
    // SAFETY: by the caller's promise.
    unsafe { told(rd::rd_kafka_error_code(error), || text(rd::rd_kafka_error_string(error))) }
}

/// # Safety
/// `error` is null or an error that the caller owns and gives away.
unsafe fn take_error(error: *mut rd::rd_kafka_error_t) -> Result<(), Told> {
    // SAFETY: by the caller's promise; freeing null is allowed.
    unsafe {
        let result = error_of(error);
        rd::rd_kafka_error_destroy(error);
        result
    }
}

/// # Safety
/// `id` is null or valid.
unsafe fn id_text(id: *const rd::rd_kafka_Uuid_t) -> Option<String> {
    // SAFETY: by the caller's promise; the text belongs to the id.
    unsafe {
        let is_known = !id.is_null()
            && (rd::rd_kafka_Uuid_most_significant_bits(id), rd::rd_kafka_Uuid_least_significant_bits(id))
                != (0, 0);
        is_known.then(|| text(rd::rd_kafka_Uuid_base64str(id)))
    }
}

/// # Safety
/// The entry is valid.
unsafe fn listed(entry: &rd::rd_kafka_topic_partition_t) -> Result<ListedOffset, Told> {
    told(entry.err, || format!("partition {}: {}", entry.partition, RDKafkaErrorCode::from(entry.err)))?;
    // librdkafka leaves a partition as it was asked for, without an error, where the broker that
    // leads it broke the connection while the others answered.
    if entry.offset == rd::RD_KAFKA_OFFSET_INVALID as i64 {
        let reason = format!("partition {}: its broker gave no answer", entry.partition);
        return Err(Told { code: RDKafkaErrorCode::NetworkException, reason });
    }
    // SAFETY: by the caller's promise.
    let leader_epoch = unsafe { rd::rd_kafka_topic_partition_get_leader_epoch(entry) };
    Ok(ListedOffset { partition: entry.partition, offset: entry.offset, leader_epoch })
}

/// The array that `get` returns together with its length.
///
/// # Safety
/// `get` returns null or an array of as many entries as it writes, valid for 'a.
unsafe fn array<'a, T>(get: impl FnOnce(*mut usize) -> *mut *const T) -> &'a [*const T] {
    let mut count = 0;
    let entries = get(&mut count);
    if entries.is_null() {
        return &[];
    }
    // SAFETY: by the caller's promise.
    unsafe { slice::from_raw_parts(entries, count) }
}

/// # Safety
/// `data` is null or a string that ends with a zero.
unsafe fn text(data: *const c_char) -> String {
    if data.is_null() {
        return String::new();
    }
    // SAFETY: by the caller's promise.
    unsafe { CStr::from_ptr(data) }.to_string_lossy().into_owned()
}

/// A topic's name as librdkafka wants it.
pub(crate) fn c_name(topic: &str) -> Result<CString, Told> {
    CString::new(topic)
        .map_err(|error| Told { code: RDKafkaErrorCode::InvalidTopic, reason: error.to_string() })
}
