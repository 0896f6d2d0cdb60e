//! `ohlcv` and the count of up-ticks: an aggregate that takes over the states of `ohlcv`.
//!
//! The setting is `prefix`, as of `ohlcv`; the output is its nine columns and then `up_ticks`, which
//! may be null so that readers of the older files can bear it, though it never is.
//!
//! An up-tick here is a row whose price is above its own `open`; a row that lacks one of them is none.
//! It is not a price above that of the row before: which row that is depends on all the others, so no
//! two states could be merged to it. This one is told from the row alone.
//!
//! It is an example of a changed state, hot-swapped into a running job: version 2, in one line. A
//! group that was open at the swap counts its up-ticks from there on.
//!
//! ```
//! use ohlcv_upticks::OhlcvUpticks;
//! use speed_layer_sdk::prelude::*;
//!
//! let plan = speed_layer_sdk::aggregate::plan::<OhlcvUpticks>("{}", &schema([])).unwrap();
//! assert!(names(&plan.describe().output).ends_with("tick_count, avg_price, up_ticks"));
//! assert_eq!(plan.describe().state.version, 2);
//! ```

#![cfg_attr(not(target_arch = "wasm32"), forbid(unsafe_code))]
#![warn(missing_docs)]

use speed_layer_sdk::prelude::*;

/// The aggregate; see the crate's own words.
#[derive(Debug)]
pub struct OhlcvUpticks;

impl Aggregate for OhlcvUpticks {
    fn plan(config: &mut Config, input: &Schema) -> Result<Plan, Refusal> {
        let mut plan = ohlcv_plan::plan(config, input)?;
        plan.since(2).add("up_ticks", "up_ticks", CountAbove { value: "price", bound: "open" })?;
        Ok(plan)
    }
}

export_aggregate!(OhlcvUpticks);

/// Counts the rows in which one f64 column is greater than another. One word of state.
struct CountAbove {
    value: &'static str,
    bound: &'static str,
}

impl Accumulator for CountAbove {
    fn inputs(&self) -> Vec<Input> {
        [self.value, self.bound].map(|name| Input::Column(name.to_owned(), DataType::F64)).to_vec()
    }

    fn state(&self) -> Vec<StateColumn> {
        Count.state()
    }

    fn outputs(&self, name: &str) -> Vec<Field> {
        vec![field(name, DataType::S64)]
    }

    fn update(&self, inputs: &[&Column], pairs: Pairs<'_>, state: &mut [Column]) -> Result<(), Failure> {
        let counts = values_mut::<i64>(&mut state[0].data)?;
        let bounds = View::<f64>::of(inputs[1])?;
        pairs.each_value(View::<f64>::of(inputs[0])?, |row, group, value| {
            counts[group] += i64::from(bounds.get(row).is_some_and(|bound| value > bound));
        });
        Ok(())
    }

    fn merge(&self, left: &mut [Column], right: &[Column]) -> Result<(), Failure> {
        Count.merge(left, right)
    }

    fn finish(
        &self,
        state: &[Column],
        closing: &Closing<'_>,
        notes: &mut Notes,
    ) -> Result<Vec<Column>, Failure> {
        Count.finish(state, closing, notes)
    }
}
