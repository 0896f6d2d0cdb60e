//! States of one version through the `migrate` of another, by the real runtime: what they become, that the
//! new version goes on with them, and every refusal, with rows and without.

use std::sync::Arc;

use arrow_array::{Array, ArrayRef, Float64Array, Int32Array, Int64Array, RecordBatch};
use arrow_schema::{Field, Schema, SchemaRef};
use speed_layer_plugin::{Plugin, PluginError, Refusal, Runtime, RuntimeOptions};

use crate::line::{Line, line, line_of, numbers};
use crate::support::{CONTEXT, built_file};

fn test_plugin(name: &str) -> Plugin {
    let runtime = Runtime::new(RuntimeOptions::default()).unwrap();
    runtime.load(&built_file("test-plugins", name)).unwrap()
}

/// Asks without a row, then migrates; both are refused alike.
fn migrated(new: &mut Line, version: u32, states: &RecordBatch) -> Result<RecordBatch, String> {
    let from = states.schema();
    let mut migrate = |states: &RecordBatch| {
        new.aggregate.migrate(version, &from, states).map_err(|error| match error {
            PluginError::Refused { refusal: Refusal::UnreadableStates(message), .. } => message,
            other => panic!("{other}"),
        })
    };
    let asked = migrate(&RecordBatch::new_empty(Arc::clone(&from)));
    let done = migrate(states);
    assert_eq!(asked.as_ref().err(), done.as_ref().err(), "asked without a row it answers alike");
    if let Ok(asked) = asked {
        assert_eq!((asked.num_rows(), asked.schema()), (0, Arc::clone(&new.description.state.schema)));
    }
    done
}

#[test]
fn the_states_of_ohlcv_go_on_in_ohlcv_with_upticks() {
    let (mut old, mut new) = (line("ohlcv", 60), line("ohlcv_upticks", 60));
    let states = old.update(0, 30, &old.identities(3));
    let taken = migrated(&mut new, 1, &states).unwrap();
    let (before, after) = (old.finish(&states), new.finish(&taken));
    assert_eq!(after.columns()[..9], before.columns()[..]);
    assert_eq!(numbers(&after, 1)["up_ticks"], 0.0);
    assert!(after.schema().field_with_name("up_ticks").unwrap().is_nullable());
    let fresh = new.update(30, 60, &new.identities(3));
    let merged = new.aggregate.merge(&CONTEXT, &taken, &fresh).unwrap();
    let folded = new.update(30, 60, &taken);
    let never_swapped = old.update(30, 60, &states);
    let never_swapped = old.finish(&never_swapped);
    for states in [merged, folded] {
        let rows = new.finish(&states);
        assert_eq!(rows.columns()[..8], never_swapped.columns()[..8]);
        // The price of every tick is above its open.
        assert_eq!(numbers(&rows, 1)["up_ticks"], 10.0);
    }
}

/// Columns by name; a null is allowed where the column is no whole number.
fn states(columns: Vec<(&str, ArrayRef)>) -> RecordBatch {
    let nullable = |column: &ArrayRef| !column.data_type().is_integer();
    let fields: Vec<Field> = columns
        .iter()
        .map(|(name, column)| Field::new(*name, column.data_type().clone(), nullable(column)))
        .collect();
    let columns = columns.into_iter().map(|(_, column)| column).collect();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).unwrap()
}

fn floats(values: [Option<f64>; 3]) -> ArrayRef {
    Arc::new(Float64Array::from(values.to_vec()))
}

fn wide(values: [i64; 3]) -> ArrayRef {
    Arc::new(Int64Array::from(values.to_vec()))
}

fn narrow(values: [i32; 3]) -> ArrayRef {
    Arc::new(Int32Array::from(values.to_vec()))
}

