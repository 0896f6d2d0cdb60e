//! The whole system, as its users meet it: the built program, the built plugins, a real broker.
//!
//! Tests that need the broker lie in `real_kafka`, those that need other readers of Parquet in
//! `python_readers`, those that need both in one within the other; `cargo xtask test` leaves these out by
//! name, aloud, where Java or Python is missing.

mod checked;
mod failing_requests;
mod inspect;
mod python_readers;
mod real_kafka;
mod signing;
