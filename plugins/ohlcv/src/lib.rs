//! Open, high, low, close, volumes, trades, ticks and mean price of a window: an aggregate.
//!
//! Setting: `prefix`, what the outputs' names begin with, `daily` by default. First and last
//! go by event time, then partition, offset and ordinal, so any replay gives the same. The
//! state is 17 words a group. They are listed in `ohlcv-plan`, for other plugins to build on.
//!
//! ```
//! use ohlcv::Ohlcv;
//! use speed_layer_sdk::prelude::*;
//!
//! let numbers = ["open", "high", "low", "price", "volume", "quote_volume"];
//! let fields = numbers.map(|name| field(name, DataType::F64)).into_iter();
//! let input = schema(fields.chain([field("number_trades", DataType::S64)]));
//! let plan = speed_layer_sdk::aggregate::plan::<Ohlcv>(r#"{"prefix": "hourly"}"#, &input).unwrap();
//! assert!(names(&plan.describe().output).starts_with("hourly_open, hourly_high, hourly_low, hourly_close"));
//! ```

#![cfg_attr(not(target_arch = "wasm32"), forbid(unsafe_code))]
#![warn(missing_docs)]

use speed_layer_sdk::prelude::*;

/// The aggregate; see the crate's own words.
#[derive(Debug)]
pub struct Ohlcv;

impl Aggregate for Ohlcv {
    fn plan(config: &mut Config, input: &Schema) -> Result<Plan, Refusal> {
        ohlcv_plan::plan(config, input)
    }
}

export_aggregate!(Ohlcv);
