//! The nine figures against a plain recomputation, however the rows are cut and merged.

use ohlcv::Ohlcv;
use speed_layer_sdk::aggregate::plan;
use speed_layer_sdk::prelude::*;
use speed_layer_sdk::testing::{Table, finish, identity, update};

const NUMBERS: [&str; 6] = ["open", "high", "low", "price", "volume", "quote_volume"];
const GROUPS: usize = 7;

fn input() -> Schema {
    let numbers = NUMBERS.map(|name| field(name, DataType::F64));
    schema(numbers.into_iter().chain([field("number_trades", DataType::S64)]))
}

/// A seeded sequence of numbers (splitmix64).
fn random(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mixed = (*state ^ *state >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ mixed >> 31
}

/// Few event times, so that ties are many; a third of the values null; two partitions.
fn table(rows: usize, seed: u64) -> Table {
    let mut state = seed;
    let mut table = Table::default();
    for name in NUMBERS {
        let mut builder = Builder::<f64>::default();
        for _ in 0..rows {
            let value = (random(&mut state) % 1000) as f64 / 4.0 - 100.0;
            builder.push((!random(&mut state).is_multiple_of(3)).then_some(value));
        }
        table.columns.push((name.to_owned(), builder.finish()));
    }
    let mut trades = Builder::<i64>::default();
    (0..rows).for_each(|row| trades.push((row % 5 != 0).then(|| random(&mut state) as i64 >> 8)));
    table.columns.push(("number_trades".to_owned(), trades.finish()));
    table.event_time_us = (0..rows).map(|_| (random(&mut state) % 20) as i64).collect();
    table.partition = (0..rows).map(|row| (row % 2) as i32).collect();
    table.offset = (0..rows as i64).map(|row| row / 2).collect();
    table
}

fn value(table: &Table, name: &str, row: usize) -> Option<f64> {
    let (_, column) = table.columns.iter().find(|(known, _)| known == name).unwrap();
    View::<f64>::of(column).unwrap().get(row)
}

/// The figures of the rows of one group, each as its definition says.
fn recomputed(table: &Table, mut rows: Vec<usize>) -> (Vec<Option<f64>>, Vec<Option<i64>>) {
    rows.sort_by_key(|&row| (table.event_time_us[row], table.partition[row], table.offset[row]));
    let values = |name: &str| rows.iter().filter_map(|&row| value(table, name, row)).collect::<Vec<f64>>();
    let sum = |values: Vec<f64>| (!values.is_empty()).then(|| values.iter().sum::<f64>());
    let prices = values("price");
    let trades = View::<i64>::of(&table.columns[6].1).unwrap();
    let trades: Vec<i64> = rows.iter().filter_map(|&row| trades.get(row)).collect();
    let floats = vec![
        values("open").first().copied(),
        values("high").into_iter().reduce(f64::max),
        values("low").into_iter().reduce(f64::min),
        prices.last().copied(),
        sum(values("volume")),
        sum(values("quote_volume")),
        sum(prices.clone()).map(|sum| sum / prices.len() as f64),
    ];
    (floats, vec![(!trades.is_empty()).then(|| trades.iter().sum()), Some(rows.len() as i64)])
}

fn assert_figures(table: &Table, groups: &[u32], states: &Batch, plan: &Plan) {
    let finished = finish(plan, states).unwrap();
    assert!(finished.notes.rows.is_empty());
    let columns = &finished.rows.columns;
    for group in 0..GROUPS {
        let rows = (0..groups.len()).filter(|&row| groups[row] == group as u32).collect();
        let (floats, integers) = recomputed(table, rows);
        let found: Vec<_> =
            [0, 1, 2, 3, 4, 5, 8].map(|i| View::<f64>::of(&columns[i]).unwrap().get(group)).into();
        let found_integers: Vec<_> = [6, 7].map(|i| View::<i64>::of(&columns[i]).unwrap().get(group)).into();
        assert_eq!(found_integers, integers);
        assert_eq!(found[..4], floats[..4]);
        for (found, expected) in found[4..].iter().zip(&floats[4..]) {
            let (found, expected) = (found.unwrap_or(-1.0), expected.unwrap_or(-1.0));
            assert!((found - expected).abs() <= 1e-9 * expected.abs().max(1.0), "{found} is not {expected}");
        }
    }
}

#[test]
fn the_figures_are_those_of_a_plain_recomputation_however_rows_are_cut_and_merged() {
    let plan = plan::<Ohlcv>("{}", &input()).unwrap();
    for seed in 0..20 {
        let table = table(200, seed);
        let mut state = seed + 100;
        let groups: Vec<u32> = (0..200).map(|_| (random(&mut state) % (GROUPS as u64 - 1)) as u32).collect();
        for pieces in [1, 2, 7, 50] {
            let mut partials: Vec<Batch> = (0..pieces).map(|_| identity(&plan, GROUPS)).collect();
            let mut rows: Vec<u32> = (0..200).collect();
            rows.sort_by_cached_key(|_| random(&mut state));
            for chunk in rows.chunks(9) {
                let of: Vec<u32> = chunk.iter().map(|&row| groups[row as usize]).collect();
                let piece = random(&mut state) as usize % pieces;
                let states = partials[piece].clone();
                partials[piece] = update(&plan, &table, (chunk, &of), states).unwrap();
            }
            let merged =
                partials.into_iter().reduce(|left, right| plan.merge(left, &right).unwrap()).unwrap();
            assert_figures(&table, &groups, &merged, &plan);
        }
    }
}

#[test]
fn merging_the_identity_changes_nothing_on_either_side() {
    let plan = plan::<Ohlcv>("{}", &input()).unwrap();
    let table = table(60, 3);
    let (rows, groups): (Vec<u32>, Vec<u32>) = (0..60).map(|row| (row, row % 6)).unzip();
    let states = update(&plan, &table, (&rows, &groups), identity(&plan, GROUPS)).unwrap();
    let expected = finish(&plan, &states).unwrap();
    let right = plan.merge(states.clone(), &identity(&plan, GROUPS)).unwrap();
    let left = plan.merge(identity(&plan, GROUPS), &states).unwrap();
    assert_eq!(finish(&plan, &right).unwrap().rows, expected.rows);
    assert_eq!(finish(&plan, &left).unwrap().rows, expected.rows);
}

#[test]
fn a_sum_that_does_not_fit_is_null_and_noted_and_one_that_comes_back_is_not() {
    let plan = plan::<Ohlcv>("{}", &input()).unwrap();
    let mut table = table(4, 1);
    table.columns[6].1 =
        Column { validity: None, data: ColumnData::S64(vec![i64::MAX, 1, i64::MAX, i64::MIN]) };
    let states = update(&plan, &table, (&[0, 1, 1, 2, 3], &[0, 0, 1, 1, 1]), identity(&plan, 2)).unwrap();
    let finished = finish(&plan, &states).unwrap();
    let totals = View::<i64>::of(&finished.rows.columns[6]).unwrap();
    assert_eq!([totals.get(0), totals.get(1)], [None, Some(0)]);
    assert_eq!((finished.notes.rows, finished.notes.kinds.data), (vec![0], b"sum-overflow".to_vec()));
}

#[test]
fn the_outputs_have_the_prefix_and_the_state_has_not() {
    let daily = plan::<Ohlcv>("{}", &input()).unwrap().describe();
    let hourly = plan::<Ohlcv>(r#"{"prefix": "hourly"}"#, &input()).unwrap().describe();
    let expected = "daily_open, daily_high, daily_low, daily_close, daily_volume, daily_quote_volume, total_trades, tick_count, avg_price";
    assert_eq!(names(&daily.output), expected);
    assert_eq!(names(&hourly.output), expected.replace("daily", "hourly"));
    assert_eq!(daily.state.columns, hourly.state.columns);
}

#[test]
fn states_of_another_version_or_other_columns_are_refused() {
    let plan = plan::<Ohlcv>("{}", &input()).unwrap();
    let (columns, states) = (plan.describe().state.columns, identity(&plan, 3));
    assert_eq!(plan.migrate(1, &columns, states.clone()), Ok(states.clone()));
    let refused = plan.migrate(2, &columns, states);
    assert!(
        matches!(refused, Err(Refusal::BadInput(message)) if message.starts_with("the states are of version 2"))
    );
}

#[test]
fn a_missing_input_column_is_refused_by_name() {
    let refused = plan::<Ohlcv>("{}", &schema([field("open", DataType::F64)])).map(|_| ());
    let expected = "the output \"daily_high\" reads the column \"high\" (f64), and the input has none of that name; it has: open";
    assert_eq!(refused, Err(Refusal::BadInput(expected.to_owned())));
}
