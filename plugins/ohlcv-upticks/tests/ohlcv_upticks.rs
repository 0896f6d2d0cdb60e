//! What an up-tick is, and the states of `ohlcv` as this plugin goes on with them.

use ohlcv_upticks::OhlcvUpticks;
use speed_layer_sdk::aggregate::plan;
use speed_layer_sdk::prelude::*;
use speed_layer_sdk::testing::{Table, finish, identity, update};

struct Ohlcv;

impl Aggregate for Ohlcv {
    fn plan(config: &mut Config, input: &Schema) -> Result<Plan, Refusal> {
        ohlcv_plan::plan(config, input)
    }
}

const NUMBERS: [&str; 6] = ["open", "high", "low", "price", "volume", "quote_volume"];

fn input() -> Schema {
    let numbers = NUMBERS.map(|name| field(name, DataType::F64));
    schema(numbers.into_iter().chain([field("number_trades", DataType::S64)]))
}

/// Rows of these opens and prices.
fn table(rows: &[(Option<f64>, Option<f64>)]) -> Table {
    let column = |name: &str, value: &dyn Fn(usize) -> Option<f64>| {
        let mut builder = Builder::<f64>::default();
        (0..rows.len()).for_each(|row| builder.push(value(row)));
        (name.to_owned(), builder.finish())
    };
    let mut columns: Vec<_> = NUMBERS.map(|name| column(name, &|_| Some(1.0))).into();
    columns[0] = column("open", &|row| rows[row].0);
    columns[3] = column("price", &|row| rows[row].1);
    let trades = Column { validity: None, data: ColumnData::S64(vec![2; rows.len()]) };
    columns.push(("number_trades".into(), trades));
    let offset: Vec<i64> = (0..rows.len() as i64).collect();
    Table { columns, event_time_us: offset.clone(), partition: vec![0; rows.len()], offset }
}

/// The up-ticks of two groups.
fn up_ticks(plan: &Plan, states: &Batch) -> [Option<i64>; 2] {
    let columns = finish(plan, states).unwrap().rows.columns;
    let counts = View::<i64>::of(&columns[9]).unwrap();
    [counts.get(0), counts.get(1)]
}

#[test]
fn an_up_tick_is_a_price_above_the_rows_own_open() {
    let plan = plan::<OhlcvUpticks>("{}", &input()).unwrap();
    let rows = [
        (Some(1.0), Some(1.5)),
        (Some(1.0), Some(1.0)),
        (Some(2.0), Some(1.0)),
        (None, Some(1.0)),
        (Some(1.0), None),
        (Some(f64::NAN), Some(1.0)),
        (Some(-1.0), Some(-0.5)),
    ];
    let table = table(&rows);
    let groups = [0, 0, 0, 0, 0, 0, 1];
    let whole = update(&plan, &table, (&[0, 1, 2, 3, 4, 5, 6], &groups), identity(&plan, 2)).unwrap();
    assert_eq!(up_ticks(&plan, &whole), [Some(1), Some(1)]);
    let merged = plan.merge(whole.clone(), &whole).unwrap();
    assert_eq!(up_ticks(&plan, &merged), [Some(2), Some(2)]);
}

#[test]
fn it_is_ohlcv_and_a_column_that_may_be_null() {
    let (old, new) = (plan::<Ohlcv>("{}", &input()).unwrap(), plan::<OhlcvUpticks>("{}", &input()).unwrap());
    let (old, new) = (old.describe(), new.describe());
    assert_eq!((old.state.version, new.state.version), (1, 2));
    assert_eq!(new.needs, old.needs);
    assert_eq!(new.output.fields[..9], old.output.fields);
    assert_eq!(new.output.fields[9..], [field("up_ticks", DataType::S64)]);
    assert_eq!(new.state.columns.fields[18..], [required("up_ticks", DataType::S64)]);
}

#[test]
fn the_states_of_ohlcv_go_on_with_no_up_ticks_yet() {
    let (old, new) = (plan::<Ohlcv>("{}", &input()).unwrap(), plan::<OhlcvUpticks>("{}", &input()).unwrap());
    let table = table(&[(Some(1.0), Some(1.5)), (Some(2.0), Some(2.5)), (Some(3.0), Some(3.5))]);
    let states = update(&old, &table, (&[0, 1, 2], &[0, 1, 1]), identity(&old, 2)).unwrap();
    let migrated = new.migrate(1, &old.describe().state.columns, states.clone()).unwrap();
    assert_eq!(up_ticks(&new, &migrated), [Some(0), Some(0)]);
    let (before, after) = (finish(&old, &states).unwrap(), finish(&new, &migrated).unwrap());
    assert_eq!(after.rows.columns[..9], before.rows.columns);
    let states = update(&new, &table, (&[2, 0], &[0, 1]), migrated).unwrap();
    assert_eq!(up_ticks(&new, &states), [Some(1), Some(1)]);
}
