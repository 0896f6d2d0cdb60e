//! The whole system, as its users meet it: the built program, the built plugins, a real broker.
//!
//! Tests that need the broker lie in `real_kafka`, those that need other readers of Parquet in
//! `python_readers`; `cargo xtask test` leaves these out by name, aloud, where Java or Python is missing.

mod python_readers;
mod real_kafka;
