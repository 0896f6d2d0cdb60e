//! An exchange's ticks, flat JSON records of twelve fields, into typed columns: a parser.
//!
//! Its settings, its strictness and how it is quick are those of [`flat_json`]. With the setting `fields`
//! it reads any other flat records too.
//!
//! ```
//! use speed_layer_sdk::prelude::*;
//!
//! let config = r#"{"fields": [{"name": "at", "type": "s64"}, {"name": "level", "type": "f64"}], "event_time": "at"}"#;
//! let parser: ticker_json::TickerJson = speed_layer_sdk::parse::configure(config).unwrap();
//! assert_eq!(names(&parser.describe().output), "at, level");
//! ```

#![cfg_attr(not(target_arch = "wasm32"), forbid(unsafe_code))]
#![warn(missing_docs)]

use flat_json::{FlatJson, Kind, Record, TICK};
use speed_layer_sdk::prelude::*;

/// The twelve fields.
#[derive(Debug)]
pub struct Tick;

impl Record for Tick {
    fn fields() -> Vec<(&'static str, Kind)> {
        TICK.to_vec()
    }
}

/// The parser; see the crate's own words.
pub type TickerJson = FlatJson<Tick>;

export_parse!(TickerJson);
