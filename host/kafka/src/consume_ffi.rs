//! The unsafe half of the source: a worker's queue, batches of librdkafka's messages
//! borrowed from it, and the few calls the safe wrapper does not offer. It owns and
//! frees; it decides nothing about offsets, bounds or errors.

use std::ffi::{CStr, c_char, c_void};
use std::ptr::{self, NonNull};
use std::slice;
use std::sync::Arc;

use rdkafka::bindings as rd;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::types::RDKafkaErrorCode;
use speed_layer_core::records::TimestampKind;

use crate::context::Context;

/// Messages taken from a queue in one call.
const BATCH_MESSAGES_MAX: usize = 1024;

pub(crate) type Client = BaseConsumer<Context>;

/// The queue into which one worker's partitions are forwarded.
pub(crate) struct WorkerQueue {
    raw: NonNull<rd::rd_kafka_queue_t>,
    client: Arc<Client>,
}

// SAFETY: librdkafka's queues may be used from any thread, several at a time; the handle
// is freed once, by `drop`, when nobody borrows it any more.
unsafe impl Send for WorkerQueue {}
// SAFETY: as above.
unsafe impl Sync for WorkerQueue {}

impl WorkerQueue {
    /// A new, empty queue; `None` when librdkafka has no memory for it.
    pub(crate) fn new(client: Arc<Client>) -> Option<Self> {
        // SAFETY: the client lives as long as this queue does, which holds an Arc of it.
        let raw = unsafe { rd::rd_kafka_queue_new(client.client().native_ptr()) };
        NonNull::new(raw).map(|raw| Self { raw, client })
    }

    /// Sends the partition's messages here; to be done before it is assigned. False when
    /// librdkafka does not know such a partition.
    pub(crate) fn take_partition(&self, topic: &CStr, partition: i32) -> bool {
        let client = self.client.client().native_ptr();
        // SAFETY: client and topic are valid for the call; the returned reference is
        // given back below, and the forwarding holds its own.
        unsafe {
            let queue = rd::rd_kafka_queue_get_partition(client, topic.as_ptr(), partition);
            if queue.is_null() {
                return false;
            }
            rd::rd_kafka_queue_forward(queue, self.raw.as_ptr());
            rd::rd_kafka_queue_destroy(queue);
        }
        true
    }

    /// Makes the present or the next wait on this queue return at once.
    pub(crate) fn wake(&self) {
        // SAFETY: the queue is valid until drop.
        unsafe { rd::rd_kafka_queue_yield(self.raw.as_ptr()) }
    }
}

impl Drop for WorkerQueue {
    fn drop(&mut self) {
        // SAFETY: this is the only owner of the handle, and batches taken from the queue
        // hold an Arc of it, so none is left.
        unsafe { rd::rd_kafka_queue_destroy(self.raw.as_ptr()) }
    }
}

/// Messages taken from a queue and not yet given back to librdkafka, oldest first.
pub(crate) struct MessageBatch {
    queue: Arc<WorkerQueue>,
    messages: Vec<*mut rd::rd_kafka_message_t>,
    next: usize,
}

// SAFETY: messages may be read and freed on any thread; the batch is their only owner.
unsafe impl Send for MessageBatch {}

impl MessageBatch {
    pub(crate) fn new(queue: Arc<WorkerQueue>) -> Self {
        Self { queue, messages: Vec::with_capacity(BATCH_MESSAGES_MAX), next: 0 }
    }

