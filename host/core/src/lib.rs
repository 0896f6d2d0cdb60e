//! The decisions of Speed Layer as functions over plain values: time and windows,
//! clock bounds, the watermark, grouping and state, the account, settings. No I/O,
//! no clock, no threads (`clippy.toml` beside this crate has the list of what is
//! banned), so that a test or a simulator can run every case.

#![forbid(unsafe_code)]
#![deny(clippy::disallowed_methods, clippy::disallowed_types, clippy::disallowed_macros)]
#![deny(clippy::unwrap_used, clippy::expect_used)]

pub mod account;
pub mod backfill;
pub mod choice;
pub mod clock;
pub mod commit;
pub mod drift;
pub mod event_span;
pub mod gate;
pub mod group;
mod hash;
pub mod key;
pub mod path;
pub mod records;
pub mod settings;
pub mod state;
pub mod swap;
pub mod time;
pub mod watermark;
