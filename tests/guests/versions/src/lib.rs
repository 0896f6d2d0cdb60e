//! A guest for tests: an aggregate in the fourth version of its state, every one declared.
//!
//! | version | columns |
//! |---|---|
//! | 1 | `peak`, `ticks` of 32 bits, `cents` |
//! | 2 | the same and `low` |
//! | 3 | `high` for `peak`, `rows` of 64 bits for `ticks`, `cents`, `low` |
//! | 4 | `high`, `rows`, `sum` for `cents`, `low` |

#![cfg_attr(not(target_arch = "wasm32"), forbid(unsafe_code))]
#![warn(missing_docs)]

use speed_layer_sdk::prelude::*;

/// The aggregate; see the crate's own words.
#[derive(Debug)]
pub struct Versions;

impl Aggregate for Versions {
    fn plan(_: &mut Config, input: &Schema) -> Result<Plan, Refusal> {
        let mut plan = Plan::new(1, input);
        plan.add("high", "high", Max::<f64>::of("price"))?;
        plan.add("rows", "rows", Count)?;
        plan.add("sum", "sum", SumF64::of("price"))?;
        plan.since(2).add("low", "low", Min::<f64>::of("price"))?;
        plan.since(3).rename("peak", "high").rename("ticks", "rows");
        plan.since(3).widen("rows", DataType::S32, DataType::S64);
        plan.since(4).convert(third(), from_cents);
        Ok(plan)
    }
}

export_aggregate!(Versions);

fn third() -> Schema {
    schema([
        field("high", DataType::F64),
        required("rows", DataType::S64),
        required("cents", DataType::S64),
        field("low", DataType::F64),
    ])
}

fn from_cents(states: &Batch) -> Result<Vec<Column>, Failure> {
    let [high, rows, cents, low] = &states.columns[..] else {
        return Err(Failure::StopJob("version 3 has four columns".into()));
    };
    let cents = View::<i64>::of(cents)?;
    if let Some(negative) = cents.values().iter().find(|&&cents| cents < 0) {
        return Err(Failure::StopJob(format!("{negative} cents")));
    }
    let mut sums = Builder::<f64>::with_capacity(cents.values().len());
    cents.values().iter().for_each(|&cents| sums.push((cents > 0).then_some(cents as f64 / 100.0)));
    Ok(vec![high.clone(), rows.clone(), sums.finish(), low.clone()])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn its_declarations_are_sound() {
        let plan = speed_layer_sdk::aggregate::plan::<Versions>("{}", &schema([]));
        assert_eq!(plan.map(|plan| plan.describe().state.version), Ok(4));
    }
}