    /// The oldest message.
    pub(crate) fn front(&self) -> Option<Message<'_>> {
        let raw = *self.messages.get(self.next)?;
        // SAFETY: entries from `next` on are valid messages that this batch owns; the
        // reference cannot outlive the borrow of self, and `pop` needs it mutably.
        Some(Message { raw: unsafe { &*raw } })
    }

    /// Gives the oldest message back to librdkafka.
    pub(crate) fn pop(&mut self) {
        if let Some(raw) = self.messages.get(self.next) {
            // SAFETY: a valid message, freed here once: `next` moves past it.
            unsafe { rd::rd_kafka_message_destroy(*raw) };
            self.next += 1;
        }
    }

    /// Where the messages come from.
    pub(crate) fn queue(&self) -> &WorkerQueue {
        &self.queue
    }

    /// Gives the messages of one partition back, those of the others stay in their order.
    pub(crate) fn forget(&mut self, partition: i32) {
        let is_wanted = |raw: &*mut rd::rd_kafka_message_t| {
            // SAFETY: entries from `next` on are valid messages that this batch owns.
            unsafe { (**raw).partition != partition }
        };
        let (kept, dropped): (Vec<_>, Vec<_>) = self.messages.drain(..).skip(self.next).partition(is_wanted);
        // SAFETY: valid messages, freed here once, for they are in no list any more.
        dropped.into_iter().for_each(|raw| unsafe { rd::rd_kafka_message_destroy(raw) });
        self.messages.extend(kept);
        self.next = 0;
    }

    /// Takes what has arrived, waiting up to `timeout_ms` for the first message, when no
    /// message is left; returns how many there are now.
    pub(crate) fn refill(&mut self, timeout_ms: i32) -> usize {
        if self.next == self.messages.len() {
            self.messages.clear();
            self.next = 0;
            self.take(0);
            // librdkafka waits until the array is full, so a wait is for one message.
            if self.messages.is_empty() && timeout_ms > 0 && self.take_one(timeout_ms) {
                self.take(0);
            }
        }
        self.messages.len() - self.next
    }

    fn take_one(&mut self, timeout_ms: i32) -> bool {
        self.take_up_to(1, timeout_ms)
    }

    fn take(&mut self, timeout_ms: i32) -> bool {
        self.take_up_to(BATCH_MESSAGES_MAX, timeout_ms)
    }

    fn take_up_to(&mut self, count_max: usize, timeout_ms: i32) -> bool {
        let free = self.messages.spare_capacity_mut();
        let count_max = count_max.min(free.len());
        let free = free.as_mut_ptr().cast();
        // SAFETY: `free` has room for `count_max` pointers; librdkafka writes the first
        // `taken` of them and passes the messages' ownership with them.
        let taken = unsafe {
            let queue = self.queue.raw.as_ptr();
            let taken = rd::rd_kafka_consume_batch_queue(queue, timeout_ms, free, count_max);
            let taken = usize::try_from(taken).unwrap_or(0);
            self.messages.set_len(self.messages.len() + taken);
            taken
        };
        taken > 0
    }
}

impl Drop for MessageBatch {
    fn drop(&mut self) {
        while self.next < self.messages.len() {
            self.pop();
        }
    }
}

/// One message, or an event in a message's place, borrowed from its batch.
pub(crate) struct Message<'a> {
    raw: &'a rd::rd_kafka_message_t,
}

impl<'a> Message<'a> {
    pub(crate) fn partition(&self) -> i32 {
        self.raw.partition
    }

    /// Of a message its own offset, of an event the position it is about.
    pub(crate) fn offset(&self) -> i64 {
        self.raw.offset
    }

    /// `None` for a record.
    pub(crate) fn error(&self) -> Option<RDKafkaErrorCode> {
        (self.raw.err != rd::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR).then(|| self.raw.err.into())
    }

    /// What librdkafka says of the error.
    pub(crate) fn error_text(&self) -> String {
        // SAFETY: the text lives as long as the message and ends with a zero.
        unsafe { text(rd::rd_kafka_message_errstr(self.raw)) }
    }

