//! The nine figures of `ohlcv` as a plan. A library, no plugin: a component's exports come from one
//! crate only, so what several plugins share lies in a crate that exports none.

#![forbid(unsafe_code)]
#![warn(missing_docs)]

use speed_layer_sdk::prelude::*;

/// Rises whenever the meaning or the shape of the state changes.
const STATE_VERSION: u32 = 1;

/// Open, high, low, close, volumes, trades, ticks and mean price; the setting `prefix` is what
/// their names begin with.
///
/// # Errors
/// `bad-config` when `prefix` is no text, `bad-input` when the input lacks one of the seven columns.
pub fn plan(config: &mut Config, input: &Schema) -> Result<Plan, Refusal> {
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
