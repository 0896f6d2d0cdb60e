//! The unsafe half of the producer: a topic's handle and the call that hands one record
//! to librdkafka, which copies it. It neither waits nor retries.

use std::ffi::{CStr, c_void};
use std::ptr::{self, NonNull};

use rdkafka::bindings as rd;
use rdkafka::client::Client;
use rdkafka::types::RDKafkaErrorCode;

use crate::producer::{Message, Reports};

/// librdkafka's word for a partition that it chooses itself.
const BY_KEY: i32 = -1;

/// A topic as a producer knows it. To be dropped before its client.
pub(crate) struct Topic {
    raw: NonNull<rd::rd_kafka_topic_t>,
}

// SAFETY: librdkafka's topic handles may be used and freed on any thread.
unsafe impl Send for Topic {}

impl Topic {
    /// `None` when librdkafka refuses the name.
    pub(crate) fn new(client: &Client<Reports>, name: &CStr) -> Option<Self> {
        // SAFETY: the client is valid; a null configuration means the default one.
        let raw = unsafe { rd::rd_kafka_topic_new(client.native_ptr(), name.as_ptr(), ptr::null_mut()) };
        NonNull::new(raw).map(|raw| Self { raw })
    }

    /// Hands one record over without waiting.
    pub(crate) fn produce(
        &self,
        client: &Client<Reports>,
        message: &Message,
    ) -> Result<(), RDKafkaErrorCode> {
        use rd::rd_kafka_vtype_t as Kind;
        let partition = message.partition.unwrap_or(BY_KEY);
        let arguments = [
            argument(Kind::RD_KAFKA_VTYPE_RKT, |u| u.rkt = self.raw.as_ptr()),
            argument(Kind::RD_KAFKA_VTYPE_PARTITION, |u| u.i32_ = partition),
            argument(Kind::RD_KAFKA_VTYPE_MSGFLAGS, |u| u.i = rd::RD_KAFKA_MSG_F_COPY),
            argument(Kind::RD_KAFKA_VTYPE_KEY, |u| u.mem = memory(message.key)),
            argument(Kind::RD_KAFKA_VTYPE_VALUE, |u| u.mem = memory(message.value)),
            // Zero means now.
            argument(Kind::RD_KAFKA_VTYPE_TIMESTAMP, |u| u.i64_ = message.timestamp_ms.unwrap_or(0)),
        ];
        // SAFETY: topic and client are valid, each argument has the field of its kind set,
        // key and value are copied during the call; a returned error is freed here.
        unsafe {
            let error = rd::rd_kafka_produceva(client.native_ptr(), arguments.as_ptr(), arguments.len());
            if error.is_null() {
                return Ok(());
            }
            let code = rd::rd_kafka_error_code(error);
            rd::rd_kafka_error_destroy(error);
            Err(code.into())
        }
    }
}

impl Drop for Topic {
    fn drop(&mut self) {
        // SAFETY: owned, freed once; the client still lives, as the owner promised.
        unsafe { rd::rd_kafka_topic_destroy(self.raw.as_ptr()) }
    }
}

fn argument(
    vtype: rd::rd_kafka_vtype_t,
    set: impl FnOnce(&mut rd::rd_kafka_vu_s__bindgen_ty_1),
) -> rd::rd_kafka_vu_t {
    let mut u = rd::rd_kafka_vu_s__bindgen_ty_1 { _pad: [0; 64] };
    set(&mut u);
    rd::rd_kafka_vu_t { vtype, u }
}

fn memory(bytes: Option<&[u8]>) -> rd::rd_kafka_vu_s__bindgen_ty_1__bindgen_ty_1 {
    let (ptr, size) = bytes.map_or((ptr::null(), 0), |bytes| (bytes.as_ptr(), bytes.len()));
    rd::rd_kafka_vu_s__bindgen_ty_1__bindgen_ty_1 { ptr: ptr.cast::<c_void>().cast_mut(), size }
}
