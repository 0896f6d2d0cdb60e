//! Everything this project asks of Kafka: a source that packs record batches, a
//! producer, what a broker knows of a topic, and the in-process mock cluster. It
//! decides nothing about commits or restarts: it reports facts and positions, and
//! the host acts on them. It knows nothing of plugins, windows or files.
//!
//! `unsafe` lives in the `*_ffi` modules and nowhere else.

#![deny(unsafe_code)]

pub mod awaited;
pub mod config;
mod context;
pub mod error;
pub mod facts;
pub mod mock;
pub mod positions;
pub mod producer;
pub mod source;
mod token;
pub mod transactions;

#[allow(unsafe_code)]
mod admin_ffi;
#[allow(unsafe_code)]
mod consume_ffi;
#[allow(unsafe_code)]
pub mod gzip_ffi;
#[allow(unsafe_code)]
mod produce_ffi;

pub use awaited::{AwaitedProducer, Settled};
pub use config::Connection;
pub use error::{BrokerError, ConfigError, ProduceError, SourceError, TransactionError};
pub use facts::{ANSWER_TIMEOUT, Broker, PartitionFacts, TopicFacts};
pub use mock::MockKafka;
pub use positions::{Problem, StoredPosition, compare_positions};
pub use producer::{Delivery, Message, Producer};
pub use source::{Assignment, Feed, PollLimits, PollOutcome, Position, Source};
pub use transactions::{Outgoing, Transactions};
