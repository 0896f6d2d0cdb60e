//! `ticker-json` and one more column: the quantity of the last trade, from `last_quantity`, null where a
//! record has none.
//!
//! It is an example of a parser to be put in another one's place in a running job: all that was read
//! before is read as before, so nothing behind it has to change.
//!
//! ```
//! use speed_layer_sdk::prelude::*;
//!
//! let parser: ticker_json_quantity::TickerJsonQuantity = speed_layer_sdk::parse::configure("{}").unwrap();
//! assert!(names(&parser.describe().output).ends_with("price_change_percent, timestamp, last_quantity"));
//! ```

#![cfg_attr(not(target_arch = "wasm32"), forbid(unsafe_code))]
#![warn(missing_docs)]

use flat_json::{FlatJson, Kind, Record, TICK};
use speed_layer_sdk::prelude::*;

/// The twelve fields of a tick, and the quantity.
#[derive(Debug)]
pub struct TickAndQuantity;

impl Record for TickAndQuantity {
    fn fields() -> Vec<(&'static str, Kind)> {
        let mut fields = TICK.to_vec();
        fields.push(("last_quantity", Kind::F64));
        fields
    }
}

/// The parser; see the crate's own words.
pub type TickerJsonQuantity = FlatJson<TickAndQuantity>;

export_parse!(TickerJsonQuantity);
