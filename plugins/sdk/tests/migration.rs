//! Older states through the declared changes: every kind of change, ways over several versions, and all
//! that is refused, with or without a row.

use speed_layer_sdk::prelude::*;
use speed_layer_sdk::testing::{Table, finish, identity, update};

/// A plan of a maximum and a mean, and what `declare` adds.
fn plan_of(declare: impl FnOnce(&mut Plan) -> Result<(), Refusal>) -> Result<Plan, Refusal> {
    let mut plan = Plan::new(1, &schema([]));
    plan.add("peak", "peak", Max::<f64>::of("price"))?;
    plan.add("price", "mean", Avg::of("price"))?;
    declare(&mut plan)?;
    plan.check()?;
    Ok(plan)
}

fn peak() -> Field {
    field("peak", DataType::F64)
}

fn mean() -> [Field; 2] {
    [required("price_sum", DataType::F64), required("price_count", DataType::S64)]
}

fn floats(values: &[Option<f64>]) -> Column {
    let mut builder = Builder::default();
    values.iter().for_each(|&value| builder.push(value));
    builder.finish()
}

fn integers(values: &[i64]) -> Column {
    Column { validity: None, data: ColumnData::S64(values.to_vec()) }
}

fn small(values: &[i32]) -> Column {
    Column { validity: None, data: ColumnData::S32(values.to_vec()) }
}

fn batch(columns: Vec<Column>) -> Batch {
    Batch { rows: 2, columns }
}

/// The columns `peak`, `price_sum` and `price_count` of two groups.
fn first() -> Vec<Column> {
    vec![floats(&[Some(7.5), None]), floats(&[Some(30.0), Some(0.0)]), integers(&[4, 0])]
}

/// The states without a row.
fn emptied(schema: &Schema) -> Batch {
    let column = |field: &Field| {
        let none = VarBytes { offsets: vec![0], data: vec![] };
        let data = match field.data_type {
            DataType::S32 => ColumnData::S32(vec![]),
            DataType::S64 => ColumnData::S64(vec![]),
            DataType::F64 => ColumnData::F64(vec![]),
            _ => ColumnData::Utf8(none),
        };
        Column { validity: None, data }
    };
    Batch { rows: 0, columns: schema.fields.iter().map(column).collect() }
}

/// Migrates; also asks without a row, which has to be answered alike.
fn migrated(plan: &Plan, version: u32, from: &Schema, states: Batch) -> Result<Batch, Refusal> {
    let asked = plan.migrate(version, from, emptied(from));
    let done = plan.migrate(version, from, states);
    assert_eq!(asked.clone().err(), done.clone().err(), "asked without a row it answers alike");
    if let Ok(asked) = asked {
        assert_eq!((asked.rows, asked.columns.len()), (0, plan.describe().state.columns.fields.len()));
    }
    done
}

fn check_refused(plan: &Plan, version: u32, fields: Vec<Field>, expected: &str) {
    let from = schema(fields);
    let refused = migrated(plan, version, &from, emptied(&from));
    assert_eq!(refused, Err(Refusal::BadInput(expected.to_owned())));
}

#[test]
fn states_of_its_own_version_stay_as_they_are_in_whatever_order_the_columns_come() {
    let plan = plan_of(|_| Ok(())).unwrap();
    let [sum, count] = mean();
    let own = schema([peak(), sum.clone(), count.clone()]);
    assert_eq!(migrated(&plan, 1, &own, batch(first())), Ok(batch(first())));
    let [peaks, sums, counts] = first().try_into().unwrap();
    let turned = schema([count, peak(), sum]);
    assert_eq!(migrated(&plan, 1, &turned, batch(vec![counts, peaks, sums])), Ok(batch(first())));
}

#[test]
fn an_added_accumulator_begins_at_its_identity_or_at_a_given_default() {
    let plan = plan_of(|plan| {
        plan.since(2).add("rows", "rows", Count)?;
        plan.since(2).add("low", "low", Min::<f64>::of("price"))?;
        plan.since(2).add_from("weight", "weight", SumF64::of("weight"), vec![one(1.5)])
    });
    let plan = plan.unwrap();
    assert_eq!(plan.describe().state.version, 2);
    let [sum, count] = mean();
    let states = migrated(&plan, 1, &schema([peak(), sum, count]), batch(first())).unwrap();
    let null = Column { validity: Some(vec![0]), data: ColumnData::F64(vec![0.0; 2]) };
    let added = [integers(&[0, 0]), null, floats(&[Some(1.5), Some(1.5)])];
    assert_eq!(states, batch([first(), added.to_vec()].concat()));
}

