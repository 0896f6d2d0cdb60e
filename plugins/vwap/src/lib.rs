//! The volume-weighted mean and standard deviation of the price of a window: an aggregate.
//!
//! Settings: `prefix` (`daily`), `price` (`price`) and `weight` (`volume`), the last two
//! naming f64 columns. Outputs: `{prefix}_vwap`, `{prefix}_price_stddev` (of the population,
//! weighted), `{prefix}_weight` (the sum of the weights that were used) and `tick_count`.
//!
//! A row counts in the weighted figures when it has a price and its weight is a positive,
//! finite number; all three are null for a window without such a row. `tick_count` counts
//! every row of the window, also those.
//!
//! ```
//! use speed_layer_sdk::prelude::*;
//!
//! let input = schema([field("price", DataType::F64), field("size", DataType::F64)]);
//! let plan = speed_layer_sdk::aggregate::plan::<vwap::Vwap>(r#"{"weight": "size"}"#, &input).unwrap();
//! assert_eq!(names(&plan.describe().output), "daily_vwap, daily_price_stddev, daily_weight, tick_count");
//! ```

#![cfg_attr(not(target_arch = "wasm32"), forbid(unsafe_code))]
#![warn(missing_docs)]

mod moments;

pub use moments::WeightedMoments;
use speed_layer_sdk::prelude::*;

/// Rises whenever the meaning or the shape of the state changes.
const STATE_VERSION: u32 = 1;

/// The aggregate; see the crate's own words.
#[derive(Debug)]
pub struct Vwap;

impl Aggregate for Vwap {
    fn plan(config: &mut Config, input: &Schema) -> Result<Plan, Refusal> {
        let prefix = config.text("prefix", "daily")?;
        let (price, weight) = (config.text("price", "price")?, config.text("weight", "volume")?);
        let mut plan = Plan::new(STATE_VERSION, input);
        plan.add("price", &prefix, WeightedMoments::of(&price, &weight))?;
        plan.add("ticks", "tick_count", Count)?;
        Ok(plan)
    }
}

export_aggregate!(Vwap);
