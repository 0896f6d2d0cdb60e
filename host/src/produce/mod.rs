//! `host produce`: where messages come from and how fast they go out. The broker's
//! side (acks, idempotence, retries) is the Kafka crate's.

pub mod exchange;
pub mod ndjson;
pub mod pace;
pub mod synthetic;

/// One message to write: its key and its value, in buffers that are reused.
#[derive(Debug, Default)]
pub struct Message {
    pub key: Vec<u8>,
    pub value: Vec<u8>,
}

/// Something that gives messages one after another.
pub trait Messages {
    /// Puts the next message into `message`; `false` when there is none left.
    ///
    /// # Errors
    /// When the place that messages come from cannot be read.
    fn next(&mut self, message: &mut Message) -> anyhow::Result<bool>;
}