#[test]
fn an_accumulator_and_a_single_column_are_renamed_and_widened() {
    let plan = plan_of(|plan| {
        plan.since(2).rename("cost", "price").widen("price_count", DataType::S32, DataType::S64);
        plan.since(2).rename("most", "peak");
        Ok(())
    });
    let old = schema([
        required("cost_count", DataType::S32),
        field("most", DataType::F64),
        required("cost_sum", DataType::F64),
    ]);
    let [peaks, sums, _] = first().try_into().unwrap();
    let states = batch(vec![small(&[4, 0]), peaks, sums]);
    assert_eq!(migrated(&plan.unwrap(), 1, &old, states), Ok(batch(first())));
    let single = plan_of(|plan| {
        plan.since(2).rename("total", "price_sum");
        Ok(())
    });
    let old = schema([peak(), required("total", DataType::F64), mean()[1].clone()]);
    assert_eq!(migrated(&single.unwrap(), 1, &old, batch(first())), Ok(batch(first())));
}

#[test]
fn a_removed_column_is_dropped_and_its_name_may_be_taken_again() {
    let plan = plan_of(|plan| {
        plan.since(2).remove(required("rows", DataType::F64));
        plan.since(2).add("rows", "rows", Count)
    });
    let [sum, count] = mean();
    let old = schema([peak(), sum, count, required("rows", DataType::F64)]);
    let states = batch([first(), vec![floats(&[Some(9.0), Some(9.0)])]].concat());
    let expected = batch([first(), vec![integers(&[0, 0])]].concat());
    assert_eq!(migrated(&plan.unwrap(), 1, &old, states), Ok(expected));
}

#[test]
fn an_accumulator_that_had_fewer_columns_gets_the_one_that_is_new() {
    let plan = plan_of(|plan| {
        plan.since(2).added("price_count", one(1i64));
        Ok(())
    });
    let [peaks, sums, _] = first().try_into().unwrap();
    let old = schema([peak(), mean()[0].clone()]);
    let expected = batch(vec![peaks.clone(), sums.clone(), integers(&[1, 1])]);
    assert_eq!(migrated(&plan.unwrap(), 1, &old, batch(vec![peaks, sums])), Ok(expected));
}

/// Version 1 had `ticks` of 32 bits, 2 added `least` and `extra`, 3 named them `low` and `rows` and widened
/// the latter, 4 dropped `extra`.
fn chained() -> Plan {
    let plan = plan_of(|plan| {
        plan.since(4).remove(required("extra", DataType::S64));
        plan.since(3).rename("least", "low").rename("ticks", "rows");
        plan.since(3).widen("rows", DataType::S32, DataType::S64);
        plan.since(2).add("low", "low", Min::<f64>::of("price"))?;
        plan.since(2).added("extra", one(3i64));
        plan.add("rows", "rows", Count)
    });
    plan.unwrap()
}

#[test]
fn the_way_goes_over_all_versions_between() {
    let plan = chained();
    let [sum, count] = mean();
    let [low, extra] = [field("low", DataType::F64), required("extra", DataType::S64)];
    let one = schema([peak(), sum.clone(), count.clone(), required("ticks", DataType::S32)]);
    let unknown = Column { validity: Some(vec![0]), data: ColumnData::F64(vec![0.0; 2]) };
    let with = |low: Column| batch([first(), vec![low, integers(&[5, 6])]].concat());
    let states = batch([first(), vec![small(&[5, 6])]].concat());
    assert_eq!(migrated(&plan, 1, &one, states), Ok(with(unknown)));
    let lows = floats(&[Some(1.0), Some(2.0)]);
    let mut two = one.clone();
    two.fields.extend([field("least", DataType::F64), extra.clone()]);
    let states = batch([first(), vec![small(&[5, 6]), lows.clone(), integers(&[3, 3])]].concat());
    assert_eq!(migrated(&plan, 2, &two, states), Ok(with(lows.clone())));
    let three = schema([peak(), sum, count, low, required("rows", DataType::S64), extra]);
    let states = batch([first(), vec![lows.clone(), integers(&[5, 6]), integers(&[3, 3])]].concat());
    assert_eq!(migrated(&plan, 3, &three, states), Ok(with(lows)));
}

