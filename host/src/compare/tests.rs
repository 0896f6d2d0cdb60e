//! Small sets of rows, compared.

use arrow_array::types::UInt32Type;
use arrow_array::{
    Decimal128Array, DictionaryArray, Float64Array, Int64Array, StringArray, TimestampMicrosecondArray,
};
use serde_json::json;

use super::*;

type Columns = Vec<(&'static str, ArrayRef)>;

fn rows(columns: Columns) -> RecordBatch {
    RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, column)| (name, column, true)))
        .unwrap()
}

fn key(values: &[i64]) -> (&'static str, ArrayRef) {
    ("id", Arc::new(Int64Array::from(values.to_vec())))
}

fn floats(name: &'static str, values: &[Option<f64>]) -> (&'static str, ArrayRef) {
    (name, Arc::new(Float64Array::from(values.to_vec())))
}

fn of(old: Columns, new: Columns) -> Comparison {
    compare(&rows(old), &rows(new), &["id"]).unwrap()
}

fn counts(of: &Comparison) -> Vec<(&str, u64, u64)> {
    of.columns.iter().map(|of| (of.column.as_str(), of.equal, of.differing)).collect()
}

#[test]
fn floats_are_equal_by_their_bits_and_nulls_to_nulls() {
    let of_values = |old, new| of(vec![key(&[1]), floats("x", &[old])], vec![key(&[1]), floats("x", &[new])]);
    for (old, new, is_equal) in [
        (Some(1.5), Some(1.5), true),
        (Some(f64::NAN), Some(f64::NAN), true),
        (Some(0.0), Some(-0.0), false),
        (Some(0.1 + 0.2), Some(0.3), false),
        (None, None, true),
        (None, Some(0.0), false),
        (Some(0.0), None, false),
    ] {
        assert_eq!(of_values(old, new).is_equal(), is_equal, "{old:?} {new:?}");
    }
    let example = json!(of_values(Some(0.0), Some(-0.0)).examples[0]);
    let expected = json!({
        "key": {"id": "1"}, "what": "value", "column": "x", "old": "0.0", "new": "-0.0",
        "old_bits": "0x0000000000000000", "new_bits": "0x8000000000000000",
    });
    assert_eq!(example, expected);
    assert_eq!(json!(of_values(None, Some(0.0)).examples[0])["old"], json!(null));
}

#[test]
fn rows_are_matched_by_key_wherever_they_are_and_those_without_a_match_are_named() {
    let old = vec![key(&[3, 1, 2]), floats("x", &[Some(3.0), Some(1.0), Some(2.0)])];
    let new = vec![key(&[2, 4, 3]), floats("x", &[Some(2.0), Some(4.0), Some(30.0)])];
    let found = of(old, new);
    assert_eq!((found.both, found.only_old, found.only_new), (2, 1, 1));
    assert_eq!(counts(&found), [("x", 1, 1)]);
    let what: Vec<_> =
        found.examples.iter().map(|of| (of.key[0].1.clone().unwrap(), json!(of.what))).collect();
    let ids: Vec<(&str, &str)> =
        what.iter().map(|(id, what)| (id.as_str(), what["what"].as_str().unwrap())).collect();
    assert_eq!(ids, [("3", "value"), ("1", "only_old"), ("4", "only_new")]);
    assert!(!found.is_equal());
}

#[test]
fn rows_of_one_key_are_matched_in_their_order() {
    let old = vec![key(&[1, 1, 2]), floats("x", &[Some(1.0), Some(2.0), None])];
    let new = vec![key(&[2, 1, 1, 1]), floats("x", &[None, Some(1.0), Some(2.0), Some(3.0)])];
    let found = of(old, new);
    assert_eq!((found.both, found.only_old, found.only_new), (3, 0, 1));
    assert_eq!(counts(&found), [("x", 3, 0)]);
}

#[test]
fn a_new_column_is_no_difference_and_a_missing_one_is() {
    let (one, both) =
        (vec![key(&[1]), floats("x", &[None])], vec![key(&[1]), floats("x", &[None]), floats("y", &[None])]);
    let more = of(one.clone(), both.clone());
    assert!(more.is_equal());
    assert_eq!(
        (more.only_new_columns, counts(&of(one.clone(), one.clone()))),
        (vec!["y".to_owned()], vec![("x", 1, 0)])
    );
    let less = of(both, one);
    assert!(!less.is_equal());
    assert_eq!(less.only_old_columns, ["y"]);
}

