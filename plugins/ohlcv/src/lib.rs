//! Open, high, low, close, volumes, trades, ticks and mean price of a window: an aggregate.
//!
//! Setting: `prefix`, what the outputs' names begin with, `daily` by default. First and last
//! go by event time, then partition, offset and ordinal, so any replay gives the same. The
//! state is 17 words a group.
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

/// Rises whenever the meaning or the shape of the state changes.
const STATE_VERSION: u32 = 1;

/// The aggregate; see the crate's own words.
#[derive(Debug)]
pub struct Ohlcv;

impl Aggregate for Ohlcv {
    fn plan(config: &mut Config, input: &Schema) -> Result<Plan, Refusal> {
        let prefix = config.text("prefix", "daily")?;
        let named = |name: &str| format!("{prefix}_{name}");
        let mut plan = Plan::new(STATE_VERSION, input);
        plan.add("open", &named("open"), First::<f64>::of("open"))?;
        plan.add("high", &named("high"), Max::<f64>::of("high"))?;
        plan.add("low", &named("low"), Min::<f64>::of("low"))?;
        plan.add("close", &named("close"), Last::<f64>::of("price"))?;
        plan.add("volume", &named("volume"), SumF64::of("volume"))?;
        plan.add("quote_volume", &named("quote_volume"), SumF64::of("quote_volume"))?;
        plan.add("trades", "total_trades", SumS64::of("number_trades"))?;
        plan.add("ticks", "tick_count", Count)?;
        plan.add("price", "avg_price", Avg::of("price"))?;
        Ok(plan)
    }
}

export_aggregate!(Ohlcv);
