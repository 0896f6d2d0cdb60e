//! The host of Speed Layer, as a library so that its parts can be tested from inside;
//! `main.rs` is the program.
//!
//! A record's way: `job` (source and workers) → `stages` (parse, clock, transforms,
//! fold) → `job` again (merge, finish, commit). `config` and `plan` come before it,
//! `cli`, `produce` and `demo` stand around it; `recompute` makes rows of the past again,
//! `letters` works with what did not get through, `progress` shows how a job goes, `serve` tells
//! it over HTTP, `sinks` gives rows and windows to others than Parquet, `query` has them as tables,
//! `compact` copies them into fewer files, `spark` reads where a job of Spark's stands.

#![forbid(unsafe_code)]
#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used))]

pub mod cli;
mod compact;
pub mod compare;
mod config;
mod control;
mod demo;
mod job;
mod letters;
mod logs;
mod plan;
mod produce;
mod progress;
mod query;
mod recompute;
mod serve;
mod sinks;
mod spark;
mod stages;
mod times;
mod trust;

#[doc(hidden)]
pub use job::inside;