#[test]
fn a_column_of_another_type_has_no_equal_value() {
    let old = vec![key(&[1, 2]), floats("x", &[Some(1.0), Some(2.0)])];
    let new = vec![key(&[1, 2]), ("x", Arc::new(Int64Array::from(vec![1, 2])) as ArrayRef)];
    let found = of(old, new);
    assert_eq!(counts(&found), [("x", 0, 2)]);
    assert_eq!(found.columns[0].types, Some(["Float64".to_owned(), "Int64".to_owned()]));
    let empty = vec![key(&[]), ("x", Arc::new(Int64Array::from(Vec::<i64>::new())) as ArrayRef)];
    assert!(!of(vec![key(&[]), floats("x", &[])], empty).is_equal());
}

#[test]
fn every_value_that_differs_is_counted_and_few_are_shown() {
    let ids: Vec<i64> = (0..10_000).collect();
    let same: Vec<Option<f64>> = ids.iter().map(|id| Some(*id as f64)).collect();
    let other: Vec<Option<f64>> =
        ids.iter().map(|id| Some(if id % 7 == 3 { -1.0 } else { *id as f64 })).collect();
    let found = of(vec![key(&ids), floats("x", &same)], vec![key(&ids), floats("x", &other)]);
    let differing = ids.iter().filter(|id| *id % 7 == 3).count() as u64;
    assert_eq!(counts(&found), [("x", 10_000 - differing, differing)]);
    let shown: Vec<_> = found.examples.iter().map(|of| of.key[0].1.clone().unwrap()).collect();
    assert_eq!(shown, ["3", "10", "17"]);
}

#[test]
fn parts_add_up_and_examples_stay_few() {
    let part = |id: i64, x: f64| {
        of(vec![key(&[id]), floats("x", &[Some(0.5)])], vec![key(&[id]), floats("x", &[Some(x)])])
    };
    let mut all = Comparison::default();
    (0..100).for_each(|id| all.add(part(id, if id % 2 == 0 { 0.5 } else { 1.5 })));
    all.add(of(vec![key(&[7]), floats("x", &[None])], vec![key(&[]), floats("x", &[])]));
    assert_eq!((all.both, all.only_old, counts(&all)), (100, 1, vec![("x", 50, 50)]));
    assert_eq!(all.examples.len(), 4);
    let mut many = Comparison::default();
    for name in ["a", "b", "c", "d", "e", "f", "g", "h", "i"] {
        for id in 0..5 {
            let one = |x| vec![key(&[id]), floats(name, &[Some(x)])];
            many.add(of(one(0.0), one(1.0)));
        }
    }
    assert_eq!(many.examples.len(), EXAMPLES_MAX);
}

#[test]
fn several_key_columns_are_one_key_and_values_are_shown_as_people_read_them() {
    let at = TimestampMicrosecondArray::from(vec![1_761_955_200_000_000]).with_timezone("UTC");
    let names: DictionaryArray<UInt32Type> = [Some("BTC")].into_iter().collect();
    let side = |price: i128, note: &str| {
        let price = Decimal128Array::from(vec![price]).with_precision_and_scale(10, 2).unwrap();
        rows(vec![
            ("symbol", Arc::new(names.clone()) as ArrayRef),
            ("window_start", Arc::new(at.clone()) as ArrayRef),
            ("price", Arc::new(price) as ArrayRef),
            ("note", Arc::new(StringArray::from(vec![note])) as ArrayRef),
        ])
    };
    let found = compare(&side(150, "a"), &side(-1, &"é".repeat(500)), &["symbol", "window_start"]).unwrap();
    let example = json!(found.examples[0]);
    assert_eq!(example["key"], json!({"symbol": "BTC", "window_start": "2025-11-01T00:00:00Z"}));
    assert_eq!((&example["old"], &example["new"]), (&json!("1.50"), &json!("-0.01")));
    assert_eq!(json!(found.examples[1])["new"].as_str().unwrap().chars().count(), 121);
    assert!(matches!(compare(&side(1, "a"), &side(1, "a"), &["id"]), Err(CompareError::Key(_))));
}
