//! The repository's own plugins through the runtime: what they describe, what they give,
//! and a line of all three stages.

use std::collections::HashMap;
use std::sync::Arc;

use crate::line::{line, numbers, open_all, parse, records, tick, ticks};
use crate::support::{CONTEXT, built};
use arrow_array::cast::AsArray;
use arrow_array::types::{Date32Type, Float64Type, Int32Type, TimestampMicrosecondType};
use arrow_array::{Array, ArrayRef, Float64Array, Int64Array, TimestampMicrosecondArray};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use speed_layer_plugin::{Need, Origin, PluginError, RawFields, Refusal, Stage};

#[test]
fn each_plugin_is_of_its_stage_and_imports_nothing_else() {
    for (name, stage) in [
        ("ticker_json", Stage::Parse),
        ("ticker_time", Stage::Transform),
        ("min_price", Stage::Transform),
        ("ticker_json_quantity", Stage::Parse),
        ("ohlcv", Stage::Aggregate),
        ("ohlcv_upticks", Stage::Aggregate),
        ("vwap", Stage::Aggregate),
    ] {
        let plugin = built(name);
        assert_eq!((plugin.stage(), plugin.id().name.as_str(), plugin.contract()), (stage, name, "0.1.0"));
        assert!(plugin.imports().iter().all(|import| import.starts_with("speed-layer:plugin/")), "{name}");
        for other in Stage::ALL {
            assert_eq!(plugin.require_stage(other).is_ok(), other == stage, "{name} as {other}");
        }
    }
}

#[test]
fn ticks_become_twelve_columns() {
    let description = built("ticker_json").describe_parse("{}").unwrap();
    assert_eq!(description.output.fields().len(), 12);
    assert_eq!(description.reads, RawFields { value: true, ..RawFields::default() });
    let parsed = parse(&ticks(10));
    assert_eq!((parsed.rows.num_rows(), parsed.records, parsed.rejects.len()), (10, None, 0));
    let prices = parsed.rows.column_by_name("price").unwrap().as_primitive::<Float64Type>();
    assert_eq!(prices.values()[..3], [100.5, 101.5, 102.5]);
    assert_eq!(parsed.rows.schema(), description.output);
}

#[test]
fn bad_records_and_tombstones_are_rejected_and_the_others_keep_their_places() {
    let (first, last) = (tick(0), tick(1));
    let values = [Some(first.as_bytes()), None, Some(b"{\x1b".as_slice()), Some(b""), Some(last.as_bytes())];
    let parsed = parse(&records(values));
    assert_eq!(parsed.records, Some(vec![0, 4]));
    assert_eq!(parsed.rejects.rows, [1, 2, 3]);
    assert!(parsed.rejects.messages.iter().all(|message| !message.chars().any(char::is_control)));
}

#[test]
fn only_wanted_columns_come_and_in_their_order() {
    let plugin = built("ticker_json");
    let output = plugin.describe_parse("{}").unwrap().output;
    let wanted = [output.index_of("symbol").unwrap() as u32, output.index_of("event_time").unwrap() as u32];
    let mut wanted = wanted.to_vec();
    wanted.sort_unstable();
    let mut parser = plugin.open_parse("{}", &wanted).unwrap();
    let names: Vec<String> = parser.output().fields().iter().map(|field| field.name().clone()).collect();
    let expected: Vec<String> =
        wanted.iter().map(|number| output.field(*number as usize).name().clone()).collect();
    assert_eq!(names, expected);
    assert_eq!(parser.parse(&CONTEXT, &ticks(3)).unwrap().rows.num_columns(), 2);
    let mut none = plugin.open_parse("{}", &[]).unwrap();
    assert_eq!(none.parse(&CONTEXT, &ticks(3)).unwrap().rows.num_rows(), 3);
}