    pub(crate) fn key(&self) -> Option<&'a [u8]> {
        // SAFETY: key and length describe one buffer that lives as long as the message.
        unsafe { bytes(self.raw.key, self.raw.key_len) }
    }

    pub(crate) fn value(&self) -> Option<&'a [u8]> {
        // SAFETY: payload and length describe one buffer that lives as long as the message.
        unsafe { bytes(self.raw.payload, self.raw.len) }
    }

    /// Milliseconds since 1970 UTC, -1 where there is none, and how it came to be.
    pub(crate) fn timestamp_ms(&self) -> (i64, TimestampKind) {
        use rd::rd_kafka_timestamp_type_t as Kind;
        let mut kind = Kind::RD_KAFKA_TIMESTAMP_NOT_AVAILABLE;
        // SAFETY: the message is valid and `kind` is written, not kept.
        let ms = unsafe { rd::rd_kafka_message_timestamp(self.raw, &mut kind) };
        match kind {
            Kind::RD_KAFKA_TIMESTAMP_NOT_AVAILABLE => (-1, TimestampKind::NotAvailable),
            Kind::RD_KAFKA_TIMESTAMP_CREATE_TIME => (ms, TimestampKind::CreateTime),
            Kind::RD_KAFKA_TIMESTAMP_LOG_APPEND_TIME => (ms, TimestampKind::LogAppendTime),
        }
    }

    /// The leader epoch of the record's batch, -1 where the broker gave none.
    pub(crate) fn leader_epoch(&self) -> i32 {
        // SAFETY: the message is valid.
        unsafe { rd::rd_kafka_message_leader_epoch(self.raw) }
    }

    /// Calls `visit` with name and value of each header, in order.
    pub(crate) fn for_each_header(&self, mut visit: impl FnMut(&[u8], Option<&[u8]>)) {
        let mut headers = ptr::null_mut();
        // SAFETY: the message is valid; the headers stay its own.
        if unsafe { rd::rd_kafka_message_headers(self.raw, &mut headers) }
            != rd::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR
        {
            return;
        }
        for index in 0.. {
            let (mut name, mut value, mut size) = (ptr::null(), ptr::null(), 0);
            // SAFETY: the headers are valid; what is returned lives as long as they do, and
            // an index past the last gives an error and writes nothing.
            unsafe {
                if rd::rd_kafka_header_get_all(headers, index, &mut name, &mut value, &mut size)
                    != rd::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR
                {
                    return;
                }
                visit(CStr::from_ptr(name).to_bytes(), bytes(value, size));
            }
        }
    }
}

/// The high watermark of the last fetch; `None` before the first.
pub(crate) fn high_watermark(client: &Client, topic: &CStr, partition: i32) -> Option<i64> {
    let (mut low, mut high) = (-1, -1);
    // SAFETY: client and topic are valid for the call; the offsets are written, not kept.
    let code = unsafe {
        let client = client.client().native_ptr();
        rd::rd_kafka_get_watermark_offsets(client, topic.as_ptr(), partition, &mut low, &mut high)
    };
    (code == rd::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR && high >= 0).then_some(high)
}

/// Where a partition is to be read from, and the leader epoch of the record before it.
pub(crate) struct Start {
    pub partition: i32,
    pub offset: i64,
    pub leader_epoch: Option<i32>,
}

/// Assigns the partitions in place of all others; with a leader epoch the broker is asked
/// whether the log was cut back since.
pub(crate) fn assign(client: &Client, topic: &CStr, starts: &[Start]) -> Result<(), RDKafkaErrorCode> {
    // SAFETY: client and list are valid for the call, which copies the list.
    let code =
        with_list(topic, starts, |list| unsafe { rd::rd_kafka_assign(client.client().native_ptr(), list) });
    match code {
        rd::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR => Ok(()),
        code => Err(code.into()),
    }
}

/// Assigns one more partition; it must not be assigned yet.
pub(crate) fn assign_more(client: &Client, topic: &CStr, start: Start) -> Result<(), RDKafkaErrorCode> {
    with_list(topic, &[start], |list| {
        // SAFETY: client and list are valid for the call, which copies the list; a returned
        // error is owned here and freed once.
        unsafe {
            let error = rd::rd_kafka_incremental_assign(client.client().native_ptr(), list);
            if error.is_null() {
                return Ok(());
            }
            let code = rd::rd_kafka_error_code(error);
            rd::rd_kafka_error_destroy(error);
            Err(code.into())
        }
    })
}

fn with_list<T>(
    topic: &CStr,
    starts: &[Start],
    call: impl FnOnce(*const rd::rd_kafka_topic_partition_list_t) -> T,
) -> T {
    // SAFETY: the list is made, filled and freed here; its entries are written before the
    // next one is added.
    unsafe {
        let list = rd::rd_kafka_topic_partition_list_new(i32::try_from(starts.len()).unwrap_or(0));
        for start in starts {
            let entry = rd::rd_kafka_topic_partition_list_add(list, topic.as_ptr(), start.partition);
            (*entry).offset = start.offset;
            if let Some(epoch) = start.leader_epoch {
                rd::rd_kafka_topic_partition_set_leader_epoch(entry, epoch);
            }
        }
        let outcome = call(list);
        rd::rd_kafka_topic_partition_list_destroy(list);
        outcome
    }
}

/// # Safety
/// `data` is null or points to `len` bytes that live for 'a.
unsafe fn bytes<'a>(data: *const c_void, len: usize) -> Option<&'a [u8]> {
    // SAFETY: by the caller's promise.
    (!data.is_null()).then(|| unsafe { slice::from_raw_parts(data.cast(), len) })
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