/// Version 1 had the mean and its weight, 2 added `note`; 3 has the sum in place of the mean, 4 named it.
fn converted() -> Plan {
    let plan = plan_of(|plan| {
        let before = schema([
            peak(),
            required("mean", DataType::F64),
            required("count", DataType::S64),
            required("note", DataType::S64),
        ]);
        plan.since(2).added("note", one(8i64));
        plan.since(3).convert(before, |states| {
            let (means, counts) =
                (View::<f64>::of(&states.columns[1])?, View::<i64>::of(&states.columns[2])?);
            if View::<i64>::of(&states.columns[3])?.values().contains(&-1) {
                return Err(Failure::StopJob("a note of -1".into()));
            }
            let sums = means.values().iter().zip(counts.values()).map(|(mean, &count)| mean * count as f64);
            let sums = Column { validity: None, data: ColumnData::F64(sums.collect()) };
            Ok(vec![states.columns[0].clone(), sums, states.columns[2].clone()])
        });
        plan.since(4).rename("cost", "price");
        plan.since(4).add("rows", "rows", Count)
    });
    plan.unwrap()
}

#[test]
fn a_function_makes_a_version_and_the_others_stay_declared() {
    let plan = converted();
    let one = [peak(), required("mean", DataType::F64), required("count", DataType::S64)];
    let means = vec![floats(&[Some(7.5), None]), floats(&[Some(7.5), Some(0.0)]), integers(&[4, 0])];
    let expected = batch([first(), vec![integers(&[0, 0])]].concat());
    assert_eq!(migrated(&plan, 1, &schema(one.clone()), batch(means.clone())), Ok(expected.clone()));
    let two = schema(one.into_iter().chain([required("note", DataType::S64)]));
    let noted = |note: i64| batch([means.clone(), vec![integers(&[8, note])]].concat());
    assert_eq!(migrated(&plan, 2, &two, noted(8)), Ok(expected.clone()));
    let refused = plan.migrate(2, &two, noted(-1));
    let told = "the plugin's function for version 3 does not take them: a note of -1";
    assert_eq!(refused, Err(Refusal::BadInput(told.into())));
    let three = [required("cost_sum", DataType::F64), required("cost_count", DataType::S64)];
    assert_eq!(migrated(&plan, 3, &schema([peak()].into_iter().chain(three)), batch(first())), Ok(expected));
}

#[test]
fn what_a_function_gives_is_checked() {
    let plan = |columns: fn() -> Vec<Column>| {
        let made = plan_of(|plan| {
            plan.since(2).convert(schema([peak()]), move |_| Ok(columns()));
            Ok(())
        });
        made.unwrap()
    };
    let wrong: [fn() -> Vec<Column>; 3] = [
        Vec::new,
        || vec![floats(&[None]); 3],
        || vec![floats(&[None, None]), integers(&[1, 1]), integers(&[1, 1])],
    ];
    for columns in wrong {
        let refused = plan(columns).migrate(1, &schema([peak()]), batch(vec![floats(&[None, None])]));
        let told = "the plugin's function for version 2 did not give 2 rows of that version's columns; \
                    report it to the plugin's author";
        assert_eq!(refused, Err(Refusal::BadInput(told.into())));
    }
}

#[test]
fn migrated_states_go_on() {
    let plan = chained();
    let [sum, count] = mean();
    let from = schema([peak(), sum, count, required("ticks", DataType::S32)]);
    let states = batch([first(), vec![small(&[5, 6])]].concat());
    let states = migrated(&plan, 1, &from, states).unwrap();
    let prices = floats(&[Some(9.0), Some(1.0), Some(2.0)]);
    let table = Table {
        columns: vec![("price".into(), prices)],
        event_time_us: vec![0; 3],
        partition: vec![0; 3],
        offset: vec![0, 1, 2],
    };
    let fresh = update(&plan, &table, (&[0, 1, 2], &[0, 0, 1]), identity(&plan, 2)).unwrap();
    let rows = finish(&plan, &plan.merge(states, &fresh).unwrap()).unwrap().rows.columns;
    assert_eq!(rows[0], floats(&[Some(9.0), Some(2.0)]));
    assert_eq!(rows[1], floats(&[Some(40.0 / 6.0), Some(2.0)]));
    assert_eq!(rows[2], floats(&[Some(1.0), Some(2.0)]));
    assert_eq!(rows[3], integers(&[7, 7]));
}

#[test]
fn versions_that_cannot_be_read_are_refused() {
    let unchanged = plan_of(|_| Ok(())).unwrap();
    check_refused(
        &unchanged,
        2,
        vec![peak()],
        "the states are of version 2, made by a later version of this plugin, which keeps version 1: a downgrade",
    );
    let gap = plan_of(|plan| {
        plan.since(4);
        plan.since(6).rename("most", "peak");
        plan.since(5).rename("highest", "most");
        Ok(())
    });
    let gap = gap.unwrap();
    check_refused(
        &gap,
        3,
        vec![peak()],
        "the states are of version 3, and this plugin reads versions 4 to 6: it does not say what version 4 changed",
    );
    let mut meaning = Plan::new(2, &schema([]));
    meaning.add("peak", "peak", Max::<f64>::of("price")).unwrap();
    check_refused(
        &meaning,
        1,
        vec![peak()],
        "the states are of version 1, and this plugin reads version 2 alone: it does not say what version 2 changed",
    );
}

