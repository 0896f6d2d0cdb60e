//! Weighted mean and deviation against their definitions, also where digits get lost easily.

use speed_layer_sdk::aggregate::plan;
use speed_layer_sdk::prelude::*;
use speed_layer_sdk::testing::{Table, finish, identity, update};
use vwap::Vwap;

type Row = (Option<f64>, Option<f64>);

fn made_plan() -> Plan {
    let input = schema([field("price", DataType::F64), field("volume", DataType::F64)]);
    plan::<Vwap>("{}", &input).unwrap()
}

fn table(rows: &[Row]) -> Table {
    let column = |value: fn(&Row) -> Option<f64>| {
        let mut builder = Builder::<f64>::default();
        rows.iter().for_each(|row| builder.push(value(row)));
        builder.finish()
    };
    let columns = vec![("price".to_owned(), column(|row| row.0)), ("volume".to_owned(), column(|row| row.1))];
    let count = rows.len();
    Table { columns, event_time_us: vec![0; count], partition: vec![0; count], offset: vec![0; count] }
}

/// The four figures of rows that are folded in so many pieces, which are then merged.
fn figures(rows: &[Row], pieces: usize) -> ([Option<f64>; 3], Option<i64>) {
    let (plan, table) = (made_plan(), table(rows));
    let mut partials: Vec<Batch> = (0..pieces).map(|_| identity(&plan, 1)).collect();
    for row in 0..rows.len() as u32 {
        let piece = row as usize % pieces;
        partials[piece] = update(&plan, &table, (&[row], &[0]), partials[piece].clone()).unwrap();
    }
    let states = partials.into_iter().reduce(|left, right| plan.merge(left, &right).unwrap()).unwrap();
    let finished = finish(&plan, &states).unwrap();
    let columns = &finished.rows.columns;
    let floats = [0, 1, 2].map(|column| View::<f64>::of(&columns[column]).unwrap().get(0));
    (floats, View::<i64>::of(&columns[3]).unwrap().get(0))
}

fn check(rows: &[Row], expected: [Option<f64>; 3]) {
    for pieces in 1..=rows.len().clamp(1, 5) {
        let (found, ticks) = figures(rows, pieces);
        assert_eq!(ticks, Some(rows.len() as i64));
        for (found, expected) in found.iter().zip(expected) {
            let is_near = |a: f64, b: f64| (a - b).abs() <= 1e-9 * b.abs();
            let is_right = match (found, expected) {
                (Some(found), Some(expected)) => is_near(*found, expected),
                (found, expected) => found.is_none() && expected.is_none(),
            };
            assert!(is_right, "{} rows in {pieces}: {found:?} is not {expected:?}", rows.len());
        }
    }
}

#[test]
fn mean_and_deviation_are_weighted_and_rows_without_a_weight_left_out() {
    check(&[], [None; 3]);
    check(&[(Some(5.0), Some(2.0))], [Some(5.0), Some(0.0), Some(2.0)]);
    check(&[(Some(1.0), Some(1.0)), (Some(4.0), Some(2.0))], [Some(3.0), Some(2f64.sqrt()), Some(3.0)]);
    let odd = [None, Some(0.0), Some(-0.0), Some(-1.0), Some(f64::NAN), Some(f64::INFINITY)];
    let mut rows: Vec<Row> = odd.iter().map(|&weight| (Some(100.0), weight)).collect();
    check(&rows, [None; 3]);
    rows.extend([(None, Some(7.0)), (Some(1.0), Some(1.0)), (Some(4.0), Some(2.0))]);
    check(&rows, [Some(3.0), Some(2f64.sqrt()), Some(3.0)]);
}

#[test]
fn prices_far_from_zero_with_a_small_spread_keep_their_digits() {
    let rows: Vec<Row> = (0..1000).map(|i| (Some(1e9 + f64::from(i % 2)), Some(0.25))).collect();
    check(&rows, [Some(1e9 + 0.5), Some(0.5), Some(250.0)]);
}

#[test]
fn weights_of_very_different_size_keep_the_mean_between_the_prices() {
    check(&[(Some(10.0), Some(1e-300)), (Some(20.0), Some(1e300))], [Some(20.0), Some(0.0), Some(1e300)]);
}

#[test]
fn the_weight_column_comes_from_the_configuration() {
    let input = schema([field("last", DataType::F64), field("size", DataType::F64)]);
    let plan =
        plan::<Vwap>(r#"{"price": "last", "weight": "size", "prefix": "w"}"#, &input).unwrap().describe();
    assert_eq!(plan.needs, [Need::Column("last".into()), Need::Column("size".into())]);
    assert_eq!(names(&plan.output), "w_vwap, w_price_stddev, w_weight, tick_count");
    let refused = speed_layer_sdk::aggregate::plan::<Vwap>(r#"{"wieght": "size"}"#, &input).map(|_| ());
    assert!(matches!(refused, Err(Refusal::BadInput(_) | Refusal::BadConfig(_))));
}
