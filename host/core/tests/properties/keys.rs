//! Encoded keys: equal as the keys are, ordered as they are, and read back.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{ArrayRef, RecordBatch, StringArray};
use arrow_schema::{DataType, Field, Schema};
use speed_layer_core::key::{EncodedKeys, KeyEncoder, KeyError};

use crate::prng::Prng;
use crate::random::{all_types, column, dictionary, key_types};

fn encoder(types: &[DataType]) -> KeyEncoder {
    let field = |(at, data_type): (usize, &DataType)| Field::new(format!("k{at}"), data_type.clone(), true);
    let schema = Schema::new(types.iter().enumerate().map(field).collect::<Vec<Field>>());
    let names: Vec<String> = schema.fields().iter().map(|field| field.name().clone()).collect();
    KeyEncoder::new(&schema, &names).unwrap()
}

fn bytes(keys: &EncodedKeys) -> Vec<&[u8]> {
    (0..keys.len()).map(|row| keys.get(row)).collect()
}

/// The value of one row of a column, nulls last, for comparison.
fn shown(column: &ArrayRef, row: usize) -> (bool, String) {
    let text = match column.data_type() {
        DataType::Dictionary(_, _) if !column.is_null(row) => {
            let typed = column.as_dictionary::<arrow_array::types::UInt32Type>();
            typed.values().as_string::<i32>().value(typed.keys().value(row) as usize).to_owned()
        }
        _ => format!("{:?}", column.slice(row, 1)),
    };
    (column.is_null(row), text)
}

#[test]
fn keys_are_read_back_and_are_equal_only_to_themselves() {
    let mut prng = Prng::new(1);
    for round in 0..200 {
        let types: Vec<DataType> = (0..1 + prng.below(4)).map(|_| prng_type(&mut prng)).collect();
        let encoder = encoder(&types);
        let columns: Vec<ArrayRef> =
            encoder.schema().fields().iter().map(|field| column(&mut prng, field, 50)).collect();
        let keys = encoder.encode(&columns).unwrap();
        let decoded = encoder.decode(bytes(&keys)).unwrap();
        let row_of = |columns: &[ArrayRef], row| columns.iter().map(|c| shown(c, row)).collect::<Vec<_>>();
        for row in 0..50 {
            assert_eq!(row_of(&columns, row), row_of(decoded.columns(), row), "round {round}, {types:?}");
            for other in 0..row {
                let same = row_of(&columns, row) == row_of(&columns, other);
                assert_eq!(keys.get(row) == keys.get(other), same, "round {round}, {types:?}");
            }
        }
    }
}

fn prng_type(prng: &mut Prng) -> DataType {
    let types = key_types();
    types[prng.below(types.len())].clone()
}

#[test]
fn keys_sort_as_their_columns_do() {
    let mut prng = Prng::new(2);
    let encoder = encoder(&[DataType::Utf8, DataType::Int64, dictionary()]);
    let fields = encoder.schema().fields().clone();
    let columns: Vec<ArrayRef> = fields.iter().map(|field| column(&mut prng, field, 500)).collect();
    let keys = encoder.encode(&columns).unwrap();
    let number = |row| columns[1].as_primitive::<arrow_array::types::Int64Type>().value(row);
    let text = |row| (columns[0].is_null(row), columns[0].as_string::<i32>().value(row));
    let order = |row| {
        let first = if columns[0].is_null(row) { (true, "") } else { text(row) };
        let second = if columns[1].is_null(row) { (true, 0) } else { (false, number(row)) };
        (first, second, shown(&columns[2], row))
    };
    for (a, b) in (0..500).flat_map(|a| (0..500).map(move |b| (a, b))) {
        assert_eq!(keys.get(a).cmp(keys.get(b)), order(a).cmp(&order(b)), "{:?} {:?}", order(a), order(b));
    }
}

#[test]
fn a_null_is_not_an_empty_text() {
    let texts: ArrayRef = Arc::new(StringArray::from(vec![Some(""), None, Some("a")]));
    let single = encoder(&[DataType::Utf8]);
    let keys = single.encode(std::slice::from_ref(&texts)).unwrap();
    assert_eq!(bytes(&keys), [&b""[..], &[0xFF], b"a"]);
    let sliced = single.encode(&[texts.slice(1, 2)]).unwrap();
    assert_eq!(bytes(&sliced), [&[0xFF][..], b"a"]);
    let double = encoder(&[DataType::Utf8, DataType::Utf8]);
    let keys = double.encode(&[texts.clone(), texts]).unwrap();
    assert_eq!(bytes(&keys), [&b"\0\0"[..], &[0xFF, 0xFF], b"a\0\0a"]);
}

#[test]
fn damaged_keys_are_refused_and_never_panic() {
    let mut prng = Prng::new(3);
    let types = key_types();
    for _ in 0..20_000 {
        let count = 1 + prng.below(3);
        let chosen: Vec<DataType> = (0..count).map(|_| types[prng.below(types.len())].clone()).collect();
        let noise: Vec<u8> = (0..prng.below(20)).map(|_| prng.choose(&[0, 1, 2, 0x41, 0xC3, 0xFF])).collect();
        let encoder = encoder(&chosen);
        if let Ok(batch) = encoder.decode([&noise[..]]) {
            let keys = encoder.encode(batch.columns()).unwrap();
            assert_eq!(keys.get(0), noise, "only what a key encodes to is read");
        }
    }
    let boolean = encoder(&[DataType::Boolean]);
    assert!(matches!(boolean.decode([&[1, 2][..]]), Err(KeyError::Damaged { .. })));
}

#[test]
fn keys_that_cannot_be_made_are_refused_by_name() {
    let fields: Vec<Field> = all_types()
        .into_iter()
        .enumerate()
        .map(|(at, data_type)| Field::new(format!("c{at}"), data_type, true))
        .collect();
    let schema = Schema::new(fields);
    let check = |names: &[&str], message: &str| {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let refusal = KeyEncoder::new(&schema, &names).unwrap_err().to_string();
        assert!(refusal.contains(message), "{refusal}");
    };
    check(&[], "at least one column");
    check(&["c0", "c1", "c0"], "\"c0\" is named twice");
    check(&["symbol"], "no column \"symbol\" to group by; the columns are c0, c1");
    check(&["c8"], "\"c8\" has type Float32");
    check(&["c9"], "\"c9\" has type Float64");
    check(&["c10"], "\"c10\" has type Binary");
    let encoder = encoder(&[DataType::Utf8]);
    let wrong: ArrayRef = Arc::new(arrow_array::Int64Array::from(vec![1]));
    assert!(matches!(encoder.encode(&[wrong]), Err(KeyError::Column { .. })));
    assert!(matches!(encoder.encode(&[]), Err(KeyError::ColumnCount { expected: 1, found: 0 })));
    assert_eq!(encoder.decode([]).unwrap(), RecordBatch::new_empty(encoder.schema().clone()));
}