#[test]
fn an_unknown_setting_is_refused_by_name() {
    let error = built("ticker_json").describe_parse(r#"{"feilds": []}"#).unwrap_err();
    let PluginError::Refused { refusal: Refusal::BadConfig(text), .. } = &error else { panic!("{error:?}") };
    assert!(text.contains("feilds"), "{text}");
    assert!(error.to_string().starts_with("plugin ticker_json (sha256:"), "{error}");
}

#[test]
fn a_transform_is_given_its_needs_and_gives_what_is_wanted() {
    let plugin = built("ticker_time");
    let input: SchemaRef = Arc::new(Schema::new(vec![
        Field::new("symbol", DataType::Utf8, true),
        Field::new("event_time", DataType::Int64, false),
    ]));
    let description = plugin.describe_transform("{}", &input).unwrap();
    assert_eq!(description.needs, [Need::Column("event_time".to_owned())]);
    let number =
        |name: &str| description.output.iter().position(|column| column.field.name() == name).unwrap() as u32;
    assert_eq!(description.output[number("symbol") as usize].origin, Origin::PassedOn(0));
    let times: ArrayRef = Arc::new(Int64Array::from(vec![-1, 0, 3_600_000, 86_400_000, i64::MAX]));
    let wanted = [number("date"), number("hour")];
    let mut transform = plugin.open_transform("{}", &input, &[0], &wanted).unwrap();
    let done = transform.transform(&CONTEXT, 5, &[times]).unwrap();
    assert_eq!(done.rows.column(0).as_primitive::<Date32Type>().values()[..], [-1, 0, 0, 1]);
    assert_eq!(done.rows.column(1).as_primitive::<Int32Type>().values()[..], [23, 0, 1, 0]);
    assert_eq!((done.kept, done.rejects.rows), (Some(vec![0, 1, 2, 3]), vec![4]));
    let error = plugin.open_transform("{}", &input, &[0], &[number("symbol")]).err().unwrap();
    assert!(error.to_string().contains("is passed on and not computed"), "{error}");
}

#[test]
fn a_filter_keeps_rows_without_giving_a_column() {
    let plugin = built("min_price");
    let input: SchemaRef = Arc::new(Schema::new(vec![Field::new("price", DataType::Float64, true)]));
    let mut filter = plugin.open_transform(r#"{"min": 1.5}"#, &input, &[0], &[]).unwrap();
    let prices: ArrayRef = Arc::new(Float64Array::from(vec![Some(1.0), Some(1.5), None, Some(2.0)]));
    let done = filter.transform(&CONTEXT, 4, &[prices]).unwrap();
    assert_eq!((done.rows.num_rows(), done.kept, done.rejects.len()), (2, Some(vec![1, 3]), 0));
}

#[test]
fn a_parser_with_one_more_field_gives_the_others_as_before() {
    let before = parse(&ticks(10)).rows;
    let after = open_all(&built("ticker_json_quantity")).parse(&CONTEXT, &ticks(10)).unwrap().rows;
    assert_eq!(after.columns()[..12], before.columns()[..]);
    assert_eq!(
        (after.schema().field(12).name().as_str(), after.column(12).null_count()),
        ("last_quantity", 10)
    );
}

#[test]
fn ohlcv_gives_the_nine_numbers_of_each_group() {
    let mut line = line("ohlcv", 30);
    let states = line.update(0, 30, &line.identities(3));
    let rows = line.finish(&states);
    // Symbol B has the rows 1, 4, ... 28.
    let b = numbers(&rows, 1);
    let expected = [
        ("daily_open", 101.0),
        ("daily_high", 128.75),
        ("daily_low", 101.25),
        ("daily_close", 128.5),
        ("daily_volume", 145.0),
        ("daily_quote_volume", 20.0),
        ("total_trades", 30.0),
        ("tick_count", 10.0),
        ("avg_price", 115.0),
    ];
    for (name, value) in expected {
        assert_eq!(b.get(name), Some(&value), "{name} of {b:?}");
    }
    assert_eq!(b.len(), expected.len());
}

#[test]
fn states_do_not_depend_on_how_rows_are_cut_and_merged() {
    for name in ["ohlcv", "vwap"] {
        let mut line = line(name, 30);
        let identities = line.identities(3);
        let whole = line.update(0, 30, &identities);
        let first = line.update(0, 11, &identities);
        let folded = line.update(11, 30, &first);
        let second = line.update(11, 30, &identities);
        let merged = line.aggregate.merge(&CONTEXT, &first, &second).unwrap();
        let expected = line.finish(&whole);
        for states in [&folded, &merged] {
            let found = line.finish(states);
            for row in 0..3 {
                check_close(name, &numbers(&found, row), &numbers(&expected, row));
            }
        }
        assert_eq!(line.finish(&whole), expected, "finishing twice gives the same");
    }
}

fn check_close(plugin: &str, found: &HashMap<String, f64>, expected: &HashMap<String, f64>) {
    for (name, value) in expected {
        let difference = (found[name] - value).abs();
        assert!(difference <= 1e-9 * value.abs().max(1.0), "{plugin} {name}: {} and {value}", found[name]);
    }
}

#[test]
fn a_group_of_a_pair_that_is_not_there_is_the_hosts_mistake() {
    let mut line = line("ohlcv", 3);
    let states = line.identities(2);
    let columns = line.columns.clone();
    for (rows, groups) in [(vec![0, 3], vec![0, 0]), (vec![0], vec![2]), (vec![0, 1], vec![0])] {
        let error = line.aggregate.update(&CONTEXT, 3, &columns, &rows, &groups, &states).unwrap_err();
        assert!(matches!(error, PluginError::Input { .. }), "{error:?}");
    }
}

#[test]
fn timestamps_come_as_microseconds_in_utc() {
    let plugin = built("ticker_time");
    let input: SchemaRef = Arc::new(Schema::new(vec![Field::new("event_time", DataType::Int64, true)]));
    let description = plugin.describe_transform("{}", &input).unwrap();
    let number =
        description.output.iter().position(|column| column.field.name() == "event_timestamp").unwrap();
    let mut transform = plugin.open_transform("{}", &input, &[0], &[number as u32]).unwrap();
    let whole = Int64Array::from(vec![Some(7), None, Some(1), Some(-1)]);
    let part: ArrayRef = Arc::new(whole.slice(1, 3));
    let done = transform.transform(&CONTEXT, 3, &[part]).unwrap();
    let expected =
        TimestampMicrosecondArray::from(vec![None, Some(1_000), Some(-1_000)]).with_timezone("UTC");
    assert_eq!(done.rows.column(0).as_primitive::<TimestampMicrosecondType>(), &expected);
}