#[test]
fn a_way_over_every_kind_of_change_is_gone_from_each_version() {
    let mut new = line_of(&test_plugin("versions"), 30).unwrap();
    let highs = || floats([Some(500.0), None, Some(1.5)]);
    let lows = || floats([Some(0.5), Some(1.0), None]);
    let (ticks, cents) = (|| narrow([5, 0, 7]), || wide([150, 0, 25]));
    let first = states(vec![("peak", highs()), ("ticks", ticks()), ("cents", cents())]);
    let second = states(vec![("low", lows()), ("peak", highs()), ("ticks", ticks()), ("cents", cents())]);
    let third =
        states(vec![("high", highs()), ("rows", wide([5, 0, 7])), ("cents", cents()), ("low", lows())]);
    let sums = || floats([Some(1.5), None, Some(0.25)]);
    let expected = |low: ArrayRef| [highs(), wide([5, 0, 7]), sums(), low];
    let none = floats([None; 3]);
    for (version, states, low) in [(1, first, none), (2, second, lows()), (3, third, lows())] {
        let taken = migrated(&mut new, version, &states).unwrap();
        assert_eq!(taken.columns(), expected(low), "from version {version}");
        let finished = new.update(0, 30, &taken);
        let finished = new.finish(&finished);
        // Symbol A has the prices 100.5, 103.5, ... 127.5.
        let group = numbers(&finished, 0);
        assert_eq!((group["high"], group["rows"], group["sum"]), (500.0, 15.0, 1_141.5));
        assert_eq!(group["low"], if version == 1 { 100.5 } else { 0.5 });
    }
}

fn check_refused(new: &mut Line, version: u32, states: &RecordBatch, expected: &str) {
    let refused = migrated(new, version, states).expect_err(expected);
    assert!(refused.contains(expected), "{refused}");
}

#[test]
fn what_cannot_be_read_is_refused_with_version_column_and_both_types() {
    let mut ohlcv = line("ohlcv", 3);
    let mut upticks = line("ohlcv_upticks", 3);
    let mut vwap = line("vwap", 3);
    let (of_ohlcv, of_upticks) = (ohlcv.identities(3), upticks.identities(3));
    check_refused(&mut ohlcv, 2, &of_upticks, "of version 2, made by a later version of this plugin");
    check_refused(&mut upticks, 3, &of_upticks, "which keeps version 2: a downgrade");
    check_refused(&mut upticks, 0, &of_ohlcv, "this plugin reads versions 1 to 2");
    check_refused(&mut upticks, 2, &of_ohlcv, "the column \"up_ticks\" (s64) is missing");
    check_refused(&mut upticks, 1, &of_upticks, "there is a column \"up_ticks\" (s64) too many");
    check_refused(&mut vwap, 1, &of_ohlcv, "the column \"price_weight\" (f64) is missing");
    check_refused(&mut vwap, 1, &of_ohlcv, "there is a column \"high\" (nullable f64) too many");
    let mut versions = line_of(&test_plugin("versions"), 3).unwrap();
    let nothing = floats([None; 3]);
    let wrong = states(vec![("peak", nothing), ("ticks", wide([0; 3])), ("cents", narrow([0; 3]))]);
    check_refused(&mut versions, 1, &wrong, "\"ticks\" is s64 and should be s32");
    check_refused(&mut versions, 1, &wrong, "\"cents\" is s32 and should be s64");
}

#[test]
fn a_refusal_says_whose_it_is_and_a_value_that_a_function_does_not_take_is_one_too() {
    let mut new = line_of(&test_plugin("versions"), 3).unwrap();
    let cents =
        states(vec![("peak", floats([None; 3])), ("ticks", narrow([0; 3])), ("cents", wide([1, -2, 3]))]);
    let schema: SchemaRef = cents.schema();
    let asked = new.aggregate.migrate(1, &schema, &RecordBatch::new_empty(Arc::clone(&schema)));
    assert!(asked.is_ok(), "no value is known yet");
    let refused = new.aggregate.migrate(1, &schema, &cents).unwrap_err().to_string();
    for told in ["plugin versions (sha256:", "aggregate.migrate", "function for version 4", "-2 cents"] {
        assert!(refused.contains(told), "{told}: {refused}");
    }
}

#[test]
fn the_own_version_comes_back_as_it_is() {
    let mut line = line("vwap", 30);
    let states = line.update(0, 30, &line.identities(3));
    assert_eq!(migrated(&mut line, 1, &states), Ok(states));
}
