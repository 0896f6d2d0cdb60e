//! A guest for tests of what goes wrong: `ohlcv`, with its state and its output, that misbehaves in one call.
//!
//! Which call and how is a text in the built component (`stumbles::mischief`). It answers the contract by hand,
//! as no plugin should, since the export macro leaves nothing to get wrong.

#![cfg_attr(not(target_arch = "wasm32"), forbid(unsafe_code))]
#![warn(missing_docs)]

use speed_layer_sdk::aggregate::{self as stage, AggregateDescription, Finished, Guest, Windows};
use speed_layer_sdk::prelude::*;
use speed_layer_sdk::slot::Slot;
use stumbles::mischief::{Action, calls, is_up_to, misbehave, trip};

/// The state's version of one whose mischief lies in `migrate`: the host calls it only when versions differ.
const MIGRATING_VERSION: u32 = 2;

std::thread_local! {
    static OPEN: Slot<Plan> = const { Slot::new() };
}

struct Ohlcv;

impl Aggregate for Ohlcv {
    fn plan(config: &mut Config, input: &Schema) -> Result<Plan, Refusal> {
        ohlcv_plan::plan(config, input)
    }
}

/// The aggregate; see the crate's own words.
#[derive(Debug)]
pub struct Naughty;

impl Guest for Naughty {
    fn describe(config: String, input: Schema) -> Result<AggregateDescription, Refusal> {
        refuse_if(misbehave("describe"))?;
        let mut description = stage::plan::<Ohlcv>(&config, &input)?.describe();
        if is_up_to("migrate") {
            description.state.version = MIGRATING_VERSION;
        }
        Ok(description)
    }

    fn open(config: String, input: Schema) -> Result<(), Refusal> {
        refuse_if(misbehave("open"))?;
        OPEN.with(|slot| slot.open(stage::plan::<Ohlcv>(&config, &input)))
    }

    fn update(
        _: Context,
        batch: Batch,
        rows: Vec<u32>,
        groups: Vec<u32>,
        states: Batch,
    ) -> Result<Batch, Failure> {
        let action = match misbehave("update") {
            Action::Stumble => stumble(&batch, &rows),
            action => action,
        };
        fail_if(action)?;
        let updated =
            OPEN.with(|slot| slot.call(|plan| plan.update(&batch, Pairs::new(&rows, &groups), states)));
        updated.map(|states| spoilt(action, states, TICKS_STATE))
    }

    fn merge(_: Context, left: Batch, right: Batch) -> Result<Batch, Failure> {
        let action = trip("merge", has_tripwire(&left) || has_tripwire(&right));
        fail_if(action)?;
        let merged = OPEN.with(|slot| slot.call(|plan| plan.merge(left, &right)));
        merged.map(|states| spoilt(action, states, TICKS_STATE))
    }

    fn finish(
        context: Context,
        states: Batch,
        keys: Batch,
        windows: Windows,
        is_final: bool,
    ) -> Result<Finished, Failure> {
        let action = trip("finish", has_tripwire(&states));
        fail_if(action)?;
        let closing = Closing { context: &context, keys: &keys, windows: &windows, is_final };
        let finished = OPEN.with(|slot| slot.call(|plan| plan.finish(&states, &closing)))?;
        Ok(Finished { rows: spoilt(action, finished.rows, TICKS_OUTPUT), notes: finished.notes })
    }

    /// The columns are the same in both versions.
    fn migrate(_: u32, _: Schema, states: Batch) -> Result<Batch, Refusal> {
        let action = misbehave("migrate");
        refuse_if(action)?;
        Ok(spoilt(action, states, TICKS_STATE))
    }
}

/// The numbers of the columns of counted ticks: of the state, and of the output.
const TICKS_STATE: usize = 15;
const TICKS_OUTPUT: usize = 7;

/// The number of the state's column of the highest price.
const HIGH_STATE: usize = 5;

fn has_tripwire(states: &Batch) -> bool {
    let high = View::<f64>::of(&states.columns[HIGH_STATE]);
    high.is_ok_and(|high| (0..states.rows as usize).any(|group| high.get(group) == Some(stumbles::TRIPWIRE)))
}

/// What it stumbles over, in any column of numbers.
fn stumble(batch: &Batch, rows: &[u32]) -> Action {
    let columns: Vec<_> = batch.columns.iter().filter_map(|column| View::<f64>::of(column).ok()).collect();
    let values = columns.iter().flat_map(|column| rows.iter().filter_map(|row| column.get(*row as usize)));
    if values.fold(false, |miscounts, value| miscounts | stumbles::stumble(value)) {
        Action::Miscount
    } else {
        Action::Nothing
    }
}

fn refuse_if(action: Action) -> Result<(), Refusal> {
    match action {
        Action::Refuse | Action::Retry => Err(Refusal::BadInput("naughty refuses".into())),
        _ => Ok(()),
    }
}

fn fail_if(action: Action) -> Result<(), Failure> {
    match action {
        Action::Refuse => Err(Failure::StopJob("naughty stops".into())),
        Action::Retry => Err(Failure::RetryBatch("naughty wants it again".into())),
        _ => Ok(()),
    }
}

fn spoilt(action: Action, mut rows: Batch, ticks: usize) -> Batch {
    match action {
        Action::Miscount => rows.rows += 1,
        Action::Lie => count_more(&mut rows.columns[ticks], 1),
        Action::Vary => count_more(&mut rows.columns[ticks], calls().into()),
        _ => {}
    }
    rows
}

fn count_more(ticks: &mut Column, more: i64) {
    if let Ok(counts) = values_mut::<i64>(&mut ticks.data) {
        counts.iter_mut().for_each(|count| *count += more);
    }
}

#[cfg(target_arch = "wasm32")]
speed_layer_sdk::bindings::aggregate::export_aggregate_world!(
    Naughty with_types_in speed_layer_sdk::bindings::aggregate
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_counts_of_ticks_lie_where_it_lies_about_them() {
        let description = Naughty::describe("{}".into(), schema([])).unwrap();
        assert_eq!(position(&description.state.columns, "ticks"), Some(TICKS_STATE));
        assert_eq!(position(&description.state.columns, "high"), Some(HIGH_STATE));
        assert_eq!(position(&description.output, "tick_count"), Some(TICKS_OUTPUT));
    }
}