#[test]
fn columns_that_are_not_those_of_their_version_are_refused_with_both_types() {
    let plan = chained();
    let [sum, count] = mean();
    check_refused(
        &plan,
        1,
        vec![required("peak", DataType::F64), sum.clone(), count.clone(), required("ticks", DataType::S64)],
        "the states are of version 1, but not as this plugin knows that version: the column \"peak\" is f64 and \
         should be nullable f64; the column \"ticks\" is s64 and should be s32",
    );
    check_refused(
        &plan,
        1,
        vec![peak(), sum, required("ticks", DataType::S32), field("note", DataType::Utf8)],
        "the states are of version 1, but not as this plugin knows that version: the column \"price_count\" (s64) \
         is missing; there is a column \"note\" (nullable utf8) too many",
    );
    check_refused(
        &plan_of(|_| Ok(())).unwrap(),
        1,
        vec![peak(), count],
        "the states are of version 1, but not as this plugin knows that version: the column \"price_sum\" (f64) is \
         missing",
    );
}

fn check_contradiction(declare: impl FnOnce(&mut Plan) -> Result<(), Refusal>, expected: &str) {
    let refused = plan_of(declare).map(|_| ());
    let told =
        format!("the plugin contradicts itself about its state's versions, whatever is set: {expected}");
    assert_eq!(refused, Err(Refusal::BadConfig(told)));
}

#[test]
fn declarations_that_cannot_be_true_are_refused_before_anything_runs() {
    let check = |declare: fn(&mut Plan), expected: &str| {
        check_contradiction(
            |plan| {
                declare(plan);
                Ok(())
            },
            expected,
        );
    };
    check(
        |plan| _ = plan.since(2).rename("trades", "trade_count"),
        "since(2).rename(\"trades\", \"trade_count\"): this version has no \"trade_count\"; it has: peak, price_sum, \
         price_count",
    );
    check(
        |plan| _ = plan.since(2).rename("price_sum", "peak"),
        "since(2).rename(\"price_sum\", \"peak\"): then the version before had two columns \"price_sum\"",
    );
    check(
        |plan| _ = plan.since(2).widen("peak", DataType::S64, DataType::F64),
        "since(2).widen(\"peak\", s64, f64): not every value of the first type is one of the second; use a function",
    );
    check(
        |plan| _ = plan.since(2).widen("price_sum", DataType::S32, DataType::S64),
        "since(2).widen(\"price_sum\", s32, s64): the column is f64 in this version",
    );
    check(
        |plan| _ = plan.since(2).widen("sum", DataType::S32, DataType::S64),
        "since(2).widen(\"sum\", s32, s64): this version has no \"sum\"; it has: peak, price_sum, price_count",
    );
    check(
        |plan| _ = plan.since(2).remove(required("peak", DataType::S64)),
        "since(2).remove(\"peak\"): this version has a column of that name",
    );
    check(
        |plan| _ = plan.since(2).added("note", one(1i64)),
        "since(2).add(\"note\"): this version has no \"note\"; it has: peak, price_sum, price_count",
    );
    check(
        |plan| _ = plan.since(2).added("price_sum", one(1i64)),
        "since(2).add(\"price_sum\"): its default is not one value of f64, as the column is",
    );
    check(
        |plan| _ = plan.since(2).added("price_sum", floats(&[None])),
        "since(2).add(\"price_sum\"): its default is null, and the column is f64 without nulls",
    );
    check(
        |plan| _ = plan.since(2).added("price_sum", floats(&[Some(1.0), Some(2.0)])),
        "since(2).add(\"price_sum\"): its default is not one value of f64, as the column is",
    );
    check(
        |plan| _ = plan.since(3).rename("most", "peak").convert(schema([]), |_| Ok(vec![])),
        "since(3).convert: a function makes all of its version, and more is declared of this one",
    );
    check(
        |plan| _ = plan.since(1).rename("most", "peak"),
        "since(1): there is no version before 1 that could have changed",
    );
    check_contradiction(
        |plan| plan.since(2).add_from("rows", "rows", Count, vec![]),
        "since(2).add(\"rows\"): its state has 1 columns and 0 defaults are given",
    );
}
