//! The vocabulary of the whole-system tests: a real broker, the real program, ticks, and what must come out.
//!
//! Nothing in here uses a crate of the product. The results are recomputed from the records with other
//! code, and the program is only known by its command line, its exit code and the files it leaves.

#![forbid(unsafe_code)]

pub mod asked;
pub mod block_on;
pub mod browser;
pub mod certificate;
pub mod components;
pub mod exchange;
pub mod exchange_stream;
pub mod exchange_ticks;
pub mod host;
pub mod http;
pub mod jars;
pub mod job;
pub mod kafka;
pub mod letters;
pub mod parquet_table;
pub mod places;
pub mod prometheus;
pub mod published;
pub mod python;
pub mod reference;
pub mod strace;
pub mod sync_order;
pub mod table;
pub mod terminal;
pub mod ticks;
pub mod topics;
pub mod trace;
pub mod transcript;
